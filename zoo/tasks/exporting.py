"""Export: encoder, decoder and reconstruction as files that run without the zoo, and, as ONNX, without PyTorch.

The number of images is left open. Every file states in its metadata the entry, the sha256 of the weights, and the range
and shape of its inputs and outputs.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.errors import NotApplicable, UnknownNameError, ZooError, first_line
from zoo.models.autoencoder import Autoencoder, check_model
from zoo.system.files import user_path
from zoo.system.folders import new_folder
from zoo.system.lock import warnings_ignored

Format = Literal["onnx", "torch"]
ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}


class Part(nn.Module):
    """A function of a model, as a module that can be traced."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs; a conditional model has labels as well."""
        return (*self.inputs, "labels") if self.model.classes else self.inputs


class Encoder(Part):
    """x (B, C, H, W) in [0, 1] → mean (B, D) of q(z|x)."""

    inputs, outputs = ("x",), ("mean",)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the mean (B, D) of q(z|x)."""
        return self.model.encode(x, labels).mean


class Decoder(Part):
    """z (B, D) → image (B, C, H, W) in [0, 1], the mean of p(x|z)."""

    inputs, outputs = ("z",), ("image",)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the mean (B, C, H, W) of p(x|z)."""
        return self.model.decode(z, labels).mean


class Reconstruct(Part):
    """x (B, C, H, W) in [0, 1] → image (B, C, H, W) in [0, 1]."""

    inputs, outputs = ("x",), ("image",)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the image (B, C, H, W) decoded from the mean of q(z|x)."""
        return self.model.decode(self.model.encode(x, labels).mean, labels).mean


PARTS: dict[str, type[Part]] = {"encoder": Encoder, "decoder": Decoder, "reconstruct": Reconstruct}


def export(model: Autoencoder, folder: str | os.PathLike[str], format: Format = "onnx") -> list[Path]:
    """Write ``encoder``, ``decoder`` and ``reconstruct`` into a new folder: all of them, or none.

    Args:
        model: a model that ``zoo.load`` has loaded; what is written computes on the CPU.
        folder: the folder to write, new or empty.
        format: ``onnx``, for onnxruntime and others; ``torch``, for ``torch.export.load``.

    Returns:
        The paths of the files.

    Raises:
        ZooError: the model has an operation that cannot be exported, or a file cannot be written.
        NotApplicable: onnx or onnxscript is missing.
    """
    check_model(model)
    if format not in WRITERS:
        raise UnknownNameError("format", format, WRITERS)
    folder, contents = user_path(folder), {}
    model = copy.deepcopy(model).cpu()
    for name, kind in PARTS.items():
        part = kind(model).eval()
        with warnings_ignored(), torch.no_grad():
            contents[f"{name}{ENDINGS[format]}"] = WRITERS[format](part, example(part), metadata(part, name))
    with new_folder(folder) as complete:
        for name, content in contents.items():
            (complete / name).write_bytes(content)
    return [folder / name for name in contents]


def example(part: Part, images: int = 2) -> tuple[Tensor, ...]:
    """Return random inputs of the right shapes."""
    model = part.model
    x = torch.rand(images, *model.image_shape, dtype=torch.float32)
    first = x if part.inputs == ("x",) else model.prior.sample(images)
    return (first, torch.arange(images) % model.classes) if model.classes else (first,)


def metadata(part: Part, name: str) -> dict[str, str]:
    """Return what the file states about itself; every value is text, as ONNX requires."""
    model, config = part.model, part.model.config
    facts = {
        "entry": config.name if config else "",
        "part": name,
        "weights_sha256": config.weights_sha256 if config else "",
        "image_shape": json.dumps(list(model.image_shape)),
        "image_range": json.dumps([0, 1]),
        "latent_dim": str(model.prior.latent_dim),
        "inputs": ", ".join(part.names()),
        "outputs": ", ".join(part.outputs),
        "description": str(type(part).__doc__),
    }
    if config:
        facts["binarization"] = config.checked_recipe.data.binarization  # of the images that x should be like
    return facts | ({"classes": str(model.classes)} if model.classes else {})


def _program(part: Part, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=2**20)
    shapes = tuple({0: batch} for _ in inputs)
    try:
        return torch.export.export(part, inputs, dynamic_shapes=shapes)
    except Exception as error:  # a dozen kinds, for whatever a user's own variant may do
        raise ZooError(f"this model cannot be exported: {first_line(error)}") from error


def _as_torch(part: Part, inputs: tuple[Tensor, ...], facts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(_program(part, inputs), buffer, extra_files={"zoo.json": json.dumps(facts)})
    return buffer.getvalue()


def _as_onnx(part: Part, inputs: tuple[Tensor, ...], facts: dict[str, str]) -> bytes:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotApplicable(
            "export to ONNX needs onnx and onnxscript: pip install 'autoencoder-zoo[export]'"
        ) from error
    log = logging.getLogger("torch.onnx")
    level, buffer = log.level, io.BytesIO()
    log.setLevel(logging.ERROR)
    try:
        program: Any = torch.onnx.export(
            _program(part, inputs),
            input_names=part.names(),
            output_names=part.outputs,
            dynamo=True,
            verbose=False,
        )
        program.model.metadata_props.update(facts)
        proto = program.model_proto
        for value in (*proto.graph.input, *proto.graph.output):  # the exporter calls it s77, or whatever comes next
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
        buffer.write(proto.SerializeToString())
    except ZooError:
        raise
    except Exception as error:
        raise ZooError(f"this model cannot be exported to ONNX: {first_line(error)}") from error
    finally:
        log.setLevel(level)
    return buffer.getvalue()


WRITERS: dict[Format, Callable[[Part, tuple[Tensor, ...], dict[str, str]], bytes]] = {
    "onnx": _as_onnx,
    "torch": _as_torch,
}
