"""The base classes of settings, strict pydantic models with bounded fields, and the types of their fields.

Everything that a recipe can name has settings, which extend :class:`DatasetConfig`, :class:`VariantConfig`,
:class:`NetworkConfig`, :class:`ObjectiveConfig`, :class:`DistanceConfig`, :class:`OptimizerConfig`,
:class:`ScheduleConfig` or :class:`AugmentationConfig`. The sections that are the same in every recipe are in
:mod:`zoo.schema.sections`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from zoo.registry import AUGMENTATIONS, DISTANCES, LIKELIHOODS, SCHEDULES

Split = Literal["train", "test"]

ImageShape = tuple[int, int, int]
"""The shape of an image: channels, height, width."""


def format_shape(shape: tuple[int, ...]) -> str:
    """Return an image shape as text: ``1x28x28`` for (1, 28, 28)."""
    return "x".join(map(str, shape))


NAME = r"^[a-z][a-z0-9_]{0,63}$"
"""The pattern of the names of entries and loss terms."""

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


ADDED_LATER = object()
"""The mark of a field that is written only where it is not the default: ``beta: Annotated[float, ADDED_LATER] = 1.0``.

A section that was written before the field was added keeps its text, and a recipe its digest."""


class Section(BaseModel):
    """A part of a recipe: unknown fields are errors, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    WORD: ClassVar[bool] = False
    """True if a name alone, as a plain word, stands for the settings of this name, and is written where there are
    no others."""

    @classmethod
    def from_older(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Return fields as JSON, written for an older version of this section, as they are written now."""
        return fields

    @model_serializer(mode="wrap")
    def _without_unused_additions(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any] | str:
        fields: dict[str, Any] = serialize(self)
        for name, info in type(self).model_fields.items():
            default = info.get_default(call_default_factory=True)
            if ADDED_LATER in info.metadata and getattr(self, name) == default:
                fields.pop(info.serialization_alias or name, None)
        return str(fields["name"]) if self.WORD and fields.keys() == {"name"} else fields


class DatasetConfig(Section):
    """The images, and how they are presented. Each dataset adds its own settings."""

    name: str = Field(description="The registered dataset.")
    binarization: Literal["none", "dynamic", "fixed"] = Field(
        "none",
        description="Each pixel is drawn from Bernoulli(intensity): every time that the image is used (`dynamic`), or "
        "once and for all, the same way in every run (`fixed`).",
    )
    only_classes: Annotated[tuple[Annotated[int, Field(ge=0, le=10_000)], ...], Field(min_length=1)] | None = Field(
        None, description="Use only the images with these labels; images of other classes are then new to the model."
    )
    train_images: Count | None = Field(
        None, description="The number of training images to use, from the first on; `null`: all."
    )
    test_images: Count | None = Field(
        None, description="The number of test images to use, from the first on; `null`: all."
    )

    SHAPE: ClassVar[ImageShape]
    """The shape of every image, unless ``image_shape`` is overridden."""
    SIZES: ClassVar[tuple[int, int] | None] = None
    """The numbers of training and test images, unless ``sizes`` is overridden; None where they are not known."""
    CLASSES: ClassVar[tuple[str, ...]] = ()
    """The names of the labels 0, 1, …; empty where the labels are named by their numbers, or by
    ``class_names``."""
    PRIVATE: ClassVar[bool] = False
    """True if the images are the user's own, unless ``private`` is overridden."""

    @property
    def image_shape(self) -> ImageShape:
        """The shape of every image, known without loading it: ``SHAPE``, or a function of the settings."""
        return self.SHAPE

    @property
    def released(self) -> tuple[int, int] | None:
        """The numbers of training and test images before any limit; None where they are not known without the data."""
        return self.sizes if self.only_classes is None else None

    @property
    def private(self) -> bool:
        """True if the images are the user's own: they have no public name, and the name of their folder is private."""
        return self.PRIVATE

    @property
    def public_name(self) -> str | None:
        """The name that others know the images by; None where they are the user's own."""
        return None if self.private else self.name

    @property
    def sizes(self) -> tuple[int, int] | None:
        """The numbers of training and test images of all classes: ``SIZES``, or a function of the settings."""
        return self.SIZES

    def counted(self) -> tuple[int, int, list[str]] | None:
        """Count training and test images without loading them, with lines for people; None where that cannot be."""
        return None

    @property
    def labelled(self) -> bool:
        """False if it is known, without loading them, that the images have no labels."""
        return True

    @property
    def presented(self) -> str:
        """The words that a card adds to the dataset's name, if any: how pixels were made of the images."""
        return ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the labels 0, 1, …: ``CLASSES``, or a function of the settings."""
        return self.CLASSES

    def resolved(self, *, labels: bool) -> Self:
        """Return these settings with what is taken from the images written out, as it is stored with the weights.

        Args:
            labels: whether the weights depend on the labels.
        """
        return self


class LikelihoodConfig(Section):
    """The distribution of an image given its code. Each family adds its own settings."""

    family: str = Field(description="The registered family of distributions.")

    @property
    def outputs(self) -> int:
        """The number of values that the decoder puts out for each channel of each pixel."""
        return 1

    @property
    def label(self) -> str:
        """The words that distinguish values under this likelihood in tables; empty for the usual one."""
        return self.family


class PosteriorConfig(Section):
    """The distribution of the code of an image. Each posterior adds its own settings."""

    STOCHASTIC: ClassVar[bool] = True
    """True if codes have a density, and with it the model a bound on log p(x)."""

    name: str = Field(description="The registered posterior.")


class PriorConfig(Section):
    """The distribution of codes before any image is seen. Each prior adds its own settings."""

    name: str = Field(description="The registered prior.")


class VariantConfig(Section):
    """The kind of autoencoder. Each variant adds its sizes."""

    variant: str = Field(description="The registered variant.")
    likelihood: Annotated[LikelihoodConfig, LIKELIHOODS] = Field(
        default_factory=lambda: LIKELIHOODS.get("bernoulli").config(),
        description="p(x|z), the distribution of an image given its code.",
    )
    classes: Annotated[int, Field(ge=0, le=10_000), ADDED_LATER] = Field(
        0, description="The number of labels that encoder and decoder are given; 0: none."
    )

    @property
    def stochastic(self) -> bool:
        """True if codes have a density: what the posterior says, in a variant that takes one, unless overridden."""
        posterior: PosteriorConfig | None = getattr(self, "posterior", None)
        return posterior is None or posterior.STOCHASTIC


class NetworkConfig(Section):
    """The layers between images and codes. Each network adds its sizes."""

    name: str = Field(description="The registered network.")
    spectral_norm: Annotated[bool, ADDED_LATER] = Field(
        False,
        description="Divide the weights of each layer of the decoder by their largest singular value (Miyato et al. "
        "2018, arXiv:1802.05957).",
    )


class AugmentationConfig(Section):
    """A random change of images. Each augmentation adds its own settings."""

    name: str = Field(description="The registered augmentation.")
    probability: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="The probability with which an image is changed at all."
    )


class ObjectiveConfig(Section):
    """The loss to minimise. Each objective adds its own settings."""

    name: str = Field(description="The registered objective.")
    corruption: Annotated[tuple[AugmentationConfig, ...], AUGMENTATIONS, ADDED_LATER, Field(max_length=32)] = Field(
        (),
        description="Random changes of what the encoder gets in training, drawn anew in every step; the image that is "
        "to be reconstructed stays as it is (denoising).",
    )


class DistanceConfig(Section):
    """The distance of an image from what is decoded. Each distance adds its own settings."""

    WORD: ClassVar[bool] = True

    name: str = Field(description="The registered distance.")

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_name(cls, fields: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(fields, str) and cls is DistanceConfig:  # in a config made in Python, which no name has narrowed
            found: Self = DISTANCES.get(fields).config.model_validate({"name": fields})
            return found
        return validate({"name": fields} if isinstance(fields, str) else fields)


class ScheduleConfig(Section):
    """The change of the learning rate from epoch to epoch. Each schedule adds its own settings."""

    name: str = Field(description="The registered schedule.")

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of the learning rate in 0-based ``epoch`` of ``epochs``."""
        raise NotImplementedError


Patterns = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=64)]
"""Patterns of the names of parameters: ``encoder`` with all that is in it, ``*.bias``."""


class ParameterGroup(Section):
    """Parameters that are updated otherwise than the rest."""

    parameters: Patterns = Field(
        min_length=1,
        description="The names, as patterns: `encoder` with all that is in it, `decoder.*.bias`, `*.bias`.",
    )
    learning_rate: Positive | None = Field(
        None, description="Their learning rate, before warm-up and schedule; `null`: that of the others."
    )
    weight_decay: NonNegative | None = Field(None, description="Their weight decay; `null`: that of the others.")


class OptimizerConfig(Section):
    """The rule by which parameters are updated. Each optimizer adds its own settings."""

    name: str = Field(description="The registered optimizer.")
    learning_rate: Positive = Field(1e-3, description="The learning rate in the first epoch.")
    weight_decay: NonNegative = Field(
        0.0,
        description="The factor of the squared norm of the weights (L2), or of the decoupled decay in AdamW.",
    )
    schedule: Annotated[ScheduleConfig, SCHEDULES] = Field(
        default_factory=lambda: SCHEDULES.get("constant").config(),
        description="The change of the learning rate from epoch to epoch.",
    )
    warmup_epochs: Annotated[Annotated[float, Field(gt=0, le=2**20)] | None, ADDED_LATER] = Field(
        None,
        description="Epochs, or a part of one, in which the learning rate rises linearly, step by step, to what the "
        "schedule says; `null`: none.",
    )
    clip_norm: Annotated[Positive | None, ADDED_LATER] = Field(
        None,
        description="The most that the norm of all gradients together may be; larger ones are scaled down. The mean "
        "norm before that is `gradient_norm` in `metrics.jsonl`. `null`: no limit.",
    )
    decay: Annotated[Literal["all", "matrices"], ADDED_LATER] = Field(
        "all",
        description="The parameters that weight decay is for: `all`, or those of two or more dimensions (`matrices`), "
        "which leaves out biases and what normalisations learn.",
    )
    ema_decay: Annotated[Probability | None, ADDED_LATER] = Field(
        None,
        description="The decay per step of an exponential moving average of the weights, which is measured and saved "
        "as the model; `null`: the weights themselves are.",
    )
    groups: Annotated[tuple[ParameterGroup, ...], Field(max_length=64), ADDED_LATER] = Field(
        (), description="Parameters with a learning rate or weight decay of their own; the first that names one counts."
    )
