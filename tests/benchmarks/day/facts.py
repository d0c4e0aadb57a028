"""The machine, before anything else: ``python -m tests.benchmarks.day.facts``; one record in ``facts.jsonl``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.day.runner import append

ROOT = Path(__file__).resolve().parents[3]
FILE = "facts.jsonl"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print and record the packages, the device and its peaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.day.facts")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    packages = installed()
    missing = [name for name, found in packages.items() if not found]
    record: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat()}
    record |= {"python": platform.python_version(), "cores": os.cpu_count(), "packages": packages, "missing": missing}
    print(record, flush=True)  # the rest may not be importable
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version,clocks.sm", "--format=csv,noheader"]
        record["nvidia_smi"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    try:
        from tests.benchmarks.bounds import peak_bandwidth, peak_flops
        from zoo.system.devices import choose_device, describe

        device = choose_device(options.device)
        record |= {
            "device": describe(device),
            "peak_flops": peak_flops(device),
            "peak_bandwidth": peak_bandwidth(device),
        }
        print(f"{record['device']}: {record['peak_flops'] / 1e12:.1f} TFLOP/s fp32, "
              f"{record['peak_bandwidth'] / 1e12:.2f} TB/s")  # fmt: skip
    finally:
        append(options.out / FILE, record)
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}")


def installed() -> dict[str, str | None]:
    """Return the version of every package that the project needs, or None where it is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found: dict[str, str | None] = {}
    for requirement in [*project["dependencies"], "pytest"]:
        name = re.split(r"[^\w.-]", requirement)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


if __name__ == "__main__":
    main()
