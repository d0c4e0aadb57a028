"""The run folder: what training writes, what ``zoo.load`` reads and what the Hub holds, in one layout.

=========================  ==================================================================================
``model.safetensors``      the weights
``config.json``            :class:`~zoo.run_config.RunConfig`: the recipe, the metrics and where they come from
``README.md``              the card
``metrics.jsonl``          one line per epoch
``snapshots.safetensors``  reconstructions of the same images as training went on
``*.png``                  loss curves, reconstructions, samples
=========================  ==================================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.builder import build_variant
from zoo.catalog import recipe_paths, weights_folder
from zoo.devices import choose_device
from zoo.errors import UnknownNameError, ZooError
from zoo.files import sha256
from zoo.parsing import explain, parse_json
from zoo.run_config import EpochRow, RunConfig

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PICTURES = ("loss_curves.png", "reconstructions.png", "samples.png")
METRICS_FILE = "metrics.jsonl"
SNAPSHOTS_FILE = "snapshots.safetensors"
RUN_FILES = frozenset({WEIGHTS_FILE, CONFIG_FILE, "README.md", METRICS_FILE, SNAPSHOTS_FILE, *PICTURES})
"""All that a run folder holds."""


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
