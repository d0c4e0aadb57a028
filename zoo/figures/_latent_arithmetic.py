"""Arithmetic on codes (N, D): points and paths in the space of codes, and its image in two dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.models.priors import FittedGaussian


def normal_quantiles(n: int) -> Tensor:
    """Return n values (n,) with equal shares of N(0, 1) between them: its quantiles at (i + 1/2) / n."""
    shares = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    quantiles: Tensor = torch.special.ndtri(shares)
    return quantiles.float()


def square(values: Tensor) -> Tensor:
    """Return codes (n*n, 2) over a square: z_1 rises along a row, z_2 falls from one row to the next below."""
    z2, z1 = torch.meshgrid(values.flip(0), values, indexing="ij")
    return torch.stack([z1.flatten(), z2.flatten()], dim=1)


def interpolate(start: Tensor, end: Tensor, steps: int, spherical: bool = False) -> Tensor:
    """Return codes (steps, D) from ``start`` (D,) to ``end`` (D,), both included.

    Args:
        start, end: the first and the last code.
        steps: the number of codes, at least 2.
        spherical: go along a great circle, the length changing evenly (White 2016, arXiv:1609.04468), instead of
            straight.
    """
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    straight = torch.lerp(start, end, t)
    if not spherical:
        return straight
    lengths = start.norm(), end.norm()
    if not min(lengths):
        return straight  # zero has no direction
    a, b = start / lengths[0], end / lengths[1]
    angle = torch.acos((a @ b).clamp(-1, 1))
    if angle < 1e-4 or math.pi - angle < 1e-4:  # along one line there is no circle, or no single one
        return straight
    turned: Tensor = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return torch.lerp(lengths[0], lengths[1], t) * turned


def gaussian_of(codes: Tensor) -> FittedGaussian:
    """Return the Gaussian that fits codes (N, D), with their full covariance.

    For samples z ~ q(z|x), one per image, the covariance is that of the means plus the mean of the variances, which is
    all the spread that a class has.
    """
    fitted = FittedGaussian(codes.shape[1])
    fitted.fit(codes)
    return fitted


def pca(codes: Tensor) -> Tensor:
    """Return the first two principal components (N, 2) of codes (N, D); the largest loading of each is positive."""
    centred = (codes - codes.mean(dim=0)).double()
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:2]  # (2, D)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    points: Tensor = centred @ (directions * largest.sign()).T
    return points.float()


def tsne(codes: Tensor, seed: int) -> Tensor:
    """Embed codes (N, D) by t-SNE (van der Maaten & Hinton 2008), starting from their principal components: (N, 2).

    Raises:
        ZooError: scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ZooError("t-SNE needs scikit-learn: pip install 'autoencoder-zoo[figures]'") from error
    embedding = TSNE(perplexity=min(30.0, (len(codes) - 1) / 3), init="pca", random_state=seed)
    return torch.from_numpy(embedding.fit_transform(codes.numpy()))
