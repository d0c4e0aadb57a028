"""The base classes of settings, strict pydantic models with bounded fields, and the types of their fields.

Everything that is registered under a name brings settings into a recipe: it extends :class:`DatasetConfig`,
:class:`VariantConfig`, :class:`NetworkConfig`, :class:`ObjectiveConfig`, :class:`OptimizerConfig` or
:class:`ScheduleConfig`. The sections that every recipe has alike are in :mod:`zoo.schema.sections`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from zoo.registry import SCHEDULES

Split = Literal["train", "test"]

ImageShape = tuple[int, int, int]
"""Channels, height, width."""


def format_shape(shape: ImageShape) -> str:
    """Write an image shape for people: (1, 28, 28) → ``1x28x28``."""
    return "x".join(map(str, shape))


NAME = r"^[a-z][a-z0-9_]{0,63}$"
"""The pattern of names of entries and of loss terms."""

SHA256 = r"^[0-9a-f]{64}$"
"""The pattern of a sha256 in hexadecimal."""

Size = Annotated[int, Field(gt=0, le=2**20)]
"""A number of units, channels or dimensions."""

Count = Annotated[int, Field(gt=0, le=2**31)]
"""A number of images."""

Epochs = Annotated[int, Field(gt=0, le=2**20)]
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
    PRIVATE: ClassVar[bool] = False
    """Whether the images are the user's own: no public name stands for them, and their folder tells about its owner."""

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height and width of every image, known without the data: ``SHAPE``, or as the settings say."""
        return self.SHAPE

    @property
    def released(self) -> tuple[int, int] | None:
        """The numbers of training and test images, where they are known without the data."""
        return self.sizes if self.only_classes is None else None

    @property
    def sizes(self) -> tuple[int, int] | None:
        """The numbers of training and test images of all classes: ``SIZES``, or as the settings say."""
        return self.SIZES


class BernoulliConfig(Section):
    """Independent Bernoulli pixels; the decoder gives logits. Intensities in [0, 1] count as probabilities."""

    family: Literal["bernoulli"] = "bernoulli"

    @property
    def label(self) -> str:
        """The words that tell its values from those of other likelihoods; none for the usual one."""
        return ""


class GaussianConfig(Section):
    """Independent Gaussian pixels of one fixed variance around a mean in [0, 1] (a sigmoid of the decoder's output)."""

    family: Literal["gaussian"] = "gaussian"
    variance: Positive = Field(
        1.0,
        description="The variance of each pixel in [0, 1]. At 0.5, -log p(x|z) is the summed squared error plus a "
        "constant.",
    )

    @property
    def label(self) -> str:
        """The words that tell its values from those of other likelihoods."""
        return f"{self.family} {self.variance:g}"


LikelihoodConfig = Annotated[BernoulliConfig | GaussianConfig, Field(discriminator="family")]


class VariantConfig(Section):
    """Which kind of autoencoder. Each variant adds its sizes."""

    variant: str = Field(description="The registered variant.")
    likelihood: LikelihoodConfig = Field(
        BernoulliConfig(), description="p(x|z), the distribution of an image given its code."
    )

    @property
    def num_classes(self) -> int:
        """The number of labels that a conditional model is given; 0 for every other."""
        return int(getattr(self, "classes", 0))


class NetworkConfig(Section):
    """The layers between images and codes. Each network adds its sizes."""

    name: str = Field(description="The registered network.")


class ObjectiveConfig(Section):
    """What is minimised. Each objective adds its own settings."""

    name: str = Field(description="The registered objective.")


class ScheduleConfig(Section):
    """How the learning rate changes from epoch to epoch. Each schedule adds its own settings."""

    name: str = Field(description="The registered schedule.")

    def factor(self, epoch: int, epochs: int) -> float:
        """Return what the learning rate is multiplied by in 0-based ``epoch`` of ``epochs``."""
        raise NotImplementedError


class OptimizerConfig(Section):
    """How parameters are updated. Each optimizer adds its own settings."""

    name: str = Field(description="The registered optimizer.")
    learning_rate: Positive = Field(1e-3, description="The learning rate in the first epoch.")
    weight_decay: NonNegative = Field(
        0.0,
        description="The factor of the squared norm of the weights (L2), or of the decoupled decay in AdamW.",
    )
    schedule: Annotated[ScheduleConfig, SCHEDULES] = Field(
        default_factory=lambda: SCHEDULES.get("constant").config(),
        description="How the learning rate changes from epoch to epoch.",
    )
