"""What a metric is: its name, unit and definition, without the code that measures it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from zoo.errors import UnknownNameError
from zoo.registry import METRICS, MetricFamily

Topic = Literal["Likelihood", "Reconstruction", "Samples", "Codes", "Disentanglement", "Speed", "Other"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
"""The tables that metrics are listed in, in this order."""


@dataclass(frozen=True)
class Metric:
    """One figure of a trained model."""

    name: str
    heading: str
    """The heading of its column in tables."""
    unit: str
    definition: str
    """One sentence or two."""
    source: str
    """Authors and year, or where it is defined."""
    topic: Topic = "Other"
    """The table that it belongs to."""
    digits: int = 2
    """Decimals in tables."""
    better: Literal["lower", "higher", ""] = ""
    tolerance: float = 0.0
    """How far two measurements with other noise, or on another device, may lie apart, in its unit…"""
    relative: float = 1e-3
    """…or as a part of the value, whichever is more."""
    summary: bool = False
    """Whether tables of several models show it."""
    noise_free: bool = False
    """Whether it is measured without random numbers, so that every kind of device gives the same value."""
    repeatable: bool = True
    """Whether it is the same on every machine; a speed is not."""
    numbered: bool = False
    """Whether its name goes on with a number of samples: ``nll_5000``."""
    samples: int = 0
    """K in ``nll_K``; 0 for metrics without a number of samples."""

    @property
    def base(self) -> str:
        """The name without the number of samples."""
        return self.name.removesuffix(f"_{self.samples}") if self.samples else self.name

    @property
    def pattern(self) -> str:
        """How its name is written where the number of samples is open: ``nll_K``."""
        return f"{self.name}_K" if self.numbered else self.name

    def allowed(self, value: float) -> float:
        """Return how far another measurement may lie from a value."""
        return max(self.tolerance, self.relative * abs(value))

    def show(self, value: float) -> str:
        """Format a value for a table: ``digits`` decimals, thousands separated."""
        return f"{value:,.{self.digits}f}"


def families() -> dict[str, MetricFamily]:
    """Return every family of metrics by name, sorted."""
    return METRICS.items()


def all_metrics() -> dict[str, Metric]:
    """Return every metric by name, in the order of tables."""
    return {metric.name: metric for family in families().values() for metric in family.metrics}


def summary_metrics() -> list[Metric]:
    """Return the metrics that tables of several models show."""
    return [metric for metric in all_metrics().values() if metric.summary]


def family_of(name: str) -> MetricFamily:
    """Return the family of a metric, or the family of this name.

    Raises:
        UnknownNameError: there is none; shows the close matches.
    """
    known = families()
    if name in known:
        return known[name]
    base = metric_of(name).base
    return next(family for family in known.values() if base in [metric.name for metric in family.metrics])


def metric_of(name: str) -> Metric:
    """Return the metric of this name; ``nll_5000`` is ``nll`` with 5,000 samples.

    Raises:
        UnknownNameError: there is none; shows the close matches.
    """
    metrics = all_metrics()
    numbered = re.fullmatch(r"(.+)_([1-9]\d{0,5})", name)
    if numbered and numbered[1] in metrics and metrics[numbered[1]].numbered:
        metric, samples = metrics[numbered[1]], int(numbered[2])
        return replace(metric, name=name, heading=f"{metric.heading}, K = {samples:,}", samples=samples)
    if name not in metrics or metrics[name].numbered:
        raise UnknownNameError("metric", name, [metric.pattern for metric in metrics.values()])
    return metrics[name]
