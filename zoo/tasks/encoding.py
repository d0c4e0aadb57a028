"""Features: the codes of pictures, for whatever is to be learned from them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from zoo.autoencoder import Autoencoder
from zoo.pictures import Pictures, through
from zoo.system.files import write_atomically


@dataclass(frozen=True)
class Codes:
    """The codes of N pictures."""

    names: list[str]
    codes: NDArray[np.float32]
    """(N, D), the posterior means."""
    labels: NDArray[np.int64] | None
    """(N,)."""


def encode(model: Autoencoder, pictures: Pictures) -> Codes:
    """The posterior mean of every picture; only the codes are held in memory.

    Raises:
        ZooError: the model is conditional and the pictures have no labels.
    """
    names: list[str] = []
    codes: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    for batch, found in through(model, pictures, lambda seen: seen.model.encode(seen.x).mean.float().cpu()):
        names += batch.names
        codes.append(found)
        labels += [] if batch.labels is None else [batch.labels]
    return Codes(names, torch.cat(codes).numpy(), torch.cat(labels).numpy() if labels else None)


def write_codes(found: Codes, path: Path) -> None:
    """``.npz`` with ``codes``, ``names`` and ``labels``; or ``.safetensors``, with the names as JSON in the metadata.

    Raises:
        ZooError: it cannot be written.
    """
    labels = {} if found.labels is None else {"labels": found.labels}
    if path.suffix == ".npz":
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {"codes": found.codes, "names": np.array(found.names), **labels}
        np.savez_compressed(buffer, **arrays)
        write_atomically(path, buffer.getvalue())
        return
    tensors = {name: torch.from_numpy(values) for name, values in {"codes": found.codes, **labels}.items()}
    write_atomically(path, save(tensors, metadata={"names": json.dumps(found.names)}))
