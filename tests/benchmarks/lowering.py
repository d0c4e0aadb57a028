"""The training step as Inductor's CUDA back end lowers it, on a machine without a GPU: its kernels and bytes.

The step is traced on fake tensors that say ``cuda:0``, lowered to Triton for an H100 (sm_90), and its kernels are
compiled; none of them runs. So a step that no longer compiles, or has more kernels, shows before a GPU sees it::

    python -m tests.benchmarks.lowering            # measure every registered variant, write the tables
    python -m tests.benchmarks.lowering --variants linear_vae --precisions bf16 --json

torch offers no such thing, so :func:`stand_in` replaces what asks for a device. Lower in a process of
its own: where fake tensors have been used before, torch's C++ counts one GPU.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from tests.benchmarks.records import Record
from tests.benchmarks.report import table
from zoo.datasets import ImageSet
from zoo.errors import ZooError
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.registry import VARIANTS, list_variants
from zoo.schema.parsing import parse_json, validate
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.system.files import replace_between, write_atomically
from zoo.system.folders import make_folder
from zoo.training.batches import DeviceLoader
from zoo.training.conv_backend import chosen, lay_out
from zoo.training.dry_run import declared_images
from zoo.training.execution import compile_options, compiled
from zoo.training.optimizer import Optimizer
from zoo.training.parameter_names import named_parameters
from zoo.training.stacked_step import StackedStep
from zoo.training.step import Step

DEVICE = torch.device("cuda", 0)
DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "performance.md"
STORED = DOCS / "benchmarks" / "lowering" / "sm_90.json"
PRECISIONS = ("fp32", "bf16")
STACKED = 8
"""The seeds of a stacked step that is lowered."""

H100 = SimpleNamespace(
    name="NVIDIA H100 80GB HBM3", major=9, minor=0, gcnArchName="", multi_processor_count=132, warp_size=32,
    regs_per_multiprocessor=65536, max_threads_per_multi_processor=2048, max_threads_per_block=1024,
    total_memory=80 << 30, L2_cache_size=50 << 20, shared_memory_per_block=49152, shared_memory_per_block_optin=232448,
    shared_memory_per_multiprocessor=233472,
)  # fmt: skip
"""What torch tells of the device whose code is generated."""


class LoweredStep(Record):
    """What the compiled step of a variant consists of."""

    variant: str
    precision: str
    seeds: int = 1
    """The models that are trained at once, as one with stacked parameters."""
    kernels: int
    """Triton kernels and library calls that a step starts."""
    library_calls: int
    """Kernels among them that are a library's: matrix products, convolutions, random numbers."""
    uncombined: int
    """Kernels that a step would start without combo kernels."""
    megabytes: float
    """Megabytes that the kernels read and write in a step of 128 images."""


class LoweredSteps(Record):
    """The steps of every variant, lowered by one version of torch."""

    versions: dict[str, str]
    steps: tuple[LoweredStep, ...]


@dataclass(frozen=True)
class Cast:
    """A copy of one of a step's tensors in another dtype."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    copy_strides: tuple[int, ...]


@dataclass(frozen=True)
class Lowering:
    """A lowered step."""

    code: str
    megabytes: float
    """What the kernels read and write."""
    casts: tuple[Cast, ...]
    """The copies of weights in another dtype."""

    @property
    def calls(self) -> list[str]:
        """The kernels in the order in which a step starts them: names of Triton kernels, or library functions."""
        body = next(
            node for node in ast.walk(ast.parse(self.code)) if isinstance(node, ast.FunctionDef) and node.name == "call"
        )
        called = [ast.unparse(node.func) for node in ast.walk(body) if isinstance(node, ast.Call)]
        return [name for name in called if name.endswith(".run") or name.startswith(("extern_kernels.", "torch.ops."))]

    @property
    def sources(self) -> dict[str, str]:
        """The source of every Triton kernel by its name."""
        return {
            ast.literal_eval(node.args[0]): ast.literal_eval(node.args[1])
            for node in ast.walk(ast.parse(self.code))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "async_compile.triton"
        }

    @property
    def uncombined(self) -> int:
        """The kernels that a step would start without combo kernels, each of which says how many it is made of."""
        combined = {
            f"{name}.run": int(found[1])
            for name, source in self.sources.items()
            if (found := re.search(r"'num_kernels': (\d+)", source))
            and not name.startswith("triton_for_")  # of one operation on a list, which is one kernel anyway
        }
        return sum(combined.get(name, 1) for name in self.calls)


def casts(graph: Any) -> Iterator[Cast]:
    """Yield the copies of the graph's inputs in another dtype."""
    for buffer in graph.buffers:
        node = buffer.get_origin_node()
        source = node.args[0] if node and node.target is torch.ops.prims.convert_element_type.default else None
        if isinstance(source, torch.fx.Node) and source.op == "placeholder":
            given = source.meta["val"]
            yield Cast(tuple(given.shape), tuple(given.stride()), tuple(map(int, buffer.get_layout().stride)))


def step_recipe(variant: str, precision: str) -> Recipe:
    """Return the recipe whose step is lowered: the variant's own sizes, objective and optimizer, on images of MNIST."""
    return parse_recipe(
        {
            "name": variant,
            "summary": "A step to be lowered",
            "data": {"name": "mnist"},
            "model": {"variant": variant},
            "objective": {"name": VARIANTS.get(variant).objective},
            "optimizer": {"name": "adam"},
            "training": {"epochs": 1},
            "execution": {"precision": precision},
        }
    )


class _Lowered(Exception):
    """The code is there; nothing behind it is needed."""


def lower(recipe: Recipe, seeds: int = 1) -> Lowering:
    """Lower the compiled step of a recipe for CUDA, of several seeds as one model or of one alone."""
    from torch._inductor import compile_fx
    from torch._inductor.graph import GraphLowering

    found: list[Lowering] = []

    def stop(graph: Any) -> None:
        code = graph.codegen()[0].value
        nbytes = sum(node.get_read_write_buffers_sizes() for node in graph.scheduler.nodes)
        found.append(Lowering(code, nbytes / 1e6, tuple(casts(graph))))
        raise _Lowered

    original = compile_fx.fx_codegen_and_compile

    def generate(*arguments: Any, **settings: Any) -> Any:
        with device_there():
            return original(*arguments, **settings)

    models = [build(recipe) for _ in range(seeds)]
    parts = [(model, build_objective(recipe, model, declared_images(recipe))) for model in models]
    with (
        stand_in(),
        FakeTensorMode(allow_non_fake_inputs=True),
        mock.patch.object(compile_fx, "fx_codegen_and_compile", generate),
        mock.patch.object(GraphLowering, "_compile_to_module", stop),
    ):
        steps = [cuda_step(recipe, fake(model).train(), fake(objective)) for model, objective in parts]
        step = steps[0] if seeds == 1 else stacked(recipe, steps)
        options = compile_options(cuda=True) | {"fx_graph_cache": False}
        backend = chosen(step.model, recipe.execution.convolutions, compiled=True)
        if backend != "contiguous":
            lay_out(step.optimizer)
        with mock.patch("zoo.training.execution.compile_options", lambda cuda: options):
            try:
                compiled(step, backend)(recipe.training.batch_size)
            except Exception:
                if not found:
                    raise
    torch._dynamo.reset()
    return found[0]


def cuda_step(recipe: Recipe, model: Any, objective: Any) -> Step:
    """Return the step of a recipe on fake tensors, laid out as the trainer does for a compiled step on CUDA."""
    size = recipe.training.batch_size
    labels = torch.zeros(4 * size, dtype=torch.int64, device=DEVICE) if model.classes else None
    images = ImageSet(torch.zeros(4 * size, *model.image_shape, dtype=torch.uint8, device=DEVICE), labels)
    optimizer = Optimizer(recipe.optimizer, named_parameters(model, objective))
    half = recipe.execution.precision == "bf16"
    return Step(model, objective, optimizer, DeviceLoader(images, size), recipe.data, 4, half=half)


def stacked(recipe: Recipe, steps: Sequence[Step]) -> StackedStep:
    """Return the step of several models as one; what it asks of their trainers is stood in for."""
    trainers: list[Any] = [
        SimpleNamespace(
            take_step=step, model=step.model, objective=step.objective, optimizer=step.optimizer, means=step.means,
            loader=step.loader, train_set=step.loader.data, recipe=recipe, sizes=[recipe.training.batch_size],
            device=DEVICE, context=SimpleNamespace(active=nullcontext),
        )
        for step in steps
    ]  # fmt: skip
    step = StackedStep(trainers)
    step.streams = []
    return step


def fake(module: Any) -> Any:
    """Replace a module's tensors by fake ones on the device, with the same strides."""
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, real in tensors.items():
                if real is not None:
                    copy = torch.empty_strided(real.shape, real.stride(), dtype=real.dtype, device=DEVICE)
                    trained = isinstance(real, nn.Parameter)
                    tensors[name] = nn.Parameter(copy, real.requires_grad) if trained else copy
    return module


@contextmanager
def stand_in() -> Iterator[None]:
    """While the context is active, fake tensors on CUDA can be traced, with gradients, where there is no device."""
    from torch._inductor.fx_passes.joint_graph import UniformValueConstantFolder
    from torch._subclasses import fake_tensor
    from torch.fx.experimental import proxy_tensor

    deduce = UniformValueConstantFolder._deduce_value
    dispatch = FakeTensor.__dict__["__torch_dispatch__"].__func__
    asked = torch.ops.prim.device.default

    def seen(tensor: Any) -> torch.device:
        return torch.device("meta" if tensor.fake_mode.in_kernel_invocation else "cpu")

    def dispatched(cls: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return seen(args[0]) if function is asked else dispatch(cls, function, types, args, kwargs)

    def redirected(original: Callable[..., Any]) -> Callable[..., Any]:
        def dispatch(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = dict(kwargs or {})
            if kwargs.get("device") == torch.device("cpu"):  # what C++ makes beside a tensor
                kwargs["device"] = DEVICE
            return original(self, func, types, args, kwargs)

        return dispatch

    def deduced(self: Any, node: Any) -> Any:
        with _OnCPU():
            return deduce(self, node)

    with ExitStack() as stack:
        # C++ believes that the tensors are on the CPU: its guards and autograd's engine would look for a device.
        stack.enter_context(mock.patch.object(FakeTensor, "__torch_dispatch__", classmethod(dispatched)))
        stack.enter_context(mock.patch.dict(fake_tensor._DISPATCH_META_HANDLERS, {asked: lambda args: seen(args[0])}))
        for mode in (FakeTensorMode, FunctionalTensorMode):
            wrapped = redirected(mode.__torch_dispatch__)
            stack.enter_context(mock.patch.object(mode, "__torch_dispatch__", wrapped))
        stack.enter_context(mock.patch.object(torch._C, "_ensureCUDADeviceGuardSet", lambda: None))
        # Constants are computed while tracing, on the device.
        stack.enter_context(mock.patch.object(proxy_tensor, "CONSTANT_NUMEL_LIMIT", 0))
        stack.enter_context(mock.patch.object(UniformValueConstantFolder, "_deduce_value", deduced))
        stack.enter_context(mock.patch.object(torch.cuda, "_lazy_init", lambda: None))
        stack.enter_context(mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False))
        stack.enter_context(mock.patch.object(torch.cuda, "is_bf16_supported", lambda *_, **__: True))
        stack.enter_context(mock.patch.object(torch.cuda, "get_rng_state", lambda *_: torch.zeros(16)))
        stack.enter_context(mock.patch.object(torch.cuda, "set_rng_state", lambda *_: None))
        stack.callback(cast_as_on_cuda()._destroy)
        yield


def cast_as_on_cuda() -> torch.library.Library:
    """Register autocast's kernels of CUDA anew: those of C++ ask for the tensors' device, and are told the CPU."""
    library = torch.library.Library("aten", "IMPL")
    excluded = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA)

    def kernel(function: Any, dtype: torch.dtype) -> Callable[..., Any]:
        def cast(value: Any) -> Any:
            floating = isinstance(value, torch.Tensor) and value.is_floating_point()
            return value.to(dtype) if floating and value.dtype != torch.float64 else value

        def run(*arguments: Any, **settings: Any) -> Any:
            with torch._C._ExcludeDispatchKeyGuard(excluded):
                return function(*tree_map(cast, arguments), **tree_map(cast, settings))

        return run

    for names, dtype in ((IN_BF16, torch.bfloat16), (IN_FP32, torch.float32)):
        for name in names.split():
            packet, _, overload = name.partition(".")
            function = getattr(getattr(torch.ops.aten, packet), overload or "default")
            library.impl(name, kernel(function, dtype), "AutocastCUDA")
    return library


IN_BF16 = "_convolution convolution conv2d conv_transpose2d.input linear addmm matmul mm bmm baddbmm"
IN_FP32 = (
    "exp log log1p softplus pow.Tensor_Scalar pow.Tensor_Tensor sum sum.dim_IntList prod cumsum layer_norm mse_loss "
    "binary_cross_entropy_with_logits softmax.int log_softmax.int"
)
"""Those of autocast's lists for CUDA that the zoo's steps use: torch, aten/src/ATen/autocast_mode.h."""


class _OnCPU(TorchDispatchMode):
    """Makes on the CPU what is meant for the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.prims.device_put.default:
            return args[0]
        kwargs = dict(kwargs or {})
        return func(*args, **kwargs | ({"device": torch.device("cpu")} if "device" in kwargs else {}))


@contextmanager
def device_there() -> Iterator[None]:
    """While the context is active, Inductor and Triton find an H100."""
    import torch.utils._triton as availability
    import triton
    from torch._dynamo.device_interface import CudaInterface
    from triton.backends.compiler import GPUTarget

    driver = SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", 90, 32),
        get_current_device=lambda: 0,
        get_active_torch_device=lambda: DEVICE,
        utils=SimpleNamespace(
            get_device_properties=lambda _: {
                "max_shared_mem": 232448, "multiprocessor_count": 132, "max_num_regs": 65536, "warpSize": 32,
            }
        ),
    )  # fmt: skip
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_properties": lambda *_: H100,
        "get_device_capability": lambda *_: (9, 0),
        "get_compute_capability": lambda *_: 90,
        "is_bf16_supported": lambda *_, **__: True,
        "is_triton_capable": lambda *_: True,
        "raise_if_triton_unavailable": lambda *_: None,
        "set_device": lambda _: None,
        "synchronize": lambda *_: None,
        "_exchange_device": lambda _: 0,
        "_maybe_exchange_device": lambda _: 0,
    }

    def forget() -> None:
        for question in vars(availability).values():
            if hasattr(question, "cache_clear"):
                question.cache_clear()

    with ExitStack() as stack:
        for owner in (torch.cuda, CudaInterface, CudaInterface.Worker):
            for name, answer in answers.items():
                if hasattr(owner, name):
                    put = answer if owner is torch.cuda else staticmethod(answer)
                    stack.enter_context(mock.patch.object(owner, name, put))
        triton.runtime.driver.set_active(driver)
        forget()
        yield
    forget()


def compile_kernels(lowering: Lowering) -> int:
    """Compile every Triton kernel of a lowered step to sm_90's machine code, and return their number."""
    from torch._inductor.codecache import PyCodeCache

    with device_there(), mock.patch("torch._inductor.runtime.triton_helpers.set_driver_to_gpu", lambda: None):
        for name, source in lowering.sources.items():
            getattr(PyCodeCache.load(source), name).precompile(warm_cache_only=True)
    return len(lowering.sources)


def check_casts(lowering: Lowering) -> None:
    """Refuse a step in which a convolution's weight has a copy in another dtype that is laid out otherwise.

    ``convolution_backward`` then finds other strides than it was traced with, and the step does not run. A matrix may
    have padded rows: products take the strides that they are given.

    Raises:
        ZooError: there is such a copy.
    """
    for cast in lowering.casts:
        if len(cast.shape) > 2 and cast.strides != cast.copy_strides:
            raise ZooError(f"the copy of a weight {cast.shape} has strides {cast.copy_strides}, not {cast.strides}")


TRANSPOSED = re.compile(r"^ *\w+ = torch\.ops\.aten\.convolution_backward\.default\(.*, True, [(\[].*$", re.MULTILINE)
STRIDES = re.compile(r"assert_(?:size_stride|tensor_metadata)\(\w+, \(([^)]*)\), \(([^)]*)\)")


def check_gradients(lowering: Lowering) -> None:
    """Refuse a step in which the gradient behind images of one channel is expected with its channels last.

    Such images have both layouts at once. cuDNN takes them for contiguous, whatever the compiler has traced, and the
    step does not run.

    Raises:
        ZooError: a transposed convolution to one channel has such a gradient, or the code does not say.
    """
    for call in TRANSPOSED.finditer(lowering.code):
        said = STRIDES.findall(lowering.code, call.end())[:2]
        if len(said) < 2:
            raise ZooError(f"the code does not say how the gradients are laid out: {call[0].strip()}")
        images, weight = said
        shape, strides = ([int(number) for number in numbers.split(",")] for numbers in images)
        if int(weight[0].split(",")[1]) == 1 and strides[1] == 1 < shape[1]:
            raise ZooError(f"the gradient of images {tuple(shape)} has its channels last: {tuple(strides)}")


def measured(variant: str, precision: str, seeds: int = 1) -> LoweredStep:
    """Lower the step of a variant, of one or several seeds, compile its kernels, count them.

    Raises:
        ZooError: a copy of a weight has lost its layout, or a gradient is expected in another one than it will have.
    """
    recipe = step_recipe(variant, precision)
    lowering = lower(recipe, seeds)
    check_casts(lowering)
    check_gradients(lowering)
    compile_kernels(lowering)
    calls = lowering.calls
    return LoweredStep(
        variant=variant,
        precision=precision,
        seeds=seeds,
        kernels=len(calls),
        library_calls=sum(not name.endswith(".run") for name in calls),
        uncombined=lowering.uncombined,
        megabytes=round(lowering.megabytes, 1),
    )


def render_lowered(path: Path = STORED) -> str:
    """Write the table of a file of lowered steps.

    Raises:
        ZooError: the file cannot be read or is not of this kind.
    """
    stored = read(path)
    headings = ("variant", "precision", "seeds", "kernels", "of them library calls", "without combo kernels", "MB")
    rows = (
        (
            f"`{s.variant}`",
            s.precision,
            str(s.seeds),
            str(s.kernels),
            str(s.library_calls),
            str(s.uncombined),
            f"{s.megabytes:,.1f}",
        )
        for s in stored.steps
    )
    versions = ", ".join(f"{name} {version}" for name, version in stored.versions.items())
    return f"{versions}.\n\n{table(headings, 2, rows)}"


def read(path: Path = STORED) -> LoweredSteps:
    """Read a file of lowered steps.

    Raises:
        ZooError: the file cannot be read or is not of this kind.
    """
    try:
        steps: LoweredSteps = validate(LoweredSteps, parse_json(path.read_text(encoding="utf-8"), str(path)), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"cannot read {path}: {error}") from error
    return steps


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, lower, and write."""
    parser = argparse.ArgumentParser(description="The compiled training step as it is lowered for CUDA.")
    parser.add_argument("--variants", nargs="+", default=list_variants(), help="the variants (default: every one)")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=PRECISIONS, help="default: both")
    parser.add_argument("--seeds", type=int, nargs="+", help=f"as one model (default: 1, and {STACKED} in fp32)")
    parser.add_argument("--json", action="store_true", help="print what was counted and write nothing")
    options = parser.parse_args(arguments)
    import triton

    steps = []
    for variant in options.variants:
        for precision in options.precisions:
            for seeds in options.seeds or ((1, STACKED) if precision == "fp32" else (1,)):
                steps.append(measured(variant, precision, seeds))
                print(f"{variant}, {precision}, seeds {seeds}: {steps[-1].kernels} kernels", file=sys.stderr)
    counted = LoweredSteps(
        versions={"torch": torch.__version__, "triton": triton.__version__}, steps=tuple(steps)
    ).model_dump_json(indent=2)
    if options.json:
        print(counted)
        return
    make_folder(STORED.parent)
    write_atomically(STORED, counted + "\n")
    text = replace_between(PAGE.read_text(encoding="utf-8"), "lowered", render_lowered())
    write_atomically(PAGE, text)
    print(f"wrote {STORED} and {PAGE}")


if __name__ == "__main__":
    try:
        main()
    except ZooError as error:
        sys.exit(f"error: {error}")
