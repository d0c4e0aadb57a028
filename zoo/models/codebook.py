"""Vector quantisation: codes that are taken from a codebook (van den Oord et al. 2017, arXiv:1711.00937).

The codebook belongs to the prior: every position of a code takes one of its K vectors, all equally likely. It follows
the encoder's output by exponential moving averages (section A.1) and gets no gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from zoo.models.inputs import check_numbers
from zoo.models.noise import NoiseSource
from zoo.models.numerics import at_least_float32, product_in_32_bits
from zoo.models.priors import Prior
from zoo.system.collectives import all_reduce, broadcast, several
from zoo.system.randomness import integers_below, sampling

EPSILON = 1e-5
"""The number added to the count of each vector (Laplace smoothing), so that nothing is divided by zero; a vector
that has not been used for so long that its own count is about this small shrinks towards zero."""


@dataclass(frozen=True)
class Quantized:
    """A posterior with all its mass on one of K vectors of D dimensions, at each of h*w positions."""

    stochastic: ClassVar[bool] = True  # a point mass, but among finitely many: it has a probability and a KL

    features: Tensor  # (B, D, h, w), the encoder's output
    indices: Tensor  # (B, h, w), of the nearest vectors
    vectors: Tensor  # (B, D, h, w), these vectors
    size: int  # K

    @property
    def mean(self) -> Tensor:
        """The vectors, (B, D*h*w); gradients pass straight through to the features."""
        return (self.features + (self.vectors - self.features).detach()).flatten(1)

    @property
    def code(self) -> Tensor:
        """The indices, (B, h, w)."""
        return self.indices

    @staticmethod
    def usage(codes: Tensor) -> dict[str, float]:
        """Return the ``perplexity`` of indices (N, h, w): exp of the entropy of the vectors' shares of them."""
        counts = torch.bincount(codes.flatten().cpu()).double()  # MPS has no float64
        share = counts[counts > 0] / counts.sum()
        return {"perplexity": math.exp(-float((share * share.log()).sum()))}

    def rsample(self, *shape: int, noise: NoiseSource | None = None) -> Tensor:
        """Repeat the mean, as there is nothing to draw: (*shape, B, D*h*w)."""
        check_numbers(shape)
        return self.mean.expand(*shape, *self.mean.shape)

    def draw(self, *shape: int, noise: NoiseSource | None = None) -> tuple[Tensor, Tensor]:
        """Repeat the mean and the logarithm of its probability, 0: (*shape, B, D*h*w) and (*shape, B)."""
        z = self.rsample(*shape)
        return z, z.new_zeros(z.shape[:-1])

    def kl_per_dimension(self, prior: Prior) -> Tensor | None:
        """Return log(K) for each position, the KL against the uniform prior: (B, h*w) nats."""
        return self.features.new_full((len(self.indices), prod(self.indices.shape[1:])), math.log(self.size))

    def log_prob(self, z: Tensor) -> Tensor:
        """Return 0 for the code itself, else minus infinity: (..., B, D*h*w) → (..., B) nats."""
        same = torch.isclose(z, self.vectors.flatten(1), atol=1e-5).all(dim=-1)
        return torch.where(same, 0.0, -math.inf)

    def commitment(self) -> Tensor:
        """Return the squared distance of the features from their vectors, which get no gradient: (B,)."""
        return (self.features - self.vectors.detach()).square().flatten(1).sum(dim=1)


class Codebook(Prior):
    """K vectors of D dimensions, and the uniform prior over those at h*w positions.

    Args:
        size: the number K of vectors.
        dim: the number D of dimensions of each vector.
        grid: the height and width (h, w) of a code, in vectors.
        decay: the decay of the moving averages, per step.
        restart_below: a vector that is used less than this share of the average is moved to where a feature is
            (Dhariwal et al. 2020, arXiv:2005.00341, section 3.1); at the first step, when none has been used, most are.
    """

    vectors: Tensor  # (K, D)
    counts: Tensor  # (K,), moving average of how many features were nearest to each vector
    sums: Tensor  # (K, D), moving average of the sum of these features

    def __init__(self, size: int, dim: int, grid: tuple[int, int], decay: float, restart_below: float) -> None:
        super().__init__(dim * grid[0] * grid[1])
        self.num_codes, self.dim, self.index_shape, self.decay = size, dim, grid, decay
        self.restart_below = restart_below
        vectors = torch.empty(size, dim).uniform_(-1 / size, 1 / size)
        self.register_buffer("vectors", vectors)
        self.register_buffer("counts", torch.full((size,), EPSILON))
        self.register_buffer("sums", EPSILON * vectors)

    def quantize(self, features: Tensor) -> Quantized:
        """Return the nearest vectors to features (B, D, h, w); in training mode the codebook moves towards them."""
        features = at_least_float32(features)
        with torch.no_grad(), torch.autocast("cpu" if features.is_meta else features.device.type, enabled=False):
            flat = features.permute(0, 2, 3, 1).reshape(-1, self.dim)  # (B*h*w, D): a code is a vector of channels
            vectors = at_least_float32(self.vectors)
            # |flat|^2 is left out: (B*h*w, K)
            distances = vectors.square().sum(dim=1) - product_in_32_bits(2 * flat, vectors.T)
            nearest = distances.argmin(dim=1)
            chosen = vectors[nearest]
            if self.training:
                self.ema_update(flat, nearest)
        b, _, h, w = features.shape
        quantized = chosen.reshape(b, h, w, self.dim).permute(0, 3, 1, 2)
        return Quantized(features, nearest.reshape(b, h, w), quantized, self.num_codes)

    def ema_update(self, flat: Tensor, nearest: Tensor) -> None:
        """Move the averages one step, with features (N, D) and the indices (N,) of their nearest vectors."""
        # A matrix product instead of index_add: on CUDA it gives the same bits every time.
        chosen = (nearest[:, None] == torch.arange(self.num_codes, device=nearest.device)).to(flat)  # (N, K)
        moved = chosen.T @ torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)  # (K, D + 1)
        if several():  # every process of a run keeps the same codebook
            all_reduce(moved)
        # copied, since vmap runs lerp_ model by model
        self.sums.copy_(torch.lerp(self.sums, moved[:, :-1], 1 - self.decay))
        self.counts.copy_(torch.lerp(self.counts, moved[:, -1], 1 - self.decay))
        if self.restart_below:
            self.restart_unused(flat)
        total = self.counts.sum()
        smoothed = (self.counts + EPSILON) / (total + self.num_codes * EPSILON) * total
        self.vectors.copy_(self.sums / smoothed[:, None])

    def restart_unused(self, flat: Tensor) -> None:
        """Put the vectors that are hardly used where some of the features (N, D) are."""
        chosen = flat[integers_below(len(flat), (self.num_codes,), flat.device)]  # (K, D)
        if several():
            broadcast(chosen)
        threshold = self.restart_below * self.counts.mean()
        unused = self.counts < threshold
        self.sums.copy_(torch.where(unused[:, None], threshold * chosen, self.sums))
        self.counts.copy_(torch.where(unused, threshold, self.counts))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw a vector for every position, all equally likely: (n, D*h*w)."""
        with sampling(generator) as (generator, device):
            indices = torch.randint(self.num_codes, (n, *self.index_shape), generator=generator, device=device)
        return self.decode_indices(indices)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return -h*w*log(K) for codes that consist of its vectors: (..., D*h*w) → (...) nats."""
        return z.new_full(z.shape[:-1], -prod(self.index_shape) * math.log(self.num_codes))

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Turn indices (n, h, w) into codes (n, D*h*w)."""
        return self.vectors[indices.to(self.vectors.device)].permute(0, 3, 1, 2).flatten(1)
