"""Exported files compute what the model does, for any number of images."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from tests.helpers import SHIPPED_VARIANTS, command, costly_variants, process
from zoo.entries.catalog import list_models
from zoo.models import Autoencoder
from zoo.tasks.exporting import PARTS, example, export, metadata

onnxruntime = pytest.importorskip("onnxruntime")

FILES = {"encoder.onnx", "decoder.onnx", "reconstruct.onnx"}


def check_onnx(model: Autoencoder, paths: Iterable[Path]) -> None:
    torch.manual_seed(0)
    for path in paths:
        part = PARTS[path.stem](model).eval()
        session = onnxruntime.InferenceSession(str(path))
        for images in (1, 5):
            inputs = example(part, images)
            with torch.no_grad():
                expected = part(*inputs).numpy()
            fed = {name: value.numpy() for name, value in zip(part.names(), inputs, strict=True)}
            (computed,) = session.run(None, fed)
            assert computed.shape == expected.shape
            assert np.abs(computed - expected).max() < 1e-5 * max(1, np.abs(expected).max())
        facts = session.get_modelmeta().custom_metadata_map
        assert facts == metadata(part, path.stem)
        assert json.loads(facts["image_range"]) == [0, 1]


def one_of_each_kind() -> dict[str, str]:
    """Return one of the entries with weights for each choice of parts that are exported, with its variant."""
    kinds: dict[str, tuple[str, str]] = {}
    for name in list_models(weights=True):
        model = zoo.recipe(name).to_dict()["model"]
        parts = [value.get("name") for part, value in model.items() if isinstance(value, dict) and part != "prior"]
        kinds.setdefault(str([model["variant"], *parts]), (name, model["variant"]))
    return dict(kinds.values())


ENTRIES = one_of_each_kind()


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_onnxruntime_computes_the_same_as_an_entry_of_every_kind(name: str, tmp_path: Path) -> None:
    model = zoo.load(name)
    check_onnx(model, export(model, tmp_path, "onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("variant", [variant for variant in SHIPPED_VARIANTS if variant not in ENTRIES.values()])
def test_onnxruntime_computes_the_same_as_a_variant_without_an_entry(
    variant: str, tiny_run: Callable[[str], Path], tmp_path: Path
) -> None:
    model = zoo.load(tiny_run(variant))
    check_onnx(model, export(model, tmp_path, "onnx"))


@pytest.mark.parametrize("variant", costly_variants())
def test_torch_export_computes_the_same_as_every_variant(
    variant: str, tiny_run: Callable[[str], Path], tmp_path: Path
) -> None:
    model = zoo.load(tiny_run(variant))
    for path in export(model, tmp_path, "torch"):
        part = PARTS[path.stem](model).eval()
        facts = {"zoo.json": ""}
        program = torch.export.load(str(path), extra_files=facts)
        inputs = example(part, 3)
        with torch.no_grad():
            assert torch.allclose(program.module()(*inputs), part(*inputs), atol=1e-6)
        assert json.loads(facts["zoo.json"]) == metadata(part, path.stem)


@pytest.mark.slow
def test_the_command_writes_what_onnxruntime_computes(tiny_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = tiny_run("conditional_vae")
    done = command("export", run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (folder,) = tmp_path.iterdir()
    assert folder.name == "tiny_vae-onnx"
    assert {path.name for path in folder.iterdir()} == FILES
    check_onnx(zoo.load(run), folder.iterdir())


@pytest.mark.slow
def test_the_command_in_a_process_of_its_own_prints_nothing_of_the_exporters(tmp_path: Path) -> None:
    done = process("export", "linear_vae_mnist", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "linear_vae_mnist-onnx").iterdir()} == FILES
    assert done.stderr == ""
