"""The choice of how a step is run on the device: in CUDA graphs or one after another, compiled or as written.

The steps are the same in every mode: one that cannot be compiled or captured runs more slowly, with one warning.
"""

from __future__ import annotations

import errno
import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch

from zoo.errors import ZooError, first_line
from zoo.schema.sections import Execution
from zoo.training.conv_backend import Backend, chosen, lay_out
from zoo.training.gemm_convolutions import Convolution, gemm_is_faster, using_gemm
from zoo.training.machine_times import Times, recalled, remember
from zoo.training.runners import EagerRunner, GraphRunner, StepFn, least_seconds, seconds_per_step
from zoo.training.step import Step

COMPILE_SECONDS = {"fully connected": 9.0, "convolutional": 18.0}
"""The seconds that a compilation is assumed to cost; measured on the 16 cores beside an H200."""

COMPILED_SPEEDUP = {"fully connected": 2.6, "convolutional": 2.2}
"""The factor by which compiling is assumed to speed up a captured step; measured on an H200."""

CPU_SPEEDUP = {"AVX512": 1.18, "AVX2": 1.25}
"""The factor by which compiling is assumed to speed up a step of fully connected layers, by what the CPU can do;
measured on two cores of an AMD EPYC. Where it is not known, and with convolutions, it is not tried."""

CPU_COMPILE_SECONDS = {"first": 15.0, "again": 3.0}
"""The seconds that compiling for a CPU is assumed to cost: the first time, and with the code in torch's cache."""

LEAST_STEPS = 2000
"""The fewest steps that are left where ways of running them on a CPU are measured; with fewer none would pay."""

COMPILED_STEPS: set[str] = set()
"""The keys of the steps that were compiled in this process: another one that is equal costs next to nothing."""


def compiled(step: Step, backend: Backend = "contiguous") -> StepFn:
    """Return the whole step as one compiled function, which is compiled at its first call.

    Args:
        step: the step as written.
        backend: the way in which its convolutions are computed; the step as written keeps its own.
    """
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # takes 2 s, which few need

    options = compile_options(step.on_cuda)
    compiled_update = torch.compile(step.update, fullgraph=True, dynamic=False, options=options)
    traced = False

    def step_fn(images: int) -> None:
        nonlocal traced
        step.draw(images)
        with using_gemm(step.model, gemm_is_faster) if backend == "gemm" else nullcontext():
            if traced:
                # Where something global has changed, it has to be compiled anew: an error, before anything is computed.
                with suppress(TorchDynamoException, FailOnRecompileLimitHit):
                    compiled_update(images)
                    return
            with tracing():  # entered at every step, it would take 0.2 ms of each on a CPU
                compiled_update(images)
        traced = True

    return step_fn


def compile_options(cuda: bool) -> dict[str, Any]:
    """Return the options of the compiler."""
    options: dict[str, Any] = {
        "deterministic": True,  # the same kernels in the next process: a resumed run keeps its bits
        "fallback_random": True,  # the random numbers of the step as written, so that both give the same loss curve
        "force_pointwise_cat": True,  # fuses the slices of the convolutions that are written as matrix products
    }
    if cuda:
        options["combo_kernels"] = True  # kernels that do not depend on one another become one
        options["layout_optimization"] = False  # the layout of convolutions is chosen in conv_backend.py
        if torch.__version__ < "2.12":  # pytorch/pytorch#176591: it fails together with combo kernels
            options["loop_ordering_after_fusion"] = False
    return options


@contextmanager
def tracing() -> Iterator[None]:
    """Let the compiler trace autograd, and let every run compile its own step, while the context is active."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # on a CPU it misses CUDA
    with torch._dynamo.config.patch(trace_autograd_ops=True, recompile_limit=2**16, accumulated_recompile_limit=2**16):
        yield


def choose_runner(
    step: Step,
    settings: Execution,
    sizes: list[int],
    steps_left: int,
    was_compiled: bool | None = None,
    recover: Callable[[], None] = lambda: None,
    key: str = "",
) -> EagerRunner:
    """Return the runner for the steps. This runs steps to warm up: the caller restores every state afterwards.

    Args:
        step: the step as written.
        settings: the recipe's section on execution.
        sizes: the sizes of an epoch's batches.
        steps_left: the steps left in the whole run, which determine whether compiling pays.
        was_compiled: whether an earlier part of the same run was compiled, which decides if the settings do not.
        recover: called after a failed capture, which leaves a generator that can no longer be used.
        key: equal for steps that compile to the same code.
    """
    runner = eager_runner(step, settings, sizes, recover)
    may_compile = settings.compile
    if may_compile == "auto" and was_compiled is not None:
        may_compile = "on" if was_compiled else "off"
    if may_compile == "off" or step.group.size > 1 or (may_compile == "auto" and not may_pay(step, steps_left)):
        return runner
    by_memory = may_compile == "auto" and not step.on_cuda
    known = recalled(key) if by_memory else {}
    seconds = known.get("written") or seconds_per_step(runner)
    cost, speedup = compilation(step, key, known)
    if may_compile == "auto" and steps_left * seconds * (1 - 1 / speedup) < cost:
        too = "too slow compiled" if speedup < 1 else "too few for compiling to pay"
        runner.description += f", {seconds * 1e6:,.0f} us each; {too}"
        return runner
    backend = chosen(step.model, settings.convolutions, compiled=step.on_cuda)
    undo = lay_out(step.optimizer) if backend != "contiguous" else lambda: None
    compiled_runner, failed = runner, False
    try:
        compiled_runner = type(runner)(step, compiled(step, backend), sizes)
        compiled_seconds = seconds_per_step(compiled_runner)
        if step.on_cuda:
            COMPILED_STEPS.add(key)
        if by_memory and "compiled" not in known:
            known["written"], known["compiled"] = least_seconds([runner, compiled_runner])
            remember(key, known)
        seconds, compiled_seconds = known.get("written", seconds), known.get("compiled", compiled_seconds)
    except ZooError:
        raise
    except Exception as error:  # running out of memory for both included
        warn("the step cannot be compiled and runs as written", error)
        failed = True
    if failed:  # out of the handler, whose error holds on to what was captured
        undo()
        del runner, compiled_runner
        gc.collect()
        if step.on_cuda:
            torch.cuda.empty_cache()  # the same graphs are captured again
        recover()
        return eager_runner(step, settings, sizes, recover)
    times = f"{compiled_seconds * 1e6:,.0f} us each, {seconds * 1e6:,.0f} us uncompiled"
    if may_compile == "auto" and seconds < compiled_seconds:
        undo()
        runner.description += f", not compiled: {times}"
        return runner
    compiled_runner.description += f", compiled: {times}"
    return compiled_runner


def may_pay(step: Step, steps_left: int) -> bool:
    """Return whether compiling may be worth measuring."""
    if step.on_cuda or step.done.device.type != "cpu":
        return step.on_cuda
    return steps_left >= LEAST_STEPS and cpu_capability() in CPU_SPEEDUP and not convolutional(step)


def cpu_capability() -> str:
    """Return the instructions that torch uses on this CPU, such as AVX2."""
    return torch.backends.cpu.get_cpu_capability()


def convolutional(step: Step) -> bool:
    """Return whether the model has convolutions."""
    return any(isinstance(module, Convolution) for module in step.model.modules())


def compilation(step: Step, key: str, known: Times) -> tuple[float, float]:
    """Return the seconds that compiling a step is assumed to cost, and how many times as fast the step is then."""
    if not step.on_cuda:
        if "compiled" in known:
            return CPU_COMPILE_SECONDS["again"], known["written"] / known["compiled"]
        return CPU_COMPILE_SECONDS["first"], CPU_SPEEDUP.get(cpu_capability(), 1.0)
    kind = "convolutional" if convolutional(step) else "fully connected"
    return 0.0 if key in COMPILED_STEPS else COMPILE_SECONDS[kind], COMPILED_SPEEDUP[kind]


def eager_runner(step: Step, settings: Execution, sizes: list[int], recover: Callable[[], None]) -> EagerRunner:
    """Return a runner of the uncompiled step, captured if possible; see :func:`choose_runner`."""
    eager = EagerRunner(step, step, sizes)
    if step.group.size > 1:
        eager.description += f", in {step.group.size} processes"
    elif step.on_cuda and settings.graph == "on":
        try:
            return GraphRunner(step, step, sizes)
        except (ZooError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            warn("the step cannot be captured as a CUDA graph and is enqueued step by step", error)
            recover()
    return eager


def warn(consequence: str, error: BaseException) -> None:
    """Warn in one line that compilation or capture has failed: the consequence, then the cause."""
    cause = error.__context__ or error  # a failed capture reports only that it failed; the reason is its context
    remedy = f"; {CACHE_REMEDY}" if cache_refused(error) else ""
    warnings.warn(f"{consequence} ({type(cause).__name__}: {first_line(cause)}){remedy}", stacklevel=3)


CACHE_REMEDY = "set TORCHINDUCTOR_CACHE_DIR to a folder that can be written"
CACHE_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST}


def cache_refused(error: BaseException | None) -> bool:
    """Return whether an error comes from a file that cannot be written, as where the compiler keeps its code."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in CACHE_ERRORS:
            return True
        error = error.__cause__ or error.__context__
    return False
