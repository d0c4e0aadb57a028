"""An encoder and a decoder of the user's own in place of a network, handed in from Python."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.helpers import CPU, command, tiny_recipe, weights
from zoo.errors import ZooError
from zoo.evaluation.comparison import compare
from zoo.models import handing_in
from zoo.registry import NETWORKS
from zoo.runs.card import load_name_in
from zoo.runs.folder import read_config
from zoo.schema.recipe import Recipe
from zoo.training import run as run_module
from zoo.training import train

DIGITS = (1, 28, 28)


class Encoder(nn.Module):
    """A map (B, 4, 7, 7) with BatchNorm, so that a trial in training mode would be seen."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, 4, 4, 4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


class Decoder(nn.Module):
    """A linear layer from a code, flat or a grid."""

    def __init__(self, code: int = 4, outputs: int = 1) -> None:
        super().__init__()
        self.outputs, self.linear = outputs, nn.Linear(code, outputs * 784)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z.flatten(1)).unflatten(1, (self.outputs, 28, 28))


def recipe_of(**sections: Any) -> Recipe:
    model = {"variant": "vae", "latent_dim": 4, "network": {"name": "own"}}
    return tiny_recipe(name="mine", **{"model": model} | sections)


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe_of(), tmp_path_factory.mktemp("runs") / "mine", CPU, encoder=Encoder, decoder=Decoder)


def test_a_model_has_copies_of_the_modules_as_they_are_handed_in() -> None:
    encoder, decoder = Encoder(), Decoder()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    model = zoo.create_model("vae", image_shape=DIGITS, latent_dim=4, encoder=encoder, decoder=decoder)
    inner = model.encoder[0]  # type: ignore[index]
    assert inner is not encoder and inner.training and encoder.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in inner.state_dict().items())
    assert torch.equal(model.decoder[0].linear.weight, decoder.linear.weight)  # type: ignore[index]
    x = torch.rand(3, *DIGITS)
    model.eval()
    assert torch.allclose(model.encode(x).mean, model.encoder[2:](inner(x).flatten(1)).mean)  # type: ignore[index]
    assert model.reconstruct(x).shape == x.shape and model.sample(2).shape == (2, *DIGITS)
    fresh = [zoo.create_model("ae", image_shape=DIGITS, latent_dim=4, encoder=Encoder, decoder=Decoder) for _ in "ab"]
    first, second = (model.encoder[0].conv.weight for model in fresh)  # type: ignore[index]
    assert not torch.equal(first, second)  # a class makes fresh weights


def test_it_goes_with_grids_labels_and_every_likelihood() -> None:
    grid = zoo.create_model(
        "vq_vae", image_shape=DIGITS, codebook_size=8, code_dim=4, encoder=Encoder, decoder=partial(Decoder, 4 * 49)
    )
    assert grid.sample(2).shape == (2, *DIGITS)
    given = zoo.create_model(
        "vae", image_shape=DIGITS, latent_dim=4, classes=3, likelihood={"family": "logistic"},
        encoder=partial(Encoder, 1 + 3), decoder=partial(Decoder, 4 + 3, outputs=2),
    )  # fmt: skip
    assert given.sample(2, labels=torch.tensor([0, 2])).shape == (2, *DIGITS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoder": None}, "the decoder is missing: hand in both, or none"),
        ({"decoder": 3}, "the decoder is of the type int; hand in a torch module, or a class or function"),
        ({"encoder": lambda: 3}, "makes a int; it must make a torch module"),
        ({"encoder": partial(Encoder, 2)}, "the encoder cannot take images of 1x28x28: .*2 channels"),
        ({"encoder": nn.Flatten(0)}, r"the encoder makes torch.float32 \(1568,\) of 2 of 1x28x28; it must make"),
        ({"encoder": nn.Unflatten(2, (2, 14))}, "the encoder makes 1x2x14x28 of an image; it must make F features or"),
        ({"decoder": partial(Decoder, 5)}, "the decoder cannot take codes of 4: "),
        ({"decoder": partial(Decoder, outputs=2)}, "the decoder makes 2x28x28 of a code of 4; here .*make 1x28x28"),
        ({"likelihood": {"family": "logistic"}}, "the decoder makes 1x28x28 of a code of 4; here .* make 2x28x28"),
        ({"network": {"name": "mlp"}}, "the place of a network; drop network"),
        ({"variant": "linear_vae"}, "choose a variant that takes any, such as vae"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(settings: dict[str, Any], message: str) -> None:
    chosen = {"variant": "vae", "latent_dim": 4, "encoder": Encoder, "decoder": Decoder} | settings
    with pytest.raises(ZooError, match=message) as caught:
        zoo.create_model(chosen.pop("variant"), image_shape=DIGITS, **chosen)
    assert "\n" not in str(caught.value)


def test_the_run_folder_names_them_and_is_loaded_with_them_only(mine: Path, tmp_path: Path) -> None:
    config = read_config(mine)
    named = {role: f"{__name__}:{role.title()}" for role in ("encoder", "decoder")}
    assert config.recipe["model"]["network"] == {"name": "own", **named}
    with pytest.raises(
        ZooError,
        match=rf"mine: the encoder .* are its author's own \({__name__}:Encoder and {__name__}:Decoder\), and nothing",
    ):
        zoo.load(mine)
    model = zoo.load(mine, encoder=Encoder(), decoder=Decoder())  # whatever their weights are
    assert model.config == config and not model.training
    with handing_in(Encoder, Decoder):
        (result,) = compare([mine]).results
        assert result.metrics == pytest.approx(config.metrics["test"], rel=1e-6)
    with pytest.raises(ZooError, match="do not fit the model"):
        zoo.load(mine, encoder=partial(Encoder), decoder=nn.Sequential(Decoder()))
    with pytest.raises(ZooError, match="has the layers that its recipe says; drop encoder and decoder"):
        zoo.load("linear_vae_mnist", encoder=Encoder, decoder=Decoder)
    card = (mine / "README.md").read_text()
    assert 'model = zoo.load("./mine", encoder=Encoder, decoder=Decoder)' in card and load_name_in(card) == "./mine"
    assert "import them, and hand them in" in card
    refused = command("evaluate", mine)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "hand them in from Python" in refused.stderr


def test_a_module_of_any_name_can_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Encoder, "__module__", "my-layers.model" + "x" * 300)
    out = train(recipe_of(), tmp_path / "run", CPU, encoder=Encoder, decoder=Decoder)
    network = read_config(out).recipe["model"]["network"]
    assert network["encoder"].startswith("my_layers.model") and network["encoder"].endswith("x:Encoder")


def test_a_name_in_a_file_imports_nothing(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    fields = json.loads((mine / "config.json").read_text())
    fields["recipe"]["model"]["network"] |= {"encoder": "evil:Encoder", "decoder": "evil:Decoder"}
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "config.json").write_text(json.dumps(fields))
    (copy / "model.safetensors").write_bytes(weights(mine))
    with pytest.raises(ZooError):
        zoo.load(copy)
    with pytest.raises(ZooError, match="model.network.encoder"):
        recipe_of(model={"variant": "vae", "network": {"name": "own", "encoder": "import os; os"}})
    assert "own" not in NETWORKS.names()  # nobody is led to it by a list


def test_a_training_is_stopped_and_resumed_to_the_same_bits(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        """The end of a portion of steps."""

    def stop(*arguments: Any) -> Any:
        steps = original(*arguments)
        next(steps)
        raise Stopped

    original = run_module.train_epochs
    start = partial(train, recipe_of(), tmp_path / "mine", CPU, encoder=Encoder, decoder=Decoder)
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "train_epochs", stop)
        with pytest.raises(Stopped):
            start()
    assert (tmp_path / "mine.partial" / "checkpoint.safetensors").exists()
    assert weights(start(resume=True)) == weights(mine)


def test_a_recipe_with_other_layers_is_refused_when_modules_are_handed_in(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match='write "network": {"name": "own"} into its model'):
        train(tiny_recipe(), tmp_path / "run", CPU, encoder=Encoder, decoder=Decoder)
    with pytest.raises(ZooError, match="unnamed and unnamed"):
        train(recipe_of(), tmp_path / "run", CPU)
    assert list(tmp_path.iterdir()) == []
