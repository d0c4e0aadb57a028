"""The likeness of samples to images, and the share of images that they cover, in the features of a classifier."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.metrics._classifier import classifier_of, features_of

MIN_IMAGES = 50

K = 3
"""The rank of the neighbour whose distance is the radius around a feature."""

FEATURES_NOTE = (
    "in the 64 features of the zoo's own classifier of the dataset (`zoo/metrics/_classifier.py`), on as many samples "
    "as images"
)


@register_metrics(
    "samples",
    Metric(
        "frechet_distance", "Fréchet distance", "",
        f"|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) between Gaussians fitted to samples and images {FEATURES_NOTE}. "
        "Not FID, and not to be compared with one.",
        "Dowson & Landau 1982; after Heusel et al. 2017, arXiv:1706.08500", better="lower", relative=0.03,
        topic="Samples",
    ),
    Metric(
        "precision", "precision", "share",
        f"Share of samples within the distance of an image's {K}rd nearest image from it, {FEATURES_NOTE}.",
        "Kynkäänniemi et al. 2019, arXiv:1904.06991", digits=3, better="higher", tolerance=0.02, topic="Samples",
    ),
    Metric(
        "recall", "recall", "share",
        f"Share of images within the distance of a sample's {K}rd nearest sample from it, {FEATURES_NOTE}.",
        "Kynkäänniemi et al. 2019, arXiv:1904.06991", digits=3, better="higher", tolerance=0.02, topic="Samples",
    ),
)  # fmt: skip
def samples(context: EvalContext) -> dict[str, float]:
    """Measure samples that are means of p(x|z), as the images are grey levels; both are binary where the images are."""
    if len(context.images) < MIN_IMAGES:
        raise NotApplicable(f"it needs at least {MIN_IMAGES} images")
    device = context.model.device
    classifier = deepcopy(classifier_of(context.data)).to(device)
    real = features_of(classifier, context.images.images, device)
    drawn = features_of(classifier, context.samples_drawn, device)
    return {
        "frechet_distance": frechet_distance(*gaussian(real), *gaussian(drawn)),
        "precision": share_covered(drawn, real),
        "recall": share_covered(real, drawn),
    }


def gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (F,) and covariance (F, F) of features (N, F)."""
    features = features.cpu().double()  # small, and the same on every device
    return features.mean(dim=0), torch.cov(features.T)


def frechet_distance(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> float:
    """Return the squared Wasserstein-2 distance of two Gaussians, of means (F,) and covariances (F, F)."""
    root = _root(covariance)
    cross = _root(root @ other_covariance @ root)  # has the trace of (C1 C2)^1/2
    traces = covariance.trace() + other_covariance.trace() - 2 * cross.trace()
    return max(0.0, float((mean - other_mean).square().sum() + traces))


def _root(matrix: Tensor) -> Tensor:
    """Return the square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def share_covered(points: Tensor, manifold: Tensor, k: int = K) -> float:
    """Return the share of points (N, F) inside a ball around a row of ``manifold`` (M, F) up to its k-th neighbour."""
    radii = torch.cat(
        [torch.cdist(part, manifold).kthvalue(k + 1).values for part in manifold.split(1000)]
    )  # not itself
    inside = [(torch.cdist(part, manifold) <= radii).any(dim=1) for part in points.split(1000)]
    return float(torch.cat(inside).float().mean())
