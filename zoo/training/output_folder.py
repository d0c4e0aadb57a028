"""The folder that a run writes into: ``<out>.partial``, which is renamed to ``<out>`` when it is complete.

A run folder is therefore never half written, and an older one stays until the new one is complete.
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
from zoo.system.files import check_replaceable, make_folder, replace_folder

CHECKPOINT_FILE = "checkpoint.safetensors"


def is_finished(out: Path, recipe: Recipe) -> bool:
    """Return whether ``out`` holds a finished run of this recipe.

    Raises:
        ZooError: ``out`` holds a finished run of another recipe.
    """
    if not (out / CONFIG_FILE).exists():
        return False
    if read_config(out).checked_recipe.digest() == recipe.digest():
        (out / CHECKPOINT_FILE).unlink(missing_ok=True)  # the process was killed just before it removed it
        return True
    raise ZooError(f"{out} was trained from another recipe; --overwrite replaces it, --out writes elsewhere")


def partial_folder(out: Path) -> Path:
    """Return the folder that a run to ``out`` writes into until it is complete."""
    return out.parent / f"{out.name}.partial"


@contextmanager
def reserved(out: Path, partial: Path, *, resume: bool, overwrite: bool, writes: bool = True) -> Iterator[None]:
    """Lock the partial folder of a run to ``out`` while the context is active; remove it afterwards if it is empty.

    Args:
        out: the run folder to write.
        partial: its :func:`partial_folder`.
        resume: keep a checkpoint in the partial folder, to continue from it.
        overwrite: accept that ``out`` or an unfinished run is replaced.
        writes: whether this process writes; of several, only one does.

    Raises:
        ZooError: another process trains there, a run is there already and neither ``resume`` nor ``overwrite`` was
            asked for, ``out`` holds files that no run has written, or it cannot be written.
    """
    if not writes:  # another process holds the lock
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
        raise ZooError(f"cannot write in {out.parent}: {error.strerror}; choose another folder with --out") from error
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
    """Refuse to replace anything but a run, and a run only if it was asked for; see :func:`reserved`."""
    check_replaceable(out, "--out", {*RUN_FILES, PIN_FILE, CHECKPOINT_FILE}, overwrite=overwrite)
    has_checkpoint = (partial / CHECKPOINT_FILE).exists()
    if has_checkpoint and not (resume or overwrite):
        raise ZooError(f"an unfinished run is in {partial}; --resume continues it, --overwrite starts again")


def publish(partial: Path, out: Path) -> None:
    """Turn a complete partial folder into the run folder, replacing an older one.

    Raises:
        ZooError: the folder cannot be renamed; the complete run stays in ``partial``.
    """
    try:
        replace_folder(partial, out)
        (out / CHECKPOINT_FILE).unlink()
    except OSError as error:
        raise ZooError(f"cannot rename {partial} to {out}: {error.strerror}; the new run is complete there") from error
