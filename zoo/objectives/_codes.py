"""Distances between the codes of a batch and draws of the prior, and what they need of a model.

B images, D latent dimensions. The terms are of a batch as a whole, not of single images; where several processes share
a batch, of each one's part. What they estimate does not depend on the size of the batch; their noise does.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.autoencoder import Model
from zoo.models.numerics import at_least_float32, product_in_32_bits
from zoo.models.posteriors import DiagonalGaussian, Posterior
from zoo.models.priors import StandardNormal
from zoo.schema.base import ObjectiveConfig, Positive
from zoo.system.randomness import normal_like

Kernel = Literal["imq", "rbf"]


class KernelConfig(ObjectiveConfig):
    """Settings of an objective that compares codes with draws of the prior by the maximum mean discrepancy."""

    kernel: Kernel = Field(
        "imq",
        description="The kernel of MMD², a sum over scales s of functions of u = ‖z − z′‖² / (2Ds): `imq`, the inverse "
        "multiquadratic 1/(1 + u), or `rbf`, exp(−u).",
    )
    scales: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=32)] = Field(
        (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
        description="The scales s; two codes drawn from N(0, I) have u = 1 at s = 1, on average.",
    )


def prior_draws(model: Model, z: Tensor, objective: str) -> Tensor:
    """Draw as many codes (B, D) from the prior as there are in z.

    A prior that is fitted after training counts as N(0, I), which it is until then.

    Raises:
        ZooError: the codes are discrete, so that the prior has no density that they could be drawn towards.
    """
    if model.prior.num_codes:
        raise ZooError(
            f"the objective {objective!r} draws codes towards a continuous prior, and those of a codebook are "
            "discrete; train this variant with the objective 'vq', or choose one without a codebook"
        )
    if isinstance(model.prior, StandardNormal):
        return normal_like(z)
    return model.prior.sample(len(z)).to(z)


def gaussian(posterior: Posterior, objective: str) -> DiagonalGaussian:
    """Return the posterior if it is a diagonal Gaussian.

    Raises:
        ZooError: it is not, so that the densities of its dimensions are not known.
    """
    if isinstance(posterior, DiagonalGaussian):
        return posterior
    raise ZooError(
        f"the objective {objective!r} needs a Gaussian code, with a density in every dimension; choose a variational "
        "variant such as 'vae', or another objective"
    )


def mmd(z: Tensor, p: Tensor, config: KernelConfig) -> Tensor:
    """Estimate MMD² between the distributions that codes z and p, each (B, D), are drawn from, without bias.

    1/(B(B-1)) sum_{i≠j} [k(z_i, z_j) + k(p_i, p_j)] - 2/B² sum_{ij} k(z_i, p_j) (Gretton et al. 2012; Tolstikhin et al.
    2018, algorithm 2). It may be negative. A batch of one image has no pairs, and only the last term.
    """
    b = len(z)
    pairs = max(b * (b - 1), 1)
    within = [k.sum() - k.diagonal().sum() for k in (kernel(z, z, config), kernel(p, p, config))]
    return (within[0] + within[1]) / pairs - 2 * kernel(z, p, config).mean()


def kernel(a: Tensor, b: Tensor, config: KernelConfig) -> Tensor:
    """Return sum_s f(‖a_i - b_j‖² / (2Ds)) of codes a (A, D) and b (B, D): (A, B)."""
    a, b = at_least_float32(a), at_least_float32(b)
    with torch.autocast("cpu" if a.is_meta else a.device.type, enabled=False):
        products = product_in_32_bits(a, b.T)
    distances = (a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * products).clamp(min=0)
    total = torch.zeros_like(distances)
    for scale in config.scales:
        u = distances / (2 * a.shape[1] * scale)
        total = total + (1 / (1 + u) if config.kernel == "imq" else torch.exp(-u))
    return total


def sliced_wasserstein(z: Tensor, p: Tensor, directions: int) -> Tensor:
    """Estimate the squared sliced Wasserstein-2 distance between the distributions of codes z and p, each (B, D).

    The mean over random unit vectors theta_l of 1/B sum_i (sort(theta_l^T z)_i - sort(theta_l^T p)_i)² (Kolouri et al.
    2019, equation 15).
    """
    z, p = at_least_float32(z), at_least_float32(p)
    theta = normal_like(z[:1].expand(directions, -1))
    theta = theta / theta.norm(dim=1, keepdim=True)
    with torch.autocast("cpu" if z.is_meta else z.device.type, enabled=False):
        projected = [product_in_32_bits(codes, theta.T).sort(dim=0).values for codes in (z, p)]
    return (projected[0] - projected[1]).square().mean()
