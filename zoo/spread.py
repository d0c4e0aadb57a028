"""How much a figure varies from seed to seed."""

from __future__ import annotations

import statistics

from zoo.metric import metric_of
from zoo.schema.run_config import RunConfig


def over_seeds(config: RunConfig, name: str) -> str:
    """``mean ± standard deviation`` of a test figure over the seeds; nothing where not every run has it."""
    runs = [config.metrics["test"], *(repetition.metrics["test"] for repetition in config.repetitions)]
    known = [run[name] for run in runs if name in run]
    if len(known) < max(2, len(runs)):
        return ""
    metric = metric_of(name)
    return f"{metric.show(statistics.mean(known))} ± {statistics.stdev(known):,.{max(metric.digits, 1)}f}"
