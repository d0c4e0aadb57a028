"""The sections that are the same in every recipe: training, execution, source, claims, the pin to the Hub."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from zoo.errors import UnknownNameError, ZooError
from zoo.registry import AUGMENTATIONS
from zoo.schema.base import (
    ADDED_LATER,
    NAME,
    SHA256,
    AugmentationConfig,
    Count,
    NonNegative,
    Patterns,
    Positive,
    Section,
    Size,
    Split,
)
from zoo.schema.hub_address import COMMIT, Address
from zoo.schema.metric import all_metrics, metric_of


def _share_or_number(value: Any) -> Any:
    """Return the value if it is a share or a number of images.

    Raises:
        ValueError: it is neither.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and (0 < value < 1 or (isinstance(value, int) and 1 <= value <= 2**31))):
        raise ValueError("expected a share of the training images between 0 and 1, or their number: 0.1 or 5000")
    return value


class Select(Section):
    """The choice of the epoch whose weights are kept, by the validation images."""

    metric: str = Field(
        "loss", pattern=NAME, description="The term of the objective that is smallest in the best epoch, as in `loss`."
    )
    patience: Size | None = Field(
        None,
        description="Epochs without a better one after which training stops; `null`: it goes on to the last epoch.",
    )


InitialWeights = Literal[
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "truncated_normal"
]


class Stretch(Section):
    """Epochs whose learning rate was laid out over another number of epochs, before a run went on."""

    until: Size = Field(description="The number of epochs from the beginning of the run to the end of the stretch.")
    epochs: Size = Field(description="The number of epochs that schedules were laid out over.")


class Training(Section):
    """The length of the training, the size of its batches, and its seed."""

    epochs: Size = Field(description="Passes over the training images.")
    batch_size: Size = Field(128, description="Images in a batch; the last one of an epoch holds what is left.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="The seed of the initial weights, the order of the images and the noise."
    )
    initial_weights: Annotated[InitialWeights | None, ADDED_LATER] = Field(
        None,
        description="The distribution of the initial weights of linear layers and convolutions, whose biases are then "
        "0: torch's function of this name (`kaiming` with the gain of ReLU, `truncated_normal` with a standard "
        "deviation of 0.02); `null`: the variant's own.",
    )
    start: Annotated[Annotated[str, Field(min_length=1, max_length=1000)] | None, ADDED_LATER] = Field(
        None,
        description="The trained model to start from, as `zoo.load` takes it: `conv_vae_mnist`, `./runs/mine`, "
        "`hf-hub:owner/name@commit`. Tensors that fit by name and shape are taken, the others named; `null`: none.",
    )
    start_sha256: Annotated[Annotated[str, Field(pattern=SHA256)] | None, ADDED_LATER] = Field(
        None, description="The sha256 of the weights that `start` names, which training writes here."
    )
    freeze: Annotated[Patterns, ADDED_LATER] = Field(
        (),
        description="Parameters that stay as they are, by patterns of their names: `encoder` with all that is in it, "
        "`*.bias`. A module that is frozen as a whole stays in eval mode.",
    )
    accumulate: Annotated[Size, ADDED_LATER] = Field(
        1,
        description="Parts in which each batch goes through the model, one after another; their gradients are averaged "
        "before the weights are updated, and memory is needed for one part only.",
    )
    validation: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | Count | None, BeforeValidator(_share_or_number), ADDED_LATER
    ] = Field(
        None,
        description="The share or the number of the training images that are cut off for validation, the same ones "
        "for every seed; images that the data say belong together stay together. `null`: none.",
    )
    select: Annotated[Select | None, ADDED_LATER] = Field(
        None,
        description="The choice of the epoch whose weights are kept, by the validation images: `metric`, a term of the "
        "objective (`loss`), and `patience`, the epochs without a better one that end the training; `null`: the last.",
    )
    augment: Annotated[tuple[AugmentationConfig, ...], AUGMENTATIONS, ADDED_LATER, Field(max_length=32)] = Field(
        (),
        description="Random changes of the training images, one after another, drawn anew in every step; test images "
        "are never changed.",
    )

    steps: Annotated[Count | None, ADDED_LATER] = Field(
        None,
        description="The number of steps after which training ends, if that is before the last epoch, over which "
        "schedules are laid out all the same; `zoo finish` sets it. `null`: no such end.",
    )
    stretches: Annotated[tuple[Stretch, ...], Field(max_length=1000), ADDED_LATER] = Field(
        (),
        description="The epochs, `until` a number of them, whose learning rate was laid out over another number of "
        "`epochs`; going on sets it, so that the recipe tells how the weights came about.",
    )

    storage: Annotated[Literal["float32", "float16"], ADDED_LATER] = Field(
        "float32",
        description="The type in which the parameters are stored. `float16`: at the end they are rounded to it, before "
        "anything is measured, and the file has half the size; a model computes in float32 all the same. Buffers, such "
        "as BatchNorm's averages, stay as they are.",
    )

    def planned(self, epoch: int) -> int:
        """Return the number of epochs that the learning rate of 0-based ``epoch`` is laid out over."""
        return next((stretch.epochs for stretch in self.stretches if epoch < stretch.until), self.epochs)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ends = [stretch.until for stretch in self.stretches]
        if ends != sorted(set(ends)):
            raise ValueError("stretches: each must end after the one before it")
        if self.select is not None and self.validation is None:
            raise ValueError("select needs validation images: set training.validation, as in 0.1")
        return self


MAX_THREADS = 1024


def _known_threads(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= MAX_THREADS):
        return value
    raise ValueError(f"expected 'auto' or a whole number from 1 to {MAX_THREADS}")


Threads = Annotated[
    Literal["auto"] | Annotated[int, Field(ge=1, le=MAX_THREADS)], BeforeValidator(_known_threads), ADDED_LATER
]


class Execution(Section):
    """The way steps are run and checkpoints kept; it determines the speed, and changes the weights by rounding only."""

    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "tf32",
        description="The precision of matrix products and convolutions: `fp32`, `tf32` (on CUDA; elsewhere the same as "
        "`fp32`), or `bf16` (autocast). Weights, losses and the optimizer stay in 32 bits.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Compile the whole step with `torch.compile`. `auto`: where the time it is predicted to "
        "save exceeds the time it takes, on CUDA, and on a CPU for layers that are fully connected.",
    )
    graph: Literal["on", "off"] = Field(
        "on", description="Capture steps as CUDA graphs and replay them, several at once. On CUDA only."
    )
    convolutions: Literal["auto", "contiguous", "channels_last", "gemm"] = Field(
        "auto",
        description="The way in which convolutions are computed: by the library on images in either memory layout, or "
        "(`gemm`) strided ones as slices and one matrix product and the others as with `channels_last`. `auto`: the "
        "one measured to be fastest; on a CPU, in long runs, the faster layout of a few steps at the start.",
    )
    stack: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Train several seeds of the recipe as one model with stacked parameters. `auto`: where it was "
        "measured to be faster; see `performance.md`.",
    )
    threads: Threads = Field(
        "auto",
        description="The number of threads on a CPU. `auto`: as many as there are free cores at the start; a resumed "
        "run keeps its number.",
    )
    checkpoint_minutes: Positive | None = Field(
        1.0, description="Minutes between two checkpoints; `null`: not by the clock."
    )
    checkpoint_epochs: Size | None = Field(None, description="Epochs between two checkpoints; `null`: not by epochs.")
    keep_checkpoint: Annotated[bool, ADDED_LATER] = Field(
        True, description="Keep the last checkpoint in the run folder, so that the run can go on for more epochs."
    )
    snapshot_epochs: Size | None = Field(
        None,
        description="Epochs between two snapshots of reconstructions, which the figure `progress` shows; `null`: about "
        "ten in a run.",
    )


def known_metric(name: str) -> str:
    """Return the name of a metric if there is one of this name.

    Raises:
        ValueError: there is none; the message shows the close matches.
    """
    try:
        return metric_of(name).name
    except UnknownNameError as error:
        raise ValueError(str(error)) from error


def _pattern(schema: dict[str, Any]) -> None:
    """Add the names of all metrics to the JSON Schema, for editors."""
    names = [rf"{name}_[1-9]\d{{0,5}}" if metric.numbered else name for name, metric in all_metrics().items()]
    schema["pattern"] = f"^({'|'.join(names)})$"


MetricName = Annotated[str, AfterValidator(known_metric), Field(json_schema_extra=_pattern)]


class Published(Section):
    """A value that the source states."""

    figure: str = Field(description="The value as it is printed there, with its own unit.")
    computed: str = Field(description="The way in which it was computed.")
    metric: MetricName | None = Field(
        None, description="The metric that it is (`zoo evaluate --list` names them), where it is one of them."
    )
    split: Split = Field("test", description="The images that it was computed on.")
    value: float | None = Field(None, description="The value in the unit of that metric.")


class Source(Section):
    """The origin of the model and its setting."""

    system: str = Field("", description="The project that is re-implemented; none: the zoo's own setting.")
    paper: str = Field("", description="Authors, year, title or identifier.")
    url: str = Field("", description="The address of the source.")
    license: str = Field("", description="The license of the weights, as the Hub spells it: `apache-2.0`.")
    published: tuple[Published, ...] = Field(
        (), description="Values that the source states, or that others state of the same method."
    )
    corrected: tuple[str, ...] = Field(
        (), description="Mistakes of the source, or of other implementations, that are not repeated."
    )
    notes: str = Field("", description="Other differences from the source, and the reasons.")


def _known_repository(name: str) -> str:
    try:
        return Address(name).repository
    except ZooError as error:
        raise ValueError(str(error)) from error


class HubPin(Section):
    """The place of the entry's weights on the Hub, pinned to a commit."""

    repo: Annotated[str, AfterValidator(_known_repository)] = Field(description="The repository, as `owner/name`.")
    revision: str = Field(pattern=f"^{COMMIT}$", description="The commit.")
    sha256: str = Field(pattern=SHA256, description="The sha256 of `model.safetensors`.")


class Claim(Section):
    """A metric value that the entry's card states and that can be measured again."""

    metric: MetricName = Field(
        description="The metric, one of those that `zoo evaluate --list` names, with the number of samples: `nll_5000`."
    )
    split: Split = Field("test", description="The images that it is measured on.")
    value: float = Field(description="The value that is claimed.")
    tolerance: NonNegative = Field(description="The most that a new measurement may differ from `value`.")
