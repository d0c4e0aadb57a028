"""``zoo finish RUN.partial``: end an unfinished run at its last checkpoint."""

from __future__ import annotations

import argparse

from zoo.cli._common import add_common, loadable
from zoo.cli._output import say
from zoo.errors import ZooError
from zoo.system.files import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=user_path, help="the folder of an unfinished run, as in ./runs/mine.partial")
    parser.add_argument("--overwrite", action="store_true", help="replace a finished run that is there already")
    add_common(parser)


def run(options: argparse.Namespace) -> None:
    """Measure and draw what the last checkpoint holds, and say where the run folder is."""
    from zoo.runs.unfinished import finished_folder, partial_folder
    from zoo.training.checkpoint import last_state
    from zoo.training.distributed import joined
    from zoo.training.output_folder import has_checkpoint
    from zoo.training.resumed_device import device_to_resume
    from zoo.training.run import train
    from zoo.training.state import recipe_of

    out = finished_folder(options.run)
    partial = partial_folder(out)
    if not has_checkpoint(partial):
        raise ZooError(f"there is no checkpoint of an unfinished run in {partial}")
    state = last_state(partial)
    if not state["step"]:
        raise ZooError(f"the run in {partial} has taken no step yet; go on with it: zoo train {partial} --resume")
    recipe = recipe_of(state)
    training = recipe.training.model_copy(update={"steps": state["step"]})
    device = device_to_resume(options.device, [out])
    with joined(device) as group:
        train(
            recipe.model_copy(update={"training": training}), out, device,
            resume=True, overwrite=options.overwrite, group=group,
        )  # fmt: skip
    if group.rank == 0:
        say(f"{out} is ready, ended at step {state['step']:,}: zoo.load({loadable(out)!r})")
