"""The contract of a metric: what it is called and means, and what it is measured on.

Metrics that are computed together are a family, one file of :mod:`zoo.metrics`; ``register_metrics`` adds one's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module, resources
from typing import Literal

import torch
from torch import Tensor

from zoo.autoencoder import Autoencoder, Model
from zoo.data import ImageSet
from zoo.errors import Lacking, UnknownNameError, ZooError
from zoo.objective import Terms
from zoo.passes import SEED, Track, codes, fitting, mean_over, measuring, untracked
from zoo.schema.base import DatasetConfig

REFERENCE = 10_000
"""Training images, chosen at random, that classifiers of codes are fitted to."""


@dataclass(frozen=True)
class Metric:
    """One figure of a trained model."""

    name: str
    heading: str
    """For tables."""
    unit: str
    definition: str
    """One sentence or two."""
    source: str
    """Authors and year, or where it is defined."""
    digits: int = 2
    """Decimals in tables."""
    better: Literal["lower", "higher", ""] = ""
    tolerance: float = 0.0
    """How far two measurements with other noise, or on another device, may lie apart, in its unit…"""
    relative: float = 1e-3
    """…or as a part of the value, whichever is more."""
    repeatable: bool = True
    """Whether it is the same on every machine; a speed is not."""
    numbered: bool = False
    """Whether its name goes on with a number of samples: ``nll_5000``."""
    samples: int = 0
    """That number."""

    @property
    def base(self) -> str:
        """The name without it."""
        return self.name.removesuffix(f"_{self.samples}") if self.samples else self.name

    def allowed(self, value: float) -> float:
        """How far another measurement may lie from a value."""
        return max(self.tolerance, self.relative * abs(value))

    def show(self, value: float) -> str:
        """As tables have it."""
        return f"{value:,.{self.digits}f}"


@dataclass
class Case:
    """A trained model and the images that it is measured on.

    Args:
        model: the model; whatever its mode, it is measured in eval mode.
        images: the images.
        data: how they become numbers.
        reference: gives the training images, for what is fitted to codes before it is measured; None: there are none.
        samples: K of the importance-weighted likelihood.
        seed: of everything that is drawn.
        track: shows how far a loop is.
    """

    model: Autoencoder
    images: ImageSet
    data: DatasetConfig
    reference: Callable[[], ImageSet] | None = None
    samples: int = 0
    seed: int = SEED
    track: Track[ImageSet] = field(default=untracked)

    def mean(self, terms: Callable[[Model, Tensor], Terms]) -> dict[str, float]:
        """The mean over the images of terms that are means over a batch."""
        return mean_over(self.images, self.data, self.model, terms, seed=self.seed, track=self.track)

    @cached_property
    def codes(self) -> Tensor:
        """The posterior means (N, D)."""
        return codes(self.model, self.images, self.data, track=self.track)

    @cached_property
    def training(self) -> ImageSet:
        """Some of the training images.

        Raises:
            Lacking: there are none, or they are what is measured.
        """
        if self.reference is None:
            raise Lacking("it is fitted to training images and measured on others")
        images = self.reference()
        return images.chosen(self.order(len(images))[:REFERENCE])

    @cached_property
    def samples_drawn(self) -> Tensor:
        """As many images (N, C, H, W) from the prior as there are images, uint8 on the CPU.

        They are the means of p(x|z), binary where the images were binarised once and for all. Of a conditional model,
        each class in turn.
        """
        n, size = len(self.images), fitting(self.images)
        generator = torch.Generator().manual_seed(self.seed)
        with measuring(self.model, self.seed):
            parts = [self.model.sample(min(size, n - start), generator) for start in range(0, n, size)]
            if self.data.binarization == "fixed":
                parts = [torch.bernoulli(part) for part in parts]
            return torch.cat([(part * 255).round().to(torch.uint8).cpu() for part in parts])

    def order(self, n: int) -> Tensor:
        """0 to n - 1 in an order of the seed's: images may be sorted by class or by a factor."""
        return torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))


Measure = Callable[[Case], dict[str, float]]


@dataclass(frozen=True)
class Family:
    """Metrics that are measured together.

    ``measure`` raises :class:`~zoo.errors.Lacking` where a model, or its data, has nothing of the kind.
    """

    name: str
    metrics: tuple[Metric, ...]
    measure: Measure
    on_request: bool = False
    """Whether it is left out unless asked for, because it takes long or needs a download."""


_REGISTERED: dict[str, Family] = {}


def register_metrics(name: str, *metrics: Metric, on_request: bool = False) -> Callable[[Measure], Measure]:
    """Decorate the function that measures a family.

    Raises:
        ZooError: the name of the family, or of a metric, is taken.
    """

    def decorate(measure: Measure) -> Measure:
        if not measure.__module__.startswith("zoo.metrics."):
            families()  # so that who comes second is told, not who was there first
        taken = {metric.name for family in _REGISTERED.values() for metric in family.metrics} | _REGISTERED.keys()
        if taken & {name, *(metric.name for metric in metrics)}:
            raise ZooError(f"the metrics {name!r}, or some of them, are already registered; choose other names")
        _REGISTERED[name] = Family(name, metrics, measure, on_request)
        return measure

    return decorate


def families() -> dict[str, Family]:
    """Every family by name, sorted: the files of :mod:`zoo.metrics`, and what the running program has registered."""
    _import_shipped()
    return dict(sorted(_REGISTERED.items()))


@cache
def _import_shipped() -> None:
    for file in resources.files("zoo.metrics").iterdir():
        if file.name.endswith(".py") and not file.name.startswith("_"):
            import_module(f"zoo.metrics.{file.name[:-3]}")


def family_of(name: str) -> Family:
    """The family of a metric, or the family of this name.

    Raises:
        UnknownNameError: there is none; shows the close matches.
    """
    known = families()
    if name in known:
        return known[name]
    base = metric_of(name).base
    return next(family for family in known.values() if base in [metric.name for metric in family.metrics])


def all_metrics() -> dict[str, Metric]:
    """Every metric by name, in the order of tables."""
    return {metric.name: metric for family in families().values() for metric in family.metrics}


def metric_of(name: str) -> Metric:
    """The metric of this name; ``nll_5000`` is ``nll`` with 5,000 samples.

    Raises:
        UnknownNameError: there is none; shows the close matches.
    """
    metrics = all_metrics()
    numbered = re.fullmatch(r"(.+)_([1-9]\d{0,5})", name)
    if numbered and numbered[1] in metrics and metrics[numbered[1]].numbered:
        found, samples = metrics[numbered[1]], int(numbered[2])
        return replace(found, name=name, heading=f"{found.heading}, K = {samples:,}", samples=samples)
    if name not in metrics or metrics[name].numbered:
        known = [f"{known}_K" if metric.numbered else known for known, metric in metrics.items()]
        raise UnknownNameError("metric", name, known)
    return metrics[name]
