r"""Corruption: in training the encoder gets a changed image, and the target stays as it is (Vincent et al. 2008).

To undo the change, the code has to hold what neighbouring pixels say about each other, and not the pixels themselves. A
new change is drawn in every step. Images are encoded as they are once training is over.

.. math::
    \mathcal{L}(x) = \mathcal{L}\big(x;\ z(\tilde x)\big), \qquad \tilde x \sim \pi(\tilde x|x)
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zoo.augmentations import Augmentations
from zoo.models.autoencoder import Model
from zoo.models.likelihoods import Likelihood
from zoo.models.posteriors import Posterior
from zoo.models.priors import Prior


class Corrupted:
    """A model whose encoder gets changed images, drawn anew at every call."""

    def __init__(self, model: Model, corrupt: Augmentations) -> None:
        self.model, self.corrupt = model, corrupt

    @property
    def training(self) -> bool:
        """True in training mode."""
        return self.model.training

    @property
    def prior(self) -> Prior:
        """The prior p(z)."""
        return self.model.prior

    def encode(self, x: Tensor) -> Posterior:
        """Return q(z|x~) of changed images x~ of x (B, C, H, W)."""
        return self.model.encode(self.corrupt(x))

    def encode_visible(self, x: Tensor, visible: Tensor) -> Posterior:
        """Return q(z|x~) of the visible pixels of changed images, where the model can be told which these are."""
        seeing: Any = self.model
        posterior: Posterior = seeing.encode_visible(self.corrupt(x), visible)
        return posterior

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) of codes (B, D)."""
        return self.model.decode(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the reconstructions of images (B, C, H, W) as they are."""
        return self.model.reconstruct(x)
