"""The curves of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from zoo.plotting.canvas import TEST, TRAIN, NotebookFigure

LOG_AXIS_EPOCHS = 20
"""The number of epochs above which loss curves have a logarithmic axis of epochs."""


def loss_curves(history: Sequence[Mapping[str, Any]], unit: str) -> Figure:
    """Draw one panel per loss term: training and test, over epochs.

    Args:
        history: a record per epoch, each with ``epoch`` and the terms by name in ``train`` and ``test``.
        unit: the unit of the terms.
    """
    terms = {"loss": "total", **{name: name for name in history[-1]["train"] if name != "loss"}}
    if len(terms) == 2:  # one term is the total
        del terms["loss"]
    epochs = [row["epoch"] for row in history]
    figure = NotebookFigure(figsize=(4 * len(terms), 3.2), layout="constrained")
    for axes, (term, title) in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms.items(), strict=True):
        for split, colour, style in (("train", TRAIN, "-"), ("test", TEST, "--")):
            values = [row[split][term] for row in history]
            axes.plot(epochs, values, style, color=colour, label=split, marker="o" if len(epochs) < 3 else None)
        axes.set_title(title.replace("kl", "KL"))
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        if len(epochs) > LOG_AXIS_EPOCHS:  # the first epochs, where most happens, get half the width
            axes.set_xscale("log")
            axes.set_xlabel("epoch (logarithmic)")
            axes.xaxis.set_major_formatter("{x:.0f}")
        else:
            axes.set_xticks(epochs if len(epochs) < 8 else range(0, len(epochs) + 1, 5))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure
