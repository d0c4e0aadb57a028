"""Training on more images than memory holds: ``python -m tests.benchmarks.beyond_memory``.

Writes random images as a cache of decoded ones into ``--folder``, and trains on them in processes of their own: with
all of the machine's memory, under a limit of a memory control group (version 1, which needs root), and, with
``--against``, with another checkout under that limit. A limited process first fills its memory with a file that is one
hole, so that every image comes from the disk and drives other pages out, as far into an epoch. The files are deleted
afterwards.

Writes ``docs/benchmarks/memory/beyond.json``, and from it the table in ``docs/performance.md``; ``--render`` only the
table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.records import Record
from tests.benchmarks.report import table
from tests.helpers import ROOT
from zoo.errors import ZooError
from zoo.schema.parsing import parse_json, validate
from zoo.system.devices import cpu_name
from zoo.system.files import replace_between, write_atomically
from zoo.system.folders import make_folder

SHAPE = (3, 64, 64)
IMAGE_BYTES = 3 * 64 * 64
BATCH = 128
PAGE = ROOT / "docs" / "performance.md"
STORED = ROOT / "docs" / "benchmarks" / "memory" / "beyond.json"
LEFT_FREE = 2**31
"""The bytes that are left to others on the disk."""

IN_MEMORY = "in memory"
BEYOND = "beyond memory"
OTHER = "beyond memory, the other checkout"


class Row(Record):
    """One way of training one model."""

    hidden: int
    """The width of the model's hidden layer."""
    way: str
    images_per_second: tuple[float, ...]


class Results(Record):
    """One run of the command."""

    hardware: str
    date: str
    versions: dict[str, str]
    command: str
    images: int
    limit_bytes: int
    seconds: float
    """The length of a turn."""
    read_ahead_kib: int | None
    """How far the disk's pages are read ahead."""
    against: str | None
    """The commit of the other checkout."""
    rows: tuple[Row, ...]


def write_random(path: Path, size: int) -> None:
    """Write so many random bytes, which no disk compresses, to the disk itself.

    Raises:
        ZooError: the disk would be almost full.
    """
    import numpy as np

    if shutil.disk_usage(path.parent).free < size + LEFT_FREE:
        raise ZooError(f"{path.parent} has no room for {size / 2**30:.1f} GiB; name another --folder, or lower --gib")
    random = np.random.default_rng(0)
    with open(path, "wb") as file:
        for start in range(0, size, 2**24):
            file.write(random.bytes(min(2**24, size - start)))
        file.flush()
        os.fsync(file.fileno())


def read_through(path: Path) -> None:
    """Read a file, which is in this process's share of the memory afterwards, as far as it fits."""
    with open(path, "rb", buffering=0) as file:
        while file.read(2**24):
            pass


def forget(path: Path) -> None:
    """Let no page of a file be in memory."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def limited(limit: int) -> Iterator[Path]:
    """Make a control group with a limit of memory, in bytes, and remove it."""
    group = Path("/sys/fs/cgroup/memory/zoo-beyond-memory")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        group.rmdir()


class Worker:
    """A process that trains for a while when it is told to."""

    def __init__(self, images: Path, first: Path, hidden: int, checkout: Path, group: Path | None) -> None:
        join = f"echo $$ > {group}/cgroup.procs && " if group else ""
        command = [sys.executable, __file__, "--worker", str(images), str(first), str(hidden)]
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        environment.pop("OMP_NUM_THREADS", None)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            ["bash", "-c", f'{join}exec "$@"', "bash", *command], env=environment, stdin=pipe, stdout=pipe, text=True
        )

    def images_per_second(self, seconds: float) -> float:
        """Train for so many seconds."""
        assert self.process.stdout
        print(seconds, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def work(path: Path, first: Path, hidden: int) -> None:
    """Train for as many seconds as each line of the input says, and print the images per second."""
    import torch

    from zoo.datasets import ImageSet, _decode
    from zoo.schema.recipe import parse_recipe
    from zoo.training.trainer import Trainer

    recipe = parse_recipe({
        "name": "beyond_memory", "summary": "a small model on many images",
        "data": {"name": "image_folder", "path": str(path.parent), "size": SHAPE[1]},
        "model": {"variant": "linear_vae", "hidden": [hidden], "latent_dim": 16},
        "objective": {"name": "elbo"}, "optimizer": {"name": "adam"},
        "training": {"epochs": 1000, "batch_size": BATCH}, "execution": {"compile": "off", "threads": 2},
    })  # fmt: skip
    read_through(first)
    images: Any
    if hasattr(_decode, "map_file"):
        images = _decode.map_file(path, SHAPE)
    else:  # as before there was one
        size = path.stat().st_size
        images = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).view(-1, *SHAPE)
    train, test = ImageSet(images), ImageSet(torch.zeros(BATCH, *SHAPE, dtype=torch.uint8))
    vars(train)["digest"] = "not taken: it says nothing of training, and reads every image"
    trainer = Trainer(recipe, train, test, torch.device("cpu"))
    portions: Iterator[int] = iter(())
    for line in sys.stdin:
        started, trained = time.perf_counter(), 0
        while time.perf_counter() - started < float(line):
            portion = next(portions, None)
            if portion is None:
                portions = trainer.train_steps()
            trained += portion or 0
        print(trained / (time.perf_counter() - started), flush=True)


def measure(options: argparse.Namespace, images: Path, other: Path) -> Results:
    """Train in every way, one after another."""
    from zoo.runs.provenance import versions

    rows = []
    ways: dict[str, tuple[Path, bool]] = {BEYOND: (ROOT, True)}
    if options.against:
        ways[OTHER] = (Path(options.against).resolve(), True)
    ways[IN_MEMORY] = (ROOT, False)  # the last, since its pages count for nobody
    with limited(int(options.limit * 2**30)) as group:
        for hidden in options.hidden:
            for way, (checkout, limit) in ways.items():
                forget(images)
                forget(other)
                first, joined = (other, group) if limit else (images, None)
                with Worker(images, first, hidden, checkout, joined) as worker:
                    worker.images_per_second(options.seconds)
                    speeds = tuple(worker.images_per_second(options.seconds) for _ in range(options.turns))
                rows.append(Row(hidden=hidden, way=way, images_per_second=speeds))
                print(f"{hidden}: {way}: {median(speeds):,.0f} images/s {speeds}", flush=True)
    device = os.stat(images).st_dev
    ahead = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/queue/read_ahead_kb")
    git = ["git", "-C", str(options.against), "rev-parse", "--short", "HEAD"]
    return Results(
        hardware=f"{cpu_name()}, {os.cpu_count()} cores",
        date=options.date,
        versions=versions(),
        command=f"python -m tests.benchmarks.beyond_memory {' '.join(shown(sys.argv[1:]))}".strip(),
        images=images.stat().st_size // IMAGE_BYTES,
        limit_bytes=int(options.limit * 2**30),
        seconds=options.seconds,
        read_ahead_kib=int(ahead.read_text()) if ahead.exists() else None,
        against=subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
        if options.against
        else None,
        rows=tuple(rows),
    )


def shown(arguments: list[str]) -> list[str]:
    """Return the arguments without places of this machine."""
    hidden = {"--folder": "FOLDER", "--against": "CHECKOUT"}
    return [hidden.get(before, word) for before, word in zip(["", *arguments], arguments, strict=False)]


def render(path: Path = STORED) -> str:
    """Return the table of what a run has measured, with the words around it.

    Raises:
        ZooError: the file is not what the command has written.
    """
    found = validate(Results, parse_json(path.read_text(encoding="utf-8"), str(path)), str(path))
    rows = []
    for row in found.rows:
        here = median(row.images_per_second)
        (memory,) = (
            median(one.images_per_second) for one in found.rows if (one.hidden, one.way) == (row.hidden, IN_MEMORY)
        )
        spread = f"{min(row.images_per_second):,.0f} – {max(row.images_per_second):,.0f}"
        way = row.way.replace("the other checkout", f"commit {found.against}")
        rows.append([str(row.hidden), way, f"{here:,.0f}", spread, f"{here / memory:.2f}"])
    turns = len(found.rows[0].images_per_second)
    ahead = f"; the disk reads ahead {found.read_ahead_kib:,} KiB" if found.read_ahead_kib else ""
    words = (
        f"{found.images:,} images of 3x64x64 ({found.images * IMAGE_BYTES / 2**30:.1f} GiB), under a limit of "
        f"{found.limit_bytes / 2**30:.1f} GiB. {found.hardware}{ahead}; torch {found.versions['torch']}, {found.date}. "
        f"Medians of {turns} turns of {found.seconds:g} s, one run."
    )
    lines = table(["hidden", "images", "images/s", "lowest – highest", "of those in memory"], 2, rows)
    return f"{words}\n\n{lines}\n\n*Written by `{found.command}`.*"


def main() -> None:
    """Measure and write the record and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default=".", help="the folder for the files, on the disk to measure")
    parser.add_argument("--gib", type=float, default=4.0, help="GiB of images (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=2.0, help="GiB of memory (default: %(default)s)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[512, 128], help="widths of the hidden layer")
    parser.add_argument("--turns", type=int, default=4, help="turns of each way (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each turn (default: %(default)s)")
    parser.add_argument("--against", metavar="CHECKOUT", help="measure this one, too")
    parser.add_argument("--date", default=time.strftime("%Y-%m-%d"), help="the date of the run")
    parser.add_argument("--render", action="store_true", help="only write the table again")
    options = parser.parse_args()
    if not options.render:
        folder = Path(options.folder).resolve() / "beyond-memory"
        images, other = folder / "images.uint8", folder / "other"
        folder.mkdir(parents=True)
        try:
            write_random(images, int(options.gib * 2**30) // IMAGE_BYTES * IMAGE_BYTES)
            other.touch()
            os.truncate(other, int(options.limit * 2**30))
            results = measure(options, images, other)
        finally:
            shutil.rmtree(folder)
        make_folder(STORED.parent)
        write_atomically(STORED, results.model_dump_json(indent=2) + "\n")
    write_atomically(PAGE, replace_between(PAGE.read_text(encoding="utf-8"), "beyond memory", render()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
