"""Where a run writes: into ``<out>.partial``, which becomes ``<out>`` when everything is there.

So a run folder is never half written, and one that is trained again stays whole until the new one is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.errors import ZooError
from zoo.runs.folder import CONFIG_FILE, PIN_FILE, RUN_FILES, read_config
from zoo.schema.recipe import Recipe
from zoo.system.files import make_folder, replace_folder

CHECKPOINT_FILE = "checkpoint.safetensors"


def is_finished(out: Path, recipe: Recipe) -> bool:
    """Whether ``out`` holds a finished run of this recipe.

    Raises:
        ZooError: it holds a finished run of another recipe.
    """
    if not (out / CONFIG_FILE).exists():
        return False
    if read_config(out).checked_recipe.digest() == recipe.digest():
        (out / CHECKPOINT_FILE).unlink(missing_ok=True)  # the process was killed just before it did so
        return True
    raise ZooError(f"{out} was trained from another recipe; --overwrite replaces it, --out writes elsewhere")


def partial_folder(out: Path) -> Path:
    """Where the run to ``out`` writes until it is whole."""
    return out.parent / f"{out.name}.partial"


@contextmanager
def reserved(out: Path, partial: Path, *, resume: bool, overwrite: bool, writes: bool = True) -> Iterator[None]:
    """Hold the partial folder of a run to ``out`` against other processes; leave it if it holds anything to go on from.

    Raises:
        ZooError: another process trains there, something is there already and neither ``resume`` nor ``overwrite`` was
            asked for, ``out`` is no folder that a run has written, or it cannot be written.
    """
    if not writes:  # of several processes, another one has it
        yield
        return
    if not out.name:
        raise ZooError(f"--out {out}: name a new folder for the run")
    make_folder(out.parent)
    lock = FileLock(out.parent / f".{out.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ZooError(f"another process is training into {out}; wait for it, or write elsewhere with --out") from error
    except OSError as error:
        raise ZooError(f"cannot write in {out.parent}: {error.strerror}; choose another place with --out") from error
    try:
        check_free(out, partial, resume=resume, overwrite=overwrite)
        if partial.exists() and not (resume and (partial / CHECKPOINT_FILE).exists()):
            shutil.rmtree(partial)
        make_folder(partial)
        for unfinished in partial.glob(".*.tmp"):  # of a process that was killed while it wrote
            unfinished.unlink()
        yield
    finally:
        if partial.is_dir() and not any(partial.iterdir()):
            partial.rmdir()
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def check_free(out: Path, partial: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to touch what is there, unless it is a run's and was asked for; see :func:`reserved`."""
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        if not out.is_dir() or {path.name for path in out.iterdir()} - {*RUN_FILES, PIN_FILE, CHECKPOINT_FILE}:
            raise ZooError(f"{out} holds files that no run has written; choose another place with --out")
        if not overwrite:
            raise ZooError(f"{out} is there already; --overwrite trains it again, --out writes elsewhere")
    has_checkpoint = (partial / CHECKPOINT_FILE).exists()
    if has_checkpoint and not (resume or overwrite):
        raise ZooError(f"an unfinished run is in {partial}; --resume goes on with it, --overwrite starts again")


def publish(partial: Path, out: Path) -> None:
    """Turn a complete partial folder into the run folder, in place of an older one, or leave both as they are."""
    try:
        replace_folder(partial, out)
        (out / CHECKPOINT_FILE).unlink()
    except OSError as error:
        raise ZooError(f"cannot rename {partial} to {out}: {error.strerror}; the new run is complete there") from error
