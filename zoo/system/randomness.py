"""Random numbers of one's own: what is drawn in one thread neither disturbs nor repeats what others draw.

The zoo's own code draws with the functions at the end of this file, from the :class:`Generators` that are set for this
thread, or else from torch's default generators, holding the lock. What draws from torch's default generators by itself
(dropout, modules of users, initial weights) needs them set to a state of its own and put back, under the same lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import local

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.system.lock import PROCESS_LOCK

CPU = torch.device("cpu")

State = dict[str, Tensor]
"""The state of every generator that a run draws from, by kind of device."""


class Generators:
    """Generators of one's own, one for each device that numbers are drawn on.

    Args:
        start: a function that returns a generator of a device, asked once for each device.
    """

    def __init__(self, start: Callable[[torch.device], torch.Generator]) -> None:
        self._start = start
        self._started: dict[torch.device, torch.Generator] = {}

    @classmethod
    def seeded(cls, seed: int) -> Generators:
        """Return generators that all start from ``seed``, as after ``torch.manual_seed``."""
        return cls(lambda device: torch.Generator(device).manual_seed(seed))

    def on(self, device: torch.device) -> torch.Generator:
        """Return the generator of a device."""
        if device not in self._started:
            self._started[device] = self._start(device)
        return self._started[device]


_OWN: ContextVar[Generators | None] = ContextVar("generators of this thread", default=None)


@contextmanager
def drawing_from(generators: Generators | None) -> Iterator[None]:
    """Let the zoo's code draw from these generators in the context; None: from torch's default ones."""
    before = _OWN.get()
    _OWN.set(generators)
    try:
        yield
    finally:
        _OWN.set(before)


@contextmanager
def default_generators_kept(device: torch.device) -> Iterator[None]:
    """Let the context do with torch's default generators what it likes; afterwards they are as before."""
    with PROCESS_LOCK, drawing_from(None):
        state = random_state(device)
        try:
            yield
        finally:
            set_random_state(device, state)


@contextmanager
def isolated_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Start torch's default generators from ``seed`` in the context; afterwards they are as before."""
    with default_generators_kept(device):
        seed_default_generators(seed, device)
        yield


@contextmanager
def own_randomness(seed: int, device: torch.device, *parts: object) -> Iterator[None]:
    """Start the random numbers of the zoo's code from ``seed`` in the context, from generators of its own.

    Args:
        seed: the seed.
        device: the device that is computed on.
        parts: the modules and functions that run in the context, besides the zoo's own. If one of them may draw from
            torch's default generators, these are set, and no other thread of the zoo draws meanwhile.
    """
    by_default = any(map(draws_by_default, parts))
    with isolated_randomness(seed, device) if by_default else drawing_from(Generators.seeded(seed)):
        yield


DROPOUTS = (nn.modules.dropout._DropoutNd, nn.RReLU, nn.MultiheadAttention, nn.RNNBase)
"""torch's layers that draw in training mode."""

ALWAYS_RANDOM = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
"""torch's layers that draw in every mode."""


def draws_by_default(part: object) -> bool:
    """Return whether a module or function may draw from torch's default generators by itself.

    That is one of torch's layers that draw, and whatever is neither torch's nor the zoo's.
    """
    if not isinstance(part, nn.Module):
        return not _known(part)
    return any(
        not _known(type(module))
        or isinstance(module, ALWAYS_RANDOM)
        or (module.training and isinstance(module, DROPOUTS) and not _known(type(module), "zoo."))
        for module in part.modules()
    )


def _known(code: object, packages: str | tuple[str, ...] = ("zoo.", "torch.nn.")) -> bool:
    return str(getattr(code, "__module__", "")).startswith(packages)


def random_state(device: torch.device) -> State:
    """Return the state of torch's default generators on the CPU and on ``device``."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(device: torch.device, state: Mapping[str, Tensor]) -> None:
    """Restore a state that :func:`random_state` has returned."""
    torch.set_rng_state(state["cpu"].clone())  # a copy is aligned; torch crashes on part of a larger tensor
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if "mps" in state:
        torch.mps.set_rng_state(state["mps"])


def seed_default_generators(seed: int, device: torch.device) -> None:
    """Seed torch's default generators on the CPU and on ``device``, and no others; the lock must be held."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def generator_on(device: torch.device) -> Iterator[torch.Generator | None]:
    """Yield this thread's generator of a device, or, holding the lock, None for torch's default one."""
    own = _OWN.get()
    if own is not None:
        yield own.on(device)
    else:
        with PROCESS_LOCK:
            yield None


@contextmanager
def sampling(generator: torch.Generator | None = None) -> Iterator[tuple[torch.Generator | None, torch.device]]:
    """Yield a generator to draw samples with and its device: the one given, or this thread's on the CPU."""
    if generator is not None:
        yield generator, generator.device
    else:
        with generator_on(CPU) as own:
            yield own, CPU


# While the compiler traces a step there are neither locks nor generators: it draws from the default ones, or takes what
# it is handed.

_HANDED = local()


@contextmanager
def handed_while_traced(numbers: Iterable[Tensor]) -> Iterator[None]:
    """Let the zoo's code that is traced in the context take these numbers, one tensor a draw, in place of drawing."""
    _HANDED.numbers = iter(numbers)
    try:
        yield
    finally:
        _HANDED.numbers = None


def handed() -> Tensor | None:
    """Return the next numbers that are handed to the code that is traced; None: it draws by itself."""
    numbers: Iterator[Tensor] | None = getattr(_HANDED, "numbers", None)
    return None if numbers is None else next(numbers)


def normal_like(template: Tensor) -> Tensor:
    """Draw standard normal numbers in the shape, dtype and layout of a tensor, on its device."""
    if torch.compiler.is_compiling():
        numbers = handed()
        return torch.randn_like(template) if numbers is None else numbers
    with generator_on(template.device) as generator:
        if generator is None:
            return torch.randn_like(template)
        return torch.empty_like(template).normal_(generator=generator)


def uniform_like(template: Tensor) -> Tensor:
    """Draw numbers from [0, 1) in the shape, dtype and layout of a tensor, on its device."""
    if torch.compiler.is_compiling():
        numbers = handed()
        return torch.rand_like(template) if numbers is None else numbers
    with generator_on(template.device) as generator:
        if generator is None:
            return torch.rand_like(template)
        return torch.empty_like(template).uniform_(generator=generator)


def bernoulli(probabilities: Tensor) -> Tensor:
    """Draw 0 or 1 with these probabilities of 1, in their shape and dtype."""
    if torch.compiler.is_compiling():
        return torch.bernoulli(probabilities)
    with generator_on(probabilities.device) as generator:
        return torch.bernoulli(probabilities, generator=generator)


def integers_below(high: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draw whole numbers from 0 to ``high`` - 1, int64, of a shape, on a device."""
    if torch.compiler.is_compiling():
        numbers = handed()
        return torch.randint(high, shape, device=device) if numbers is None else numbers
    with generator_on(device) as generator:
        return torch.randint(high, shape, device=device, generator=generator)


def dropped_out(features: Tensor, probability: float) -> Tensor:
    """Set features to 0 with a probability, and divide the others by 1 less that."""
    if torch.compiler.is_compiling():
        factors = handed()
        return F.dropout(features, probability) if factors is None else features * factors
    with generator_on(features.device) as generator:
        if generator is None:
            return F.dropout(features, probability)
        kept = torch.empty_like(features).bernoulli_(1 - probability, generator=generator)
        return features * kept.div_(1 - probability)
