"""How fast training is, against the loop most people start from, pythae and JAX, in one run.

``python -m tests.benchmarks.train_speed`` measures, writes ``docs/benchmarks/DEVICE.json`` and the tables of
``docs/performance.md``; that page says what is compared and how. Expect an hour and more on a small CPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

import torch

import zoo
from tests.benchmarks.bounds import peak_bandwidth, peak_flops
from tests.benchmarks.contestants import Entrant, comparable, ours, reference
from tests.benchmarks.experiments import render_experiments
from tests.benchmarks.growth import growth
from tests.benchmarks.race import race
from tests.benchmarks.records import Axis, Results
from tests.benchmarks.report import BUSY, render, section
from zoo.cli._common import find_recipe
from zoo.errors import ZooError
from zoo.schema.recipe import Recipe
from zoo.system.devices import choose_device, describe
from zoo.system.files import replace_between, write_atomically
from zoo.system.folders import make_folder

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = DOCS / "performance.md"
RECORDS = DOCS / "benchmarks"
ENTRIES = ("linear_vae_mnist", "conv_vae_mnist", "bn_vae_mnist", "ae_mnist")
COMPARED = ("torchvision", "pythae")
LEAST = 5
"""Repetitions behind a published figure."""

QUICK_IMAGES, QUICK_REPETITIONS = 5000, 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    summary = "Measure how fast training is, against other training loops."
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_speed", description=summary)
    add = parser.add_argument
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    add("--repetitions", type=int, help=f"timed epochs of each contestant (default: {LEAST})")
    add("--entries", nargs="*", default=ENTRIES, help=f"what is trained (default: {' '.join(ENTRIES)})")
    add(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE",
        help="for the zoo's own trainer, such as execution.compile=off",
    )  # fmt: skip
    add(
        "--variant", dest="variants", action="append", default=[], metavar="LABEL=FIELD=VALUE,...",
        help="one more row: the zoo's own trainer with these settings instead",
    )  # fmt: skip
    add("--jax", action="store_true", help="one more row: JAX with optax, where they are installed")
    add("--packed", type=int, action="append", default=[], metavar="N", help="one more row: N models at once")
    add(
        "--growth", nargs="*", choices=get_args(Axis), metavar="AXIS",
        help=f"also measure how cost grows: {', '.join(get_args(Axis))} (default: all of them)",
    )  # fmt: skip
    add("--quick", action="store_true", help="few images, few repetitions: to try the command out; needs --out")
    add("--out", type=Path, help="the file of the measurements (default: docs/benchmarks/DEVICE.json)")
    add("--date", help="of the run, to be noted with it")
    add("--render", action="store_true", help="measure nothing; write the tables of docs/performance.md again")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, measure, write."""
    options = parse(arguments)
    if options.render:
        return write_page()
    repetitions = options.repetitions or (QUICK_REPETITIONS if options.quick else LEAST)
    if repetitions < 1 or min(options.packed, default=2) < 2:
        raise ZooError("--repetitions starts at 1, --packed at 2")
    device = choose_device(options.device)
    out = destination(options, repetitions, device)
    load = load_average()
    if load is not None and load > BUSY:
        words = f"other programs keep this machine busy (load average {load:.2f}): times will be too high"
        warnings.warn(words, stacklevel=1)
    shared = [f"data.train_images={QUICK_IMAGES}", "data.test_images=1000"] if options.quick else []
    contests = [lineup(entry, shared, options) for entry in options.entries]
    results = Results(
        device=describe(device),
        kind=device.type,
        cores=os.cpu_count() or 1,
        load=load,
        date=options.date,
        command=spelled(arguments or sys.argv[1:]),
        repetitions=repetitions,
        versions=versions(device, [*COMPARED, *(["jax"] if options.jax else [])]),
        peak_flops=peak_flops(device),
        peak_bandwidth=peak_bandwidth(device),
    )
    make_folder(out.parent)
    so_far = out.with_name(f"{out.name}.partial")  # the races that are over, if a later one goes wrong
    stopped = False
    for recipe, entrants in contests:
        found = race(recipe, entrants, device, repetitions)
        results = results.with_race(found)
        write_atomically(so_far, results.to_json())
        stopped = found.epochs <= repetitions
        if stopped:  # and with it the whole run
            break
    axes = () if stopped or options.growth is None else options.growth or get_args(Axis)
    for axis in axes:
        for point in growth(axis, options.overrides, device, repetitions, QUICK_IMAGES if options.quick else None):
            results = results.with_race(point, axis)
            write_atomically(so_far, results.to_json())
    write_atomically(out, results.to_json())
    so_far.unlink(missing_ok=True)
    print("\n\n".join(["", *section(results), f"wrote {out}"]))
    if out.parent == RECORDS:
        write_page()


def lineup(entry: str, shared: Sequence[str], options: argparse.Namespace) -> tuple[Recipe, list[Entrant]]:
    """A recipe, and who trains it in the order of their turns."""
    shared = [f"name={find_recipe(entry, []).name}", *shared]  # with fewer images, too
    recipe = comparable(find_recipe(entry, shared))

    def mine(label: str = "ours", overrides: Sequence[str] = options.overrides, models: int = 1) -> Entrant:
        return ours(find_recipe(entry, [*shared, *overrides]), label=label, models=models, like=recipe)

    pythae = Entrant(label="pythae", kind="pythae", recipe=recipe.to_dict())
    jax = [Entrant(label="JAX", kind="jax", recipe=recipe.to_dict())] if options.jax else []
    entrants = [*reference(recipe), pythae, *jax, mine()]
    for variant in options.variants:
        label, _, overrides = variant.partition("=")
        if "=" not in overrides:
            raise ZooError(f"--variant {variant}: expected a label and settings, as in eager=execution.compile=off")
        entrants.append(mine(label, overrides.split(",")))
    entrants += [mine(f"ours, {n} at once", models=n) for n in options.packed]
    labels = [entrant.label for entrant in entrants]
    if len(set(labels)) < len(labels):
        raise ZooError(f"two rows have the same label: {', '.join(labels)}")
    return recipe, entrants


def destination(options: argparse.Namespace, repetitions: int, device: torch.device) -> Path:
    """The file of the measurements.

    Raises:
        ZooError: they are too few for the documentation.
    """
    name = re.sub(r"[^a-z0-9]+", "-", describe(device).lower()).strip("-")
    published = RECORDS / f"{name}{'' if options.entries else '-growth'}.json"
    out: Path = (options.out or published).resolve()
    if (options.quick or repetitions < LEAST) and out.is_relative_to(DOCS):
        raise ZooError(
            f"figures in the documentation come from all images and at least {LEAST} repetitions; "
            f"name a file elsewhere for these: --out FILE.json"
        )
    return out


def spelled(arguments: Sequence[str]) -> str:
    """The command that measures the same; where its file was written belongs to this machine."""
    words = [word for word in arguments if not word.startswith("--out=")]
    if "--out" in words:
        place = words.index("--out")
        del words[place : place + 2]
    return shlex.join(["python", "-m", "tests.benchmarks.train_speed", *words])


def load_average() -> float | None:
    """Programs that wanted to run in the last minute, on average; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def versions(device: torch.device, compared: Sequence[str] = COMPARED) -> dict[str, str]:
    """Return the versions of what is compared."""
    found = {"autoencoder-zoo": zoo.__version__, "Python": platform.python_version(), "torch": str(torch.__version__)}
    if device.type == "cuda":
        found["CUDA"] = str(torch.version.cuda)
    for name in compared:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_page() -> None:
    """The tables of every file, into the page.

    Raises:
        ZooError: a file or the page cannot be read or written.
    """
    text = replace_between(PAGE.read_text(encoding="utf-8"), "measurements", render(RECORDS))
    write_atomically(PAGE, replace_between(text, "experiments", render_experiments(RECORDS / "experiments")))
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    try:
        main()
    except ZooError as error:
        sys.exit(f"error: {error}")
