"""What is no file is not opened, and a full memory is no fault of the file that is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.helpers import command
from zoo.errors import ZooError
from zoo.system import image_files
from zoo.training.checkpoint import read_checkpoint


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes with names")
def test_a_pipe_is_refused_and_not_waited_for(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mask.png")
    for mask, why in (
        (tmp_path / "mask.png", "is not a file"),
        ("/dev/zero", "is not a file"),
        ("nope", "no such file"),
    ):
        strip = tmp_path / "strip.png"
        done = command("impute", "beta_vae_1_glyphs", folder, "--mask", mask, "--strip", strip)
        assert done.returncode == 2
        assert why in done.stderr
    with pytest.raises(ZooError, match="is not a file; remove it"):
        read_checkpoint(tmp_path / "mask.png")


def test_no_image_is_skipped_for_want_of_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(image_files, "to_array", full)
    done = command("anomaly", "beta_vae_1_glyphs", folder, "--out", folder.parent / "x.csv")
    assert done.returncode == 2
    assert "memory is full" in done.stderr
