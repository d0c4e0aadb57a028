"""The choice of how a model's convolutions are computed: the memory layout, and library calls or one matrix product.

No choice changes the weights, their names or the function that the model computes.
"""

from __future__ import annotations

from typing import Literal

import torch

from zoo.models.autoencoder import Autoencoder
from zoo.training.gemm_convolutions import Convolution, gemm_is_faster, use_gemm

ConvBackend = Literal["auto", "contiguous", "channels_last", "gemm"]


def with_conv_backend(model: Autoencoder, backend: ConvBackend) -> Autoencoder:
    """Return the model with its convolutions computed as the recipe says; it must be on its device already."""
    if backend == "auto":
        backend = fastest(model)
    if backend == "contiguous":
        return model
    if backend == "gemm":
        use_gemm(model, which=gemm_is_faster)
    converted: Autoencoder = model.to(memory_format=torch.channels_last)
    return converted


def fastest(model: Autoencoder) -> ConvBackend:
    """Return the fastest backend for such a model on its device; docs/performance.md says how far that is measured."""
    if model.device.type != "cuda":
        return "contiguous"
    convolutions = [module for module in model.modules() if isinstance(module, Convolution)]
    return "gemm" if all(map(gemm_is_faster, convolutions)) else "channels_last"
