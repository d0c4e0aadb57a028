"""The bench: the entries that differ in one thing each, side by side; a part of ``docs/models.md``.

An entry belongs to it if its recipe extends one of ``recipes/bench``, itself or through another recipe.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from zoo.entries.catalog import recipe_path
from zoo.evaluation.leaderboard import LeaderboardEntry, show

FIGURES = {"negative_elbo": "−ELBO", "kl": "KL", "mse": "MSE"}
DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}

INTRODUCTION = """## The bench

Entries that are trained alike and differ in what their paper is about, the likelihood, the posterior, the prior, the
objective or the head: two convolutions of 32 and 64 channels, a code of 16 dimensions, 30 epochs of batches of 128
with Adam, a learning rate that falls from 1e-3 along half a cosine, seed 0, parameters stored in half precision
(float16). Where a paper is about the network or the code, these differ: `linear_ae` is linear, sparse codes have 256
dimensions, those of `vq_vae_7x7` are 7 by 7 vectors of a codebook, and `rae_sn` has BatchNorm. −ELBO and KL in
nats per image, MSE per pixel. Images are grey, but where the column "data" says `dynamic`: these are made black and
white at every use. −ELBO and MSE can be compared between entries with the same words in that column only:
`laplace 0.1` is a Laplace distribution of scale 0.1, `log-cosh 10` a density proportional to exp(−log cosh(10 t)/10)
of the error t."""


def bench_section(rows: Iterable[LeaderboardEntry]) -> str:
    """The heading, what is equal for all, and a line for each name with its figures on both datasets."""
    lines: dict[str, dict[str, LeaderboardEntry]] = {}
    for row in rows:
        if in_bench(row.name):
            dataset = row.config.recipe["data"]["name"]
            lines.setdefault(row.name.removesuffix(f"_{dataset}"), {})[dataset] = row
    heads = [f"{name}: {head}" for name in DATASETS.values() for head in ("data", *FIGURES.values())]
    table = [f"| {' | '.join(['entry', *heads])} |", "|---" + ("|---" + "|--:" * len(FIGURES)) * len(DATASETS) + "|"]
    for line, found in sorted(lines.items()):
        cells = [cell for dataset in DATASETS for cell in cells_of(found.get(dataset), dataset)]
        linked = ", ".join(f"[{DATASETS[name]}](entries/{found[name].name}.md)" for name in DATASETS if name in found)
        table.append(f"| {' | '.join([f'`{line}` ({linked})', *cells])} |")
    return f"{INTRODUCTION}\n\n" + "\n".join(table)


def cells_of(row: LeaderboardEntry | None, dataset: str) -> list[str]:
    """The words for the data besides the dataset's name, and the figures; empty where there is no such entry."""
    if row is None:
        return [""] * (1 + len(FIGURES))
    return [row.data.removeprefix(dataset).removeprefix(", "), *(show(row, figure) for figure in FIGURES)]


def in_bench(name: str) -> bool:
    """Return whether an entry's recipe extends one of ``recipes/bench``."""
    path = recipe_path(name)
    while base := fields_of(path).get("extends"):
        path = path.parent / str(base)
        if path.parent.name == "bench":
            return True
    return False


def fields_of(path: Path) -> dict[str, object]:
    """Return the fields of a file as they are written."""
    return dict(json.loads(path.read_text(encoding="utf-8")))
