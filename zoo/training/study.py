"""A study of Optuna: where it is kept, which settings its trials get, and what it has found."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from zoo.errors import NotApplicable, ZooError, first_line
from zoo.schema.search_space import as_fields
from zoo.system.seeds import mixed_seed
from zoo.training.search import Search
from zoo.training.study_summary import StudySummary, Tried

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

LOCK_SECONDS = 60.0
"""The seconds that a process waits for another one to let go of a study in a file of SQLite."""

RECORD = "zoo"
"""The attribute of a study that says what it is a study of."""


def ask(study: Study, search: Search) -> tuple[int, dict[str, Any]]:
    """Begin a trial; return its number and its settings, as JSON words where they are choices."""
    from optuna.samplers import TPESampler

    trial = study.ask()
    trial.set_user_attr("host", socket.gethostname())
    trial.set_user_attr("worker", search.token)
    trial.set_user_attr("out", str(search.out.resolve()))
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
    """Yield a trial that a process has begun in this folder and left, and keep others from it meanwhile."""
    from optuna.trial import TrialState

    def running() -> list[FrozenTrial]:
        return [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.RUNNING]

    host, out = socket.gethostname(), str(search.out.resolve())
    for trial in running():
        known = trial.user_attrs
        worker = known.get("worker", search.token)
        if worker == search.token or known.get("host") != host or known.get("out", out) != out:
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


def check_folders(study: Study, search: Search) -> None:
    """Refuse to begin trials whose run folders are there already, from another study.

    Raises:
        ZooError: there are such folders.
    """
    pattern = re.compile(rf"{re.escape(search.trial_name(0)[:-1])}(\d+)(\.partial)?")
    there = [(int(match[1]), path) for path in search.out.iterdir() if (match := pattern.fullmatch(path.name))]
    begun = len(study.get_trials(deepcopy=False))  # after the folders: other processes begin trials meanwhile
    strange = min(((number, path) for number, path in there if number >= begun), default=None)
    if strange:
        raise ZooError(
            f"{strange[1]} is of a study that this one does not know; choose another folder with --out, another name "
            f"with --study, or move it away"
        )


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
