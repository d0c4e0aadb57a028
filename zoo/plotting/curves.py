"""The curves of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from textwrap import fill
from typing import Any

from matplotlib.figure import Figure

from zoo.plotting.canvas import TEST, TRAIN, VALIDATION, NotebookFigure, literal, with_own_settings

LOG_AXIS_EPOCHS = 20
"""The number of epochs above which loss curves have a logarithmic axis of epochs."""


@with_own_settings
def loss_curves(history: Sequence[Mapping[str, Any]], unit: str) -> Figure:
    """Draw one panel per loss term: training, test and, if it is there, validation, over epochs.

    Args:
        history: a record per epoch, each with ``epoch`` and the terms by name in ``train``, ``test`` and perhaps
            ``validation``.
        unit: the unit of the terms.
    """
    return seed_curves([history], unit)


@with_own_settings
def seed_curves(histories: Sequence[Sequence[Mapping[str, Any]]], unit: str) -> Figure:
    """Draw like :func:`loss_curves`, of runs that differ in their seeds: their mean, and in pale each run.

    Args:
        histories: the records of each run, from the first epoch on; the mean is drawn as far as all of them go.
        unit: the unit of the terms.
    """
    terms = {"loss": "total", **{name: name for name in histories[0][-1]["train"] if name != "loss"}}
    if len(terms) == 2:  # one term is the total
        del terms["loss"]
    epochs = [row["epoch"] for row in max(histories, key=len)]
    mark = "o" if len(epochs) < 3 else None
    figure = NotebookFigure(figsize=(4 * len(terms), 3.2), layout="constrained")
    figure.supylabel(fill(literal(unit), 32), fontsize="medium")
    for axes, (term, title) in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms.items(), strict=True):
        for split, colour, style in (("train", TRAIN, "-"), ("validation", VALIDATION, "-."), ("test", TEST, "--")):
            if split not in histories[0][0]:
                continue
            runs = [[row[split][term] for row in history] for history in histories]
            for values in runs if len(runs) > 1 else ():
                axes.plot(epochs[: len(values)], values, "-", color=colour, linewidth=0.6, alpha=0.35)
            means = [fmean(values) for values in zip(*runs, strict=False)]
            axes.plot(epochs[: len(means)], means, style, color=colour, label=split, marker=mark)
        axes.set_title(literal(title.replace("kl", "KL")))
        axes.set_xlabel("epoch")
        if len(epochs) > LOG_AXIS_EPOCHS:  # the first epochs, where most happens, get half the width
            axes.set_xscale("log")
            axes.set_xlabel("epoch (logarithmic)")
            axes.xaxis.set_major_formatter("{x:.0f}")
        else:
            axes.set_xticks(epochs if len(epochs) < 8 else range(0, len(epochs) + 1, 5))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure
