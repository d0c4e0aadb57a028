"""One file per family of metrics: the definition, unit and source of each, and the code that measures it."""

from zoo.metrics._base import REFERENCE_IMAGES, EvalContext
from zoo.metrics._classifier import train_classifier
from zoo.metrics._evaluate import (
    Evaluation,
    after_training,
    evaluate,
    in_order,
    measure,
    measure_on_glyphs,
    summary_cells,
)
from zoo.registered import MetricFamily
from zoo.registry import register_metrics
from zoo.schema.metric import TOPICS, Metric, all_metrics, families, family_of, metric_of, summary_metrics

__all__ = [
    "REFERENCE_IMAGES", "TOPICS", "EvalContext", "Evaluation", "Metric", "MetricFamily", "after_training",
    "all_metrics", "evaluate", "families", "family_of", "in_order", "measure", "measure_on_glyphs", "metric_of",
    "register_metrics", "summary_cells", "summary_metrics", "train_classifier",
]  # fmt: skip
