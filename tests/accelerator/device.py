"""A make-believe accelerator: it computes on the CPU, but refuses CPU tensors and generators and notices every wait.

What it refuses and what it calls a wait is what CUDA does, so that a machine without a GPU finds what would fail or be
slow on one:

- Tensors of the two devices cannot meet in an operation. A CPU tensor without dimensions may in pointwise ones, and CPU
  indices may choose from a device tensor (CUDA copies them, and waits).
- Random numbers on the device come from its default generator or from one made for it.
- A wait is whatever needs a value on the host: ``item()``, ``bool()``, ``tolist()``, ``print``, copies to the CPU,
  ``torch.equal``, shapes that depend on values (``nonzero``, a mask as index, ``unique``). A copy to the device waits,
  too, unless it is ``non_blocking``; so does ``torch.tensor(..., device=...)``.

Inside, a device tensor calls itself lazy: autograd then works on it in the calling thread, as with CPU tensors, and no
backend has to be registered for the rest of the process.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("privateuseone:0")

ATEN = torch.ops.aten
COPIES = {ATEN._to_copy, ATEN.copy_}
INDEXING = {ATEN.index, ATEN.index_put, ATEN.index_put_}
TAKE_A_NUMBER = {ATEN.fill, ATEN.fill_, ATEN.masked_fill, ATEN.masked_fill_}
"""Operations that take a number as a CPU tensor, though torch does not count them as pointwise."""

READ_BY_THE_HOST = {ATEN._linalg_check_errors, ATEN._linalg_eigh, ATEN._linalg_svd}
"""Operations that the host waits for, though torch does not say that their result depends on values."""

DEPENDS_ON_VALUES = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}
MAKE_TENSORS = {torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor}
NOT_THE_CALLER = (str(Path(torch.__file__).parent), __file__)


class MixedDevices(RuntimeError):
    """An operation was given tensors, or a tensor and a generator, of the CPU and of the accelerator."""


class Waited(RuntimeError):
    """The host waited for the accelerator where it must not."""


class DeviceTensor(Tensor):
    """A tensor on the accelerator, which holds a CPU tensor."""

    on_cpu: Tensor
    accelerator: Accelerator
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, on_cpu: Tensor) -> DeviceTensor:
        layout = {"strides": on_cpu.stride(), "storage_offset": on_cpu.storage_offset(), "dtype": on_cpu.dtype}
        made: DeviceTensor = Tensor._make_wrapper_subclass(cls, on_cpu.shape, **layout, device="lazy")
        made.on_cpu = on_cpu
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return cls.accelerator.run(func, args, kwargs or {})

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True  # so that code which asks takes the way that it takes on CUDA

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, **options: Any) -> Any:
        raise TypeError("can't convert a tensor of the accelerator to numpy; use Tensor.cpu() first")

    def __format__(self, how: str) -> str:
        return format(self.cpu(), how)

    def __repr__(self, **options: Any) -> str:
        return f"{self.cpu()!r} on {DEVICE}"


class Accelerator:
    """The device while :func:`accelerator` is active."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        """The waits so far, each as the operation and the line that asked for it."""
        self.may_wait = True

    @contextmanager
    def without_waits(self) -> Iterator[None]:
        """Make every wait an error in the context.

        Raises:
            Waited: the host waits.
        """
        before, self.may_wait = self.may_wait, False
        try:
            yield
        finally:
            self.may_wait = before

    def wait(self, func: Any) -> None:
        """Note that the host waits for the device in an operation."""
        frames = traceback.extract_stack()
        caller = next(frame for frame in reversed(frames) if not frame.filename.startswith(NOT_THE_CALLER))
        self.waits.append(f"{func} at {caller.filename}:{caller.lineno} ({caller.line})")
        if not self.may_wait:
            raise Waited(f"the host waits for the device in {self.waits[-1]}")

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Carry out an operation, which may or may not involve the device."""
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        asked = kwargs.get("device")
        involved = any(isinstance(tensor, DeviceTensor) for tensor in tensors)
        to_device = involved if asked is None else is_device(asked)
        if not involved and not to_device:
            check_generators(func, leaves, to_device)
            return func(*args, **kwargs)
        written = written_arguments(func, args, kwargs)
        if func.overloadpacket not in COPIES and asked is None:
            check_tensors(func, args, tensors, written)
        check_generators(func, leaves, to_device)
        if waits(func, args, kwargs, to_device):
            self.wait(func)
        if asked is not None:
            kwargs = {**kwargs, "device": "cpu"}
        result = func(*tree_map(on_cpu, args), **tree_map(on_cpu, kwargs))
        return returned(func, result, written, to_device)


def is_device(device: Any) -> bool:
    """Return whether a device, or its name, is the accelerator."""
    return device is not None and torch.device(device).type in (DEVICE.type, "lazy")


def on_cpu(value: Any) -> Any:
    return value.on_cpu if isinstance(value, DeviceTensor) else value


def on_device(value: Any) -> Any:
    return DeviceTensor(value) if isinstance(value, Tensor) else value


def written_arguments(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return the arguments that an operation writes into, by the name of their storage in its schema."""
    found = {}
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found[min(argument.alias_info.before_set, default=argument.name)] = value  # none for a list
    return found


def returned(func: Any, result: Any, written: dict[str, Any], to_device: bool) -> Any:
    """Return what an operation returns: what it has written into as the same object, the rest on its device."""
    for argument in tree_leaves(written):
        assert not isinstance(argument, DeviceTensor) or argument.shape == argument.on_cpu.shape, f"{func} resizes"

    def one(value: Any, info: Any) -> Any:
        if info is not None and info.is_write:
            return written[min(info.before_set)]
        return tree_map(on_device, value) if to_device else value

    infos = [value.alias_info for value in func._schema.returns]
    return tuple(map(one, result, infos)) if len(infos) > 1 else one(result, infos[0]) if infos else None


def check_tensors(func: Any, args: Any, tensors: list[Tensor], written: dict[str, Any]) -> None:
    """Refuse CPU tensors beside those of the device, as CUDA does."""
    strangers = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor)]
    if func.overloadpacket in INDEXING and isinstance(args[0], DeviceTensor):
        strangers = [tensor for tensor in strangers if not any(tensor is index for index in args[1])]
    if torch.Tag.pointwise in func.tags or func.overloadpacket in TAKE_A_NUMBER:
        targets = tree_leaves(written)
        strangers = [tensor for tensor in strangers if tensor.dim() or any(tensor is target for target in targets)]
    if strangers:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in strangers)
        raise MixedDevices(f"{func} got tensors of the accelerator and of the CPU (of shape {shapes})")


def check_generators(func: Any, leaves: list[Any], to_device: bool) -> None:
    """Refuse a generator of the other device."""
    for leaf in leaves:
        if isinstance(leaf, torch._C.Generator) and (leaf._cdata in Generator.on_device) != to_device:
            places = (DEVICE, "the CPU") if to_device else ("the CPU", DEVICE)
            raise MixedDevices("{}: expected a generator of {} but found one of {}".format(func, *places))


def waits(func: Any, args: Any, kwargs: Any, to_device: bool) -> bool:
    """Return whether the host waits for an operation."""
    if func.overloadpacket in COPIES:
        into = func.overloadpacket is ATEN.copy_
        source, target = isinstance(args[into], DeviceTensor), isinstance(args[0], DeviceTensor) if into else to_device
        non_blocking = kwargs.get("non_blocking", False) or args[2:3] == (True,)
        return (source and not target) or (target and not source and not non_blocking)
    if func.overloadpacket in INDEXING:  # a shape depends on values only where a mask chooses
        indices = [index for index in args[1] if index is not None]
        return any(not isinstance(index, DeviceTensor) or index.dtype in (torch.bool, torch.uint8) for index in indices)
    return func.overloadpacket in READ_BY_THE_HOST or not DEPENDS_ON_VALUES.isdisjoint(func.tags)


class Generator(torch.Generator):
    """A generator of the CPU or of the accelerator, where it draws the same numbers."""

    on_device: WeakValueDictionary[int, Generator] = WeakValueDictionary()
    """Those of the accelerator, by the address that torch gives to operations instead of the object."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        made: Generator = super().__new__(cls, "cpu" if is_device(device) else device)
        if is_device(device):
            cls.on_device[made._cdata] = made
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE if self._cdata in self.on_device else torch.device("cpu")


class Operations(TorchDispatchMode):
    """Brings operations to the accelerator that no tensor brings there, such as ``torch.zeros(3, device=...)``."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self.accelerator = accelerator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.accelerator.run(func, args, kwargs or {})


class Functions(TorchFunctionMode):
    """Lets functions that turn Python's numbers into a tensor make it on the CPU first, and copy it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func not in MAKE_TENSORS or isinstance(args[-1], DeviceTensor):
            return func(*args, **kwargs)
        device = kwargs.pop("device", args[0].device if func is Tensor.new_tensor else "cpu")
        if func is Tensor.new_tensor:
            func, args, kwargs = torch.tensor, args[1:], {"dtype": args[0].dtype} | kwargs
        return func(*args, **kwargs, device="cpu").to(device)


@contextmanager
def accelerator() -> Iterator[Accelerator]:
    """Make ``DEVICE`` a device in the context."""
    made, module = Accelerator(), ModuleType("torch.privateuseone")
    functions = {
        "get_amp_supported_dtype": lambda: [torch.bfloat16],
        "manual_seed_all": lambda seed: None,
        "_is_in_bad_fork": lambda: False,
    }
    module.__dict__.update(functions)
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(sys.modules, {module.__name__: module}))
        stack.enter_context(mock.patch.object(torch, DEVICE.type, module, create=True))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.enter_context(mock.patch.object(Tensor, "pin_memory", lambda tensor: tensor))  # it would need a GPU
        stack.enter_context(mock.patch.object(DeviceTensor, "accelerator", made, create=True))
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter's class changes with the device
        stack.enter_context(Functions())
        stack.enter_context(Operations(made))
        yield made
