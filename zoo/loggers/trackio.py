"""trackio, which keeps runs in a local database."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo.loggers import LoggedRun, Logger
from zoo.registry import register_logger


class Trackio(Logger):
    """Logs to the project ``autoencoder-zoo`` of trackio on this machine; ``trackio show`` opens it."""

    def __init__(self, run: LoggedRun) -> None:
        import trackio

        self.image = trackio.Image
        self.run = trackio.init(
            project="autoencoder-zoo", name=run.name, group=run.recipe["name"], config=dict(run.recipe), embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log an epoch's numbers."""
        self.run.log(dict(values), step=epoch)

    def images(self, epoch: int, name: str, images: Tensor) -> None:
        """Log images side by side as one."""
        pixels = images.expand(-1, 3, -1, -1).permute(2, 0, 3, 1).flatten(1, 2)  # (H, N * W, 3)
        self.run.log({name: self.image(pixels.numpy())}, step=epoch)

    def figures(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log the final figures under ``final``."""
        self.run.log({f"final/{name}": value for name, value in values.items()}, step=epoch)

    def close(self) -> None:
        """End the run."""
        self.run.finish()


@register_logger(package="trackio")
def trackio(run: LoggedRun) -> Logger:
    """The local database of trackio, in the project autoencoder-zoo."""
    return Trackio(run)
