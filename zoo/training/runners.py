"""Running steps: one after another from the host, or as replays of captured CUDA graphs; and timing them."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch

from zoo.training.step import Step

STEPS_PER_GRAPH = 24
"""The number of steps in a graph; prototypes on an H200 were fastest with 20 to 26."""

GRAPHS_AT_ONCE = 4
"""The number of graphs that are enqueued at a time: what the host does in between takes about as long as one of them
where several runs share a GPU."""

StepFn = Callable[[int], None]
"""A function that enqueues one step on a batch; its argument is the number of images in the batch."""


class EagerRunner:
    """Runs steps that the host enqueues one after another.

    Args:
        step: the step as written, for batches of unusual sizes.
        step_fn: the step, compiled or not, for batches of the usual size.
        sizes: the sizes of an epoch's batches; the first is the usual one.
    """

    def __init__(self, step: Step, step_fn: StepFn, sizes: list[int]) -> None:
        self.step = step
        self.step_fn = step_fn
        self.batch_size = sizes[0]
        self.max_steps = 1 if step.group.size == 1 else 16
        """The most steps to run at a time; after each portion the processes agree whether to continue."""
        self.description = "step by step"
        """A description of how the steps are run, for people."""

    @property
    def compiled(self) -> bool:
        """True if the steps of the usual size are compiled."""
        return self.step_fn is not self.step

    def agreed(self, wish: bool) -> bool:
        """Return what the runs that take their steps together do about a wish of one of them; alone, it decides."""
        return wish

    def run(self, steps: int, images: int) -> None:
        """Enqueue ``steps`` steps on batches of ``images`` images."""
        for _ in range(steps):
            self.step.loader.next()
            (self.step_fn if images == self.batch_size else self.step)(images)


class GraphRunner(EagerRunner):
    """Runs steps captured as CUDA graphs: one step for each batch size, and several steps of the usual size."""

    def __init__(self, step: Step, step_fn: StepFn, sizes: list[int]) -> None:
        super().__init__(step, step_fn, sizes)
        pool = torch.cuda.graph_pool_handle()  # one for all: they never run at the same time
        gc.collect()  # once, since it takes a quarter of a second
        self.graphs = {
            (size, 1): captured(step_fn if size == self.batch_size else step, size, 1, pool, step.generators)
            for size in dict.fromkeys(sizes)
        }
        self.steps_per_graph = 1
        if step.loader.steps_at_once and sizes.count(self.batch_size) >= STEPS_PER_GRAPH:
            self.steps_per_graph = steps = STEPS_PER_GRAPH
            self.max_steps = GRAPHS_AT_ONCE * steps
            self.graphs[self.batch_size, steps] = captured(step_fn, self.batch_size, steps, pool, step.generators)
        self.description = f"in CUDA graphs of {self.steps_per_graph} step{'s' * (self.steps_per_graph > 1)}"

    def run(self, steps: int, images: int) -> None:
        """Enqueue ``steps`` steps on batches of ``images`` images."""
        while steps:
            whole = steps >= self.steps_per_graph and (images, self.steps_per_graph) in self.graphs
            taken = self.steps_per_graph if whole else 1
            self.step.loader.next()
            self.graphs[images, taken].replay()
            steps -= taken


def captured(
    step_fn: StepFn, images: int, steps: int, pool: Any, generators: Sequence[torch.Generator] = ()
) -> torch.cuda.CUDAGraph:
    """Capture a CUDA graph on the current stream, which must not be the default one.

    Args:
        step_fn: the step.
        images: images in a batch.
        steps: the number of steps in the graph.
        pool: the memory pool that graphs share.
        generators: the generators that the step draws from besides the default one.
    """
    step_fn(images)  # what libraries set up on first use must not fall into the capture
    with waiting_is_an_error():  # names what waits for the host; a failed capture only says that it failed
        step_fn(images)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    gc.disable()  # a graph that is collected during a capture breaks it
    try:
        with torch.cuda.graph(graph, pool, torch.cuda.current_stream(), "thread_local"):
            for _ in range(steps):
                step_fn(images)
    except Exception:
        with suppress(RuntimeError):  # torch 2.11 leaves the pool open after a failed capture
            torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        raise
    finally:
        gc.enable()
    return graph


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """Raise an error, while the context is active, where the host waits for the device."""
    set_sync_debug_mode("error")
    try:
        yield
    finally:
        set_sync_debug_mode("default")


def set_sync_debug_mode(mode: str) -> None:
    """Set what happens where the host waits for the device, without torch's warning that this is a prototype."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype feature")
        torch.cuda.set_sync_debug_mode(mode)


def seconds_per_step(runner: EagerRunner) -> float:
    """Return the seconds of one step of the usual size, measured after as many uncounted steps."""
    steps = max(min(runner.max_steps, STEPS_PER_GRAPH), 3)
    if torch.cuda.is_initialized():  # what other runs of the process have enqueued would count as this one's
        torch.cuda.synchronize()
    for _ in range(2):
        started = time.perf_counter()
        runner.run(steps, runner.batch_size)
        runner.step.done.item()  # waits for the device
    return (time.perf_counter() - started) / steps


def least_seconds(runners: Sequence[EagerRunner], rounds: int = 6, steps: int = 8) -> list[float]:
    """Return the seconds of one step of each runner on a CPU: the least of several rounds, in which they take turns."""
    found = [float("inf")] * len(runners)
    for _ in range(rounds):
        for index, runner in enumerate(runners):
            started = time.perf_counter()
            runner.run(steps, runner.batch_size)
            found[index] = min(found[index], (time.perf_counter() - started) / steps)
    return found
