"""The sections that every recipe has alike: optimizer and its schedule, training, source, claims."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from zoo.errors import UnknownNameError, ZooError
from zoo.schema.base import NonNegative, Positive, Probability, Section, Size
from zoo.schema.hub_address import Address


class ConstantSchedule(Section):
    """The learning rate stays as it is."""

    name: Literal["constant"] = "constant"

    def factor(self, epoch: int, epochs: int) -> float:
        """What the learning rate is multiplied by in 0-based ``epoch`` of ``epochs``."""
        return 1.0


class StepSchedule(Section):
    """The learning rate is multiplied by `gamma` after every `every` epochs."""

    name: Literal["step"] = "step"
    every: Size = Field(description="Epochs.")
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1

    def factor(self, epoch: int, epochs: int) -> float:
        """gamma^floor(epoch / every)."""
        return self.gamma ** (epoch // self.every)


class CosineSchedule(Section):
    """Half a cosine from the full learning rate to `floor` times it (Loshchilov & Hutter 2017, without restarts)."""

    name: Literal["cosine"] = "cosine"
    floor: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="What the factor falls towards.")

    def factor(self, epoch: int, epochs: int) -> float:
        """floor + (1 - floor) (1 + cos(pi epoch / epochs)) / 2."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2


class ExponentialSchedule(Section):
    """The learning rate is multiplied by `gamma` after every epoch."""

    name: Literal["exponential"] = "exponential"
    gamma: Annotated[float, Field(gt=0, le=1)]

    def factor(self, epoch: int, epochs: int) -> float:
        """gamma^epoch."""
        return self.gamma**epoch


class StaircaseSchedule(Section):
    """Ever longer stages at ever smaller learning rates, all of the epochs (Burda et al. 2016, section 5)."""

    name: Literal["staircase"] = "staircase"
    stages: Annotated[int, Field(ge=2, le=64)] = Field(8, description="How many.")
    growth: Annotated[float, Field(ge=1, le=100)] = Field(3.0, description="Each stage is so many times as long.")
    floor: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="What the factor falls to, evenly in its log.")

    def factor(self, epoch: int, epochs: int) -> float:
        """floor^(i / (stages - 1)) in stage i. With 3280 epochs the stages are the paper's: 1, 3, 9, …, 2187 epochs."""
        lengths = [self.growth**i for i in range(self.stages)]
        ends = [epochs * sum(lengths[: i + 1]) / sum(lengths) for i in range(self.stages - 1)]
        return float(self.floor ** (bisect_right(ends, epoch) / (self.stages - 1)))


Schedule = Annotated[
    ConstantSchedule | StepSchedule | CosineSchedule | ExponentialSchedule | StaircaseSchedule,
    Field(discriminator="name"),
]


class OptimizerConfig(Section):
    """What every optimizer has."""

    name: str
    learning_rate: Positive = Field(1e-3, description="In the first epoch.")
    weight_decay: NonNegative = Field(
        0.0, description="Factor of the squared norm of the weights (L2), or of the decoupled decay in AdamW."
    )
    schedule: Schedule = Field(ConstantSchedule(), description="How the learning rate changes from epoch to epoch.")


class Adam(OptimizerConfig):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"
    betas: tuple[Probability, Probability] = (0.9, 0.999)
    eps: Positive = 1e-8


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: NonNegative = 0.01


class SGD(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Probability = 0.0


class RMSprop(OptimizerConfig):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Probability = 0.99
    eps: Positive = 1e-8
    momentum: Probability = 0.0


Optimizer = Annotated[Adam | AdamW | SGD | RMSprop, Field(discriminator="name")]


class Training(Section):
    """How long, in what portions, from which seed."""

    epochs: Size = Field(description="Passes over the training images.")
    batch_size: Size = Field(128, description="Images; the last batch of an epoch holds what is left.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="Of the initial weights, the order of the images and the noise."
    )


class Execution(Section):
    """How the steps are run and kept: decides the speed, and the weights by no more than rounding."""

    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "tf32",
        description="Of matrix products and convolutions: `fp32`, `tf32` (on CUDA; elsewhere the same as `fp32`), or "
        "`bf16` (autocast). Weights, losses and the optimizer stay in 32 bits.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the whole step goes through `torch.compile`. `auto`: on CUDA, where the time it is "
        "predicted to save exceeds the time it takes.",
    )
    graph: Literal["on", "off"] = Field(
        "on", description="Whether steps are captured as CUDA graphs and replayed, several at once. On CUDA only."
    )
    convolutions: Literal["auto", "contiguous", "channels_last", "gemm"] = Field(
        "auto",
        description="How they are computed: by the library on images in either memory layout, or (`gemm`) strided ones "
        "as slices and one matrix product and the others as with `channels_last`. `auto`: what was measured to be "
        "fastest; see `performance.md`.",
    )
    checkpoint_minutes: Positive | None = Field(1.0, description="Between two checkpoints; `null`: not by the clock.")
    checkpoint_epochs: Size | None = Field(None, description="Between two checkpoints; `null`: not by epochs.")
    snapshot_epochs: Size | None = Field(
        None, description="Between two snapshots of reconstructions, kept for the pictures; `null`: about ten in a run."
    )


def known_metric(name: str) -> str:
    """Refuse what is no metric, with the close match."""
    from zoo.metric import metric_of  # here, because a recipe that claims nothing needs no metrics

    try:
        return metric_of(name).name
    except UnknownNameError as error:
        raise ValueError(str(error)) from error


def _pattern(schema: dict[str, Any]) -> None:
    """For editors: the names of all metrics."""
    from zoo.metric import all_metrics

    names = [rf"{name}_[1-9]\d{{0,5}}" if metric.numbered else name for name, metric in all_metrics().items()]
    schema["pattern"] = f"^({'|'.join(names)})$"


MetricName = Annotated[str, AfterValidator(known_metric), Field(json_schema_extra=_pattern)]


class Published(Section):
    """A figure that the source states."""

    figure: str = Field(description="As printed there, with its own unit.")
    computed: str = Field(description="How it was computed.")
    metric: MetricName | None = Field(
        None, description="What it is as one of the metrics (`python -m zoo.evaluate --list`), where it is that."
    )
    split: Literal["train", "test"] = "test"
    value: float | None = Field(None, description="The figure in that unit.")


class Source(Section):
    """Where the model and its setting come from."""

    system: str = Field("", description="The project that is re-implemented; none: the zoo's own setting.")
    paper: str = Field("", description="Authors, year, title or identifier.")
    url: str = ""
    license: str = Field("", description="Of the weights, as the Hub spells it: `apache-2.0`.")
    published: tuple[Published, ...] = Field((), description="Figures that the source states.")
    corrected: tuple[str, ...] = Field((), description="Mistakes of the source that are not repeated.")
    notes: str = Field("", description="What else differs from the source and why.")


def _known_repository(name: str) -> str:
    try:
        return Address(name).repository
    except ZooError as error:
        raise ValueError(str(error)) from error


class HubPin(Section):
    """Where on the Hub the entry's weights are, for good."""

    repo: Annotated[str, AfterValidator(_known_repository)] = Field(description="`owner/name`.")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="The commit.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of `model.safetensors`.")


class Claim(Section):
    """A metric value that the entry's card states and that can be measured again."""

    metric: MetricName = Field(
        description="One of those that `python -m zoo.evaluate --list` names, with the number of samples: `nll_5000`."
    )
    split: Literal["train", "test"] = "test"
    value: float
    tolerance: NonNegative = Field(description="How far a new measurement may lie from `value`.")
