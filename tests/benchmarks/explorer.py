"""What the explorer costs: ``python -m tests.benchmarks.explorer``.

Measures, with a real Chromium before a real server: the time from the command to the first decoded image, of ``zoo
explore`` and ``zoo demo``; the time from the pointer to the image and the images a second while one drags over the map;
the memory of the server; and the weight of the page. Writes ``docs/benchmarks/explorer/DEVICE.json``, of which
``python docs/generate.py`` makes the table in ``docs/explorer.md``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from tests.explorer.browser import chromium, drag, opened, served
from zoo.explorer.static_files import static_files
from zoo.runs.provenance import versions
from zoo.system.devices import cpu_name
from zoo.system.files import write_atomically

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "benchmarks" / "explorer"
DECODED = "canvas.map[data-decoded]"

STARTS = {
    "`zoo explore`": ((), "#view=map&model=conv_vae_2d_mnist"),
    "`zoo explore conv_vae_mnist`": (("conv_vae_mnist",), "#view=map&model=conv_vae_mnist"),
    "`zoo explore conv_vae_2d_mnist`, as `zoo demo` opens it": (
        ("conv_vae_2d_mnist",),
        "#view=map&model=conv_vae_2d_mnist&grid=1",
    ),
}
"""What is started, with which models, and the state that the page is opened in."""


def start(browser: Any, words: tuple[str, ...], fragment: str) -> dict[str, float]:
    """Return the seconds from the command to the address, and to the first decoded image in the page."""
    began = time.perf_counter()
    with served(*words, "--port", "0") as (url, _):
        address = time.perf_counter() - began
        with opened(browser, url + fragment) as page:
            page.wait_for_selector(DECODED)
            return {"address": address, "image": time.perf_counter() - began}


def figure() -> float:
    """Return the seconds that ``zoo demo`` takes to write its figure where there is no browser."""
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "zoo", "demo", "--out", "demo.png", "--device", "cpu"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def dragging(browser: Any, model: str, moves: int) -> dict[str, float]:
    """Drag over a model's map; returns what :func:`tests.explorer.browser.drag` measures, and the server's memory."""
    with served(model, "--port", "0") as (url, process):
        with opened(browser, f"{url}#view=map&model={model}") as page:
            page.wait_for_selector(DECODED)
            drag(page, "canvas.map", 50)
        with opened(browser, f"{url}#view=map&model={model}") as page:
            page.wait_for_selector(DECODED)
            measured = drag(page, "canvas.map", moves)
        return {**measured, "memory": peak_memory(process.pid)}


def peak_memory(pid: int) -> int:
    """Return the most bytes that a process has had in memory."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="starts of each command (default: %(default)s)")
    parser.add_argument("--moves", type=int, default=300, help="moves of the pointer in a drag (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT / "cpu.json", help="the file to write (default: %(default)s)")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)  # now, not after all has been measured
    files = static_files()
    with chromium() as browser:
        starts = {
            name: [start(browser, words, fragment) for _ in range(options.runs)]
            for name, (words, fragment) in STARTS.items()
        }
        drags = {name: dragging(browser, name, options.moves) for name in ("conv_vae_2d_mnist", "conv_vae_mnist")}
        measured = {
            "date": date.today().isoformat(),
            "hardware": f"{cpu_name()}, {os.cpu_count()} cores",
            "runs": options.runs,
            "versions": {**versions(), **versions(("starlette", "uvicorn")), "chromium": browser.version},
            "starts": {
                name: {key: median(run[key] for run in runs) for key in ("address", "image")}
                for name, runs in starts.items()
            },
            "figure": median(figure() for _ in range(options.runs)),
            "drags": drags,
            "page": sum(map(len, files.values())),
            "page_gzip": sum(len(gzip.compress(content)) for content in files.values()),
        }
    write_atomically(options.out, json.dumps(measured, indent=2) + "\n")
    print(options.out)


if __name__ == "__main__":
    main()
