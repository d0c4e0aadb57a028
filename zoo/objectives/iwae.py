r"""Bounds of M times K samples: log p(x) >= E[log 1/K sum_k p(x, z_k) / q(z_k|x)] (Burda et al. 2016), and its kin.

The mean over the K weights is taken before the logarithm, so the best of the samples counts most; K = 1 is the evidence
lower bound with a sampled KL term. The bound rises with K towards log p(x). MIWAE is the mean of M such bounds, CIWAE a
mean of the bound and the evidence lower bound of the same samples (Rainforth et al. 2018, equations 12 and 13).

.. math::
    \mathcal{L}(x) = -(1-\beta)\,\frac1M\sum_{m=1}^{M}\log\frac1K\sum_{k=1}^{K} w_{mk}
    - \beta\,\frac1{MK}\sum_{m,k}\log w_{mk}, \qquad w_{mk} = \frac{p(x|z_{mk})\,p(z_{mk})}{q(z_{mk}|x)}
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.errors import ZooError
from zoo.models.autoencoder import Autoencoder, Model
from zoo.models.bounds import reconstructions
from zoo.models.posteriors import DiagonalGaussian
from zoo.objectives import Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import ADDED_LATER, ImageShape, ObjectiveConfig


class IWAEConfig(ObjectiveConfig):
    """The importance-weighted bound with k samples of z for each image, m times."""

    name: Literal["iwae"] = "iwae"
    k: Annotated[int, Field(ge=1, le=10_000)] = Field(50, description="Samples of z in a bound.")
    m: Annotated[int, Field(ge=1, le=10_000), ADDED_LATER] = Field(
        1, description="The number of bounds for each image, whose mean is taken (MIWAE)."
    )
    beta: Annotated[float, Field(ge=0, le=1), ADDED_LATER] = Field(
        0.0, description="The weight of the evidence lower bound of the same samples; the bound has the rest (CIWAE)."
    )
    gradient: Annotated[Literal["plain", "stl", "dreg"], ADDED_LATER] = Field(
        "plain",
        description="The gradient of the encoder: `plain`; `stl` without the part of log q that is 0 in the mean for "
        "k = 1 (Roeder et al. 2017); `dreg`, doubly reparameterised, for any k (Tucker et al. 2019).",
    )


@register_objective(
    config=IWAEConfig,
    paper="Burda, Grosse & Salakhutdinov 2016, Importance Weighted Autoencoders, arXiv:1509.00519, equation 8; "
    "Rainforth et al. 2018, arXiv:1802.04537",
)
class IWAE(Objective):
    """The loss is -log 1/K sum_k w_k with w_k = p(x|z_k) p(z_k) / q(z_k|x), in nats per image."""

    def __init__(self, config: IWAEConfig) -> None:
        super().__init__()
        self.config, self.k, self.m = config, config.k, config.m

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        """Check that every sample has a gradient of its own where the gradient `dreg` scales it.

        Raises:
            ZooError: the samples of a batch share a variance or the statistics of BatchNorm.
        """
        if self.config.gradient != "dreg" or not isinstance(model, Autoencoder):
            return
        if model.likelihood.of_batch:
            raise ZooError(
                "the gradient 'dreg' scales that of each sample, and this likelihood has one variance for a batch; "
                "choose the variance 'shared' or 'per_pixel', or the gradient 'plain'"
            )
        if any(isinstance(module, _BatchNorm) and not _frozen(module) for module in model.decoder.modules()):
            raise ZooError(
                "the gradient 'dreg' scales that of each sample, and BatchNorm in the decoder mixes those of a batch; "
                "choose a network without it, or the gradient 'plain'"
            )

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss`` and the means over samples of ``reconstruction``, -log p(x|z), and ``kl``, log q(z|x) / p(z).

        For K > 1 the loss is less than the sum of the two.

        Raises:
            ZooError: the posterior has no density of its own for the gradients `stl` and `dreg`, or `dreg` cannot see
                the gradients of the samples, as where several models are trained as one.
        """
        posterior = model.encode(x)
        z, log_q = posterior.draw(self.m * self.k)  # (M*K, B, D)
        if self.config.gradient != "plain":
            if type(posterior) is not DiagonalGaussian:
                raise ZooError(f"the gradient {self.config.gradient!r} needs a gaussian posterior; choose 'plain'")
            # The parameters of q act through the samples alone.
            log_q = DiagonalGaussian(posterior.mu.detach(), posterior.logvar.detach()).log_prob(z)
        reconstruction = reconstructions(model, x, z)
        kl = log_q - model.prior.log_prob(z)
        log_w = (-reconstruction - kl).unflatten(0, (self.m, self.k))  # (M, K, B)
        bound = torch.logsumexp(log_w, dim=1) - math.log(self.k)
        if self.config.gradient == "dreg" and not z.requires_grad and is_functorch_wrapped_tensor(z):
            raise ZooError(
                "the gradient 'dreg' changes those of the samples, which are hidden where models are stacked"
            )
        if self.config.gradient == "dreg" and z.requires_grad:
            weights = torch.softmax(log_w.detach(), dim=1).flatten(0, 1)  # (M*K, B)
            factors = doubly_reparameterised(weights, self.k, self.config.beta)
            z.register_hook(lambda gradient: factors[..., None] * gradient)
        loss = -bound.mean()
        if self.config.beta:
            loss = (1 - self.config.beta) * loss - self.config.beta * log_w.mean()
        return {"loss": loss, "reconstruction": reconstruction.mean(), "kl": kl.mean()}


def _frozen(module: nn.Module) -> bool:
    """Return whether a module has parameters, and none of them is trained: then it stays in eval mode."""
    needs = [parameter.requires_grad for parameter in module.parameters()]
    return bool(needs) and not any(needs)


def doubly_reparameterised(weights: Tensor, k: int, beta: float) -> Tensor:
    """Return the factors that make of the gradients of samples z, with normalised weights w, those of DReG.

    The bound's part of a gradient, (1 - beta) w, becomes (1 - beta) w²; that of the ELBO, beta/K, stays.
    """
    if not beta:
        return weights
    bound, elbo = (1 - beta) * weights, beta / k
    return (bound * weights + elbo) / (bound + elbo)
