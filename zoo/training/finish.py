"""The end of a training: fit the prior, measure, draw, and write the files of the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from zoo.datasets import ImageSet, display_images
from zoo.inference.loops import codes
from zoo.metrics import measure
from zoo.models import Autoencoder
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
from zoo.runs.storage import in_half, round_parameters
from zoo.schema.base import DatasetConfig
from zoo.schema.recipe import Recipe
from zoo.schema.run_config import DatasetRecord, Earlier, RunConfig
from zoo.system.devices import describe
from zoo.system.files import sha256, write_atomically
from zoo.training.drawing import Figures, drawing
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
    weights = final_weights(model, recipe, trainer.train_set, fit_prior=model.prior.fitted)
    curves = ("loss_curves", trainer.history, trainer.objective.unit)
    drawn = drawing({LOSS_CURVES_FILE: curves, **figures_of(model, trainer.test_set, recipe.data)})
    config = RunConfig(
        **facts(recipe, model, weights, trainer.train_set, trainer.test_set, trainer.data_digests),
        validation=trainer.validation
        and DatasetRecord(images=len(trainer.validation.images), sha256=trainer.data_digests[2]),
        selected=trainer.selection and trainer.selection.record(trainer.epoch),
        earlier=[Earlier(**part) for part in trainer.earlier],
        training_seconds=round(trainer.seconds, 1),
        wall_seconds=round(wall_seconds, 1),
    )
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / METRICS_FILE, trainer.log())
    write_atomically(folder / SNAPSHOTS_FILE, trainer.snapshots.content())
    figures = drawn()
    for name, figure in figures.items():
        write_atomically(folder / name, figure)
    write_atomically(folder / CARD_FILE, write_card(config, load_name_of(out), figures))
    write_atomically(folder / CONFIG_FILE, config.to_json())
    return config


def final_weights(model: Autoencoder, recipe: Recipe, train: ImageSet, *, fit_prior: bool) -> bytes:
    """Round a model's parameters if its recipe says so, fit its prior, and return the content of the file of weights.

    Args:
        model: the model, in eval mode.
        recipe: the recipe.
        train: the training images, whose codes the prior is fitted to.
        fit_prior: whether it is.
    """
    halved = recipe.training.storage == "float16"
    if halved:
        round_parameters(model)
    if fit_prior:
        model.prior.fit(codes(model, train, recipe.data))
    tensors = in_half(model) if halved else model.state_dict()
    return save({name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()})


def facts(
    recipe: Recipe, model: Autoencoder, weights: bytes, train: ImageSet, test: ImageSet, digests: Sequence[str]
) -> dict[str, Any]:
    """Measure a model on both splits; return the fields of its record that no training is needed for.

    Args:
        recipe: the recipe.
        model: the model, in eval mode.
        weights: the content of the file of its weights.
        train, test: the images of both splits.
        digests: their sha256.
    """
    splits = {"train": train, "test": test}
    return {
        "name": recipe.name,
        "recipe": recipe.to_dict(),
        "recipe_sha256": recipe.digest(),
        "image_shape": model.image_shape,
        "parameters": model.parameter_count,
        "weights_sha256": sha256(weights),
        "metrics": {split: measure(model, images, recipe.data) for split, images in splits.items()},
        "dataset": {
            split: DatasetRecord(images=len(images), sha256=digest)
            for (split, images), digest in zip(splits.items(), digests, strict=False)  # perhaps one of validation
        },
        "hardware": describe(model.device),
        "versions": versions(),
    }


def figures_of(model: Autoencoder, test: ImageSet, data: DatasetConfig) -> Figures:
    """Compute what the figures of a model in its run folder show; return it by the names of their PNG files."""
    first = test.first(RECONSTRUCTIONS_SHOWN).to(model.device)
    images = display_images(first.images, data)
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    reconstructions = model.given(first.labels).reconstruct(images)
    samples = model.sample(2 * RECONSTRUCTIONS_SHOWN, generator)
    shown, decoded, drawn = (part.float().cpu().numpy() for part in (images, reconstructions, samples))
    return {
        RECONSTRUCTIONS_FILE: ("reconstruction_grid", shown, decoded),
        SAMPLES_FILE: ("sample_grid", drawn),
    }
