"""Every likelihood against quadrature, enumeration, torch's distributions and its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, distributions, nn

import zoo
from zoo.likelihoods import Likelihood, LikelihoodHead
from zoo.likelihoods.beta import Beta
from zoo.likelihoods.continuous_bernoulli import ContinuousBernoulli
from zoo.likelihoods.laplace import Laplace
from zoo.likelihoods.learned_gaussian import LearnedGaussian, LearnedGaussianConfig, LearnedGaussianHead
from zoo.likelihoods.log_cosh import LogCosh
from zoo.likelihoods.logistic import DiscretisedLogistic
from zoo.likelihoods.student_t import StudentT
from zoo.models.likelihoods import build_likelihood
from zoo.registry import LIKELIHOODS

FAMILIES = [name for name, item in LIKELIHOODS.items().items() if item.build.__module__.startswith("zoo.")]
every_family = pytest.mark.parametrize("family", FAMILIES)
LEVELS = torch.arange(256, dtype=torch.float64) / 255


def head(family: str, **settings: Any) -> LikelihoodHead:
    return build_likelihood(LIKELIHOODS.get(family).config(**settings))


def pixel(*values: float) -> list[Tensor]:
    return [torch.tensor(value, dtype=torch.float64).reshape(1, 1, 1, 1) for value in values]


def densities(likelihood: Any, x: Tensor) -> Tensor:
    """exp(log p) of single pixels."""
    return torch.stack([likelihood.log_prob(value.reshape(1, 1, 1, 1))[0] for value in x]).exp()


def integral(likelihood: Any, low: float = 0.0, high: float = 1.0, n: int = 4001) -> float:
    x = torch.linspace(low, high, n, dtype=torch.float64)
    return float(torch.trapezoid(densities(likelihood, x), x))


@every_family
def test_a_family_makes_images_and_nats_of_outputs(family: str) -> None:
    made = head(family)
    output = 3 * torch.randn(4, 2 * made.config.outputs, 5, 6, generator=torch.Generator().manual_seed(0))
    output.requires_grad_()
    found: Likelihood = made(output)
    x = torch.rand(4, 2, 5, 6)
    assert found.mean.shape == found.location.shape == x.shape
    assert 0 <= found.mean.min() <= found.mean.max() <= 1
    assert found.log_prob(x).shape == (4,)
    found.log_prob(x).sum().backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    for at in (torch.zeros_like(x), torch.ones_like(x), x):
        for factor in (100, -100):
            extreme = made(factor * output).log_prob(at)
            assert extreme.isfinite().all()
            (gradient,) = torch.autograd.grad(extreme.sum(), output)
            assert gradient.isfinite().all()


@every_family
def test_a_pixel_counts_as_often_as_it_is_there(family: str) -> None:
    # Nats are summed, not averaged: an image that is tiled twice has twice as many.
    made = head(family).eval()
    output, x = torch.randn(3, made.config.outputs, 4, 4), torch.rand(3, 1, 4, 4)
    once, twice = made(output).log_prob(x), made(output.repeat(1, 1, 1, 2)).log_prob(x.repeat(1, 1, 1, 2))
    torch.testing.assert_close(twice, 2 * once)


@every_family
def test_a_model_with_it_has_the_outputs_that_it_wants(family: str) -> None:
    network = {"name": "conv", "channels": [4]}
    model = zoo.create_model(
        "vae", image_shape=(3, 8, 8), latent_dim=2, network=network, likelihood={"family": family}
    ).eval()
    x = torch.rand(5, 3, 8, 8)
    assert model.reconstruct(x).shape == x.shape
    assert model.decode(torch.zeros(5, 2)).log_prob(x).shape == (5,)


@pytest.mark.known_answer(
    "likelihood/continuous_bernoulli",
    says="The density integrates to 1, and the mean is that of the integral, for logits from -20 to 20.",
)
@pytest.mark.parametrize("eta", [-20.0, -3.0, -0.11, -0.09, 0.0, 1e-4, 0.09, 0.11, 2.0, 20.0])
def test_a_continuous_bernoulli_is_a_density_with_its_mean(eta: float) -> None:
    (logits,) = pixel(eta)
    found = ContinuousBernoulli(logits)
    assert integral(found) == pytest.approx(1, abs=1e-4)
    x = torch.linspace(0, 1, 4001, dtype=torch.float64)
    assert float(found.mean) == pytest.approx(float(torch.trapezoid(x * densities(found, x), x)), abs=1e-4)
    expected = distributions.ContinuousBernoulli(logits=logits)
    if abs(eta) > 0.2:  # nearer to 0 torch takes a shorter series
        (x,) = pixel(0.3)
        torch.testing.assert_close(found.log_prob(x), expected.log_prob(x)[:, 0, 0, 0])
    assert abs(eta) < 1 or abs(float(found.mean) - float(torch.sigmoid(logits))) > 0.01  # it is not the sigmoid


@pytest.mark.known_answer("likelihood/logistic", says="The probabilities of the 256 levels add up to 1 within 1e-6.")
@pytest.mark.parametrize(("mu", "log_scale"), [(0.5, -3.0), (0.0, -1.0), (1.2, -5.0), (0.31, -7.0), (-0.4, 0.0)])
def test_the_levels_of_a_discretised_logistic_sum_to_one(mu: float, log_scale: float) -> None:
    location, scale = (value[:, None] for value in pixel(mu, log_scale))
    found = DiscretisedLogistic(torch.zeros_like(location), location, scale)
    assert float(densities(found, LEVELS).sum()) == pytest.approx(1, abs=1e-6)
    k = 100  # a level inside, from the definition
    a, b = ((LEVELS[k] + sign / 510 - mu) / math.exp(log_scale) for sign in (1, -1))
    expected = torch.sigmoid(a) - torch.sigmoid(b)
    if expected > 1e-12:
        torch.testing.assert_close(densities(found, LEVELS[k : k + 1])[0], expected, rtol=1e-4, atol=0)


@pytest.mark.known_answer("likelihood/logistic", says="A mixture of equal logistics is one of them.")
def test_a_mixture_of_equal_logistics_is_one_and_of_others_their_mean() -> None:
    made = head("logistic", components=3)
    outputs = torch.randn(1, 9, 1, 1, dtype=torch.float64)
    assert float(densities(made(outputs), LEVELS).sum()) == pytest.approx(1, abs=1e-6)
    outputs[:, 1:3], outputs[:, 4:6] = outputs[:, :1], outputs[:, 3:4]
    one = head("logistic")(outputs[:, [0, 3]])
    torch.testing.assert_close(densities(made(outputs), LEVELS), densities(one, LEVELS))


@pytest.mark.known_answer(
    "likelihood/student_t",
    "likelihood/laplace",
    "likelihood/beta",
    "likelihood/learned_gaussian",
    says="The density is that of torch.distributions, and a Student-t of many degrees of freedom is a Gaussian.",
)
def test_student_t_laplace_beta_and_gaussian_are_those_of_torch() -> None:
    mu, log_sigma, nu, x = pixel(0.4, -1.5, 3.7, 0.9)
    for found, expected in [
        (StudentT(mu, log_sigma, nu), distributions.StudentT(nu, mu, log_sigma.exp())),
        (Laplace(mu, 0.3), distributions.Laplace(mu, 0.3)),
        (Beta(nu, 2 * nu, 1e-6), distributions.Beta(nu, 2 * nu)),
        (LearnedGaussian(mu, log_sigma), distributions.Normal(mu, log_sigma.exp())),
        (StudentT(mu, log_sigma, torch.full_like(mu, 1e8)), distributions.Normal(mu, log_sigma.exp())),
    ]:
        torch.testing.assert_close(found.log_prob(x), expected.log_prob(x)[:, 0, 0, 0], rtol=1e-5, atol=1e-6)
    assert float(Beta(nu, 2 * nu, 1e-6).mean) == pytest.approx(1 / 3)


@pytest.mark.known_answer(
    "likelihood/continuous_bernoulli",
    says="However large the logit, the density of a white pixel is that of a sigmoid of 1 - margin.",
)
def test_the_density_of_a_continuous_bernoulli_pixel_is_bounded() -> None:
    outputs = torch.tensor([2.5, 50.0]).reshape(2, 1, 1, 1)
    white = head("continuous_bernoulli")(outputs).log_prob(torch.ones(2, 1, 1, 1))
    expected = distributions.ContinuousBernoulli(probs=torch.tensor([2.5, 50.0]).sigmoid().clamp(max=1 - 1e-4))
    torch.testing.assert_close(white, expected.log_prob(torch.ones(2)), rtol=1e-4, atol=0)


@pytest.mark.known_answer(
    "likelihood/beta",
    says="However large the decoder's outputs, the concentration stays below 1/margin; the mean is theirs.",
)
def test_the_concentration_of_a_beta_pixel_is_bounded_and_its_mean_is_kept() -> None:
    alpha, beta = torch.tensor([1e-2, 3.0, 1e4]).double(), torch.tensor([2.0, 5.0, 2e6]).double()
    outputs = (torch.stack([alpha, beta]) - 1e-3).expm1().log()  # softplus backwards
    outputs[1, 2], outputs[0, 2] = 2e6, 1e4  # where softplus is the identity
    found = head("beta")(outputs.reshape(1, 2, 1, 3))
    torch.testing.assert_close(found.mean.flatten(), alpha / (alpha + beta), rtol=1e-4, atol=0)
    concentration = (found.alpha + found.beta).flatten()
    torch.testing.assert_close(concentration, (alpha + beta) / (1 + (alpha + beta) / 512))
    # So the density of pixels that are all black ends at that of a standard deviation of one margin.
    black = Beta(*pixel(1.0, 511.0), 1 / 512).log_prob(torch.zeros(1, 1, 1, 1))
    assert float(black) == pytest.approx(math.log(511) + 510 * math.log1p(-1 / 512))
    assert float(distributions.Beta(1.0, 511.0).stddev) == pytest.approx(1 / 512, rel=0.01)


@pytest.mark.known_answer("likelihood/log_cosh", says="The density integrates to 1, for a from 0.5 to 10.")
@pytest.mark.parametrize("a", [0.5, 1.0, 10.0])
def test_log_cosh_is_a_density(a: float) -> None:
    assert integral(LogCosh(pixel(0.4)[0], a), -60, 60, 40_001) == pytest.approx(1, abs=1e-3)


@pytest.mark.known_answer(
    "likelihood/log_cosh", says="The error is a t² / 2 near 0 and |t| far away, and finite at t = ±1000."
)
def test_log_cosh_is_squared_near_zero_absolute_far_away_and_finite() -> None:
    def loss(t: float, a: float) -> float:
        mu, x = pixel(0.0, t)
        return float(LogCosh(mu, a).log_prob(mu) - LogCosh(mu, a).log_prob(x))

    assert loss(0.1, 1e-2) == pytest.approx(1e-2 * 0.1**2 / 2, rel=1e-3)  # a t² / 2
    assert loss(0.7, 1e4) == pytest.approx(0.7, rel=1e-3)
    assert math.isfinite(loss(1e3, 10.0))
    assert math.isfinite(loss(-1e3, 10.0))


def optimal() -> LearnedGaussianHead:
    return LearnedGaussianHead(LearnedGaussianConfig(location="linear"))


@pytest.mark.known_answer(
    "likelihood/learned_gaussian",
    says="With the best variance -log p(x|z) is P/2 (log(2π MSE) + 1), and its gradient that of P/2 log MSE.",
)
def test_at_the_best_variance_the_reconstruction_is_the_logarithm_of_the_error() -> None:
    mu = torch.randn(8, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    x = torch.rand(8, 1, 6, 6, dtype=torch.float64)
    mse = (x - mu).square().mean()
    found = -optimal().double()(mu).log_prob(x).mean()
    floor = math.exp(-6) / math.sqrt(float(mse.detach()))  # the soft floor lifts sigma by this
    expected_nats = 18 * float((2 * math.pi * mse.detach()).log() + 1)
    assert float(found.detach()) == pytest.approx(expected_nats, abs=36 * floor**2 + 1e-3)
    # The gradient goes through the variance: that of P/2 log MSE.
    (gradient,) = torch.autograd.grad(found, mu, retain_graph=True)
    (expected,) = torch.autograd.grad(18 * mse.log(), mu)
    torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-5)


def test_the_best_variance_of_training_is_kept_for_evaluation() -> None:
    made, mu = optimal(), torch.zeros(4, 1, 5, 5)
    for scale in (0.5, 0.5, 0.5):
        made(mu).log_prob(mu + scale)
    assert float(made.mse) == pytest.approx(0.25)
    made.eval()
    made(mu).log_prob(mu + 3)
    assert float(made.mse) == pytest.approx(0.25)
    expected = distributions.Normal(0.0, math.exp(-6) + 0.5).log_prob(torch.tensor(3.0)) * 25
    torch.testing.assert_close(made(mu).log_prob(mu + 3), expected.expand(4), rtol=1e-3, atol=0)
    assert "mse" in made.state_dict()


def test_a_shared_variance_is_at_rest_where_it_is_the_error() -> None:
    made = LearnedGaussianHead(LearnedGaussianConfig(variance="shared", location="linear"))
    mu, x = torch.zeros(4, 1, 5, 5), torch.full((4, 1, 5, 5), 0.5)
    nn.init.constant_(made.log_sigma, math.log(0.5))
    made(mu).log_prob(x).sum().backward()
    assert made.log_sigma.grad is not None
    assert abs(float(made.log_sigma.grad)) < 4 * 25 * 0.03  # but for the soft floor
    made.log_sigma.grad = None
    nn.init.constant_(made.log_sigma, -100.0)
    assert made(mu).log_sigma >= -6


def test_a_linear_location_is_clipped_to_look_at_and_nowhere_else() -> None:
    found = head("gaussian", location="linear")(torch.tensor([[[[-0.5, 1.5]]]]))
    assert found.location.flatten().tolist() == [-0.5, 1.5]
    assert found.mean.flatten().tolist() == [0.0, 1.0]
