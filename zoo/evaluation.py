"""Measuring a trained model: the metrics that it has, and why it lacks the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from zoo.autoencoder import Autoencoder
from zoo.configs import DatasetConfig
from zoo.data import ImageSet, load_images
from zoo.errors import Lacking
from zoo.metric import Case, Family, all_metrics, families, family_of, metric_of
from zoo.registry import DATASETS

BASIC = ("elbo", "pixels", "usage")
"""The families that every training ends with, on training and test images."""

COLUMNS = ("mse", "negative_elbo", "reconstruction", "kl", "active_units", "perplexity")
"""The metrics that tables of several models show."""

GLYPHS = 500
"""Of the embedded images, to tell whether a machine computes the same figures."""


@dataclass
class Found:
    """What :func:`evaluate` measured."""

    metrics: dict[str, float] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    """Family → why it could not be measured."""


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
        case.samples = samples
        try:
            found.metrics |= family.measure(case)
        except Lacking as error:
            found.lacking[family.name] = str(error)
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
    """The basic metrics on images that are always there; none for models of images of another shape."""
    config = DATASETS.get("glyphs").config()
    if config.image_shape != model.image_shape:
        return {}
    return measure(model, load_images(config, "test").first(GLYPHS), config)


def in_order(metrics: Mapping[str, float]) -> dict[str, float]:
    """As tables list them."""
    names = list(all_metrics())
    return dict(sorted(metrics.items(), key=lambda item: (names.index(metric_of(item[0]).base), item[0])))


def cells(metrics: Mapping[str, float], missing: str = "") -> list[str]:
    """The metrics of :data:`COLUMNS`, as tables show them."""
    return [metric_of(name).show(metrics[name]) if name in metrics else missing for name in COLUMNS]


def headings() -> list[str]:
    """Of these columns."""
    return [metric_of(name).heading for name in COLUMNS]
