"""The pages on the entries, ``docs/entries/``, one for each recipe, and the grid of the start page.

Written by ``docs/generate.py`` from the recipes and the trained entries' ``config.json`` and ``metrics.jsonl``; their
figures with ``--plots``.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import zoo
from docs.variants import SHOWN, families_of_entries, summary
from zoo.datasets import display_images
from zoo.entries.catalog import list_models, recipe_path, record_folder, weights_folder
from zoo.entries.trained_model import TrainedModel
from zoo.metrics import summary_cells, summary_metrics
from zoo.objectives import unit_of
from zoo.plotting import loss_curves
from zoo.plotting.canvas import tile
from zoo.runs.card import metrics_table, seeds_sentence
from zoo.runs.folder import read_config, read_history
from zoo.runs.markdown import text, url
from zoo.runs.remarks import remarks
from zoo.schema.base import format_shape

WRITTEN = "*Written by `python docs/generate.py` from the recipe and the entry's `config.json`; do not edit.*"
COLUMNS = 8
"""The images in a row of a small figure."""


def entry_pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    families = {name: family for family, names in families_of_entries().items() for name in names}
    return {"README.md": index(), **{f"{name}.md": page(name, families.get(name)) for name in list_models()}}


def index() -> str:
    """Return the list of the pages."""
    kinds = {name: 0 if weights_folder(name) else 1 if record_folder(name) else 2 for name in list_models()}
    titles = (
        ("With weights", "`zoo.load` gives them at once, without a download."),
        ("Trained", "Their figures were measured; the package has no room for the weights, which their recipes train."),
        ("Recipes", "Nobody has trained them yet with this version: `zoo train NAME`."),
    )
    parts = ["# The entries", WRITTEN]
    for kind, (title, words) in enumerate(titles):
        rows = [
            f"| [{name}]({name}.md) | `{zoo.recipe(name).data.name}` | {summary(name)} |"
            for name, found in kinds.items()
            if found == kind
        ]
        if rows:
            table = "\n".join(["| entry | data | what it is |", "|---|---|---|", *rows])
            parts.append(f"## {title}\n\n{words}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def page(name: str, family: str | None) -> str:
    """Return the page of an entry."""
    recipe, record, shipped = zoo.recipe(name), record_folder(name), weights_folder(name)
    model = f"Variant `{recipe.model.variant}`, objective `{recipe.objective.name}`, trained on `{recipe.data.name}`"
    seen = f" It is one of [{family}](../variants/{family}.md)." if family else ""
    commands = ["zoo explore {}", "zoo figures {} --out figures", "zoo evaluate {} --check"] if shipped else []
    lines = "\n".join(command.format(name) for command in [*commands, "zoo train {}"])
    parts = [f"# {name}", f"{summary(name)}. {model}.{seen}"]
    if shipped:
        parts.append(f"![{name}: {SHOWN}, two rows of them]({name}.png)")
    parts.append(f"```bash\n{lines}\n```")
    if record:
        config = read_config(record)
        where = "in the package" if shipped else "not in the package, which has no room for them"
        parts.append(
            f"{config.parameters:,} parameters, images of {format_shape(config.image_shape)}; trained in "
            f"{config.training_seconds:,.0f} s on {text(config.hardware)} (beside other runs: an upper bound). "
            f"The weights are {where}."
        )
        parts.append(
            f"## Figures of merit\n\n{seeds_sentence(config, config.checked_recipe)}\n\n{metrics_table(config)}"
        )
        parts += [text(sentence) for sentence in remarks(config)]
        parts.append(f"![{name}: the loss and its terms over the epochs]({name}-loss.png)")
        parts.append(
            "[What each is](../models.md#what-each-figure-is), and "
            f"[everything that was written down](../../zoo/weights/{name}/config.json)."
        )
    parts += origin(name)
    path = recipe_path(name)
    parts.append(f"## Recipe\n\n[{path.name}](../../recipes/{path.name}):\n\n```json\n{written(path)}\n```")
    parts.append(WRITTEN)
    return "\n\n".join(parts) + "\n"


def origin(name: str) -> Iterator[str]:
    """Yield where an entry comes from, if its recipe says it."""
    source = zoo.recipe(name).source
    lines = [text(source.paper), text(source.system), url(source.url), text(source.notes)]
    lines += [text(f"Published of the method: {figure.figure} ({figure.computed}).") for figure in source.published]
    lines += [text(f"Not repeated: {mistake}") for mistake in source.corrected]
    if any(lines):
        yield "## Where it comes from\n\n" + "\n".join(f"- {line}" for line in lines if line)


def written(path: Path) -> str:
    """Return a recipe as its file has it, without the words that the page has already."""
    fields = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps({key: value for key, value in fields.items() if key != "source"}, indent=2, ensure_ascii=False)


def grid() -> str:
    """Return every entry with weights: a small figure, its name, what it is and its first figures."""
    parts: list[str] = []
    shipped = {name: zoo.recipe(name).data.name for name in list_models() if weights_folder(name)}
    for data, _ in Counter(shipped.values()).most_common():
        cards = "\n\n".join(card(name) for name, found in shipped.items() if found == data)
        parts.append(f'### `{data}`\n\n<div class="grid cards zoo" markdown>\n\n{cards}\n\n</div>')
    return "\n\n".join(parts)


def card(name: str) -> str:
    """Return the card of an entry in the grid."""
    folder = record_folder(name)
    assert folder is not None
    cells = summary_cells(read_config(folder).metrics["test"])
    known = [
        f"{metric.heading.partition(',')[0]} {cell}"
        for metric, cell in zip(summary_metrics(), cells, strict=True)
        if cell and metric.name in ("negative_elbo", "mse")
    ]
    lines = (
        f"- [![{name}: {SHOWN}](entries/{name}.png)](entries/{name}.md)",
        f"    **[{name}](entries/{name}.md)**",
        f"    {summary(name)}. {', '.join(known)}.",
    )
    return "\n\n".join(lines)


def figures() -> dict[str, bytes]:
    """Return the figures of the pages by the names of their files."""
    records = {name: folder for name in list_models() if (folder := record_folder(name))}
    small = {f"{name}.png": small_figure(name) for name in records if weights_folder(name)}
    return small | {f"{name}-loss.png": loss_figure(folder) for name, folder in records.items()}


def small_figure(name: str) -> bytes:
    """Return an entry's test images, reconstructions and two rows of samples as the content of a PNG file."""
    trained = TrainedModel(name)
    first = trained.test.first(COLUMNS)
    images = display_images(first.images, trained.dataset)
    with torch.no_grad():
        reconstructions = trained.model.given(first.labels).reconstruct(images)
        samples = trained.model.sample(2 * COLUMNS, torch.Generator().manual_seed(0))
    canvas = tile(torch.cat([images, reconstructions, samples]), COLUMNS, gap=1)
    pixels = (canvas * 255).round().astype(np.uint8)
    grey = bool((pixels == pixels[..., :1]).all())
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def loss_figure(record: Path) -> bytes:
    """Return the curves of a training as the content of a PNG file, of few colours, which curves need not more of."""
    drawn, kept = io.BytesIO(), io.BytesIO()
    loss_curves(read_history(record), unit_of(read_config(record).checked_recipe)).savefig(drawn, format="png", dpi=80)
    Image.open(drawn).convert("RGB").quantize(32).save(kept, "png", optimize=True)
    return kept.getvalue()
