"""A day with a GPU, which is twice six minutes: what runs there, in which order, and what comes back.

``pack`` fills a folder that travels, where there is internet; ``1`` and ``2`` run there, one call each, and keep to
their seconds. ``docs/gpu_day.md`` says how. Importing this needs the standard library only: a bare machine has no more.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.day import cargo
from tests.benchmarks.day.runner import Stage, python, run_stages

SECONDS = 330
TINY = ("data.train_images=256", "data.test_images=64")
"""For a rehearsal on a CPU."""


def plan(part: int, out: Path, device: str, tiny: bool = False) -> list[list[Stage]]:
    """Return the stages of a call in order of their value, those that run side by side together."""
    here = ("--device", device, "--out", out)
    small = [word for setting in TINY for word in ("--set", setting)] if tiny else []

    def stage(module: str, *words: object) -> list[str]:
        return python("-m", f"tests.benchmarks.day.{module}", *here, *words)

    unpack = [Stage("unpack", 60, python("-m", "tests.benchmarks.gpu_day", "unpack", "--out", out), lines=2)]
    # A recipe alone may pay for being compiled, but many compile one after another while the device waits.
    settings = ("--set", "execution.compile=off")
    if tiny:
        settings = (*settings, *small, "--entries", "iwae_1_mnist", "--set", "training.epochs=100000")

    def training(seconds: float) -> Stage:
        return Stage("runs" if part == 2 else "first runs", seconds, stage("runs", *settings), grace=20)

    if part == 1:
        few = ("--variants", "linear_vae", "--ways", "captured", "uncompiled") if tiny else ()
        compared = (*small, "--turns", "1", "--compile", "off", "--entries", "linear_vae_mnist") if tiny else ()
        short = (*small, "--set", "training.epochs=1", "--times", "1") if tiny else ()
        return [
            unpack,
            [Stage("facts", 40, stage("facts"), lines=4)],
            [
                Stage("smoke", 160, sharing(stage("smoke", *few)), lines=40),
                Stage("tests", 180, sharing(gpu_tests(out, tiny)), lines=30, grace=20),
                training(30 if tiny else 190),
            ],
            [Stage("ab", 100, stage("turns", "--against", cargo.BEFORE, *compared), lines=16)],
            [Stage("to folder", 75, stage("to_folder", *short), lines=3)],
            [Stage("tables", 20, stage("tables"), lines=40)],
        ]
    entries = ("linear_vae_mnist",) if tiny else ("linear_vae_mnist", "conv_vae_mnist")
    limits = {"linear_vae_mnist": 120, "conv_vae_mnist": 150}
    count = 2 if tiny else 32
    compiled = ("--set", "execution.compile=on") if device != "cpu" else ()
    return [
        unpack,
        [Stage("facts", 40, stage("facts"), lines=4)],
        *([Stage(f"seeds {e} {count}", 90, stage("seeds", "--entry", e, "--count", count, *compiled, *small), lines=2)]
          for e in entries),
        *([Stage(f"race {e}", limits[e], race(e, out, device, compiled, tiny), lines=16, grace=15)] for e in entries),
        [Stage("kernels", 50, stage("kernels", "--entries", *entries, *compiled, *small), lines=2)],
        [Stage("kernels of seeds", 60, stage("kernels", "--entries", "linear_vae_mnist", "--seeds", count, *compiled,
               *small), lines=1)],
        [Stage("tables", 20, stage("tables"), lines=40)],
        [training(600)],
    ]  # fmt: skip


def sharing(command: list[str]) -> list[str]:
    """Return the command with few threads for each of the many processes in which it compiles."""
    return ["env", "TORCHINDUCTOR_COMPILE_THREADS=4", *command]


def gpu_tests(out: Path, tiny: bool) -> list[str]:
    """Return the command of the tests that need a GPU, on several processes where pytest can."""
    several = ("-n", 6) if find_spec("xdist") and not tiny else ()
    tests = cargo.ROOT / "tests"
    files = [path for path in sorted(tests.rglob("test_*.py")) if "mark.gpu" in path.read_text(encoding="utf-8")]
    return python("-m", "pytest", *([tests / "test_gpu.py"] if tiny else files), "-m", "gpu", *several, "-vv",
                  "--tb=short", "--continue-on-collection-errors", "-p", "no:cacheprovider",
                  "-p", "tests.benchmarks.day.failures", f"--junitxml={out / 'junit.xml'}")  # fmt: skip


def race(entry: str, out: Path, device: str, compiled: Sequence[str], tiny: bool) -> list[str]:
    """Return the command of the benchmark for one entry."""
    words = ("--quick", "--repetitions", 1) if tiny else ("--repetitions", 3, "--packed", 8)
    variant = "ours, not compiled=execution.compile=off,execution.convolutions=contiguous"
    return python("-m", "tests.benchmarks.train_speed", "--device", device, *words, *compiled, "--variant", variant,
                  "--entries", entry, "--out", out / f"{entry}.json")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack, unpack, or run one of the two calls."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu_day", description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("pack", "1", "2", "unpack"))
    parser.add_argument("--against", default="HEAD~1", help="pack: the commit that this one is compared with")
    parser.add_argument("--data", type=Path, default=os.environ.get("ZOO_DATA", "data"), help="pack: folder of images")
    parser.add_argument("--datasets", nargs="*", default=["mnist"], choices=list(cargo.FOLDERS), help="pack: images")
    parser.add_argument("--python", default="3.12", help="pack: the machine's version of Python")
    parser.add_argument("--runs", type=Path, help="pack: unfinished runs of an earlier day, which go on")
    parser.add_argument("--out", type=Path, default=Path("gpu_day"), help="the folder of everything that is found")
    words = f"also put it into this folder, as at most {cargo.PARTS} tar files of 15 MiB"
    parser.add_argument("--bundle", type=Path, help=words)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"the seconds of the call (default: {SECONDS})")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: few images, nothing compiled")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    if options.what == "pack":
        return cargo.pack(options.against, options.data, options.datasets, options.python, options.runs)
    if options.what == "unpack":
        return cargo.unpack(out)
    groups = plan(int(options.what), out, options.device, options.tiny)
    run_stages(groups, options.seconds, out, cargo.environment(), cargo.ROOT)
    if options.bundle:
        left = cargo.bundle(out, options.bundle)
        print("".join(f"no room in the tar files: {name}\n" for name in left), end="")


if __name__ == "__main__":
    main()
