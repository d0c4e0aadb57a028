"""Sections whose settings depend on a registered name in them.

A field of such a section is annotated with the registry that its name is looked up in::

    network: Annotated[NetworkConfig, NETWORKS]
    augment: Annotated[tuple[AugmentationConfig, ...], AUGMENTATIONS] = ()

:func:`narrowed` returns the class in which every such field has the config of the name in a recipe, so that mistakes
are found and located in the right settings. Axes may be nested: a variant may have a network. The items of a list may
be of several names, but have no axes themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar, get_origin

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


def up_to_date(schema: type[Section], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as JSON with every section whose name is known written as in this version."""
    current = dict(fields)
    for name, _, registry in axes_of(schema):
        section = current.get(name)
        if isinstance(section, dict) and section.get(registry.tag) in registry.names():
            config = registry.get(section[registry.tag]).config
            current[name] = up_to_date(config, config.from_older(section))
    return current


def _narrowed(schema: type[S], fields: Mapping[str, Any], prefix: str, mistakes: list[str]) -> type[S]:
    types: list[tuple[str, Types]] = []
    for name, section in _inner_sections(schema):
        if isinstance(fields.get(name), dict):
            inner = _narrowed(section, fields[name], f"{prefix}{name}.", mistakes)
            types += [(name, inner)] if inner is not section else []
    for name, info, registry in axes_of(schema):
        path = f"{prefix}{name}"
        if get_origin(info.annotation) is tuple:
            items = fields.get(name)
            places = enumerate(items) if isinstance(items, list | tuple) else ()
            chosen = [_config_of(item, registry, f"{path}.{index}", mistakes) for index, item in places]
            configs = tuple(dict.fromkeys(config for config in chosen if config))
            types += [(name, configs)] if configs else []
            continue
        if name not in fields and not info.is_required():
            types.append((name, type(info.get_default(call_default_factory=True))))
            continue
        if name not in fields:
            close = closest(name, fields, 1)
            mistakes.append(f"{path}: the section is missing{f' (there is {close[0]!r})' if close else ''}")
            continue
        found = fields[name]
        if isinstance(found, str) and _base(info).WORD:
            found = {registry.tag: found}
        config = _config_of(found, registry, path, mistakes)
        if config:
            types.append((name, _narrowed(config, found, f"{path}.", mistakes)))
    return _with_types(schema, tuple(types))


def _inner_sections(schema: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """Yield the fields that are sections without a name, in which there may be axes, each with its class."""
    axes = {name for name, _, _ in axes_of(schema)}
    for name, info in schema.model_fields.items():
        if name not in axes and isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield name, info.annotation


def _config_of(section: Any, registry: Registry[Any], path: str, mistakes: list[str]) -> type[Section] | None:
    """Return the config of the name in a section; None, and one more mistake, where there is none."""
    tag = section.get(registry.tag) if isinstance(section, dict) else None
    if not isinstance(tag, str):
        example = f'; write {{"{registry.tag}": {json.dumps(section)}}}' if isinstance(section, str) else ""
        mistakes.append(f"{path}.{registry.tag}: required, the name of the {registry.kind}{example}")
        return None
    try:
        config: type[Section] = registry.get(tag).config
    except UnknownNameError as error:
        note = " (one of your own has to be imported first: --import FILE.py)"
        mistakes.append(f"{path}.{registry.tag}: {error}{note}")
        return None
    return config


Types = type[Section] | tuple[type[Section], ...]
"""The class of a field, or the classes that the items of a list may have."""


@cache
def _with_types(schema: type[S], types: tuple[tuple[str, Types], ...]) -> type[S]:
    """Return a subclass whose fields have these types; the same one for the same types."""
    if not types:
        return schema
    registries = {name: registry for name, _, registry in axes_of(schema)}
    fields: dict[str, Any] = {}
    for name, chosen in types:
        kind = _list_of(_any_of(chosen, registries[name])) if isinstance(chosen, tuple) else chosen
        fields[name] = (kind, _plain(schema.model_fields[name]))
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


def _requires_more(config: type[Section], registry: Registry[Any]) -> bool:
    """Return whether a config has required fields besides the name."""
    return any(info.is_required() for name, info in config.model_fields.items() if name != registry.tag)


def _plain(info: FieldInfo) -> FieldInfo:
    """Return a copy of a field without its registry, because its type is known."""
    plain = copy(info)
    plain.metadata = [metadata for metadata in info.metadata if not isinstance(metadata, Registry)]
    return plain


def _restored(schema: type[S], fields: dict[str, Any]) -> S:
    """Return the section with these fields; this is how sections are unpickled."""
    section: S = validate(narrowed(schema, fields, schema.__name__), fields, schema.__name__)
    return section


def _any_of(configs: Sequence[type[Section]], registry: Registry[Any]) -> Any:
    """Return the type of a section that is one of several, told apart by their names."""
    if len(configs) == 1:
        return configs[0]
    return Annotated[reduce(or_, configs), Field(discriminator=registry.tag)]


def _list_of(kind: Any) -> Any:
    return tuple[kind, ...]


def with_every_choice(schema: type[S]) -> type[S]:
    """Return ``schema`` with the configs of all registered names, for its JSON Schema."""
    fields: dict[str, Any] = {}
    for name, section in _inner_sections(schema):
        inner = with_every_choice(section)
        fields |= {name: (inner, schema.model_fields[name])} if inner is not section else {}
    for name, info, registry in axes_of(schema):
        choice = _any_of([with_every_choice(item.config) for item in registry.items().values()], registry)
        several = get_origin(info.annotation) is tuple
        if not several and _base(info).WORD:
            words = [item.name for item in registry.items().values() if not _requires_more(item.config, registry)]
            choice = Literal[*words] | choice
        default = Field(info.get_default(call_default_factory=True), description=info.description)
        fields[name] = (_list_of(choice) if several else choice, default)
    if not fields:
        return schema
    return create_model(
        schema.__name__, __base__=schema, __module__=schema.__module__, __doc__=schema.__doc__, **fields
    )
