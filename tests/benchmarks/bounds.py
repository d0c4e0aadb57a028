"""How fast a step could be at best: what it has to compute and to move, and what the device can do.

Nothing is taken from a data sheet. The operations and bytes of a step are counted on a blank batch; the device's peaks
are measured in the run that they are compared with.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.recipe import Recipe
from zoo.training.dry_run import declared_images

PROBE = 2
"""Images in the batch that is counted; operations and activations grow in proportion to the batch."""

TRIALS = 10
COPIED = 2**28
"""Bytes of the tensor that is copied: more than any cache holds."""


def step_cost(recipe: Recipe) -> tuple[int, int]:
    """Operations and bytes of one step of the recipe's batch size, as an uncompiled fp32 step on a CPU has them.

    Operations: two per multiply-add, of matrix products and convolutions, forward and backward; elementwise work is not
    counted. Bytes, each counted as often as it has to be moved where nothing stays in a cache:

    - parameters 4 times: read forward, read backward, read and written by the optimizer
    - gradients 2 times: written backward, read by the optimizer
    - Adam's two moments 2 times each: read and written
    - activations that the backward pass needs 2 times: written forward, read backward
    - images once, as uint8
    """
    model = build(recipe)
    objective = build_objective(recipe, model, declared_images(recipe))
    batch = recipe.training.batch_size
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = tensor  # kept, so that no later tensor gets the same address
        return tensor

    blank = torch.zeros(PROBE, *model.image_shape)
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = objective(model, blank, torch.zeros(()))["loss"]
        loss.backward()
    weights = sum(p.nbytes for p in model.parameters())
    activations = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    moved = (4 + 2 + 2 * 2) * weights + 2 * activations * batch // PROBE + batch * blank[0].numel()
    return counter.get_total_flops() * batch // PROBE, moved


def peak_flops(device: torch.device) -> float:
    """FLOP/s of a large matrix product in fp32, with torch's default precision: the best of some trials."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.rand(size, size, device=device) for _ in range(2))
    c = torch.empty_like(a)
    return 2 * size**3 / fastest(lambda: torch.mm(a, b, out=c), device)


def peak_bandwidth(device: torch.device) -> float:
    """Bytes/s of a large copy, read and written: the best of some trials."""
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * COPIED / fastest(lambda: target.copy_(source), device)


def fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of some trials, after one that does not count."""
    seconds = []
    for _ in range(1 + TRIALS):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
