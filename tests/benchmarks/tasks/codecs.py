"""Compression: bits and distortion of test images as codes, as PNG and as JPEG."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

import zoo
from zoo.datasets import load_images
from zoo.inference.file_stream import trained_on
from zoo.inference.image_stream import open_images
from zoo.tasks.compression import compress

GAUSSIAN = ("ae_mnist", "linear_vae_mnist", "conv_vae_mnist")
QUANTISED = ("vq_vae_fashion_mnist",)
STEPS = (0.125, 0.25, 0.5, 1.0, 2.0)
QUALITIES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)

Row = dict[str, Any]


def compression() -> Iterator[Row]:
    """Models at every step, then PNG and JPEG on the same images."""
    datasets = {}
    for name in (*GAUSSIAN, *QUANTISED):
        model = zoo.load(name)
        own = trained_on(model)
        datasets[own.name] = own
        for step in STEPS if name in GAUSSIAN else (None,):
            found = compress(model, open_images(own.name, model), step or 1.0)
            yield {"images": own.name, "coder": name, "step": step, "bits": found.bits_per_image, "mse": found.mse}
    for dataset, config in datasets.items():
        images = load_images(config, "test").images
        for together in (False, True):
            for quality in (None, *QUALITIES):
                yield {"images": dataset, "quality": quality, "together": together, **pillow(images, quality, together)}


def pillow(images: Tensor, quality: int | None, together: bool) -> Row:
    """Images (10000, 1, 28, 28) as JPEG, or as PNG without a quality: a file each, or all of them in one sheet, which
    spares the headers.
    """
    coder, options = ("PNG", {"optimize": True}) if quality is None else ("JPEG", {"quality": quality})
    sheets = [images.reshape(100, 100, 28, 28).permute(0, 2, 1, 3).reshape(2800, 2800)] if together else images[:, 0]
    size, squared = 0, 0.0
    for sheet in sheets:
        buffer = io.BytesIO()
        to_pil_image(sheet).save(buffer, coder.lower(), **options)
        size += len(buffer.getvalue())
        back = np.asarray(Image.open(buffer), dtype=np.float64)
        squared += float((((back - sheet.numpy()) / 255) ** 2).sum())
    return {"coder": coder, "bits": 8 * size / len(images), "mse": squared / images.numel()}


def at_distortion(mse: float, curve: list[Row]) -> float | None:
    """Bits of a codec at this distortion, between the two qualities around it; none beyond them."""
    ordered = sorted(curve, key=lambda row: row["mse"])
    errors, bits = ([row[column] for row in ordered] for column in ("mse", "bits"))
    if not errors[0] <= mse <= errors[-1]:
        return None
    return float(np.exp(np.interp(np.log(mse), np.log(errors), np.log(bits))))
