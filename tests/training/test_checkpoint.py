"""A damaged checkpoint is known, wherever the damage is, and the one before it is continued from instead."""

from __future__ import annotations

import json
import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from tests.helpers import CPU, PLUGIN, command, tiny_recipe, trainer, weights
from zoo.errors import NotApplicable, ZooError
from zoo.runs.folder import read_snapshots
from zoo.runs.ownership import check_unfinished
from zoo.system.sealed import Damaged, seal, unseal
from zoo.training import train
from zoo.training.checkpoint import (
    DamagedCheckpoint,
    keep_last_whole,
    previous_path,
    read_checkpoint,
    write_checkpoint,
)
from zoo.training.epochs import Interrupted
from zoo.training.state import State, apart
from zoo.training.trainer import Trainer

FLIPS = 40


def flipped(content: bytes, number: int) -> bytes:
    """Return a file with one bit changed: the flips are spread over its header, then over its tensors."""
    header = 8 + int.from_bytes(content[:8], "little")
    half, at = divmod(number, FLIPS // 2)
    start, size = ((0, header), (header, len(content) - header))[half]
    place = start + (2 * at + 1) * size // FLIPS
    changed = bytearray(content)
    changed[place] ^= 1 << number % 8
    return bytes(changed)


@pytest.fixture(scope="module")
def states() -> list[State]:
    """The states of one run after five and after seven steps."""
    from zoo.training.state import copied

    run, states = trainer(tiny_recipe()), []
    for stop_at in (5, 7):
        while run.step < stop_at:
            run.run_epoch(lambda images, stop_at=stop_at: run.step >= stop_at)  # type: ignore[misc]
        states.append(copied(run.state()))
    return states


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the partial folder of a run that was stopped in its third epoch."""
    folder, original = tmp_path_factory.mktemp("interrupted"), Trainer.train_steps

    def interrupting(self: Trainer) -> Any:
        if self.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Trainer, "train_steps", interrupting)
        train(RECIPE, folder / "run", CPU)
    return folder


def test_the_snapshots_so_far_are_in_the_folder_of_a_run_in_progress(interrupted: Path, tmp_path: Path) -> None:
    partial = interrupted / "run.partial"
    assert read_snapshots(partial).epochs == [0, 1, 2]
    (tmp_path / "begun.partial").mkdir()
    shutil.copy(partial / "snapshots.safetensors", tmp_path / "begun.partial")
    check_unfinished(tmp_path / "begun.partial")  # of a run that was killed before its first checkpoint


RECIPE = tiny_recipe(training={"epochs": 4, "batch_size": 50}, execution={"checkpoint_epochs": 1})


@pytest.mark.parametrize("number", range(FLIPS))
def test_a_flipped_bit_is_found_and_the_checkpoint_before_is_taken(
    number: int, states: list[State], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, states[0])
    first = path.read_bytes()
    path.write_bytes(flipped(first, number))
    with pytest.raises(DamagedCheckpoint, match=r"it is damaged .*--overwrite"):
        read_checkpoint(path)
    with pytest.raises(DamagedCheckpoint, match=r"it is damaged .*--overwrite"):
        keep_last_whole(path)

    path.write_bytes(first)
    write_checkpoint(path, states[1])
    path.write_bytes(flipped(path.read_bytes(), number))
    with pytest.warns(UserWarning, match="is damaged; going on from the one before it"):
        keep_last_whole(path)
    assert path.read_bytes() == first
    assert not previous_path(path).exists()


@pytest.mark.parametrize("number", [3, 17, 25, 39])
def test_a_run_that_falls_back_ends_with_the_weights_of_one_without_a_break(
    number: int, interrupted: Path, tmp_path: Path
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "run.partial" / "checkpoint.safetensors"
    assert (read_checkpoint(previous_path(path))["step"], read_checkpoint(path)["step"]) == (10, 11)
    path.write_bytes(flipped(path.read_bytes(), number))
    with pytest.warns(UserWarning, match="going on from the one before it"):
        train(RECIPE, tmp_path / "run", CPU, resume=True)
    assert weights(tmp_path / "run") == weights(train(RECIPE, tmp_path / "whole", CPU))
    assert not list(tmp_path.rglob("checkpoint.previous*"))


def test_a_run_killed_between_the_two_renames_goes_on(interrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "run.partial" / "checkpoint.safetensors"
    path.unlink()
    with pytest.raises(ZooError, match="an unfinished run is in"):
        train(RECIPE, tmp_path / "run", CPU)
    train(RECIPE, tmp_path / "run", CPU, resume=True)
    assert weights(tmp_path / "run") == weights(train(RECIPE, tmp_path / "whole", CPU))


def test_two_damaged_checkpoints_are_refused_with_the_remedy(
    interrupted: Path, tmp_path: Path, recipe_file: Callable[..., Path]
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "run.partial" / "checkpoint.safetensors"
    for file in (path, previous_path(path)):
        file.write_bytes(flipped(file.read_bytes(), 30))
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    done = command("train", recipe_file(), "--out", tmp_path / "run", "--import", PLUGIN, "--resume")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "start again with --overwrite" in done.stderr
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_checkpoint_of_an_earlier_version_is_read(states: list[State], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    tree, tensors = apart(states[1])
    path.write_bytes(save(tensors, metadata={"state": json.dumps(tree)}))
    again, run = trainer(tiny_recipe()), trainer(tiny_recipe())
    again.restore(read_checkpoint(path))
    run.restore(states[1])
    assert again.step == 7
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])


def test_a_file_that_cannot_be_written_leaves_both_checkpoints(
    states: list[State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    for state in states:
        write_checkpoint(path, state)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ZooError, match="No space left"):
        write_checkpoint(path, states[0])
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", range(FLIPS))
def test_a_flipped_bit_in_the_snapshots_is_found(number: int, trained: Path, tmp_path: Path) -> None:
    content = (trained / "snapshots.safetensors").read_bytes()
    (tmp_path / "snapshots.safetensors").write_bytes(flipped(content, number))
    with pytest.raises(ZooError, match="does not hold snapshots of a training"):
        read_snapshots(tmp_path)


def test_snapshots_of_earlier_versions_are_read(trained: Path, tmp_path: Path) -> None:
    tensors = load_file(trained / "snapshots.safetensors")
    (tmp_path / "snapshots.safetensors").write_bytes(save(tensors))
    assert read_snapshots(tmp_path).epochs == read_snapshots(trained).epochs
    (tmp_path / "snapshots.safetensors").unlink()
    with pytest.raises(NotApplicable):
        read_snapshots(tmp_path)


def test_a_seal_is_the_same_twice_and_stays_out_of_the_fields() -> None:
    tensors, fields = {"x": torch.arange(5), "y": torch.eye(3)}, {"a": 'quoted "sha256"', "b": None}
    content = seal(tensors, "about", fields)
    assert seal(tensors, "about", fields) == content
    found, again = unseal(content, "about", ())
    assert torch.equal(found["x"], tensors["x"])
    assert again == fields
    for damaged in (b"", content[:7], content[:100], content + b"\0", b"\xff" * 100):
        with warnings.catch_warnings(), pytest.raises(Damaged):
            unseal(damaged, "about", ())
