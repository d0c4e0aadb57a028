"""Posteriors that are kept while several families of metrics go through the same images: the encoder runs once."""

from __future__ import annotations

from torch import Tensor

from zoo.models import Model
from zoo.models.likelihoods import Likelihood
from zoo.models.posteriors import Posterior
from zoo.models.priors import Prior

KEPT_BYTES = 2**28
"""The most memory that kept posteriors take; the batches after that are encoded each time."""


class KeptPosteriors:
    """The posteriors of the batches of one set of images, by the number of the batch."""

    def __init__(self) -> None:
        self.posteriors: dict[int, Posterior] = {}
        self.bytes = 0

    def keep(self, batch: int, posterior: Posterior) -> None:
        """Keep the posterior of a batch, if there is room and its size can be told from its attributes."""
        size = sum(value.nbytes for value in vars(posterior).values() if isinstance(value, Tensor))
        if 0 < size <= KEPT_BYTES - self.bytes:
            self.posteriors[batch] = posterior
            self.bytes += size


class EncodedModel:
    """A model whose posterior of one batch may be kept already.

    Args:
        model: the model, labels given.
        x: the images of the batch, (B, C, H, W) in [0, 1].
        batch: the number of the batch.
        kept: the posteriors so far.
    """

    def __init__(self, model: Model, x: Tensor, batch: int, kept: KeptPosteriors) -> None:
        self.model, self.x, self.batch, self.kept = model, x, batch, kept

    @property
    def training(self) -> bool:
        """True in training mode, False in eval mode."""
        return self.model.training

    @property
    def prior(self) -> Prior:
        """The prior p(z)."""
        return self.model.prior

    def encode(self, x: Tensor) -> Posterior:
        """Return q(z|x) of images (B, C, H, W) in [0, 1]."""
        if x is not self.x:
            return self.model.encode(x)
        if self.batch not in self.kept.posteriors:
            posterior = self.model.encode(x)
            self.kept.keep(self.batch, posterior)
            return posterior
        return self.kept.posteriors[self.batch]

    def decode(self, z: Tensor) -> Likelihood:
        """Return p(x|z) of codes (B, D)."""
        return self.model.decode(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the reconstructions of images (B, C, H, W) from the posterior's mean, all in [0, 1]."""
        return self.model.reconstruct(x)
