"""The end of a training: fit the prior, measure, draw, and write the files of the run folder."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure
from safetensors.torch import save

from zoo import plotting
from zoo.datasets import display_images
from zoo.inference.loops import codes
from zoo.metrics import measure
from zoo.runs.card import load_name_of, write_card
from zoo.runs.folder import (
    CARD_FILE,
    CONFIG_FILE,
    LOSS_CURVES_FILE,
    METRICS_FILE,
    RECONSTRUCTIONS_FILE,
    SAMPLES_FILE,
    SNAPSHOTS_FILE,
    WEIGHTS_FILE,
)
from zoo.runs.provenance import versions
from zoo.schema.run_config import DatasetRecord, Earlier, RunConfig
from zoo.system.devices import describe
from zoo.system.files import sha256, write_atomically
from zoo.training.trainer import Trainer

SAMPLE_SEED = 0
"""The seed of the codes in the grid of samples."""

RECONSTRUCTIONS_SHOWN = 50
"""The number of images in the grid of reconstructions; the grid of samples has twice as many."""


def finish(trainer: Trainer, folder: Path, out: Path) -> RunConfig:
    """Write every file of the run folder, ``config.json`` last.

    Args:
        trainer: the trainer after the last epoch.
        folder: the folder to write into.
        out: the folder that it will be.

    Returns:
        The content of ``config.json``.

    Raises:
        ZooError: a file cannot be written.
    """
    wall_seconds = trainer.wall_seconds  # before anything is measured
    trainer.take_selected()
    recipe, model = trainer.recipe, trainer.model.eval()
    if model.prior.fitted:
        model.prior.fit(codes(model, trainer.train_set, recipe.data))

    weights = save({name: tensor.cpu().contiguous().clone() for name, tensor in model.state_dict().items()})
    config = RunConfig(
        name=recipe.name,
        recipe=recipe.to_dict(),
        recipe_sha256=recipe.digest(),
        image_shape=model.image_shape,
        parameters=model.parameter_count,
        weights_sha256=sha256(weights),
        metrics={
            "train": measure(model, trainer.train_set, recipe.data),
            "test": measure(model, trainer.test_set, recipe.data),
        },
        dataset={
            "train": DatasetRecord(images=len(trainer.train_set), sha256=trainer.data_digests[0]),
            "test": DatasetRecord(images=len(trainer.test_set), sha256=trainer.data_digests[1]),
        },
        validation=trainer.validation
        and DatasetRecord(images=len(trainer.validation.images), sha256=trainer.data_digests[2]),
        selected=trainer.selection and trainer.selection.record(trainer.epoch),
        earlier=[Earlier(**part) for part in trainer.earlier],
        training_seconds=round(trainer.seconds, 1),
        wall_seconds=round(wall_seconds, 1),
        hardware=describe(trainer.device),
        versions=versions(),
    )
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / METRICS_FILE, trainer.log())
    write_atomically(folder / SNAPSHOTS_FILE, trainer.snapshots.content())
    for name, figure in figures_of(trainer).items():
        write_atomically(folder / name, plotting.to_png(figure))
    write_atomically(folder / CARD_FILE, write_card(config, load_name_of(out)))
    write_atomically(folder / CONFIG_FILE, config.to_json())
    return config


def figures_of(trainer: Trainer) -> dict[str, Figure]:
    """Draw the figures of a run folder; return them by file name."""
    model = trainer.model
    first = trainer.test_set.first(RECONSTRUCTIONS_SHOWN).to(trainer.device)
    images = display_images(first.images, trainer.recipe.data)
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    return {
        LOSS_CURVES_FILE: plotting.loss_curves(trainer.history, trainer.objective.unit),
        RECONSTRUCTIONS_FILE: plotting.reconstruction_grid(images, model.given(first.labels).reconstruct(images)),
        SAMPLES_FILE: plotting.sample_grid(model.sample(2 * RECONSTRUCTIONS_SHOWN, generator)),
    }
