"""Features: the codes of images, or what the encoder makes of them before, as the input of another model."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from zoo.errors import ZooError
from zoo.inference.image_batches import ImageStream
from zoo.inference.image_stream import PreparedBatch, map_images
from zoo.models import Autoencoder
from zoo.models.inputs import whole_number
from zoo.system.files import user_path, write_atomically
from zoo.tasks.depths import at_depth


@dataclass(frozen=True)
class Codes:
    """The codes of N images."""

    names: list[str]
    codes: NDArray[np.float32]
    """The posterior means, (N, D), or the features of a depth, (N, F)."""
    labels: NDArray[np.int64] | None
    """The labels (N,); None where the images have none."""


def encode(model: Autoencoder, images: ImageStream, depth: int | None = None) -> Codes:
    """Return the posterior mean of every image, or the features of a depth; only these are held in memory.

    Args:
        model: the model.
        images: the images.
        depth: the features after so many layers of the encoder, as :func:`zoo.tasks.depths` counts them, with maps
            averaged over their positions; None: the posterior means.

    Raises:
        ZooError: the model is conditional and the images have no labels, or the encoder has no such depth.
    """
    depth = None if depth is None else whole_number(depth, "depth")

    def features(batch: PreparedBatch) -> torch.Tensor:
        if depth is None:
            return batch.model.encode(batch.x).mean
        return at_depth(model, depth, lambda: batch.model.encode(batch.x))

    names: list[str] = []
    codes: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    for batch, means in map_images(model, images, lambda batch: features(batch).float().cpu()):
        if not means.isfinite().all():
            image = batch.names[int((~means.isfinite().all(dim=1)).nonzero()[0])]
            raise ZooError(f"{image}: its code is not finite; the weights may be damaged")
        names += batch.names
        codes.append(means)
        labels += [] if batch.labels is None else [batch.labels]
    return Codes(names, torch.cat(codes).numpy(), torch.cat(labels).numpy() if labels else None)


def write_codes(codes: Codes, path: str | os.PathLike[str]) -> None:
    """Write ``codes``, ``names`` and ``labels`` as ``.npz``, or as ``.safetensors`` with the names in its metadata.

    Raises:
        ZooError: the file cannot be written.
    """
    path = user_path(path)
    labels = {} if codes.labels is None else {"labels": codes.labels}
    if path.suffix == ".npz":
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"codes": codes.codes, "names": np.array(codes.names), **labels}
        np.savez_compressed(buffer, **arrays)
        write_atomically(path, buffer.getvalue())
        return
    tensors = {name: torch.from_numpy(values) for name, values in {"codes": codes.codes, **labels}.items()}
    write_atomically(path, save(tensors, metadata={"names": json.dumps(codes.names)}))
