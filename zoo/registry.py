"""Where variants, objectives and datasets are registered and looked up.

Each of the three is a package of short files, one name per file. Names are listed from the file names and a file is
imported when its name is first asked for, so that listing needs neither torch nor a variant. A name read from a recipe
only ever *selects* among these files and what the running program has registered itself: nothing is imported by it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from zoo.errors import UnknownNameError, ZooError

if TYPE_CHECKING:
    from zoo.schema.base import DatasetConfig, ObjectiveConfig, Section, VariantConfig

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Registered:
    """A name, what it is, the pydantic model of its settings, and the function or class those settings go to."""

    name: str
    config: type[Any]
    build: Callable[..., Any]
    summary: str
    paper: str = ""


SectionT = TypeVar("SectionT", bound="Section")


class Registry(Generic[SectionT]):
    """Name → :class:`Registered`, for one axis of the zoo.

    Args:
        kind: the word used in messages, ``"variant"``.
        tag: the field of a recipe's section that holds the name.
        package: the package with one file per shipped name.
    """

    def __init__(self, kind: str, tag: str, package: str) -> None:
        self.kind, self.tag, self.package = kind, tag, package
        self._registered: dict[str, Registered] = {}

    @cached_property
    def _shipped(self) -> frozenset[str]:
        files = resources.files(self.package).iterdir()
        return frozenset(f.name[:-3] for f in files if f.name.endswith(".py") and not f.name.startswith("_"))

    def register(
        self, name: str, *, config: type[SectionT], summary: str, paper: str = ""
    ) -> Callable[[Builder], Builder]:
        """Decorate the builder of ``name``.

        Args:
            name: what recipes say; for a shipped one, the name of its file.
            config: the pydantic model of its settings.
            summary: one line for listings.
            paper: authors, year and where to find it.

        Raises:
            ZooError: the name is taken.
        """

        def decorate(build: Builder) -> Builder:
            if name in self._registered or (name in self._shipped and build.__module__ != f"{self.package}.{name}"):
                raise ZooError(f"the {self.kind} {name!r} is already registered; choose another name")
            self._registered[name] = Registered(name, self._tagged(name, config, summary), build, summary, paper)
            return build

        return decorate

    def _tagged(self, name: str, config: type[SectionT], summary: str) -> type[SectionT]:
        """``config`` with its tag fixed to ``name``, which its author need not repeat; editors show the summary."""
        from pydantic import create_model

        fields: dict[str, Any] = {self.tag: (Literal[name], name)}
        return create_model(config.__name__, __base__=config, __module__=config.__module__, __doc__=summary, **fields)

    def names(self) -> list[str]:
        """Every known name, sorted; imports nothing."""
        return sorted(self._shipped | self._registered.keys())

    def config_of(self, section: str, recipe: dict[str, Any], where: str) -> Any:
        """The pydantic model of the settings in a recipe's section, by the name in it.

        Raises:
            ZooError: the section or the name is missing or unknown.
        """
        if section not in recipe:
            close = difflib.get_close_matches(section, recipe, n=1)
            raise ZooError(f"{where}: {section}: the section is missing{f' (there is {close[0]!r})' if close else ''}")
        name = recipe[section].get(self.tag) if isinstance(recipe[section], dict) else None
        if not isinstance(name, str):
            raise ZooError(f"{where}: {section}.{self.tag}: required, the name of a {self.kind}")
        try:
            return self.get(name).config
        except UnknownNameError as error:
            note = "; one of your own has to be imported first (--import FILE.py)"
            raise ZooError(f"{where}: {section}.{self.tag}: {error}{note}") from error

    def get(self, name: str) -> Registered:
        """Look a name up, importing its file on first use.

        Raises:
            UnknownNameError: nothing is registered under ``name``; shows the close matches.
        """
        if name not in self._registered and name in self._shipped:
            import_module(f"{self.package}.{name}")
        if name not in self._registered:
            raise UnknownNameError(self.kind, name, self.names())
        return self._registered[name]


VARIANTS: Registry[VariantConfig] = Registry("variant", "variant", "zoo.variants")
OBJECTIVES: Registry[ObjectiveConfig] = Registry("objective", "name", "zoo.objectives")
DATASETS: Registry[DatasetConfig] = Registry("dataset", "name", "zoo.datasets")

register_variant = VARIANTS.register
register_objective = OBJECTIVES.register
register_dataset = DATASETS.register


def list_variants() -> list[str]:
    """The names of every registered variant, sorted."""
    return VARIANTS.names()
