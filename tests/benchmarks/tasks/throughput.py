"""Images per second, and the memory of a hundred thousand."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torchvision.transforms.functional import to_pil_image

import zoo
from zoo.datasets import load_images
from zoo.inference.file_stream import trained_on
from zoo.inference.image_stream import open_images
from zoo.tasks.anomaly import score
from zoo.tasks.compression import compress
from zoo.tasks.features import encode
from zoo.tasks.imputation import dropped, impute

REPETITIONS = 5
IMAGES = 5000

SCORING = """
import re, sys, zoo
from zoo.inference.image_stream import open_images
from zoo.tasks.anomaly import score
model = zoo.load("linear_vae_mnist")
n = sum(len(part.batch.names) for part in score(model, open_images(sys.argv[1], model)))
print(n, re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def speed() -> Iterator[dict[str, Any]]:
    """Every task on a folder of PNG files, in turn, again and again; rows hold the median and the extremes."""
    model = zoo.load("conv_vae_mnist")
    images = load_images(trained_on(model), "test").images[:IMAGES]
    with tempfile.TemporaryDirectory() as temporary:
        for number, image in enumerate(images):
            to_pil_image(image).save(Path(temporary) / f"{number:06}.png")
        stream = open_images(Path(temporary), model)

        def fill() -> None:
            for batch in stream.batches(1000):
                x = batch.images.float() / 255
                impute(model, x, dropped(tuple(x.shape), 0.5, torch.Generator().manual_seed(0)))

        tasks: dict[str, Callable[[], object]] = {
            "decoding the files alone": lambda: [len(batch.names) for batch in stream.batches(1000)],
            "anomaly scores": lambda: list(score(model, stream)),
            "anomaly scores with NLL, 10 samples": lambda: list(score(model, stream, 10)),
            "imputation, half of the pixels": fill,
            "compression": lambda: compress(model, stream),
            "codes": lambda: encode(model, stream),
        }
        rates: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(1 + REPETITIONS):  # the first is not counted
            for name, run in tasks.items():
                start = time.perf_counter()
                run()
                rates[name].append(IMAGES / (time.perf_counter() - start))
    for name, (_, *counted) in rates.items():
        lowest, *_, highest = ordered = sorted(counted)
        yield {"task": name, "median": ordered[REPETITIONS // 2], "lowest": lowest, "highest": highest}


def memory() -> Iterator[dict[str, Any]]:
    """Peak memory of scoring a folder of so many images, each in a process of its own."""
    with tempfile.TemporaryDirectory() as temporary:
        buffer = io.BytesIO()
        to_pil_image(load_images(zoo.recipe("ae_mnist").data, "test").images[0]).save(buffer, "png")
        for number in range(100_000):
            folder = Path(temporary) / f"{number // 1000:03}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:06}.png").write_bytes(buffer.getvalue())
            if number + 1 in (10_000, 100_000):
                command = [sys.executable, "-c", SCORING, temporary]
                count, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                yield {"images": int(count), "peak_mib": int(peak) / 1024}
