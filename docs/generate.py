"""Write what the documentation takes from the code and the weights: ``python docs/generate.py [--plots] [--check]``.

- ``docs/recipe.schema.json``, the JSON Schema of recipes, for editors
- ``docs/recipe.md``, the table of every field, between its markers
- ``README.md``, the table of entries with their measured figures, between its markers
- ``docs/sources.md``, published figures beside the zoo's own
- ``docs/variants/``, a page for each entry of the common size
- ``docs/entries/``, a page for each entry, and the grid of ``docs/index.md``; its figures with ``--plots``
- ``docs/explorer.md``, the measurements of the explorer, between its markers
- ``docs/models.md`` and ``docs/models.csv``, every entry and every figure; their plots with ``--plots``
- the recipe inside each shipped ``config.json`` and the card made of it, when words or claims of a recipe have changed

With ``--check`` nothing is written; exit code 1 says that something is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import zoo
from zoo.entries.catalog import list_models, record_folder, weights_folder
from zoo.evaluation.leaderboard import leaderboard_entries, to_csv
from zoo.metrics import summary_cells, summary_metrics
from zoo.runs.card import write_card
from zoo.runs.folder import CONFIG_FILE, read_config
from zoo.schema.recipe import recipe_schema
from zoo.schema.run_config import RunConfig
from zoo.system.files import replace_between, write_atomically

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ("data", "model", "objective", "optimizer", "training", "execution", "source", "claims", "hub")


def entries_table() -> str:
    """One row per trained entry outside the bench, its figures as its config.json states them, by data."""
    from docs.bench import in_bench

    columns = ["entry", "data", "parameters", *(metric.heading for metric in summary_metrics()), "trained in"]
    rows = [f"| {' | '.join(columns)} |", "|---|---|" + "--:|" * (len(columns) - 2)]
    for entry in leaderboard_entries():
        if in_bench(entry.name):  # docs/models.md has them side by side
            continue
        config, mark = entry.config, "" if entry.shipped else " \\*"
        cells = [f"`{entry.name}`{mark}", entry.data, f"{config.parameters:,}", *summary_cells(config.metrics["test"])]
        rows.append(f"| {' | '.join(cells)} | {config.training_seconds:,.0f} s |")
    return "\n".join(rows)


def fields_tables(schema: dict[str, Any]) -> str:
    """A heading and a table per section; the fields that only one alternative has follow those that all have."""
    tables = []
    for section in SECTIONS:
        node = schema["properties"][section]
        node = node.get("items", node)
        found = node.get("oneOf", node.get("anyOf", [node]))
        choices = [_definition(choice, schema) for choice in found if choice != {"type": "null"}]
        tables.append(f"### {section}\n\n{_table(choices, schema)}")
        inner = {name: field for choice in choices for name, field in choice["properties"].items()}
        for name, field in inner.items():
            if kinds := _sections(field, schema):
                tables.append(f"#### {section}.{name}\n\n{_table(kinds, schema)}")
    return "\n\n".join(tables)


def _sections(field: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What the settings inside a field can be, each with fields of its own; nothing for numbers and words."""
    field = field.get("items", field)
    field = next((choice for choice in field.get("anyOf", []) if "oneOf" in choice), field)
    return [_definition(choice, schema) for choice in field.get("oneOf", [field]) if "$ref" in choice]


def _table(choices: list[dict[str, Any]], schema: dict[str, Any]) -> str:
    rows = ["| of | field | type | default | meaning |", "|---|---|---|---|---|"]
    tags = [_tag(choice)[1] for choice in choices]
    common = {
        name: field for name, field in choices[0]["properties"].items()
        if all(choice["properties"].get(name) == field for choice in choices)
    }  # fmt: skip
    rows += [_row("all" if len(choices) > 1 else "", name, field, choices[0], schema) for name, field in common.items()]
    for tag, choice in zip(tags, choices, strict=True):
        for name, field in choice["properties"].items():
            if name not in common:
                rows.append(_row(f"`{tag}`", name, field, choice, schema))
    return "\n".join(rows)


def _row(of: str, name: str, field: dict[str, Any], definition: dict[str, Any], schema: dict[str, Any]) -> str:
    if "const" in field:  # the tag itself: say what it selects
        words, default = definition.get("description", ""), "required"
    else:
        words = field.get("description", "")
        default = "required" if name in definition.get("required", []) else f"`{json.dumps(field.get('default'))}`"
    cells = (of, f"`{name}`", _type(field, schema), default, words)
    return "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"


def _tag(choice: dict[str, Any]) -> tuple[str, str]:
    """The field that says which of several settings these are, and its value."""
    return next(((name, field["const"]) for name, field in choice["properties"].items() if "const" in field), ("", ""))


def _definition(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return found


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return " or ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "oneOf" in field:  # settings of one kind or another, which have a table of their own
        kinds = [_tag(kind) for kind in _sections(field, schema)]
        return f"{{`{kinds[0][0]}`: {' or '.join(f'`{json.dumps(value)}`' for _, value in kinds)}, …}}"
    if "anyOf" in field and _sections(field, schema):  # settings, or their name as a plain word
        return f"a name, or {_type(field['anyOf'][1], schema)}"
    if "anyOf" in field:
        return " or ".join(_type(choice, schema) for choice in field["anyOf"])
    if "$ref" in field:
        return "settings"
    words = {
        "integer": "integer",
        "number": "number",
        "string": "text",
        "null": "`null`",
        "array": "list",
        "boolean": "`true` or `false`",
    }
    kind = words[field["type"]]
    if "prefixItems" in field:
        kind = f"[{', '.join(_type(item, schema) for item in field['prefixItems'])}]"
    elif "items" in field:
        kind = f"list of {_type(field['items'], schema)}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[word]:,}" for word, sign in bounds.items() if word in field]
    return f"{kind} {', '.join(limits)}".strip()


def documents() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    sys.path.insert(0, str(ROOT))  # a script finds only what is beside it
    from docs.entries import entry_pages, grid
    from docs.explorer import explorer_tables
    from docs.models import models_page
    from docs.sources import sources_page
    from docs.variants import variant_pages

    schema = recipe_schema()
    pages = ("README.md", "docs/recipe.md", "docs/index.md", "docs/explorer.md")
    readme, recipe, start, explorer = (ROOT / page for page in pages)
    shipped: dict[Path, str] = {}
    for name in list_models():
        folder = record_folder(name)
        if folder is None:
            continue
        config, current = read_config(folder), zoo.recipe(name)
        if config.checked_recipe.digest() != current.digest():
            raise SystemExit(f"the weights of {name} were trained from another recipe; train them again")
        as_trained = {"execution": config.checked_recipe.execution.model_dump(mode="json")}
        words = {"recipe": current.to_dict() | as_trained, "recipe_sha256": current.digest()}
        config = RunConfig(**config.model_dump() | words)
        shipped[folder / CONFIG_FILE] = config.to_json()
        if weights_folder(name):
            shipped[folder / "README.md"] = write_card(config, files=())  # the package has no figures
    return {
        **shipped,
        **{ROOT / "docs" / "variants" / name: page for name, page in variant_pages().items()},
        **{ROOT / "docs" / "entries" / name: page for name, page in entry_pages().items()},
        ROOT / "docs" / "sources.md": sources_page(),
        ROOT / "docs" / "models.md": models_page(),
        ROOT / "docs" / "models.csv": to_csv(leaderboard_entries()),
        ROOT / "docs" / "recipe.schema.json": json.dumps(schema, indent=2) + "\n",
        recipe: replace_between(recipe.read_text(), "fields", fields_tables(schema)),
        explorer: replace_between(explorer.read_text(), "explorer", explorer_tables()),
        readme: replace_between(readme.read_text(), "entries", entries_table()),
        start: replace_between(start.read_text(), "grid", grid()),
    }


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is out of date")
    parser.add_argument(
        "--plots", action="store_true", help="draw the plots of docs/models.md and docs/entries as well"
    )
    options = parser.parse_args()
    check = options.check
    if options.plots:
        sys.path.insert(0, str(ROOT))
        from docs.entries import figures
        from docs.models import plots

        for folder, drawn in (("models", plots()), ("entries", figures())):
            for name, content in drawn.items():
                write_atomically(ROOT / "docs" / folder / name, content)
    written = documents()
    stale = {path: text for path, text in written.items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(f"{path.relative_to(ROOT)} {'is out of date' if check else 'written'}")
        if not check:
            write_atomically(path, text)
    pages = [path for folder in ("variants", "entries") for path in (ROOT / "docs" / folder).glob("*.md")]
    left = [path for path in pages if path not in written]
    for path in left:
        print(f"{path.relative_to(ROOT)} {'is of no entry' if check else 'removed'}")
        if not check:
            path.unlink()
    sys.exit(1 if check and (stale or left) else 0)


if __name__ == "__main__":
    main()
