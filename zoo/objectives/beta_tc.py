r"""The beta-TC-VAE: the KL term in three parts, each with a weight of its own (Chen et al. 2018, equations 2 and 4).

The KL of a VAE is the mutual information of image and code, the total correlation of the code's dimensions, and the
divergence of each dimension from the prior. More weight on the total correlation alone asks for independent dimensions,
and not for less information. With all weights 1 the parts add up to log q(z|x) - log p(z), whatever the estimate of
q(z) is.

.. math::
    \mathcal{L} = -\mathbb{E}_q[\log p(x|z)]
    + \alpha\,\mathbb{E}\Big[\log\frac{q(z|x)}{q(z)}\Big]
    + \beta\,\mathbb{E}\Big[\log\frac{q(z)}{\prod_d q(z_d)}\Big]
    + \gamma\,\mathbb{E}\Big[\log\frac{\prod_d q(z_d)}{p(z)}\Big]

q(z) = 1/N sum_n q(z|x_n), over all N training images, is estimated from the B images of a batch, of which one is the
image that z was drawn from. Minibatch weighted sampling (`mws`) is too low, by log B where posteriors are narrow and by
up to log N where they overlap, as they do in single dimensions; the total correlation comes out too high:

.. math::
    \log q(z_i) \approx \log\sum_{j=1}^{B} q(z_i|x_j) - \log(NB)

Minibatch stratified sampling (`mss`, appendix C.2) gives the image itself the weight 1/N, one other (N - B + 1) / (N (B
- 1)), and the rest 1 / (B - 1). On dSprites the authors have D = 10, beta = 6 and batches of 2,048.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.autoencoder import Model
from zoo.models.numerics import LOG_2PI
from zoo.models.posteriors import DiagonalGaussian
from zoo.objectives import Objective, Terms
from zoo.objectives._codes import gaussian
from zoo.registry import register_objective
from zoo.schema.base import ImageShape, NonNegative, ObjectiveConfig


class BetaTCConfig(ObjectiveConfig):
    """Negative ELBO whose KL is split into mutual information, total correlation and dimension-wise KL."""

    name: Literal["beta_tc"] = "beta_tc"
    alpha: NonNegative = Field(1.0, description="The weight of the mutual information of image and code.")
    beta: NonNegative = Field(
        6.0, description="The weight of the total correlation; more asks for independent dimensions."
    )
    gamma: NonNegative = Field(1.0, description="The weight of the dimension-wise KL.")
    estimator: Literal["mws", "mss"] = Field(
        "mws",
        description="The estimate of q(z) from a batch: `mws`, minibatch weighted sampling, or `mss`, minibatch "
        "stratified sampling.",
    )


@register_objective(
    config=BetaTCConfig,
    paper="Chen, Li, Grosse & Duvenaud 2018, Isolating Sources of Disentanglement in VAEs, arXiv:1802.04942",
)
class BetaTC(Objective):
    """The loss is reconstruction + alpha * MI + beta * TC + gamma * DWKL, in nats per image."""

    of_batch = True

    def __init__(self, config: BetaTCConfig) -> None:
        super().__init__()
        self.config, self.trains_prior = config, config.gamma > 0
        self.images = 0

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        """Note the number N of training images."""
        self.images = images

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction``, ``mutual_information``, ``total_correlation`` and ``dimensionwise_kl``.

        Raises:
            ZooError: the code is not Gaussian, or the objective has not been set up.
        """
        if not self.images:
            raise ZooError("beta_tc needs the number of training images; call objective.setup(model, shape, images)")
        posterior = gaussian(model.encode(x), "beta_tc")
        z = posterior.rsample()
        reconstruction = -model.decode(z).log_prob(x).mean()
        weights = log_weights(len(x), self.images, self.config.estimator, z)
        densities = log_densities(z, posterior)
        log_q = torch.logsumexp(densities.sum(dim=2) + weights, dim=1)
        log_q_each = torch.logsumexp(densities + weights[:, :, None], dim=1).sum(dim=1)
        parts = {
            "mutual_information": (posterior.log_prob(z) - log_q).mean(),
            "total_correlation": (log_q - log_q_each).mean(),
            "dimensionwise_kl": (log_q_each - model.prior.log_prob(z)).mean(),
        }
        weighed = zip((self.config.alpha, self.config.beta, self.config.gamma), parts.values(), strict=True)
        loss = reconstruction + sum(weight * part for weight, part in weighed)
        return {"loss": loss, "reconstruction": reconstruction, **parts}


def log_densities(z: Tensor, posterior: DiagonalGaussian) -> Tensor:
    """Return log q(z_id | x_j) of code i under the posterior of image j, in dimension d: (B, B, D)."""
    mu, logvar = posterior.mu, posterior.logvar
    return -0.5 * ((z[:, None] - mu).square() * torch.exp(-logvar) + logvar + LOG_2PI)


def log_weights(batch: int, images: int, estimator: str, like: Tensor) -> Tensor:
    """Return the logarithm of the weight of image j in the estimate of q(z_i): (B, B), in the dtype of ``like``.

    More images in a batch than in training, as there may be among test images, count as all there are; alone in a
    batch, an image is taken for the only one.
    """
    b, n = batch, max(images, batch)
    if b == 1:
        return like.new_zeros(1, 1)
    if estimator == "mws":
        return like.new_full((b, b), -math.log(n * b))
    index = torch.arange(b, device=like.device)
    others = (index[None, :] - index[:, None]) % b  # 0 for the image itself, 1 for the next one
    log_own, log_next, log_rest = -math.log(n), math.log((n - b + 1) / (n * (b - 1))), -math.log(b - 1)
    rest = like.new_full((b, b), log_rest)
    return rest.masked_fill(others == 0, log_own).masked_fill(others == 1, log_next)
