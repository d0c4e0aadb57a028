"""How a model's convolutions are computed: which memory layout, and whether as a library call or one matrix product.

Every choice leaves the weights, their names and the function as they are.
"""

from __future__ import annotations

from typing import Literal

import torch

from zoo.autoencoder import Autoencoder
from zoo.convolutions import Convolution, through_gemm, worthwhile

Layout = Literal["auto", "contiguous", "channels_last", "gemm"]


def laid_out(model: Autoencoder, layout: Layout) -> Autoencoder:
    """The model, on its device, with its convolutions as the recipe wants them."""
    if layout == "auto":
        layout = fastest(model)
    if layout == "contiguous":
        return model
    if layout == "gemm":
        through_gemm(model, which=worthwhile)
    laid: Autoencoder = model.to(memory_format=torch.channels_last)
    return laid


def fastest(model: Autoencoder) -> Layout:
    """The fastest for models of this kind on this kind of device; docs/performance.md says how far that is measured."""
    if model.device.type != "cuda":
        return "contiguous"
    convolutions = [module for module in model.modules() if isinstance(module, Convolution)]
    return "gemm" if all(map(worthwhile, convolutions)) else "channels_last"
