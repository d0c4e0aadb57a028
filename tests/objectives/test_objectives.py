"""Loss terms against closed forms, and against each class of the field's bugs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from tests.gaussians import LinearGaussian
from tests.helpers import CPU, SHIPPED_VARIANTS, tiny_fields, tiny_model, tiny_recipe, tiny_recipe_of
from zoo.errors import ZooError
from zoo.likelihoods.bernoulli import BernoulliConfig
from zoo.likelihoods.gaussian import Gaussian
from zoo.models.autoencoder import Autoencoder
from zoo.models.bounds import importance_terms
from zoo.models.build import build
from zoo.models.posteriors import DiagonalGaussian
from zoo.models.priors import StandardNormal
from zoo.objectives import Objective, build_objective
from zoo.registry import OBJECTIVES
from zoo.schema.recipe import Recipe, parse_recipe
from zoo.system.randomness import isolated_randomness

EPOCH = torch.tensor(0.0)


def objective(**settings: object) -> Objective:
    return of_recipe(parse_recipe(tiny_fields(objective=settings)))


def of_recipe(recipe: Recipe) -> Objective:
    """Set up for the recipe's model and as many images as the dataset "tiny" has."""
    with isolated_randomness(0, CPU):
        return build_objective(recipe, build(recipe), 230)


class Toy(Autoencoder):
    """p(z) = N(0, 1), p(x|z) = N(z, s^2), q(z|x) = N(a x, v): everything has a closed form."""

    def __init__(self, s2: float, a: float, v: float) -> None:
        super().__init__((1, 1, 1), nn.Identity(), nn.Identity(), StandardNormal(1), BernoulliConfig())
        self.s2, self.a, self.v = s2, a, v
        self.anchor = nn.Parameter(torch.zeros(()))

    def encode(self, x: Tensor) -> DiagonalGaussian:
        mu = self.a * x.flatten(1)
        return DiagonalGaussian(mu, torch.full_like(mu, math.log(self.v)))

    def decode(self, z: Tensor) -> Gaussian:
        return Gaussian(z[:, :, None, None], self.s2)


@pytest.mark.known_answer(
    "objective/elbo", says="The negative ELBO of a linear Gaussian model is its closed form, for several posteriors."
)
@pytest.mark.parametrize(("s2", "a", "v"), [(0.25, 0.8, 0.2), (1.0, 0.3, 0.7), (0.5, -0.4, 2.0)])
def test_the_elbo_of_a_gaussian_toy_is_its_closed_form(s2: float, a: float, v: float) -> None:
    x, n = 1.3, 2_000_000
    torch.manual_seed(0)
    terms = objective(name="elbo")(Toy(s2, a, v), torch.full((n, 1, 1, 1), x), EPOCH)
    reconstruction = 0.5 * math.log(2 * math.pi * s2) + ((x - a * x) ** 2 + v) / (2 * s2)
    kl = 0.5 * (v + (a * x) ** 2 - 1 - math.log(v))
    assert terms["reconstruction"].item() == pytest.approx(reconstruction, abs=0.02)
    assert terms["kl"].item() == pytest.approx(kl, abs=1e-4)
    assert terms["loss"].item() == pytest.approx(reconstruction + kl, abs=0.02)


@pytest.mark.known_answer("objective/elbo", "variant/vae", says="With the true posterior the ELBO is log p(x).")
@pytest.mark.parametrize("s2", [0.1, 1.0, 3.0])
def test_with_the_true_posterior_the_elbo_is_the_log_likelihood(s2: float) -> None:
    x, n = -0.7, 400_000
    torch.manual_seed(0)
    exact = Toy(s2, a=1 / (1 + s2), v=s2 / (1 + s2))
    loss = objective(name="elbo")(exact, torch.full((n, 1, 1, 1), x), EPOCH)["loss"]
    negative_log_likelihood = 0.5 * math.log(2 * math.pi * (1 + s2)) + x**2 / (2 * (1 + s2))
    assert loss.item() == pytest.approx(negative_log_likelihood, abs=0.01)


def test_any_other_posterior_has_a_larger_negative_elbo() -> None:
    # With the KL's sign turned round, a wider posterior would look better.
    x = torch.full((100_000, 1, 1, 1), 0.9)
    torch.manual_seed(0)
    best = objective(name="elbo")(Toy(1.0, 0.5, 0.5), x, EPOCH)["loss"]
    for a, v in ((0.9, 0.5), (0.1, 0.5), (0.5, 4.0), (0.5, 0.05), (-0.5, 0.5)):
        assert objective(name="elbo")(Toy(1.0, a, v), x, EPOCH)["loss"] > best


class Fixed(Autoencoder):
    """Encodes without noise, so that losses can be compared to the last bit: sigma is e^-30."""

    def __init__(self) -> None:
        super().__init__((2, 4, 4), nn.Identity(), nn.Identity(), StandardNormal(32), BernoulliConfig())

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def encode(self, x: Tensor) -> DiagonalGaussian:
        mu = x.flatten(1) - 0.3
        return DiagonalGaussian(mu, torch.full_like(mu, -60.0))

    def decode(self, z: Tensor) -> Gaussian:
        return Gaussian(z.unflatten(1, (2, 4, 4)), 0.7)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "elbo"},
        {"name": "elbo", "beta": 4.0},
        {"name": "reconstruction"},
        {"name": "reconstruction", "distance": "nll"},
    ],
)
@pytest.mark.parametrize("cut", [(12,), (4, 4, 4), (5, 7), (1,) * 12])
def test_a_loss_does_not_depend_on_how_a_set_is_cut_into_batches(settings: dict[str, object], cut: tuple[int]) -> None:
    torch.manual_seed(0)
    x = torch.rand(12, 2, 4, 4, dtype=torch.float64)
    whole = objective(**settings)(Fixed(), x, EPOCH)
    parts = [objective(**settings)(Fixed(), part, EPOCH) for part in x.split(cut)]
    for name, value in whole.items():
        mean = sum(part[name] * n for part, n in zip(parts, cut, strict=True)) / 12
        torch.testing.assert_close(mean, value, atol=1e-10, rtol=1e-10)


def test_terms_are_sums_over_pixels_and_dimensions_not_means() -> None:
    x = torch.rand(3, 2, 4, 4)
    squared = objective(name="reconstruction")(Fixed(), x, EPOCH)["loss"]
    assert squared.item() == pytest.approx(0.3**2 * 32, rel=1e-4)
    kl = objective(name="elbo")(Fixed(), x, EPOCH)["kl"]
    assert kl.item() == pytest.approx(
        0.5 * (((x - 0.3) ** 2).flatten(1).sum(1).mean().item() + 32 * (60 - 1)), rel=1e-4
    )


@pytest.mark.known_answer("objective/elbo", says="beta weighs the KL in the loss and in no figure.")
def test_beta_weighs_the_kl_and_leaves_the_reported_terms_alone() -> None:
    x = torch.rand(3, 2, 4, 4, dtype=torch.float64)
    one, four = (objective(name="elbo", beta=beta)(Fixed(), x, EPOCH) for beta in (1.0, 4.0))
    torch.testing.assert_close(four["kl"], one["kl"])
    torch.testing.assert_close(four["loss"] - one["loss"], 3 * one["kl"])


@pytest.mark.parametrize(
    ("annealing", "expected"),
    [
        ({"name": "constant"}, {0: 1, 3: 1, 50: 1}),
        ({"name": "linear", "epochs": 4}, {0: 0, 1: 0.25, 3: 0.75, 4: 1, 9: 1}),
        ({"name": "cyclical", "period": 4}, {0: 0, 1: 0.5, 2: 1, 3.5: 1, 4: 0, 5: 0.5, 10: 1}),
        ({"name": "cyclical", "period": 4, "rise": 1.0}, {0: 0, 1: 0.25, 3: 0.75, 5: 0.25}),
    ],
)
def test_beta_annealing(annealing: dict[str, object], expected: dict[float, float]) -> None:
    x = torch.rand(2, 2, 4, 4, dtype=torch.float64)
    found = objective(name="elbo", beta=2.0, annealing=annealing)
    for epoch, factor in expected.items():
        terms = found(Fixed(), x, torch.tensor(float(epoch)))
        beta = (terms["loss"] - terms["reconstruction"]) / terms["kl"]
        assert beta.item() == pytest.approx(2 * factor, abs=1e-6), epoch


def test_a_deterministic_variant_with_the_elbo_is_refused_with_the_remedy() -> None:
    recipe = tiny_recipe(model=tiny_model("ae"))
    with pytest.raises(ZooError, match="objective 'reconstruction'"):
        of_recipe(recipe)(build(recipe), torch.rand(2, 1, 28, 28), EPOCH)


def test_a_variational_variant_can_be_trained_for_reconstruction_alone() -> None:
    recipe = tiny_recipe(objective={"name": "reconstruction", "distance": "nll"})
    terms = of_recipe(recipe)(build(recipe), torch.rand(2, 1, 28, 28), EPOCH)
    assert list(terms) == ["loss", "reconstruction"]
    assert terms["loss"].item() == pytest.approx(784 * math.log(2), rel=0.1)


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_terms_stay_on_the_graph_and_on_the_device(variant: str) -> None:
    recipe = tiny_recipe_of(variant)
    model = build(recipe).given(torch.tensor([0, 1]))
    terms = of_recipe(recipe)(model, torch.rand(2, 1, 28, 28), EPOCH)
    assert all(isinstance(value, Tensor) and value.ndim == 0 for value in terms.values())
    assert terms["loss"].requires_grad


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_every_objective_takes_a_variant_or_says_what_is_missing(variant: str, name: str) -> None:
    recipe = tiny_recipe_of(variant, objective={"name": name})
    model = build(recipe)
    x, labels = torch.rand(2, 1, 28, 28), torch.tensor([0, 1])
    posterior, discrete = model.given(labels).encode(x), bool(model.prior.num_codes)
    gaussian = isinstance(posterior, DiagonalGaussian)
    needed = {
        "elbo": posterior.stochastic,
        "iwae": posterior.stochastic,
        "capacity": posterior.stochastic,
        "distance_kl": posterior.stochastic,
        "free_bits": posterior.stochastic,
        "masked": variant == "masked_ae",
        "vq": discrete,
        "wae_mmd": not discrete,
        "swae": not discrete,
        "info_vae": gaussian,
        "beta_tc": gaussian,
        "dip": gaussian,
    }
    if needed.get(name, True):
        terms = of_recipe(recipe)(model.given(labels), x, EPOCH)
        assert terms["loss"].requires_grad
        assert "loss" in terms and all(value.isfinite() for value in terms.values())
    else:
        with pytest.raises(
            ZooError, match="objective '(reconstruction|vq)'|no density|variant such as 'vae'|the variant masked_ae"
        ):
            of_recipe(recipe)(model.given(labels), x, EPOCH)


@pytest.mark.known_answer("objective/iwae", says="With the true posterior the bound is log p(x), for every K.")
@pytest.mark.parametrize("k", [1, 2, 50])
def test_with_the_true_posterior_the_iwae_bound_is_the_log_likelihood_for_every_k(k: int) -> None:
    # All weights are p(x), whatever was drawn: no noise is left.
    model = LinearGaussian()
    x = torch.rand(8, 1, 4, 4)
    terms = objective(name="iwae", k=k)(model, x, EPOCH)
    assert terms["loss"].item() == pytest.approx(-model.log_likelihood(x).mean().item(), rel=1e-4, abs=1e-3)


@pytest.mark.known_answer("objective/iwae", says="K = 1 is the ELBO.")
def test_one_importance_sample_is_the_elbo() -> None:
    model = LinearGaussian(blur=2.0, shift=0.5)
    x = torch.rand(20_000, 1, 4, 4)
    torch.manual_seed(0)
    one, elbo = objective(name="iwae", k=1)(model, x, EPOCH), objective(name="elbo")(model, x, EPOCH)
    assert one["loss"].item() == pytest.approx(elbo["loss"].item(), abs=0.1)
    assert one["loss"].item() == pytest.approx((one["reconstruction"] + one["kl"]).item(), rel=1e-5)


@pytest.mark.known_answer("objective/iwae", says="The bound rises with K to log p(x).")
def test_more_importance_samples_tighten_the_bound_down_to_the_likelihood() -> None:
    model = LinearGaussian(blur=2.0, shift=0.5)
    x = torch.rand(2000, 1, 4, 4)
    torch.manual_seed(0)
    found = [objective(name="iwae", k=k)(model, x, EPOCH)["loss"].item() for k in (1, 5, 50, 500)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(-model.log_likelihood(x).mean().item(), abs=0.03)


def test_the_best_sample_weighs_most_not_the_worst() -> None:
    # The field's bug: a softmax over the losses instead of over the log-weights.
    model = LinearGaussian(blur=4.0, shift=1.0)
    x = torch.rand(500, 1, 4, 4)
    torch.manual_seed(0)
    found = objective(name="iwae", k=20)(model, x, EPOCH)
    torch.manual_seed(0)
    posterior = model.encode(x)
    losses = torch.stack(
        [
            -model.decode(z).log_prob(x) + posterior.log_prob(z) - model.prior.log_prob(z)
            for z in posterior.rsample(20).unbind()
        ]
    )
    best, mean = losses.min(dim=0).values.mean(), losses.mean()
    assert best < found["loss"] < best + math.log(20)
    assert found["loss"] < mean
    expected = -(torch.logsumexp(-losses.double(), dim=0) - math.log(20)).mean()
    assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_of_the_bound_weighs_samples_by_their_importance() -> None:
    model = LinearGaussian(blur=2.0, shift=0.5)
    x = torch.rand(3, 1, 4, 4)
    torch.manual_seed(0)
    (found,) = torch.autograd.grad(objective(name="iwae", k=10)(model, x, EPOCH)["loss"], [model.W])
    torch.manual_seed(0)
    reconstruction, kl = importance_terms(model, x, model.encode(x), 10)
    weights = torch.softmax((-reconstruction - kl).detach(), dim=0)  # (k, B)
    (expected,) = torch.autograd.grad((weights * (reconstruction + kl)).sum(dim=0).mean(), [model.W])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_iwae_with_labels_gives_each_sample_its_images_label() -> None:
    recipe = tiny_recipe(
        model=tiny_model("conditional_vae") | {"classes": 3},
        objective={"name": "iwae", "k": 4},
    )
    model = build(recipe).eval()
    x, labels = torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 2])
    seen = []
    model.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1]))
    of_recipe(recipe)(model.given(labels), x, EPOCH)
    assert torch.equal(seen[0].argmax(dim=1), labels.repeat(4))
