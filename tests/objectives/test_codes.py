"""Objectives that look at the codes of a whole batch, against closed forms, limits and each other."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.gaussians import LinearGaussian
from tests.helpers import tiny_fields, tiny_model, tiny_recipe
from zoo.datasets import ImageSet
from zoo.errors import ZooError
from zoo.models.build import build
from zoo.models.posteriors import Deterministic, DiagonalGaussian
from zoo.models.priors import Prior
from zoo.objectives import Objective, Terms, build_objective
from zoo.objectives._codes import KernelConfig, kernel, mmd, prior_draws, sliced_wasserstein
from zoo.objectives.beta_tc import BetaTC, BetaTCConfig, log_weights
from zoo.objectives.dip import covariance
from zoo.objectives.sparse import KL
from zoo.registry import OBJECTIVES
from zoo.schema.recipe import parse_recipe
from zoo.training.dry_run import check_step
from zoo.training.epoch_evaluation import EpochEvaluation

IMAGES = 230


def objective(name: str, model: Any = None, **settings: Any) -> Objective:
    recipe = parse_recipe(tiny_fields(objective={"name": name, **settings}))
    return build_objective(recipe, model or LinearGaussian(), IMAGES)


def terms(name: str, x: Tensor, model: Any = None, epoch: float = 0.0, **settings: Any) -> Terms:
    """The terms, always with the same noise."""
    found, model = objective(name, model, **settings), model or LinearGaussian(blur=2.0, shift=0.5)
    torch.manual_seed(1)
    return found(model, x, torch.tensor(epoch))


def images(count: int = 20) -> Tensor:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Points(LinearGaussian):
    """The model with its code, but for the noise."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Any:
        return Deterministic(super().encode(x).mean)


class Coded(LinearGaussian):
    """Codes that are given, whatever the images are."""

    def __init__(self, mu: Tensor, logvar: Tensor | None = None) -> None:
        super().__init__(dim=mu.shape[1])
        self.mu, self.logvar = mu, torch.zeros_like(mu) if logvar is None else logvar

    def encode(self, x: Tensor, labels: Tensor | None = None) -> DiagonalGaussian:
        return DiagonalGaussian(self.mu, self.logvar)


# --- MMD and sliced Wasserstein ---------------------------------------------------------------------------------------


@pytest.mark.known_answer("objective/wae_mmd", says="The kernels are those of the paper, summed over the scales.")
@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_kernels_are_sums_over_scales_of_the_papers_functions(name: Any) -> None:
    a, b = torch.randn(4, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    squared = torch.cdist(a, b) ** 2
    scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    constants = [2 * 3 * scale for scale in scales]  # C = 2 D sigma_z² s
    expected = sum(c / (c + squared) if name == "imq" else torch.exp(-squared / c) for c in constants)
    torch.testing.assert_close(kernel(a, b, KernelConfig(name="k", kernel=name)), expected)


@pytest.mark.known_answer(
    "objective/wae_mmd", says="MMD² of codes with themselves is 2 (m - k(0)) / B, m the mean kernel of pairs."
)
@pytest.mark.parametrize("name", ["imq", "rbf"])
def test_mmd_of_codes_with_themselves_is_the_value_of_a_u_statistic(name: Any) -> None:
    z, config = torch.randn(6, 3, dtype=torch.float64), KernelConfig(name="k", kernel=name)
    k = kernel(z, z, config)
    off = k[~torch.eye(6, dtype=torch.bool)].mean()
    torch.testing.assert_close(mmd(z, z, config), 2 / 6 * (off - k[0, 0]))
    assert k[0, 0].item() == pytest.approx(7)


@pytest.mark.known_answer(
    "objective/wae_mmd",
    "objective/info_vae",
    says="MMD² of N(μ, I) against N(0, I) is its closed form in the mean, for batches of 6 and of 300.",
)
@pytest.mark.parametrize(("batch", "repeats"), [(6, 1000), (300, 20)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_mmd_of_gaussians_is_its_closed_form_in_the_mean_whatever_the_batch(
    batch: int, repeats: int, shift: float
) -> None:
    torch.manual_seed(0)
    d, scale = 3, 0.5
    mu = torch.full((d,), shift)
    config = KernelConfig(name="k", kernel="rbf", scales=(scale,))
    found = torch.stack([mmd(torch.randn(batch, d) + mu, torch.randn(batch, d), config) for _ in range(repeats)])
    g2 = d * scale  # k = exp(-distance² / (2 gamma²))
    expected = 2 * (g2 / (g2 + 2)) ** (d / 2) * (1 - math.exp(-(d * shift**2) / (2 * (g2 + 2))))
    assert found.mean().item() == pytest.approx(expected, abs=4 * found.std().item() / repeats**0.5)


@pytest.mark.known_answer("objective/swae", says="The distance of codes from themselves in another order is 0.")
def test_sliced_wasserstein_is_0_for_the_same_codes_in_any_order() -> None:
    z = torch.randn(50, 4)
    assert sliced_wasserstein(z, z[torch.randperm(50)], 20).item() == pytest.approx(0, abs=1e-10)


@pytest.mark.known_answer("objective/swae", says="In one dimension the distance is that of the sorted codes.")
def test_sliced_wasserstein_in_one_dimension_is_that_of_the_sorted_codes() -> None:
    z, p = torch.randn(50, 1), 2 * torch.randn(50, 1) + 1
    expected = (z.sort(dim=0).values - p.sort(dim=0).values).square().mean()
    torch.testing.assert_close(sliced_wasserstein(z, p, 7), expected)


@pytest.mark.known_answer("objective/swae", says="The distance of N(μ, I) from N(0, I) goes to ‖μ‖² / D.")
def test_sliced_wasserstein_of_shifted_gaussians_is_the_squared_shift_by_the_dimensions() -> None:
    torch.manual_seed(0)
    mu = torch.tensor([3.0, -2.0, 1.0, 0.0])
    found = sliced_wasserstein(torch.randn(1000, 4) + mu, torch.randn(1000, 4), 1000)
    assert found.item() == pytest.approx(mu.square().sum().item() / 4, rel=0.1)


class Uniform(Prior):
    """Codes between 5 and 6."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return 5 + torch.rand(n, self.latent_dim)


def test_codes_are_compared_with_draws_of_the_models_own_prior() -> None:
    model = LinearGaussian()
    torch.manual_seed(0)
    normal = prior_draws(model, torch.zeros(4000, 3), "wae_mmd")
    assert normal.mean().abs() < 0.05 and normal.std().item() == pytest.approx(1, abs=0.03)
    model.prior = Uniform(3)
    assert prior_draws(model, torch.zeros(9, 3), "wae_mmd").min() >= 5
    with pytest.raises(ZooError, match="'swae' draws codes .* train this variant with the objective 'vq'"):
        prior_draws(build(tiny_recipe(model=tiny_model("vq_vae"))), torch.zeros(2, 3), "swae")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in ("wae_mmd", "swae", "reconstruction", "rae", "sparse")),
        ("info_vae", {"alpha": 1.0}),
        *((name, {"beta": 0.0}) for name in ("elbo", "distance_kl")),
        *((name, {"gamma": 0.0}) for name in ("capacity", "beta_tc")),
    ],
)
def test_a_prior_that_the_loss_would_not_train_is_refused(name: str, settings: dict[str, Any]) -> None:
    fields = {"model": tiny_model("vae") | {"prior": {"name": "mixture", "components": 3}}}
    recipe = tiny_recipe(objective={"name": name, **settings}, **fields)
    with pytest.raises(ZooError, match=f"'{name}' with these settings has no log p.*standard_normal.*freeze"):
        check_step(recipe)
    check_step(
        tiny_recipe(objective={"name": name, **settings}, training={"epochs": 1, "freeze": ["prior.*"]}, **fields)
    )
    if settings:  # otherwise it has a KL
        check_step(tiny_recipe(objective={"name": name}, **fields))


@pytest.mark.parametrize(
    ("variant", "likelihood"),
    [
        ("ae", {"family": "logistic"}),
        ("vae", {"family": "student_t"}),
        ("vae", {"family": "learned_gaussian", "variance": "shared"}),
        ("masked_ae", {"family": "beta"}),
    ],
)
def test_a_likelihood_that_the_loss_would_not_train_is_refused(variant: str, likelihood: dict[str, Any]) -> None:
    name = "masked" if variant == "masked_ae" else "reconstruction"
    fields = {"model": tiny_model(variant) | {"likelihood": likelihood}}
    with pytest.raises(ZooError, match=f"'{name}' with this distance trains the location .* the distance 'nll'"):
        check_step(tiny_recipe(objective={"name": name}, **fields))
    if name == "reconstruction":
        check_step(tiny_recipe(objective={"name": name, "distance": "nll"}, **fields))


@pytest.mark.parametrize("distance", ["squared_error", "nll"])
def test_the_best_variance_is_noted_once_by_an_objective_of_any_distance(distance: str) -> None:
    model = build(tiny_recipe(model=tiny_model("vae") | {"likelihood": {"family": "learned_gaussian"}})).train()
    made = build_objective(tiny_recipe(objective={"name": "distance_kl", "distance": distance}), model, IMAGES)
    x = torch.rand(5, *model.image_shape)
    torch.manual_seed(0)
    made(model, x, torch.tensor(0.0))
    assert float(model.likelihood.batches) == 1
    torch.manual_seed(0)
    error = (model.decode(model.encode(x).rsample()).location - x).square().mean()
    torch.testing.assert_close(model.likelihood.mse, error.detach())
    made(model.eval(), x, torch.tensor(0.0))
    assert float(model.likelihood.batches) == 1


# --- limits and identities --------------------------------------------------------------------------------------------


@pytest.mark.known_answer(
    "objective/wae_mmd", "objective/swae", "objective/sparse", says="Without weight it is a plain autoencoder."
)
@pytest.mark.parametrize("model", [LinearGaussian(), Points()], ids=["gaussian", "point"])
@pytest.mark.parametrize("name", ["wae_mmd", "swae", "sparse"])
def test_without_weight_it_is_a_plain_autoencoder(name: str, model: Any) -> None:
    found = terms(name, images(), model, weight=0.0)
    torch.testing.assert_close(found["loss"], terms("reconstruction", images(), model)["loss"])
    torch.testing.assert_close(found["loss"], found["reconstruction"])


@pytest.mark.known_answer(
    "objective/info_vae",
    "objective/dip",
    says="InfoVAE with alpha = 0 and lambda = 1, and DIP without weights, are a VAE; InfoVAE with alpha = 1 "
    "- beta and lambda = beta is a beta-VAE.",
)
@pytest.mark.parametrize(
    ("name", "settings", "beta"),
    [
        ("info_vae", {"alpha": 0.0, "weight": 1.0}, 1.0),
        ("info_vae", {"alpha": -3.0, "weight": 4.0}, 4.0),
        ("dip", {"kind": "I", "off_diagonal": 0.0}, 1.0),
        ("dip", {"kind": "II", "off_diagonal": 0.0}, 1.0),
    ],
)
def test_in_the_limit_it_is_a_vae(name: str, settings: dict[str, Any], beta: float) -> None:
    found = terms(name, images(), **settings)["loss"]
    torch.testing.assert_close(found, terms("elbo", images(), beta=beta)["loss"])


@pytest.mark.known_answer(
    "objective/info_vae", says="With alpha = 1 it is a Wasserstein autoencoder with a Gaussian encoder."
)
def test_an_info_vae_without_kl_is_a_wasserstein_autoencoder_with_a_gaussian_encoder() -> None:
    found = terms("info_vae", images(), alpha=1.0, weight=50.0)["loss"]
    torch.testing.assert_close(found, terms("wae_mmd", images(), distance="nll", weight=50.0)["loss"])


def test_an_info_vae_that_would_drive_codes_away_is_refused_when_the_recipe_is_read() -> None:
    with pytest.raises(ZooError, match=r"alpha \+ weight is 0.5: below 1, .* raise one of them"):
        tiny_recipe(objective={"name": "info_vae", "alpha": 0.0, "weight": 0.5})
    with pytest.raises(ZooError, match="objective.alpha: input should be less than or equal to 1"):
        tiny_recipe(objective={"name": "info_vae", "alpha": 2.0})


@pytest.mark.parametrize("name", ["info_vae", "beta_tc", "dip"])
def test_a_point_code_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(ZooError, match=f"'{name}' needs a Gaussian code, .*; choose a variational variant"):
        terms(name, images(), Points())


# --- beta-TC ----------------------------------------------------------------------------------------------------------


@pytest.mark.known_answer(
    "objective/beta_tc",
    says="With all weights 1 the parts add up to log q(z|x) - log p(z), by either estimate of q(z).",
)
@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_with_equal_weights_the_parts_add_up_to_the_sampled_kl_whatever_the_estimate(estimator: str) -> None:
    found = terms("beta_tc", images(), alpha=1.0, beta=1.0, gamma=1.0, estimator=estimator)
    torch.testing.assert_close(found["loss"], terms("iwae", images(), k=1)["loss"])


@pytest.mark.known_answer("objective/beta_tc", says="A code of one dimension has no total correlation.")
@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_one_dimension_has_no_total_correlation(estimator: str) -> None:
    found = terms("beta_tc", images(8), Coded(torch.randn(8, 1)), estimator=estimator)
    assert found["total_correlation"].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.known_answer(
    "objective/beta_tc",
    says="Codes that say nothing have a total correlation of 0 by stratified sampling, and of (D - 1) log N, "
    "its bias, by weighted sampling.",
)
def test_codes_that_say_nothing_have_no_total_correlation_but_for_the_bias_of_mws() -> None:
    model = Coded(torch.full((8, 3), 0.7))
    assert terms("beta_tc", images(8), model, estimator="mss")["total_correlation"].item() == pytest.approx(0, abs=1e-5)
    biased = terms("beta_tc", images(8), model, estimator="mws")["total_correlation"].item()
    assert biased == pytest.approx(2 * math.log(IMAGES), abs=1e-4)


@pytest.mark.known_answer(
    "objective/beta_tc", says="With all images in the batch weighted sampling is exact but for its constants."
)
def test_with_all_images_in_the_batch_mws_is_exact_but_for_its_constants() -> None:
    torch.manual_seed(0)
    model = Coded(torch.randn(8, 3), 0.5 * torch.randn(8, 3))
    found = BetaTC(BetaTCConfig())
    found.setup(model, (1, 4, 4), 8)
    torch.manual_seed(1)
    parts = found(model, images(8), torch.tensor(0.0))
    torch.manual_seed(1)
    z = model.encode(images(8)).rsample()
    each = torch.distributions.Normal(model.mu, (0.5 * model.logvar).exp()).log_prob(z[:, None])  # (8, 8, 3)
    log_q = torch.logsumexp(each.sum(dim=2), dim=1) - math.log(8)
    log_q_each = (torch.logsumexp(each, dim=1) - math.log(8)).sum(dim=1)
    own = each.diagonal().sum(dim=0)
    bias = math.log(8)
    expected = {
        "mutual_information": (own - log_q).mean() + bias,
        "total_correlation": (log_q - log_q_each).mean() + 2 * bias,
        "dimensionwise_kl": (log_q_each - model.prior.log_prob(z)).mean() - 3 * bias,
    }
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value, msg=lambda text, name=name: name + text)


@pytest.mark.known_answer(
    "objective/beta_tc", says="The stratified weights of each image add up to 1, and its own is 1/N."
)
def test_stratified_weights_stand_on_the_diagonal_and_add_up_to_1() -> None:
    weights = log_weights(5, 50, "mss", torch.zeros(1, dtype=torch.float64)).exp()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(weights.diagonal(), torch.full((5,), 1 / 50, dtype=torch.float64))
    for row in weights:
        assert sorted(row.tolist()) == pytest.approx([1 / 50, *sorted([46 / 200, 1 / 4, 1 / 4, 1 / 4])])


@pytest.mark.known_answer(
    "objective/beta_tc", says="Over all batches the stratified estimate of q(z) is the mean over all images."
)
def test_stratified_weights_estimate_the_mean_over_all_images_without_bias() -> None:
    q, n, b = torch.rand(5, dtype=torch.float64), 5, 3
    weights = log_weights(b, n, "mss", q).exp()
    batches = [(0, *rest) for rest in permutations(range(1, n), b - 1)]  # all with the image itself
    found = torch.stack([weights[0] @ q[list(batch)] for batch in batches]).mean()
    torch.testing.assert_close(found, q.mean())


@pytest.mark.parametrize("estimator", ["mws", "mss"])
@pytest.mark.parametrize("count", [1, 2, IMAGES, IMAGES + 70])
def test_a_batch_of_any_size_has_a_finite_loss(estimator: str, count: int) -> None:
    assert all(value.isfinite() for value in terms("beta_tc", images(count), estimator=estimator).values())


def test_the_number_of_images_is_that_of_training_and_has_to_be_known() -> None:
    assert objective("beta_tc").images == IMAGES
    with pytest.raises(ZooError, match=r"call objective.setup\(model, shape, images\)"):
        BetaTC(BetaTCConfig())(LinearGaussian(), images(), torch.tensor(0.0))


# --- DIP --------------------------------------------------------------------------------------------------------------


@pytest.mark.known_answer("objective/dip", says="Whitened means have no penalty of kind I.")
def test_whitened_means_have_no_penalty_of_kind_1() -> None:
    torch.manual_seed(0)
    mu = torch.randn(40, 3, dtype=torch.float64)
    centred = mu - mu.mean(dim=0)
    white = (centred @ torch.linalg.inv(torch.linalg.cholesky(centred.T @ centred / 40)).T + 5).float()
    found = terms("dip", images(40), Coded(white), kind="I")
    assert found["covariance"].item() == pytest.approx(0, abs=1e-8)
    assert found["variance"].item() == pytest.approx(0, abs=1e-8)


@pytest.mark.known_answer("objective/dip", says="Codes with mu = 0 and sigma = 1 have no penalty of kind II.")
def test_codes_of_the_prior_have_no_penalty_of_kind_2() -> None:
    found = terms("dip", images(9), Coded(torch.zeros(9, 3)), kind="II")
    torch.testing.assert_close(found["loss"], found["reconstruction"])


@pytest.mark.known_answer(
    "objective/dip", says="A batch of known covariance has its penalties, and twice the batch the same."
)
def test_the_covariance_is_that_of_the_batch() -> None:
    mu = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [1.0, -2.0], [-1.0, 2.0], [3.0, 3.0], [-3.0, -3.0]])
    expected = torch.tensor([[22 / 6, 18 / 6], [18 / 6, 34 / 6]])
    torch.testing.assert_close(covariance(mu + 7), expected)
    torch.testing.assert_close(covariance(torch.cat([mu, mu])), expected)
    logvar = torch.tensor([0.5, 1.5]).log().expand(6, 2)
    one, two = (terms("dip", images(6), Coded(mu, logvar), kind=kind) for kind in ("I", "II"))
    assert one["covariance"].item() == two["covariance"].item() == pytest.approx(2 * 3**2)
    assert one["variance"].item() == pytest.approx((22 / 6 - 1) ** 2 + (34 / 6 - 1) ** 2)
    assert two["variance"].item() == pytest.approx((22 / 6 - 0.5) ** 2 + (34 / 6 + 0.5) ** 2)


@pytest.mark.parametrize(("kind", "factor"), [("I", 10), ("II", 1)])
def test_the_diagonal_has_the_papers_weight_where_none_is_given(kind: str, factor: int) -> None:
    usual, given = (
        terms("dip", images(), kind=kind, off_diagonal=2.0, **more) for more in ({}, {"diagonal": 2.0 * factor})
    )
    torch.testing.assert_close(usual["loss"], given["loss"])


# --- sparse -----------------------------------------------------------------------------------------------------------


@pytest.mark.known_answer("objective/sparse", says="The penalty `l1` is the sum of absolute values per image.")
def test_the_l1_penalty_is_the_sum_of_absolute_values() -> None:
    found = terms("sparse", images(), Points(), penalty={"name": "l1"}, weight=2.0)
    expected = Points().encode(images()).mean.abs().sum() / len(images())
    torch.testing.assert_close(found["sparsity"], expected)
    torch.testing.assert_close(found["loss"], found["reconstruction"] + 2 * expected)


@pytest.mark.known_answer(
    "objective/sparse",
    says="The penalty `kl` is the divergence of torch.distributions, and 0 where all activations are rho.",
)
def test_the_kl_penalty_is_that_of_the_mean_activations() -> None:
    z = torch.randn(30, 4)
    on = torch.distributions.Bernoulli(torch.sigmoid(z).mean(dim=0))
    expected = torch.distributions.kl_divergence(torch.distributions.Bernoulli(torch.full((4,), 0.2)), on).sum()
    torch.testing.assert_close(KL(rho=0.2).of(z), expected)
    torch.testing.assert_close(KL(rho=0.2).of(torch.cat([z, z])), expected)
    assert KL(rho=0.2).of(torch.full((30, 4), math.log(0.2 / 0.8))).item() == pytest.approx(0, abs=1e-5)


def test_the_kl_penalty_of_saturated_activations_is_finite() -> None:
    z = torch.tensor([[1e4, -1e4]] * 3, requires_grad=True)
    value = KL().of(z)
    assert value.isfinite() and torch.autograd.grad(value, z)[0].isfinite().all()


# --- every objective --------------------------------------------------------------------------------------------------

SHIPPED = [name for name, item in OBJECTIVES.items().items() if item.build.__module__.startswith("zoo.")]

DISTANCES = [
    "nll",
    "absolute_error",
    *("log_cosh", {"name": "log_cosh", "a": 2.0}),
    *("ms_ssim", *({"name": "ms_ssim", **more} for more in ({"weight": 9.0}, {"window": 7}, {"scales": 1}))),
    *({"name": "perceptual", "classifier": "mnist", **more} for more in ({}, {"weight": 9.0})),
    {"name": "perceptual", "classifier": "glyphs"},
]
"""Other distances than the default, and other values of each of their fields."""

CHANGES: dict[str, dict[str, list[Any]]] = {
    "elbo": {"beta": [2.0], "annealing": [{"name": "linear", "epochs": 4.0}, {"name": "cyclical", "period": 4.0}]},
    "iwae": {"k": [3], "m": [2], "beta": [0.5]},
    "reconstruction": {"distance": DISTANCES},
    "vq": {"distance": ["nll"], "beta": [1.0]},
    "wae_mmd": {"distance": ["nll"], "weight": [1.0], "kernel": ["rbf"], "scales": [[1.0]]},
    "swae": {"distance": ["nll"], "weight": [1.0], "directions": [3]},
    "info_vae": {"alpha": [0.5], "weight": [2.0], "kernel": ["rbf"], "scales": [[1.0]]},
    "beta_tc": {"alpha": [2.0], "beta": [2.0], "gamma": [2.0], "estimator": ["mss"]},
    "dip": {"kind": ["I"], "off_diagonal": [1.0], "diagonal": [3.0]},
    "sparse": {"distance": ["nll"], "weight": [1.0], "penalty": [{"name": "l1"}, {"name": "kl", "rho": 0.3}]},
    "capacity": {"gamma": [2.0], "capacity": [10.0], "epochs": [4.0]},
    "distance_kl": {"distance": ["nll"], "weight": [2.0], "beta": [2.0]},
    "free_bits": {"nats": [1.0]},
    "masked": {"patch": [7], "share": [0.5]},
    "rae": {"distance": ["nll"], "beta": [2.0]},
}
"""Other values of each field than its default; each has to change the loss."""

ELSEWHERE = {"name", "corruption", "gradient"}
"""What is no setting, acts in training mode only, or on the gradient only (tests/objectives/test_limits.py)."""


@pytest.mark.parametrize("name", SHIPPED)
def test_the_loss_responds_to_every_field(name: str) -> None:
    changes = CHANGES.get(name, {})
    assert changes.keys() == OBJECTIVES.get(name).config.model_fields.keys() - ELSEWHERE, "add values to CHANGES"
    recipe = tiny_recipe(model=tiny_model({"vq": "vq_vae", "masked": "masked_ae"}.get(name, "linear_vae")))
    torch.manual_seed(0)
    model, x = build(recipe).eval(), torch.rand(6, 1, 28, 28)  # a codebook in training moves
    usual = terms(name, x, model, epoch=1.0)["loss"]
    assert usual == terms(name, x, model, epoch=1.0)["loss"]
    losses = [
        terms(name, x, model, epoch=1.0, **{field: value})["loss"].item()
        for field, values in changes.items()
        for value in values
    ]
    assert len({usual.item(), *losses}) == 1 + len(losses), losses


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in ("vq", "masked")])
def test_a_batch_of_one_image_has_a_finite_loss_and_gradient(name: str) -> None:
    model = LinearGaussian(blur=2.0, shift=0.5)
    loss = terms(name, images(1), model)["loss"]
    (gradient,) = torch.autograd.grad(loss, [model.W])
    assert loss.isfinite() and gradient.isfinite().all()


def test_the_unit_says_which_terms_are_of_a_batch() -> None:
    assert objective("wae_mmd", distance="nll").unit == "nats per image; mmd of a batch"


@pytest.mark.parametrize("name", ["wae_mmd", "info_vae", "swae", "dip", "beta_tc"])
def test_images_that_stand_in_order_are_measured_as_if_they_were_shuffled(name: str) -> None:
    grey = torch.arange(4000) * 255 // 4000  # from black to white: a batch of neighbours has all codes at one place
    ordered = ImageSet(grey.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous())
    shuffled = ordered.chosen(torch.randperm(4000, generator=torch.Generator().manual_seed(1)))
    model = LinearGaussian()
    recipe = parse_recipe(tiny_fields(objective={"name": name}))

    def measured(images: ImageSet, of_batch: bool = True) -> dict[str, float]:
        found = build_objective(recipe, model, len(images))
        assert found.of_batch
        found.of_batch = of_batch
        return EpochEvaluation(images, recipe.data, model, found).run(0.0).read().means()

    of_batch = {"mmd", "sliced_wasserstein", "covariance", "variance", "total_correlation"}
    (term,) = sorted(of_batch & measured(ordered).keys())[:1]
    right = measured(shuffled)[term]
    assert abs(measured(ordered)[term] - right) < 0.1 * abs(measured(ordered, of_batch=False)[term] - right)
