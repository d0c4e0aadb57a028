"""The records of a trained model in its run folder, ``config.json`` and ``metrics.jsonl``, as pydantic models."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field

from zoo.errors import ZooError
from zoo.registry import VARIANTS
from zoo.schema.axes import narrowed, up_to_date
from zoo.schema.base import NAME, SHA256, Section, Size, Split, VariantConfig
from zoo.schema.digest import digest
from zoo.schema.parsing import validate
from zoo.schema.recipe import Recipe, parse_recipe

T = TypeVar("T")
PerSplit = Annotated[dict[Split, T], Field(min_length=2)]
"""A value for each of the two splits."""

MetricValues = dict[str, float]
"""The values of metrics by name, in the units of :mod:`zoo.metrics`."""


class Strict(BaseModel):
    """A record without unknown fields, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DatasetRecord(Strict):
    """The images of a split: their number and the sha256 of their pixels."""

    images: int
    sha256: str = Field(pattern=SHA256)


class EvaluationRecord(Strict):
    """The hardware and versions that later measurements of a card were made with."""

    hardware: str
    versions: dict[str, str]


class Repetition(Strict):
    """Another run of the same recipe that differs in its seed only; its weights are not kept."""

    seed: int
    metrics: PerSplit[MetricValues]
    weights_sha256: str
    training_seconds: float
    hardware: str
    versions: dict[str, str]


class EpochRow(BaseModel):
    """The fields that every line of ``metrics.jsonl`` has; a line may have others."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epoch: Size
    train: dict[Annotated[str, Field(pattern=NAME)], float]
    test: dict[Annotated[str, Field(pattern=NAME)], float]
    validation: dict[Annotated[str, Field(pattern=NAME)], float] | None = None


class Selected(Strict):
    """The epoch whose weights were kept, and why."""

    epoch: Size
    epochs: Size
    """The number of epochs that were trained."""
    metric: str
    value: float
    """The mean of the metric over the validation images, in the unit of the objective."""


class Earlier(Strict):
    """A part of a training before it went on for another number of epochs."""

    epochs: Size
    """The number of epochs that it was to have."""
    steps: int
    """The number of steps that the run had taken then."""


MAX_FILE_NAME = 255
"""The most characters of a file's name that are kept."""


class Foreign(Strict):
    """The origin of weights that were trained elsewhere."""

    file: str = Field(min_length=1, max_length=MAX_FILE_NAME)
    """The name of the file that they were in."""
    sha256: str = Field(pattern=SHA256)
    mapping: dict[str, str] = {}
    """The new names of its tensors, or patterns of them, by the old ones; empty where a tensor is left out."""
    initial: Annotated[list[str], FailFast()] = []
    """The names of the model's tensors that the file did not hold and that have initial weights."""


class RunConfig(Strict):
    """The content of ``config.json``: everything about a trained model besides its weights."""

    format: Literal[1] = 1
    name: str = Field(pattern=NAME)
    recipe: dict[str, Any]
    recipe_sha256: str
    """The :meth:`zoo.schema.recipe.Recipe.digest` of the recipe."""
    image_shape: tuple[Size, Size, Size]
    parameters: int
    weights_sha256: str
    metrics: PerSplit[MetricValues]
    """The metrics of both splits, measured in eval mode after training."""
    dataset: PerSplit[DatasetRecord]
    validation: DatasetRecord | None = None
    """The images that were cut off the training split for validation; they are none of those in ``dataset``."""
    selected: Selected | None = None
    """The choice of an epoch by the validation images; None: the weights are those of the last epoch."""
    earlier: Annotated[list[Earlier], FailFast()] = []
    """The parts of the training before it went on for another number of epochs, if it did."""
    foreign: Foreign | None = None
    """The origin of weights that were trained elsewhere; hardware and versions are then those of the measurement, and
    the recipe's sections on training say nothing of the weights."""
    training_seconds: float
    """The seconds that the epochs took, with the test images measured after each; 0 where nothing was trained here."""
    wall_seconds: float | None = None
    """The seconds from the start of the run to the end of its last epoch, with compiling, checkpoints and the turns of
    other runs; None in the files of older versions."""
    hardware: str
    versions: dict[str, str]
    evaluation: dict[str, EvaluationRecord] = {}
    """The hardware and versions by family of metrics; a family without a record was measured where the model was
    trained."""
    repetitions: Annotated[list[Repetition], FailFast()] = []
    glyphs: MetricValues = {}
    """Metrics on the first images of the embedded glyphs, which show whether a machine computes the same, without the
    training images. They say nothing about how good a model of other images is."""

    def to_json(self) -> str:
        """Return the content of the file."""
        added_later = ("wall_seconds", "validation", "selected", "earlier", "foreign")
        unknown = {name for name in added_later if getattr(self, name) in (None, [])}  # an older file stays as it is
        return self.model_dump_json(indent=2, exclude=unknown) + "\n"

    @property
    def checked_recipe(self) -> Recipe:
        """The recipe, checked against what is registered.

        Raises:
            ZooError: the recipe is wrong, or names a variant, objective or dataset that is not registered.
        """
        return _checked(json.dumps(self.recipe), f"the recipe of {self.name}")

    @property
    def in_half(self) -> bool:
        """True if the parameters are stored in float16, as the recipe's ``training.storage`` says."""
        training = self.recipe.get("training")
        return isinstance(training, dict) and training.get("storage") == "float16"

    @property
    def has_own_modules(self) -> bool:
        """True if encoder and decoder are the author's own, and have to be handed in by whoever loads the model."""
        model = self.recipe.get("model")
        network = model.get("network") if isinstance(model, dict) else None
        return isinstance(network, dict) and network.get("name") == "own"

    def model_section(self) -> VariantConfig:
        """Return the recipe's model section, checked; the weights need no other part of the recipe.

        Raises:
            ZooError: the section is wrong, names a variant that is not registered, or is not the one that the weights
                were trained from.
        """
        where = f"the recipe of {self.name}"
        fields = up_to_date(_OnlyModel, self.recipe)
        config: Any = narrowed(_OnlyModel, fields, where).model_fields["model"].annotation
        model: VariantConfig = validate(config, fields["model"], where)
        if digest(self.recipe) != self.recipe_sha256:
            raise ZooError(
                f"the recipe of {self.name} is not the one that its weights were trained from: its sha256 differs"
            )
        return model


class _OnlyModel(Section):
    model: Annotated[VariantConfig, VARIANTS]


@lru_cache(maxsize=256)
def _checked(recipe: str, where: str) -> Recipe:
    """Return the checked recipe; each recipe is checked once."""
    return parse_recipe(json.loads(recipe), where)
