"""The choice of a device, and what is said where there is none such."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from zoo.errors import ZooError
from zoo.system.devices import choose_device, without_tf32
from zoo.training.distributed import local_device

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


def test_without_tf32_both_libraries_compute_in_32_bits_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with pytest.raises(ValueError), without_tf32():
        assert not matmul.allow_tf32 and not cudnn.allow_tf32
        raise ValueError
    assert (matmul.allow_tf32, cudnn.allow_tf32) == before
