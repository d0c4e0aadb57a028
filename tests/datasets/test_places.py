"""The folder of datasets and caches: where it is, on machines without a home folder, too, and what is said of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, command, dataset
from tests.hub.server import StandInHub
from zoo.datasets import data_folder, load_images
from zoo.errors import NotApplicable, ZooError
from zoo.metrics._classifier import load_classifier
from zoo.system.files import user_path


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without an entry in passwd and without HOME, as ``docker run --user 12345`` makes one."""

    def nobody(*_: object) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "ZOO_DATA", "XDG_CACHE_HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(RuntimeError, match="home"):
        Path.home()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_the_data_folder_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotApplicable, match="set ZOO_DATA"):
        data_folder()
    assert load_classifier("mnist", (1, 28, 28))  # the package's needs no data folder
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert data_folder() == Path("/caches/autoencoder-zoo")
    monkeypatch.setenv("ZOO_DATA", "/data")
    assert data_folder() == Path("/data")


def test_home_folders_of_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ZOO_DATA", raising=False)
    assert data_folder() == Path("/home/me/.cache/autoencoder-zoo")
    monkeypatch.setenv("ZOO_DATA", "~/data")
    assert data_folder() == Path("/home/me/data")
    monkeypatch.setenv("ZOO_DATA", "~nosuchuser/x")
    with pytest.raises(ZooError, match=r"^ZOO_DATA=~nosuchuser/x: there is no such home folder; write \./~nosuch"):
        data_folder()
    with pytest.raises(ZooError, match="no such home folder"):
        user_path("~nosuchuser")


def test_a_data_folder_that_cannot_be_written_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(ZooError, match="file/data.*; set ZOO_DATA to a folder that can be written"):
        load_images(dataset("image_folder", path=str(folder), size=16, channels=1), "train")


@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_the_hub_says_what_to_set(
    hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
    done = command("pull", f"hf-hub:me/there@{40 * '0'}", cwd=tmp_path)
    assert done.returncode == 2
    assert "set HF_HOME" in done.stderr
    assert not (tmp_path / "~").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="there is no setpriv")
@pytest.mark.parametrize("named", [True, False])
def test_a_user_whom_the_machine_does_not_know(named: bool, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    may_read = "+dac_read_search"  # the interpreter may lie where only root reads
    done = subprocess.run(
        ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", f"--inh-caps=-all,{may_read}",
         f"--ambient-caps=-all,{may_read}", sys.executable, "-m", "zoo", "cache"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | ({"ZOO_DATA": str(folder)} if named else {}),
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    if "setpriv" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, "set ZOO_DATA" in done.stderr) == ((0, False) if named else (2, True)), done.stderr
    assert "Traceback" not in done.stderr
