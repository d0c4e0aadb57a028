"""Measuring a trained model: the metrics that it has, and why it lacks the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from zoo.autoencoder import Autoencoder
from zoo.data import ImageSet, load_images
from zoo.errors import Lacking
from zoo.metric import Case, Family, all_metrics, families, family_of, metric_of
from zoo.registry import DATASETS
from zoo.schema.base import DatasetConfig

BASIC = ("elbo", "pixels", "usage")
"""The families that every training ends with, on training and test images."""

COLUMNS = ("mse", "negative_elbo", "reconstruction", "kl", "active_units", "perplexity")
"""The metrics that tables of several models show."""

NOISE_FREE = ("kl", "mse", "psnr", "active_units", "perplexity")
"""Of the basic metrics."""

GLYPHS = 500
"""Of the embedded images, to tell whether a machine computes the same figures."""


@dataclass
class Found:
    """What :func:`evaluate` measured."""

    metrics: dict[str, float] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    """Family → why it could not be measured."""
    families: list[str] = field(default_factory=list)
    """Those that were."""

    def __or__(self, other: Found) -> Found:
        metrics = in_order(self.metrics | other.metrics)
        return Found(metrics, self.lacking | other.lacking, self.families + other.families)


def evaluate(case: Case, names: Iterable[str] = (), told: Callable[[str], object] = lambda family: None) -> Found:
    """Measure families of metrics.

    Args:
        case: the model and its images.
        names: metrics or families; by default every family that is not left for a request, and the likelihood where
            the case says with how many samples.
        told: called with the name of each family before it is measured.

    Raises:
        UnknownNameError: there is no such metric.
    """
    found = Found()
    for family, samples in _wanted(case, names):
        told(family.name)
        usual, case.samples = case.samples, samples
        try:
            figures = family.measure(case)
        except Lacking as error:
            found.lacking[family.name] = str(error)
            continue
        finally:
            case.samples = usual
        broken = [name for name, value in figures.items() if not math.isfinite(value)]
        if broken:
            found.lacking[family.name] = f"not a finite number: {', '.join(broken)}"
        found.metrics |= {name: value for name, value in figures.items() if name not in broken}
        found.families += [family.name]
    found.metrics = in_order(found.metrics)
    return found


def _wanted(case: Case, names: Iterable[str]) -> list[tuple[Family, int]]:
    """Each family once, for each number of samples that is asked for."""
    usual = [
        family for family in families().values() if not family.on_request or (family.name == "nll" and case.samples)
    ]
    asked = [(family_of(name), _samples_in(name) or case.samples) for name in names]
    return list(dict.fromkeys(asked or [(family, case.samples) for family in usual]))


def _samples_in(name: str) -> int:
    """``nll_5000`` → 5000; 0 where a name has none."""
    return 0 if name in families() else metric_of(name).samples


def measure(
    model: Autoencoder, images: ImageSet, data: DatasetConfig, names: Iterable[str] = BASIC
) -> dict[str, float]:
    """The metrics that the model has, without the training images; by default those that training ends with."""
    return evaluate(Case(model, images, data), names).metrics


def measure_on_glyphs(model: Autoencoder) -> dict[str, float]:
    """The basic metrics on images that are always there; none for models of images of another shape.

    Only those without noise, which every kind of device draws in its own way.
    """
    config = DATASETS.get("glyphs").config()
    if config.image_shape != model.image_shape:
        return {}
    images = load_images(config, "test").first(GLYPHS)
    if model.classes and images.labels is not None:
        known = images.labels < model.classes
        images = ImageSet(images.images[known], images.labels[known])
    found = measure(model, images, config)
    return {name: value for name, value in found.items() if name in NOISE_FREE}


def in_order(metrics: Mapping[str, float]) -> dict[str, float]:
    """As tables list them."""
    names = list(all_metrics())

    def place(item: tuple[str, float]) -> tuple[int, int]:
        metric = metric_of(item[0])
        return names.index(metric.base), metric.samples

    return dict(sorted(metrics.items(), key=place))


def cells(metrics: Mapping[str, float], missing: str = "") -> list[str]:
    """The metrics of :data:`COLUMNS`, as tables show them."""
    return [metric_of(name).show(metrics[name]) if name in metrics else missing for name in COLUMNS]


def headings() -> list[str]:
    """Of these columns."""
    return [metric_of(name).heading for name in COLUMNS]
