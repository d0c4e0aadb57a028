"""A report of what training a recipe would take: layers, parameters, steps and memory."""

from __future__ import annotations

import math
from contextlib import suppress

import torch
from torch import Tensor, nn

from zoo.datasets import load_images, validation_size
from zoo.errors import ZooError
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.base import DatasetConfig
from zoo.schema.recipe import Recipe
from zoo.system.memory import machine_memory, written_bytes
from zoo.system.process import training_modes
from zoo.system.randomness import isolated_randomness
from zoo.training.batches import batch_sizes
from zoo.training.optimizer import Optimizer
from zoo.training.parameter_names import named_parameters
from zoo.training.selection import check_metric
from zoo.training.start import check_labelled, freeze, resolved

PROBE_IMAGES = 2
"""The number of images in the batch from which sizes are read."""


def dry_run(recipe: Recipe, device: torch.device) -> str:
    """Return a report for people, from one step on two images without content, with a model that takes no memory.

    Raises:
        ZooError: the variant cannot take the images, the objective cannot train the variant, or the weights alone are
            more than the device has memory, or a conditional model would get images without labels.
    """
    check_labelled(recipe)
    limit = device_memory(device)
    resolved(recipe.training)
    with training_modes(device):
        try:
            return _report(recipe, device, torch.device("meta"), limit)
        except (NotImplementedError, RuntimeError, TypeError):  # a user's own part that needs values
            return _report(recipe, device, device, limit)


def check_step(recipe: Recipe) -> None:
    """Refuse a recipe that cannot be built or whose parts do not fit, before anything is written.

    Two images without content go through the model, which is thrown away. On the meta device, as in :func:`dry_run`,
    that would need no memory, but a second for what torch imports there.

    Raises:
        ZooError: the variant cannot take the images, the objective cannot train the variant, or a conditional model
            would get images without labels.
    """
    check_labelled(recipe)
    cpu = torch.device("cpu")
    with isolated_randomness(0, cpu), torch.no_grad():
        model = build(recipe).eval()
        freeze(model, recipe.training.freeze)
        objective = build_objective(recipe, model, declared_images(recipe))
        blank = torch.zeros(PROBE_IMAGES, *model.image_shape, dtype=torch.float32)
        labels = torch.zeros(PROBE_IMAGES, dtype=torch.int64)
        with suppress(NotImplementedError, RuntimeError, TypeError):  # training will say what is wrong with it
            terms = objective(model.given(labels), blank, torch.zeros((), dtype=torch.float32))
            if recipe.training.select:
                check_metric(recipe.training.select, terms)


def _report(recipe: Recipe, device: torch.device, place: torch.device, limit: int | None) -> str:
    with place:
        model = build(recipe).to(place)
        freeze(model, recipe.training.freeze)
        objective = build_objective(recipe, model, declared_images(recipe)).to(place)
    weights = sum(p.nbytes for p in model.parameters())
    if limit is not None and weights > limit:
        raise ZooError(
            f"the weights of a {recipe.model.variant} of these sizes take {written_bytes(weights)}, more than this "
            f"machine has ({written_bytes(limit)}); make it smaller"
        )
    optimizer = Optimizer(recipe.optimizer, named_parameters(model, objective))
    lines = [f"{recipe.name}: {recipe.model.variant}, {recipe.objective.name}, {recipe.data.name}, on {device}", ""]

    shapes: list[str] = []
    saved: dict[int, torch.UntypedStorage] = {}  # which keeps them, so that no two have one address

    def note(name: str, layer: nn.Module, output: object) -> None:
        tensor = output if isinstance(output, Tensor) else getattr(output, "mean", None)
        if isinstance(tensor, Tensor):
            shape = ", ".join(["B", *map(str, tensor.shape[1:])])
            count = sum(p.numel() for p in layer.parameters())
            shapes.append(
                f"  {name:<24}{type(layer).__name__:<20}({shape}){f'  {count:,} parameters' if count else ''}"
            )

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    for part in ("encoder", "decoder"):
        for name, layer in getattr(model, part).named_children():
            layer.register_forward_hook(lambda m, _, out, name=f"{part}.{name}": note(name, m, out))
    blank = torch.zeros(PROBE_IMAGES, *model.image_shape, dtype=torch.float32, device=place)
    labels = torch.zeros(PROBE_IMAGES, dtype=torch.int64, device=place)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = objective(model.given(labels), blank, torch.zeros((), dtype=torch.float32, device=place))["loss"]
    torch.autograd.grad(loss, optimizer.parameters, allow_unused=True)

    state = sum(tensor.nbytes for tensors in optimizer.state.values() for tensor in tensors)
    of_weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept = sum(storage.nbytes() for address, storage in saved.items() if address not in of_weights)
    activations = kept * recipe.training.batch_size // recipe.training.accumulate // PROBE_IMAGES
    lines += [
        f"  {'images':<44}(B, {', '.join(map(str, model.image_shape))})",
        *shapes,
        "",
        f"{model.parameter_count:,} parameters",
    ]

    train, test, notes = split_sizes(recipe.data)
    lines += notes
    share = recipe.training.validation
    held_out = 0 if share is None else validation_size(train, share)
    train -= held_out
    if held_out:
        lines.append(f"{held_out:,} validation images")
    steps = len(batch_sizes(train, recipe.training.batch_size))
    lines.append(
        f"{train:,} training images, {steps:,} steps an epoch, "
        f"{steps * recipe.training.epochs:,} steps in {recipe.training.epochs} epochs"
    )
    parts = {
        "images": (train + held_out + test) * math.prod(model.image_shape),
        "weights and gradients": 2 * weights,
        "optimizer": state,
        "activations": activations,
    }
    total = ", ".join(f"{name} {nbytes / 2**20:,.1f}" for name, nbytes in parts.items())
    needed = sum(parts.values())
    has = "" if limit is None else f", of the {written_bytes(limit)} that this machine has"
    if limit is not None and needed > limit:
        has = f": more than this machine has ({written_bytes(limit)}); lower training.batch_size or the model's sizes"
    return "\n".join([*lines, f"about {needed / 2**20:,.0f} MiB of memory ({total}){has}"])


def device_memory(device: torch.device) -> int | None:
    """Return the bytes of memory of a device, or None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return machine_memory()


def declared_images(recipe: Recipe) -> int:
    """Return the number of training images that a recipe declares; where only the data tell, those of one batch."""
    data = recipe.data
    counts = [count for count in (data.released[0] if data.released else None, data.train_images) if count]
    return min(counts, default=recipe.training.batch_size)


def split_sizes(data: DatasetConfig) -> tuple[int, int, list[str]]:
    """Return the numbers of training and test images, and what there is to say about them.

    A dataset is loaded only if it does not know its numbers beforehand and cannot count its images without that.
    """
    if data.released:
        released, notes = data.released, []
    elif counted := data.counted():
        released, notes = counted[:2], counted[2]
    else:
        train_set, test_set = load_images(data, "train"), load_images(data, "test")
        released, notes = (len(train_set), len(test_set)), list(dict.fromkeys((*train_set.notes, *test_set.notes)))
    train, test = (
        min(size, limit or size) for size, limit in zip(released, (data.train_images, data.test_images), strict=True)
    )
    return train, test, notes
