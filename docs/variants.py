"""The pages on the entries of the common size, ``docs/variants/``: one for each, with those that extend it.

Written by ``docs/generate.py`` from the recipes, from the docstrings of what they name, from the tests that are marked
as a known answer, and from the trained entries' ``config.json``. A page has what these say, and nothing else.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import zoo
from docs.known_answers import known_answers
from docs.sources import shown
from zoo.entries.catalog import (
    list_models,
    natural,
    recipe_folder,
    recipe_path,
    recipe_paths,
    record_folder,
    weights_folder,
)
from zoo.evaluation.leaderboard import kind_of_data
from zoo.metrics import summary_cells, summary_metrics
from zoo.objectives import _corruption
from zoo.registry import Registry
from zoo.runs.folder import read_config
from zoo.runs.markdown import text, url
from zoo.schema.axes import axes_of
from zoo.schema.base import Section
from zoo.schema.extends import read_fields
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.schema.sections import Source

BENCH = recipe_folder() / "bench"
WRITTEN = (
    "*Written by `python docs/generate.py` from the recipes, from the docstrings of what they name and from the tests; "
    "do not edit.*"
)
COMPARED = ("data", "model", "objective", "optimizer", "training")
"""The sections whose fields are held against those of the recipe that is extended."""

SIZES = {"latent_dim"}
"""The fields that make nothing else of a part; the table of settings has them."""

SHOWN = "test images, their reconstructions and samples from the prior"
"""The words for the figure of an entry."""

ORDER = ("variant", "objective", "distance", "augmentation", "posterior", "prior", "network", "likelihood")
"""The axes in the order in which a page speaks of them: what is minimised comes before what it is made of."""

Part = tuple[str, str, str]
"""An axis, a name on it, and the settings as JSON."""


def variant_pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    families = families_of_entries()
    pages = {f"{family}.md": page(family, names) for family, names in families.items()}
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


def bench_of(family: str) -> Path:
    """Return the file in ``recipes/bench`` that the recipe of a family extends."""
    path = recipe_folder() / f"{family}.json"
    return path.parent / json.loads(path.read_text(encoding="utf-8"))["extends"]


def index(families: dict[str, list[str]]) -> str:
    """Return the list of the pages."""
    rows = [
        f"| [{family}]({family}.md) | {', '.join(map(linked, names))} | {summary(names[0])} |"
        for family, names in families.items()
    ]
    lines = [
        "# The variants at the common size",
        WRITTEN,
        "Each extends one of three recipes, so that what its page calls its settings is what makes it different:",
        *(bench_recipe(path) for path in sorted(BENCH.glob("*.json"))),
        "\n".join(["| page | entries | what it is |", "|---|---|---|", *rows]),
    ]
    return "\n\n".join(lines) + "\n"


def bench_recipe(path: Path) -> str:
    """Return what a file that is only there to be extended states."""
    return f"`bench/{path.name}`:\n\n```json\n{json.dumps(json.loads(path.read_text()), ensure_ascii=False)}\n```"


def summary(name: str) -> str:
    """Return the summary of an entry's recipe as Markdown."""
    return text(zoo.recipe(name).summary)


def page(family: str, names: list[str]) -> str:
    """Return the page of the entries of one family, the first of which the others extend."""
    recipe, bench = zoo.recipe(names[0]), bench_of(family)
    base = parse_recipe({"name": "base", **read_fields(bench)}, str(bench))
    own = own_parts(recipe, base)
    parts = [
        f"# {family}",
        WRITTEN,
        f"{summary(names[0])}.",
        *([f"Paper: {text(recipe.source.paper)}. {url(recipe.source.url)}".strip()] if recipe.source.paper else []),
        *ideas(own),
        "## Settings",
        settings(names[0], bench),
        "## Figures",
        entries(names),
        *(figure(name) for name in names if weights_folder(name)),
        *about_the_source(names),
        "## Checked against known answers",
        checks([part for part, _ in own]),
    ]
    return "\n\n".join(parts) + "\n"


def figure(name: str) -> str:
    """Return the figure of an entry with weights, which its own page has as well."""
    return f"![{name}: {SHOWN}, two rows of them](../entries/{name}.png)"


def own_parts(recipe: Recipe, base: Recipe) -> list[tuple[Part, Registry[Any]]]:
    """Return the parts that the base has not, or has with other settings; all, where there are none."""
    known = {part for part, _ in parts_of(base)}
    found = list(dict(parts_of(recipe)).items())
    own = [item for item in found if item[0] not in known] or found
    return sorted(own, key=lambda item: ORDER.index(item[0][0]) if item[0][0] in ORDER else len(ORDER))


def ideas(parts: list[tuple[Part, Registry[Any]]]) -> Iterator[str]:
    """Yield what the docstrings say of parts."""
    for (kind, name, _), registry in parts:
        item = registry.get(name)
        module = sys.modules[item.build.__module__]
        corrupts = kind == "augmentation"
        yield f"## The {'corruption' if corrupts else kind} `{name}`"
        if corrupts:
            yield prose(inspect.getdoc(_corruption) or "")
        described = inspect.getdoc(module) or item.summary
        yield prose(described)
        if MATH not in described and (formulas := list(formulas_of(module))):
            yield "\n".join(formulas)
        if item.paper:
            yield f"*{text(item.paper)}.*"


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


MATH = ".. math::"
"""The beginning of a paragraph of a docstring that is a formula."""


def prose(docstring: str) -> str:
    """Return a docstring as Markdown: formulas are shown as such, what is code stays code."""
    return "\n\n".join(_paragraph(paragraph) for paragraph in re.split(r"\n\s*\n", docstring))


def _paragraph(paragraph: str) -> str:
    if paragraph.startswith(MATH):
        return f"```math\n{inspect.cleandoc(paragraph.removeprefix(MATH))}\n```"
    plain = re.sub(r":[a-z]+:`~?([^`]+)`", r"`\1`", " ".join(paragraph.split())).replace("``", "`")
    return "".join(_shown(piece) for piece in re.split(r"(`[^`]+`)", plain))


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
            own = {key: found for key, found in dict(chosen).items() if key not in inner | SIZES}
            yield (registry.kind, name, json.dumps(own, sort_keys=True, default=str)), registry
            yield from _parts(config, chosen)


def settings(name: str, bench: Path) -> str:
    """Return a table of the fields of a recipe that the one it extends has not, or has with other values."""
    both = (read_fields(bench), read_fields(recipe_path(name)))
    there, here = (dict(flat({key: fields[key] for key in COMPARED})) for fields in both)
    rows = [(field, there.get(field), value) for field, value in here.items() if there.get(field) != value]
    link = f"[`bench/{bench.name}`](README.md)"
    if not rows:
        return f"Those of {link}."
    table = "\n".join(f"| `{field}` | {f'`{old}`' if old else ''} | `{new}` |" for field, old, new in rows)
    return f"Where they differ from those of {link}:\n\n| field | there | here |\n|---|---|---|\n{table}"


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
        rows.append(f"| {' | '.join([linked(name), kind_of_data(zoo.recipe(name)), *cells])} |")
    return "\n".join(rows) + f"\n\n```bash\nzoo train {names[0]}\n```"


def linked(name: str) -> str:
    """Return an entry's name as a link to its page, from a page on variants."""
    return f"[`{name}`](../entries/{name}.md)"


def about_the_source(names: list[str]) -> Iterator[str]:
    """Yield what the recipes say of the source: its figures beside ours, its mistakes, other differences."""
    sources = [(name, zoo.recipe(name).source) for name in names]
    if published := [row for name, source in sources for row in published_rows(name, source)]:
        yield "\n".join(["Published of the method:", "", *PUBLISHED_HEAD, *published])
    corrected = dict.fromkeys(f"- {text(mistake)}" for _, source in sources for mistake in source.corrected)
    if corrected:
        yield "## Mistakes of other implementations that are not repeated\n\n" + "\n".join(corrected)
    notes = dict.fromkeys(text(source.notes) for _, source in sources if source.notes)
    if notes:
        yield "## Notes\n\n" + "\n\n".join(notes)


PUBLISHED_HEAD = ("| published | what it is | same metric here |", "|--:|---|--:|")


def published_rows(name: str, source: Source) -> Iterator[str]:
    """Yield a row for each published figure, with that of the entry's card where it has the same metric."""
    folder = record_folder(name)
    for figure in source.published:
        found = read_config(folder).metrics[figure.split].get(figure.metric) if folder and figure.metric else None
        ours = "" if found is None or figure.metric is None else shown(figure.metric, figure.split, found)
        yield f"| {text(figure.figure)} | {text(figure.computed)} | {ours} |"


def checks(parts: list[Part]) -> str:
    """Return what the tests know of parts: a line for each test that is marked with one of them."""
    names = [f"{kind}/{name}" for kind, name, _ in parts]
    lines = [
        f"- {prose(says)} (`{test}`)"
        for patterns, says, test in known_answers()
        if any(fnmatch(name, pattern) for name in names for pattern in patterns)
    ]
    return "\n".join(dict.fromkeys(lines))
