"""The device that a run goes on with, where the user leaves it open: the one that it was started on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch

from zoo.errors import ZooError
from zoo.runs.unfinished import partial_folder
from zoo.system.devices import choose_device
from zoo.training.checkpoint import last_state
from zoo.training.distributed import local_device
from zoo.training.output_folder import has_checkpoint


def device_to_resume(name: str, outs: Iterable[Path]) -> torch.device:
    """Return the device of this name; for ``auto``, that of the first run with a checkpoint, if this machine has it.

    Args:
        name: what ``--device`` says.
        outs: the run folders.

    Raises:
        ZooError: this machine has no such device.
    """
    folders = [folder for out in outs for folder in (partial_folder(out), out) if has_checkpoint(folder)]
    if name == "auto" and folders:
        with suppress(ZooError):  # a damaged checkpoint is told where the run goes on
            return choose_device(local_device(last_state(folders[0])["device"]))
    return choose_device(local_device(name))
