"""The day with a GPU, rehearsed on a CPU: limits, records, cargo, and every stage in its smallest size."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

import zoo
from tests.benchmarks import gpu_day
from tests.benchmarks.day import cargo, facts, kernels, runner, runs, seeds, smoke, turns
from tests.benchmarks.day.runner import Stage, python, records, run_stages
from tests.benchmarks.experiments import Experiments, render_experiments, section
from tests.helpers import CPU, ROOT, needs_mnist, tiny_recipe
from tests.helpers import python as in_process

needs_git = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git repository")


def says(*lines: str) -> list[str]:
    """Return the command of a process that runs some lines of Python."""
    return python("-c", "\n".join(lines))


# --- limits and records -----------------------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RESERVE", 1.0)
    monkeypatch.setattr(runner, "LEAST", 0.5)


@pytest.mark.usefixtures("hurried")
@pytest.mark.slow
@pytest.mark.alone
def test_a_stage_that_breaks_or_hangs_is_recorded_and_the_next_goes_on_within_the_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deaf = ("import signal, time", "signal.signal(signal.SIGINT, signal.SIG_IGN)", "print('deaf', flush=True)")
    groups = [
        [Stage("broken", 5, says("print('so far')", "raise SystemExit(3)"))],
        [Stage("missing", 5, [str(tmp_path / "nothing")]), Stage("beside it", 5, says("print('here')"))],
        [Stage("hangs", 1.0, says(*deaf, "time.sleep(60)"), grace=0.2)],
        [Stage("good", 5, says("import os", "print('last', os.environ['MINE'])"))],
        [Stage("too long", 60, says(*deaf, "time.sleep(60)"), grace=0.2)],
        [Stage("too late", 5, says("print('never')"))],
    ]
    started = time.monotonic()
    run_stages(groups, 6, tmp_path, os.environ | {"MINE": "x"}, ROOT)
    assert time.monotonic() - started < 6
    found = {record["stage"]: record["state"] for record in records(tmp_path / "stages.jsonl")}
    assert found.pop("missing").startswith("not started")
    assert found == {
        "broken": "failed (3)", "beside it": "ok", "hangs": "stopped", "good": "ok", "too long": "stopped",
        "too late": "no time left",
    }  # fmt: skip
    printed = capsys.readouterr().out
    table = printed[printed.index("stage ") :]
    assert all(words in table for words in ("so far", "here", "deaf", "last x")) and "never" not in table


@pytest.mark.usefixtures("hurried")
@pytest.mark.slow
@pytest.mark.alone
def test_an_interrupted_stage_has_its_grace_and_leaves_nothing_behind(tmp_path: Path) -> None:
    child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    code = (
        "import subprocess, sys, time", f"child = subprocess.Popen([sys.executable, '-c', {child!r}])",
        "print(child.pid, flush=True)", "try:", "    time.sleep(60)",
        "except KeyboardInterrupt:", "    print('checkpoint', flush=True)",
    )  # fmt: skip
    run_stages([[Stage("run", 6, says(*code), grace=2)]], 20, tmp_path, os.environ, ROOT)
    (record,) = records(tmp_path / "stages.jsonl")
    assert record["state"] == "stopped" and record["seconds"] < 6
    pid, *rest = (tmp_path / "run.log").read_text().split()
    assert rest == ["checkpoint"]
    status = Path(f"/proc/{pid}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


@pytest.mark.parametrize("part", [1, 2])
def test_what_matters_most_comes_first_and_every_stage_has_a_file_of_its_own(part: int, tmp_path: Path) -> None:
    groups = gpu_day.plan(part, tmp_path, "cuda")
    stages = [stage for group in groups for stage in group]
    assert [stage.name for stage in stages][:2] == ["unpack", "facts"]
    assert len({stage.log for stage in stages}) == len(stages)
    assert all(stage.grace < stage.seconds for stage in stages)
    modules = {word for stage in stages for word in stage.command if word.startswith("tests.benchmarks.")}
    assert all((ROOT / (module.replace(".", "/") + ".py")).is_file() for module in modules)


def test_a_bare_python_can_start_it() -> None:
    done = in_process("-S", "-m", "tests.benchmarks.gpu_day", "--help")  # -S: without any installed package
    assert done.returncode == 0, done.stderr
    assert "--bundle" in done.stdout


# --- cargo ------------------------------------------------------------------------------------------------------------


@needs_git
def test_what_is_packed_is_there_after_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("site", "data", "before"):
        monkeypatch.setattr(cargo, name.upper(), tmp_path / "cargo" / name)
    monkeypatch.setattr(cargo, "CARGO", tmp_path / "cargo")
    monkeypatch.setattr(cargo, "download", lambda python: None)
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"pixels")
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"what it came in")
    (tmp_path / "runs" / "mine.partial").mkdir(parents=True)
    (tmp_path / "runs" / "mine.partial" / "checkpoint.safetensors").write_bytes(b"state")
    gpu_day.main(["pack", "--against", "HEAD", "--data", str(raw.parents[1]), "--runs", str(tmp_path / "runs")])
    gpu_day.main(["unpack", "--out", str(tmp_path / "out")])
    gpu_day.main(["unpack", "--out", str(tmp_path / "out")])  # the second call of the day, on a machine still warm
    assert [path.name for path in (tmp_path / "cargo/data/MNIST/raw").iterdir()] == ["train-images-idx3-ubyte"]
    assert (tmp_path / "cargo/before/zoo/__init__.py").is_file()
    assert not (tmp_path / "cargo/before/zoo/weights").exists()
    assert (tmp_path / "out/runs/mine.partial/checkpoint.safetensors").read_bytes() == b"state"
    found = cargo.environment()
    assert found["ZOO_DATA"] == str(tmp_path / "cargo/data")
    assert found["PYTHONPATH"].split(os.pathsep)[:2] == [str(ROOT), str(tmp_path / "cargo/site")]


def test_what_comes_back_fits_and_small_files_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cargo, "PART_BYTES", 20_000)
    monkeypatch.setattr(cargo, "PARTS", 2)
    sizes = {"log": 10, "runs/a": 9_000, "runs/b": 9_500, "runs/c": 12_000, "runs/d": 12_500, "runs/e": 50_000}
    for name, size in sizes.items():
        path = tmp_path / "found" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    left = cargo.bundle(tmp_path / "found", tmp_path / "back")
    held = []
    for path in sorted((tmp_path / "back").iterdir()):
        assert path.stat().st_size <= 20_000 + 10_240  # a tar file is filled up to ten KiB
        with tarfile.open(path) as tar:
            held += tar.getnames()
    assert sorted([*held, *left]) == sorted(sizes) and held[0] == "log" and "runs/e" in left
    assert len(list((tmp_path / "back").iterdir())) == 2
    (tmp_path / "found" / "log").write_text("more")  # what a second call brings: what is new, and what had no room
    assert set(cargo.bundle(tmp_path / "found", tmp_path / "back")) < set(left)
    assert len(list((tmp_path / "back").iterdir())) > 2  # what came first is still there
    with tarfile.open(tmp_path / "back" / "found3.tar") as tar:
        assert tar.getnames()[0] == "log" and not set(tar.getnames()) & (set(held) - {"log"})


# --- stages -----------------------------------------------------------------------------------------------------------


def test_the_facts_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"torch", "pydantic", "pytest"} <= set(facts.installed())
    assert facts.installed()["torch"] and facts.installed()["pydantic"]

    def nothing(name: str) -> str:
        raise facts.PackageNotFoundError

    monkeypatch.setattr(facts, "version", nothing)
    assert set(facts.installed().values()) == {None}


def test_the_smoke_says_of_every_way_whether_it_went_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(smoke.smoke("linear_vae", ["captured", "uncompiled"], CPU))
    assert [(record["way"], record["precision"], record["ok"]) for record in found] == [
        ("captured", "tf32", True),
        ("captured", "bf16", True),
        ("uncompiled", "tf32", True),
        ("uncompiled", "bf16", True),
    ]
    # A step that was to be compiled and is not, losses that do not fall, and an error are none of them well.
    monkeypatch.setitem(smoke.WAYS, "compiled", {"compile": "off", "graph": "on"})
    monkeypatch.setattr(smoke, "tiny_recipe_of", lambda variant, **sections: tiny_recipe(**sections))
    original = smoke.Trainer.run_epoch
    losses = iter([2.0, 1.0, 1.0, float("nan")])

    def run_epoch(self: Any) -> Any:
        row = original(self)
        assert row
        return row | {"train": {"loss": next(losses)}}

    monkeypatch.setattr(smoke.Trainer, "run_epoch", run_epoch)
    assert [record["ok"] for record in smoke.smoke("any", ["uncompiled"], CPU)] == [True, False]
    (record, _) = smoke.smoke("any", ["captured"], CPU)
    assert record == {
        "variant": "any", "way": "captured", "precision": "tf32", "ok": False, "error": "StopIteration: StopIteration"
    }  # fmt: skip


def test_a_contender_that_does_not_start_is_noted_and_the_medians_are_those_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = tmp_path / "lap.py"  # in the place of the real one, which the rehearsal of the whole day starts
    answering.write_text(
        "import json, sys\n"
        "where, entry = sys.argv[2], sys.argv[4]\n"
        "if 'nowhere' in where: sys.exit(1)\n"
        "print(json.dumps({'how': entry}), flush=True)\n"
        "for number, _ in enumerate(sys.stdin):\n"
        "    base = (3.0, 1.0, 2.0)[number]\n"
        "    rest = dict(end_ms=1, step_us=5, test_loss=9)\n"
        "    print(json.dumps(dict(training_ms=base, epoch_ms=base + 1, **rest)), flush=True)\n"
    )
    monkeypatch.setattr(turns, "LAP", answering)
    options = ["--against", str(tmp_path / "nowhere"), "--out", str(tmp_path), "--entries", "e", "--compile", "on"]
    with pytest.raises(SystemExit, match="1 of 2 broke"):
        turns.main([*options, "--turns", "3", "--ready", "20"])
    (broken,) = [record for record in records(tmp_path / "ab.jsonl") if "error" in record]
    assert broken["checkout"] == "before" and broken["error"] == "its process has ended"
    (variation,) = turns.variations(tmp_path / "ab.jsonl")
    assert (variation.entry, variation.changes) == ("e", "compiled, now")
    assert (variation.training_ms, variation.epoch_ms) == (2.0, 3.0)


def test_an_epoch_of_several_seeds_is_over_with_the_last_of_them(tmp_path: Path) -> None:
    class Process:
        returncode = None

        def poll(self) -> int | None:
            return self.returncode

    for seed, rows in enumerate((3, 2)):
        (tmp_path / f"e-seed{seed}.partial").mkdir()
        (tmp_path / f"e-seed{seed}.partial" / "metrics.jsonl").write_text("{}\n" * rows)
    process: Any = Process()
    ends = seeds.ends_of_epochs(process, tmp_path, 2)
    assert next(ends) <= next(ends)
    process.returncode = 1
    with pytest.raises(SystemExit, match="after 2 epochs, with exit code 1"):
        next(ends)
    with pytest.raises(SystemExit, match="after 0 epochs"):
        next(seeds.ends_of_epochs(process, tmp_path, 3))  # one of the three has not begun


def test_what_was_never_trained_is_trained_shortest_first_in_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "MNIST").mkdir(parents=True)
    monkeypatch.setattr(runs, "data_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(runs, "record_folder", lambda name: None if name.startswith(("iwae", "ae", "vq")) else tmp_path)
    names = runs.never_trained()
    trainings = [zoo.recipe(name).training for name in names]
    steps = [training.epochs * 60_000 // training.batch_size for training in trainings]
    assert steps == sorted(steps) and len(set(steps)) > 1 and steps[-1] <= runs.MOST_STEPS
    assert set(runs.never_trained({"iwae_5_mnist"})) == {*names, "iwae_5_mnist"}  # which was begun
    assert {"ae_mnist", "iwae_mnist", "iwae_5_short_mnist"} <= set(names)
    assert not {"vq_vae_cifar10", "ae_fashion_mnist", "iwae_5_mnist", "linear_vae_mnist"} & set(names)
    asked: list[list[str]] = []
    monkeypatch.setattr(runs, "together", lambda commands: asked.extend(commands) or [0])
    with pytest.raises(SystemExit) as end:
        runs.main(["--device", "cuda", "--out", str(tmp_path), "--processes", "2"])
    assert end.value.code == 0 and len(asked) == 2
    for first, command in enumerate(asked):
        assert command[3 : 4 + len(names[first::2])] == ["train", *names[first::2]] and "--resume" in command


def test_processes_that_run_side_by_side_are_waited_for(tmp_path: Path) -> None:
    slow = says("import time", "time.sleep(0.3)", f"open({str(tmp_path / 'end')!r}, 'w')")
    assert runs.together([says("raise SystemExit(3)"), slow]) == [3, 0]
    assert (tmp_path / "end").exists()


@pytest.mark.slow
def test_what_is_interrupted_is_waited_for(tmp_path: Path) -> None:
    end = str(tmp_path / "end")
    child = says("import time", "try:", "    print('ready', flush=True)", "    time.sleep(60)",
                 "except KeyboardInterrupt:", "    time.sleep(0.5)", f"    open({end!r}, 'w')")  # fmt: skip
    parent = says("from tests.benchmarks.day.runs import together", f"print(together([{child!r}]), flush=True)")
    process = subprocess.Popen(parent, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
                               preexec_fn=runner.heed_interrupts)  # fmt: skip
    assert process.stdout and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "[0]\n"
    assert (tmp_path / "end").exists()


def test_when_nothing_is_left_to_train_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "record_folder", lambda name: tmp_path)
    runs.main(["--out", str(tmp_path)])
    assert capsys.readouterr().out == "nothing is left to train\n"


@pytest.mark.parametrize(("count", "product"), [(1, "addmm"), (3, "bmm")])
def test_the_kernels_of_a_step_are_counted(
    count: int, product: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter(range(count))
    monkeypatch.setattr(kernels, "find_recipe", lambda *_: tiny_recipe(training={"epochs": 1, "seed": next(given)}))
    found = list(kernels.profiled("linear_vae_mnist", count, [], CPU))
    *parts, whole = found
    assert whole["name"] == kernels.ALL and whole["elapsed_us"] > 0
    assert any(product in part["name"] for part in parts)
    shares = [part["share"] for part in parts]
    assert 0.5 < sum(shares) <= 1 + 1e-9 and shares == sorted(shares, reverse=True) and len(parts) <= kernels.SHOWN
    for record in found:
        runner.append(tmp_path / kernels.FILE, {"entry": "linear_vae_mnist", "seeds": count} | record)
    times = list(kernels.kernel_times(tmp_path / kernels.FILE))
    assert [(time.name, time.seeds) for time in times] == [(part["name"], count) for part in found]


def test_the_tables_tell_of_several_seeds(tmp_path: Path) -> None:
    for stack, times in {"on": [4.0, 3.0, 9.0], "off": [8.0]}.items():
        for epoch, ms in enumerate(times):
            record = {"entry": "x", "seeds": 8, "stack": stack, "epoch": epoch, "epoch_ms_per_seed": ms}
            runner.append(tmp_path / seeds.FILE, record | {"first_epoch_seconds": 20.4})
    found = seeds.stacked_seeds(tmp_path / seeds.FILE)
    assert [(row.changes, row.epoch_ms_per_seed) for row in found] == [("as one model", 4.0), ("in turns", 8.0)]
    table = Experiments(device="X", date="", commit="c", versions={}, variations=(), stacked=tuple(found), kernels=())
    assert "| `x` | 8 | as one model | 4.0 |  |  |  | 20 |" in "\n".join(section(table))


# --- all of it --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_mnist
def test_the_whole_day_can_be_rehearsed_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cargo, "BEFORE", ROOT)
    monkeypatch.setattr(cargo, "CARGO", tmp_path / "nothing")
    out = tmp_path / "found"
    common = ["--device", "cpu", "--tiny", "--out", str(out), "--bundle", str(tmp_path / "back")]
    gpu_day.main(["1", *common, "--seconds", "280"])
    gpu_day.main(["2", *common, "--seconds", "90"])
    states = {record["stage"]: record["state"] for record in records(out / "stages.jsonl")}
    assert states.pop("first runs") == states.pop("runs") == "stopped"
    logs = "\n".join(path.read_text() for path in out.glob("*.log"))
    assert set(states.values()) == {"ok"}, (states, logs)
    assert (out / "runs" / "iwae_1_mnist.partial" / "checkpoint.safetensors").is_file()
    assert len(records(out / "smoke.jsonl")) == 4
    assert {record.get("turn") for record in records(out / "ab.jsonl")} == {None, 0}
    assert [record["number"] for record in records(out / "to_folder.jsonl")] == [1]
    assert [record["epoch"] for record in records(out / "seeds.jsonl")] == [2, 3, 4, 5, 6]
    assert json.loads((out / "linear_vae_mnist.json").read_text())["races"]
    (tmp_path / "experiments").mkdir()
    (out / "experiments.json").rename(tmp_path / "experiments" / "cpu.json")
    assert "not compiled, before" in render_experiments(tmp_path / "experiments")
    assert list((tmp_path / "back").iterdir())
