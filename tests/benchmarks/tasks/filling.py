"""Imputation: models beside what costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import zoo
from zoo.datasets import load_images
from zoo.tasks.imputation import dropped, impute

MODELS = ("ae_mnist", "linear_vae_mnist", "vae_200_mnist", "conv_vae_mnist")
SHARES = (0.25, 0.5, 0.75)


def imputation() -> Iterator[dict[str, Any]]:
    """MSE on the missing pixels of the MNIST test images."""
    data = zoo.recipe(MODELS[0]).data
    x = load_images(data, "test").images.float() / 255
    train = load_images(data, "train").images.float() / 255
    for share in SHARES:
        observed = dropped(tuple(x.shape), share, torch.Generator().manual_seed(0))
        missing = ~observed.expand(x.shape)
        filled = {
            "mean image": train.mean(dim=0, keepdim=True).expand(x.shape),
            "nearest pixel": nearest_pixel(x, observed),
            "nearest training image": nearest_image(x, observed, train),
        }
        for name in MODELS:
            model = zoo.load(name)
            parts = zip(x.split(1000), observed.split(1000), strict=True)
            filled[name] = torch.cat([impute(model, images, known) for images, known in parts])
        yield {
            "missing": share,
            "mse": {name: float((y - x)[missing].double().square().mean()) for name, y in filled.items()},
        }


def nearest_pixel(x: Tensor, observed: Tensor) -> Tensor:
    """Every missing pixel as the observed one that is nearest to it."""
    from scipy.ndimage import distance_transform_edt

    filled = []
    for image, known in zip(x[:, 0].numpy(), observed[:, 0].numpy(), strict=True):
        row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
        filled.append(image[row, column])
    return torch.from_numpy(np.stack(filled))[:, None]


def nearest_image(x: Tensor, observed: Tensor, train: Tensor) -> Tensor:
    """The missing pixels of the training image that is nearest in the observed ones."""
    flat = train.flatten(1)
    filled = []
    for part, known in zip(x.flatten(1).split(500), observed.flatten(1).float().split(500), strict=True):
        distances = known @ flat.square().T - 2 * (known * part) @ flat.T
        filled.append(flat[distances.argmin(dim=1)])
    return torch.cat(filled).reshape(x.shape)
