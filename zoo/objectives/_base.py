"""The contract of an objective: named loss terms from images, without waiting for the host."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from zoo.augmentations import Augmentations
from zoo.distances import build_distance
from zoo.errors import ZooError
from zoo.models.autoencoder import Autoencoder, Model
from zoo.models.likelihoods import Likelihood
from zoo.objectives._corruption import Corrupted
from zoo.registry import DISTANCES, OBJECTIVES
from zoo.schema.base import DistanceConfig, ImageShape, ObjectiveConfig
from zoo.schema.recipe import Recipe
from zoo.system.process import initial_weights

Terms = dict[str, Tensor]
"""Named scalars on the device, each a mean over the batch; ``loss`` is the one that is minimised."""


class Objective(nn.Module):
    """A loss to minimise. Each objective is built from its config and implements ``forward``."""

    unit: str = "nats per image"
    """The unit of the terms."""

    corrupt: Augmentations = Augmentations(())
    """The random changes of what the encoder gets in training."""

    annealed: float = 0.0
    """The number of epochs after which every term has its whole weight; validation images are measured with that, so
    that the epochs of a training can be compared."""

    trains_prior: bool = True
    """True if log p(z) is a part of the loss, by which a prior with parameters is trained."""

    trains_likelihood: bool = True
    """True if log p(x|z) is a part of the loss, and not the location of the pixels alone."""

    of_batch: bool = False
    """True if a term is one of all images of a batch together, which then have to be drawn at random: neighbours in a
    dataset are alike, as digits of one writer are, and their codes are not spread as those of all images."""

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        """Prepare for a model and its images, once, before the first batch; most objectives have nothing to prepare.

        Modules and buffers made here are trained, moved and kept in checkpoints with the model's; the model itself
        must not become one of them.

        Args:
            model: the model that will be trained.
            shape: the shape (C, H, W) of the images.
            images: the number N of training images.
        """

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return the loss terms of one batch.

        Args:
            model: the model, in training or eval mode; a conditional one with its labels given.
            x: the images, (B, C, H, W) in [0, 1].
            epoch: epochs done so far, a scalar tensor with a fractional part, for terms that are annealed.
        """
        raise NotImplementedError


class Corrupting(Objective):
    """An objective whose model sees changed images while it is trained.

    Args:
        objective: the objective.
        corrupt: the random changes.
    """

    def __init__(self, objective: Objective, corrupt: Augmentations) -> None:
        super().__init__()
        self.objective, self.corrupt = objective, corrupt
        self.unit, self.annealed = objective.unit, objective.annealed
        self.trains_prior, self.trains_likelihood = objective.trains_prior, objective.trains_likelihood
        self.of_batch = objective.of_batch

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        """Prepare the objective."""
        self.objective.setup(model, shape, images)

    def forward(self, model: Model, x: Tensor, epoch: Tensor) -> Terms:
        """Return the terms of the objective, of changed images in training mode only."""
        terms: Terms = self.objective(Corrupted(model, self.corrupt) if model.training else model, x, epoch)
        return terms


class DistanceObjectiveConfig(ObjectiveConfig):
    """Settings of an objective that takes any distance between image and reconstruction."""

    distance: Annotated[DistanceConfig, DISTANCES] = Field(
        default_factory=lambda: DISTANCES.get("squared_error").config(),
        description="The distance between an image and its reconstruction.",
    )


class DistanceObjective(Objective):
    """An objective that takes any distance between image and reconstruction; its terms have the distance's unit."""

    def __init__(self, config: DistanceObjectiveConfig) -> None:
        super().__init__()
        self.distance = build_distance(config.distance)
        self.unit, self.trains_likelihood = self.distance.unit, self.distance.trains_likelihood

    def setup(self, model: Model, shape: ImageShape, images: int) -> None:
        """Prepare the distance for the images."""
        self.distance.setup(shape)

    def compared(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return the mean distance of images (B, C, H, W) from their decoded likelihoods, which may note them."""
        if not self.distance.trains_likelihood:  # -log p(x|z) notes them itself
            likelihood.note(x)
        mean: Tensor = self.distance(x, likelihood).mean()
        return mean


def build_objective(recipe: Recipe, model: Autoencoder, images: int) -> Objective:
    """Build the objective that a recipe names, set up for a model and its number of training images.

    Raises:
        ZooError: the model does not fit it, or a part of it would be trained that the loss does not depend on.
    """
    with initial_weights():
        objective = _built(recipe)
        refuse_untrained(objective, recipe.objective.name, model)
        if recipe.objective.corruption:
            objective = Corrupting(objective, Augmentations(recipe.objective.corruption))
        objective.setup(model, model.image_shape, images)
    return objective


def refuse_untrained(objective: Objective, name: str, model: Autoencoder) -> None:
    """Refuse a model with a prior or a likelihood that has more to train than the loss depends on."""
    if not objective.trains_prior and any(parameter.requires_grad for parameter in model.prior.parameters()):
        raise ZooError(
            f"the objective {name!r} with these settings has no log p(z) in its loss, so that it would leave the "
            "parameters of the model's prior as they are; choose a prior without parameters, such as standard_normal, "
            "an objective with a KL, such as 'elbo', or freeze 'prior.*'"
        )
    likelihood = model.likelihood.config
    more = likelihood.outputs > 1 or any(parameter.requires_grad for parameter in model.likelihood.parameters())
    if more and not objective.trains_likelihood:
        raise ZooError(
            f"the objective {name!r} with this distance trains the location of the pixels only, and the likelihood "
            f"{likelihood.family!r} of these settings has more of them, which would stay as they are; choose the "
            "distance 'nll', or a likelihood with nothing but a location, such as gaussian or bernoulli"
        )


def unit_of(recipe: Recipe) -> str:
    """Return the unit of the terms of a recipe's objective."""
    return _built(recipe).unit


def _built(recipe: Recipe) -> Objective:
    objective: Objective = OBJECTIVES.get(recipe.objective.name).build(recipe.objective)
    return objective
