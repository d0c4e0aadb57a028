"""The run folder: what training writes, what ``zoo.load`` reads and what the Hub holds, in one layout.

=========================  ==================================================================================
``model.safetensors``      the weights
``config.json``            :class:`RunConfig`: the recipe, the metrics and where they come from
``README.md``              the card
``metrics.jsonl``          one line per epoch
``snapshots.safetensors``  reconstructions of the same images as training went on
``*.png``                  loss curves, reconstructions, samples
=========================  ==================================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.builder import build_variant
from zoo.catalog import recipe_paths, weights_folder
from zoo.configs import NAME, Size
from zoo.devices import choose_device
from zoo.digest import digest
from zoo.errors import UnknownNameError, ZooError
from zoo.files import sha256
from zoo.parsing import explain, parse_json, validate
from zoo.registry import VARIANTS

if TYPE_CHECKING:
    from zoo.configs import VariantConfig
    from zoo.schema import Recipe

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PICTURES = ("loss_curves.png", "reconstructions.png", "samples.png")
METRICS_FILE = "metrics.jsonl"
SNAPSHOTS_FILE = "snapshots.safetensors"
RUN_FILES = frozenset({WEIGHTS_FILE, CONFIG_FILE, "README.md", METRICS_FILE, SNAPSHOTS_FILE, *PICTURES})
"""All that a run folder holds."""


T = TypeVar("T")
OfSplits = Annotated[dict[Literal["train", "test"], T], Field(min_length=2)]
"""Something for both splits."""

Figures = dict[str, float]
"""Metric → value, in the units of :mod:`zoo.metrics`."""


class Strict(BaseModel):
    """No unknown fields, no NaN and no infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DatasetRecord(Strict):
    """Which images a split held."""

    images: int
    sha256: str


class Evaluation(Strict):
    """Where and with what metrics of a card were measured after training."""

    hardware: str
    versions: dict[str, str]


class Repetition(Strict):
    """Another run of the same recipe that differs in its seed only; its weights are not kept."""

    seed: int
    metrics: OfSplits[Figures]
    weights_sha256: str
    training_seconds: float
    hardware: str
    versions: dict[str, str]


class EpochRow(BaseModel):
    """What every line of ``metrics.jsonl`` has, among other things."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epoch: Size
    train: dict[Annotated[str, Field(pattern=NAME)], float]
    test: dict[Annotated[str, Field(pattern=NAME)], float]


class RunConfig(Strict):
    """``config.json``: all there is to know about a trained model besides its weights."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME)
    recipe: dict[str, Any]
    recipe_sha256: str
    """Of the sections that determine the weights: :meth:`zoo.schema.RecipeOf.digest`."""
    image_shape: tuple[Size, Size, Size]
    parameters: int
    weights_sha256: str
    metrics: OfSplits[Figures]
    """Measured in eval mode after training."""
    dataset: OfSplits[DatasetRecord]
    training_seconds: float
    """Of the epochs, with the test images measured after each."""
    hardware: str
    versions: dict[str, str]
    evaluation: dict[str, Evaluation] = {}
    """Family of metrics → where it was measured; of one that is not here, where the model was trained."""
    repetitions: list[Repetition] = []
    glyphs: Figures = {}
    """Metrics on the first images of the embedded glyphs: whether a machine computes the same can be told without the
    data that the model was trained on. Other images than it has learned, so they say nothing about how good it is."""

    def to_json(self) -> str:
        """As the file holds it."""
        return self.model_dump_json(indent=2) + "\n"

    @cached_property
    def checked_recipe(self) -> Recipe:
        """The recipe, checked against what is registered.

        Raises:
            ZooError: it is no recipe, or names a variant, objective or dataset that is not registered.
        """
        from zoo.schema import parse_recipe  # here, because loading a model needs only its own section

        return parse_recipe(self.recipe, f"the recipe of {self.name}")

    def model_section(self) -> VariantConfig:
        """The recipe's model section, checked: all of the recipe that the weights need.

        Raises:
            ZooError: it is not right, names a variant that is not registered, or is not what the weights were trained
                from.
        """
        where = f"the recipe of {self.name}"
        model: VariantConfig = validate(VARIANTS.config_of("model", self.recipe, where), self.recipe["model"], where)
        if digest(self.recipe) != self.recipe_sha256:
            raise ZooError(
                f"the recipe of {self.name} is not the one that its weights were trained from: its sha256 differs"
            )
        return model


def resolve(source: str | os.PathLike[str]) -> Path:
    """The run folder that ``source`` names: an entry, or a folder written as a path (``./runs/mine``).

    Raises:
        ZooError: neither; the message shows the right spelling or the close match.
    """
    if isinstance(source, os.PathLike):
        return Path(source)
    if source.startswith("hf-hub:"):
        raise ZooError(
            f"{source}: this version cannot load from the Hub; download the repository and load it as ./FOLDER"
        )
    if source.startswith((".", "/", "~")) or Path(source).is_absolute():
        return Path(os.path.expanduser(source))
    if "/" in source or os.sep in source:
        raise ZooError(f"{source!r} could be a folder or a Hub repository; write ./{source} or hf-hub:{source}")
    folder = weights_folder(source)
    if folder:
        return folder
    if source in recipe_paths():
        raise ZooError(
            f"the entry {source!r} has a recipe but no shipped weights; train it with "
            f"`python -m zoo.train {source}` and load ./runs/{source}"
        )
    folder_hint = f" (for the folder, write ./{source})" if Path(source).is_dir() else ""
    raise UnknownNameError("entry", source, recipe_paths(), folder_hint)


def read_config(folder: Path) -> RunConfig:
    """A run folder's ``config.json``.

    Raises:
        ZooError: the folder or the file is missing, or it is not what training writes.
    """
    path = folder / CONFIG_FILE
    text = _read(path).decode("utf-8", errors="replace")
    fields = parse_json(text, str(path))
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        raise ZooError("\n".join(f"{path}: {line}" for line in explain(error, RunConfig))) from error


@dataclass(frozen=True)
class Snapshots:
    """Reconstructions of the same test images, kept as training went on; float in [0, 1]."""

    epochs: list[int]
    originals: Tensor  # (N, C, H, W)
    reconstructions: Tensor  # (S, N, C, H, W)


def read_snapshots(folder: Path) -> Snapshots:
    """A run folder's ``snapshots.safetensors``.

    Raises:
        ZooError: it is missing, as in runs of earlier versions, or not what training writes.
    """
    path = folder / SNAPSHOTS_FILE
    if folder.is_dir() and not path.exists():
        raise ZooError(f"{folder} keeps no snapshots of its training; train it again to have some")
    try:
        found = load_tensors(_read(path))
        epochs, x, y = found["epochs"].tolist(), found["originals"], found["reconstructions"]
        kinds = (found["epochs"].dtype, x.dtype, y.dtype)
        if kinds != (torch.int64, torch.uint8, torch.uint8) or found["epochs"].dim() != 1 or x.dim() != 4:
            raise ValueError("a tensor has the wrong type or number of dimensions")
        if y.shape != (len(epochs), *x.shape) or not y.numel() or x.shape[1] not in (1, 3):
            raise ValueError("the tensors' shapes do not fit")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ZooError(f"{path} does not hold snapshots of a training ({error})") from error
    return Snapshots(epochs, x.float() / 255, y.float() / 255)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """A run folder's ``metrics.jsonl``, a dict per epoch.

    Raises:
        ZooError: it is missing or not what training writes.
    """
    path = folder / METRICS_FILE
    lines = _read(path).decode("utf-8", errors="replace").splitlines()
    rows = [parse_json(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    try:
        epochs = [EpochRow.model_validate(row) for row in rows]
    except ValidationError as error:
        raise ZooError("\n".join(f"{path}: {line}" for line in explain(error, EpochRow))) from error
    terms = {frozenset(means) for row in epochs for means in (row.train, row.test)}
    if len(terms) != 1 or "loss" not in terms.pop():
        raise ZooError(f"{path} does not hold the epochs of one training: its lines differ in their terms")
    return [row.model_dump() for row in epochs]


def load(source: str | os.PathLike[str], device: str | torch.device = "cpu") -> Autoencoder:
    """A trained model in eval mode, with its ``config`` (recipe, metrics, provenance).

    Args:
        source: an entry's name, or a run folder as a path: ``"conv_vae_mnist"``, ``"./runs/mine"``.
        device: where to put it; ``"auto"`` takes the best there is.

    Raises:
        ZooError: no such entry or folder, a file is missing or damaged, or the weights do not fit the recipe.
    """
    folder = resolve(source)
    config = read_config(folder)
    section = config.model_section()
    content = _read(folder / WEIGHTS_FILE)
    if sha256(content) != config.weights_sha256:
        raise ZooError(
            f"{folder / WEIGHTS_FILE} is damaged or not the file that {CONFIG_FILE} describes: its sha256 differs; "
            f"restore it or train again"
        )
    with torch.random.fork_rng(devices=[]):  # fresh weights are overwritten: leave the caller's random numbers alone
        model = build_variant(section, config.image_shape)
    try:
        weights = load_tensors(content)
    except SafetensorError as error:
        raise ZooError(f"{folder / WEIGHTS_FILE} is no valid safetensors file ({error})") from error
    _check_fit(model.state_dict(), weights, folder)
    model.load_state_dict(weights, strict=True)
    if config.parameters != model.parameter_count:
        raise ZooError(f"{folder / CONFIG_FILE} states another number of parameters than its model has")
    model.config = config
    return model.eval().to(choose_device(str(device)))


def _read(path: Path) -> bytes:
    if not path.parent.is_dir():
        raise ZooError(f"there is no folder {path.parent}")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ZooError(f"{path.parent} is not a whole run folder: {path.name} is missing") from error
    except OSError as error:
        raise ZooError(f"cannot read {path}: {error.strerror}") from error


def _check_fit(expected: dict[str, Tensor], found: dict[str, Tensor], folder: Path) -> None:
    def kind(tensors: dict[str, Tensor], name: str) -> str:
        tensor = tensors.get(name)
        return "nothing" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

    names = sorted(expected.keys() | found.keys())
    wrong = [name for name in names if kind(expected, name) != kind(found, name)]
    if wrong:
        lines = [f"  {name}: expected {kind(expected, name)}, found {kind(found, name)}" for name in wrong[:8]]
        rest = [f"  and {len(wrong) - 8} more"] if len(wrong) > 8 else []
        message = f"the weights in {folder} do not fit the model that its {CONFIG_FILE} describes:"
        raise ZooError("\n".join([message, *lines, *rest]))
