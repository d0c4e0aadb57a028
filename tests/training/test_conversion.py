"""``zoo convert``: weights that were trained elsewhere, by the names of their tensors, into a run folder."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor

import zoo
from tests.helpers import command, tiny_fields, tiny_model
from tests.hub.server import StandInHub
from zoo.cli.convert import recipe_of_foreign
from zoo.errors import ZooError
from zoo.runs.folder import parse_weights, read_config
from zoo.schema.run_config import RunConfig
from zoo.system.files import sha256_of_file
from zoo.training.conversion import check_file, unpickling
from zoo.training.tensor_names import guessed_rules, parse_rules, renamed

RULES = ["encoder.*", "decoder.0.*", "decoder.2.*"]


@pytest.fixture
def foreign(trained: Path, tmp_path: Path) -> Path:
    """The weights of ``trained`` under other names."""
    path = tmp_path / "theirs.safetensors"
    weights = load_file(trained / "model.safetensors")
    save_file({name.replace("encoder", "enc").replace("decoder.", "net.dec."): w for name, w in weights.items()}, path)
    return path


@pytest.fixture
def convert(recipe_file: Callable[..., Path], tmp_path: Path) -> Callable[..., str]:
    """Runs ``zoo convert`` into ``converted`` and returns what it printed, errors last."""

    def run(file: Path, *options: object, code: int = 0) -> str:
        recipe = tmp_path / "recipe.json"
        done = command("convert", file, "--recipe", recipe if recipe.exists() else recipe_file(), "--out",
                       tmp_path / "converted", "--device", "cpu", *options)  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


THEIRS = ("--map", "enc.*=encoder.*", "--map", "net.dec.*=decoder.*")


def test_a_converted_model_is_one_like_any_other(
    trained: Path, foreign: Path, convert: Callable[..., str], tmp_path: Path, hub: StandInHub
) -> None:
    convert(foreign, *THEIRS)
    out, before = tmp_path / "converted", read_config(trained)
    config = read_config(out)
    assert (out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert (config.metrics, config.dataset) == (before.metrics, before.dataset)
    assert config.foreign and config.foreign.file == "theirs.safetensors"
    assert config.foreign.sha256 == sha256_of_file(foreign)
    assert config.foreign.mapping == {"enc.*": "encoder.*", "net.dec.*": "decoder.*"}
    card = (out / "README.md").read_text()
    assert "Trained elsewhere, nothing is known of how: the weights were in theirs.safetensors" in card
    assert "never saw" not in card and "Trained in" not in card and "train it again" not in card
    assert "loss_curves.png" not in card and "samples.png" in card
    assert torch.isfinite(zoo.load(out).sample(2)).all()
    for verb in ("evaluate", "verify"):
        done = command(verb, out, *(["--check"] if verb == "evaluate" else []))
        assert done.returncode == 0, done.stdout + done.stderr
    assert command("compare", out, trained, "--json").returncode == 0
    done = command("figures", out, "--kind", "samples", "--out", tmp_path / "samples.png")
    assert done.returncode == 0, done.stderr
    done = command("push", out, "me/converted", "--dry-run")
    assert done.returncode == 0 and "README.md" in done.stdout, done.stderr


def test_what_needs_a_history_says_that_there_is_none(
    foreign: Path, trained: Path, convert: Callable[..., str], tmp_path: Path
) -> None:
    convert(foreign, *THEIRS)
    out = tmp_path / "converted"
    for words, said in {
        ("figures", out, "--kind", "loss_curves", "--out", tmp_path / "x.png"): "nothing is known of how they were tr",
        ("figures", out, "--kind", "progress", "--out", tmp_path / "x.png"): "nothing is known of how they were tr",
        ("verify", out, "--retrain", "--out", tmp_path / "again"): "no training can be repeated",
        ("train", out, "--resume", "--set", "training.epochs=9"): "no training that could go on",
        ("evaluate", trained, "--update", "--runs", out): "it is no run of a recipe with a seed",
    }.items():
        done = command(*words)
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1


def test_the_rules_that_are_suggested_are_those_that_are_missing(
    foreign: Path, convert: Callable[..., str], tmp_path: Path
) -> None:
    said = convert(foreign, code=2)
    (line,) = (line for line in said.splitlines() if "perhaps" in line)
    assert "encoder.1.weight: (32, 784) is missing" in said
    assert not (tmp_path / "converted").exists() and not (tmp_path / "converted.partial").exists()
    convert(foreign, *shlex.split(line.partition("there: ")[2]))


def test_a_file_of_rules(foreign: Path, convert: Callable[..., str], tmp_path: Path) -> None:
    rules = tmp_path / "names.json"
    rules.write_text(json.dumps({"enc.*": "encoder.*", "net.dec.*": "decoder.*"}))
    convert(foreign, "--map", rules)
    rules.write_text(json.dumps({"enc.*": 1}))
    assert "expected the name of a tensor" in convert(foreign, "--map", rules, "--overwrite", code=2)


def test_what_does_not_fit_is_said(trained: Path, convert: Callable[..., str], tmp_path: Path) -> None:
    weights: dict[str, Tensor] = load_file(trained / "model.safetensors")
    name, other = "encoder.1.weight", "decoder.0.bias"
    changed = {**weights, name: weights[name][:3].clone(), "critic.weight": torch.zeros(2, 2)}
    changed[other] = weights[other].half()
    save_file(changed, tmp_path / "w.safetensors")
    said = convert(tmp_path / "w.safetensors", code=2)
    assert f"{name}: expected float32 (32, 784), found float32 (3, 784)" in said
    assert "left over in w.safetensors: critic.weight (2, 2)" in said
    said = convert(tmp_path / "w.safetensors", "--partial", "--map", "critic.*=")
    assert "left over" not in said and "1 of them converted from float16" in said
    config = read_config(tmp_path / "converted")
    assert config.foreign and config.foreign.initial == [name]
    assert f"Not in it, and with initial weights (seed 0): {name}." in (tmp_path / "converted/README.md").read_text()
    model = zoo.load(tmp_path / "converted")
    torch.manual_seed(0)
    fresh = zoo.create_model("linear_vae", image_shape=model.image_shape, hidden=[32], latent_dim=4)
    assert torch.equal(model.state_dict()[name], fresh.state_dict()[name])
    assert torch.equal(model.state_dict()[other], weights[other].half().float())


def test_the_prior_of_a_plain_autoencoder_is_fitted_as_after_a_training(
    tiny_run: Callable[[str], Path], recipe_file: Callable[..., Path], convert: Callable[..., str], tmp_path: Path
) -> None:
    run = tiny_run("ae")
    weights = load_file(run / "model.safetensors")
    save_file({name: w for name, w in weights.items() if not name.startswith("prior.")}, tmp_path / "w.safetensors")
    recipe_file(model=tiny_model("ae"), objective={"name": "reconstruction"})
    assert "the prior is fitted" in convert(tmp_path / "w.safetensors")
    assert (tmp_path / "converted/model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_pickled_file_is_refused_with_the_line_that_helps(
    trained: Path, convert: Callable[..., str], tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = load_file(trained / "model.safetensors")
    pickled = tmp_path / f"it's{ending}"
    torch.save({"state_dict": weights | {"tied": weights["encoder.1.bias"]}, "epoch": 3}, pickled)
    said = convert(pickled, code=2)
    assert "the zoo unpickles nothing" in said and said.count("\n") == 1
    line = said.partition("can write ")[2].strip()
    assert line == unpickling(pickled)
    python, option, code, *arguments = shlex.split(line)
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    exec(code)  # as its owner would
    assert load_file(arguments[1]).keys() == {*weights, "tied"}


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_whose_length_begins_like_a_pickle_is_no_pickle(length: int, tmp_path: Path) -> None:
    content = save({"a": torch.zeros(2)})
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header.ljust(length) + content[-8:])
    check_file(path)
    assert parse_weights(path.read_bytes(), path)["a"].tolist() == [0, 0]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_any_protocol_is_known(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for weights in ({"a": [0.0] * 99}, {"{": 1}, list(range(300))):
        path.write_bytes(pickle.dumps(weights, protocol))
        with pytest.raises(ZooError, match="the zoo unpickles nothing"):
            check_file(path)
        torch.save(weights, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        with pytest.raises(ZooError, match="the zoo unpickles nothing"):
            check_file(path)


def test_a_name_that_no_text_can_hold_is_spelled(foreign: Path, convert: Callable[..., str], tmp_path: Path) -> None:
    convert(foreign.rename(tmp_path / "w\udce4.safetensors"), *THEIRS)
    found = read_config(tmp_path / "converted").foreign
    assert found and found.file == "w\\xe4.safetensors"


def test_what_is_said_of_the_new_weights_is_kept() -> None:
    recipe = recipe_of_foreign("linear_vae_mnist", ['source={"license":"mit"}', "summary=Mine"])
    assert (recipe.source.license, recipe.summary, recipe.claims) == ("mit", "Mine", ())
    claims = '[{"metric":"mse","split":"test","value":0.01,"tolerance":0.001}]'
    assert len(recipe_of_foreign("linear_vae_mnist", [f"claims={claims}"]).claims) == 1


def test_weights_in_an_entrys_model_do_not_take_its_words(foreign: Path) -> None:
    done = command("convert", foreign, "--recipe", "linear_vae_mnist")
    assert done.stdout.startswith("linear_vae_mnist with these weights is called linear_vae_mnist_converted")
    assert "linear_vae_mnist_converted" in done.stderr


def test_a_file_that_is_not_there_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    done = command("convert", tmp_path / "none.safetensors", "--recipe", "linear_vae_mnist")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("error: there is no file")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--map", "x.*"), "expected OLD=NEW"),
        (("--map", "enc.*.*=a"), "at most one *"),
        (("--map", "enc=dec.*"), "at most one *"),
        (("--map", "enc.*=a", "--map", "enc.*=b"), "keep one"),
        (("--map", "enc.1.wieght=x"), "no tensor has such a name; did you mean"),
        (("--map", "enc.1.weight=x", "--map", "enc.1.bias=x"), "would all be x"),
    ],
)
def test_rules_that_are_wrong(foreign: Path, convert: Callable[..., str], options: tuple[str, ...], said: str) -> None:
    answer = convert(foreign, *options, code=2)
    assert said in answer and answer.count("\n") == 1


def test_whole_names_come_before_patterns() -> None:
    rules = parse_rules(["a.*=b.*", "a.x=c", "d.*="])
    assert renamed(["a.x", "a.y", "d.z", "e"], rules) == {"a.x": "c", "a.y": "b.y", "d.z": "", "e": "e"}
    with pytest.raises(ZooError, match="leave one out"):
        renamed(["a.y", "b.y"], {"a.*": "b.*"})


def test_guesses_go_by_shape_then_by_name() -> None:
    missing = {"encoder.1.weight": (8, 4), "encoder.1.bias": (8,), "encoder.2.weight": (8, 8), "encoder.2.bias": (8,)}
    there = {"fc1.weight": (8, 4), "fc1.bias": (8,), "fc2.weight": (8, 8), "fc2.bias": (8,), "fc3.weight": (1, 8)}
    assert guessed_rules(missing, there) == {"fc1.*": "encoder.1.*", "fc2.*": "encoder.2.*"}
    assert guessed_rules(missing, {f"module.{name}": shape for name, shape in missing.items()}) == {"module.*": "*"}
    assert guessed_rules({"a.weight": (2,), "b.bias": (3,)}, {"x.weight": (2,), "x.bias": (3,)}) == {
        "x.weight": "a.weight",
        "x.bias": "b.bias",
    }


def test_records_of_weights_that_were_trained_here_have_no_new_field(trained: Path) -> None:
    fields = json.loads((trained / "config.json").read_text())
    assert "foreign" not in fields
    assert RunConfig.model_validate(fields).foreign is None
    assert re.search("Measured after training in eval mode", (trained / "README.md").read_text())
    assert tiny_fields()["name"] == fields["name"]
