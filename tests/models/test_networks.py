"""Options of the networks: gates, BatchNorm, dropout, attention, spectral norm; codes that are a grid; labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.models import Autoencoder
from zoo.models.layers import Dropout, SelfAttention
from zoo.networks.mlp import Gated
from zoo.registry import NETWORKS


def model(network: dict[str, object], variant: str = "vae", side: int = 8, **settings: object) -> Autoencoder:
    torch.manual_seed(0)
    if variant != "vq_vae":
        settings = {"latent_dim": 3} | settings
    return zoo.create_model(variant, image_shape=(1, side, side), network=network, **settings)


def test_a_gate_multiplies_by_a_share() -> None:
    gated = Gated(3, 2)
    nn.init.zeros_(gated.g.weight)
    nn.init.constant_(gated.g.bias, 100.0)
    x = torch.randn(4, 3)
    torch.testing.assert_close(gated(x), gated.h(x))
    nn.init.constant_(gated.g.bias, -100.0)
    assert gated(x).abs().max() < 1e-30


def test_the_options_of_an_mlp_are_in_its_layers() -> None:
    found = model({"name": "mlp", "hidden": [16, 8], "gated": True, "batch_norm": True, "dropout": 0.3})
    layers = [type(layer) for layer in found.encoder.modules()]
    assert layers.count(Gated) == layers.count(nn.BatchNorm1d) == layers.count(Dropout) == 2
    assert nn.ReLU not in layers
    decoder = [type(layer) for layer in found.decoder.modules()]
    assert decoder.count(Gated) == decoder.count(nn.BatchNorm1d) == 2
    assert Dropout not in decoder


def test_batch_norm_of_convolutions_is_before_every_activation_and_takes_the_place_of_biases() -> None:
    found = model({"name": "conv", "channels": [4, 6], "batch_norm": True, "hidden": [5]}, "ae")
    encoder, decoder = ([type(layer) for layer in part.modules()] for part in (found.encoder, found.decoder))
    assert encoder.count(nn.BatchNorm2d) == decoder.count(nn.BatchNorm2d) == 2
    for layers in (encoder, decoder):
        assert all(layers[place + 1] is nn.ReLU for place, layer in enumerate(layers) if layer is nn.BatchNorm2d)
    assert all(layer.bias is None for layer in found.encoder.modules() if isinstance(layer, nn.Conv2d))
    features = found.encoder[:2](torch.rand(64, 1, 8, 8))  # in training: of mean 0 and variance 1 over the batch
    torch.testing.assert_close(features.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.var(dim=(0, 2, 3), correction=0), torch.ones(4), atol=1e-2, rtol=0)


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, h = SelfAttention(6), torch.randn(2, 6, 3, 3)
    theirs = nn.MultiheadAttention(6, 1, batch_first=True)
    weights = {
        "in_proj_weight": ours.qkv.weight[:, :, 0, 0], "in_proj_bias": ours.qkv.bias,
        "out_proj.weight": ours.out.weight[:, :, 0, 0], "out_proj.bias": ours.out.bias,
    }  # fmt: skip
    theirs.load_state_dict(weights)
    tokens = ours.norm(h).flatten(2).transpose(1, 2)
    expected, _ = theirs(tokens, tokens, tokens)
    torch.testing.assert_close(ours(h), expected.transpose(1, 2).reshape(h.shape), atol=1e-5, rtol=1e-4)


def test_attention_lets_every_position_see_every_other() -> None:
    image = torch.zeros(1, 1, 32, 32)
    corner = image.clone()
    corner[0, 0, 0, 0] = 1.0

    def moved(attention: bool) -> Tensor:
        found = model({"name": "residual", "channels": 4, "attention": attention}, "vq_vae", 32, code_dim=3).eval()
        return (found.encoder(corner) - found.encoder(image)).abs().amax(dim=(0, 1))[-1, -1]

    assert moved(False) == 0  # two strides and a kernel of 3 do not reach across
    assert moved(True) > 0


def test_spectral_norm_makes_the_largest_singular_value_one() -> None:
    found = model({"name": "conv", "channels": [4, 6], "spectral_norm": True}, "ae")
    plain = model({"name": "conv", "channels": [4, 6]}, "ae")
    found.train()
    for _ in range(60):
        found.decode(torch.randn(2, 3))
    checked = 0
    for layer in found.decoder.modules():
        if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
            weight = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
            assert float(torch.linalg.matrix_norm(weight.flatten(1), 2).detach()) == pytest.approx(1, abs=1e-2)
            checked += 1
    assert checked == 3
    assert found.parameter_count == plain.parameter_count


GRIDS = [
    {"name": "conv", "channels": [4, 6]},
    {"name": "conv_pool", "channels": [2, 4, 2]},
    {"name": "residual", "channels": 4},
]


@pytest.mark.parametrize("network", GRIDS, ids=lambda network: network["name"])
@pytest.mark.parametrize("classes", [0, 3])
def test_a_grid_of_codes_on_every_network_with_a_map(network: dict[str, object], classes: int) -> None:
    found = model(network, "vq_vae", code_dim=3, codebook_size=5, classes=classes).eval()
    x, labels = torch.rand(4, 1, 8, 8), torch.arange(4) % 3
    given = found.given(labels) if classes else found
    assert given.encode(x).mean.shape == (4, 3 * 2 * 2)
    assert given.reconstruct(x).shape == x.shape


@pytest.mark.parametrize("name", NETWORKS.names())
@pytest.mark.parametrize("variant", ["ae", "vae"])
def test_labels_without_weight_change_nothing_and_with_weight_something(name: str, variant: str) -> None:
    network = {"conv_pool": {"channels": [2, 4, 2], "hidden": [6]}, "mlp": {"hidden": [6]}}.get(name, {})
    if name not in {"conv", "conv_pool", "mlp", "residual"}:
        pytest.skip("not one of the zoo's own")
    found = model({"name": name, **network}, variant, classes=3).eval()
    x, first, second = torch.rand(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    assert not torch.equal(found.encode(x, first).mean, found.encode(x, second).mean)
    z = torch.randn(2, 3)
    assert not torch.equal(found.decode(z, first).mean, found.decode(z, second).mean)
    entrances = [
        next(m for m in part.modules() if isinstance(m, nn.Linear | nn.Conv2d))
        for part in (found.encoder, found.decoder)
    ]
    with torch.no_grad():
        for layer in entrances:
            layer.weight[:, -3:] = 0
    torch.testing.assert_close(found.reconstruct(x, first), found.reconstruct(x, second))
