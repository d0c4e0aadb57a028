"""Arithmetic on codes: quantiles, maps, interpolation, Gaussians of a class, two dimensions."""

from __future__ import annotations

import builtins
import math
from typing import Any

import pytest
import torch

from zoo.errors import ZooError
from zoo.figures import _latent_arithmetic as latents
from zoo.models.posteriors import DiagonalGaussian


def test_the_quantiles_have_equal_shares_of_a_normal_distribution_between_them() -> None:
    values = latents.normal_quantiles(20)
    shares = torch.distributions.Normal(0, 1).cdf(values)
    torch.testing.assert_close(shares, (torch.arange(20) + 0.5) / 20)
    torch.testing.assert_close(values, -values.flip(0))


def test_a_map_rises_to_the_right_and_upwards() -> None:
    z = latents.square(torch.tensor([-1.0, 0.0, 1.0]))
    assert z[0].tolist() == [-1, 1]  # top left
    assert z[2].tolist() == [1, 1]
    assert z[6].tolist() == [-1, -1]  # bottom left
    assert z[5].tolist() == [1, 0]


@pytest.mark.parametrize("spherical", [False, True])
def test_both_ends_of_an_interpolation_are_reached(spherical: bool) -> None:
    start, end = torch.randn(2, 7)
    z = latents.interpolate(start, end, 9, spherical)
    assert z.shape == (9, 7)
    torch.testing.assert_close(z[0], start)
    torch.testing.assert_close(z[-1], end)


def test_linear_goes_straight_and_spherical_keeps_to_the_sphere() -> None:
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    assert latents.interpolate(start, end, 3)[1].tolist() == [1, 1]
    middle = latents.interpolate(start, end, 3, spherical=True)[1]
    torch.testing.assert_close(middle, torch.tensor([math.sqrt(2), math.sqrt(2)]))
    z = latents.interpolate(start, 3 * end, 5, spherical=True)
    torch.testing.assert_close(z.norm(dim=1), torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0]))
    angles = torch.atan2(z[:, 1], z[:, 0])
    torch.testing.assert_close(angles, torch.linspace(0, math.pi / 2, 5))


@pytest.mark.parametrize("end", [[0.0, 0.0], [-1.0, 0.0], [3.0, 0.0], [1.0, 0.0]])
def test_where_there_is_no_circle_spherical_goes_straight(end: list[float]) -> None:
    start = torch.tensor([1.0, 0.0])
    z = latents.interpolate(start, torch.tensor(end), 4, spherical=True)
    torch.testing.assert_close(z, latents.interpolate(start, torch.tensor(end), 4))


def test_the_gaussian_of_a_class_includes_the_spread_between_and_within_its_images() -> None:
    torch.manual_seed(0)
    mu = torch.tensor([3.0, -1.0]) + torch.randn(20_000, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]])
    logvar = torch.log(torch.tensor([0.3, 0.1])).expand(20_000, 2)
    fitted = latents.gaussian_of(DiagonalGaussian(mu, logvar).rsample())
    expected = torch.cov(mu.T) + torch.diag(torch.tensor([0.3, 0.1]))
    torch.testing.assert_close(fitted.scale_tril @ fitted.scale_tril.T, expected, atol=0.03, rtol=0.05)
    torch.testing.assert_close(fitted.sample(20_000).mean(dim=0), torch.tensor([3.0, -1.0]), atol=0.05, rtol=0.05)


def test_principal_components_are_those_of_the_covariance() -> None:
    torch.manual_seed(0)
    codes = torch.randn(500, 4) * torch.tensor([0.1, 5.0, 1.0, 0.3]) + 7
    points = latents.pca(codes)
    assert points.shape == (500, 2)
    values = torch.linalg.eigvalsh(torch.cov(codes.T)).flip(0)[:2]
    torch.testing.assert_close(points.var(dim=0), values, rtol=1e-3, atol=1e-3)
    assert torch.corrcoef(torch.stack([points[:, 0], codes[:, 1]]))[0, 1] > 0.99


def test_tsne_keeps_clusters_apart_and_is_repeatable() -> None:
    torch.manual_seed(0)
    codes = torch.cat([torch.randn(30, 5), torch.randn(30, 5) + 20])
    points = latents.tsne(codes, seed=0)
    within = torch.cdist(points[:30], points[:30]).mean()
    assert torch.cdist(points[:30], points[30:]).min() > 0.5 * within
    assert torch.equal(points, latents.tsne(codes, seed=0))


def test_without_scikit_learn_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ZooError, match=r"autoencoder-zoo\[figures\]"):
        latents.tsne(torch.randn(10, 3), 0)
