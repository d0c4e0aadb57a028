"""A search for the settings of a recipe that are best on validation images, through Optuna.

Each trial is a run like any other, in a run folder of its own. The settings that a trial gets depend on the recipe's
seed, its number and the trials that have ended, so that a study that one process does alone is the same every time,
however often it is interrupted.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.datasets import load_images, split_off
from zoo.errors import NotApplicable, OutputError, ZooError
from zoo.metrics import EvalContext, evaluate
from zoo.runs.folder import load_folder
from zoo.runs.unfinished import partial_folder
from zoo.schema.metric import family_of
from zoo.schema.search_space import overlap
from zoo.system.folders import make_folder
from zoo.system.memory import explaining_memory
from zoo.training.epochs import Interrupted
from zoo.training.output_folder import has_checkpoint
from zoo.training.run import stop_signals, train
from zoo.training.search import Search
from zoo.training.study import abandoned, ask, check_folders, explaining_storage, open_study, summary_of
from zoo.training.study_summary import StudySummary

if TYPE_CHECKING:
    from optuna.study import Study

KINDS = ("model.variant", "model.posterior", "model.prior", "model.likelihood", "objective.name")
"""The fields that decide which metrics a model has."""


def tune(
    search: Search, trials: int, device: torch.device, storage: str = "", *, say: Callable[[str], object]
) -> StudySummary:
    """Train until a study has a number of trials, those of other processes included.

    Args:
        search: the recipe, its fields that are searched, and the metric.
        trials: the number of trials.
        device: the device to train on.
        storage: the address of Optuna's storage; empty: a file in the folder of the runs.
        say: called with a line about each trial.

    Raises:
        ZooError: the study cannot be used, or is one of something else; the images are not here.
        NotApplicable: Optuna is not installed, or the model does not have the metric.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on.
    """
    make_folder(search.out)
    with explaining_storage(storage), search.at_work(), stop_signals() as signals:
        study = open_study(search, storage)
        while True:
            if signals:
                raise Interrupted(f"stopped between two trials of {search.name}; the same command goes on")
            check_folders(study, search)
            with abandoned(study, search) as left:
                if left:
                    number, settings = left.number, dict(left.params)
                elif len(study.get_trials(deepcopy=False)) < trials:
                    number, settings = ask(study, search)
                else:
                    return summary_of(study, search)
                run_trial(study, search, number, settings, device, say)


def run_trial(
    study: Study,
    search: Search,
    number: int,
    settings: dict[str, Any],
    device: torch.device,
    say: Callable[[str], object],
) -> None:
    """Train a trial, or go on with it, and tell the study how good it is.

    Raises:
        NotApplicable: the model does not have the metric, and no other trial could have it.
        Interrupted: as :func:`tune`.
    """
    from optuna.trial import TrialState

    def fail(reason: object) -> None:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        say(f"trial {number} failed: {reason}")

    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    say(f"trial {number}: {shown}")
    try:
        if settings.keys() != search.space.keys():
            raise ZooError("it was stopped before it had its settings")
        folder = search.out / search.trial_name(number)
        begun = folder.exists() or has_checkpoint(partial_folder(folder))
        with explaining_memory():
            train(search.recipe_of(number, settings), folder, device, resume=begun)
            value = validated(folder, search.metric.name, device)
    except NotApplicable as error:
        fail(error)
        if not any(overlap(field, kind) for field in search.space for kind in KINDS):
            raise  # nor would any other trial have it
        return
    except (OutputError, OSError):  # no fault of the trial, which the same command goes on with
        raise
    except Interrupted as interrupt:
        raise Interrupted(f"stopped in trial {number} of {search.name}; the same command goes on") from interrupt
    except ZooError as error:
        fail(error)
        return
    except Exception:  # a mistake in someone's variant must not cost the other trials
        fail(traceback.format_exc())
        return
    study.tell(number, value, skip_if_finished=True)
    say(f"trial {number}: {search.metric.name} {value:.6g} on the validation images")


def validated(folder: Path, metric: str, device: torch.device) -> float:
    """Measure a run's model on its validation images.

    Raises:
        NotApplicable: the model does not have the metric.
        ZooError: it is no finite number.
    """
    model = load_folder(folder, device)
    assert model.config is not None
    recipe = model.config.checked_recipe
    rest, held_out = split_off(load_images(recipe.data, "train"), recipe.training.validation)
    assert held_out is not None
    evaluation = evaluate(EvalContext(model, held_out, recipe.data, lambda: rest), [metric])
    if metric in evaluation.metrics:
        return evaluation.metrics[metric]
    family = family_of(metric).name
    reason = evaluation.lacking.get(family, "this model does not have it")
    if family in evaluation.families and family in evaluation.lacking:
        raise ZooError(f"{metric}: {reason}")
    raise NotApplicable(f"--metric {metric}: {reason}")
