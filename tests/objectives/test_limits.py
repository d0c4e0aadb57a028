"""Objectives in the limits in which they are another one, and faults of re-implementations over all of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

import zoo
from tests.gaussians import LinearGaussian
from tests.helpers import tiny_fields
from zoo.augmentations import Augmentations
from zoo.errors import ZooError
from zoo.likelihoods.bernoulli import BernoulliConfig
from zoo.likelihoods.gaussian import Gaussian
from zoo.models import Autoencoder, DiagonalGaussian, StandardNormal
from zoo.models.bounds import elbo_terms
from zoo.objectives import Objective, Terms, build_objective
from zoo.objectives.masked import Masked, MaskedConfig
from zoo.registry import OBJECTIVES
from zoo.schema.recipe import parse_recipe

SHAPE = (1, 8, 8)
SHIPPED = [name for name, item in OBJECTIVES.items().items() if item.build.__module__.startswith("zoo.")]
every_objective = pytest.mark.parametrize("name", SHIPPED)
OF_A_BATCH = {"wae_mmd", "swae", "info_vae", "beta_tc"}
"""The objectives with a term of the batch that is not the same for twice the batch: draws of the prior, log q(z)."""


def objective(name: str, model: Autoencoder, **settings: Any) -> Objective:
    return build_objective(parse_recipe(tiny_fields(objective={"name": name, **settings})), model, 230)


def terms(name: str, model: Autoencoder, x: Tensor, epoch: float = 1.0, **settings: Any) -> Terms:
    """The terms, always with the same noise."""
    found = objective(name, model, **settings)
    torch.manual_seed(1)
    made: Terms = found(model, x, torch.tensor(epoch))
    return made


def model_for(name: str, **settings: Any) -> Autoencoder:
    variant = {"vq": "vq_vae", "masked": "masked_ae"}.get(name, "vae")
    if variant == "vq_vae":
        settings = {"codebook_size": 8, "code_dim": 4, "network": {"name": "residual", "channels": 4}} | settings
    else:
        settings = {"latent_dim": 4, "network": {"name": "mlp", "hidden": [16]}} | settings
    torch.manual_seed(0)
    return zoo.create_model(variant, image_shape=SHAPE, **settings).eval()


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


# --- all of them ------------------------------------------------------------------------------------------------------


@every_objective
def test_images_twice_in_a_batch_have_the_terms_of_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(drawn: Any) -> Any:
        def like(template: Tensor, *others: Any) -> Tensor:
            *k, batch, last = template.shape if template.dim() < 4 else (len(template), 0)
            shape = (*k, 1, last) if template.dim() < 4 else (1, *template.shape[1:])
            noise: Tensor = drawn(shape, generator=torch.Generator().manual_seed(5))
            return noise.expand_as(template)

        return like

    monkeypatch.setattr("zoo.system.randomness.normal_like", same(torch.randn))
    monkeypatch.setattr("zoo.objectives.masked.uniform_like", same(torch.rand))
    model, x = model_for(name), images()
    once, twice = terms(name, model, x), terms(name, model, torch.cat([x, x]))
    parts = once.keys() - {"loss", "mmd", "sliced_wasserstein", "mutual_information", "total_correlation"}
    assert "reconstruction" in parts
    for part in parts - {"dimensionwise_kl"} | (set() if name in OF_A_BATCH else {"loss"}):
        torch.testing.assert_close(twice[part], once[part], msg=part)


class Twice(nn.Module):
    """Outputs, once more beside themselves."""

    def forward(self, output: Tensor) -> Tensor:
        return torch.cat([output, output], dim=3)


class FirstHalf(nn.Module):
    """The left half of images."""

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : x.shape[3] // 2]


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "masked"])
def test_an_image_tiled_twice_has_twice_the_reconstruction_and_the_same_of_the_code(name: str) -> None:
    # Pixels that are averaged where the KL is summed are a beta of half the number of pixels.
    model, x = model_for(name), images()
    encoder, decoder = nn.Sequential(FirstHalf(), model.encoder), nn.Sequential(model.decoder, Twice())
    wide = Autoencoder((1, 8, 16), encoder, decoder, model.prior, model.likelihood.config, head=model.head).eval()
    once, twice = terms(name, model, x), terms(name, wide, x.repeat(1, 1, 1, 2))
    for part in once.keys() - {"loss"}:
        torch.testing.assert_close(twice[part], (2 if part == "reconstruction" else 1) * once[part], msg=part)


@every_objective
def test_corruption_changes_what_the_encoder_gets_in_training_and_nothing_else(name: str) -> None:
    model, x = model_for(name), images()
    black = [{"name": "masking", "share": 1.0}]
    none = [{"name": "masking", "share": 0.0}]
    plain = terms(name, model, x)
    assert terms(name, model, x, corruption=black) == plain  # in evaluation
    model.train()
    if name in {"masked", "vq"}:  # the one hides patches itself, the other's codebook moves in training
        assert terms(name, model, x, corruption=black)["loss"].isfinite()
        return
    plain, unchanged, changed = (terms(name, model, x, corruption=each) for each in ([], none, black))
    assert changed["reconstruction"] != plain["reconstruction"]
    if name in OF_A_BATCH:  # the draw of what is corrupted comes first
        return
    encoded: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: encoded.append(inputs[0]))
    terms(name, model, x, corruption=black)
    assert float(encoded[0].abs().max()) == 0
    terms(name, model, x, corruption=none)
    assert torch.equal(encoded[1], x)
    assert unchanged.keys() == plain.keys()


@pytest.mark.known_answer(
    "augmentation/masking",
    "augmentation/salt_and_pepper",
    says="The target of a corrupted image is the image, and without corruption it is the plain objective.",
)
def test_the_target_of_a_corrupted_image_is_the_image() -> None:
    model, x = model_for("reconstruction", posterior={"name": "point"}).train(), images()
    found = terms("reconstruction", model, x, corruption=[{"name": "masking", "share": 1.0}])["loss"]
    expected = (model.decode(model.encode(0 * x).mean).mean - x).square().flatten(1).sum(dim=1).mean()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        terms("reconstruction", model, x, corruption=[{"name": "masking", "share": 0.0}])["loss"],
        terms("reconstruction", model, x)["loss"],
    )


@pytest.mark.known_answer(
    "augmentation/masking",
    "augmentation/salt_and_pepper",
    says="The shares of pixels that are replaced are those asked for, alike in all channels.",
)
def test_masking_and_salt_and_pepper_replace_their_shares_in_all_channels_alike() -> None:
    recipe = parse_recipe(
        tiny_fields(
            objective={
                "name": "elbo",
                "corruption": [
                    {"name": "masking", "share": 0.3},
                    {"name": "salt_and_pepper", "share": 0.2, "white": 0.25},
                ],
            }
        )
    )
    x = torch.full((4, 3, 100, 100), 0.5)
    torch.manual_seed(0)
    black, pepper = (Augmentations((each,))(x) for each in recipe.objective.corruption)
    assert float((black == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float((black == 0.5).float().mean()) == pytest.approx(0.7, abs=0.01)
    assert float((pepper == 0).float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((pepper == 1).float().mean()) == pytest.approx(0.05, abs=0.005)
    for found in (black, pepper):
        assert torch.equal(found, found[:, :1].expand_as(found))
        assert not torch.equal(found[0], found[1])


# --- one by one -------------------------------------------------------------------------------------------------------


@pytest.mark.known_answer(
    "objective/free_bits",
    "objective/capacity",
    "objective/distance_kl",
    says="Without free nats, with a capacity of 0 and gamma = 1, or with -log p(x|z) as the distance, the "
    "loss is the negative ELBO.",
)
def test_without_free_nats_and_capacity_and_with_one_sample_it_is_the_elbo() -> None:
    model, x = model_for("elbo"), images()
    elbo = terms("elbo", model, x)
    torch.testing.assert_close(terms("free_bits", model, x, nats=0.0), elbo)
    torch.testing.assert_close(terms("capacity", model, x, gamma=1.0, capacity=0.0)["loss"], elbo["loss"])
    torch.testing.assert_close(terms("distance_kl", model, x, distance="nll"), elbo)


@pytest.mark.known_answer(
    "objective/free_bits", says="A dimension below lambda costs lambda and has no gradient, one above costs its KL."
)
def test_free_bits_cost_their_nats_at_least_and_leave_small_dimensions_alone() -> None:
    model, x = model_for("elbo"), images()
    parts = model.encode(x).kl_per_dimension(model.prior)
    assert parts is not None
    each = parts.mean(dim=0).detach()
    assert (each > 0).all()
    free = float(each.sort().values[1:3].mean())  # two of four dimensions lie below
    found = terms("free_bits", model, x, nats=free)
    expected = sum(max(free, float(value)) for value in each)
    assert float((found["loss"] - found["reconstruction"]).detach()) == pytest.approx(expected, rel=1e-3)
    much = terms("free_bits", model, x, nats=100.0)
    kl = torch.autograd.grad(much["loss"] - much["reconstruction"], list(model.encoder.parameters()))
    assert all(float(gradient.abs().max()) < 1e-4 for gradient in kl)


@pytest.mark.known_answer(
    "objective/capacity",
    says="The capacity rises to its value and stays there, and a KL on either side of it is pulled to it.",
)
@pytest.mark.parametrize(("epoch", "capacity"), [(0.0, 0.0), (5.0, 6.25), (20.0, 25.0), (99.0, 25.0)])
def test_a_capacity_rises_and_the_kl_is_pulled_from_both_sides(epoch: float, capacity: float) -> None:
    model, x = model_for("elbo"), images()
    found = terms("capacity", model, x, epoch=epoch, gamma=10.0)
    assert float(found["capacity"]) == capacity
    expected = found["reconstruction"] + 10 * (found["kl"] - capacity).abs()
    torch.testing.assert_close(found["loss"], expected)


@pytest.mark.known_answer(
    "objective/capacity", says="Images on both sides of the capacity cost nothing where their mean is at it."
)
def test_a_capacity_is_for_the_mean_over_images_not_for_each() -> None:
    model, x = model_for("elbo"), images()
    kls = elbo_terms(model, x)[1].detach()
    assert kls.min() < kls.mean() < kls.max()
    found = terms("capacity", model, x, epoch=20.0, gamma=1e3, capacity=float(kls.mean()))
    torch.testing.assert_close(found["loss"], found["reconstruction"], rtol=0, atol=0.01)


def test_validation_images_are_measured_with_the_whole_capacity_in_every_epoch() -> None:
    made = objective("capacity", model_for("elbo"), epochs=7.0, corruption=[{"name": "masking"}])
    assert float(made(model_for("elbo"), images(), torch.tensor(made.annealed))["capacity"]) == 25.0


@pytest.mark.known_answer("objective/rae", says="Without weight on the length of the code it is a plain autoencoder.")
def test_rae_is_reconstruction_and_half_the_squared_length_of_the_code() -> None:
    model, x = model_for("rae", posterior={"name": "point"}), images()
    found = terms("rae", model, x, beta=3.0)
    expected = 0.5 * model.encode(x).mean.square().sum(dim=1).mean()
    torch.testing.assert_close(found["half_norm"], expected)
    torch.testing.assert_close(found["loss"], found["reconstruction"] + 3 * expected)
    torch.testing.assert_close(terms("rae", model, x, beta=0.0)["loss"], terms("reconstruction", model, x)["loss"])


@pytest.mark.known_answer("posterior/top_k", says="A code has exactly its k largest values, and with k = D all.")
@pytest.mark.parametrize("k", [1, 3, 4])
def test_a_code_of_k_values_has_the_largest_and_zeros(k: int) -> None:
    model, x = model_for("reconstruction", posterior={"name": "top_k", "k": k}), images()
    point = model_for("reconstruction", posterior={"name": "point"})
    point.load_state_dict(model.state_dict())
    code, whole = model.encode(x).mean, point.encode(x).mean
    assert ((code != 0).sum(dim=1) == k).all()
    kept = whole.sort(dim=1, descending=True).values[:, :k]
    torch.testing.assert_close(code.sum(dim=1), kept.sum(dim=1))
    assert torch.equal(code, whole) == (k == 4)
    with pytest.raises(zoo.ZooError, match="top_k cannot keep 5 of 4"):
        model_for("reconstruction", posterior={"name": "top_k", "k": 5})


# --- importance weights -----------------------------------------------------------------------------------------------


def log_weights(model: LinearGaussian, x: Tensor, samples: int) -> Tensor:
    torch.manual_seed(1)
    posterior = model.encode(x)
    z = posterior.rsample(samples)
    return torch.stack(
        [model.decode(one).log_prob(x) + model.prior.log_prob(one) - posterior.log_prob(one) for one in z]
    )


@pytest.mark.known_answer(
    "objective/iwae",
    says="With M and K samples the value is the mean of M bounds of K samples, and another one with M and K exchanged.",
)
@pytest.mark.parametrize(("m", "k"), [(3, 2), (2, 5), (1, 4), (4, 1)])
def test_miwae_is_the_mean_of_m_bounds_of_k_samples(m: int, k: int) -> None:
    model, x = LinearGaussian(blur=3.0, shift=0.5), images(5)[..., :4, :4]
    log_w = log_weights(model, x, m * k)
    bounds = [torch.logsumexp(log_w[i * k : (i + 1) * k], dim=0) - math.log(k) for i in range(m)]
    expected = -torch.stack(bounds).detach().mean()
    assert float(terms("iwae", model, x, m=m, k=k)["loss"].detach()) == pytest.approx(float(expected), rel=1e-5)
    if m != k and m > 1 and k > 1:  # M and K exchanged is another value
        assert float(terms("iwae", model, x, m=k, k=m)["loss"].detach()) != pytest.approx(float(expected), rel=1e-3)


@pytest.mark.known_answer(
    "objective/iwae", says="CIWAE goes from the bound at beta = 0 to the ELBO of the same samples at beta = 1."
)
def test_ciwae_goes_from_the_bound_to_the_elbo_of_the_same_samples() -> None:
    model, x = LinearGaussian(blur=3.0, shift=0.5), images(5)[..., :4, :4]
    iwae, half, elbo = (float(terms("iwae", model, x, k=4, beta=beta)["loss"]) for beta in (0.0, 0.5, 1.0))
    assert elbo == pytest.approx(-float(log_weights(model, x, 4).mean()), rel=1e-5)
    assert half == pytest.approx((iwae + elbo) / 2, rel=1e-5)
    assert iwae < elbo


class Encoded(Autoencoder):
    """p(z) = N(0, 1), p(x|z) = N(z, s2), q(z|x) = N(a x, exp(v)), of which a and v are trained."""

    def __init__(self, s2: float, a: float, variance: float) -> None:
        super().__init__((1, 1, 1), nn.Identity(), nn.Identity(), StandardNormal(1), BernoulliConfig())
        self.s2 = s2
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))
        self.v = nn.Parameter(torch.tensor(math.log(variance), dtype=torch.float64))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> DiagonalGaussian:
        return DiagonalGaussian(self.a * x.flatten(1), self.v.expand(len(x), 1))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Any:
        return Gaussian(z[:, :, None, None], self.s2)


def gradients(model: Encoded, n: int = 100_000, **settings: Any) -> Tensor:
    x = torch.full((n, 1, 1, 1), 0.8, dtype=torch.float64)
    return torch.stack(torch.autograd.grad(terms("iwae", model, x, **settings)["loss"], [model.a, model.v]))


def test_at_the_true_posterior_the_gradient_without_the_score_has_no_noise() -> None:
    exact = Encoded(1.0, 0.5, 0.5)
    for how in ("stl", "dreg"):
        torch.testing.assert_close(gradients(exact, 3, k=1, gradient=how), torch.zeros(2, dtype=torch.float64))
    assert gradients(exact, 3, k=1).abs().max() > 1e-3


@pytest.mark.known_answer(
    "objective/iwae", says="The gradients STL (at K = 1) and DReG agree with the plain one in the mean."
)
@pytest.mark.parametrize(
    ("how", "settings"),
    [
        ("stl", {"k": 1}),
        ("dreg", {"k": 1}),
        ("dreg", {"k": 3}),
        ("dreg", {"k": 2, "m": 2}),
        ("dreg", {"k": 3, "beta": 0.5}),
        ("stl", {"k": 3, "beta": 1.0}),
        ("dreg", {"k": 3, "beta": 1.0}),
    ],
)
def test_the_gradients_of_the_encoder_agree_in_the_mean(how: str, settings: dict[str, Any]) -> None:
    model = Encoded(0.5, 0.2, 0.9)
    plain, other = gradients(model, **settings), gradients(model, **settings, gradient=how)
    torch.testing.assert_close(other, plain, atol=0.02, rtol=0.02)
    assert not torch.equal(other, plain)


def test_the_gradient_is_changed_for_the_encoder_only() -> None:
    model, x = model_for("iwae"), images()
    found = {
        how: torch.autograd.grad(terms("iwae", model, x, k=4, gradient=how)["loss"], list(model.decoder.parameters()))
        for how in ("plain", "stl", "dreg")
    }
    for how in ("stl", "dreg"):
        torch.testing.assert_close(found[how], found["plain"])
    losses = [terms("iwae", model, x, k=4, gradient=how)["loss"] for how in ("plain", "stl", "dreg")]
    torch.testing.assert_close(losses[1:], losses[:1] * 2)
    with pytest.raises(zoo.ZooError, match="needs a gaussian posterior"):
        terms("iwae", model_for("iwae", posterior={"name": "planar"}), x, k=2, gradient="dreg")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"likelihood": {"family": "learned_gaussian", "variance": "optimal"}}, "one variance for a batch"),
        ({"network": {"name": "mlp", "hidden": [16], "batch_norm": True}}, "BatchNorm in the decoder"),
    ],
)
def test_dreg_is_refused_where_the_samples_of_a_batch_act_on_each_other(settings: Any, message: str) -> None:
    model = model_for("iwae", **settings)
    with pytest.raises(zoo.ZooError, match=message):
        objective("iwae", model, k=2, gradient="dreg")
    objective("iwae", model, k=2, gradient="stl")
    frozen = model_for("iwae", network={"name": "mlp", "hidden": [16], "batch_norm": True})
    frozen.decoder.requires_grad_(False)
    objective("iwae", frozen, k=2, gradient="dreg")
    objective(
        "iwae", model_for("iwae", likelihood={"family": "learned_gaussian", "variance": "shared"}), gradient="dreg"
    )


def test_dreg_is_refused_where_it_cannot_see_the_samples_gradients() -> None:
    model, x = model_for("iwae"), images()
    chosen = objective("iwae", model, k=2, gradient="dreg")

    def loss(weights: Any) -> Tensor:
        whole = {"model." + name: value for name, value in weights.items()}
        return functional_call(Both(model, chosen), whole, (x,))

    stacked = {name: torch.stack([value, value]).requires_grad_() for name, value in model.state_dict().items()}
    with pytest.raises(zoo.ZooError, match="hidden where models are stacked"):
        vmap(loss, randomness="different")(stacked)


class Both(nn.Module):
    """A model and an objective, whose loss is computed with weights that are handed in."""

    def __init__(self, model: Autoencoder, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x: Tensor) -> Tensor:
        loss: Tensor = self.objective(self.model, x, torch.tensor(1.0))["loss"]
        return loss


# --- masked -----------------------------------------------------------------------------------------------------------


@pytest.mark.known_answer("objective/masked", says="The number of hidden patches is exact.")
@pytest.mark.parametrize(("patch", "share", "seen"), [(2, 0.75, 4), (2, 0.5, 8), (4, 0.75, 1), (1, 0.9, 6)])
def test_the_number_of_hidden_patches_is_exact(patch: int, share: float, seen: int) -> None:
    visible = Masked(MaskedConfig(patch=patch, share=share)).visible(images(20))
    assert visible.shape == (20, 1, 8, 8)
    patches = visible.unfold(2, patch, patch).unfold(3, patch, patch).flatten(4)
    assert (patches.min(dim=4).values == patches.max(dim=4).values).all()
    assert (patches[..., 0].flatten(1).sum(dim=1) == seen).all()
    assert len({tuple(one.flatten().tolist()) for one in visible}) > 3


@pytest.mark.known_answer(
    "objective/masked",
    "variant/masked_ae",
    says="The loss is of hidden pixels alone, and the encoder sees only the others.",
)
def test_the_loss_is_of_hidden_pixels_and_the_encoder_sees_only_the_others() -> None:
    model: Any = model_for("masked")
    x = images().requires_grad_()
    encoded: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: encoded.append(inputs[0]))
    loss = terms("masked", model, x, patch=2)["loss"]
    (seen,) = encoded
    visible = seen[:, 1:]
    assert torch.equal(seen[:, :1], x * visible)
    likelihood = model.decode(model.encoder(seen).mean)
    for pixels in (visible, 1 - visible):
        target = x.detach().clone().requires_grad_()
        error = ((target - likelihood.location.detach()).square() * (1 - visible)).flatten(1).sum(dim=1).mean()
        (gradient,) = torch.autograd.grad(error, target)
        assert (float((gradient * pixels).abs().max()) == 0) == (pixels is visible)
    torch.testing.assert_close(loss, error)
    (through,) = torch.autograd.grad(loss, x)
    # Visible pixels act through the encoder only, hidden ones as targets only.
    expected = 2 * (x - likelihood.location).detach() * (1 - visible) / len(x)
    torch.testing.assert_close(through * (1 - visible), expected)
    whole = model.encode(x)
    torch.testing.assert_close(whole.mean, model.encode_visible(x, torch.ones_like(visible)).mean)
    assert torch.equal(encoded[-1][:, 1:], torch.ones_like(visible))
    assert not torch.allclose(whole.mean, model.encode_visible(x, visible).mean)


def test_the_number_of_patches_that_are_seen_is_exact_and_never_none() -> None:
    made = OBJECTIVES.get("masked").build(OBJECTIVES.get("masked").config(share=0.9, patch=1))
    assert made.seen_of(100) == 10  # 100 * (1 - 0.9) is a little less in floats
    assert made.seen_of(49) == 4
    with pytest.raises(ZooError, match="no patch of 1 would"):
        made.setup(None, (1, 2, 2), 10)
