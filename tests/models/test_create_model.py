"""A model from a variant's name and settings, without a recipe: what it is made of, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
import torch

import zoo
from tests.helpers import SHIPPED_VARIANTS, tiny_model, tiny_recipe_of
from zoo.errors import UnknownNameError, ZooError
from zoo.models import Autoencoder, build, create_model
from zoo.registry import NETWORKS, POSTERIORS, VARIANTS
from zoo.schema.base import ImageShape

DIGITS = (1, 28, 28)
every_variant = pytest.mark.parametrize("variant", SHIPPED_VARIANTS)


def tiny(variant: str, shape: ImageShape = DIGITS, **settings: Any) -> Autoencoder:
    return create_model(variant, image_shape=shape, **{**VARIANTS.get(variant).tiny, **settings})


def message(variant: str = "vae", image_shape: Any = DIGITS, **settings: Any) -> str:
    with pytest.raises(ZooError) as caught:
        create_model(variant, image_shape=image_shape, **settings)
    return str(caught.value)


def test_it_is_a_function_of_the_package() -> None:
    assert zoo.create_model is create_model


@every_variant
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 64)], ids=["grey", "colour"])
def test_it_takes_images_and_draws_them(variant: str, shape: ImageShape) -> None:
    model = tiny(variant, shape)
    assert (model.image_shape, model.config, model.origin) == (shape, None, None)
    assert model.training
    labels = torch.arange(2)
    assert model(torch.rand(2, *shape), labels).shape == (2, *shape)
    assert model.sample(2).shape == model.reconstruct(torch.rand(2, *shape), labels).shape == (2, *shape)


@every_variant
def test_it_has_the_weights_of_a_recipe_with_the_same_settings(variant: str) -> None:
    torch.manual_seed(3)
    expected = build(tiny_recipe_of(variant)).state_dict()
    torch.manual_seed(3)
    found = tiny(variant).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)


@every_variant
def test_without_settings_it_has_the_defaults(variant: str) -> None:
    with torch.device("meta"):
        model = create_model(variant, image_shape=DIGITS)
        assert model.device.type == "meta"
        expected = build(tiny_recipe_of(variant, model={"variant": variant}))
    assert model.parameter_count == expected.parameter_count


@every_variant
def test_it_leaves_its_settings_alone_and_takes_tuples_for_lists(variant: str) -> None:
    settings = {name: value for name, value in tiny_model(variant).items() if name != "variant"}
    before = copy.deepcopy(settings)
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    counts = {create_model(variant, image_shape=DIGITS, **given).parameter_count for given in (settings, tuples)}
    assert len(counts) == 1
    assert settings == before


@pytest.mark.parametrize("shape", [[1, 28, 28], torch.Size([1, 28, 28])], ids=["list", "size"])
def test_a_shape_is_any_sequence(shape: Any) -> None:
    assert create_model("vae", image_shape=shape, latent_dim=2).image_shape == (1, 28, 28)


def test_settings_of_every_kind_reach_the_model() -> None:
    model = create_model(
        "vae", image_shape=(3, 32, 32), latent_dim=5,
        network={"name": "conv", "channels": (4, 8, 8), "hidden": [10]},
        likelihood={"family": "gaussian", "variance": 0.1},
    )  # fmt: skip
    assert model.prior.latent_dim == 5
    assert model.likelihood.config.variance == 0.1
    convolutions = [layer for layer in model.encoder if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [4, 8, 8]
    assert [layer.out_features for layer in model.encoder if isinstance(layer, torch.nn.Linear)] == [10]


@every_variant
def test_every_variant_takes_labels_or_refuses_them(variant: str) -> None:
    if variant == "masked_ae":
        assert message(variant, classes=3) == "masked_ae takes no labels; set classes to 0"
    else:
        assert tiny(variant, classes=3).classes == 3


@pytest.mark.parametrize("network", NETWORKS.names())
def test_a_nested_network_is_chosen_by_its_name(network: str) -> None:
    alone = NETWORKS.get(network).build(NETWORKS.get(network).config(), DIGITS)
    if len(alone.features) > 1:
        assert f"the features of the network {network!r} are a map" in message(network={"name": network})
        return
    model = create_model("vae", image_shape=DIGITS, latent_dim=2, network={"name": network})
    assert [type(layer) for layer in model.encoder][:-1] == [type(layer) for layer in alone.encoder]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"latent": 3}, "latent: unknown field; did you mean 'latent_dim'?"),
        ({"hidden": [3]}, "hidden: unknown field; did you mean 'network.hidden'?"),
        ({"latent_dim": 0}, "latent_dim: input should be greater than 0 (found 0)"),
        ({"latent_dim": 2.5}, "latent_dim: input should be a valid integer"),
        ({"latent_dim": True}, "latent_dim: input should be a valid integer"),
        ({"latent_dim": float("nan")}, "latent_dim: input should be a valid integer"),
        ({"latent_dim": 2**40}, "latent_dim: input should be less than or equal to"),
        ({"latent_dim": torch.tensor(3)}, "settings are numbers, words, lists and dicts"),
        ({"latent_dim": {1, 2}}, "settings are numbers, words, lists and dicts"),
        ({"network": {"name": "cnv"}}, "network.name: unknown network 'cnv'; did you mean 'conv'?"),
        ({"network": {"name": "mlp", "hiden": [3]}}, "network.hiden: unknown field; did you mean 'hidden'?"),
        ({"network": {"name": "mlp", "hidden": [3, 0]}}, "network.hidden.1: input should be greater than 0"),
        ({"network": {"hidden": [3]}}, "network.name: required, the name of the network"),
        ({"network": {"name": 3}}, "network.name: required, the name of the network"),
        ({"network": "conv"}, "network.name: required, the name of the network"),
        ({"network": None}, "network.name: required, the name of the network"),
        (
            {"likelihood": {"family": "gausian"}},
            "likelihood.family: unknown likelihood 'gausian'; did you mean 'gaussian'",
        ),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named_with_its_place(settings: dict[str, Any], expected: str) -> None:
    found = message(**settings)
    assert found.startswith("create_model('vae'): ")
    assert expected in found
    assert "\n" not in found


def test_every_wrong_setting_is_listed() -> None:
    found = message(latent_dim=0, likelihoods=1, network={"name": "conv", "channels": [0], "nek": 3}).splitlines()
    assert len(found) == 4
    assert all(line.startswith("create_model('vae'): ") for line in found)
    for expected in ("latent_dim: ", "likelihoods: ", "network.channels.0: ", "network.nek: "):
        assert any(expected in line for line in found), expected


@pytest.mark.parametrize(
    "shape", [(28, 28), (1, 0, 28), (1, -3, 28), (1, 28.0, 28), (1, 10**12, 10**12), "128", 28, None, ()], ids=repr
)
def test_what_is_no_image_shape_is_refused(shape: Any) -> None:
    assert message(image_shape=shape) == (
        f"create_model('vae'): image_shape is {shape}; give channels, height and width, as in (1, 28, 28)"
    )


@pytest.mark.parametrize("name", ["vea", "", "../ae", "_gaussian", "zoo.variants.ae"])
def test_an_unknown_variant_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown variant"):
        create_model(name, image_shape=DIGITS)


def test_an_unknown_variant_shows_the_close_matches() -> None:
    assert message("conv_vea") == "unknown variant 'conv_vea'; did you mean 'conv_vae'?"


def test_images_that_the_network_cannot_take_are_refused() -> None:
    assert "height and width must be multiples of 4; got 30x30" in message(
        image_shape=(1, 30, 30), network={"name": "conv"}
    )


def test_sizes_beyond_memory_are_refused() -> None:
    full = message("linear_vae", image_shape=(2**20, 2**16, 2**16))  # more bytes than there are
    assert full.startswith("this machine's memory is full; lower training.batch_size or the model's sizes")
    uncounted = message("linear_vae", image_shape=(2**20, 2**20, 2**20))  # more bytes than can be counted
    assert "cannot build a linear_vae of these sizes" in uncounted and "make it smaller" in uncounted


def test_a_setting_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {"name": "mlp"}
    endless["hidden"] = endless
    assert "settings are numbers, words, lists and dicts" in message(network=endless)


def test_it_can_be_saved_and_loaded_as_any_module() -> None:
    model, other = create_model("ae", image_shape=DIGITS), create_model("ae", image_shape=DIGITS)
    other.load_state_dict(model.state_dict())
    x = torch.rand(2, *DIGITS)
    assert torch.equal(model.reconstruct(x), other.reconstruct(x))
    assert json.dumps(model.likelihood.config.model_dump()) == '{"family": "bernoulli"}'


def test_a_builder_that_returns_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = dataclasses.replace(VARIANTS.get("ae"), build=lambda config, shape: None)
    monkeypatch.setitem(VARIANTS._registered, "ae", forgetful)
    with pytest.raises(
        ZooError, match="the builder of the variant 'ae' returned a NoneType; it must return an Autoencoder"
    ):
        zoo.create_model("ae", image_shape=(1, 28, 28))


def test_a_name_in_place_of_a_section_says_how_it_is_written() -> None:
    with pytest.raises(ZooError, match=r'network.name: required, the name of the network; write {"name": "conv"}'):
        zoo.create_model("vae", image_shape=(1, 28, 28), network="conv")


def test_configs_say_whether_codes_have_a_density() -> None:
    for posterior in POSTERIORS.names():
        fields = {"name": posterior} | ({"k": 2} if posterior == "top_k" else {})
        config = VARIANTS.get("vae").config(posterior=POSTERIORS.get(posterior).config(**fields))
        model = tiny("vae", posterior=fields)
        assert config.stochastic == model.encode(torch.rand(2, *DIGITS)).stochastic, posterior


@every_variant
def test_the_config_of_a_variant_says_whether_codes_have_a_density(variant: str) -> None:
    config, model = VARIANTS.get(variant).config(), tiny(variant)
    labels = torch.zeros(2, dtype=torch.int64)
    assert config.stochastic == model.encode(torch.rand(2, *DIGITS), labels).stochastic


def test_a_builder_that_forgets_the_labels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    built = VARIANTS.get("ae").build
    forgetful = dataclasses.replace(
        VARIANTS.get("ae"), build=lambda config, shape: built(config.model_copy(update={"classes": 0}), shape)
    )
    monkeypatch.setitem(VARIANTS._registered, "ae", forgetful)
    assert message("ae", classes=3) == (
        "the variant 'ae' built a model of 0 classes where the setting classes is 3; its builder must hand "
        "config.classes on to the Autoencoder, or refuse it"
    )


def test_a_decoder_of_too_few_channels_is_named() -> None:
    model = tiny("vae", likelihood={"family": "learned_gaussian", "variance": "per_pixel"})
    model.decoder.append(Channel())
    with pytest.raises(ZooError) as caught:
        model.sample(2)
    assert str(caught.value) == (
        "the decoder puts out 1x28x28 for a code; the likelihood learned_gaussian wants 2x28x28: 2 "
        "(config.likelihood.outputs) for each channel of an image"
    )


class Channel(torch.nn.Module):
    """The first channel of maps (B, C, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :1]
