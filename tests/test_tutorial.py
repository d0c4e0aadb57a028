"""The tutorial runs from its first cell to its last, and its figures are shown."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers import ROOT


@pytest.mark.slow
def test_every_cell_runs_and_figures_show(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    nbformat.validate(notebook)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute(env={**os.environ, "PYTHONPATH": str(ROOT)})
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 5
    text = " ".join(output.get("data", {}).get("text/plain", "") for output in shown)
    assert "beta_vae_1_glyphs: conv_vae, 61,893 parameters" in text
    assert "my_vae: vae" in text
    assert "torch.Size([4, 1, 28, 28])" in text
