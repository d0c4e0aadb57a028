"""Weights that load and are none: not numbers, twice there, or not there at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

import zoo
from zoo.errors import ZooError
from zoo.runs.folder import CONFIG_FILE, WEIGHTS_FILE
from zoo.system.files import sha256


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def sign(run: Path, content: bytes) -> None:
    """Write weights, and the config that belongs to them."""
    (run / WEIGHTS_FILE).write_bytes(content)
    config = json.loads((run / CONFIG_FILE).read_text())
    (run / CONFIG_FILE).write_text(json.dumps(config | {"weights_sha256": sha256(content)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(run: Path, value: float) -> None:
    weights = load_file(run / WEIGHTS_FILE)
    name = list(weights)[-1]
    weights[name].view(-1)[0] = value
    sign(run, save(weights))
    with pytest.raises(ZooError, match=f"holds NaN or infinite values in {name}; the model cannot be used"):
        zoo.load(run)


def test_two_tensors_of_one_name_are_refused(run: Path) -> None:
    content = (run / WEIGHTS_FILE).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].rstrip()
    name, place = next(iter((n, p) for n, p in json.loads(header).items() if n != "__metadata__"))
    twice = header[:-1] + f",{json.dumps(name)}:{json.dumps(place)}}}".encode()
    sign(run, len(twice).to_bytes(8, "little") + twice + content[8 + size :])
    with pytest.raises(ZooError, match=f"two tensors are called '{name}'"):
        zoo.load(run)


def test_a_pointer_of_git_lfs_is_named_as_one(run: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123\n"
    (run / WEIGHTS_FILE).write_bytes(pointer)
    with pytest.raises(ZooError, match="model.safetensors is a pointer of Git LFS.*`git lfs pull`"):
        zoo.load(run)
    assert torch.is_grad_enabled()
