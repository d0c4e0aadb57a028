"""2-d convolutions as slices and one matrix product: torch's layers with the same weights and results.

With a few dozen channels, a library's gradient kernels leave a GPU mostly idle and do not overlap when several models
train at once. Slices, sums and a product do, and ``torch.compile`` fuses the slices and sums with their neighbours.
Images are (B, H, W, C) in this module: the channels of a pixel are then consecutive, and a row of the product.

Source: Chellapilla et al. 2006, "High Performance Convolutional Neural Networks for Document Processing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from math import ceil
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Convolution: TypeAlias = nn.Conv2d | nn.ConvTranspose2d


class GemmConv2d(nn.Conv2d):
    """``nn.Conv2d`` computed as the pixels under the kernel times the weight.

    A layer that is not :func:`expressible_as_gemm` runs as torch's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve images (B, C, H, W) or (C, H, W), in any memory format, to (B, O, H', W') or (O, H', W').

        The result is channels last in memory.
        """
        if not expressible_as_gemm(self):
            return super().forward(input)
        (kh, kw), (sh, sw), (ph, pw) = self.kernel_size, self.stride, map(int, self.padding)
        image = F.pad(input.movedim(-3, -1), (0, 0, pw, pw, ph, ph))
        h, w = image.shape[-3:-1]
        if h < kh or w < kw:
            return super().forward(input)  # which raises an error
        offsets = [(i, j) for i in range(kh) for j in range(kw)]
        slices = [image[..., i : h - kh + i + 1 : sh, j : w - kw + j + 1 : sw, :] for i, j in offsets]
        # More than 8 slices become one kernel only with the option force_pointwise_cat of torch.compile.
        image = torch.cat(slices, dim=-1)  # (B, H', W', kh kw C)
        out = product(image.flatten(0, -2), self.weight.permute(2, 3, 1, 0).flatten(0, 2))  # (B H' W', O)
        return add_bias(out.unflatten(0, image.shape[:-1]), self.bias)


class GemmConvTranspose2d(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` computed as pixels times the weight, summed where they overlap.

    A layer that is not :func:`expressible_as_gemm` runs as torch's.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve images (B, C, H, W) or (C, H, W), in any memory format, to (B, O, H', W') or (O, H', W').

        The result is channels last in memory.
        """
        if not expressible_as_gemm(self):
            return super().forward(input, output_size)
        (kh, kw), (sh, sw), (ph, pw) = self.kernel_size, self.stride, map(int, self.padding)
        eh, ew = self._output_padding(input, output_size, [sh, sw], [ph, pw], [kh, kw], 2)
        image = input.movedim(-3, -1)
        h, w = image.shape[-3:-1]
        # The kernel is cut into pieces as long as the stride s, the last one padded with zeros. Piece t of pixel n
        # covers the s outputs from s * (n + t) on, all of them: shifted by t, the pieces add up, and nothing scatters.
        th, tw = ceil((kh + eh) / sh), ceil((kw + ew) / sw)
        weight = F.pad(self.weight, (0, tw * sw - kw, 0, th * sh - kh)).unflatten(-1, (tw, sw)).unflatten(-3, (th, sh))
        pieces = product(image.flatten(0, -2), weight.permute(0, 2, 4, 3, 5, 1).flatten(1))  # (B H W, th tw sh sw O)
        pieces = pieces.unflatten(-1, (th * tw, sh, sw, -1)).unflatten(0, image.shape[:-1])
        shifts = [(u, tw - 1 - u, t, th - 1 - t) for t in range(th) for u in range(tw)]
        shifted = [F.pad(piece, (0, 0) * 3 + by) for piece, by in zip(pieces.unbind(-4), shifts, strict=True)]
        out = reduce(torch.add, shifted).transpose(-4, -3)  # (B, H + th - 1, sh, W + tw - 1, sw, O)
        out = out.flatten(-5, -4).flatten(-3, -2)  # the padding not yet cut off
        out = out.narrow(-3, ph, (h - 1) * sh - 2 * ph + kh + eh).narrow(-2, pw, (w - 1) * sw - 2 * pw + kw + ew)
        return add_bias(out, self.bias)


def product(rows: Tensor, weight: Tensor, splits: int | None = None) -> Tensor:
    """Return ``rows @ weight``, (P, K) times (K, N), as one product for each of ``splits`` equal parts of the rows.

    The gradient of the weight is a small matrix and a sum over very many rows, which one product leaves to a few blocks
    of a GPU. Each part gets a partial gradient here, and expanding the weight makes autograd add them up: split-K.

    ``splits`` must divide P; None stands for :func:`splits_for` on CUDA and 1 elsewhere.
    """
    if splits is None:
        splits = splits_for(rows.shape[0]) if rows.is_cuda else 1
    if splits == 1:
        return rows @ weight
    return torch.bmm(rows.unflatten(0, (splits, -1)), weight.expand(splits, -1, -1)).flatten(0, 1)


def splits_for(rows: int) -> int:
    """Return the largest power of two, at most 128, that divides the rows into parts of at least 256, or 1.

    On an H200 that was fastest: 23 ms less for an epoch of ``conv_vae_mnist`` than parts of 1024, at most 16 of them
    (docs/performance.md).
    """
    for splits in (128, 64, 32, 16, 8, 4, 2):
        if rows % splits == 0 and rows >= MIN_PART_ROWS * splits:
            return splits
    return 1


def add_bias(image: Tensor, bias: Tensor | None) -> Tensor:
    """Add the bias (C,) to an image (B, H, W, C), in its dtype as under autocast, and return it as (B, C, H, W)."""
    if bias is not None:
        image = image + bias.to(image.dtype)  # outside the product, so that a compiler fuses it with the activation
    return image.contiguous().movedim(-1, -3)


def expressible_as_gemm(layer: Convolution) -> bool:
    """Return whether a product expresses the layer: it has one group, no dilation, and a fixed border of zeros."""
    plain = layer.groups == 1 and layer.dilation == (1, 1)
    return plain and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def gemm_is_faster(layer: Convolution) -> bool:
    """Return whether the product is faster than the library on a GPU: at strides above 1.

    At stride 1 it handles k * k copies of every pixel: 64 and 225 in ``bn_vae``, where the library is faster.
    """
    return max(layer.stride) > 1


MIN_PART_ROWS = 256
"""The fewest rows of a part of a split product."""

GEMM_CLASSES: dict[type[Convolution], type[Convolution]] = {
    nn.Conv2d: GemmConv2d,
    nn.ConvTranspose2d: GemmConvTranspose2d,
}
"""torch's class of each convolution and the class that computes it as a product."""


@contextmanager
def using_gemm(model: nn.Module, which: Callable[[Convolution], bool] = expressible_as_gemm) -> Iterator[None]:
    """Compute the convolutions that ``which`` accepts as products while the context is active; see :func:`use_gemm`."""
    library = {layer: type(layer) for layer in model.modules() if isinstance(layer, Convolution)}
    use_gemm(model, which=which)
    try:
        yield
    finally:
        for layer, kind in library.items():
            layer.__class__ = kind


def use_gemm(model: nn.Module, on: bool = True, which: Callable[[Convolution], bool] = expressible_as_gemm) -> int:
    """Switch a model's convolutions in place to the product, or with ``on=False`` back to torch's computation.

    A layer is switched if it is :func:`expressible_as_gemm`, ``which`` accepts it, and its class is torch's and not
    derived from it. Only that class changes: parameters, state dict, hooks and any optimizer of the model stay.

    Returns:
        The number of layers switched.
    """
    classes = GEMM_CLASSES if on else {gemm: library for library, gemm in GEMM_CLASSES.items()}
    switched = 0
    for layer in model.modules():
        if isinstance(layer, Convolution) and type(layer) in classes and expressible_as_gemm(layer) and which(layer):
            layer.__class__ = classes[type(layer)]
            switched += 1
    return switched
