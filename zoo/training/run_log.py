"""What the loggers of a run are told, when, and what happens when one of them fails."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch

from zoo.errors import ZooError, first_line
from zoo.inference.loops import eval_mode
from zoo.loggers import LoggedRun, Logger
from zoo.registry import LOGGERS
from zoo.schema.base import Split
from zoo.training.run_state import EpochRecord
from zoo.training.snapshots import IMAGES_PER_SNAPSHOT, as_bytes
from zoo.training.trainer import Trainer

SAMPLE_SEED = 0
"""The seed of the codes of the samples that are logged, so that the same ones are seen to change."""


def check_loggers(names: Sequence[str]) -> None:
    """Refuse loggers that there are not, or whose package is not installed.

    Raises:
        ZooError: names the close matches, or the command that installs the package.
    """
    for name in names:
        package = LOGGERS.get(name).package
        if package and find_spec(package) is None:
            raise ZooError(f"--log {name} needs {package}: pip install 'autoencoder-zoo[{name}]'")


class RunLog:
    """Tells the loggers of a run what happens; one that fails is left out from then on, with a warning."""

    def __init__(self, names: Sequence[str], run: LoggedRun) -> None:
        self.loggers: dict[str, Logger] = {}
        for name in dict.fromkeys(names):
            with self._watched(name):
                self.loggers[name] = LOGGERS.get(name).build(run)

    @contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of another's service or package, which must not cost the training
            self.loggers.pop(name, None)
            reason = f"{type(error).__name__}: {first_line(error)}"
            warnings.warn(f"the logger {name!r} failed ({reason}); training goes on without it", stacklevel=4)

    def _tell(self, what: Callable[[Logger], None]) -> None:
        for name, logger in list(self.loggers.items()):
            with self._watched(name):
                what(logger)

    def epoch_done(self, trainer: Trainer, row: EpochRecord) -> None:
        """Log the numbers of an epoch, and images where a snapshot has been taken, at most some ten times a run."""
        if not self.loggers:
            return
        epoch = row["epoch"]
        parts = {name: part for name, part in row.items() if isinstance(part, dict)}
        values = {f"{part}/{name}": value for part, terms in parts.items() for name, value in terms.items()}
        values |= {name: value for name, value in row.items() if isinstance(value, float)}  # the learning rate, …
        self._tell(lambda logger: logger.scalars(epoch, values))
        snapshots = trainer.snapshots
        if trainer.model.image_shape[0] not in (1, 3) or snapshots.epochs[-1:] != [epoch]:
            return
        images = {"originals": as_bytes(snapshots.x)} if len(snapshots.epochs) <= 2 else {}  # the first after epoch 0
        images["reconstructions"] = snapshots.reconstructions[-1]
        if not trainer.model.prior.fitted:  # where it is, it is fitted after the last epoch
            images["samples"] = samples(trainer)
        for name, pixels in images.items():
            self._tell(lambda logger, name=name, pixels=pixels: logger.images(epoch, name, pixels))  # type: ignore[misc]

    def finished(self, epoch: int, metrics: Mapping[Split, Mapping[str, float]]) -> None:
        """Log the figures of the run's card, by split and metric."""
        values = {f"{split}/{name}": value for split, part in metrics.items() for name, value in part.items()}
        self._tell(lambda logger: logger.figures(epoch, values))

    def close(self) -> None:
        """Close the loggers."""
        self._tell(lambda logger: logger.close())


def samples(trainer: Trainer) -> torch.Tensor:
    """Return samples of the model, uint8 (N, C, H, W), always of the same codes; no state of the run changes."""
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    with trainer.context.active(), trainer.optimizer.averaged(), eval_mode(trainer.model):
        return as_bytes(trainer.model.sample(IMAGES_PER_SNAPSHOT, generator))


@contextmanager
def logged(names: Sequence[str], out: Path, trainer: Trainer) -> Iterator[RunLog]:
    """Yield the loggers of a run, and close them at the end.

    Args:
        names: the names of the loggers.
        out: the run folder.
        trainer: the trainer, restored to where the run goes on.
    """
    run = LoggedRun(out.name, out.parent, trainer.recipe.to_dict(), trainer.epoch)
    log = RunLog(names if trainer.group.rank == 0 else (), run)
    try:
        yield log
    finally:
        log.close()
