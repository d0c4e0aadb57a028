"""The registries of everything that a recipe can name, and of all metrics and figures.

Each axis of the zoo is a package of short files, one name a file. Names are listed from the file names and a file is
imported when its name is first asked for, so that listing needs neither torch nor a variant. A name read from a recipe
only ever *selects* among these files and what the running program has registered itself: nothing is imported by it.

A file whose name begins with an underscore is shared by its siblings and registers nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar, get_args

from zoo.errors import UnknownNameError, ZooError
from zoo.imports import importing
from zoo.registered import LoggerKind, MetricFamily, Optimizer, Registered, Variant, WithConfig

Builder = TypeVar("Builder", bound=Callable[..., Any])
Item = TypeVar("Item", bound=Registered)


class Registry(Generic[Item]):
    """The names of one axis of the zoo.

    Args:
        kind: the word used in messages, ``"variant"``.
        package: the package with one file per shipped name.
        tag: the field of a recipe's section that holds the name.
    """

    def __init__(self, kind: str, package: str, tag: str = "name") -> None:
        self.kind, self.package, self.tag = kind, package, tag
        self._registered: dict[str, Item] = {}
        self._unlisted: set[str] = set()

    @cached_property
    def _shipped(self) -> frozenset[str]:
        folder = Path(__file__).parent.joinpath(*self.package.split(".")[1:])
        return frozenset(file.name for file in iter_modules([str(folder)]) if not file.name.startswith("_"))

    def add(self, item: Item, *, listed: bool = True) -> None:
        """Register an item under its name; a cell of a notebook that is run again replaces what it has registered.

        Args:
            item: the item.
            listed: False for what :meth:`names` leaves out, since it takes more than its name to use it.

        Raises:
            ZooError: the name is taken.
        """
        shipped_here = item.build.__module__ == f"{self.package}.{item.name}"
        before = self._registered.get(item.name)
        taken = before is not None and not defined_again(before.build, item.build)
        if taken or (item.name in self._shipped and not shipped_here):
            raise ZooError(f"the {self.kind} {item.name!r} is already registered; choose another name")
        self._registered[item.name] = item
        if not listed:
            self._unlisted.add(item.name)

    def name_in(self, config: type[Any]) -> str:
        """Return the name in a config: the default of its field ``name``, or, for variants, ``variant``.

        Raises:
            ZooError: the config has no such field, or the field allows other names than its default.
        """
        field = getattr(config, "model_fields", {}).get(self.tag)
        if field is None or not isinstance(field.default, str) or get_args(field.annotation) != (field.default,):
            example = f'{self.tag}: Literal["my_{self.kind}"] = "my_{self.kind}"'
            raise ZooError(f"{config.__name__} does not say what the {self.kind} is called; add the field {example}")
        return field.default

    def names(self) -> list[str]:
        """Return every known name, sorted; imports nothing."""
        return sorted((self._shipped | self._registered.keys()) - self._unlisted)

    def get(self, name: str) -> Item:
        """Return the item of this name, importing its file on first use.

        Raises:
            UnknownNameError: nothing is registered under ``name``; the message shows the close matches.
        """
        if not isinstance(name, str):
            raise UnknownNameError(self.kind, name, self.names())
        if name not in self._registered and name in self._shipped:
            with importing():
                import_module(f"{self.package}.{name}")
        if name not in self._registered:
            raise UnknownNameError(self.kind, name, self.names())
        return self._registered[name]

    def items(self) -> dict[str, Item]:
        """Return everything registered by name, sorted; imports every file of the axis."""
        return {name: self.get(name) for name in self.names()}


CELL = r"^<|[/\\](ipykernel_|__marimo__)"
"""The pattern of the names that cells of notebooks and lines of consoles have instead of a file's."""


def defined_again(before: Callable[..., Any], after: Callable[..., Any]) -> bool:
    """Return whether a notebook, a console or the file that is run defines a function or class once more."""
    if not before.__module__ == after.__module__ == "__main__":
        return False
    files = [_file_of(code) for code in (before, after)]
    if all(re.search(CELL, file) for file in files):
        return True
    return files[0] == files[1] and before.__qualname__ == after.__qualname__


def _file_of(code: Any) -> str:
    """Return the name of the file that a function, or the first method of a class, was compiled from."""
    functions = vars(code).values() if isinstance(code, type) else [inspect.unwrap(code)]
    return next((f.__code__.co_filename for f in functions if hasattr(f, "__code__")), "<unknown>")


VARIANTS: Registry[Variant] = Registry("variant", "zoo.variants", "variant")
NETWORKS: Registry[WithConfig] = Registry("network", "zoo.networks")
POSTERIORS: Registry[WithConfig] = Registry("posterior", "zoo.posteriors")
PRIORS: Registry[WithConfig] = Registry("prior", "zoo.priors")
LIKELIHOODS: Registry[WithConfig] = Registry("likelihood", "zoo.likelihoods", "family")
OBJECTIVES: Registry[WithConfig] = Registry("objective", "zoo.objectives")
DISTANCES: Registry[WithConfig] = Registry("distance", "zoo.distances")
DATASETS: Registry[WithConfig] = Registry("dataset", "zoo.datasets")
OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "zoo.optimizers")
SCHEDULES: Registry[WithConfig] = Registry("schedule", "zoo.schedules")
AUGMENTATIONS: Registry[WithConfig] = Registry("augmentation", "zoo.augmentations")
METRICS: Registry[MetricFamily] = Registry("metric family", "zoo.metrics")
LOGGERS: Registry[LoggerKind] = Registry("logger", "zoo.loggers")
FIGURES: Registry[Registered] = Registry("kind of figure", "zoo.figures")


def register_variant(
    *, config: type[Any], paper: str = "", objective: str = "elbo", tiny: Mapping[str, Any] | None = None
) -> Callable[[Builder], Builder]:
    """Decorate the function that builds a variant from its config and an image shape (C, H, W).

    Args:
        config: the pydantic model of the settings. The default of its field ``variant`` is the name (for a shipped
            variant, the name of its file), the first line of its docstring the summary.
        paper: the paper: authors, year and where to find it.
        objective: the objective that the variant is usually trained with.
        tiny: settings of a model that trains in a second, for tests.

    Raises:
        ZooError: the name is taken, or the config has none.
    """

    def decorate(build: Builder) -> Builder:
        name = VARIANTS.name_in(config)
        VARIANTS.add(
            Variant(name=name, build=build, config=config, paper=paper, objective=objective, tiny=dict(tiny or {}))
        )
        return build

    return decorate


def _registering(registry: Registry[WithConfig], config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    def decorate(build: Builder) -> Builder:
        registry.add(WithConfig(name=registry.name_in(config), build=build, config=config, paper=paper))
        return build

    return decorate


def register_network(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that builds a network's layers from its config; see :func:`register_variant`."""
    return _registering(NETWORKS, config, paper)


def register_posterior(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that builds a code layer: from its config, the number of features and of dimensions.

    The code layer is a module that turns features (B, F) into a posterior; see :func:`register_variant`.
    """
    return _registering(POSTERIORS, config, paper)


def register_prior(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that builds a prior from its config, the dimensions of the code and the image shape.

    See :func:`register_variant`.
    """
    return _registering(PRIORS, config, paper)


def register_likelihood(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the class that turns a decoder's outputs into p(x|z), built from its config.

    See :func:`register_variant`.
    """
    return _registering(LIKELIHOODS, config, paper)


def register_objective(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the class of an objective, which is built from its config; see :func:`register_variant`."""
    return _registering(OBJECTIVES, config, paper)


def register_distance(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the class of a distance, which is built from its config; see :func:`register_variant`."""
    return _registering(DISTANCES, config, paper)


def register_dataset(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that loads a dataset: from its config and a split to a :class:`zoo.datasets.ImageSet`."""
    return _registering(DATASETS, config, paper)


def register_augmentation(*, config: type[Any], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that changes images: from its config and images (B, C, H, W) in [0, 1] to as many.

    It draws with the functions of :mod:`zoo.augmentations`, anew at every call.
    """
    return _registering(AUGMENTATIONS, config, paper)


def register_schedule(config: Builder) -> Builder:
    """Decorate the config of a schedule, which has the method ``factor(epoch, epochs)``."""
    kind: Any = config
    SCHEDULES.add(WithConfig(name=SCHEDULES.name_in(kind), build=config, config=kind))
    return config


def register_optimizer(*, config: type[Any], state: tuple[str, ...], paper: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that updates parameters in place; :mod:`zoo.optimizers` says what it is called with.

    Args:
        config: the pydantic model of the settings.
        state: the names of the states kept for each parameter: tensors of its shape, but for ``step``, a scalar.
        paper: the paper: authors, year and where to find it.
    """

    def decorate(build: Builder) -> Builder:
        name = OPTIMIZERS.name_in(config)
        OPTIMIZERS.add(Optimizer(name=name, build=build, config=config, paper=paper, state=state))
        return build

    return decorate


def register_metrics(
    name: str, *metrics: Any, on_request: bool = False, after_training: bool = False
) -> Callable[[Builder], Builder]:
    """Decorate the function that measures a family of metrics, from a :class:`zoo.metrics.EvalContext` to their values.

    Args:
        name: the family's name; for a shipped one, that of its file.
        metrics: the metrics, each a :class:`zoo.schema.metric.Metric`.
        on_request: measure the family only if it is asked for, because it takes long or needs a download.
        after_training: measure the family at the end of every training.

    Raises:
        ZooError: the name of the family, or of a metric, is taken.
    """

    def decorate(build: Builder) -> Builder:
        shipped = build.__module__ == f"{METRICS.package}.{name}"
        others = {} if shipped else METRICS.items()  # the second to register a name gets the error, not the first
        others = {key: family for key, family in others.items() if not defined_again(family.build, build)}
        known = {metric.name for family in others.values() for metric in family.metrics} | others.keys()
        if known & {name, *(metric.name for metric in metrics)}:
            raise ZooError(f"the metrics {name!r}, or some of them, are already registered; choose other names")
        METRICS.add(
            MetricFamily(name=name, build=build, metrics=metrics, on_request=on_request, after_training=after_training)
        )
        return build

    return decorate


def register_figure(draw: Builder) -> Builder:
    """Decorate the function that draws a kind of figure from a :class:`zoo.figures.FigureContext`, under its name."""
    FIGURES.add(Registered(name=draw.__name__, build=draw))
    return draw


def register_logger(*, package: str = "") -> Callable[[Builder], Builder]:
    """Decorate the function that starts a logger, under its name: from a :class:`zoo.loggers.LoggedRun` to a Logger.

    Args:
        package: the package that has to be installed, if any.
    """

    def decorate(build: Builder) -> Builder:
        LOGGERS.add(LoggerKind(name=build.__name__, build=build, package=package))
        return build

    return decorate


def list_variants() -> list[str]:
    """Return the names of every registered variant, sorted."""
    return VARIANTS.names()
