"""The trainer: repeatable, resumable to the bit, careful with what is there, clear when something goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import CPU, PLUGIN, ROOT, command, tiny_fields, tiny_recipe
from zoo.artifacts import load
from zoo.data import load_images
from zoo.errors import ZooError
from zoo.registry import VARIANTS, list_variants
from zoo.schema import Recipe
from zoo.sections import CosineSchedule, ExponentialSchedule, StepSchedule
from zoo.training import run
from zoo.training.batches import batches, epoch_order, place, streamed
from zoo.training.checkpoint import read_checkpoint, write_checkpoint
from zoo.training.run import train
from zoo.training.trainer import Divergence, Trainer

FOUR = [name for name in list_variants() if VARIANTS.get(name).build.__module__.startswith("zoo.")]


def trainer(recipe: Recipe) -> Trainer:
    return Trainer(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), CPU)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# --- repeatable -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", FOUR)
def test_the_same_recipe_gives_the_same_bits_twice(variant: str, tmp_path: Path) -> None:
    objective = {"name": "reconstruction" if variant == "ae" else "elbo"}
    recipe = tiny_recipe(model={"variant": variant}, objective=objective)
    first, second = (train(recipe, tmp_path / name, CPU) for name in ("a", "b"))
    assert weights(first) == weights(second)
    other = tiny_recipe(model={"variant": variant}, objective=objective, training={"epochs": 2, "seed": 1})
    assert weights(train(other, tmp_path / "c", CPU)) != weights(first)


def test_measuring_the_test_images_does_not_change_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe()
    plain = trainer(recipe)
    plain.run_epoch()
    plain.run_epoch()
    unmeasured = trainer(recipe)
    monkeypatch.setattr("zoo.training.trainer.objective_terms", lambda *arguments: {})
    unmeasured.run_epoch()
    unmeasured.run_epoch()
    for first, second in zip(plain.model.parameters(), unmeasured.model.parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_order_is_a_permutation_of_its_own_for_every_epoch_and_seed() -> None:
    orders = [epoch_order(1000, seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(torch.equal(order.sort().values, torch.arange(1000)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert torch.equal(epoch_order(1000, 1, 2), orders[-1])


def test_batches_cover_the_epoch_once_whether_resident_or_streamed() -> None:
    images = torch.arange(23, dtype=torch.uint8).reshape(23, 1, 1, 1)
    order = epoch_order(23, 0, 0)
    found = list(batches(images, order, 5, CPU))
    assert [len(batch) for batch in found] == [5, 5, 5, 5, 3]
    assert torch.cat(found).flatten().tolist() == order.tolist()
    assert torch.equal(torch.cat(list(batches(images, order, 5, CPU, skip=3))), torch.cat(found[3:]))
    ahead = list(streamed((images[part] for part in order.split(5)), CPU))
    assert all(torch.equal(a, b) for a, b in zip(ahead, found, strict=True))
    assert list(streamed(iter(()), CPU)) == []


def test_an_error_while_streaming_reaches_the_trainer() -> None:
    def broken() -> Iterator[torch.Tensor]:
        yield torch.zeros(1)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(streamed(broken(), CPU))


def test_images_stay_where_they_are_on_the_cpu() -> None:
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    assert place(images, CPU) is images


# --- it learns, whatever the optimizer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adam"},
        {"name": "adamw", "weight_decay": 0.1},
        {"name": "sgd", "learning_rate": 1e-4, "momentum": 0.9},
        {"name": "rmsprop", "momentum": 0.5},
    ],
    ids=lambda o: str(o["name"]),
)
def test_every_optimizer_lowers_the_loss(optimizer: dict[str, Any]) -> None:
    found = trainer(tiny_recipe(optimizer=optimizer, training={"epochs": 4, "batch_size": 50}))
    rows = [found.run_epoch() for _ in range(4)]
    assert rows[0] and rows[-1]
    assert rows[-1]["train"]["loss"] < rows[0]["train"]["loss"]
    assert rows[-1]["test"]["loss"] < rows[0]["test"]["loss"]


def test_learning_rate_schedules() -> None:
    assert [StepSchedule(every=2, gamma=0.5).factor(e, 6) for e in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert [ExponentialSchedule(gamma=0.5).factor(e, 3) for e in range(3)] == [1, 0.5, 0.25]
    cosine = [CosineSchedule(floor=0.1).factor(e, 10) for e in range(11)]
    assert cosine[0] == 1
    assert cosine[5] == pytest.approx(0.55)
    assert cosine[10] == pytest.approx(0.1)
    assert cosine == sorted(cosine, reverse=True)


def test_the_schedule_reaches_the_optimizer() -> None:
    schedule = {"name": "exponential", "gamma": 0.5}
    recipe = tiny_recipe(optimizer={"name": "sgd", "learning_rate": 1e-4, "schedule": schedule})
    found = trainer(recipe)
    rates = [row["learning_rate"] for row in (found.run_epoch(), found.run_epoch()) if row]
    assert rates == [1e-4, 5e-5]
    assert found.optimizer.param_groups[0]["lr"] == 5e-5


def test_the_rows_are_means_over_all_images_also_with_a_short_last_batch() -> None:
    recipe = tiny_recipe(
        optimizer={"name": "sgd", "learning_rate": 1e-12},
        model={"variant": "ae"},
        objective={"name": "reconstruction"},
        training={"epochs": 1, "batch_size": 100},
    )  # a learning rate so small that all batches meet the same weights
    found = trainer(recipe)
    row = found.run_epoch()
    assert row
    x = load_images(recipe.data, "train").images.float() / 255
    expected = (x - found.model.reconstruct(x)).square().flatten(1).sum(1).mean().item()
    assert row["train"]["loss"] == pytest.approx(expected, rel=1e-5)


def test_dropout_and_batchnorm_train_in_training_and_rest_in_tests() -> None:
    found = trainer(tiny_recipe(model={"variant": "bn_vae"}))
    modes: list[bool] = []
    found.model.register_forward_pre_hook(lambda *_: None)
    found.model.encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    found.run_epoch()
    assert modes == [True] * 5 + [False]


# --- resumable to the bit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", FOUR)
@pytest.mark.parametrize("stop_at", [1, 5, 7, 11])
def test_a_run_stopped_at_any_step_and_resumed_has_the_same_bits(variant: str, stop_at: int, tmp_path: Path) -> None:
    objective = {"name": "reconstruction"} if variant == "ae" else {"name": "elbo", "annealing": LINEAR}
    schedule = {"name": "cosine"}
    recipe = tiny_recipe(
        model={"variant": variant},
        objective=objective,
        data={"name": "tiny", "binarization": "dynamic"},
        optimizer={"name": "adam", "schedule": schedule},
        training={"epochs": 3, "batch_size": 50},
    )
    whole = trainer(recipe)
    while not whole.done:
        whole.run_epoch()

    first = trainer(recipe)
    while first.step < stop_at:
        first.run_epoch(lambda images: first.step >= stop_at)
    write_checkpoint(tmp_path / "c.safetensors", first.state())
    torch.manual_seed(12345)  # a new process knows nothing of the old one's generators
    second = trainer(recipe)
    second.restore(read_checkpoint(tmp_path / "c.safetensors"))
    while not second.done:
        second.run_epoch()

    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    without_time = [{k: v for k, v in row.items() if k != "seconds"} for row in whole.history]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in second.history] == without_time


LINEAR = {"name": "linear", "epochs": 2}


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    state = trainer(tiny_recipe()).state()
    with pytest.raises(ZooError, match="another recipe"):
        trainer(tiny_recipe(training={"epochs": 9})).restore(state)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, trainer(tiny_recipe()).state())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ZooError, match="cannot read the checkpoint .*--overwrite"):
        read_checkpoint(path)


def test_a_checkpoint_keeps_nested_states(tmp_path: Path) -> None:
    state = {"a": [1, {"b": torch.arange(3)}], 5: {"x": 1.5, "y": None}, "t": torch.eye(2).T}
    write_checkpoint(tmp_path / "c", state)
    found = read_checkpoint(tmp_path / "c")
    assert torch.equal(found["a"][1]["b"], torch.arange(3))
    assert found[5] == {"x": 1.5, "y": None}


def start(recipe: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zoo.train", str(recipe), "--out", str(out), "--import", str(PLUGIN), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    recipe = tmp_path / "r.json"
    recipe.write_text(json.dumps(tiny_fields(training={"epochs": 400, "batch_size": 10, "checkpoint_every": 1000})))
    process = start(recipe, tmp_path / "run")
    log = tmp_path / "run.partial" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "run.partial" / "checkpoint.safetensors").exists()

    again = command("zoo.train", recipe, "--out", tmp_path / "run", "--import", PLUGIN)
    assert again.returncode == 2
    assert "unfinished run" in again.stderr

    resumed = command("zoo.train", recipe, "--out", tmp_path / "run", "--import", PLUGIN, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    whole = train(tiny_recipe(training={"epochs": 400, "batch_size": 10}), tmp_path / "whole", CPU)
    assert weights(tmp_path / "run") == weights(whole)
    assert not (tmp_path / "run.partial").exists()


def test_in_process_an_interrupt_stops_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(training={"epochs": 50, "batch_size": 50})
    original = Trainer.run_epoch

    def interrupting(self: Trainer, on_step: Any) -> Any:
        if self.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, on_step)

    monkeypatch.setattr(Trainer, "run_epoch", interrupting)
    with pytest.raises(run.Interrupted, match="stopped at step 11; .*--resume"):
        train(recipe, tmp_path / "run", CPU)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- divergence -------------------------------------------------------------------------------------------------------


def test_divergence_names_the_step_the_term_and_the_last_good_checkpoint(tmp_path: Path) -> None:
    recipe = tiny_recipe(optimizer={"name": "sgd", "learning_rate": 1e30}, training={"epochs": 5, "batch_size": 50})
    with pytest.raises(Divergence, match=r"the term '(kl|reconstruction)' .* at step \d+ \(epoch 1\); no checkpoint"):
        train(recipe, tmp_path / "run", CPU)


def test_a_later_divergence_keeps_the_good_checkpoint(tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 5, "batch_size": 50})
    original = Trainer.run_epoch

    def breaking(self: Trainer, on_step: Any) -> Any:
        if self.epoch == 2:
            next(self.model.parameters()).data.fill_(float("nan"))
        return original(self, on_step)

    Trainer.run_epoch = breaking  # type: ignore[method-assign]
    try:
        with pytest.raises(
            Divergence, match=r"step 10 \(epoch 3\); the last good checkpoint, epoch 2, is .*safetensors"
        ):
            train(recipe, tmp_path / "run", CPU)
    finally:
        Trainer.run_epoch = original  # type: ignore[method-assign]
    state = read_checkpoint(tmp_path / "run.partial" / "checkpoint.safetensors")
    assert state["step"] == 10
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_weights_that_break_in_the_last_step_are_noticed() -> None:
    found = trainer(
        tiny_recipe(training={"epochs": 1, "batch_size": 230}, optimizer={"name": "sgd", "learning_rate": 1e38})
    )
    with pytest.raises(Divergence, match="no longer finite"):
        found.run_epoch()


# --- run folders ------------------------------------------------------------------------------------------------------


def test_a_run_folder_has_everything_and_nothing_else(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
        "metrics.jsonl",
        "loss_curves.png",
        "reconstructions.png",
        "samples.png",
    }
    assert not trained.with_name(trained.name + ".partial").exists()
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert set(rows[0]) == {"epoch", "step", "learning_rate", "train", "test", "seconds"}
    assert set(rows[0]["train"]) == {"loss", "reconstruction", "kl"}
    config = json.loads((trained / "config.json").read_text())
    assert config["dataset"]["train"]["images"] == 230
    assert config["dataset"]["test"]["sha256"] == load_images(tiny_recipe().data, "test").digest
    assert config["metrics"]["test"]["negative_elbo"] == pytest.approx(
        config["metrics"]["test"]["reconstruction"] + config["metrics"]["test"]["kl"], rel=1e-6
    )
    card = (trained / "README.md").read_text()
    assert card.startswith("---\n")
    assert "license: apache-2.0" in card
    assert config["weights_sha256"] in card


def test_an_existing_run_is_refused_replaced_or_recognised(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    before = weights(out)
    with pytest.raises(ZooError, match="--overwrite trains it again"):
        train(tiny_recipe(), out, CPU)
    other = tiny_recipe(training={"epochs": 1, "batch_size": 50})
    with pytest.raises(ZooError, match="another recipe"):
        train(other, out, CPU, resume=True)
    assert weights(out) == before
    assert train(tiny_recipe(), out, CPU, resume=True) == out
    assert weights(out) == before
    train(other, out, CPU, overwrite=True)
    assert weights(out) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_overwriting_keeps_the_old_run_until_the_new_one_is_whole(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    broken = tiny_recipe(optimizer={"name": "sgd", "learning_rate": 1e30})
    with pytest.raises(Divergence):
        train(broken, out, CPU, overwrite=True)
    assert weights(out) == weights(trained)
    load(out)


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ZooError, match="is no run folder"):
        train(tiny_recipe(), tmp_path / "thesis", CPU, overwrite=True)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="nothing to resume"):
        train(tiny_recipe(), tmp_path / "run", CPU, resume=True)


def test_an_unwritable_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match="cannot create the folder .*--out"):
        train(tiny_recipe(), tmp_path / "file" / "run", CPU)


def test_a_full_disk_leaves_no_half_written_run(tmp_path: Path, recipe_file: Any) -> None:
    # The operating system itself refuses files over 60 kB: the checkpoint, of about 0.6 MB, cannot be written.
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
        "from zoo import cli, train; cli.run(lambda _: train.main(sys.argv[1:]))"
    )
    recipe, out = recipe_file(), tmp_path / "run"
    process = subprocess.run(
        [sys.executable, "-c", code, str(recipe), "--out", str(out), "--import", str(PLUGIN)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.returncode == 2, process.stderr
    assert "cannot write" in process.stderr
    assert "Traceback" not in process.stderr
    assert not out.exists()
    assert [p.name for p in (tmp_path / "run.partial").iterdir()] == ["metrics.jsonl"]


def test_a_variant_that_cannot_take_the_images_stops_before_training(tmp_path: Path) -> None:
    recipe = tiny_recipe(data={"name": "tiny", "side": 30}, model={"variant": "conv_vae"})
    with pytest.raises(ZooError, match="multiples of 4"):
        train(recipe, tmp_path / "run", CPU)
    train(tiny_recipe(), tmp_path / "run", CPU)  # what the failed run left behind is not in the way


def test_the_deterministic_prior_is_fitted_to_the_training_codes(tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"variant": "ae", "latent_dim": 3}, objective={"name": "reconstruction"})
    model = load(train(recipe, tmp_path / "run", CPU))
    codes = model.encode(load_images(recipe.data, "train").images.float() / 255).mean.detach()
    state = model.prior.state_dict()
    torch.testing.assert_close(state["mean"], codes.mean(dim=0), atol=1e-4, rtol=1e-4)
    covariance = state["scale_tril"] @ state["scale_tril"].T
    torch.testing.assert_close(covariance, torch.cov(codes.T), atol=1e-3, rtol=1e-3)
    assert set(model.card.metrics["test"]) == {"mse"} if model.card else False


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", FOUR)
def test_a_gpu_gives_the_same_curve_and_the_same_bits_twice(variant: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"variant": variant}, objective={"name": "reconstruction", "distance": "squared_error"})
    cuda = torch.device("cuda", 0)
    on_gpu, again = (train(recipe, tmp_path / name, cuda) for name in ("a", "b"))
    assert weights(on_gpu) == weights(again)
    on_cpu = load(train(recipe, tmp_path / "c", CPU))
    found = load(on_gpu)
    assert on_cpu.card and found.card
    if variant == "ae":  # no noise: the curves agree to rounding
        assert found.card.metrics["test"]["mse"] == pytest.approx(on_cpu.card.metrics["test"]["mse"], rel=1e-2)
    assert load(on_gpu, "cuda").sample(2).device.type == "cuda"
