"""The measurements in ``docs/explorer.md``, from the files that ``python -m tests.benchmarks.explorer`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "benchmarks" / "explorer"


def explorer_tables() -> str:
    """A table for each machine that was measured."""
    return "\n\n".join(_table(json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json")))


def _table(measured: dict[str, Any]) -> str:
    rows = ["| what | measured |", "|---|--:|"]
    for name, start in measured["starts"].items():
        rows.append(f"| {name}, from the command to the first decoded image | {start['image']:.1f} s |")
    rows.append(f"| `zoo demo --out FILE.png`, the whole command | {measured['figure']:.1f} s |")
    for model, drag in measured["drags"].items():
        rows += [
            f"| `{model}`: pointer to image, median | {drag['median']:.0f} ms |",
            f"| `{model}`: pointer to image, 95th percentile | {drag['p95']:.0f} ms |",
            f"| `{model}`: images a second while dragging | {drag['per_second']:.0f} |",
            f"| `{model}`: the server's memory at its peak | {drag['memory'] / 2**20:,.0f} MiB |",
        ]
    rows.append(f"| the page, all of its files without images | {measured['page'] / 1000:.0f} kB |")
    libraries = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return (
        "\n".join(rows) + f"\n\n*{measured['hardware']}, {measured['date']}; starts are medians of {measured['runs']}. "
        f"{libraries}. Written by `python -m tests.benchmarks.explorer`.*"
    )
