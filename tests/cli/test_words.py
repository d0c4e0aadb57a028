"""What users read of options and fields says what it is without the name beside it."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import ROOT
from zoo.cli.app import VERBS, parser_of
from zoo.registry import DATASETS, DISTANCES, NETWORKS, OBJECTIVES, OPTIMIZERS, SCHEDULES, VARIANTS
from zoo.schema.recipe import recipe_schema

PREPOSITIONS = (
    "about", "as", "at", "between", "beyond", "by", "for", "from", "in", "into", "of", "on", "over", "per", "so",
    "than", "through", "to", "under", "until", "upon", "whose", "with", "within", "without",
)  # fmt: skip
CONTINUES = re.compile(rf"(Of|As|So|For want of|Whether|How|{'|'.join(PREPOSITIONS)})\b")
"""The beginning of a text that goes on from a name before it; ``by default`` alone is a sentence's own."""


def continues(text: str) -> bool:
    return bool(CONTINUES.match(text)) and not text.startswith("by default")


def test_what_goes_on_from_a_name_is_recognised() -> None:
    for text in ("of the commit", "Of every hidden layer.", "so many", "As tables have it.", "Whether it is so."):
        assert continues(text), text
    for text in ("by default the first", "Often used", "office", "Asymmetric", "the commit's message", "For each of"):
        assert not continues(text), text


@pytest.mark.parametrize("verb", VERBS)
def test_every_argument_has_a_help_text_of_its_own(verb: str) -> None:
    for action in parser_of(verb, f"zoo {verb}")._actions:
        name = "/".join(action.option_strings) or action.dest
        assert action.help and action.help.strip(), name
        assert action.help is not argparse.SUPPRESS, name
        assert not continues(action.help), f"{name}: {action.help}"
    assert not continues(VERBS[verb])


def described(schema: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every description in a JSON Schema, at any depth."""
    if isinstance(schema, dict):
        if isinstance(schema.get("description"), str):
            yield place, schema["description"]
        for key, value in schema.items():
            yield from described(value, f"{place}/{key}")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from described(value, f"{place}/{index}")


def test_every_description_in_the_schema_of_recipes_stands_alone() -> None:
    descriptions = dict(described(recipe_schema()))
    assert len(descriptions) > 100
    assert [f"{place}: {text}" for place, text in descriptions.items() if not text.strip() or continues(text)] == []


def test_every_field_of_a_section_is_described() -> None:
    axes = (VARIANTS, NETWORKS, OBJECTIVES, DISTANCES, DATASETS, OPTIMIZERS, SCHEDULES)
    configs = [item.config for axis in axes for item in axis.items().values()]
    foreign = {config.__name__ for config in configs if not config.__module__.startswith("zoo.")}  # of other tests
    sections = {name: section for name, section in recipe_schema()["$defs"].items() if name not in foreign}
    assert len(sections) > 30
    tags = {"name", "variant", "family"}  # the names of things, which their own description explains
    missing = [
        f"{name}.{field}"
        for name, section in sections.items()
        for field, value in section.get("properties", {}).items()
        if field not in tags and not value.get("description")
    ]
    assert missing == []


def public_docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and the docstring of a module and of the public things in it, constants and fields included."""
    tree = ast.parse(path.read_text())
    module = ast.get_docstring(tree)
    if module:
        yield str(path), module
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for thing, after in zip(body, [*body[1:], None], strict=True):
            if isinstance(thing, ast.FunctionDef | ast.ClassDef) and not thing.name.startswith("_"):
                text = ast.get_docstring(thing)
                if text:
                    yield f"{path.relative_to(ROOT)}:{thing.lineno} {thing.name}", text
            if (
                isinstance(thing, ast.Assign | ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                yield f"{path.relative_to(ROOT)}:{after.lineno}", after.value.value


def test_no_public_docstring_goes_on_from_the_name() -> None:
    texts = dict(line for path in sorted((ROOT / "zoo").rglob("*.py")) for line in public_docstrings(path))
    assert len(texts) > 400
    going_on = {place: text for place, text in texts.items() if text.startswith(("Of ", "Whether "))}
    assert going_on == {}
