"""The pages on the entries of the common size, ``docs/variants/``: one for each, with those that extend it.

Written by ``docs/generate.py`` from the recipes, from the docstrings of what they name, and from the trained entries'
``config.json``. A page has what these say, and nothing else.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import zoo
from zoo.entries.catalog import list_models, natural, recipe_folder, recipe_path, recipe_paths, record_folder
from zoo.metrics import summary_cells, summary_metrics
from zoo.registry import Registry
from zoo.runs.folder import read_config
from zoo.runs.markdown import text
from zoo.schema.axes import axes_of
from zoo.schema.base import Section
from zoo.schema.extends import read_fields
from zoo.schema.recipe import Recipe, parse_recipe

BASE = recipe_folder() / "bench" / "base.json"
WRITTEN = (
    "*Written by `python docs/generate.py` from the recipes and from the docstrings of what they name; do not edit.*"
)
COMPARED = ("data", "model", "objective", "optimizer", "training")
"""The sections whose fields are held against the base's."""

Part = tuple[str, str, str]
"""An axis, a name on it, and the settings as JSON."""


def variant_pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    families = families_of_entries()
    base = parse_recipe({"name": "base", **read_fields(BASE)}, str(BASE))
    pages = {f"{family}.md": page(family, names, base) for family, names in families.items()}
    return {"README.md": index(families), **pages}


def families_of_entries() -> dict[str, list[str]]:
    """Return the entries by the first of the recipes that they extend, but for what is only there to be extended."""
    families: dict[str, list[str]] = {}
    for name in list_models():
        family = recipe_path(name)
        while base := json.loads(family.read_text(encoding="utf-8")).get("extends"):
            if "/" in base:
                families.setdefault(family.stem, []).append(name)
                break
            family = family.parent / base
    first = {path.stem: name for name, path in recipe_paths().items()}
    ordered = {family: sorted(families[family], key=lambda name: name != first[family]) for family in families}
    return dict(sorted(ordered.items(), key=lambda item: natural(item[0])))


def index(families: dict[str, list[str]]) -> str:
    """Return the list of the pages."""
    base = json.dumps(read_fields(BASE), ensure_ascii=False)
    rows = [
        f"| [{family}]({family}.md) | {', '.join(f'`{name}`' for name in names)} | {summary(names[0])} |"
        for family, names in families.items()
    ]
    lines = [
        "# The variants at the common size",
        WRITTEN,
        "Each extends one recipe, so that what its page calls its settings is what makes it different:",
        f"```json\n{base}\n```",
        "\n".join(["| page | entries | what it is |", "|---|---|---|", *rows]),
    ]
    return "\n\n".join(lines) + "\n"


def summary(name: str) -> str:
    """Return the summary of an entry's recipe as Markdown."""
    return text(zoo.recipe(name).summary)


def page(family: str, names: list[str], base: Recipe) -> str:
    """Return the page of the entries of one family, the first of which the others extend."""
    recipe = zoo.recipe(names[0])
    parts = [
        f"# {family}",
        WRITTEN,
        f"{summary(names[0])}.",
        *([f"Paper: {text(recipe.source.paper)}."] if recipe.source.paper else []),
        *ideas(recipe, base),
        "## Settings",
        settings(names[0]),
        "## Entries",
        entries(names),
        *about_the_source(names),
    ]
    return "\n\n".join(parts) + "\n"


def ideas(recipe: Recipe, base: Recipe) -> Iterator[str]:
    """Yield what the docstrings say of every part that the base has not, or has with other settings."""
    known = {part for part, _ in parts_of(base)}
    found = list(dict(parts_of(recipe)).items())
    for (kind, name, _), registry in [item for item in found if item[0] not in known] or found[:1]:
        item = registry.get(name)
        module = sys.modules[item.build.__module__]
        yield f"## The {kind} `{name}`"
        yield prose(inspect.getdoc(module) or item.summary)
        if formulas := list(formulas_of(module)):
            yield "\n".join(formulas)
        if item.paper:
            yield f"{text(item.paper)}."


def formulas_of(module: ModuleType) -> Iterator[str]:
    """Yield what the docstrings of a module's classes say of them, and of the densities that they compute."""
    for name, kind in vars(module).items():
        if not inspect.isclass(kind) or kind.__module__ != module.__name__ or issubclass(kind, Section):
            continue
        yield f"- `{name}`: {prose(first_paragraph(kind))}"
        if "log_prob" in vars(kind):
            yield f"- `{name}.log_prob`: {prose(first_paragraph(vars(kind)['log_prob']))}"


def first_paragraph(described: object) -> str:
    """Return the first paragraph of a docstring."""
    return re.split(r"\n\s*\n", inspect.getdoc(described) or "")[0]


def prose(docstring: str) -> str:
    """Return a docstring as Markdown: its formulas stay as they are, what is code stays code."""
    plain = re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", docstring).replace("``", "`")
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", plain))
    return "\n\n".join("".join(_shown(piece) for piece in re.split(r"(`[^`]+`)", part)) for part in paragraphs)


def _shown(piece: str) -> str:
    """Return a piece of a paragraph, escaped but for code; spaces at its ends are kept."""
    if piece.startswith("`") or not piece.strip():
        return piece
    before, after = piece[: len(piece) - len(piece.lstrip())], piece[len(piece.rstrip()) :]
    return f"{before}{text(piece)}{after}"


def parts_of(recipe: Recipe) -> Iterator[tuple[Part, Registry[Any]]]:
    """Yield what model and objective name, outermost first, each with its registry."""
    yield from _parts(Recipe, recipe, ("model", "objective"))


def _parts(schema: type[Section], section: Section, only: tuple[str, ...] = ()) -> Iterator[tuple[Part, Registry[Any]]]:
    for field, _, registry in axes_of(schema):
        value = getattr(section, field)
        for chosen in (value if isinstance(value, tuple) else (value,)) if not only or field in only else ():
            name, config = getattr(chosen, registry.tag), registry.get(getattr(chosen, registry.tag)).config
            inner = {axis for axis, _, _ in axes_of(config)}
            own = {key: found for key, found in dict(chosen).items() if key not in inner}
            yield (registry.kind, name, json.dumps(own, sort_keys=True, default=str)), registry
            yield from _parts(config, chosen)


def settings(name: str) -> str:
    """Return a table of the fields of a recipe that the base has not, or has with other values."""
    both = (read_fields(BASE), read_fields(recipe_path(name)))
    there, here = (dict(flat({key: fields[key] for key in COMPARED})) for fields in both)
    rows = [(field, there.get(field), value) for field, value in here.items() if there.get(field) != value]
    if not rows:
        return "Those of the [base](README.md)."
    table = "\n".join(f"| `{field}` | {f'`{old}`' if old else ''} | `{new}` |" for field, old, new in rows)
    return f"Where they differ from the [base](README.md)'s:\n\n| field | base | here |\n|---|---|---|\n{table}"


def flat(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield fields as dotted paths with their values as JSON."""
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False)


def entries(names: list[str]) -> str:
    """Return a table of entries with their test figures, where they are trained."""
    records = {name: folder for name in names if (folder := record_folder(name))}
    headings = [metric.heading for metric in summary_metrics()] if records else []
    rows = [f"| {' | '.join(['entry', 'data', *headings])} |", "|---|---|" + "--:|" * len(headings)]
    for name in names:
        cells = summary_cells(read_config(records[name]).metrics["test"]) if name in records else [""] * len(headings)
        rows.append(f"| {' | '.join([f'`{name}`', f'`{zoo.recipe(name).data.name}`', *cells])} |")
    return "\n".join(rows) + f"\n\n```bash\nzoo train {names[0]}\n```"


def about_the_source(names: list[str]) -> Iterator[str]:
    """Yield what the recipes say of the source: its figures, its mistakes, other differences."""
    sources = [(name, zoo.recipe(name).source) for name in names]
    published = [
        f"- `{name}`: {text(figure.figure)}, {text(figure.computed)}"
        for name, source in sources
        for figure in source.published
    ]
    if published:
        yield "## Published\n\n" + "\n".join(published)
    corrected = dict.fromkeys(f"- {text(mistake)}" for _, source in sources for mistake in source.corrected)
    if corrected:
        yield "## Mistakes of others that are not repeated\n\n" + "\n".join(corrected)
    notes = dict.fromkeys(text(source.notes) for _, source in sources if source.notes)
    if notes:
        yield "## Notes\n\n" + "\n\n".join(notes)
