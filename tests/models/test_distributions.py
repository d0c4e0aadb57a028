"""Densities and divergences against torch.distributions and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, distributions

from zoo.errors import ZooError
from zoo.likelihoods.bernoulli import Bernoulli
from zoo.likelihoods.gaussian import Gaussian
from zoo.models.posteriors import MOST_FEATURES_AT_ONCE, Deterministic, DiagonalGaussian, GaussianHead
from zoo.models.priors import FittedGaussian, StandardNormal


@pytest.fixture
def posterior() -> DiagonalGaussian:
    generator = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(mu, logvar)


def reference(posterior: DiagonalGaussian) -> distributions.Normal:
    return distributions.Normal(posterior.mu, posterior.logvar.exp().sqrt())


def kl(posterior: DiagonalGaussian) -> Tensor:
    parts = posterior.kl_per_dimension(StandardNormal(posterior.mu.shape[1]))
    assert parts is not None
    return parts.sum(dim=1)


@pytest.mark.known_answer("posterior/gaussian", says="The KL is that of torch.distributions.")
def test_kl_is_the_one_of_torch_per_image_summed_over_dimensions(posterior: DiagonalGaussian) -> None:
    prior = distributions.Normal(torch.zeros(3, dtype=torch.float64), 1.0)
    expected = distributions.kl_divergence(reference(posterior), prior).sum(dim=1)
    assert kl(posterior).shape == (5,)
    torch.testing.assert_close(kl(posterior), expected)


def test_kl_is_positive_and_zero_only_at_the_prior(posterior: DiagonalGaussian) -> None:
    assert (kl(posterior) > 0).all()
    torch.testing.assert_close(kl(DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 3))), torch.zeros(2))


def test_log_prob_is_the_one_of_torch(posterior: DiagonalGaussian) -> None:
    z = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(posterior.log_prob(z), reference(posterior).log_prob(z).sum(dim=1))


def test_samples_have_the_mean_and_the_standard_deviation_of_logvar() -> None:
    # A sigma of 3: taking logvar for sigma, or its exponential for the standard deviation, is far off.
    n = 200_000
    logvar = torch.full((n, 1), 2 * math.log(3.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = DiagonalGaussian(torch.full((n, 1), -2.0), logvar).rsample()
    assert z.mean().item() == pytest.approx(-2, abs=0.03)
    assert z.std().item() == pytest.approx(3, abs=0.03)


def test_the_noise_differs_between_dimensions_and_images() -> None:
    z = DiagonalGaussian(torch.zeros(4, 6), torch.zeros(4, 6)).rsample()
    assert len(z.flatten().unique()) == 24


def test_sampling_is_differentiable(posterior: DiagonalGaussian) -> None:
    mu = posterior.mu.clone().requires_grad_()
    logvar = posterior.logvar.clone().requires_grad_()
    DiagonalGaussian(mu, logvar).rsample().sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones_like(mu))
    assert logvar.grad is not None
    assert (logvar.grad != 0).all()


def test_a_deterministic_code_has_no_kl() -> None:
    code = Deterministic(torch.ones(2, 3))
    assert torch.equal(code.rsample(), code.mean)
    assert code.rsample(4).shape == (4, 2, 3)
    with pytest.raises(ZooError, match="no KL"):
        code.kl_per_dimension(StandardNormal(3))
    with pytest.raises(ZooError, match="no density"):
        code.log_prob(torch.ones(2, 3))


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    output = torch.randn(4, 2, 5, 3, generator=generator, dtype=torch.float64)
    x = torch.rand(4, 2, 5, 3, generator=generator, dtype=torch.float64)
    return output, x


@pytest.mark.known_answer("likelihood/bernoulli", says="-log p(x|z) is the summed cross-entropy.")
def test_bernoulli_is_the_summed_cross_entropy() -> None:
    logits, x = images()
    p = torch.sigmoid(logits)
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(dim=(1, 2, 3))
    torch.testing.assert_close(Bernoulli(logits).log_prob(x), expected)
    torch.testing.assert_close(Bernoulli(logits).mean, p)


def test_bernoulli_stays_finite_where_the_decoder_is_certain() -> None:
    logits = torch.tensor([[[[200.0, -200.0]]]])
    assert torch.isfinite(Bernoulli(logits).log_prob(1 - torch.sigmoid(logits))).all()


@pytest.mark.known_answer("likelihood/gaussian", says="The density is that of torch.distributions.")
@pytest.mark.parametrize("variance", [0.01, 0.5, 1.0])
def test_gaussian_is_the_one_of_torch(variance: float) -> None:
    mean, x = images()
    expected = distributions.Normal(mean, math.sqrt(variance)).log_prob(x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(Gaussian(mean, variance).log_prob(x), expected)


def test_at_variance_one_half_gaussian_is_the_squared_error_plus_a_constant() -> None:
    mean, x = images()
    constant = 0.5 * math.log(math.pi) * x[0].numel()
    torch.testing.assert_close(-Gaussian(mean, 0.5).log_prob(x), (x - mean).square().sum(dim=(1, 2, 3)) + constant)


def test_the_standard_normal_prior_is_repeatable_and_standard() -> None:
    prior = StandardNormal(3)
    first, second = (prior.sample(50_000, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    torch.testing.assert_close(torch.cov(first.T), torch.eye(3), atol=0.03, rtol=0)


@pytest.mark.known_answer("prior/fitted_gaussian", says="The fitted prior has the moments of the codes.")
def test_the_fitted_prior_has_the_moments_of_the_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    mix = torch.tensor([[2.0, 0.0], [1.5, 0.5]])
    codes = torch.randn(20_000, 2, generator=generator) @ mix.T + torch.tensor([1.0, -3.0])
    prior = FittedGaussian(2)
    prior.fit(codes)
    samples = prior.sample(100_000, generator)
    torch.testing.assert_close(samples.mean(dim=0), codes.mean(dim=0), atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(samples.T), torch.cov(codes.T), atol=0.1, rtol=0)


def test_the_fitted_prior_takes_codes_with_unused_dimensions() -> None:
    prior = FittedGaussian(3)
    prior.fit(torch.cat([torch.randn(100, 1), torch.zeros(100, 2)], dim=1))
    assert torch.isfinite(prior.sample(10)).all()
    one = FittedGaussian(1)
    one.fit(torch.zeros(10, 1))
    assert torch.isfinite(one.sample(10)).all()


@pytest.mark.parametrize("features", [5, MOST_FEATURES_AT_ONCE + 1])
def test_a_gaussian_head_in_training_mode_is_its_two_layers(features: int) -> None:
    head, h = GaussianHead(features, 3), torch.randn(4, features, requires_grad=True)
    found, parts = head(h), (head.mu(h), head.logvar(h))
    for mine, layer in zip((found.mu, found.logvar), parts, strict=True):
        torch.testing.assert_close(mine, layer)
    wanted = [h, *head.parameters()]
    gradients = torch.autograd.grad((found.mu.sin() + found.logvar.cos()).sum(), wanted)
    for mine, layer in zip(
        gradients, torch.autograd.grad((parts[0].sin() + parts[1].cos()).sum(), wanted), strict=True
    ):
        torch.testing.assert_close(mine, layer, rtol=1e-4, atol=1e-5)


def test_a_gaussian_head_heeds_hooks_and_parametrizations() -> None:
    head, h = GaussianHead(5, 3), torch.randn(4, 5)
    torch.nn.utils.parametrizations.spectral_norm(head.mu, n_power_iterations=50)
    head.logvar.register_forward_hook(lambda layer, inputs, output: output * 0)
    found = head(h)
    torch.testing.assert_close(found.mu, torch.nn.functional.linear(h, head.mu.weight, head.mu.bias), atol=1e-4, rtol=0)
    assert torch.equal(found.logvar, torch.zeros(4, 3))
