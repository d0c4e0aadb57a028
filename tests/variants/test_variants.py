"""Every registered variant, by being registered: shapes, ranges, modes, and the contract."""

from __future__ import annotations

import pytest
import torch

import zoo
from tests.helpers import CPU, SHIPPED_VARIANTS, tiny_model, tiny_recipe_of
from zoo.errors import ZooError
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build
from zoo.registry import NETWORKS, VARIANTS
from zoo.schema.base import ImageShape
from zoo.training.dry_run import dry_run
from zoo.training.gemm_convolutions import Convolution

SHAPES = [(1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32), (1, 64, 64), (3, 64, 64)]
DIGITS = torch.arange(10)
every_variant = pytest.mark.parametrize("name", SHIPPED_VARIANTS)


def make(name: str, shape: ImageShape = (1, 28, 28), **settings: object) -> Autoencoder:
    """A variant with its default settings, and these."""
    torch.manual_seed(0)
    return zoo.create_model(name, image_shape=shape, **settings)


def tiny(name: str, shape: ImageShape = (1, 28, 28), **settings: object) -> Autoencoder:
    """A variant in its tiny size, with these settings."""
    return make(name, shape, **{**VARIANTS.get(name).tiny, **settings})


@every_variant
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
def test_it_builds_for_every_image_shape(name: str, shape: ImageShape) -> None:
    model = tiny(name, shape)
    given = model.given(DIGITS[:3])
    x = torch.rand(3, *shape)
    posterior = given.encode(x)
    assert posterior.mean.shape == (3, model.prior.latent_dim)
    assert given.decode(posterior.rsample()).mean.shape == x.shape
    assert given.decode(posterior.mean).log_prob(x).shape == (3,)
    model.eval()
    for images in (given.reconstruct(x), model.sample(3)):
        assert images.shape == x.shape
        assert images.min() >= 0
        assert images.max() <= 1
        assert not images.requires_grad


@every_variant
@pytest.mark.parametrize("likelihood", [{"family": "bernoulli"}, {"family": "gaussian", "variance": 0.1}])
def test_every_likelihood_gives_images_and_nats(name: str, likelihood: dict[str, object]) -> None:
    recipe = tiny_recipe_of(name, model=tiny_model(name) | {"likelihood": likelihood})
    model = build(recipe).given(DIGITS[:4])
    x = torch.rand(4, 1, 28, 28)
    found = model.decode(model.encode(x).mean)
    assert type(found).__name__.lower() == likelihood["family"]
    assert 0 <= found.mean.min() <= found.mean.max() <= 1
    assert torch.isfinite(found.log_prob(x)).all()


@every_variant
def test_in_eval_mode_an_image_does_not_depend_on_its_batch(name: str) -> None:
    model = tiny(name).eval()
    together, alone = model.given(DIGITS[:8]), model.given(DIGITS[:1])
    x = torch.rand(8, 1, 28, 28)
    torch.testing.assert_close(together.reconstruct(x)[:1], alone.reconstruct(x[:1]), atol=1e-5, rtol=1e-4)
    assert torch.equal(together.reconstruct(x), together.reconstruct(x))


@every_variant
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = tiny(name)
    given = model.given(DIGITS[:4])
    x = torch.rand(4, 1, 28, 28)
    posterior = given.encode(x)
    loss = -given.decode(posterior.rsample()).log_prob(x).mean()
    if posterior.stochastic:
        loss = loss + posterior.kl_per_dimension(model.prior).sum(dim=1).mean()
    loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []


@every_variant
def test_samples_are_repeatable_with_a_generator(name: str) -> None:
    model = tiny(name).eval()
    first, second = (model.sample(3, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, model.sample(3, torch.Generator().manual_seed(6)))


@every_variant
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    first, second = tiny(name).state_dict(), tiny(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_variant
def test_it_takes_a_step_with_its_default_settings(name: str) -> None:
    report = dry_run(tiny_recipe_of(name, model={"variant": name}), CPU)
    assert f"{make(name).parameter_count:,} parameters" in report


ODD_SHAPES = pytest.mark.parametrize("shape", [(1, 30, 30), (1, 28, 27), (3, 2, 2)])


@every_variant
@ODD_SHAPES
def test_an_image_that_cannot_be_halved_is_refused(name: str, shape: ImageShape) -> None:
    if any(isinstance(layer, Convolution) for layer in tiny(name).modules()):
        with pytest.raises(ZooError, match="multiples of 4"):
            tiny(name, shape)
    else:
        assert tiny(name, shape).eval().sample(2).shape == (2, *shape)


def test_some_variants_halve_their_images() -> None:
    for name in ("conv_vae", "bn_vae", "vq_vae"):
        with pytest.raises(ZooError, match="multiples of 4"):
            tiny(name, (1, 30, 30))


@pytest.mark.parametrize("network", NETWORKS.names())
def test_a_vae_takes_every_network_whose_features_are_flat(network: str) -> None:
    config = NETWORKS.get(network).config()
    features = NETWORKS.get(network).build(config, (1, 28, 28)).features
    if len(features) > 1:
        with pytest.raises(ZooError, match=f"the features of the network '{network}' are a map; choose mlp, conv or"):
            make("vae", network={"name": network})
        return
    model = make("vae", (3, 28, 32), latent_dim=5, network={"name": network}).eval()
    x = torch.rand(2, 3, 28, 32)
    assert model.encode(x).mean.shape == (2, 5)
    assert model.reconstruct(x).shape == model.sample(2).shape == x.shape


@pytest.mark.parametrize(("preset", "network"), [("linear_vae", "mlp"), ("conv_vae", "conv"), ("bn_vae", "conv_pool")])
def test_a_preset_is_the_vae_on_its_network(preset: str, network: str) -> None:
    mine, theirs = make("vae", network={"name": network}).state_dict(), make(preset).state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.parametrize("name", SHIPPED_VARIANTS)
def test_weights_built_on_the_meta_device_have_the_same_shapes(name: str) -> None:
    with torch.device("meta"):
        blank = tiny(name).state_dict()
    assert {key: value.shape for key, value in blank.items()} == {
        key: value.shape for key, value in tiny(name).state_dict().items()
    }


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # Computed from the layer sizes of the sources.
        ("ae", 784 * 512 + 512 + 512 * 32 + 32 + 32 * 512 + 512 + 512 * 784 + 784),
        ("linear_vae", 652_824),
        ("vae", 652_824),
        ("conv_vae", 320 + 18_496 + 2 * (3136 * 20 + 20) + 20 * 3136 + 3136 + 64 * 32 * 16 + 32 + 32 * 16 + 1),
        ("bn_vae", 1_133_833),
        ("conditional_vae", 652_824 + 400 * 10 + 10 * 400),
    ],
)
def test_the_default_sizes_are_those_of_the_source(name: str, parameters: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in make(name).parameters()) == parameters


def test_an_mlp_variant_mirrors_any_number_of_hidden_layers() -> None:
    model = make("linear_vae", hidden=(50, 30), latent_dim=2)
    sizes = [p.shape for n, p in model.decoder.named_parameters() if n.endswith("weight")]
    assert sizes == [(30, 2), (50, 30), (784, 50)]
    flat = make("linear_vae", hidden=(), latent_dim=2)
    assert sum(p.numel() for p in flat.parameters()) == 2 * (784 * 2 + 2) + 2 * 784 + 784


@pytest.mark.parametrize(
    ("entry", "parameters"),
    [
        ("ae_deep_fashion_mnist", 1_149_520),
        ("vae_fashion_mnist", 661_664),
        ("ae_fashion_mnist", 837_424),
        ("vae_2d_mnist", 790_388),
        ("conv_vae_2d_wide_mnist", 272_186_141),
        ("vae_200_mnist", 326_824),
        ("conv_vae_200_mnist", 465_001 + 20 * 80 + 80),  # and the layer that brings z to the decoder
        ("vae_examples_mnist", 652_824),
        ("vae_tutorial_mnist", 1_189_984),
        ("vq_vae_cifar10", 6_850_576 + 3_686_403),
        ("vae_gaussian_mnist", 1_079_584),
    ],
)
def test_an_entry_has_as_many_parameters_as_its_source(entry: str, parameters: int) -> None:
    with torch.device("meta"):
        assert build(zoo.recipe(entry)).parameter_count == parameters


def test_the_recipe_of_15_000_units_fits_together() -> None:
    report = dry_run(zoo.recipe("conv_vae_2d_wide_mnist"), torch.device("cpu"))  # whose models take no memory
    assert "272,186,141 parameters" in report


def test_the_activation_is_between_all_layers_of_an_mlp() -> None:
    model = make("linear_vae", hidden=(8, 6), decoder_hidden=(5,), activation="leaky_relu")
    slopes = [layer.negative_slope for layer in model.modules() if isinstance(layer, torch.nn.LeakyReLU)]
    assert slopes == [0.2] * 3
    assert [type(layer).__name__ for layer in make("ae", activation="tanh").encoder] == [
        "Flatten", "Linear", "Tanh", "DeterministicHead",
    ]  # fmt: skip


def test_a_decoder_need_not_mirror_its_encoder() -> None:
    model = make("linear_vae", hidden=(50,), decoder_hidden=(7, 50), latent_dim=2)
    assert [p.shape[0] for n, p in model.decoder.named_parameters() if n.endswith("weight")] == [7, 50, 784]
    flat = make("linear_vae", hidden=(50,), decoder_hidden=(), latent_dim=2)
    assert [p.shape for n, p in flat.decoder.named_parameters() if n.endswith("weight")] == [(784, 2)]


def test_a_deeper_conv_vae_mirrors_its_channels() -> None:
    model = make("conv_vae", (3, 64, 64), channels=(8, 16, 24), latent_dim=5)
    assert model.reconstruct(torch.rand(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    with pytest.raises(ZooError, match="multiples of 8; got 28x28"):
        make("conv_vae", channels=(8, 16, 24))


def test_images_need_not_be_square() -> None:
    for name in SHIPPED_VARIANTS:
        assert tiny(name, (1, 28, 32)).eval().sample(2).shape == (2, 1, 28, 32)


@every_variant
def test_running_statistics_and_codebooks_are_left_alone_when_it_samples(name: str) -> None:
    model = tiny(name)
    model.train()
    model.given(torch.arange(16) % 10).encode(torch.rand(16, 1, 28, 28))
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.sample(4)
    model.reconstruct(torch.rand(4, 1, 28, 28), DIGITS[:4])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_the_repr_tells_what_a_person_wants() -> None:
    assert repr(make("linear_vae")) == (
        "Autoencoder: 652,824 parameters\n  images 1x28x28, codes of 20 dimensions, Bernoulli likelihood"
    )
    assert repr(zoo.load("conditional_vae_mnist")) == (
        "conditional_vae_mnist: conditional_vae, 1,103,404 parameters\n"
        "  images 1x28x28, codes of 10 dimensions, Bernoulli likelihood, given one of 10 classes\n"
        "  \N{MINUS SIGN}ELBO 99.65 nats per image, MSE 0.01395 per pixel, on 10,000 test images"
    )
