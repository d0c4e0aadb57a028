"""Loading a run folder: strictly, or not at all, with a clear word."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

import zoo
from tests.helpers import tiny_recipe
from zoo.entries.loading import load
from zoo.errors import ZooError
from zoo.runs.folder import read_config
from zoo.schema.digest import digest
from zoo.system.files import sha256, write_atomically


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of a run folder, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def replace_weights(folder: Path, content: bytes) -> None:
    """Other weights, with the sha256 that goes with them."""
    (folder / "model.safetensors").write_bytes(content)
    edit(folder, lambda fields: fields.update(weights_sha256=sha256(content)))


def test_a_loaded_model_is_the_trained_one_in_eval_mode_with_its_card(trained: Path) -> None:
    model = load(trained)
    assert not model.training
    assert all(not module.training for module in model.modules())
    stored = load_file(trained / "model.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    assert model.config is not None
    assert model.config.checked_recipe == tiny_recipe()
    assert model.config.parameters == sum(p.numel() for p in model.parameters())


def test_paths_as_text_and_as_path(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parent)
    for source in (trained, str(trained), f"./{trained.name}", Path(trained.name)):
        assert load(source).image_shape == (1, 28, 28)


def test_loading_leaves_the_random_numbers_alone(trained: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load(trained)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("owner/name", r"write \./owner/name or hf-hub:owner/name"),
        ("https://huggingface.co/owner/name", "write hf-hub:owner/name"),
        ("", "name an entry, a run folder or hf-hub:owner/name, .*; got ''"),
        ("conv_vae_mnits", "unknown entry 'conv_vae_mnits'; did you mean 'conv_vae_mnist'"),
        (
            "quickstart",
            "neither shipped nor on the Hub; train it with `zoo train quickstart`",
        ),
        ("./nowhere", "there is no folder nowhere"),
    ],
)
def test_names_that_lead_nowhere(source: str, expected: str) -> None:
    with pytest.raises(ZooError, match=expected):
        load(source)


def test_a_folder_without_its_dot_is_shown_the_right_spelling(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parent)
    with pytest.raises(ZooError, match=rf"for the folder, write \./{trained.name}"):
        load(trained.name)


def test_a_device_that_is_not_there(trained: Path) -> None:
    with pytest.raises(ZooError, match="no device 'tpu9'"):
        load(trained, device="tpu9")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ZooError, match=f"not a whole run folder: {name} is missing"):
        load(folder)


def test_a_truncated_and_a_bit_flipped_weights_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for position in (3, 20, 500, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 16
        path.write_bytes(damaged)
        with pytest.raises(ZooError, match="is damaged or not the file that config.json describes"):
            load(folder)
    for size in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ZooError, match="is damaged"):
            load(folder)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x80\x02}q\x00.", (10).to_bytes(8, "little") + b"{not json}"])
def test_bytes_that_are_no_safetensors_even_with_the_right_sha256(folder: Path, content: bytes) -> None:
    replace_weights(folder, content)
    with pytest.raises(ZooError, match="not a valid safetensors"):
        load(folder)


def test_weights_of_another_shape(folder: Path) -> None:
    def narrower(fields: dict[str, Any]) -> None:
        fields["recipe"]["model"]["latent_dim"] = 5
        fields["recipe_sha256"] = digest(fields["recipe"])

    edit(folder, narrower)
    with pytest.raises(ZooError, match=r"encoder\..*mu\.weight: expected float32 \(5, 32\), found float32 \(4, 32\)"):
        load(folder)


def test_weights_of_another_network(tiny_run: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_run("vae"), tmp_path / "run"))

    def narrower(fields: dict[str, Any]) -> None:
        fields["recipe"]["model"]["network"]["hidden"] = [5]
        fields["recipe_sha256"] = digest(fields["recipe"])

    edit(folder, narrower)
    with pytest.raises(ZooError, match=r"encoder\..*weight: expected float32 \(5, 784\), found float32 \(16, 784\)"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t.pop("decoder.0.weight"), r"decoder\.0\.weight: expected float32 \(32, 4\), found nothing"),
        (lambda t: t.update(extra=torch.zeros(1)), r"extra: expected nothing, found float32 \(1,\)"),
        (lambda t: t.update({"decoder.0.bias": t["decoder.0.bias"].half()}), "expected float32 .*found float16"),
    ],
)
def test_missing_additional_and_narrower_weights(folder: Path, change: Any, expected: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    replace_weights(folder, save(tensors))
    with pytest.raises(ZooError, match=expected):
        load(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: f["recipe"]["model"].update(variant="my_vae"), "unknown variant 'my_vae'"),
        (lambda f: f["recipe"]["model"].update(variant="os.system"), "unknown variant 'os.system'"),
        (lambda f: f["recipe"]["objective"].update(name="evil"), "its sha256 differs"),
        (lambda f: f["recipe"].pop("optimizer"), "its sha256 differs"),
        (lambda f: f["recipe"].pop("model"), "model: the section is missing"),
        (lambda f: f["recipe"].update(training="x"), "its sha256 differs"),
        (lambda f: f.update(image_shape=[1, -2, 3]), "image_shape.1: input should be greater than 0"),
        (lambda f: f.update(image_shape=[2**20] * 3), "make it smaller"),
        (lambda f: f["recipe"]["model"].update(likelihood={"family": "gaussian"}), "its sha256 differs"),
        (lambda f: f.update(parameters=7), "another number of parameters"),
        (lambda f: f.update(image_shape=[3, 9, 9]), r"expected float32 \(32, 243\), found float32 \(32, 784\)"),
        (lambda f: f.update(weights_sha="x"), "weights_sha: unknown field; did you mean 'weights_sha256'"),
        (lambda f: f.pop("recipe"), "recipe: field required"),
        (lambda f: f.update(format=99), "format"),
        (lambda f: f["recipe"]["model"].update(hiden=[3]), "hiden: unknown field; did you mean 'hidden'"),
    ],
)
def test_a_config_that_is_not_what_training_writes(folder: Path, change: Any, expected: str) -> None:
    edit(folder, change)
    with pytest.raises(ZooError, match=expected):
        load(folder)


def test_a_config_that_is_no_json(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": 1,\n oops}')
    with pytest.raises(ZooError, match="line 2, column 2"):
        read_config(folder)


def test_writes_are_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ZooError, match="No space left on device; what was there before is unchanged"):
        write_atomically(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_the_public_names_are_those_of_the_modules(trained: Path) -> None:
    assert zoo.load is load
    model = zoo.build(tiny_recipe())
    assert model.training
    assert {"prior.mean"} & set(model.state_dict()) == set()
    save_file(model.state_dict(), trained.parent / "weights.safetensors")


DAMAGES: list[Any] = [
    lambda fields: fields.pop("name"),
    lambda fields: fields.update(unknown=1),
    lambda fields: fields.update(metrics=[]),
    lambda fields: fields["metrics"].pop("test"),
    lambda fields: fields["metrics"].update(validation={}),
    lambda fields: fields["metrics"]["test"].update(mse=None),
    lambda fields: fields["metrics"]["test"].update(mse=float("inf")),
    lambda fields: fields["metrics"]["test"].update(mse=float("nan")),
    lambda fields: fields["dataset"].pop("train"),
    lambda fields: fields["dataset"]["test"].pop("sha256"),
    lambda fields: fields.update(parameters="x"),
    lambda fields: fields.update(glyphs={"kl": "x"}),
    lambda fields: fields.update(repetitions=[{}]),
    lambda fields: fields.update(evaluation={"elbo": {}}),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_config_is_told_and_no_traceback(trained: Path, tmp_path: Path, damage: Any) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    fields = json.loads((folder / "config.json").read_text())
    damage(fields)
    (folder / "config.json").write_text(json.dumps(fields))
    with pytest.raises(ZooError, match="config.json"):
        load(folder)


def test_a_config_of_mistakes_is_refused_soon(folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text())
    start = time.process_time()
    for mistakes in ({"repetitions": [0] * 200_000}, {"versions": {str(number): 0 for number in range(40_000)}}):
        (folder / "config.json").write_text(json.dumps({**fields, **mistakes}, separators=(",", ":")))
        with pytest.raises(ZooError, match="input should be a valid"):
            read_config(folder)
    assert time.process_time() - start < 3
