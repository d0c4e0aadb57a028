"""Models whose optimum has a closed form: principal components, probabilistic PCA, and what corruption costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.helpers import tiny_fields
from zoo.models import Autoencoder
from zoo.models.bounds import elbo_terms
from zoo.objectives import Terms, build_objective
from zoo.schema.recipe import parse_recipe

SHAPE, PIXELS, D, N = (1, 3, 3), 9, 3, 400


def images() -> Tensor:
    """Images (N, 1, 3, 3) of unequal variances in all directions."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(1.0, 0.2, PIXELS, dtype=torch.float64)
    mixed = torch.linalg.qr(torch.randn(PIXELS, PIXELS, generator=generator, dtype=torch.float64)).Q
    x = (torch.randn(N, PIXELS, generator=generator, dtype=torch.float64) * scales) @ mixed + 0.5
    return x.reshape(N, *SHAPE)


def components(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, and the eigenvalues and eigenvectors of the covariance with 1/N, the largest first."""
    flat = x.flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat.T, correction=0))
    return flat.mean(dim=0), values.flip(0), vectors.flip(1)


def linear(variant: str, latent_dim: int = D, **likelihood: Any) -> Autoencoder:
    made = zoo.create_model(
        variant,
        image_shape=SHAPE,
        latent_dim=latent_dim,
        network={"name": "mlp", "hidden": []},
        likelihood={"location": "linear", **likelihood},
    )
    return made.double()


def layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def terms(name: str, model: Autoencoder, x: Tensor, **settings: Any) -> Terms:
    objective = build_objective(parse_recipe(tiny_fields(objective={"name": name, **settings})), model, len(x))
    found: Terms = objective(model, x, torch.tensor(0.0))
    return found


def is_at_rest(loss: Tensor, model: Autoencoder, atol: float = 1e-8) -> bool:
    gradients = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    return all(float(gradient.abs().max()) < atol for gradient in gradients)


@pytest.mark.known_answer(
    "variant/ae",
    "network/mlp",
    says="A linear autoencoder is at its optimum where it projects on the principal components, and its "
    "error is the sum of the other eigenvalues.",
)
def test_the_best_linear_autoencoder_projects_on_principal_components() -> None:
    x = images()
    mean, values, vectors = components(x)
    model = linear("ae", family="gaussian")
    (encoder,), (decoder,) = layers(model.encoder), layers(model.decoder)
    mix = torch.randn(D, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))  # any basis will do
    with torch.no_grad():
        encoder.weight.copy_(mix @ vectors[:, :D].T)
        encoder.bias.copy_(-encoder.weight @ mean)
        decoder.weight.copy_(vectors[:, :D] @ torch.linalg.inv(mix))
        decoder.bias.copy_(mean)
    loss = terms("reconstruction", model, x)["loss"]
    assert float(loss.detach()) == pytest.approx(float(values[D:].sum()))  # what the other components hold
    assert is_at_rest(loss, model)
    with torch.no_grad():
        decoder.weight.add_(0.01)
    assert not is_at_rest(terms("reconstruction", model, x)["loss"], model)


@dataclass
class SigmaPoints:
    """Noise whose mean over 2 D points is exact for whatever is quadratic in it."""

    def normal_like(self, template: Tensor) -> Tensor:
        points = math.sqrt(D) * torch.cat([torch.eye(D), -torch.eye(D)]).to(template)  # (2 D, D)
        return points.repeat_interleave(len(template) // (2 * D), dim=0)


@pytest.mark.known_answer(
    "variant/vae",
    "likelihood/learned_gaussian",
    says="A linear VAE is at its optimum where its ELBO is the log-likelihood of probabilistic PCA, and its "
    "variance the mean of the discarded eigenvalues.",
)
@pytest.mark.parametrize("variance", ["shared", "optimal"])
def test_the_best_linear_vae_has_the_likelihood_of_probabilistic_pca(variance: str) -> None:
    x = images()
    mean, values, vectors = components(x)
    s2 = values[D:].mean()  # Tipping & Bishop 1999: the mean of the discarded eigenvalues
    gain = values[:D] - s2
    model = linear("vae", family="learned_gaussian", variance=variance)
    mu, logvar = layers(model.encoder)
    (decoder,) = layers(model.decoder)
    with torch.no_grad():
        decoder.weight.copy_(vectors[:, :D] * gain.sqrt())
        decoder.bias.copy_(mean)
        mu.weight.copy_((gain.sqrt() / values[:D])[:, None] * vectors[:, :D].T)  # the true posterior
        mu.bias.copy_(-mu.weight @ mean)
        logvar.weight.zero_()
        logvar.bias.copy_((s2 / values[:D]).log())
        if variance == "shared":
            model.likelihood.log_sigma.copy_(torch.log(torch.expm1(0.5 * s2.log() + 6)) - 6)  # above the soft floor
    covariance = (vectors[:, :D] * gain) @ vectors[:, :D].T + s2 * torch.eye(PIXELS)
    exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(x.flatten(1)).mean()
    reconstruction, kl = elbo_terms(model, x.repeat(2 * D, 1, 1, 1), noise=SigmaPoints())
    found = (reconstruction + kl).mean()
    floor = PIXELS * 2 * math.exp(-6) / float(s2.sqrt()) if variance == "optimal" else 0.0
    assert float(found.detach()) == pytest.approx(-float(exact), abs=1e-9 + floor**2)
    assert is_at_rest(found, model, 1e-8 + floor)


@pytest.mark.known_answer(
    "augmentation/masking",
    says="A linear autoencoder that sees masked images is at its optimum where it is the linear regression "
    "of the images on them.",
)
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_best_linear_map_from_masked_images_is_that_of_their_moments(share: float) -> None:
    # E[x x~ᵀ] E[x~ x~ᵀ]⁻¹, each pixel of x~ that of x or, with probability nu, 0.
    torch.manual_seed(0)
    x = images().clamp(0, 1).repeat(500, 1, 1, 1)
    moments = x.flatten(1).T @ x.flatten(1) / len(x)
    kept = 1 - share
    masked = kept**2 * moments + kept * share * moments.diagonal().diag()
    best = kept * moments @ torch.linalg.inv(masked)
    model = linear("ae", latent_dim=PIXELS, family="gaussian")
    (encoder,), (decoder,) = layers(model.encoder), layers(model.decoder)
    with torch.no_grad():
        encoder.weight.copy_(torch.eye(PIXELS))
        decoder.weight.copy_(best)
    for layer in (encoder, decoder):
        nn.init.zeros_(layer.bias.requires_grad_(False))
    loss = terms("reconstruction", model, x, corruption=[{"name": "masking", "share": share}])["loss"]
    assert float(loss.detach()) == pytest.approx(float((moments - kept * best @ moments).trace()), abs=0.01)
    assert is_at_rest(loss, model, 0.03)


@pytest.mark.known_answer(
    "augmentation/*",
    says="The bound of a linear Gaussian model with corrupted images lies below log p(x) by the divergence "
    "of q from the clean posterior.",
)
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_denoising_vae_pays_the_divergence_from_what_it_would_have_seen(share: float) -> None:
    # z ~ N(0, 1), x|z ~ N(m + c z, c²): q(z|x~) = N(a (x~ - m), 1/2), a = 1/(2 c), is right where x~ = x. Where x~ = 0,
    # KL(q(z|0) || p(z|x)) = a² x² / (2/2), whose mean is a² (m² + 2 c²).
    m, c = 0.5, 0.07
    torch.manual_seed(0)
    model = zoo.create_model(
        "vae", image_shape=(1, 1, 1), latent_dim=1, network={"name": "mlp", "hidden": []},
        likelihood={"family": "gaussian", "location": "linear", "variance": c**2},
    ).double()  # fmt: skip
    mu, logvar = layers(model.encoder)
    (decoder,) = layers(model.decoder)
    a = 1 / (2 * c)
    for layer, weight, bias in ((mu, a, -a * m), (logvar, 0.0, math.log(0.5)), (decoder, c, m)):
        nn.init.constant_(layer.weight, weight)
        nn.init.constant_(layer.bias, bias)
    marginal = torch.distributions.Normal(torch.tensor(m, dtype=torch.float64), math.sqrt(2) * c)
    x = marginal.sample(torch.Size([40_000, 1, 1, 1]))
    found = terms("elbo", model, x, corruption=[{"name": "masking", "share": share}])["loss"]
    expected = share * a**2 * (m**2 + 2 * c**2)
    assert float((found + marginal.log_prob(x).mean()).detach()) == pytest.approx(expected, rel=0.03, abs=0.02)
