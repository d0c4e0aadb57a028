"""The run folder, read strictly, which training writes, ``zoo.load`` reads and the Hub holds, in one layout.

==========================  ==================================================================================
``model.safetensors``       the weights
``config.json``             :class:`~zoo.schema.run_config.RunConfig`: the recipe, the metrics and where they come from
``README.md``               the card
``metrics.jsonl``           one line per epoch
``snapshots.safetensors``   reconstructions of the same images as training went on
``*.png``                   loss curves, reconstructions, samples
``checkpoint.safetensors``  the state that training goes on from for more epochs; it never goes to the Hub
``hub.json``                only in a folder that was pulled: the commit that it holds
==========================  ==================================================================================

The entries in the package have neither snapshots nor figures: these are drawn when somebody asks for them.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from zoo.errors import NotApplicable, ZooError, first_line
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build_variant
from zoo.runs.storage import from_half
from zoo.schema.base import ImageShape, VariantConfig
from zoo.schema.parsing import explain, parse_json
from zoo.schema.run_config import EpochRow, RunConfig
from zoo.schema.text import decode_text
from zoo.system.devices import choose_device
from zoo.system.files import MAX_RECORD_BYTES, read_file, sha256
from zoo.system.process import cpu_by_default
from zoo.system.randomness import CPU, default_generators_kept
from zoo.system.sealed import unseal

CARD_FILE = "README.md"
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
LOSS_CURVES_FILE, RECONSTRUCTIONS_FILE, SAMPLES_FILE = "loss_curves.png", "reconstructions.png", "samples.png"
FIGURE_FILES = (LOSS_CURVES_FILE, RECONSTRUCTIONS_FILE, SAMPLES_FILE)
METRICS_FILE = "metrics.jsonl"
SNAPSHOTS_FILE = "snapshots.safetensors"
RUN_FILES = frozenset({WEIGHTS_FILE, CONFIG_FILE, CARD_FILE, METRICS_FILE, SNAPSHOTS_FILE, *FIGURE_FILES})
"""The names of all files that training writes into a run folder."""

ENTRY_FILES = frozenset({WEIGHTS_FILE, CONFIG_FILE, CARD_FILE, METRICS_FILE})
"""The names of those of them that an entry in the package has."""

CHECKPOINT_FILE, PREVIOUS_CHECKPOINT_FILE = "checkpoint.safetensors", "checkpoint.previous.safetensors"
"""The files from which an unfinished run goes on: the last checkpoint, and the one before it."""

PIN_FILE = "hub.json"
"""The file that names the commit on the Hub that a folder was pulled from, a :class:`~zoo.schema.sections.HubPin`."""

MAX_CONFIG_BYTES, MAX_HEADER_BYTES = 2**19, 4 * 2**20
"""The most bytes of ``config.json``, and of the header in front of the weights."""

MAX_HISTORY_BYTES, MAX_LINE_LENGTH = 2**25, 2**16
"""The most bytes of ``metrics.jsonl``, and characters of a line: parsed, they may take thirty times as much memory."""


def read_config(folder: Path) -> RunConfig:
    """Read a run folder's ``config.json``.

    Raises:
        ZooError: the folder or the file is missing, or it is not what training writes.
    """
    path = folder / CONFIG_FILE
    fields = parse_json(decode_text(read_file(path, MAX_CONFIG_BYTES), str(path)), str(path))
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
    """Read a run folder's ``snapshots.safetensors``.

    Raises:
        ZooError: it is missing, as in runs of earlier versions, or not what training writes.
    """
    path = folder / SNAPSHOTS_FILE
    _check_history(path)
    if folder.is_dir() and not path.exists():
        raise NotApplicable(
            "the run keeps no snapshots of its training, as no entry in the package does; train it again to record some"
        )
    try:
        content = read_file(path, MAX_RECORD_BYTES)
        if int.from_bytes(content[:8], "little") > MAX_HEADER_BYTES:
            raise ValueError("its header is longer than that of any snapshots")
        tensors, _ = unseal(content, "snapshots", unsealed=())
        epochs, x, y = tensors["epochs"].tolist(), tensors["originals"], tensors["reconstructions"]
        kinds = (tensors["epochs"].dtype, x.dtype, y.dtype)
        if kinds != (torch.int64, torch.uint8, torch.uint8) or tensors["epochs"].dim() != 1 or x.dim() != 4:
            raise ValueError("a tensor has the wrong type or number of dimensions")
        if y.shape != (len(epochs), *x.shape) or not y.numel() or x.shape[1] not in (1, 3):
            raise ValueError("the tensors' shapes do not fit")
    except (KeyError, TypeError, ValueError) as error:
        raise ZooError(f"{path} does not hold snapshots of a training ({error})") from error
    return Snapshots(epochs, x.float() / 255, y.float() / 255)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Read a run folder's ``metrics.jsonl``, a dict per epoch.

    Raises:
        ZooError: it is missing or not what training writes.
    """
    path = folder / METRICS_FILE
    _check_history(path)
    rows: list[dict[str, Any]] = []
    terms: frozenset[str] = frozenset()
    for number, line in enumerate(io.StringIO(decode_text(read_file(path, MAX_HISTORY_BYTES), str(path))), 1):
        where = f"{path}, line {number}"
        if len(line) > MAX_LINE_LENGTH:
            raise ZooError(
                f"{where} has {len(line):,} characters, more than such a line can have ({MAX_LINE_LENGTH:,})"
            )
        fields = parse_json(line, where)
        try:
            row = EpochRow.model_validate(fields)
        except ValidationError as error:
            raise ZooError("\n".join(f"{where}: {mistake}" for mistake in explain(error, EpochRow))) from error
        terms = terms or frozenset(row.train)
        measured = (row.train, row.test, row.train if row.validation is None else row.validation)
        if any(part.keys() != terms for part in measured):
            raise ZooError(f"{path} does not hold the epochs of one training: its lines differ in their terms")
        rows.append(row.model_dump(exclude_none=True))
    if "loss" not in terms:
        raise ZooError(f"{path} does not hold the epochs of a training: it has no loss")
    return rows


def _check_history(path: Path) -> None:
    """Say why a run folder has no record of its training, if its weights were trained elsewhere.

    Raises:
        NotApplicable: they were.
    """
    config = path.parent / CONFIG_FILE
    if not path.exists() and config.exists() and (foreign := read_config(path.parent).foreign):
        raise NotApplicable(f"the weights come from {foreign.file}, and nothing is known of how they were trained")


def load_folder(folder: Path, device: str | torch.device = "cpu", *, trusted: bool = False) -> Autoencoder:
    """Load the model of a run folder, in eval mode, with its ``config``.

    Args:
        folder: the folder that training wrote.
        device: the device to put it on.
        trusted: True for the zoo's own folders. The model of any other is first built without memory and compared
            with the size of its files, since anyone may have written it.

    Raises:
        ZooError: a file is missing or damaged, or the weights do not fit the recipe.
    """
    config = read_config(folder)
    section = config.model_section()
    path = folder / WEIGHTS_FILE
    # Fresh weights are overwritten: leave the caller's random numbers alone.
    with cpu_by_default(), default_generators_kept(CPU):
        try:
            outline = _outline(section, config.image_shape, trusted)
        except ZooError as error:
            if not config.has_own_modules:
                raise
            raise ZooError(f"{folder}: {error}") from error  # of several runs, this one needs modules
        expected = outline.state_dict()
        content = read_file(path, sum(tensor.nbytes for tensor in expected.values()) + MAX_HEADER_BYTES)
        if sha256(content) != config.weights_sha256:
            raise ZooError(
                f"{path} is damaged or not the file that {CONFIG_FILE} describes: its sha256 differs; restore it or "
                f"train again"
            )
        weights = parse_weights(content, path)
        if config.in_half:
            weights = from_half(outline, weights)
        check_finite(weights, path)
        _check_fit(expected, weights, folder)
        model = build_variant(section, config.image_shape) if outline.device.type == "meta" else outline
    model.load_state_dict(weights, strict=True)
    if config.parameters != model.parameter_count:
        raise ZooError(f"{folder / CONFIG_FILE} states another number of parameters than its model has")
    model.config = config
    return model.eval().to(choose_device(str(device)))


def _outline(section: VariantConfig, shape: ImageShape, trusted: bool) -> Autoencoder:
    """Build the model that a config describes, without giving it memory unless the config is trusted."""
    if not trusted:  # the zoo's own are known, and load ten times as fast without
        try:
            with torch.device("meta"):
                return build_variant(section, shape)
        except ZooError:  # a user's builder may need values
            pass
    return build_variant(section, shape)


def parse_weights(content: bytes, path: Path) -> dict[str, Tensor]:
    """Return tensors by name; nothing in safetensors can be more than that."""
    if int.from_bytes(content[:8], "little") > MAX_HEADER_BYTES:
        raise ZooError(f"{path} is not a valid safetensors file (its header is longer than any model's)")
    try:
        json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")], object_pairs_hook=_without_duplicates)
        return load_tensors(content)
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ZooError(f"{path} is not a valid safetensors file ({first_line(error)})") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return the content of a JSON object, whose names must differ: of two tensors of one name, one would be lost."""
    name, times = max(Counter(name for name, _ in pairs).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise ValueError(f"two tensors are called {name!r}")
    return dict(pairs)


def check_finite(weights: dict[str, Tensor], path: Path) -> None:
    """Refuse weights that are no numbers: what a model computes from them is none either."""
    broken = [name for name, tensor in weights.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise ZooError(f"{path} holds NaN or infinite values in {', '.join(broken[:8])}; the model cannot be used")


def _check_fit(expected: dict[str, Tensor], weights: dict[str, Tensor], folder: Path) -> None:
    def kind(tensors: dict[str, Tensor], name: str) -> str:
        tensor = tensors.get(name)
        return "nothing" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

    names = sorted(expected.keys() | weights.keys())
    wrong = [name for name in names if kind(expected, name) != kind(weights, name)]
    if wrong:
        lines = [f"  {name}: expected {kind(expected, name)}, found {kind(weights, name)}" for name in wrong[:8]]
        rest = [f"  and {len(wrong) - 8} more"] if len(wrong) > 8 else []
        message = f"the weights in {folder} do not fit the model that its {CONFIG_FILE} describes:"
        raise ZooError("\n".join([message, *lines, *rest]))
