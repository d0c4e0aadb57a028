r"""Patches of the image are hidden, and only they count (He et al. 2021).

To fill in what is hidden, the code has to hold what the visible patches say about the whole image. Which patches are
seen is drawn anew for every image; their number is exact. Visible pixels have no part in the loss.

.. math::
    \mathcal{L}(x) = \sum_{i\ \text{hidden}} (x_i - \hat x_i)^2
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.autoencoder import Model
from zoo.objectives import Objective, Terms
from zoo.registry import register_objective
from zoo.schema.base import ImageShape, ObjectiveConfig, Size
from zoo.system.randomness import uniform_like


class MaskedConfig(ObjectiveConfig):
    """Squared error of hidden patches, which the encoder does not see."""

    name: Literal["masked"] = "masked"
    patch: Size = Field(4, description="Side of a patch, in pixels.")
    share: Annotated[float, Field(gt=0, lt=1)] = Field(0.75, description="The share of the patches that are hidden.")


@register_objective(
    config=MaskedConfig, paper="He et al. 2021, Masked Autoencoders Are Scalable Vision Learners, arXiv:2111.06377"
)
class Masked(Objective):
    """The loss is the squared error of the hidden pixels, summed per image."""

    unit = "squared error per image"
    trains_prior = trains_likelihood = False

    def __init__(self, config: MaskedConfig) -> None:
        super().__init__()
        self.config = config

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        """Check that the image can be cut into patches and that the model can be told what is hidden.

        Raises:
            ZooError: it cannot.
        """
        _, h, w = shape
        if h % self.config.patch or w % self.config.patch:
            raise ZooError(f"an image of {h}x{w} cannot be cut into patches of {self.config.patch}; change patch")
        if not self.seen_of(h * w // self.config.patch**2):
            raise ZooError(
                f"of an image of {h}x{w} no patch of {self.config.patch} would be seen; lower share or patch"
            )
        if not hasattr(model, "encode_visible"):
            raise ZooError("the objective 'masked' needs a model that can be told what it sees: the variant masked_ae")

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return ``loss`` and ``reconstruction``, which are the same."""
        seeing: Any = model
        visible = self.visible(x)  # (B, 1, H, W)
        likelihood = model.decode(seeing.encode_visible(x, visible).rsample())
        likelihood.note(x)
        error = ((x - likelihood.location).square() * (1 - visible)).flatten(1).sum(dim=1).mean()
        return {"loss": error, "reconstruction": error}

    def seen_of(self, patches: int) -> int:
        """Return how many of the patches are seen: the whole part of their share, whatever a float makes of it."""
        return int(patches * (1 - self.config.share) + 1e-9)

    def visible(self, x: Tensor) -> Tensor:
        """Draw which patches of images (B, C, H, W) are seen: 1 there and 0 elsewhere, (B, 1, H, W)."""
        side = self.config.patch
        grid = uniform_like(x[:, :1, ::side, ::side])  # (B, 1, h, w)
        seen = self.seen_of(grid[0].numel())
        order = grid.flatten(1).argsort(dim=1).argsort(dim=1).reshape(grid.shape)
        return (order < seen).to(x).repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
