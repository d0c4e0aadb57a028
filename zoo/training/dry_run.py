"""A report of what training a recipe would take: layers, parameters, steps and memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.datasets import load_images
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.base import DatasetConfig
from zoo.schema.recipe import Recipe
from zoo.training.batches import batch_sizes
from zoo.training.optimizer import Optimizer

PROBE_IMAGES = 2
"""The number of images in the batch from which sizes are read."""


def dry_run(recipe: Recipe, device: torch.device) -> str:
    """Return a report for people, from one step on two blank images with a model that is then discarded.

    Raises:
        ZooError: the variant cannot take the images, or the objective cannot train the variant.
    """
    model = build(recipe).to(device)
    objective = build_objective(recipe).to(device)
    optimizer = Optimizer(recipe.optimizer, [*model.parameters(), *objective.parameters()])
    lines = [f"{recipe.name}: {recipe.model.variant}, {recipe.objective.name}, {recipe.data.name}, on {device}", ""]

    shapes: list[str] = []
    saved: dict[int, int] = {}

    def note(name: str, layer: nn.Module, output: object) -> None:
        tensor = output if isinstance(output, Tensor) else getattr(output, "mean", None)
        if isinstance(tensor, Tensor):
            shape = ", ".join(["B", *map(str, tensor.shape[1:])])
            count = sum(p.numel() for p in layer.parameters())
            shapes.append(
                f"  {name:<24}{type(layer).__name__:<20}({shape}){f'  {count:,} parameters' if count else ''}"
            )

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    for part in ("encoder", "decoder"):
        for name, layer in getattr(model, part).named_children():
            layer.register_forward_hook(lambda m, _, out, name=f"{part}.{name}": note(name, m, out))
    blank = torch.zeros(PROBE_IMAGES, *model.image_shape, device=device)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = objective(
            model.given(torch.zeros(PROBE_IMAGES, dtype=torch.int64)), blank, torch.zeros((), device=device)
        )["loss"]
    optimizer.update(torch.autograd.grad(loss, optimizer.parameters, allow_unused=True))

    weights = sum(p.nbytes for p in model.parameters())
    state = sum(tensor.nbytes for tensors in optimizer.state.values() for tensor in tensors)
    weight_addresses = {p.untyped_storage().data_ptr() for p in model.parameters()}
    activations = (
        sum(n for address, n in saved.items() if address not in weight_addresses)
        * recipe.training.batch_size
        // PROBE_IMAGES
    )
    lines += [
        f"  {'images':<44}(B, {', '.join(map(str, model.image_shape))})",
        *shapes,
        "",
        f"{model.parameter_count:,} parameters",
    ]

    train, test, notes = split_sizes(recipe.data)
    lines += notes
    steps = len(batch_sizes(train, recipe.training.batch_size))
    lines.append(
        f"{train:,} training images, {steps:,} steps an epoch, "
        f"{steps * recipe.training.epochs:,} steps in {recipe.training.epochs} epochs"
    )
    parts = {
        "images": (train + test) * math.prod(model.image_shape),
        "weights and gradients": 2 * weights,
        "optimizer": state,
        "activations": activations,
    }
    total = ", ".join(f"{name} {nbytes / 2**20:,.1f}" for name, nbytes in parts.items())
    return "\n".join([*lines, f"about {sum(parts.values()) / 2**20:,.0f} MiB of memory ({total})"])


def split_sizes(data: DatasetConfig) -> tuple[int, int, list[str]]:
    """Return the numbers of training and test images, and what there is to say about them.

    A dataset is loaded only if it does not know its numbers beforehand.
    """
    if data.released:
        released, notes = data.released, []
    else:
        train_set, test_set = load_images(data, "train"), load_images(data, "test")
        released, notes = (len(train_set), len(test_set)), list(dict.fromkeys((*train_set.notes, *test_set.notes)))
    train, test = (
        min(size, limit or size) for size, limit in zip(released, (data.train_images, data.test_images), strict=True)
    )
    return train, test, notes
