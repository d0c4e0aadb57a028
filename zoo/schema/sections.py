"""The sections that every recipe has alike: training, execution, source, claims, the place on the Hub."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from zoo.errors import UnknownNameError, ZooError
from zoo.schema.base import SHA256, NonNegative, Positive, Section, Size, Split
from zoo.schema.hub_address import Address
from zoo.schema.metric import all_metrics, metric_of


class Training(Section):
    """How long, in what equal_batches, from which seed."""

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
    """A figure that the source states."""

    figure: str = Field(description="As printed there, with its own unit.")
    computed: str = Field(description="How it was computed.")
    metric: MetricName | None = Field(
        None, description="What it is as one of the metrics (`python -m zoo.evaluate --list`), where it is that."
    )
    split: Split = "test"
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
    sha256: str = Field(pattern=SHA256, description="Of `model.safetensors`.")


class Claim(Section):
    """A metric value that the entry's card states and that can be measured again."""

    metric: MetricName = Field(
        description="One of those that `python -m zoo.evaluate --list` names, with the number of samples: `nll_5000`."
    )
    split: Split = "test"
    value: float
    tolerance: NonNegative = Field(description="How far a new measurement may lie from `value`.")
