"""The context that metrics are measured in: a trained model and its images.

Metrics that are computed together are a family, one file of :mod:`zoo.metrics`; ``register_metrics`` adds another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from zoo.datasets import ImageSet
from zoo.errors import NotApplicable
from zoo.inference.loops import SEED, ProgressBar, codes, eval_batch_size, eval_mode, no_progress, running_terms
from zoo.metrics._posteriors import EncodedModel, KeptPosteriors
from zoo.models import Autoencoder, Model
from zoo.objectives import Terms
from zoo.schema.base import DatasetConfig
from zoo.system.randomness import bernoulli

REFERENCE_IMAGES = 10_000
"""The number of training images, chosen at random, that classifiers of codes are fitted to."""


@dataclass
class EvalContext:
    """A trained model and the images that it is measured on.

    Args:
        model: the model; whatever its mode, it is measured in eval mode.
        images: the images to measure on.
        data: the settings of their dataset, which decide how they become numbers.
        reference: a function that returns the training images, to which classifiers of codes are fitted; None: there
            are none.
        seed: the seed of everything that is drawn.
        progress: a wrapper of loops over images that shows their progress.
    """

    model: Autoencoder
    images: ImageSet
    data: DatasetConfig
    reference: Callable[[], ImageSet] | None = None
    seed: int = SEED
    progress: ProgressBar[ImageSet] = field(default=no_progress)

    def mean(self, terms: Callable[[Model, Tensor], Terms]) -> dict[str, float]:
        """Return the mean over the images of terms that are means over a batch."""
        batches = itertools.count()

        def encoded_terms(model: Model, x: Tensor) -> Terms:
            return terms(EncodedModel(model, x, next(batches), self.posteriors), x)

        self.model.check_labels(self.images.labels)
        running = running_terms(
            self.images, self.data, self.model, encoded_terms, seed=self.seed, progress=self.progress
        )
        return running.read().means()

    @cached_property
    def posteriors(self) -> KeptPosteriors:
        """The posteriors of the images that one family has computed, for the next."""
        return KeptPosteriors()

    @cached_property
    def codes(self) -> Tensor:
        """The posterior means (N, D) of the images."""
        return codes(self.model, self.images, self.data, seed=self.seed, progress=self.progress)

    @cached_property
    def training(self) -> ImageSet:
        """Training images, chosen at random, at most :data:`REFERENCE_IMAGES`.

        Raises:
            NotApplicable: there are none, or they are the measured images themselves.
        """
        if self.reference is None:
            raise NotApplicable("it is fitted to training images and measured on others")
        images = self.reference()
        return images.chosen(self.order(len(images))[:REFERENCE_IMAGES])

    @cached_property
    def samples_drawn(self) -> Tensor:
        """Images (N, C, H, W) decoded from the prior, one for each measured image, uint8 on the CPU.

        They are the means of p(x|z), binary where the images were binarised once and for all. A conditional model
        draws each class in turn.
        """
        n, size = len(self.images), eval_batch_size(self.images.images.shape[1:])
        generator = torch.Generator().manual_seed(self.seed)
        with eval_mode(self.model, self.seed):
            parts = [self._sample(range(start, min(n, start + size)), generator) for start in range(0, n, size)]
            if self.data.binarization == "fixed":
                parts = [bernoulli(part) for part in parts]
            return torch.cat([(part * 255).round().to(torch.uint8).cpu() for part in parts])

    def _sample(self, numbers: range, generator: torch.Generator) -> Tensor:
        """Return the samples of these numbers, whose classes take turns over all of them."""
        classes = self.model.classes
        labels = torch.tensor(numbers) % classes if classes else None
        return self.model.sample(len(numbers), generator, labels)

    def order(self, n: int) -> Tensor:
        """Return 0 to n - 1 in an order that the seed decides, since images may be sorted by class or by a factor."""
        return torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))
