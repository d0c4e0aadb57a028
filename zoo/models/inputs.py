"""Checks of what a model is given: images, codes, labels, numbers of samples. What has a plain meaning is taken.

Values are looked at on the CPU only, since a GPU would have to wait, and not in training mode, where they come from the
trainer or from a loop that is tuned for speed.
"""

from __future__ import annotations

import operator
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import ZooError
from zoo.schema.base import ImageShape

TOLERANCE = 1e-3
"""The distance from [0, 1] that resizing and rounding may lead to."""

MAX_SAMPLED_VALUES = 2**31
"""The most pixel values of the images that are sampled at once, 8 GiB in float32."""


def checked_images(x: Any, shape: ImageShape, weights: Tensor, *, training: bool) -> Tensor:
    """Return images (B, C, H, W) in [0, 1] on the device and in the dtype of the weights.

    Args:
        x: a tensor in float32, half precision or the dtype of the weights, or a NumPy array of floats.
        shape: the shape (C, H, W) of the model's images.
        weights: one of the weights.
        training: leave the values unread.

    Raises:
        ZooError: they are something else.
    """
    if torch.compiler.is_compiling():
        traced: Tensor = x.to(weights.device)
        return traced
    images = _from_numpy(x)
    if not _are_numbers(images, weights) or images.dim() != 4 or images.shape[1:] != shape:
        raise ZooError(f"{_wanted_images(shape)}; got {described(x)}{_hint(images)}")
    if not training and images.numel() and _readable(images):
        low, high = map(float, images.detach().aminmax())
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # NaN is neither
            scale = " (divide by 255?)" if high > 1 else ""
            found = f"values from {low:g} to {high:g}" if low == low else "values that are no numbers"
            raise ZooError(f"{_wanted_images(shape)}; got {found}{scale}")
    return _placed(images, weights)


def checked_codes(z: Any, dim: int, weights: Tensor) -> Tensor:
    """Return codes (B, D) on the device and in the dtype of the weights.

    Raises:
        ZooError: they are something else than floats (B, ``dim``), in a tensor or a NumPy array.
    """
    if torch.compiler.is_compiling():
        traced: Tensor = z.to(weights.device)
        return traced
    codes = _from_numpy(z)
    if not _are_numbers(codes, weights) or codes.dim() != 2 or codes.shape[1] != dim:
        raise ZooError(f"codes must be numbers (B, {dim}) in float32; got {described(z)}")
    return _placed(codes, weights)


def checked_labels(labels: Any, classes: int, count: int | None = None, *, training: bool = False) -> Tensor:
    """Return labels as whole numbers int64 (B,), where they are.

    Args:
        labels: whole numbers (B,) or (B, 1), one for all, or one-hot rows (B, classes); a tensor, a NumPy array, a
            list or a number.
        classes: the number of classes.
        count: the number B of images or codes; None where it is not known yet.
        training: leave the values of a tensor (B,) unread.

    Raises:
        ZooError: they are missing, of another number, or no classes.
    """
    if torch.compiler.is_compiling():
        found: Tensor = labels
        return found
    if labels is None:
        raise ZooError("the model is conditional: give it the images' labels as well")
    wanted = f"labels must be whole numbers {'' if count is None else f'({count},) '}from 0 to {classes - 1}"
    try:
        values = labels if isinstance(labels, Tensor) else torch.as_tensor(_native(labels), device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ZooError(f"{wanted}; got {described(labels)}") from None
    if not _is_dense(values):
        raise ZooError(f"{wanted}; got {described(labels)}")
    fitting = values.dtype is torch.int64 and values.dim() == 1 and len(values) == count
    if fitting and (training or not _readable(values)):
        return values
    if values.is_meta:
        raise ZooError(f"{wanted}; got {described(labels)}")
    whole = _whole(values, classes)
    if whole is None:
        raise ZooError(f"{wanted}; got {_values_of(labels, values)}")
    if count is not None and len(whole) == 1:
        whole = whole.expand(count)
    if count is not None and len(whole) != count:
        raise ZooError(f"{wanted}; got {described(labels)}")
    if len(whole) and not 0 <= int(whole.min()) <= int(whole.max()) < classes:
        raise ZooError(
            f"{wanted}; got {_values_of(labels, values)} (a recipe sets the number of classes with model.classes)"
        )
    return whole


def checked_count(n: Any, shape: ImageShape) -> int:
    """Return a number of images to sample.

    Raises:
        ZooError: it is no whole number, negative, or more than a machine holds at once.
    """
    count = whole_number(n, "the number of samples")
    most = MAX_SAMPLED_VALUES // prod(shape)
    if count > most:
        raise ZooError(f"{count:,} samples do not fit into memory; draw at most {most:,} at a time")
    return count


def whole_number(value: Any, what: str, most: int | None = None) -> int:
    """Return a whole number from 0 on.

    Args:
        value: an int, or what counts as one, such as NumPy's.
        what: the words for it in the message.
        most: the largest number that is taken; None: any.

    Raises:
        ZooError: it is something else, negative or too large.
    """
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or (most is not None and number > most):
        bound = "from 0 on" if most is None else f"from 0 to {most:,}"
        raise ZooError(f"{what} must be a whole number {bound}; got {value!r}")
    return number


def check_numbers(shape: tuple[Any, ...]) -> None:
    """Refuse numbers of codes for each image that nothing can be drawn for.

    Raises:
        ZooError: one is no whole number, or negative.
    """
    for n in shape:
        if not (type(n) is int or isinstance(n, torch.SymInt)) or n < 0:
            whole_number(n, "the number of codes for an image")


def described(value: Any) -> str:
    """Describe a value in a message: the dtype and shape of a tensor or an array, or else its type."""
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
    if isinstance(value, Tensor | np.ndarray):
        sparse = isinstance(value, Tensor) and value.layout is not torch.strided
        kind = " (sparse)" if sparse else " (masked)" if np.ma.is_masked(value) else ""
        place = " on meta, without values" if isinstance(value, Tensor) and value.is_meta else ""
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}{kind}{place}"
    return "None" if value is None else type(value).__name__


def _wanted_images(shape: ImageShape) -> str:
    return f"images must be (B, {', '.join(map(str, shape))}) in [0, 1]"


def _hint(images: Any) -> str:
    if not isinstance(images, Tensor) or images.is_floating_point():
        return ""
    return " (divide by 255, as floats)" if images.dtype is torch.uint8 else " (as floats)"


def _from_numpy(value: Any) -> Any:
    """Return an array of floats as a tensor in float32; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.ma.is_masked(value):
        return torch.from_numpy(np.ascontiguousarray(value, np.float32))
    return value


def _native(value: Any) -> NDArray[Any]:
    """Return values as an array that torch takes: of this machine's byte order, in order, and writable.

    Raises:
        ValueError: they are no array, or some are masked.
    """
    if np.ma.is_masked(value):
        raise ValueError("masked")
    array = np.asarray(value)
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def _is_dense(value: Tensor) -> bool:
    """Return whether a tensor has a number in every place of a regular shape."""
    return value.layout is torch.strided and not value.is_nested


def _are_numbers(value: Any, weights: Tensor) -> bool:
    """Return whether a value is a tensor of floats that a model with these weights can take."""
    dense = isinstance(value, Tensor) and _is_dense(value) and value.is_meta <= weights.is_meta
    return dense and _is_float(value, weights)


def _is_float(value: Tensor, weights: Tensor) -> bool:
    """Return whether a tensor has a dtype that becomes that of the weights without a word; autocast casts any float."""
    if _autocast(weights.device):
        return value.is_floating_point()
    return value.dtype in (torch.float32, torch.float16, torch.bfloat16, weights.dtype)


def _placed(value: Tensor, weights: Tensor) -> Tensor:
    if _autocast(weights.device):
        return value.to(weights.device)
    return value.to(weights.device, weights.dtype)


def _autocast(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def _readable(value: Tensor) -> bool:
    """Return whether looking at a tensor's values costs nothing and leads to numbers: not while they are traced."""
    traced = torch._C._get_tracing_state() is not None or torch._C._functorch.is_functorch_wrapped_tensor(value)
    return value.device.type == "cpu" and not traced


def _whole(values: Tensor, classes: int) -> Tensor | None:
    """Return labels of any shape and dtype as int64 (B,), or None where they are no whole numbers."""
    if values.is_complex() or values.is_quantized or values.dtype is torch.bool and values.dim() < 2:
        return None
    if values.dim() == 2 and values.shape[1] == classes and classes > 1:
        one_hot = ((values == 0) | (values == 1)).all() and (values.sum(dim=1) == 1).all()
        return values.float().argmax(dim=1) if one_hot else None
    if values.dim() == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dim() > 1 or (values.is_floating_point() and not bool((values == values.floor()).all())):
        return None
    return values.reshape(-1).to(torch.int64)


def _values_of(labels: Any, values: Tensor) -> str:
    """Describe labels by their values, where they are few."""
    if values.numel() and values.dim() == 1 and not (values.is_floating_point() or values.is_complex()):
        numbers = values.tolist()
        return f"{int(min(numbers))} to {int(max(numbers))}"
    return str(values.tolist()) if values.numel() <= 10 and values.dim() <= 1 else described(labels)
