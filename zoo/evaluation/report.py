"""One trained model measured: its metrics, its card checked, or its card updated, with all that decides the figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.datasets import ImageSet
from zoo.entries.trained_model import TrainedModel
from zoo.errors import ZooError
from zoo.evaluation.claims import Verdict, check, check_images, statements
from zoo.evaluation.update import update
from zoo.metrics import EvalContext, evaluate
from zoo.runs.provenance import LIBRARIES, METRIC_LIBRARIES, versions
from zoo.schema.base import Split
from zoo.system.devices import describe


@dataclass
class ModelReport:
    """One model, to be measured, checked against its card, or have its card updated.

    Args:
        trained: the model, its run folder and its images.
        images: the number of images to measure on, the first ones; None: all.
        samples: K of metrics with a number of samples.
        seed: the seed of everything that is drawn.
        track: a wrapper that shows the progress of a loop, such as rich's ``Progress.track``; None: nothing is shown.
    """

    trained: TrainedModel
    images: int | None = None
    samples: int = 0
    seed: int = 0
    track: Callable[..., Iterable[ImageSet]] | None = None
    _family: str = field(default="", init=False)

    def measure(self, split: Split, names: Sequence[str] = ()) -> dict[str, Any]:
        """Measure metrics, or families of them, and return them with all that decides them, for JSON."""
        begin = time.perf_counter()
        context, config = self.context(split), self.trained.config
        evaluation = evaluate(context, names, samples=self.samples, on_family=self._on_family)
        return {
            "name": config.name,
            "data": self.trained.dataset.name,
            "split": split,
            "images": len(context.images),
            "seed": context.seed,
            "metrics": evaluation.metrics,
            "lacking": evaluation.lacking,
            "same_images": self.trained.has_images_of_card(split),
            "card": config.metrics[split],
            "weights_sha256": config.weights_sha256,
            "hardware": describe(self.trained.model.device),
            "versions": versions((*LIBRARIES, *METRIC_LIBRARIES)),
            "seconds": round(time.perf_counter() - begin, 1),
        }

    def check(self, *, claims_only: bool = False) -> dict[str, Any]:
        """Return every statement of the card, or its claims only, beside a measurement, for JSON.

        Raises:
            ZooError: the card states nothing, or the images are not those that it was measured on.
        """
        config = self.trained.config
        stated = statements(config, claims_only=claims_only)
        if not stated:
            raise ZooError(f"{config.name} states nothing that could be checked")
        for split in {statement.split for statement in stated}:
            check_images(config, split, self.trained.images(split))
        verdicts = check(self.context, stated, self._on_family)
        return {"name": config.name, "statements": [_row(verdict) for verdict in verdicts]}

    def update(self, names: Sequence[str] = (), runs: Sequence[Path] = ()) -> dict[str, Any]:
        """Write what is measured, and other seeds' runs, into the run folder, and return the files' paths, for JSON."""
        written = update(self.trained, self.context, names, runs, samples=self.samples, on_family=self._on_family)
        return {"name": self.trained.config.name, "written": [str(path) for path in written]}

    def context(self, split: Split) -> EvalContext:
        """Return the model and its images of a split, with the training images where the split is another."""
        trained = self.trained
        images, data = trained.images(split).first(self.images), trained.dataset
        reference = None if split == "train" else lambda: trained.train
        return EvalContext(trained.model, images, data, reference, self.seed, self._progress)

    def _on_family(self, family: str) -> None:
        self._family = family

    def _progress(self, items: Iterable[ImageSet], total: int) -> Iterable[ImageSet]:
        if self.track is None:
            return items
        return self.track(items, total=total, description=f"{self.trained.config.name}: {self._family}")


def _row(verdict: Verdict) -> dict[str, Any]:
    """Return a statement and what was measured, for JSON."""
    statement = verdict.statement
    return {
        "claimed": statement.tolerance is not None,
        "split": statement.split,
        "metric": statement.metric,
        "stated": statement.value,
        "allowed": statement.allowed,
        "measured": verdict.measured,
        "kept": verdict.kept,
        "reason": verdict.reason,
    }
