"""The device that a run goes on with, where the user leaves it open: the one that it was started on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch

from zoo.errors import ZooError
from zoo.runs.folder import CONFIG_FILE
from zoo.runs.unfinished import partial_folder
from zoo.system.devices import choose_device
from zoo.training.checkpoint import last_state
from zoo.training.distributed import local_device
from zoo.training.output_folder import has_checkpoint


def device_to_resume(name: str, outs: Iterable[Path]) -> torch.device:
    """Return the device of this name; for ``auto``, that of the runs' checkpoints, if they agree and it is here.

    Args:
        name: what ``--device`` says.
        outs: the run folders; those that are finished count only where no other is among them.

    Raises:
        ZooError: this machine has no such device.
    """
    outs = list(outs)
    unfinished = [out for out in outs if has_checkpoint(partial_folder(out)) or not (out / CONFIG_FILE).exists()]
    folders = [partial_folder(out) if out in unfinished else out for out in unfinished or outs]
    if name == "auto" and folders and all(map(has_checkpoint, folders)):
        with suppress(ZooError):  # a damaged checkpoint is told where the run goes on
            kinds = {last_state(folder)["device"] for folder in folders}
            if len(kinds) == 1:
                return choose_device(local_device(kinds.pop()))
    return choose_device(local_device(name))
