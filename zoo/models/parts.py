"""Convolutions over a batch in parts that a CPU's caches can hold."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

PIXELS_IN_CACHE = 80_000
"""The pixel values of the images that a decoder with convolutions makes at once: 102 images of MNIST, whose features in
``conv_vae`` take 2.6 MB. On two cores of an AMD EPYC, with 1 MB of cache each and 32 MB behind, 50 to 200 images were
fastest, and 2,000 up to a third slower."""


def decoded_in_parts(decoder: nn.Module, z: Tensor, *condition: Tensor, image_shape: tuple[int, ...]) -> Tensor:
    """Return ``decoder(z, *condition)``, (B, C, H, W), computed in parts where that is faster.

    It is so on a CPU without gradients, for decoders with convolutions: their features are much larger than the images.
    A product of matrices, as in a fully connected decoder, is fastest as a whole. What is traced is traced as a whole.
    """
    size = max(1, PIXELS_IN_CACHE // prod(image_shape))
    whole: Tensor
    if not _gains(decoder, z) or len(z) <= size:  # a size that is looked at while tracing would be fixed
        whole = decoder(z, *condition)
        return whole
    columns = (tensor.split(size) for tensor in (z, *condition))
    return torch.cat([decoder(*part) for part in zip(*columns, strict=True)])


def _gains(decoder: nn.Module, z: Tensor) -> bool:
    plain = z.device.type == "cpu" and not torch.is_grad_enabled()
    if not plain or torch.compiler.is_compiling() or decoder.training:
        return False
    return any(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in decoder.modules())
