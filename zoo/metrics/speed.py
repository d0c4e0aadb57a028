"""How fast a model encodes and decodes, on the machine at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from zoo.data import as_float
from zoo.metric import Case, Metric, register_metrics
from zoo.passes import fitting, measuring

SECONDS = 0.3
"""Each is repeated for so long."""

SOURCE = "measured here; the hardware stands beside it"


def _metrics(what: str) -> tuple[Metric, Metric]:
    return (
        Metric(
            f"{what}_throughput", f"{what}, images/s", "images per second",
            f"Images to {what} per second in batches of 1,000 (fewer of large images), median.",
            SOURCE, digits=0, better="higher", repeatable=False,
        ),
        Metric(
            f"{what}_latency", f"{what}, ms", "milliseconds",
            f"Time to {what} one image by itself, median.",
            SOURCE, better="lower", repeatable=False,
        ),
    )  # fmt: skip


@register_metrics("speed", *_metrics("encode"), *_metrics("decode"))
def measure(case: Case) -> dict[str, float]:
    """In eval mode, without gradients, images and codes already on the device."""
    found: dict[str, float] = {}
    with measuring(case.model):
        many, one = (seconds_to_code(case, size) for size in (fitting(case.images), 1))
    for what in ("encode", "decode"):
        found[f"{what}_throughput"] = 1 / many[what]
        found[f"{what}_latency"] = 1000 * one[what]
    return found


def seconds_to_code(case: Case, size: int) -> dict[str, float]:
    """Seconds per image to encode and to decode so many at once."""
    batch = case.images.first(size).to(case.model.device)
    model, x = case.model.given(batch.labels), as_float(batch.images, case.data)
    z = model.encode(x).mean
    return {
        "encode": typical_seconds(lambda: model.encode(x).mean, x.device) / len(x),
        "decode": typical_seconds(lambda: model.decode(z).mean, x.device) / len(x),
    }


def typical_seconds(call: Callable[[], object], device: torch.device) -> float:
    """The median time of a call after a first one, waiting for the device."""
    taken: list[float] = []
    call()
    _wait(device)
    begin = time.perf_counter()
    while not taken or time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        call()
        _wait(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
