"""The statements of a card, measured again: its recipe's claims, and every other figure on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zoo.datasets import ImageSet, Split
from zoo.errors import ZooError
from zoo.metrics import EvalContext, Evaluation, evaluate, family_of, metric_of
from zoo.schema.run_config import RunConfig


@dataclass(frozen=True)
class Statement:
    """One figure that a card states: the value of a metric on a split, with its tolerance."""

    split: Split
    metric: str
    value: float
    tolerance: float | None = None
    """The tolerance of a claim; None: a figure of the card, which has the metric's own tolerance."""

    @property
    def allowed(self) -> float:
        """The distance that a measurement may lie from the value."""
        return metric_of(self.metric).allowed(self.value) if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class Verdict:
    """A statement and what was measured."""

    statement: Statement
    measured: float | None
    """The measured value; None: it could not be measured, for ``reason``."""
    reason: str = ""

    @property
    def kept(self) -> bool | None:
        """True if the measurement agrees; None if nothing was measured."""
        if self.measured is None:
            return None
        return abs(self.statement.value - self.measured) <= self.statement.allowed


def statements(config: RunConfig, *, claims_only: bool = False) -> list[Statement]:
    """List everything that a card states and that is the same on every machine, claims first."""
    stated = [
        Statement(claim.split, claim.metric, claim.value, claim.tolerance) for claim in config.checked_recipe.claims
    ]
    if not claims_only:
        stated += [
            Statement(split, name, value)
            for split in ("test", "train")
            for name, value in config.metrics[split].items()
            if metric_of(name).repeatable
        ]
    return stated


def check(
    context_of: Callable[[Split], EvalContext],
    stated: Iterable[Statement],
    on_family: Callable[[str], object] = lambda family: None,
) -> list[Verdict]:
    """Measure what a card states, each family of metrics once.

    Args:
        context_of: a function of a split that returns the model and the images.
        stated: the statements.
        on_family: called with the name of each family before it is measured.
    """
    stated = list(stated)
    evaluations: dict[Split, Evaluation] = {}
    for split in dict.fromkeys(statement.split for statement in stated):
        names = [statement.metric for statement in stated if statement.split == split]
        evaluations[split] = evaluate(context_of(split), names, on_family=on_family)
    return list(_verdicts(stated, evaluations))


def _verdicts(stated: list[Statement], evaluations: dict[Split, Evaluation]) -> Iterator[Verdict]:
    for statement in stated:
        evaluation = evaluations[statement.split]
        if statement.metric in evaluation.metrics:
            yield Verdict(statement, evaluation.metrics[statement.metric])
        else:
            family = family_of(statement.metric).name
            yield Verdict(statement, None, evaluation.lacking.get(family, "the model has no such metric"))


def check_images(config: RunConfig, split: Split, images: ImageSet) -> ImageSet:
    """Return ``images``, where they are those that the card was measured on.

    Raises:
        ZooError: they are others.
    """
    record = config.dataset[split]
    if images.digest != record.sha256:
        raise ZooError(
            f"the {split} images here are not those that {config.name} was "
            f"measured on: the card's are {record.images:,} with the sha256 {record.sha256[:12]}…, here are "
            f"{len(images):,} with {images.digest[:12]}…"
        )
    return images
