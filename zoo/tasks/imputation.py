"""Imputation: fill in the missing pixels of an image so that it becomes one that the model would generate."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.autoencoder import Model, check_model
from zoo.models.inputs import described, whole_number

MAX_STEPS = 30
"""The most steps unless the caller says otherwise; after some ten, most images hardly change any more."""

MIN_CHANGE = 1e-4
"""The change that at least one pixel must make in a step for another step to follow."""


@torch.no_grad()
def impute(model: Model, x: Tensor, observed: Tensor, steps: int = MAX_STEPS) -> Tensor:
    """Replace the missing pixels by those of decode(encode(x)) again and again; the observed ones stay as they are.

    A model that can be told which pixels it sees, such as a masked autoencoder, fills in the others in one step.

    This is how a denoising or variational autoencoder is used for it since Rezende et al. 2014 (arXiv:1401.4082,
    appendix F), here with the means instead of samples: one likely completion, not a draw from all of them.

    Args:
        model: a model that ``zoo.load`` has loaded; a conditional one as ``model.given(labels)``.
        x: images (B, C, H, W) in [0, 1]; the values of missing pixels do not matter.
        observed: bool (H, W), (B, 1, H, W) or (B, C, H, W), True where a pixel is known.
        steps: the most steps; fewer are made once the images hardly change.

    Returns:
        The filled images (B, C, H, W) in [0, 1].

    Raises:
        ZooError: ``observed`` does not fit the images, or something is of another kind.
    """
    if not hasattr(model, "decode"):
        check_model(model)
    if not isinstance(x, Tensor) or x.dim() != 4:
        raise ZooError(f"images must be a tensor (B, C, H, W) in [0, 1]; got {described(x)}")
    mask = torch.from_numpy(observed) if isinstance(observed, np.ndarray) else observed
    if not isinstance(mask, Tensor) or not ((mask == 0) | (mask == 1)).all():
        raise ZooError(f"observed must be True where a pixel is known, bool (H, W); got {described(observed)}")
    steps = whole_number(steps, "the number of steps")
    try:
        known = mask.to(x.device, torch.bool).expand(x.shape)
    except RuntimeError as error:
        raise ZooError(f"the mask is {tuple(observed.shape)}, which does not fit images {tuple(x.shape)}") from error
    x = torch.where(known, x, 0)  # also where the others are NaN
    # An image has to begin with something: the mean of its observed pixels, or grey where there are none.
    counts = known.flatten(1).sum(dim=1)
    means = torch.where(counts > 0, x.flatten(1).sum(dim=1) / counts.clamp(min=1), 0.5)
    filled = torch.where(known, x, means[:, None, None, None])
    if steps and hasattr(model, "encode_visible"):
        posterior = model.encode_visible(filled, known.all(dim=1, keepdim=True))
        return torch.where(known, x, model.decode(posterior.mean).mean.to(x.device))
    for _ in range(steps):
        better = torch.where(known, x, model.decode(model.encode(filled).mean).mean.to(x.device))
        change = (better - filled).abs().max() if filled.numel() else filled.new_zeros(())
        filled = better
        if float(change) < MIN_CHANGE:
            break
    return filled


def dropped(shape: tuple[int, ...], share: float, generator: torch.Generator) -> Tensor:
    """Draw a mask in which each pixel is missing with some probability: bool (B, 1, H, W) on the CPU, True if known.

    Args:
        shape: the shape (B, C, H, W) of the images; the channels of a pixel are missing together.
        share: the probability that a pixel is missing.
        generator: a generator on the CPU; the same seed gives the same mask on every device.
    """
    size = (shape[0], 1, *shape[2:])
    return torch.rand(size, generator=generator, dtype=torch.float32, device=generator.device) >= share


def boxed(shape: tuple[int, ...], top: int, left: int, height: int, width: int) -> Tensor:
    """Return a mask in which a box is missing: bool (H, W), True where a pixel is known.

    Args:
        shape: the shape (..., H, W) of the images.
        top: the first row of the box.
        left: its first column.
        height: its height in pixels.
        width: its width in pixels.

    Raises:
        ZooError: the box is not inside the image.
    """
    h, w = shape[-2:]
    if min(top, left) < 0 or min(height, width) < 1 or top + height > h or left + width > w:
        raise ZooError(
            f"a box of {height}x{width} at ({top}, {left}) is not inside an image of {h}x{w} (height, width)"
        )
    observed = torch.ones(h, w, dtype=torch.bool, device="cpu")
    observed[top : top + height, left : left + width] = False
    return observed
