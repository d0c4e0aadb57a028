"""Flows against the Jacobian of autograd, their inverses, and the limits in which they do nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.models import Autoencoder, StandardNormal
from zoo.models.bounds import elbo_terms
from zoo.models.flows import MADE, ActNorm, Coupling, planar, radial
from zoo.priors.flow import FlowPrior
from zoo.priors.mixture import Mixture

D = 5


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_log_det_is_that_of_the_jacobian(f: Callable[[Tensor], tuple[Tensor, Tensor]], dim: int = D) -> None:
    z = numbers(1, dim, seed=9)
    jacobian = torch.autograd.functional.jacobian(lambda one: f(one[None])[0][0], z[0])
    torch.testing.assert_close(f(z)[1][0], torch.linalg.slogdet(jacobian).logabsdet)


def random_weights(module: nn.Module, scale: float = 0.5) -> nn.Module:
    module.double()
    for index, parameter in enumerate(module.parameters()):
        parameter.data = scale * numbers(*parameter.shape, seed=index)
    return module


@pytest.mark.known_answer("posterior/planar", says="log|det| is that of autograd's Jacobian.")
@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_the_determinant_of_a_planar_flow(strength: float) -> None:
    u, w, b = strength * numbers(1, D), numbers(1, D, seed=1), numbers(1, 1, seed=2)
    assert_log_det_is_that_of_the_jacobian(lambda z: planar(z, u, w, b))


@pytest.mark.known_answer("posterior/planar", says="The map rises along w, whatever its parameters are.")
def test_a_planar_flow_is_invertible_whatever_its_parameters_are() -> None:
    # Along w, which is where it moves codes, the map rises: w·û > -1.
    for seed in range(20):
        u, w, b = 10 * numbers(1, D, seed=seed), numbers(1, D, seed=seed + 50), numbers(1, 1, seed=seed + 90)
        line = torch.linspace(-4, 4, 400, dtype=torch.float64)[:, None] * w / w.norm()
        along = (planar(line, u, w, b)[0] @ w.T).squeeze(1)
        assert (along.diff() > 0).all()


@pytest.mark.known_answer(
    "posterior/planar", says="With u = w log(e - 1) / ‖w‖² it is the identity, and not with u = 0."
)
def test_a_planar_flow_that_is_the_identity() -> None:
    w, z = numbers(1, D), numbers(3, D, seed=4)
    u = w * math.log(math.e - 1) / w.square().sum()
    moved, log_det = planar(z, u, w, numbers(1, 1, seed=5))
    torch.testing.assert_close(moved, z)
    torch.testing.assert_close(log_det, torch.zeros(3, dtype=torch.float64))
    assert not torch.allclose(planar(z, 0 * w, w, numbers(1, 1, seed=5))[0], z)  # u = 0 is not


@pytest.mark.known_answer("posterior/radial", says="log|det| is that of autograd's Jacobian.")
@pytest.mark.parametrize("beta", [-3.0, 0.0, 3.0])
def test_the_determinant_of_a_radial_flow(beta: float) -> None:
    centre, alpha = numbers(1, D, seed=1), torch.full((1, 1), 0.7, dtype=torch.float64)
    assert_log_det_is_that_of_the_jacobian(lambda z: radial(z, centre, alpha, torch.full_like(alpha, beta)))


@pytest.mark.known_answer("posterior/radial", says="With softplus(beta) = alpha it is the identity.")
def test_a_radial_flow_with_softplus_beta_equal_to_alpha_is_the_identity() -> None:
    z, alpha = numbers(3, D), torch.full((1, 1), 0.7, dtype=torch.float64)
    moved, log_det = radial(z, numbers(1, D, seed=1), alpha, (alpha.exp() - 1).log())
    torch.testing.assert_close(moved, z)
    torch.testing.assert_close(log_det, torch.zeros(3, dtype=torch.float64))


@pytest.mark.known_answer("prior/flow", says="Every layer has an inverse, and log|det| is that of autograd's Jacobian.")
@pytest.mark.parametrize("layer", [ActNorm(D), Coupling(D, 8, flipped=False), Coupling(D, 8, flipped=True)])
def test_the_layers_of_a_flow_prior_have_an_inverse_and_its_determinant(layer: ActNorm | Coupling) -> None:
    random_weights(layer)
    assert_log_det_is_that_of_the_jacobian(layer)
    z = numbers(4, D)
    assert not torch.allclose(layer(z)[0], z)
    torch.testing.assert_close(layer.inverse(layer(z)[0]), z)


@pytest.mark.known_answer(
    "posterior/iaf",
    says="m and s of a dimension depend on all dimensions before it, on none after it, and on the image.",
)
def test_an_output_of_made_depends_on_earlier_inputs_and_on_the_context_only() -> None:
    made = random_weights(MADE(D, 16, 2, context=3))
    z, context = numbers(1, D), numbers(1, 3, seed=1)
    for output in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda one, output=output: made(one[None], context)[output][0], z[0]
        )
        assert torch.equal(jacobian, jacobian.tril(-1))
        assert (jacobian.tril(-1) != 0).sum() == D * (D - 1) / 2  # and on all of them
        changed = made(z, 2 * context)[output] - made(z, context)[output]
        assert (changed != 0).all()  # the first one has no earlier input, but the context


def model(posterior: dict[str, object], prior: str = "standard_normal", **settings: object) -> Autoencoder:
    torch.manual_seed(0)
    network = {"name": "mlp", "hidden": [16]}
    made = zoo.create_model(
        "vae", image_shape=(1, 4, 4), latent_dim=4, network=network, posterior=posterior,
        prior={"name": prior, **settings},
    )  # fmt: skip
    return made.double().eval()


FLOWS = [{"name": "planar", "flows": 3}, {"name": "radial", "flows": 3}, {"name": "iaf", "flows": 3, "hidden": 12}]


@pytest.mark.known_answer(
    "posterior/iaf",
    "posterior/planar",
    "posterior/radial",
    says="log|det| of all flows is that of autograd's Jacobian, and the mean of p(z) / q(z) over draws from q is 1.",
)
@pytest.mark.parametrize("settings", FLOWS, ids=lambda settings: settings["name"])
def test_a_posterior_of_flows_knows_the_density_of_what_it_draws(settings: dict[str, object]) -> None:
    found = model(settings)
    posterior = found.encode(torch.rand(1, 1, 4, 4, dtype=torch.float64))
    z, log_q = posterior.draw(2000)
    start = posterior.base.mean.detach()
    jacobian = torch.autograd.functional.jacobian(lambda one: posterior.flow(one[None])[0][0], start[0])
    torch.testing.assert_close(posterior.flow(start)[1][0].detach(), torch.linalg.slogdet(jacobian).logabsdet)
    # E_q[p(z)/q(z)] = 1: draws and densities belong together.
    ratio = (StandardNormal(4).log_prob(z) - log_q).exp().mean().detach()
    assert float(ratio) == pytest.approx(1, abs=0.25)


@pytest.mark.known_answer("posterior/iaf", says="With a forget bias without end it is the Gaussian.")
def test_flows_that_forget_nothing_are_the_gaussian() -> None:
    posterior = model({"name": "iaf", "flows": 2, "forget_bias": 100.0}).encode(torch.rand(3, 1, 4, 4).double())
    torch.manual_seed(1)
    z, log_q = posterior.draw()
    torch.manual_seed(1)
    plain, log_plain = posterior.base.draw()
    torch.testing.assert_close(z, plain)  # two flows turn the order round twice
    torch.testing.assert_close(log_q, log_plain)


@pytest.mark.known_answer(
    "prior/flow", says="At the start it is N(0, I), and with other weights its integral over the plane is 1."
)
def test_a_flow_prior_begins_as_a_standard_normal_and_integrates_to_one() -> None:
    prior = FlowPrior(2, 4, 8).double()
    grid = torch.cartesian_prod(*[torch.linspace(-8, 8, 321, dtype=torch.float64)] * 2)
    torch.testing.assert_close(prior.log_prob(grid), StandardNormal(2).log_prob(grid))
    random_weights(prior, 0.3)
    assert float(prior.log_prob(grid).exp().sum() * 0.05**2) == pytest.approx(1, abs=2e-3)


@pytest.mark.known_answer(
    "prior/flow", "prior/mixture", says="The mean of 1 / p(z) over the samples in a box is the box's area."
)
def test_samples_of_a_prior_have_its_density() -> None:
    for prior in (random_weights(FlowPrior(2, 4, 8), 0.3), Mixture(2, 3).double()):
        z = prior.sample(40_000, torch.Generator().manual_seed(0)).double()
        # E_p[1/p(z)] over a box is its area: a density that were off by a factor would give another.
        inside = (z.abs() < 1).all(dim=1)
        area = (inside * (-prior.log_prob(z)).exp()).mean()
        assert float(area.detach()) == pytest.approx(4, rel=0.1)


@pytest.mark.known_answer(
    "prior/vamp", says="It is the mixture of the posteriors of its pseudo-inputs, for one code as for many."
)
def test_a_vamp_prior_is_the_mixture_of_the_posteriors_of_its_pseudo_inputs() -> None:
    found = model({"name": "gaussian"}, "vamp", components=3)
    z = numbers(6, 4)
    posterior = found.encode(found.prior.pseudo_inputs.clamp(0, 1))
    expected = torch.logsumexp(posterior.log_prob(z[:, None]), dim=1) - math.log(3)
    torch.testing.assert_close(found.prior.log_prob(z), expected)
    torch.testing.assert_close(found.prior.log_prob(z[:1]), expected[:1])  # a batch of 1 is a place in a batch
    assert "prior.encoder" not in " ".join(found.state_dict())
    assert found.parameter_count == sum(p.numel() for p in found.parameters())


@pytest.mark.known_answer("prior/vamp", says="One pseudo-input whose posterior is N(0, I) is the prior N(0, I).")
def test_a_vamp_prior_of_one_pseudo_input_without_information_is_standard_normal() -> None:
    found = model({"name": "gaussian"}, "vamp", components=1)
    for parameter in found.encoder.parameters():
        nn.init.zeros_(parameter)
    z = numbers(6, 4)
    torch.testing.assert_close(found.prior.log_prob(z), StandardNormal(4).log_prob(z))


@pytest.mark.known_answer("prior/vamp", says="In training it is one distribution too, with BatchNorm and dropout.")
def test_a_vamp_prior_leaves_batch_norm_to_the_images() -> None:
    network = {"name": "mlp", "hidden": [16], "batch_norm": True, "dropout": 0.3}
    found = zoo.create_model("vae", image_shape=(1, 4, 4), latent_dim=4, prior={"name": "vamp"}, network=network)
    found.train()
    z, before = numbers(6, 4).float(), {name: buffer.clone() for name, buffer in found.named_buffers()}
    density = found.prior.log_prob(z)
    assert density.requires_grad and all(module.training for module in found.modules())
    for name, buffer in found.named_buffers():
        assert torch.equal(buffer, before[name]), name
    torch.testing.assert_close(density, found.eval().prior.log_prob(z))


@pytest.mark.known_answer(
    "prior/flow", "prior/mixture", "prior/vamp", says="The KL is log q(z|x) - log p(z) of the very z that is decoded."
)
@pytest.mark.parametrize("prior", ["mixture", "vamp", "flow"])
def test_a_prior_without_a_closed_form_uses_the_code_that_is_decoded(prior: str) -> None:
    found = model({"name": "gaussian"}, prior)
    x = torch.rand(3, 1, 4, 4, dtype=torch.float64)
    posterior = found.encode(x)
    assert posterior.kl_per_dimension(found.prior) is None
    torch.manual_seed(2)
    reconstruction, kl = elbo_terms(found, x)
    torch.manual_seed(2)
    z = posterior.rsample()
    torch.testing.assert_close(reconstruction, -found.decode(z).log_prob(x))
    torch.testing.assert_close(kl, posterior.log_prob(z) - found.prior.log_prob(z))


@pytest.mark.parametrize(
    ("variant", "settings", "message"),
    [
        ("vae", {"prior": {"name": "fitted_gaussian"}}, "suits codes without noise"),
        ("vae", {"latent_dim": 1, "prior": {"name": "flow"}}, "two dimensions"),
        ("vae", {"latent_dim": 1, "posterior": {"name": "iaf"}}, "two dimensions"),
        ("vq_vae", {"network": {"name": "mlp"}}, "no map of features"),
    ],
)
def test_what_makes_no_sense_is_refused(variant: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.create_model(variant, image_shape=(1, 8, 8), **settings)


@pytest.mark.parametrize(
    "settings", [{"posterior": {"name": "planar"}}, {"posterior": {"name": "point"}}, {"classes": 3}]
)
def test_a_vamp_prior_is_refused_where_it_cannot_be(settings: dict[str, object]) -> None:
    with pytest.raises(zoo.ZooError, match="a vamp prior is"):
        zoo.create_model("vae", image_shape=(1, 8, 8), prior={"name": "vamp"}, **settings)
