"""Random numbers that are drawn beforehand and handed to the code that asks for them.

Code under ``vmap`` cannot draw from a generator per model. So what one call of it draws is noted once; from then on
each model's numbers are drawn outside, from that model's generator, and handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

DRAWING: Sequence[Callable[..., Any]] = (torch.randn_like, torch.rand_like, torch.randint, F.dropout)
"""torch's functions that can be noted. What they draw depends on shapes and settings only, not on values."""

IN_PLACE: Mapping[Callable[..., Any], Callable[[Tensor], Tensor]] = {
    torch.randn_like: Tensor.normal_,
    torch.rand_like: Tensor.uniform_,
}
"""Those that a method of a contiguous tensor is the same as."""


@dataclass(frozen=True)
class Draw:
    """A call that draws random numbers: the same function, on ones of the same shapes."""

    function: Callable[..., Tensor]
    arguments: Sequence[Any]
    settings: Mapping[str, Any]

    def __call__(self) -> Tensor:
        """Draw again, from torch's default generators."""
        return self.function(*self.arguments, **self.settings)

    def into(self, noise: Tensor) -> None:
        """Draw the same numbers into a tensor, without a copy where torch can fill it in place."""
        fill = IN_PLACE.get(self.function)
        if fill and not self.settings and self.arguments[0].is_contiguous():
            fill(noise)
        else:
            noise.copy_(self())


class NotedDraws(TorchFunctionMode):
    """Notes in ``draws`` the random numbers that are drawn while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        settings = kwargs or {}
        if draws(func, args, settings):
            plain = [torch.ones_like(part.detach()) if isinstance(part, Tensor) else part for part in args]
            self.draws.append(Draw(func, plain, dict(settings)))
        return func(*args, **settings)


class HandedNoise(TorchFunctionMode):
    """Hands out numbers, drawn by the noted calls in their order, in place of drawing."""

    def __init__(self, noise: Iterable[Tensor]) -> None:
        super().__init__()
        self.noise = iter(noise)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        settings = kwargs or {}
        if not draws(func, args, settings):
            return func(*args, **settings)
        noise = next(self.noise)
        return args[0] * noise if func is F.dropout else noise  # dropout of ones is what features are multiplied by


def draws(func: Any, args: Sequence[Any], settings: Mapping[str, Any]) -> bool:
    """Return whether this call draws random numbers that can be noted."""
    if func is F.dropout:
        training = settings["training"] if "training" in settings else (*args, None, True)[2]
        return bool(training)
    return any(func is known for known in DRAWING)  # torch.compile can trace this, unlike a set
