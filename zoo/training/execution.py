"""How a run's steps reach the device: one by one, or as replays of captured CUDA graphs; compiled or as written.

Whatever is asked for, the steps are the same: what cannot be compiled or captured is run more slowly, with one warning.
"""

from __future__ import annotations

import gc
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from zoo.errors import ZooError, first_line
from zoo.schema.sections import Execution
from zoo.training.step import Step

STEPS_PER_GRAPH = 24
"""As in prototypes on an H200, which were fastest with 20 to 26."""

COMPILE_SECONDS = 20.0
"""Of one compilation, in prototypes on an H200's host: 4 to 30."""

COMPILED_SPEEDUP = 1.6
"""Of a captured step, in prototypes on an H200: 1.6 for the convolutional VAE, 2.6 for the fully connected one."""

TakeStep = Callable[[int], None]
"""Enqueues one step on a batch of so many images."""


class StepByStep:
    """Steps that the host enqueues one after another.

    Args:
        step: what is run.
        take: the step, compiled or not, for batches of the usual size; the others are run as written.
        sizes: of an epoch's batches.
    """

    def __init__(self, step: Step, take: TakeStep, sizes: list[int]) -> None:
        self.step = step
        self.take = take
        self.usual = sizes[0]
        self.most = 1 if step.world.size == 1 else 16
        """Steps to be run at a time: after each portion the processes agree whether to go on."""
        self.words = "step by step"
        """What this is, for people."""

    @property
    def compiled(self) -> bool:
        """Whether the usual steps are."""
        return self.take is not self.step

    def run(self, steps: int, images: int) -> None:
        """Enqueue ``steps`` steps on batches of ``images`` images."""
        for _ in range(steps):
            self.step.feed.next()
            (self.take if images == self.usual else self.step)(images)


class Replayed(StepByStep):
    """Steps that were captured as CUDA graphs: one of a single step for each batch size, one of many for the usual."""

    def __init__(self, step: Step, take: TakeStep, sizes: list[int]) -> None:
        super().__init__(step, take, sizes)
        pool = torch.cuda.graph_pool_handle()  # one for all: they never run at the same time
        self.graphs = {
            (size, 1): captured(take if size == self.usual else step, size, 1, pool) for size in dict.fromkeys(sizes)
        }
        if step.feed.steps_at_once and sizes.count(self.usual) >= STEPS_PER_GRAPH:
            self.most = STEPS_PER_GRAPH
            self.graphs[self.usual, self.most] = captured(take, self.usual, self.most, pool)
        self.words = f"in CUDA graphs of {self.most} step{'s' * (self.most > 1)}"

    def run(self, steps: int, images: int) -> None:
        """Enqueue ``steps`` steps on batches of ``images`` images."""
        while steps:
            portion = self.most if steps >= self.most and (images, self.most) in self.graphs else 1
            self.step.feed.next()
            self.graphs[images, portion].replay()
            steps -= portion


def captured(take: TakeStep, images: int, steps: int, pool: Any) -> torch.cuda.CUDAGraph:
    """A CUDA graph of so many steps, captured on the current stream, which must not be the default one."""
    take(images)  # what libraries set up on first use must not fall into the capture
    torch.cuda.set_sync_debug_mode("error")  # names what waits for the host; a failed capture only says that it failed
    try:
        take(images)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    graph = torch.cuda.CUDAGraph()
    gc.collect()
    gc.disable()  # a graph that is collected during a capture breaks it
    try:
        with torch.cuda.graph(graph, pool, torch.cuda.current_stream(), "thread_local"):
            for _ in range(steps):
                take(images)
    except Exception:
        with suppress(RuntimeError):  # torch 2.11 leaves the pool open after a failed capture
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        raise
    finally:
        gc.enable()
    return graph


def compiled(step: Step) -> TakeStep:
    """The whole step as one compiled function. Compilation happens at the first call."""
    options: dict[str, Any] = {
        "deterministic": True,  # the same kernels in the next process: a resumed run keeps its bits
        "fallback_random": True,  # the random numbers of the step as written, so that both give the same loss curve
        "force_pointwise_cat": True,  # fuses the slices of the convolutions that are written as matrix products
    }
    compiled_step = torch.compile(step.__call__, fullgraph=True, dynamic=False, options=options)

    def take(images: int) -> None:
        with tracing():
            compiled_step(images)

    return take


@contextmanager
def tracing() -> Iterator[None]:
    """What the compiler has to be told: to trace autograd, and that every run compiles a step of its own."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # on a CPU it misses CUDA
    with torch._dynamo.config.patch(trace_autograd_ops=True, recompile_limit=2**16, accumulated_recompile_limit=2**16):
        yield


def choose(
    step: Step,
    settings: Execution,
    sizes: list[int],
    steps_left: int,
    was_compiled: bool | None = None,
    recover: Callable[[], None] = lambda: None,
) -> StepByStep:
    """How to run the steps. Takes steps to warm up: the caller puts back every state afterwards.

    Args:
        step: the step.
        settings: what the recipe asks for.
        sizes: of an epoch's batches.
        steps_left: in the whole run, which says whether compiling pays.
        was_compiled: what an earlier part of the same run has done, which decides where the settings do not.
        recover: called after a capture that failed, whose generator can no longer be used.
    """
    way = as_written(step, settings, sizes, recover)
    may_compile = settings.compile
    if may_compile == "auto" and was_compiled is not None:
        may_compile = "on" if was_compiled else "off"
    if may_compile == "off" or step.world.size > 1 or (may_compile == "auto" and not step.on_cuda):
        return way
    seconds = seconds_per_step(way)
    if may_compile == "auto" and steps_left * seconds * (1 - 1 / COMPILED_SPEEDUP) < COMPILE_SECONDS:
        way.words += f", {seconds * 1e6:,.0f} us each; too few for compiling to pay"
        return way
    try:
        other = type(way)(step, compiled(step), sizes)
        faster = seconds_per_step(other)
    except ZooError:
        raise
    except Exception as error:  # also when memory does not suffice for both
        warn("the step cannot be compiled and runs as written", error)
        recover()
        return as_written(step, settings, sizes, recover)
    times = f"{faster * 1e6:,.0f} us each, {seconds * 1e6:,.0f} us uncompiled"
    if may_compile == "auto" and seconds < faster:
        way.words += f", not compiled: {times}"
        return way
    other.words += f", compiled: {times}"
    return other


def as_written(step: Step, settings: Execution, sizes: list[int], recover: Callable[[], None]) -> StepByStep:
    """The steps uncompiled, captured if that can be done."""
    one_by_one = StepByStep(step, step, sizes)
    if step.world.size > 1:
        one_by_one.words += f", in {step.world.size} processes"
    elif step.on_cuda and settings.graph == "on":
        try:
            return Replayed(step, step, sizes)
        except (ZooError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            warn("the step cannot be captured as a CUDA graph and is enqueued step by step", error)
            recover()
    return one_by_one


def warn(consequence: str, error: BaseException) -> None:
    """One line for a failure of compiler or capture."""
    cause = error.__context__ or error  # a capture that fails reports that it failed, on top of the reason
    warnings.warn(f"{consequence} ({type(cause).__name__}: {first_line(cause)})", stacklevel=3)


def seconds_per_step(way: StepByStep) -> float:
    """Measured over a few steps of the usual size, after as many that are not counted."""
    steps = max(way.most, 3)
    for _ in range(2):
        started = time.perf_counter()
        way.run(steps, way.usual)
        way.step.done.item()  # waits for the device
    return (time.perf_counter() - started) / steps
