"""The tables and the plot of ``docs/tasks.md``, made of ``docs/tasks.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from tests.benchmarks.tasks.codecs import at_distortion
from tests.benchmarks.tasks.filling import MODELS
from zoo.plotting.canvas import CLASSES, NotebookFigure, to_png
from zoo.system.files import replace_between

Row = dict[str, Any]
Record = Mapping[str, Mapping[str, Any]]


def page(text: str, record: Record) -> str:
    """The page's text with its tables, each between two comments with the name of its part."""
    for part, found in record.items():
        text = replace_between(text, part, f"{TABLES[part](found['rows'])}\n\n{provenance(found)}")
    return text


def provenance(found: Mapping[str, Any]) -> str:
    """Where the rows come from."""
    libraries = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"*{found['hardware']}; {libraries}; {found['date']}.*"


def lines(columns: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table whose first columns hold words."""
    rule = "|" + "---|" * words + "--:|" * (len(columns) - words)
    head, *body = (f"| {' | '.join(row)} |" for row in (columns, *rows))
    return "\n".join([head, rule, *body])


def other_datasets(rows: Sequence[Row]) -> str:
    """Entry by entry."""
    columns = ["entry", "normal", "anomalous", "score", "AUROC", "average precision", "black image"]
    figures = ("auroc", "average_precision", "blank")
    return lines(columns, [
        [f"`{row['entry']}`", row["normal"], row["anomalous"], row["score"], *(f"{row[name]:.3f}" for name in figures)]
        for row in rows
    ], words=4)  # fmt: skip


def held_out(rows: Sequence[Row]) -> str:
    """Entry by entry."""

    def epochs(row: Row) -> str:
        fewer = row["epochs"] < row["epochs_of_recipe"]
        return f"{row['epochs']} of {row['epochs_of_recipe']}" if fewer else str(row["epochs"])

    columns = ["entry", "dataset", "class left out", "epochs", "score", "AUROC", "average precision"]
    return lines(columns, [
        [f"`{row['entry']}`", row["dataset"], ", ".join(map(str, row["left_out"])), epochs(row), row["score"],
         f"{row['auroc']:.3f}", f"{row['average_precision']:.3f}"]
        for row in rows
    ], words=5)  # fmt: skip


def imputation(rows: Sequence[Row]) -> str:
    """Method by method."""
    columns = ["filled by", *(f"{row['missing']:.0%} missing" for row in rows)]
    return lines(columns, [
        [f"`{name}`" if name in MODELS else name, *(f"{row['mse'][name]:.4f}" for row in rows)]
        for name in rows[0]["mse"]
    ])  # fmt: skip


def compression(rows: Sequence[Row]) -> str:
    """Models, with JPEG at the same distortion; then PNG and some qualities of JPEG."""

    def bits(value: float | None) -> str:
        return "—" if value is None else f"{value:,.1f}"

    models, codecs = [row for row in rows if "step" in row], [row for row in rows if "quality" in row]
    coded = []
    for row in models:
        jpeg = [
            at_distortion(row["mse"], jpegs(codecs, row["images"], together=together)) for together in (True, False)
        ]
        how = "indices" if row["step"] is None else f"step {row['step']:g}"
        coded.append(
            [row["images"], f"`{row['coder']}`", how, f"{row['mse']:.5f}", bits(row["bits"]), *map(bits, jpeg)]
        )
    columns = ["images", "coder", "codes", "MSE per pixel", "bits per image", "JPEG, all in one sheet",
               "JPEG, a file each"]  # fmt: skip
    without_loss = [
        [row["images"], "one sheet" if row["together"] else "a file each", bits(row["bits"])]
        for row in codecs
        if row["coder"] == "PNG"
    ]
    return lines(columns, coded, words=3) + "\n\n" + lines(["images", "PNG", "bits per image"], without_loss, words=2)


def jpegs(codecs: Sequence[Row], images: str, *, together: bool) -> list[Row]:
    """JPEG's qualities on these images."""
    return [row for row in codecs if (row["images"], row["together"], row["coder"]) == (images, together, "JPEG")]


def speed(rows: Sequence[Row]) -> str:
    """Task by task."""
    columns = ["task", "images per second", "lowest", "highest"]
    return lines(columns, [
        [row["task"], *(f"{row[name]:,.0f}" for name in ("median", "lowest", "highest"))] for row in rows
    ])  # fmt: skip


def memory(rows: Sequence[Row]) -> str:
    """Size by size."""
    return lines(["images", "peak memory, MiB"], [[f"{row['images']:,}", f"{row['peak_mib']:,.0f}"] for row in rows])


TABLES = {
    "other_datasets": other_datasets, "held_out": held_out, "imputation": imputation, "compression": compression,
    "speed": speed, "memory": memory,
}  # fmt: skip


def rate_distortion(rows: Sequence[Row]) -> bytes:
    """Bits against distortion, a panel for each dataset, as PNG."""
    models, codecs = [row for row in rows if "step" in row], [row for row in rows if "quality" in row]
    datasets = list(dict.fromkeys(row["images"] for row in rows))
    figure = NotebookFigure(figsize=(6.5 * len(datasets), 4.8), layout="constrained")
    for axes, dataset in zip(figure.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True):
        axes.set(xscale="log", yscale="log", title=dataset, xlabel="bits per image", ylabel="MSE per pixel")
        curves: dict[str, list[Row]] = {}
        for row in models:
            if row["images"] == dataset:
                curves.setdefault(row["coder"], []).append(row)
        for (name, curve), colour in zip(curves.items(), CLASSES, strict=False):
            draw(axes, name, curve, color=colour)
        draw(axes, "JPEG, all in one sheet", jpegs(codecs, dataset, together=True), color="0.4", linestyle="--")
        draw(axes, "JPEG, a file each", jpegs(codecs, dataset, together=False), color="0.7", linestyle="--")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.2)
        axes.legend(fontsize=8)
    return to_png(figure)


def draw(axes: Axes, name: str, curve: Sequence[Row], **style: Any) -> None:
    """A coder at several steps or qualities."""
    ordered = sorted(curve, key=lambda row: row["mse"])
    axes.plot([row["bits"] for row in ordered], [row["mse"] for row in ordered], label=name, marker=".", **style)
