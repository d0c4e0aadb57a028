"""Measuring a trained model: the metrics that it has, and why it lacks the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from zoo.datasets import ImageSet, load_images
from zoo.errors import NotApplicable
from zoo.inference.loops import SEED
from zoo.metrics._base import EvalContext
from zoo.models import Autoencoder
from zoo.registered import MetricFamily
from zoo.registry import DATASETS
from zoo.schema.base import DatasetConfig
from zoo.schema.metric import all_metrics, families, family_of, metric_of, summary_metrics
from zoo.system.devices import without_tf32
from zoo.system.process import cpu_by_default

GLYPH_IMAGES = 500
"""The number of embedded images that show whether a machine computes the same figures."""


@dataclass
class Evaluation:
    """The metrics that :func:`evaluate` measured, and the families that it could not."""

    metrics: dict[str, float] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    """The families that could not be measured, with the reason."""
    families: list[str] = field(default_factory=list)
    """The families that were measured."""

    def __or__(self, other: Evaluation) -> Evaluation:
        metrics = in_order(self.metrics | other.metrics)
        return Evaluation(metrics, self.lacking | other.lacking, self.families + other.families)


@cpu_by_default()
def evaluate(
    context: EvalContext,
    names: Iterable[str] = (),
    *,
    samples: int = 0,
    on_family: Callable[[str], object] = lambda family: None,
) -> Evaluation:
    """Measure families of metrics; on CUDA in 32 bits, without TF32.

    Args:
        context: the model and its images.
        names: metrics or families; by default every family that is not left for a request, and those with a number of
            samples where that is given.
        samples: K of metrics with a number of samples, where the name does not say it.
        on_family: called with the name of each family before it is measured.

    Raises:
        UnknownNameError: there is no such metric.
    """
    evaluation = Evaluation()
    for family, k in _wanted(names, samples):
        on_family(family.name)
        try:
            with without_tf32():
                figures = family.build(context, k) if family.numbered else family.build(context)
        except NotApplicable as error:
            evaluation.lacking[family.name] = str(error)
            continue
        broken = [name for name, value in figures.items() if not math.isfinite(value)]
        if broken:
            evaluation.lacking[family.name] = f"not a finite number: {', '.join(broken)}"
        evaluation.metrics |= {name: value for name, value in figures.items() if name not in broken}
        evaluation.families += [family.name]
    evaluation.metrics = in_order(evaluation.metrics)
    return evaluation


def _wanted(names: Iterable[str], samples: int) -> list[tuple[MetricFamily, int]]:
    """Return the families asked for and K of each, every pair once."""
    usual = [family for family in families().values() if not family.on_request or (family.numbered and samples)]
    asked = [(family_of(name), _samples_in(name) or samples) for name in names]
    return list(dict.fromkeys(asked or [(family, samples) for family in usual]))


def _samples_in(name: str) -> int:
    """Return the number of samples in a metric's name, 5000 in ``nll_5000``; 0 where there is none."""
    return 0 if name in families() else metric_of(name).samples


def after_training() -> list[str]:
    """Return the names of the families that are measured at the end of every training."""
    return [family.name for family in families().values() if family.after_training]


def measure(
    model: Autoencoder, images: ImageSet, data: DatasetConfig, names: Iterable[str] | None = None
) -> dict[str, float]:
    """Return the metrics of a model without the training images; by default those measured after every training."""
    return evaluate(EvalContext(model, images, data), after_training() if names is None else names).metrics


def measure_on_glyphs(model: Autoencoder, *, noisy: bool = False) -> dict[str, float]:
    """Measure the noise-free metrics on the embedded glyphs; none for models of images of another shape.

    Noise is left out because every kind of device draws it in its own way. Some metrics are free of it in some models
    only, as a KL that has a closed form: what other noise changes is left out.

    Args:
        model: the model.
        noisy: whether to return those, too.
    """
    config = DATASETS.get("glyphs").config()
    if config.image_shape != model.image_shape:
        return {}
    images = load_images(config, "test").first(GLYPH_IMAGES)
    if model.classes and images.labels is not None:
        known = images.labels < model.classes
        images = ImageSet(images.images[known], images.labels[known])
    figures, others = (
        evaluate(EvalContext(model, images, config, seed=seed), after_training()).metrics for seed in (SEED, SEED + 1)
    )
    return {
        name: value
        for name, value in figures.items()
        if metric_of(name).noise_free and (noisy or others.get(name) == value)
    }


def in_order(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics in the order of tables."""
    names = list(all_metrics())

    def position(item: tuple[str, float]) -> tuple[int, int]:
        metric = metric_of(item[0])
        return names.index(metric.base), metric.samples

    return dict(sorted(metrics.items(), key=position))


def summary_cells(metrics: Mapping[str, float], missing: str = "") -> list[str]:
    """Format the metrics that tables of several models show, in the order of :func:`summary_metrics`."""
    return [metric.show(metrics[metric.name]) if metric.name in metrics else missing for metric in summary_metrics()]
