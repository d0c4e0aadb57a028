"""The folder that a run writes into: ``<out>.partial``, which is renamed to ``<out>`` when it is complete.

A run folder is therefore never half written, and an older one stays until the new one is complete.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial as with_arguments
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.errors import ZooError, first_line
from zoo.runs.folder import CHECKPOINT_FILE, CONFIG_FILE, read_config
from zoo.runs.ownership import CHECKPOINT_FILES, check_replaceable, check_unfinished, leftovers
from zoo.schema.digest import differences
from zoo.schema.recipe import Recipe
from zoo.system.folders import make_folder, replace_folder
from zoo.training.go_on import going_on, may_go_on


def is_finished(out: Path, recipe: Recipe) -> bool:
    """Return whether ``out`` holds a finished run of this recipe; False, too, if it can go on as this recipe says.

    Raises:
        ZooError: ``out`` holds a finished run of another recipe, or weights from elsewhere.
    """
    if not (out / CONFIG_FILE).exists():
        return False
    config = read_config(out)
    if config.foreign:
        raise ZooError(
            f"{out} holds weights that were trained elsewhere ({config.foreign.file}), and no training that could go "
            f"on; start one from them in another folder: --set training.start={out.absolute()} --out FOLDER"
        )
    before = config.checked_recipe
    recipe = going_on(before, recipe, 0)
    differing = differences(before.to_dict(), recipe.to_dict())
    if not differing:
        remove_checkpoints(out, keep=recipe.execution.keep_checkpoint)  # the process was killed just before it did
        return True
    if not differences(may_go_on(before, recipe).to_dict(), recipe.to_dict()):
        if has_checkpoint(out):
            return False
        raise ZooError(
            f"{out} keeps no checkpoint to go on from ({'; '.join(differing)}); --overwrite trains it again, --out "
            f"writes elsewhere"
        )
    found = f"{out} was trained from another recipe ({'; '.join(differing)})"
    raise ZooError(f"{found}; --overwrite replaces it, --out writes elsewhere")


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
    lock = FileLock(lock_path(out))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ZooError(f"another process is training into {out}; wait for it, or write elsewhere with --out") from error
    except (OSError, NotImplementedError) as error:  # the latter where there are no locks
        reason = getattr(error, "strerror", None) or first_line(error)
        raise ZooError(f"cannot write in {out.parent}: {reason}; choose another folder with --out") from error
    try:
        check_free(out, partial, resume=resume, overwrite=overwrite)
        if partial.exists() and not (resume and has_checkpoint(partial)):
            shutil.rmtree(partial)
        make_folder(partial)
        for path in leftovers(partial):
            path.unlink()
        try:
            yield
        finally:
            if partial.is_dir() and not any(partial.iterdir()):
                partial.rmdir()
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def lock_path(out: Path) -> Path:
    """Return the path of the file that is locked while a run to ``out`` goes on.

    Raises:
        ZooError: something of this name is there that is no lock.
    """
    path = out.with_name(f".{out.name}.lock")
    try:
        status = os.lstat(path)
    except OSError:
        return path
    if not stat.S_ISREG(status.st_mode) or not _is_lock(path, status.st_size):
        raise ZooError(f"{path} is where a lock would be, and is none; move it, or choose another folder with --out")
    return path


def _is_lock(path: Path, size: int) -> bool:
    """Return whether a file is a lock: empty, or, where a file system has no locks, with the process that holds it."""
    return not size or (size < 1024 and re.match(rb"\d+\n", path.read_bytes()) is not None)


def has_checkpoint(partial: Path) -> bool:
    """Return whether an unfinished run has left a checkpoint."""
    return any((partial / name).exists() for name in CHECKPOINT_FILES)


def remove_checkpoints(folder: Path, *, keep: bool) -> None:
    """Remove what is only needed while a run is unfinished; ``keep`` the last checkpoint, to go on from."""
    for name in CHECKPOINT_FILES - ({CHECKPOINT_FILE} if keep else set()):
        (folder / name).unlink(missing_ok=True)


def check_free(out: Path, partial: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to replace anything but a run, and a run only if it was asked for; see :func:`reserved`."""
    check_replaceable(out, "--out", overwrite=overwrite)
    check_unfinished(partial)
    if has_checkpoint(partial) and not (resume or overwrite):
        raise ZooError(f"an unfinished run is in {partial}; --resume continues it, --overwrite starts again")


def publish(partial: Path, out: Path, *, overwrite: bool, keep: bool) -> None:
    """Turn a complete partial folder into the run folder, replacing an older one; ``keep`` the last checkpoint.

    Raises:
        ZooError: the folder cannot be renamed, or holds files by now that no run has written; the complete run stays
            in ``partial``.
    """
    try:
        replace_folder(partial, out, with_arguments(check_replaceable, option="--out", overwrite=overwrite))
        remove_checkpoints(out, keep=keep)
    except OSError as error:
        raise ZooError(f"cannot rename {partial} to {out}: {error.strerror}; the new run is complete there") from error
    except ZooError as error:
        raise ZooError(f"{error}; the new run is complete in {partial}: --resume finishes it") from error
