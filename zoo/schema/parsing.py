"""Parsing text into checked fields, with messages for people: JSON, dotted overrides, pydantic's errors in words."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from zoo.errors import MAX_LINES, ZooError, suggest


def parse_json(text: str, where: str) -> dict[str, Any]:
    """Parse one JSON object.

    Args:
        text: the JSON.
        where: the source of the text, for messages.

    Raises:
        ZooError: the text is not a JSON object, or a field appears twice; the message names line and column.
    """

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            (name, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise ZooError(f"{where}: the field {name!r} appears twice in one object; keep one")
        return fields

    try:
        value = json.loads(text, object_pairs_hook=without_duplicates)
        check_value(value, where)
    except json.JSONDecodeError as error:
        hint = r"; in JSON, write a backslash as \\, or a path with /" if "escape" in error.msg else ""
        place = f"line {error.lineno}, column {error.colno}"
        raise ZooError(f"{where}: {place}: not valid JSON: {error.msg}{hint}") from error
    except RecursionError as error:
        raise ZooError(f"{where}: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise ZooError(f"{where}: {error}") from error
    if not isinstance(value, dict):
        raise ZooError(f"{where}: expected a JSON object {{...}}, found {type(value).__name__}")
    return value


MAX_DEPTH = 50
"""The most levels of objects and lists within one another; recipes have about five."""


def check_value(value: Any, where: str) -> None:
    """Refuse a JSON value that is nested deeper than any of the zoo's, or has half a character in a string.

    Raises:
        ZooError: it is or has; names the string.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        parts = [item for item in level if isinstance(item, dict | list | tuple)]
        strings = [text for text in level if isinstance(text, str)]
        strings += [str(name) for part in parts if isinstance(part, dict) for name in part]
        for text in strings:
            if not _is_text(text):
                raise ZooError(f"{where}: {text[:100]!r} is not text: a character of it is not Unicode; replace it")
        level = [item for part in parts for item in (part.values() if isinstance(part, dict) else part)]
        if not level:
            return
    raise ZooError(f"{where}: nested too deeply, in more than {MAX_DEPTH} levels")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole_numbers(text: str, most: int = 10_000) -> list[int]:
    """Parse whole numbers such as ``0-9`` or ``0,2,5-7``.

    Raises:
        ValueError: the text has another form, or there are more than ``most`` numbers.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part.strip())
        run = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not 0 < len(run) <= most - len(numbers):
            raise ValueError(text)
        numbers += run
    return numbers


def override(
    fields: dict[str, Any], assignments: Iterable[str], schema: type[BaseModel] | None = None
) -> dict[str, Any]:
    """Apply ``section.field=value`` assignments in place.

    Args:
        fields: the fields as JSON.
        assignments: the fields to set; a value is JSON, or else the text itself.
        schema: the class of the fields, by whose types values are read that could be several things: ``2024`` is a
            text in a field for texts, ``1e1`` is 10 in a field for whole numbers.

    Raises:
        ZooError: an assignment has no ``=`` or leads through something that is not a section.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise ZooError(f"--set {assignment}: expected section.field=value, as in --set training.epochs=3")
        try:
            values = _readings(text)
        except RecursionError as error:
            raise ZooError(f"--set {path}: nested too deeply") from error
        check_value(values, f"--set {path}")
        *sections, field = path.split(".")
        target = fields
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise ZooError(f"--set {assignment}: {section!r} is a value, not a section")
        target[field] = _fitting(values, schema, path, text) if schema else values[0]
    return fields


PYTHON_WORDS = {"None": None, "True": True, "False": False}
"""Values as Python writes them, and Python's users."""


def _readings(text: str) -> list[Any]:
    """Return what a value on the command line may stand for, the likeliest first."""
    try:
        values = [json.loads(text)]
    except ValueError:
        values = []
    if values and isinstance(values[0], float) and values[0].is_integer():
        values.append(int(values[0]))  # 1e1, 10.0
    if text in PYTHON_WORDS:
        values.append(PYTHON_WORDS[text])
    return [*values, text]


def _fitting(values: list[Any], schema: type[BaseModel], path: str, text: str) -> Any:
    """Return the first of the values that a field takes, or else the first of its type, or else the first.

    Raises:
        ZooError: the field takes none of them, but what the text seems to mean (``8,16`` for a list).
    """
    *sections, field = path.split(".")
    _, parents = _follow(schema, tuple(sections))
    infos = [parent.model_fields[field] for parent in parents if field in parent.model_fields]
    if len(infos) != 1:
        return values[0]  # validation will say that there is no such field
    kind: Any = Annotated[infos[0].annotation, infos[0]]
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def misfit(value: Any) -> int:
        try:
            adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            return 2 if any(mistake["type"].endswith("_type") for mistake in error.errors()) else 1
        return 0

    best = min(values, key=misfit)
    if misfit(best):
        for meant in _meant_by(text):
            if misfit(meant) == 0:
                spelling = json.dumps(meant, ensure_ascii=False, separators=(",", ":"))
                quote = "'" if re.search(r"""[][(){}*?$!"';&|<>\s\\]""", f"{path}={spelling}") else ""
                raise ZooError(f"--set {path}={text}: write --set {quote}{path}={spelling}{quote}")
    return best


def _meant_by(text: str) -> list[Any]:
    """Return what a value that is not written as in JSON may stand for: ``.5``, ``1_000``, ``8,16`` or ``(8, 16)``."""
    parts = [part.strip().strip("'\"") for part in text.strip().strip("[]()").split(",")]
    items = [number if (number := _number(part)) is not None else part for part in parts if part]
    return [*(items if len(parts) == 1 else []), items, list(map(str, parts))]


def _number(text: str) -> int | float | None:
    """Return the number that Python reads in a text, a whole one if it is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def validate(schema: type[BaseModel], fields: dict[str, Any], where: str) -> Any:
    """Return ``fields`` as an instance of ``schema``.

    Raises:
        ZooError: a field is wrong; one line per mistake: its path, what is wrong, the close match of an unknown name.
    """
    try:
        check_value(fields, where)
        return schema.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise ZooError("\n".join(f"{where}: {line}" for line in explain(error, schema))) from error


def explain(error: ValidationError, schema: type[BaseModel]) -> Iterator[str]:
    """Yield one line per mistake of a validation."""
    for mistake in error.errors(include_url=False)[:MAX_LINES]:
        path, candidates = _follow(schema, mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            _, parents = _follow(schema, mistake["loc"][:-1])
            known = _fields(parents)
            name = str(mistake["loc"][-1])
            sections = [section for section in known if name in _fields(_follow(schema, (section,))[1])]
            elsewhere = f"; did you mean '{path.removesuffix(name)}{sections[0]}.{name}'?" if sections else ""
            yield f"{path}: unknown field{elsewhere or suggest(name, known)}"
        elif mistake["type"] == "union_tag_invalid":
            known = set(re.findall(r"'(\w+)'", mistake["ctx"]["expected_tags"]))
            yield f"{path}: unknown name {mistake['ctx']['tag']!r}{suggest(mistake['ctx']['tag'], known)}"
        else:
            scalar = isinstance(mistake["input"], int | float | str) and len(repr(mistake["input"])) < 80
            value = f" (found {mistake['input']!r})" if scalar else ""
            message = f"{mistake['msg'][:1].lower()}{mistake['msg'][1:]}{value}"
            yield f"{path}: {message}" if path else message


def _follow(schema: type[BaseModel], location: tuple[str | int, ...]) -> tuple[str, set[type[BaseModel]]]:
    """Return a location as a dotted path without the tags of unions, and the models that may be at its end."""
    path: list[str] = []
    candidates = {schema}
    for part in location:
        named = {model.model_fields[str(part)].annotation for model in candidates if str(part) in model.model_fields}
        tagged = {model for model in candidates if any(part == field.default for field in model.model_fields.values())}
        if tagged and not named and isinstance(part, str):
            candidates = tagged
            continue
        path.append(str(part))
        if not isinstance(part, int):  # an index stays among the models of its list
            candidates = {model for annotation in named for model in _models(annotation)}
    return ".".join(path), candidates


def _fields(models: Iterable[type[BaseModel]]) -> set[str]:
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
