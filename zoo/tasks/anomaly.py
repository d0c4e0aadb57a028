"""Anomaly scores: how badly a model explains each picture.

Three scores, larger for stranger pictures: the squared error of the reconstruction, the negative ELBO, and the
importance-weighted estimate of -log p(x). None of them is a test of novelty: simple pictures of a kind that a model has
never seen may get a high likelihood (Nalisnick et al. 2019, arXiv:1810.09136) and be reconstructed well.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.autoencoder import Autoencoder
from zoo.errors import Lacking, UnknownNameError, ZooError
from zoo.metrics.nll import log_likelihood
from zoo.passes import SEED
from zoo.pictures import Batch, Pictures, Seen, through


@dataclass(frozen=True)
class Scored:
    """A batch and its scores."""

    batch: Batch
    x: Tensor
    """float (B, C, H, W), as the model got them, on the CPU."""
    scores: dict[str, Tensor]
    """Score → (B,), on the CPU: ``mse`` per pixel, ``negative_elbo`` and ``nll_K`` in nats."""


def score(model: Autoencoder, pictures: Pictures, samples: int = 0, *, seed: int = SEED) -> Iterator[Scored]:
    """The anomaly scores of every picture, batch by batch.

    Args:
        model: loaded by ``zoo.load``.
        pictures: what to judge.
        samples: K of ``nll_K``; 0: without it.
        seed: of the noise in z, which belongs to a picture: its scores are the same whatever it is scored with.

    Raises:
        ZooError: the model is conditional and the pictures have no labels, it has no likelihood for ``samples``, or a
            score is not finite.
    """

    def scored(seen: Seen) -> Scored:
        found = {name: values.float().cpu() for name, values in _scores(seen, samples).items()}
        for name, values in found.items():
            if not values.isfinite().all():
                strange = seen.batch.names[int((~values.isfinite()).nonzero()[0])]
                raise ZooError(f"the {name} of {strange} is no finite number: the model's training may have diverged")
        return Scored(seen.batch, seen.x.cpu(), found)

    for _, found in through(model, pictures, scored, seed=seed):
        yield found


def _scores(seen: Seen, samples: int) -> dict[str, Tensor]:
    model, x, posterior = seen.model, seen.x, seen.model.encode(seen.x)

    def epsilon(k: int) -> Tensor:
        return seen.noise.normal(k, posterior.mean.shape[1]).to(x.device)

    found = {"mse": (x - model.decode(posterior.mean).mean).square().flatten(1).mean(dim=1)}
    if posterior.stochastic:
        z = posterior.rsample(epsilon=epsilon(1)[0])
        found["negative_elbo"] = posterior.kl() - model.decode(z).log_prob(x)
    if samples:
        found[f"nll_{samples}"] = -log_likelihood(model, x, samples, epsilon)
    return found


class Strangest:
    """The pictures with the highest score so far, and no others: memory does not grow with the stream."""

    def __init__(self, by: str, count: int) -> None:
        self.by, self.count = by, count
        self._heap: list[tuple[float, int, str, Tensor, Tensor | None]] = []
        self._seen = 0

    def add(self, scored: Scored) -> None:
        """Take in a batch.

        Raises:
            UnknownNameError: it has no such score.
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

    def found(self) -> Found:
        """They, the strangest first.

        Raises:
            ZooError: there were no pictures.
        """
        if not self._heap:
            raise ZooError("there were no pictures")
        values, _, names, x, labels = zip(*sorted(self._heap, key=lambda entry: entry[:2], reverse=True), strict=True)
        given = torch.stack(labels) if labels[0] is not None else None
        return Found(list(names), torch.stack(x), given, list(values))


@dataclass(frozen=True)
class Found:
    """Some pictures and a score of each."""

    names: list[str]
    x: Tensor
    """float (N, C, H, W), as the model got them."""
    labels: Tensor | None
    values: list[float]


def detection(normal: Sequence[float], anomalous: Sequence[float]) -> dict[str, float]:
    """How well a score tells anomalous pictures from normal ones.

    Returns:
        ``auroc``: the probability that an anomalous picture scores higher than a normal one; 0.5 is chance, less means
        that the score says the opposite. ``average_precision``: with the anomalous ones as positives; chance is their
        share.

    Raises:
        Lacking: scikit-learn is missing.
    """
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ImportError as error:
        raise Lacking(
            "telling pictures from others needs scikit-learn: pip install 'autoencoder-zoo[evaluation]'"
        ) from error
    truth = [0] * len(normal) + [1] * len(anomalous)
    values = [*normal, *anomalous]
    return {
        "auroc": float(roc_auc_score(truth, values)),
        "average_precision": float(average_precision_score(truth, values)),
    }
