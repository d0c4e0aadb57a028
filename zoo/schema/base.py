"""What a registered name brings into a recipe: its settings, strict pydantic models with bounded fields.

A dataset, a variant or an objective extends :class:`DatasetConfig`, :class:`VariantConfig` or :class:`ObjectiveConfig`
with settings of its own. The sections that every recipe has alike are in :mod:`zoo.schema.sections`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


def spell(shape: ImageShape) -> str:
    """(1, 28, 28) → ``1x28x28``."""
    return "x".join(map(str, shape))


NAME = r"^[a-z][a-z0-9_]{0,63}$"
"""What an entry, and each loss term, is called."""

Size = Annotated[int, Field(gt=0, le=2**20)]
"""A number of units, channels or dimensions."""

Count = Annotated[int, Field(gt=0, le=2**31)]
"""A number of images."""

Sizes = Annotated[tuple[Size, ...], Field(max_length=64)]
Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0, le=1e6)]


class Section(BaseModel):
    """A part of a recipe: unknown fields are errors, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatasetConfig(Section):
    """Which images, and how they are presented. Each dataset adds its own settings."""

    name: str = Field(description="The registered dataset.")
    binarization: Literal["none", "dynamic", "fixed"] = Field(
        "none",
        description="Each pixel is drawn from Bernoulli(intensity): every time that the image is used (`dynamic`), or "
        "once and for all, the same way in every run (`fixed`).",
    )
    only_classes: Annotated[tuple[Annotated[int, Field(ge=0, le=10_000)], ...], Field(min_length=1)] | None = Field(
        None, description="Use only the images with these labels: what a model has never seen can then be told from it."
    )
    train_images: Count | None = Field(None, description="Use only the first so many training images.")
    test_images: Count | None = Field(None, description="Use only the first so many test images.")

    SHAPE: ClassVar[ImageShape]
    SIZES: ClassVar[tuple[int, int] | None] = None
    CLASSES: ClassVar[tuple[str, ...]] = ()
    """Names of the labels 0, 1, …, where the numbers do not say it."""

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height and width of every image, known without the data: ``SHAPE``, or as the settings say."""
        return self.SHAPE

    @property
    def released(self) -> tuple[int, int] | None:
        """Training and test images there are, where that is known without the data: ``SIZES``."""
        return self.sizes if self.only_classes is None else None

    @property
    def sizes(self) -> tuple[int, int] | None:
        """Of all classes together: ``SIZES``, or as the settings say."""
        return self.SIZES


class BernoulliConfig(Section):
    """Independent Bernoulli pixels; the decoder gives logits. Intensities in [0, 1] count as probabilities."""

    family: Literal["bernoulli"] = "bernoulli"


class GaussianConfig(Section):
    """Independent Gaussian pixels of one fixed variance around a mean in [0, 1] (a sigmoid of the decoder's output)."""

    family: Literal["gaussian"] = "gaussian"
    variance: Positive = Field(
        1.0,
        description="Of each pixel in [0, 1]. At 0.5, -log p(x|z) is the summed squared error plus a constant.",
    )


LikelihoodConfig = Annotated[BernoulliConfig | GaussianConfig, Field(discriminator="family")]


class VariantConfig(Section):
    """Which kind of autoencoder. Each variant adds its sizes."""

    variant: str = Field(description="The registered variant.")
    likelihood: LikelihoodConfig = Field(
        BernoulliConfig(), description="p(x|z), the distribution of an image given its code."
    )


Activation = Literal["relu", "leaky_relu", "tanh"]
"""Between layers; `leaky_relu` has a slope of 0.2 below zero."""


class FullyConnectedConfig(VariantConfig):
    """Sizes of a variant made of fully connected layers."""

    hidden: Sizes = Field((400,), description="Units of the encoder's hidden layers.")
    decoder_hidden: Sizes | None = Field(
        None, description="Units of the decoder's hidden layers; `null`: the encoder's in reverse."
    )
    activation: Activation = Field("relu", description="After each hidden layer; `leaky_relu` has slope 0.2.")
    latent_dim: Size = Field(20, description="Dimensions of the code.")


class ObjectiveConfig(Section):
    """What is minimised. Each objective adds its own settings."""

    name: str = Field(description="The registered objective.")
