"""A search for the settings of a recipe that are best on validation images, through Optuna.

Each trial is a run like any other, in a run folder of its own. The settings that a trial gets depend on the recipe's
seed, its number and the trials that have ended, so that a study that one process does alone is the same every time,
however often it is interrupted.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from zoo.datasets import load_images, split_off
from zoo.errors import NotApplicable, OutputError, ZooError, first_line
from zoo.metrics import EvalContext, Metric, evaluate
from zoo.runs.folder import load_folder
from zoo.runs.unfinished import partial_folder
from zoo.schema.metric import family_of
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.schema.search_space import Domain, as_fields
from zoo.system.folders import make_folder
from zoo.system.seeds import mixed_seed
from zoo.training.output_folder import has_checkpoint
from zoo.training.run import Interrupted, train
from zoo.training.study_summary import StudySummary, Tried

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

LOCK_SECONDS = 60.0
"""The seconds that a process waits for another one to let go of a study in a file of SQLite."""

RECORD = "zoo"
"""The attribute of a study that says what it is a study of."""

Space = Mapping[str, tuple[Domain, bool]]
"""The domains of a search by field, each with True if the field takes whole numbers only."""


@dataclass(frozen=True)
class Search:
    """A recipe, what is searched, and by which metric.

    Raises:
        ZooError: no validation images are cut off, or the metric is none to choose by.
    """

    recipe: Recipe
    space: Space
    metric: Metric
    name: str
    """The name of the study, with which the names of its runs begin."""
    out: Path
    """The folder of the run folders."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    """The name of this process among those that work on the study."""

    def __post_init__(self) -> None:
        if self.recipe.training.validation is None:
            raise ZooError(
                "trials are chosen by validation images, never by test images, and the recipe cuts none off: add "
                "--set training.validation=0.1"
            )
        if not self.metric.better or not self.metric.repeatable:
            raise ZooError(f"--metric {self.metric.name}: no value is better than another, every time; name another")

    def trial_name(self, number: int) -> str:
        """Return the name of the run of a trial."""
        return f"{self.name}_trial_{number}"

    def recipe_of(self, number: int, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a trial.

        Raises:
            ZooError: the settings do not go together.
        """
        words = f"Trial {number} of a search from {self.recipe.name}"
        return with_settings(self.recipe, settings, self.trial_name(number), words)

    def lock(self, token: str) -> FileLock:
        """Return the lock that a process holds while it works on the study."""
        return FileLock(self.out / f".{self.name}-{token}.lock")

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold the lock of this process in the context, so that the others know that its trial is not abandoned."""
        lock = self.lock(self.token)
        try:
            with lock:
                yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def with_settings(recipe: Recipe, settings: Mapping[str, Any], name: str, summary: str) -> Recipe:
    """Return a recipe with other settings, and without what it says of the weights of its own.

    Raises:
        ZooError: the settings do not go together.
    """
    fields = recipe.to_dict()
    del fields["claims"]
    fields["source"].pop("published", None)
    fields |= {"name": name, "summary": summary}
    return parse_recipe(fields, f"trial of {recipe.name}", [f"{key}={value}" for key, value in settings.items()])


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
    with explaining_storage(storage), search.at_work():
        study = open_study(search, storage)
        while True:
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
        NotApplicable: the model does not have the metric.
        Interrupted: as :func:`tune`.
    """
    from optuna.trial import TrialState

    shown = ", ".join(f"{key}={value}" for key, value in settings.items())
    say(f"trial {number}: {shown}")
    try:
        if settings.keys() != search.space.keys():
            raise ZooError("it was stopped before it had its settings")
        folder = search.out / search.trial_name(number)
        begun = folder.exists() or has_checkpoint(partial_folder(folder))
        train(search.recipe_of(number, settings), folder, device, resume=begun)
        value = validated(folder, search.metric.name, device)
    except NotApplicable:  # nor would any other trial have it
        study.tell(number, state=TrialState.FAIL)
        raise
    except OutputError:  # no fault of the trial, which the same command goes on with
        raise
    except Interrupted as interrupt:
        raise Interrupted(f"stopped in trial {number} of {search.name}; the same command goes on") from interrupt
    except ZooError as error:
        study.tell(number, state=TrialState.FAIL)
        say(f"trial {number} failed: {error}")
        return
    study.tell(number, value)
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


def ask(study: Study, search: Search) -> tuple[int, dict[str, Any]]:
    """Begin a trial; return its number and its settings, as JSON words where they are choices."""
    from optuna.samplers import TPESampler

    trial = study.ask()
    trial.set_user_attr("host", socket.gethostname())
    trial.set_user_attr("worker", search.token)
    settings: dict[str, Any] = {}
    for index, (key, (domain, whole)) in enumerate(search.space.items()):
        seed = mixed_seed(search.recipe.training.seed, trial.number, index)
        study.sampler = TPESampler(seed=seed, multivariate=False, constant_liar=False)
        if domain.low is None or domain.high is None:
            settings[key] = trial.suggest_categorical(key, domain.words)
        elif whole:
            low, high, step = int(domain.low), int(domain.high), int(domain.step or 1)
            settings[key] = trial.suggest_int(key, low, high, step=step, log=domain.log)
        else:
            settings[key] = trial.suggest_float(key, domain.low, domain.high, step=domain.step, log=domain.log)
    return trial.number, settings


@contextmanager
def abandoned(study: Study, search: Search) -> Iterator[FrozenTrial | None]:
    """Yield a trial of this machine that a process has begun here and left, and keep others from it meanwhile."""
    from optuna.trial import TrialState

    def running() -> list[FrozenTrial]:
        return [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING]

    for trial in running():
        worker = trial.user_attrs.get("worker", search.token)
        if worker == search.token or trial.user_attrs.get("host") != socket.gethostname():
            continue
        lock = search.lock(worker)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            if trial.number in [other.number for other in running()]:  # nobody has done it meanwhile
                yield trial
                Path(lock.lock_file).unlink(missing_ok=True)
                return
        finally:
            lock.release()
    yield None


def file_address(path: Path) -> str:
    """Return Optuna's address of a file that holds a study; every character of its path stands for itself."""
    from sqlalchemy.engine import URL  # a dependency of Optuna

    return URL.create("sqlite", database=str(path)).render_as_string().replace("{", "{{").replace("}", "}}")


def open_study(search: Search, storage: str) -> Study:
    """Open a study, or begin it.

    Args:
        search: what is searched.
        storage: the address of Optuna's storage; empty: a file in the folder of the runs.

    Raises:
        ZooError: it is a study of something else.
        NotApplicable: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise NotApplicable("zoo tune needs Optuna: pip install 'autoencoder-zoo[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = storage or file_address(search.out.absolute() / f"{search.name}.db")
    waiting = {"connect_args": {"timeout": LOCK_SECONDS}} if storage.startswith("sqlite:") else None
    try:
        study = optuna.create_study(
            storage=optuna.storages.RDBStorage(storage, engine_kwargs=waiting),
            study_name=search.name,
            direction="maximize" if search.metric.better == "higher" else "minimize",
            load_if_exists=True,
        )
    except (ImportError, RuntimeError, ValueError) as error:  # no driver, a file of another version, no such address
        raise ZooError(f"the study in {without_password(storage)} cannot be used: {first_line(error)}") from error
    record = {
        "recipe": search.recipe.digest(),
        "metric": search.metric.name,
        "search space": as_fields(search.space),
    }
    found = study.user_attrs.get(RECORD)
    if found is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(RECORD, record)
    elif found != record:
        known = found if isinstance(found, dict) else {}
        other = ", ".join(part for part in record if known.get(part) != record[part])
        raise ZooError(f"the study {search.name} is one of another {other}; name a new one with --study")
    return study


@contextmanager
def explaining_storage(storage: str) -> Iterator[None]:
    """Say in a line why a study cannot be used.

    Raises:
        ZooError: its storage refuses, is locked or is not there.
    """
    try:
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:  # which is said where they are needed
        yield
        return
    place = f"the study in {without_password(storage)}" if storage else "the study"
    try:
        yield
    except (OptunaError, SQLAlchemyError) as error:
        reason = first_line(getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error)
        if "locked" in reason:
            raise ZooError(f"{place} is locked by another process; try again when that has ended") from error
        raise ZooError(f"{place} cannot be used: {reason}") from error


def without_password(storage: str) -> str:
    """Return the address of a storage as it may be shown."""
    scheme, separator, rest = storage.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def summary_of(study: Study, search: Search) -> StudySummary:
    """Return what a study has found so far.

    Raises:
        ZooError: none of its trials has succeeded.
    """
    from optuna.trial import TrialState

    tried = [
        Tried(trial.number, dict(trial.params), trial.value if trial.state == TrialState.COMPLETE else None)
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.FAIL)
    ]
    summary = StudySummary(
        search.name, search.metric, {key: domain for key, (domain, _) in search.space.items()}, tried
    )
    if not summary.ranked:
        raise ZooError(f"none of the {len(tried)} trials of {search.name} has succeeded")
    return summary
