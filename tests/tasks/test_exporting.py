"""Exported files compute what the model does, for any number of images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
from tests.helpers import command
from zoo.entries.catalog import list_models
from zoo.tasks.exporting import PARTS, example, export, metadata

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", list_models(weights=True))
def test_onnxruntime_computes_the_same(name: str, tmp_path: Path) -> None:
    model = zoo.load(name)
    torch.manual_seed(0)
    for path in export(model, tmp_path, "onnx"):
        part = PARTS[path.stem](model).eval()
        session = onnxruntime.InferenceSession(str(path))
        for images in (1, 5):
            inputs = example(part, images)
            with torch.no_grad():
                expected = part(*inputs).numpy()
            fed = {name: value.numpy() for name, value in zip(part.names(), inputs, strict=True)}
            (found,) = session.run(None, fed)
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 1e-5 * max(1, np.abs(expected).max())
        facts = session.get_modelmeta().custom_metadata_map
        assert facts == metadata(part, path.stem)
        assert json.loads(facts["image_range"]) == [0, 1]


@pytest.mark.parametrize("name", ["conv_vae_mnist", "conditional_vae_mnist", "vq_vae_fashion_mnist"])
def test_torch_export_computes_the_same(name: str, tmp_path: Path) -> None:
    model = zoo.load(name)
    for path in export(model, tmp_path, "torch"):
        part = PARTS[path.stem](model).eval()
        facts = {"zoo.json": ""}
        program = torch.export.load(str(path), extra_files=facts)
        inputs = example(part, 3)
        with torch.no_grad():
            assert torch.allclose(program.module()(*inputs), part(*inputs), atol=1e-6)
        assert json.loads(facts["zoo.json"]) == metadata(part, path.stem)


def test_the_command(tmp_path: Path) -> None:
    done = command("export", "linear_vae_mnist", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "linear_vae_mnist-onnx").iterdir()} == {
        "encoder.onnx", "decoder.onnx", "reconstruct.onnx",
    }  # fmt: skip
    assert done.stderr == ""
