"""Checks of the origin of a trained model, and of whether training gives it again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from zoo.datasets import Split
from zoo.entries.catalog import recipe, recipe_paths, record_folder
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable, ZooError
from zoo.evaluation.claims import check_images, statements
from zoo.metrics import measure_on_glyphs, metric_of
from zoo.runs.card import is_generated, load_name_in, write_card
from zoo.runs.folder import CARD_FILE, read_config
from zoo.runs.provenance import versions
from zoo.schema.digest import digest
from zoo.schema.run_config import RunConfig
from zoo.schema.text import read_text
from zoo.system.devices import describe
from zoo.training.run import train

RETRAIN_TOLERANCE = 0.02
"""The share of the card's value by which a figure may differ once the model is trained again: another device, or other
versions, round differently, and training amplifies the difference. A claim's tolerance counts where it is larger."""


@dataclass(frozen=True)
class Check:
    """One thing that was checked, and the outcome."""

    what: str
    passed: bool | None
    """True or False for a check; None: it could not be checked, or is only reported."""
    detail: str


def verify(trained: TrainedModel) -> Iterator[Check]:
    """Yield every check that needs no training.

    Raises:
        ZooError: ``config.json`` cannot be read.
    """
    config = trained.config
    yield Check("origin", None, trained.location.origin)
    yield Check("recipe", digest(config.recipe) == config.recipe_sha256, f"sha256 {config.recipe_sha256}")
    if config.name in recipe_paths():
        same = recipe(config.name).digest() == config.checked_recipe.digest()
        words = f"the zoo's own {config.name} has {'this' if same else 'another'} recipe"
        shipped = trained.folder == record_folder(config.name)  # a user's own run may differ and keep the name
        yield Check("recipe of the zoo", same if shipped or same else None, words)
    try:
        parameters = trained.model.parameter_count
    except ZooError as error:
        yield Check("weights", False, str(error))
        return
    yield Check("weights", True, f"sha256 {config.weights_sha256}, {parameters:,} parameters fit the recipe")
    yield _card(trained)
    for split in ("train", "test"):
        yield _images(trained, split)
    yield _computation(trained)
    if config.foreign:
        yield Check("history", None, f"trained elsewhere: {config.foreign.file}, sha256 {config.foreign.sha256}")
    done = "measured" if config.foreign else "trained"
    yield Check("versions", None, _changed(done, config.versions, versions()))
    yield Check("hardware", None, f"{done} on {config.hardware}; here: {describe(trained.model.device)}")


def _card(trained: TrainedModel) -> Check:
    try:
        written = read_text(trained.folder / CARD_FILE, "the card")
    except ZooError as error:
        return Check("card", False, str(error))
    same = written == write_card(trained.config, load_name_in(written), os.listdir(trained.folder))
    if not same and not is_generated(written) and trained.config.weights_sha256 in written:
        return Check("card", None, "README.md was edited by hand; it is about these weights")
    words = "says what config.json does" if same else "is not what this version writes: changed by hand, or older"
    return Check("card", same, f"README.md {words}")


def _images(trained: TrainedModel, split: Split) -> Check:
    record = trained.config.dataset[split]
    try:
        images = trained.images(split)
    except NotApplicable as error:
        return Check(f"{split} images", None, f"not checked: {error}")
    same = trained.has_images_of_card(split) and len(images) == record.images
    words = f"{record.images:,} images, sha256 {record.sha256}"
    return Check(f"{split} images", same, words if same else f"not the {words}; here are {len(images):,} others")


def _computation(trained: TrainedModel) -> Check:
    """Check whether this machine computes what the card's did, on the embedded images."""
    stated = trained.config.glyphs
    if not stated:
        return Check("computation", None, "not checked: the card has no figures on the embedded images")
    measured = measure_on_glyphs(trained.model)
    drawn = measure_on_glyphs(trained.model, noisy=True).keys() - measured.keys() if stated.keys() - measured else set()
    stated = {name: value for name, value in stated.items() if name not in drawn}  # cards once had these
    other = {
        name: measured.get(name)
        for name, value in stated.items()
        if abs(measured.get(name, math.inf) - value) > metric_of(name).allowed(value)
    }
    lines = [f"{name} {stated[name]:.6g}, here {value}" for name, value in other.items()]
    return Check("computation", not other, "; ".join(lines) or f"{len(stated)} figures on glyphs are the card's")


def _changed(done: str, then: dict[str, str], now: dict[str, str]) -> str:
    others = [f"{name} {was}, here {now.get(name, 'none')}" for name, was in then.items() if now.get(name) != was]
    same = f"the same as {'then' if done == 'measured' else 'in training'}"
    return f"{done} with {', '.join(others)}" if others else same


def retrain(trained: TrainedModel, out: Path, device: torch.device, *, resume: bool = False) -> Iterator[Check]:
    """Train the card's recipe again, and yield a check of the weights and of every figure that training measures.

    Raises:
        NotApplicable: the weights were trained elsewhere.
        ZooError: the images are others than the card's, or as :func:`zoo.training.run.train`.
    """
    config = trained.config
    if config.foreign:
        raise NotApplicable(f"{config.name} was trained elsewhere ({config.foreign.file}): no training can be repeated")
    for split in config.dataset:
        if trained.data is not None:
            check_images(config, split, trained.images(split))
    recipe = config.checked_recipe.model_copy(update={"data": trained.dataset})  # the same images may have moved
    retrained = read_config(train(recipe, out, device, resume=resume))
    same = retrained.weights_sha256 == config.weights_sha256
    yield Check("weights again", True if same else None, "the same bits" if same else "other bits: see the figures")
    yield from _figures(config, retrained)


def _figures(config: RunConfig, retrained: RunConfig) -> Iterator[Check]:
    claimed = {(claim.split, claim.metric): claim.tolerance for claim in config.checked_recipe.claims}
    for statement in dict.fromkeys(s for s in statements(config) if s.tolerance is None):
        measured = retrained.metrics[statement.split].get(statement.metric)
        if measured is None:  # training does not measure it
            continue
        value = statement.value
        allowed = max(
            RETRAIN_TOLERANCE * abs(value), statement.allowed, claimed.get((statement.split, statement.metric), 0.0)
        )
        words = f"{value:.6g} on the card, {measured:.6g} again (\N{PLUS-MINUS SIGN} {allowed:.2g})"
        yield Check(f"{statement.split} {statement.metric}", abs(measured - value) <= allowed, words)
