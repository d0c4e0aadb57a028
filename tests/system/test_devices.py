"""The choice of a device, and what is said where there is none such."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import ZooError
from zoo.system.devices import choose_device, without_tf32
from zoo.training.distributed import joined, local_device

TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)


def refuse(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """Let torch refuse a tensor on a GPU as it does without one."""
    original = torch.empty

    def empty(*sizes: Any, device: Any = None, **settings: Any) -> torch.Tensor:
        if str(device).startswith("cuda"):
            raise RuntimeError(message)
        return original(*sizes, device=device, **settings)

    monkeypatch.setattr(torch, "empty", empty)


@pytest.mark.parametrize(("count", "there"), [(1, "cuda:0 is the only GPU"), (4, "there are cuda:0 to cuda:3")])
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(
    count: int, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "CUDA error: invalid device ordinal\nCUDA kernel errors might be asynchronously reported")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ZooError) as caught:
        choose_device("cuda:7")
    assert str(caught.value) == f"no device 'cuda:7' here ({there}); use one of these, or --device cuda"


def test_a_driver_that_is_too_old_is_an_error_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, TOO_OLD)
    with pytest.raises(ZooError, match="the NVIDIA driver is too old for torch .*; update the driver, .* --device cpu"):
        choose_device("cuda")


def test_a_driver_that_is_too_old_is_one_line_where_any_device_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_available() -> bool:
        warnings.warn(f"CUDA initialization: {TOO_OLD}", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="no GPU is used: the NVIDIA driver is too old") as caught:
        assert choose_device() == torch.device("cpu")
    assert len(caught) == 1 and "\n" not in str(caught[0].message)


def test_processes_do_not_share_a_gpu_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_device("cuda:0") == "cuda:0"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [local_device("cuda"), local_device("auto"), local_device("cpu")] == ["cuda:1", "cuda:1", "cpu"]
    with pytest.raises(ZooError, match="every process of torchrun would use cuda:0; with --device cuda"):
        local_device("cuda:0")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', which is no number; start several processes with torchrun"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set, but RANK is not; start several processes with torchrun"),
        ({"WORLD_SIZE": "2", "RANK": ""}, "WORLD_SIZE is set, but RANK is not; start several processes with torchrun"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_PORT is not"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_PORT": "29500"}, "MASTER_ADDR is not"),
    ],
)
def test_half_of_what_torchrun_sets_is_refused(
    environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "MASTER_PORT", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ZooError, match=message), joined(torch.device("cpu")):
        pass


@pytest.mark.slow
def test_a_process_that_waits_for_others_can_be_ended(tmp_path: Path) -> None:
    settings = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    code = (
        "import torch\nfrom zoo.cli.app import terminable\nfrom zoo.training.distributed import joined\n"
        "with terminable():\n    print('waits', flush=True)\n    with joined(torch.device('cpu')):\n        pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | settings, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout and waiting.stdout.readline() == b"waits\n"
        time.sleep(0.3)
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(10) == -signal.SIGTERM


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_machine_without_mps_says_so_in_few_words() -> None:
    if torch.backends.mps.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ZooError, match="^no device 'mps' here .this torch has no MPS, which is for Macs[^;]*; use"):
        choose_device("mps")


def test_without_tf32_both_libraries_compute_in_32_bits_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with pytest.raises(ValueError), without_tf32():
        assert not matmul.allow_tf32 and not cudnn.allow_tf32
        raise ValueError
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before
