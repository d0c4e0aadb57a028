"""The curves of a training and its reconstructions of the same test images, also while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from zoo.errors import NotApplicable, ZooError
from zoo.explorer._view import Answer, ModelParameters, register_view, sheet
from zoo.explorer.session import OpenModel, Session
from zoo.objectives import unit_of
from zoo.runs.folder import CONFIG_FILE, METRICS_FILE, SNAPSHOTS_FILE, read_history, read_snapshots
from zoo.runs.unfinished import PARTIAL, finished_folder, read_unfinished

MAX_EPOCHS = 1000
"""The most epochs that are sent; of more, every second, third, … and the last."""

SPLITS = ("train", "validation", "test")


class TrainingParameters(ModelParameters):
    """The run, and what the page has of it already."""

    snapshots: Annotated[int, Field(ge=0, lt=10**6)] = Field(
        0, description="The number of snapshots that the page shows; they are sent where there are others."
    )


def fits(opened: OpenModel) -> str | None:
    """Return why a model has no curves, or None."""
    folder = followed(opened)
    there = opened.unfinished or (folder / METRICS_FILE).exists()
    return None if there else "the run keeps no record of its epochs (metrics.jsonl)"


@register_view("training", TrainingParameters, fits=fits, unfinished=True)
def training(session: Session, parameters: TrainingParameters) -> Answer:
    """Return the curves of a run, how far it is, and its snapshots where the page has not got them."""
    opened = session.model(parameters.model)
    folder = followed(opened)
    if not folder.is_dir():
        raise ZooError(f"the folder {folder.name} is gone; this page goes on when there is a run again")
    answer: Answer = {"finished": not opened.unfinished, "unit": "", "left": None, "silent": None}
    if opened.unfinished:
        run = read_unfinished(folder, folder.name)
        history, answer["epochs"] = run.history, run.epochs
        answer |= {"left": run.left, "silent": run.silent}
    else:
        recipe = opened.trained.config.checked_recipe
        history, answer["epochs"] = read_history(folder), recipe.training.epochs
        answer["unit"] = unit_of(recipe)
    answer["epoch"] = history[-1]["epoch"] if history else 0
    return answer | {"curves": curves(history), **snapshots(folder, parameters.snapshots)}


def followed(opened: OpenModel) -> Path:
    """Return the folder of a run; when the run has ended since, the folder that it is in now, which is then open."""
    folder = opened.trained.folder
    finished = finished_folder(folder)
    if folder != finished and not folder.exists() and (finished / CONFIG_FILE).exists():
        with opened.lock:
            opened.trained = replace(opened.trained, source=finished)
        return finished
    return folder


def curves(history: Sequence[dict[str, Any]]) -> Answer | None:
    """Return the terms of every epoch by split; None where there is no epoch yet."""
    if not history:
        return None
    step = -(-len(history) // MAX_EPOCHS)
    rows = [*history[:-1][::step], history[-1]]
    terms = ["loss", *(name for name in rows[-1]["train"] if name != "loss")]
    if len(terms) == 2:  # one term is the total
        terms = ["loss"]
    values = {
        split: {term: [float(f"{row[split][term]:.6g}") for row in rows] for term in terms}
        for split in SPLITS
        if all(split in row for row in rows)
    }
    return {"epochs": [row["epoch"] for row in rows], "terms": terms, "values": values}


def snapshots(folder: Path, shown: int) -> Answer:
    """Return the test images and below them their reconstructions, a row for each snapshot, if there are new ones."""
    if folder.name.endswith(PARTIAL) and not (folder / SNAPSHOTS_FILE).exists():
        return {"snapshots": None, "no_snapshots": "there are no reconstructions yet"}
    try:
        kept = read_snapshots(folder)
    except NotApplicable as error:
        return {"snapshots": None, "no_snapshots": str(error)}
    if len(kept.epochs) == shown:
        return {"snapshots": None, "no_snapshots": None}
    rows = torch.cat([kept.originals[None], kept.reconstructions]).flatten(0, 1)
    found = {"epochs": kept.epochs, "sheet": sheet(rows, columns=len(kept.originals))}
    return {"snapshots": found, "no_snapshots": None}
