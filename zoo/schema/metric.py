"""The description of a metric: its name, unit and definition, without the code that measures it."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from zoo.errors import UnknownNameError
from zoo.registered import MetricFamily
from zoo.registry import METRICS

Topic = Literal["Likelihood", "Reconstruction", "Samples", "Codes", "Disentanglement", "Speed", "Other"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
"""The tables that metrics are listed in, in this order."""


@dataclass(frozen=True)
class Metric:
    """A quantity that is measured of a trained model."""

    name: str
    """The name in records and commands."""
    heading: str
    """The heading of the column in tables."""
    unit: str
    """The unit of the values; empty where they have none."""
    definition: str
    """The definition, in one sentence or two."""
    source: str
    """The source of the definition: authors and year."""
    topic: Topic = "Other"
    """The table that the metric belongs to."""
    digits: int = 2
    """The number of decimals in tables."""
    better: Literal["lower", "higher", ""] = ""
    """The direction in which values are better; empty where neither is."""
    tolerance: float = 0.0
    """The difference, in the unit, that other noise or another device may cause; ``relative`` counts if it is more."""
    relative: float = 1e-3
    """The difference, as a part of the value, that other noise or another device may cause."""
    summary: bool = False
    """True if tables of several models show the metric."""
    noise_free: bool = False
    """True if no random numbers are used, in some models at least: every kind of device gives the same value."""
    repeatable: bool = True
    """True if the value is the same on every machine; a speed is not."""
    numbered: bool = False
    """True if a number of samples is part of the name, as in ``nll_5000``."""
    samples: int = 0
    """The number of samples, K in ``nll_K``; 0 for metrics without one."""

    @property
    def base(self) -> str:
        """The name without the number of samples."""
        return self.name.removesuffix(f"_{self.samples}") if self.samples else self.name

    @property
    def pattern(self) -> str:
        """The name with K for the number of samples: ``nll_K``."""
        return f"{self.name}_K" if self.numbered else self.name

    def allowed(self, value: float) -> float:
        """Return how far another measurement may lie from ``value``, in the unit."""
        return max(self.tolerance, self.relative * abs(value))

    def show(self, value: float) -> str:
        """Format a value for a table: ``digits`` decimals, thousands separated."""
        return f"{value:,.{self.digits}f}"

    def show_spread(self, values: Sequence[float]) -> str:
        """Format two values or more as ``mean ± standard deviation``, for a table."""
        return f"{self.show(statistics.mean(values))} ± {statistics.stdev(values):,.{max(self.digits, 1)}f}"


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
        UnknownNameError: there is no such metric or family; the message shows the close matches.
    """
    known = families()
    if name in known:
        return known[name]
    base = metric_of(name).base
    return next(family for family in known.values() if base in [metric.name for metric in family.metrics])


def metric_of(name: str) -> Metric:
    """Return the metric of this name; ``nll_5000`` is ``nll`` with 5,000 samples.

    Raises:
        UnknownNameError: there is no such metric; the message shows the close matches.
    """
    metrics = all_metrics()
    numbered = re.fullmatch(r"(.+)_([1-9]\d{0,5})", name)
    if numbered and numbered[1] in metrics and metrics[numbered[1]].numbered:
        metric, samples = metrics[numbered[1]], int(numbered[2])
        return replace(metric, name=name, heading=f"{metric.heading}, K = {samples:,}", samples=samples)
    if name not in metrics or metrics[name].numbered:
        raise UnknownNameError("metric", name, [metric.pattern for metric in metrics.values()])
    return metrics[name]
