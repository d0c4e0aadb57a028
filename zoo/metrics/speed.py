"""The speed at which a model encodes and decodes, on the machine at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from zoo.datasets import as_float
from zoo.inference.loops import eval_batch_size, eval_mode
from zoo.metrics import EvalContext, Metric, register_metrics

MIN_SECONDS = 0.3
"""The time for which each call is repeated."""

SOURCE = "measured here; the hardware stands beside it"


def _metrics(what: str) -> tuple[Metric, Metric]:
    return (
        Metric(
            f"{what}_throughput", f"{what}, images/s", "images per second",
            f"Images to {what} per second in batches of 1,000 (fewer of large images), median.",
            SOURCE, digits=0, topic="Speed", better="higher", repeatable=False,
        ),
        Metric(
            f"{what}_latency", f"{what}, ms", "milliseconds",
            f"Time to {what} one image by itself, median.",
            SOURCE, topic="Speed", better="lower", repeatable=False,
        ),
    )  # fmt: skip


@register_metrics("speed", *_metrics("encode"), *_metrics("decode"))
def speed(context: EvalContext) -> dict[str, float]:
    """Measure in eval mode, without gradients, with images and codes already on the device."""
    figures: dict[str, float] = {}
    with eval_mode(context.model):
        many, one = (seconds_to_code(context, size) for size in (eval_batch_size(context.model.image_shape), 1))
    for what in ("encode", "decode"):
        figures[f"{what}_throughput"] = 1 / many[what]
        figures[f"{what}_latency"] = 1000 * one[what]
    return figures


def seconds_to_code(context: EvalContext, size: int) -> dict[str, float]:
    """Return the seconds per image to encode and to decode ``size`` images at once."""
    batch = context.images.first(size).to(context.model.device)
    model, x = context.model.given(batch.labels), as_float(batch.images, context.data)
    z = model.encode(x).mean
    return {
        "encode": typical_seconds(lambda: model.encode(x).mean, x.device) / len(x),
        "decode": typical_seconds(lambda: model.decode(z).mean, x.device) / len(x),
    }


def typical_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of a call after a first one, waiting for the device."""
    durations: list[float] = []
    call()
    _wait(device)
    begin = time.perf_counter()
    while not durations or time.perf_counter() - begin < MIN_SECONDS:
        start = time.perf_counter()
        call()
        _wait(device)
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
