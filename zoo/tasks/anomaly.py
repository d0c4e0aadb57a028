"""Anomaly scores, which rate how badly a model explains each image.

Three scores, larger for stranger images: the squared error of the reconstruction, the negative ELBO, and the
importance-weighted estimate of -log p(x). None of them is a test of novelty: simple images of a kind that a model has
never seen may get a high likelihood (Nalisnick et al. 2019, arXiv:1810.09136) and be reconstructed well.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import NotApplicable, UnknownNameError, ZooError
from zoo.inference.image_batches import ImageBatch, ImageStream
from zoo.inference.image_stream import PreparedBatch, map_images
from zoo.inference.loops import SEED
from zoo.models import Autoencoder
from zoo.models.bounds import elbo_terms, log_likelihood
from zoo.models.inputs import whole_number
from zoo.models.numerics import mean_squared_errors


@dataclass(frozen=True)
class Scored:
    """A batch and its scores."""

    batch: ImageBatch
    x: Tensor
    """The images that the model was given, float (B, C, H, W), on the CPU."""
    scores: dict[str, Tensor]
    """The scores by name, each (B,) on the CPU: ``mse`` per pixel, ``negative_elbo`` and ``nll_K`` in nats."""


def score(model: Autoencoder, images: ImageStream, samples: int = 0, *, seed: int = SEED) -> Iterator[Scored]:
    """Yield the anomaly scores of every image, batch by batch.

    Args:
        model: a model that ``zoo.load`` has loaded.
        images: the images to judge.
        samples: the number K of samples of ``nll_K``; 0 leaves that score out.
        seed: the seed of the noise in z, which belongs to an image: its scores are the same whatever it is scored with.

    Raises:
        ZooError: the model is conditional and the images have no labels, it has no likelihood for ``samples``, or a
            score is not finite.
    """
    samples = whole_number(samples, "the number of samples", 1_000_000)

    def scored(prepared: PreparedBatch) -> Scored:
        scores = {name: values.float().cpu() for name, values in _scores(prepared, samples).items()}
        for name, values in scores.items():
            if not values.isfinite().all():
                image = prepared.batch.names[int((~values.isfinite()).nonzero()[0])]
                raise ZooError(f"the {name} of {image} is not finite: the model's training may have diverged")
        return Scored(prepared.batch, prepared.x.cpu(), scores)

    for _, result in map_images(model, images, scored, seed=seed):
        yield result


def _scores(prepared: PreparedBatch, samples: int) -> dict[str, Tensor]:
    model, x, posterior = prepared.model, prepared.x, prepared.model.encode(prepared.x)

    scores = {"mse": mean_squared_errors(x, model.decode(posterior.mean).mean)}
    if posterior.stochastic:
        reconstruction, kl = elbo_terms(model, x, posterior, prepared.noise)
        scores["negative_elbo"] = kl + reconstruction
    if samples:
        scores[f"nll_{samples}"] = -log_likelihood(model, x, samples, prepared.noise)
    return scores


@dataclass(frozen=True)
class RankedImages:
    """The images with the highest scores, the highest first."""

    names: list[str]
    x: Tensor
    """The images that the model was given, float (N, C, H, W), on the CPU."""
    labels: Tensor | None
    values: list[float]
    """The scores."""


class HighestScores:
    """A collection of the images with the highest scores so far, whose memory does not grow with the stream.

    Args:
        by: the name of the score.
        count: the number of images to keep.
    """

    def __init__(self, by: str, count: int) -> None:
        self.by, self.count = by, count
        if count < 1:
            raise ZooError(f"the number of images to keep must be above 0; got {count!r}")
        self._heap: list[tuple[float, int, str, Tensor, Tensor | None]] = []
        self._seen = 0

    def add(self, scored: Scored) -> None:
        """Add a batch, keeping the images whose scores are among the highest so far.

        Raises:
            UnknownNameError: the batch has no such score.
        """
        if self.by not in scored.scores:
            raise UnknownNameError("score", self.by, scored.scores)
        for index, value in enumerate(scored.scores[self.by].tolist()):
            self._seen += 1
            if len(self._heap) == self.count and value <= self._heap[0][0]:
                continue
            label = None if scored.batch.labels is None else scored.batch.labels[index]
            entry = (value, -self._seen, scored.batch.names[index], scored.x[index].clone(), label)
            (heapq.heappush if len(self._heap) < self.count else heapq.heappushpop)(self._heap, entry)

    def ranked(self) -> RankedImages:
        """Return the kept images and their scores, highest score first.

        Raises:
            ZooError: there were no images.
        """
        if not self._heap:
            raise ZooError("there were no images")
        values, _, names, x, labels = zip(*sorted(self._heap, key=lambda entry: entry[:2], reverse=True), strict=True)
        stacked_labels = torch.stack(labels) if labels[0] is not None else None
        return RankedImages(list(names), torch.stack(x), stacked_labels, list(values))


def detection(normal: Sequence[float], anomalous: Sequence[float]) -> dict[str, float]:
    """Measure how well a score separates anomalous images from normal ones.

    Args:
        normal: the scores of normal images.
        anomalous: the scores of anomalous images.

    Returns:
        ``auroc``: the probability that an anomalous image scores higher than a normal one; 0.5 is chance, less means
        that the score says the opposite. ``average_precision``: the average precision with the anomalous images as
        positives; chance is their share.

    Raises:
        NotApplicable: scikit-learn is missing.
        ZooError: one side has no scores, or a score is NaN.
    """
    if not len(normal) or not len(anomalous):
        raise ZooError("detection compares the scores of normal with those of anomalous images; give some of both")
    if any(math.isnan(score) for score in (*normal, *anomalous)):
        raise ZooError("a score is NaN: no threshold is above or below it")
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ImportError as error:
        raise NotApplicable(
            "comparing anomalous with normal images needs scikit-learn: pip install 'autoencoder-zoo[evaluation]'"
        ) from error
    truth = [0] * len(normal) + [1] * len(anomalous)
    values = [*normal, *anomalous]
    return {
        "auroc": float(roc_auc_score(truth, values)),
        "average_precision": float(average_precision_score(truth, values)),
    }
