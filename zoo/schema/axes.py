"""Sections whose settings depend on a registered name in them.

A field of such a section is annotated with the registry that its name is looked up in::

    network: Annotated[NetworkConfig, NETWORKS]

:func:`narrowed` returns the class in which every such field has the config of the name in a recipe, so that mistakes
are found and located in the right settings. Axes may be nested: a variant may have a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import copy
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from zoo.errors import UnknownNameError, ZooError, closest
from zoo.registry import Registry
from zoo.schema.base import Section
from zoo.schema.parsing import validate

S = TypeVar("S", bound=Section)


def axes_of(schema: type[Section]) -> Iterator[tuple[str, FieldInfo, Registry[Any]]]:
    """Yield the fields whose settings depend on a registered name, each with its registry."""
    for name, info in schema.model_fields.items():
        for metadata in info.metadata:
            if isinstance(metadata, Registry):
                yield name, info, metadata


def narrowed(schema: type[S], fields: Mapping[str, Any], where: str) -> type[S]:
    """Return ``schema`` with the configs of the names in ``fields``.

    Args:
        schema: a section, some of whose fields may be axes.
        fields: the fields as JSON.
        where: the source of the fields, for messages.

    Raises:
        ZooError: a section or a name is missing or unknown; one line for each, with its path and the close match.
    """
    mistakes: list[str] = []
    narrowed_schema = _narrowed(schema, fields, "", mistakes)
    if mistakes:
        raise ZooError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
    return narrowed_schema


def _narrowed(schema: type[S], fields: Mapping[str, Any], prefix: str, mistakes: list[str]) -> type[S]:
    types: list[tuple[str, type[Section]]] = []
    for name, info, registry in axes_of(schema):
        path = f"{prefix}{name}"
        if name not in fields and not info.is_required():
            types.append((name, type(info.get_default(call_default_factory=True))))
            continue
        if name not in fields:
            close = closest(name, fields, 1)
            mistakes.append(f"{path}: the section is missing{f' (there is {close[0]!r})' if close else ''}")
            continue
        section = fields[name]
        if isinstance(section, str) and _base(info).WORD:
            section = {registry.tag: section}
        tag = section.get(registry.tag) if isinstance(section, dict) else None
        if not isinstance(tag, str):
            example = f'; write {{"{registry.tag}": {json.dumps(section)}}}' if isinstance(section, str) else ""
            mistakes.append(f"{path}.{registry.tag}: required, the name of the {registry.kind}{example}")
            continue
        try:
            config = registry.get(tag).config
        except UnknownNameError as error:
            note = " (one of your own has to be imported first: --import FILE.py)"
            mistakes.append(f"{path}.{registry.tag}: {error}{note}")
            continue
        types.append((name, _narrowed(config, section, f"{path}.", mistakes)))
    return _with_types(schema, tuple(types))


@cache
def _with_types(schema: type[S], types: tuple[tuple[str, type[Section]], ...]) -> type[S]:
    """Return a subclass whose fields have these types; the same one for the same types."""
    if not types:
        return schema
    fields: dict[str, Any] = {name: (config, _plain(schema.model_fields[name])) for name, config in types}
    subclass = create_model(
        schema.__name__, __base__=schema, __module__=schema.__module__, __doc__=schema.__doc__, **fields
    )

    def reduce(section: Section) -> Any:  # no module holds this class: unpickling narrows ``schema`` again
        return _restored, (schema, section.model_dump(mode="json", by_alias=True, serialize_as_any=True))

    def equal(section: Section, other: object) -> bool:  # to ``schema``'s own instances, too: pydantic compares classes
        return isinstance(other, schema) and section.__dict__ == other.__dict__

    subclass.__eq__ = equal  # type: ignore[method-assign, assignment]
    subclass.__reduce__ = reduce  # type: ignore[method-assign, assignment]
    return subclass


def _base(info: FieldInfo) -> type[Section]:
    """Return the class that the configs of an axis extend."""
    base = info.annotation
    assert isinstance(base, type) and issubclass(base, Section)
    return base


def _plain(info: FieldInfo) -> FieldInfo:
    """Return a copy of a field without its registry, because its type is known."""
    plain = copy(info)
    plain.metadata = [metadata for metadata in info.metadata if not isinstance(metadata, Registry)]
    return plain


def _restored(schema: type[S], fields: dict[str, Any]) -> S:
    """Return the section with these fields; this is how sections are unpickled."""
    section: S = validate(narrowed(schema, fields, schema.__name__), fields, schema.__name__)
    return section


def with_every_choice(schema: type[S]) -> type[S]:
    """Return ``schema`` with the configs of all registered names, for its JSON Schema."""
    fields: dict[str, Any] = {}
    for name, info, registry in axes_of(schema):
        configs = [with_every_choice(item.config) for item in registry.items().values()]
        choices: Any = reduce(or_, configs)
        if len(configs) > 1:
            choices = Annotated[choices, Field(discriminator=registry.tag)]
        if _base(info).WORD:
            choices = Literal[*registry.names()] | choices
        fields[name] = (choices, Field(info.get_default(call_default_factory=True), description=info.description))
    if not fields:
        return schema
    return create_model(
        schema.__name__, __base__=schema, __module__=schema.__module__, __doc__=schema.__doc__, **fields
    )
