"""How a model's convolutions are computed: which memory layout, and whether as a library call or one matrix product.

Every choice leaves the weights, their names and the function as they are.
"""

from __future__ import annotations

from typing import Literal

import torch

from zoo.models.autoencoder import Autoencoder
from zoo.training.gemm_convolutions import Convolution, gemm_is_faster, use_gemm

ConvBackend = Literal["auto", "contiguous", "channels_last", "gemm"]


def with_conv_backend(model: Autoencoder, backend: ConvBackend) -> Autoencoder:
    """Return the model, on its device, with its convolutions computed as the recipe wants them."""
    if backend == "auto":
        backend = fastest(model)
    if backend == "contiguous":
        return model
    if backend == "gemm":
        use_gemm(model, which=gemm_is_faster)
    laid: Autoencoder = model.to(memory_format=torch.channels_last)
    return laid


def fastest(model: Autoencoder) -> ConvBackend:
    """Return the fastest for such models on such a device; docs/performance.md says how far that is measured."""
    if model.device.type != "cuda":
        return "contiguous"
    convolutions = [module for module in model.modules() if isinstance(module, Convolution)]
    return "gemm" if all(map(gemm_is_faster, convolutions)) else "channels_last"
