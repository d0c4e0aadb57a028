"""A full memory is one message and exit code 2, whichever library runs out of it, in every command."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.helpers import PLUGIN, command, python
from zoo.system.memory import OutOfMemory, explaining_memory, machine_memory, out_of_memory


class PanicException(BaseException):
    """A stand-in for the one of Rust's bindings."""


def chained(outer: Exception, inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise outer from error
    except Exception as error:
        return error


FULL = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("could not create a primitive"),
    SystemError("error return without exception set"),
    ImportError("libx.so: failed to map segment from shared object"),
    OSError("libcublasLt.so.13: failed to map segment from shared object"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    PanicException("PyObject pointer is null"),
    chained(ValueError("no image"), MemoryError()),
]
OTHER = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x4 and 3x5): no room"),
    ValueError("out of memory of what was said"),
    OSError(errno.ENOENT, "No such file or directory"),
    PanicException("index out of bounds"),
]


@pytest.mark.parametrize("error", FULL, ids=repr)
@pytest.mark.parametrize("verb", ["train", "encode"])
def test_every_kind_is_one_message(error: BaseException, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(options: object) -> None:
        raise error

    monkeypatch.setattr(f"zoo.cli.{verb}.run", failing)
    done = command(verb, *{"train": ["x"], "encode": ["x", "y", "--out", "z"]}[verb])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "memory is full; lower training.batch_size or the model's sizes" in done.stderr


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_other_errors_stay(error: BaseException) -> None:
    assert not out_of_memory(error)
    with pytest.raises(type(error)), explaining_memory():
        raise error


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS")
def test_a_real_limit(recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    code = (
        "import resource, zoo.training.run\n"
        "from zoo.cli.app import main\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 150 * 2**20,) * 2)\n"
        "main()"
    )
    model = {"variant": "linear_vae", "hidden": [3000, 3000], "latent_dim": 4}
    out = tmp_path / "run"
    done = python("-c", code, "train", recipe_file(model=model), "--out", out, "--import", PLUGIN)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "memory" in done.stderr


def test_a_run_says_it_in_python_too() -> None:
    with pytest.raises(OutOfMemory, match="the device's memory is full"), explaining_memory():
        raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS")
def test_a_limit_counts_as_this_machine_s_memory() -> None:
    assert machine_memory() is not None
    assert machine_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # type: ignore[operator]
    code = "from zoo.system.memory import machine_memory; print(machine_memory())"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); {code}"
    assert int(python("-c", limited).stdout) == 2**30
