"""Several processes that train one model, over gloo on the CPU, as ``torchrun`` starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import CPU, PLUGIN, ROOT, tiny_fields, tiny_model, tiny_recipe
from zoo.datasets import ImageSet, load_images
from zoo.entries.loading import load
from zoo.errors import ZooError
from zoo.inference.loops import epoch_permutation
from zoo.training.batches import DeviceLoader
from zoo.training.checkpoint import read_checkpoint
from zoo.training.distributed import ProcessGroup, noise_seed
from zoo.training.run import train
from zoo.training.state import copied
from zoo.training.trainer import Trainer

AE = {"model": tiny_model("ae"), "objective": {"name": "reconstruction"}}


def launch(processes: int, *arguments: object) -> subprocess.Popen[str]:
    return launch_with(["--standalone", f"--nproc-per-node={processes}"], *arguments)


def launch_with(options: Sequence[str], *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            *options,
            "-m",
            "zoo.train",
            *map(str, arguments),
            "--import",
            str(PLUGIN),
            "--device",
            "cpu",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recipe_file(folder: Path, **sections: Any) -> Path:
    path = folder / "recipe.json"
    path.write_text(json.dumps(tiny_fields(**sections)))
    return path


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row[split]["loss"] for row in rows for split in ("train", "test")]


def test_the_shares_of_a_batch_do_not_overlap_and_cover_it() -> None:
    images = torch.arange(23, dtype=torch.uint8).reshape(23, 1, 1, 1)
    order = epoch_permutation(23, 0, 0)
    groups = [ProcessGroup(rank, 3) for rank in range(3)]
    for step, size in enumerate([10, 13]):
        shares = []
        for group in groups:
            loader = DeviceLoader(ImageSet(images), 10, group)
            loader.start(order, 0)
            shares.append(loader.batch(torch.tensor(step), group.share(size))[0].flatten().tolist())
        assert sorted(sum(shares, [])) == sorted(order[10 * step : 10 * step + size].tolist())


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    sections = {**AE, "training": {"epochs": 3, "batch_size": 50}}  # no noise: the shares have noise of their own
    process = launch(2, recipe_file(tmp_path, **sections), "--out", tmp_path / "two")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "in 2 processes" in output
    assert output.count("epoch 3/3") == 1  # one process speaks
    one = train(tiny_recipe(**sections), tmp_path / "one", CPU)
    assert losses(tmp_path / "two") == pytest.approx(losses(one), rel=1e-5)
    pairs = zip(load(tmp_path / "two").parameters(), load(one).parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)
    assert not (tmp_path / "two.partial").exists()


@pytest.mark.slow
def test_two_processes_keep_one_codebook(tmp_path: Path) -> None:
    model = tiny_model("vq_vae") | {"codebook_size": 8, "revival": 0.0}
    sections = {"model": model, "objective": {"name": "vq"}, "training": {"epochs": 2, "batch_size": 50}}
    process = launch(2, recipe_file(tmp_path, **sections), "--out", tmp_path / "two")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    one = train(tiny_recipe(**sections), tmp_path / "one", CPU)
    assert losses(tmp_path / "two") == pytest.approx(losses(one), rel=1e-4)
    books = [load(folder).prior.state_dict() for folder in (tmp_path / "two", one)]
    assert all(torch.allclose(books[0][name], books[1][name], atol=1e-4) for name in books[0])


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_stopped(tmp_path: Path) -> None:
    augment = [{"name": "shift"}, {"name": "noise"}]  # each share is augmented with numbers of its own
    training = {"epochs": 40, "batch_size": 10, "augment": augment}
    recipe = recipe_file(tmp_path, training=training)
    whole = launch(2, recipe, "--out", tmp_path / "whole")
    whole.communicate(timeout=120)
    process = launch(2, recipe, "--out", tmp_path / "run")
    wait_for(tmp_path / "run.partial" / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)  # which torchrun hands to the processes
    _, errors = process.communicate(timeout=120)
    assert "stopped at step" in errors
    alone = launch(1, recipe, "--out", tmp_path / "run", "--resume")
    _, errors = alone.communicate(timeout=120)
    assert "started with 2 processes, not 1" in errors
    resumed = launch(2, recipe, "--out", tmp_path / "run", "--resume")
    _, errors = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, errors
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_with_a_message_and_a_checkpoint(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, training={"epochs": 5000, "batch_size": 10}, execution={"checkpoint_epochs": 1})
    process = launch(2, recipe, "--out", tmp_path / "run")
    checkpoint = tmp_path / "run.partial" / "checkpoint.safetensors"
    wait_for(tmp_path / "run.partial" / "metrics.jsonl", process)
    wait_until(lambda: saved_step(checkpoint) > 0, process)  # the first one is of step 0
    second = child_with_rank(process.pid, 1)
    os.kill(second, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "another process of this run is gone or cannot be reached" in errors
    assert "--resume" in errors
    assert read_checkpoint(checkpoint)["step"] > 0
    other = launch(2, recipe, "--out", tmp_path / "run", "--resume", "--set", "training.batch_size=12")
    _, errors = other.communicate(timeout=120)
    assert "training.batch_size was 10, is 12" in errors  # it was read, and is whole


@pytest.mark.slow
def test_batches_too_small_for_the_processes_are_refused(tmp_path: Path) -> None:
    process = launch(2, recipe_file(tmp_path, training={"epochs": 1, "batch_size": 1}), "--out", tmp_path / "run")
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "no image for some of 2 processes" in errors


@pytest.mark.slow
def test_several_recipes_are_not_for_torchrun(tmp_path: Path) -> None:
    process = launch(2, recipe_file(tmp_path), "--seeds", "0-1", "--out", tmp_path / "run")
    _, errors = process.communicate(timeout=120)
    assert "torchrun trains one recipe" in errors


def test_a_lost_process_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", failing)
    with pytest.raises(ZooError, match="gone or cannot be reached .Connection closed by peer"):
        ProcessGroup(0, 2).summed([torch.zeros(1)])


def test_a_world_of_one_changes_nothing() -> None:
    value = torch.tensor(3.0)
    group = ProcessGroup()
    assert group.summed([value], weight=0.5) == [value]
    assert (group.largest(2, CPU), group.share(7), group.gather(value)) == (2, 7, [value])


def test_gradients_that_share_memory_are_summed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor, operation: tensor.mul_(2))
    shared = torch.ones(2, 2)
    expanded = torch.ones(()).expand(3)
    sums = ProcessGroup(0, 2).summed([shared, shared.t(), expanded], weight=0.5)
    assert all(torch.equal(total, torch.ones_like(total)) for total in sums)
    assert torch.equal(shared, torch.ones(2, 2))


def test_every_process_has_noise_of_its_own() -> None:
    noise = [torch.randn(3, generator=torch.Generator().manual_seed(noise_seed(0, rank))) for rank in range(1, 4)]
    noise.append(torch.randn(3, generator=torch.Generator().manual_seed(0)))
    assert len({tuple(part.tolist()) for part in noise}) == 4


@pytest.mark.slow
@pytest.mark.alone
def test_only_the_clock_of_the_first_process_counts(tmp_path: Path) -> None:
    # A second process never writes, so its own clock would ask for a checkpoint again and again.
    minutes = {"checkpoint_minutes": 0.05}
    sections = {**AE, "training": {"epochs": 2000, "batch_size": 20}, "execution": minutes}
    process = launch(2, recipe_file(tmp_path, **sections), "--out", tmp_path / "run")
    checkpoint = tmp_path / "run.partial" / "checkpoint.safetensors"
    wait_for(tmp_path / "run.partial" / "metrics.jsonl", process)
    written = set()
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(FileNotFoundError):  # between two checkpoints
            written.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert 1 <= len(written) <= 5


def test_a_checkpoint_holds_the_sums_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda *arguments: None)
    images = load_images(tiny_recipe().data, "train")
    first, second, again = (Trainer(tiny_recipe(), images, images, CPU, ProcessGroup(r, 2)) for r in (0, 1, 1))
    for run in (first, second):
        steps = run.train_steps()
        next(steps)
    gathered: list[torch.Tensor] = []
    monkeypatch.setattr(ProcessGroup, "gather", lambda group, part: gathered.append(part.clone()) or [part, part])
    second.state()
    monkeypatch.setattr(ProcessGroup, "gather", lambda group, part: [part, gathered.pop(0)])
    state = copied(first.state())
    assert not torch.equal(first.means.sums, second.means.sums)  # each has taken its share of the images
    again.restore(state)
    assert torch.equal(again.means.sums, second.means.sums) and torch.equal(again.means.finite, second.means.finite)
    state["totals"] |= {name: getattr(first.means, name).clone() for name in ("sums", "finite")}  # of earlier versions
    again.restore(state)
    assert torch.equal(again.means.sums, first.means.sums)


@pytest.mark.slow
def test_two_machines_go_on_to_the_bit_after_a_process_has_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")  # as docs/training.md says, and why
    training = {"epochs": 20, "batch_size": 10, "augment": [{"name": "noise"}]}
    recipe = recipe_file(tmp_path, training=training, execution={"checkpoint_minutes": 0.005})
    whole = launch(2, recipe, "--out", tmp_path / "whole")
    whole.communicate(timeout=120)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=1", "--rdzv-backend=c10d", "--local-addr=127.0.0.1",
               f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=zoo"]  # fmt: skip
    agents = [launch_with(meeting, recipe, "--out", tmp_path / "run", "--resume") for _ in "ab"]
    checkpoint = tmp_path / "run.partial" / "checkpoint.safetensors"
    wait_for(tmp_path / "run.partial" / "metrics.jsonl", agents[0])
    wait_until(lambda: saved_step(checkpoint) > 0, agents[0])
    os.kill(children(agents[1].pid)[0], signal.SIGKILL)
    outputs = [agent.communicate(timeout=240) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs
    assert "exitcode: -9" in outputs[1][1]
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    wait_until(path.exists, process)


def saved_step(checkpoint: Path) -> int:
    try:
        step: int = read_checkpoint(checkpoint)["step"]
        return step
    except ZooError:  # not there yet, or just being replaced
        return 0


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not (done := happened()) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert done, process.communicate(timeout=30)


def child_with_rank(parent: int, rank: int) -> int:
    """The process of this rank among the children of a torchrun."""
    for child in children(parent):
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if b"RANK=%d" % rank in environment:
            return child
    raise AssertionError(f"no child of {parent} has rank {rank}")


def children(parent: int) -> Sequence[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
