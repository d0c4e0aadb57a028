"""Faults that re-implementations have, as tests of every registered posterior, prior, likelihood and network."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.helpers import tiny_recipe, trainer
from zoo.errors import NotApplicable
from zoo.models import Autoencoder
from zoo.models.bounds import elbo_terms, log_likelihood, rate
from zoo.registry import LIKELIHOODS, NETWORKS, POSTERIORS, PRIORS, Registry

SHAPE = (1, 8, 8)
AXES: dict[str, Registry[Any]] = {"posterior": POSTERIORS, "prior": PRIORS, "likelihood": LIKELIHOODS}
SMALL: dict[str, dict[str, Any]] = {
    "iaf": {"flows": 2, "hidden": 12, "context": 4},
    "planar": {"flows": 2},
    "radial": {"flows": 2},
    "top_k": {"k": 2},
    "flow": {"couplings": 2, "hidden": 8},
    "mixture": {"components": 3},
    "vamp": {"components": 3},
    "conv": {"channels": [4, 8]},
    "conv_pool": {"channels": [4, 4, 4], "hidden": [16, 8]},
    "residual": {"channels": 8},
}
"""Settings of a small model; the others have their defaults."""

CHANGES: dict[str, dict[str, list[Any]]] = {
    "iaf": {"flows": [3], "hidden": [8], "context": [5], "forget_bias": [0.5]},
    "planar": {"flows": [3]},
    "radial": {"flows": [3]},
    "top_k": {"k": [3]},
    "flow": {"couplings": [3], "hidden": [16]},
    "mixture": {"components": [4]},
    "vamp": {"components": [4]},
    "beta": {"margin": [0.01]},
    "continuous_bernoulli": {"margin": [0.49]},
    "gaussian": {"location": ["linear"], "variance": [0.5]},
    "laplace": {"location": ["linear"], "scale": [0.5]},
    "learned_gaussian": {"location": ["linear"], "variance": ["shared", "per_pixel"]},
    "log_cosh": {"location": ["linear"], "a": [2.0]},
    "logistic": {"components": [2]},
    "student_t": {"location": ["linear"]},
}
"""Other values of each field; each has to change the loss."""

CHOICES = [
    (axis, name)
    for axis, registry in AXES.items()
    for name, item in registry.items().items()
    if item.build.__module__.startswith("zoo.")
]
every_choice = pytest.mark.parametrize(("axis", "name"), CHOICES, ids=[f"{axis}-{name}" for axis, name in CHOICES])
every_posterior = pytest.mark.parametrize("name", [name for axis, name in CHOICES if axis == "posterior"])
every_prior = pytest.mark.parametrize("name", [name for axis, name in CHOICES if axis == "prior"])
every_network = pytest.mark.parametrize("name", NETWORKS.names())


def section(axis: str, name: str, **settings: Any) -> dict[str, Any]:
    small = SMALL.get(name, {}) if axis != "likelihood" else {}
    return {AXES[axis].tag: name, **small, **settings}


def model_section(axis: str, name: str, **settings: Any) -> dict[str, Any]:
    """A model with one choice of one axis, the others usual."""
    fields = {"variant": "vae", "latent_dim": 4, "network": {"name": "mlp", "hidden": [16]}}
    if name == "fitted_gaussian":  # it suits points only
        fields["posterior"] = {"name": "point"}
    return fields | {axis: section(axis, name, **settings)}


def model(axis: str, name: str, latent_dim: int = 4, **settings: Any) -> Autoencoder:
    """The model, whose weights depend on their names only."""
    fields = model_section(axis, name, **settings) | {"latent_dim": latent_dim}
    made = zoo.create_model(fields.pop("variant"), image_shape=SHAPE, **fields).eval()
    with torch.no_grad():
        for of, parameter in made.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(of.encode()))
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def images(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def nats(made: Autoencoder, x: Tensor) -> Tensor:
    """-ELBO of each image, or -log p(x|z) where a code has no density; always with the same noise."""
    torch.manual_seed(3)
    posterior = made.encode(x)
    if not posterior.stochastic:
        return -made.decode(posterior.mean).log_prob(x)
    reconstruction, kl = elbo_terms(made, x, posterior)
    return reconstruction + kl


# --- samples and densities --------------------------------------------------------------------------------------------


@pytest.mark.known_answer(
    "posterior/*",
    says="Draws of the posterior have its density: the mean of r(z) / q(z|x) is 1 for another density r; a "
    "point is the same in every draw.",
)
@every_posterior
def test_a_posterior_draws_what_its_density_says(name: str) -> None:
    # E_q[p/q f] = E_p[f] for any density p and any f.
    posterior = model("posterior", name, 2, **({"k": 1} if name == "top_k" else {})).encode(images(1))
    if not posterior.stochastic:
        assert torch.equal(posterior.rsample(2)[1], posterior.mean)
        return
    with torch.no_grad():
        torch.manual_seed(0)
        z, log_q = posterior.draw(40_000)
        with suppress(NotApplicable):
            torch.testing.assert_close(posterior.log_prob(z), log_q)
        normal = torch.distributions.Normal(z.mean(dim=0), 0.7 * z.std(dim=0))
        ratio = (normal.log_prob(z).sum(dim=2) - log_q).exp()
        above = (z > z.mean(dim=0)).all(dim=2)
        assert float(ratio.mean()) == pytest.approx(1, abs=0.03)
        assert float((ratio * above).mean()) == pytest.approx(0.25, abs=0.015)


@pytest.mark.known_answer(
    "prior/*", says="Samples of the prior have its density: the mean of r(z) / p(z) is 1 for another density r."
)
@every_prior
def test_a_prior_draws_what_its_density_says(name: str) -> None:
    prior = model("prior", name, 2).prior
    torch.manual_seed(0)
    prior.fit(torch.randn(500, 2) @ torch.tensor([[1.0, 0.5], [0.0, 0.3]]) + 1)
    with torch.no_grad():
        z = prior.sample(40_000, torch.Generator().manual_seed(0))
        assert z.shape == (40_000, 2)
        normal = torch.distributions.Normal(z.mean(dim=0), 0.5 * z.std(dim=0))
        across = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) if name == "fitted_gaussian" else torch.eye(2)
        ratio = (normal.log_prob(z).sum(dim=1) - prior.log_prob(z)).exp()
        above = ((z - z.mean(dim=0)) @ across > 0).all(dim=1)
        target = normal.sample(torch.Size([40_000]))
        share = ((target - z.mean(dim=0)) @ across > 0).all(dim=1).float().mean()
        assert float(ratio.mean()) == pytest.approx(1, abs=0.04)
        assert float((ratio * above).mean()) == pytest.approx(float(share), abs=0.03)


@every_choice
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_is_nearly_the_same(axis: str, name: str, dtype: torch.dtype) -> None:
    full, half, x = model(axis, name), model(axis, name).to(dtype), images()
    with torch.no_grad():
        assert float((half.reconstruct(x) - full.reconstruct(x)).square().mean()) < 2e-3
        torch.testing.assert_close(nats(half, x), nats(full, x), rtol=0.1, atol=1.0)
        drawn, exact = (made.sample(4, torch.Generator().manual_seed(5)) for made in (half, full))
        assert drawn.dtype == torch.float32
        assert float((drawn - exact).square().mean()) < 5e-3


# --- weights and settings that do nothing -----------------------------------------------------------------------------


@every_choice
def test_three_steps_change_every_parameter(axis: str, name: str) -> None:
    deterministic = name in {"fitted_gaussian", "point", "top_k"}
    run = trainer(
        tiny_recipe(
            model=model_section(axis, name), objective={"name": "reconstruction" if deterministic else "elbo"}
            | ({"distance": "nll"} if deterministic else {}),
        )
    )  # fmt: skip
    made: Autoencoder = run.model
    x = torch.rand(2, *made.image_shape)
    z = made.encode(x).rsample()
    used = leaves((made.decode(z).log_prob(x) + made.prior.log_prob(z)).sum())
    assert used <= set(map(id, made.parameters()))  # a layer that is no part of the model is in no optimizer
    before = {of: parameter.detach().clone() for of, parameter in run.model.named_parameters()}
    steps = run.train_steps()
    for _ in range(3):
        next(steps)
    assert [of for of, parameter in run.model.named_parameters() if torch.equal(parameter, before[of])] == []


def leaves(value: Tensor) -> set[int]:
    """Return the ids of the parameters that a value depends on."""
    found: set[int] = set()
    seen: set[Any] = set()
    ahead: list[Any] = [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead += [earlier for earlier, _ in node.next_functions]
            if hasattr(node, "variable"):
                found.add(id(node.variable))
    return found


@every_choice
def test_the_loss_responds_to_every_setting(axis: str, name: str) -> None:
    fields = AXES[axis].get(name).config.model_fields.keys() - {AXES[axis].tag}
    changes = CHANGES.get(name, {}) if fields else {}
    assert changes.keys() == fields, "add values to CHANGES"
    x = images()
    usual = model(axis, name).train()
    losses = [float(nats(usual, x).mean().detach())]
    losses += [
        float(nats(model(axis, name, **{field: value}).train(), x).mean().detach())
        for field, values in changes.items()
        for value in values
    ]
    assert len(set(losses)) == len(losses), losses


# --- batches ----------------------------------------------------------------------------------------------------------


@every_choice
def test_in_evaluation_an_image_is_the_same_alone_and_in_a_batch(axis: str, name: str) -> None:
    made, x = model(axis, name), images()
    close: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-4}  # nats are sums over pixels
    made.prior.fit(torch.randn(50, 4))
    with torch.no_grad():
        together, alone = made.encode(x), made.encode(x[2:3])
        torch.testing.assert_close(together.mean[2:3], alone.mean)
        torch.testing.assert_close(made.reconstruct(x)[2:3], made.reconstruct(x[2:3]))
        z = together.mean
        torch.testing.assert_close(made.decode(z).log_prob(x)[2:3], made.decode(z[2:3]).log_prob(x[2:3]), **close)
        torch.testing.assert_close(made.prior.log_prob(z)[2:3], made.prior.log_prob(z[2:3]))
        if together.stochastic:
            bounds = [log_likelihood(made, part, 3, Same()) for part in (x, x[2:3])]
            torch.testing.assert_close(bounds[0][2:3], bounds[1], **close)
            twice = elbo_terms(made, torch.cat([x, x]), noise=Same())
            for whole, once in zip(twice, elbo_terms(made, x, noise=Same()), strict=True):
                torch.testing.assert_close(whole, torch.cat([once, once]), **close)


class Same:
    """Noise that is the same for every image."""

    def normal_like(self, template: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        *k, _, dim = template.shape
        return torch.randn(*k, 1, dim, generator=generator).to(template).expand_as(template)


# --- one draw ---------------------------------------------------------------------------------------------------------


@every_choice
def test_one_draw_reaches_every_place(axis: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = model(axis, name), images()
    posterior = made.encode(x)
    if not posterior.stochastic:
        pytest.skip("a point has nothing to draw")
    seen = recorded(monkeypatch, made)
    torch.manual_seed(4)
    _, kl = elbo_terms(made, x)
    assert len(seen["decoded"]) == 1
    asked = list(seen["prior"])
    torch.manual_seed(4)
    z, log_q = posterior.draw()
    torch.testing.assert_close(seen["decoded"][0], z)
    torch.testing.assert_close(rate(posterior, made.prior, z, log_q), kl)
    torch.testing.assert_close(rate(posterior, made.prior, z.expand(2, 6, 4), log_q.expand(2, 6)), kl.expand(2, 6))
    if posterior.kl_per_dimension(made.prior) is None:
        assert [torch.equal(code, seen["decoded"][0]) for code in asked] == [True]
        torch.testing.assert_close(kl, log_q - made.prior.log_prob(z))
    else:  # the closed form is the mean of what is drawn
        torch.manual_seed(0)
        drawn, log_qs = posterior.draw(20_000)
        torch.testing.assert_close((log_qs - made.prior.log_prob(drawn)).mean(dim=0), kl, atol=0.06, rtol=0.03)


def recorded(monkeypatch: pytest.MonkeyPatch, made: Autoencoder) -> dict[str, list[Tensor]]:
    """Notes the codes that are decoded and those whose density is asked for."""
    seen: dict[str, list[Tensor]] = {"decoded": [], "prior": []}

    def noting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(z: Tensor, *others: Any) -> Any:
            seen[name].append(z.detach())
            return original(z, *others)

        return call

    monkeypatch.setattr(made, "decode", noting("decoded", made.decode))
    monkeypatch.setattr(made.prior, "log_prob", noting("prior", made.prior.log_prob))
    return seen


# --- networks ---------------------------------------------------------------------------------------------------------

NETWORKED = [
    (variant, network)
    for network in NETWORKS.names()
    for variant, flat in (("vae", True), ("ae", True), ("vq_vae", False))
    if network not in ({"residual"} if flat else {"mlp"})
]


@pytest.mark.known_answer("variant/vae", says="With labels whose weights are 0 it is the model without labels.")
@pytest.mark.parametrize(("variant", "network"), NETWORKED)
def test_labels_without_weight_are_no_labels(variant: str, network: str) -> None:
    settings: dict[str, Any] = {"network": {"name": network, **SMALL.get(network, {})}}
    settings |= {"codebook_size": 8, "code_dim": 4} if variant == "vq_vae" else {"latent_dim": 4}
    torch.manual_seed(0)
    plain = zoo.create_model(variant, image_shape=SHAPE, **settings).eval()
    given = zoo.create_model(variant, image_shape=SHAPE, classes=3, **settings).eval()
    pairs = zip(given.state_dict().values(), plain.state_dict().values(), strict=True)
    for tensor, mine in pairs:
        if tensor.shape != mine.shape:  # the layer that takes the labels behind the rest
            assert [a - b for a, b in zip(tensor.shape, mine.shape, strict=True) if a != b] == [3]
            mine = torch.cat([mine, torch.zeros_like(tensor[:, :3])], dim=1)
        tensor.copy_(mine)
    x, labels = images(), torch.arange(6) % 3
    torch.testing.assert_close(given.reconstruct(x, labels), plain.reconstruct(x))
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert not torch.allclose(given.reconstruct(x, labels), given.reconstruct(x, (labels + 1) % 3))


@pytest.mark.known_answer(
    "network/conv",
    says="With `spectral_norm` the largest singular value of every weight of the decoder is within 0.01 of 1.",
)
@every_network
def test_spectral_norms_of_the_decoder_become_1(name: str) -> None:
    variant = "vq_vae" if name == "residual" else "ae"
    settings: dict[str, Any] = {"network": {"name": name, "spectral_norm": True, **SMALL.get(name, {})}}
    settings |= {"codebook_size": 8, "code_dim": 4} if variant == "vq_vae" else {"latent_dim": 4}
    torch.manual_seed(0)
    made = zoo.create_model(variant, image_shape=SHAPE, **settings).train()
    x = images()
    with torch.no_grad():
        for _ in range(60):
            made(x)
    layers = [of for of in made.decoder.modules() if isinstance(of, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    assert layers
    for layer in layers:
        weight = layer.weight.detach()
        matrix = (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)
        assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1, abs=1e-2)
    assert not any(hasattr(of, "parametrizations") for of in made.encoder.modules())
