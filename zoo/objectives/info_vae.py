r"""The InfoVAE: the KL of each image's code and the MMD of all codes together, weighed against each other.

The KL of single images takes information out of the code; what samples need is only that all codes together have the
prior's distribution. So the one has a weight of its own, and the other is measured by MMD, over the codes of a batch
and as many draws of the prior (Zhao et al. 2019, equation 6). alpha = 0 and lambda = 1 is the negative ELBO, alpha = 1
a Wasserstein autoencoder with a Gaussian encoder, alpha = 1 - beta and lambda = beta a beta-VAE.

.. math::
    \mathcal{L} = -\mathbb{E}_q[\log p(x|z)] + (1-\alpha)\,\mathrm{KL}\big(q(z|x)\,\|\,p(z)\big)
    + (\alpha+\lambda-1)\,\mathrm{MMD}^2\big(q(z),\, p(z)\big)

One z of each image serves for all terms. MMD² is the unbiased estimate of `wae_mmd`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from zoo.models.autoencoder import Model
from zoo.models.bounds import drawn_with_rate
from zoo.objectives import Objective, Terms
from zoo.objectives._codes import KernelConfig, gaussian, mmd, prior_draws
from zoo.registry import register_objective
from zoo.schema.base import Positive


class InfoVAEConfig(KernelConfig):
    """Negative ELBO with a weight on the KL, and the maximum mean discrepancy between codes and the prior."""

    name: Literal["info_vae"] = "info_vae"
    alpha: Annotated[float, Field(ge=-1e6, le=1)] = Field(
        0.0, description="The weight α of the information between image and code; the KL has the weight 1 − α."
    )
    weight: Positive = Field(
        1000.0, description="The weight λ of the divergence of all codes from the prior; MMD² has the weight α + λ − 1."
    )

    @model_validator(mode="after")
    def _draws_codes_to_the_prior(self) -> Self:
        if self.alpha + self.weight < 1:
            raise ValueError(
                f"alpha + weight is {self.alpha + self.weight:g}: below 1, codes would be driven away from the prior; "
                "raise one of them"
            )
        return self


@register_objective(
    config=InfoVAEConfig,
    paper="Zhao, Song & Ermon 2019, InfoVAE, arXiv:1706.02262, equation 6",
)
class InfoVAE(Objective):
    """The loss is reconstruction + (1 - alpha) * kl + (alpha + weight - 1) * mmd; mmd is of the batch."""

    unit = "nats per image; mmd of a batch"
    of_batch = True

    def __init__(self, config: InfoVAEConfig) -> None:
        super().__init__()
        self.config, self.trains_prior = config, config.alpha < 1

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss``, ``reconstruction`` (-log p(x|z)), the unweighted ``kl`` and ``mmd`` (MMD²).

        Raises:
            ZooError: the code is not Gaussian.
        """
        posterior = gaussian(model.encode(x), "info_vae")
        z, kls = drawn_with_rate(posterior, model.prior)
        reconstruction, kl = -model.decode(z).log_prob(x).mean(), kls.sum(dim=1).mean()
        found = mmd(z, prior_draws(model, z, "info_vae"), self.config)
        alpha, weight = self.config.alpha, self.config.weight
        loss = reconstruction + (1 - alpha) * kl + (alpha + weight - 1) * found
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "mmd": found}
