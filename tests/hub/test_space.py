"""A folder that runs as a Space: what the Hub reads in it, what Docker is told, and the program that it starts."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

import zoo
from tests.helpers import PLUGIN, command, unproxied, weights
from tests.hub.server import StandInHub
from tests.system.test_manifest import contents
from zoo.cli.app import parser_of
from zoo.errors import ZooError
from zoo.hub import push, space
from zoo.hub.space import MANIFEST, SERVER, requirements, write_space
from zoo.runs.folder import RUN_FILES

COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
"""The colours that the Hub takes for ``colorFrom`` and ``colorTo``."""


def head(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = ModelCard.load(folder / "README.md").data.to_dict()
    return fields


def start(folder: Path) -> list[str]:
    """Return the command that the container starts."""
    words: list[str] = json.loads((folder / "Dockerfile").read_text().rpartition("\nCMD ")[2])
    return words


@pytest.fixture(scope="module")
def written(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("space") / "out"
    done = command("space", trained, "--out", out, "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    assert f"hf upload OWNER/tiny-vae {out} --repo-type space" in done.stdout
    return out


def test_the_head_of_the_readme_is_what_the_hub_asks_of_a_space(written: Path) -> None:
    fields = head(written)
    assert fields["title"] == "tiny_vae"
    assert (fields["sdk"], fields["app_port"]) == ("docker", 7860)
    assert {fields["colorFrom"], fields["colorTo"]} <= COLORS
    assert len(fields["emoji"]) == 1 and not fields["emoji"].isascii()
    assert 0 < len(fields["short_description"]) <= 60
    assert "license" not in fields and "models" not in fields  # the recipe states none; it is nowhere on the Hub


def test_the_folder_holds_the_run_the_zoo_and_the_users_file(written: Path, trained: Path) -> None:
    files = contents(written)
    assert weights(written / "runs" / "tiny_vae") == weights(trained)
    assert {f"runs/tiny_vae/{name}" for name in RUN_FILES} <= files.keys()
    assert files["imports/plugin.py"] == PLUGIN.read_bytes()
    assert {"zoo/__main__.py", "zoo/cli/space.py", "zoo/py.typed", "zoo/LICENSE"} <= files.keys()
    assert not [name for name in files if name.startswith(("zoo/weights", "zoo/recipes")) or name.endswith(".pyc")]
    assert set(json.loads(files[MANIFEST])) == files.keys() - {MANIFEST}
    assert sum(map(len, files.values())) < 10e6


def test_every_package_is_pinned_as_it_is_installed_here(written: Path) -> None:
    index, *pins = (written / "requirements.txt").read_text().splitlines()
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    versions = dict(pin.split("==") for pin in pins)
    assert versions.keys() >= {"torch", "torchvision", "pydantic", "safetensors", *SERVER, "h11"}  # uvicorn needs h11
    assert all(version(name).partition("+")[0] == pin for name, pin in versions.items())
    assert not versions.keys() & {"pytest", "scikit-learn", "autoencoder-zoo"}


def test_docker_is_told_to_serve_everybody_at_the_port_of_a_space(written: Path) -> None:
    text = (written / "Dockerfile").read_text()
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim$", text, re.MULTILINE)
    assert "\nUSER user\n" in text and "--uid 1000" in text
    assert "zoo pull" not in text
    words = start(written)
    assert words[:5] == ["python", "-m", "zoo", "explore", "./runs/tiny_vae"]
    parser_of("explore", "zoo explore").parse_args(words[4:])
    assert words[5:] == ["--host", "0.0.0.0", "--port", "7860", "--public", "--import", "imports/plugin.py"]


def test_the_same_run_gives_the_same_bytes(written: Path, trained: Path, tmp_path: Path) -> None:
    write_space(trained, tmp_path / "again", imports=[PLUGIN])
    assert contents(tmp_path / "again") == contents(written)


def test_test_images_are_left_out_where_they_are_not_to_be_shown(trained: Path, tmp_path: Path) -> None:
    done = command("space", trained, "--out", "out", "--without-test-images", "--import", PLUGIN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out" / "runs" / "tiny_vae").iterdir()}
    assert names == RUN_FILES - {"reconstructions.png", "snapshots.safetensors"}


def test_a_model_on_the_hub_is_fetched_at_its_commit_when_the_container_is_built(
    hub: StandInHub, trained: Path, tmp_path: Path
) -> None:
    pushed = push(trained, "me/tiny")
    done = command("space", pushed.address, "--out", "out", "--import", PLUGIN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pulled = f"\nRUN python -m zoo pull {pushed.address} --to ./runs/tiny_vae --endpoint {hub.url}\n"
    assert pulled in (tmp_path / "out/Dockerfile").read_text()
    assert not (tmp_path / "out" / "runs").exists()
    assert head(tmp_path / "out")["models"] == ["me/tiny"]
    done = command("space", pushed.address, "--out", "out", "--import", PLUGIN, "--without-test-images", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = next(line for line in (tmp_path / "out/Dockerfile").read_text().splitlines() if "zoo pull" in line)
    left_out = "./runs/tiny_vae/reconstructions.png ./runs/tiny_vae/snapshots.safetensors"
    assert line.endswith(f" --to ./runs/tiny_vae --endpoint {hub.url} && rm -f {left_out}")


def test_a_model_that_was_pulled_is_still_named_by_where_it_lies(
    hub: StandInHub, trained: Path, tmp_path: Path
) -> None:
    pushed = push(trained, "me/tiny")
    assert command("pull", pushed.address, "--to", "pulled", cwd=tmp_path).returncode == 0
    done = command("space", "./pulled", "--out", "out", "--import", PLUGIN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert head(tmp_path / "out")["models"] == ["me/tiny"]
    assert (tmp_path / "out" / "runs" / "tiny_vae" / "hub.json").is_file()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["conv_vae_mnits", "--out", "new"], "did you mean 'conv_vae_mnist'"),
        (["./nothing", "--out", "new"], "there is no folder nothing"),
        (["RUN", "--out", "full"], "full is there already and not empty"),
        (["RUN", "--out", "full/mine.txt"], "cannot become a folder"),
        (["RUN", "--out", "."], "cannot become a folder"),
        (["RUN", "--out", "changed"], "changed by hand (README.md)"),
        (["RUN", "--out", "new", "--import", "copy/plugin.py"], "two files are called plugin.py"),
    ],
)
def test_mistakes_are_said_in_a_sentence(
    words: list[str], error: str, written: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "plugin.py").write_text("")
    shutil.copytree(written, tmp_path / "changed")
    (tmp_path / "changed" / "README.md").write_text("mine")
    before = contents(tmp_path)
    given = [str(trained) if word == "RUN" else word for word in words]
    done = command("space", *given, "--import", PLUGIN, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert error in done.stderr
    assert contents(tmp_path) == before


def test_a_server_that_is_not_installed_cannot_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "SERVER", ("no-such-server",))
    with pytest.raises(
        ZooError, match=r"no-such-server is not installed here.*pip install 'autoencoder-zoo\[explore\]'"
    ):
        requirements()


@pytest.mark.slow
def test_what_docker_starts_serves_the_model_of_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra: explore")
    out, name = tmp_path / "out", "conv_vae_2d_mnist"
    assert command("space", name, "--out", out).returncode == 0
    words = [sys.executable if word == "python" else "0" if word == "7860" else word for word in start(out)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"ZOO_DATA": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(words, cwd=out, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = re.fullmatch(r"http://.*:(\d+)/\n", server.stdout.readline())
            assert port is not None

            def ask(view: str, **parameters: Any) -> Any:
                headers = {"Host": "me-tiny.hf.space", "Origin": "https://me-tiny.hf.space"}
                headers["Content-Type"] = "application/json"
                url = f"http://127.0.0.1:{port[1]}/api/{view}"
                request = urllib.request.Request(url, json.dumps(parameters).encode(), headers)
                with unproxied(request, timeout=60) as response:
                    return json.load(response)

            assert [model["name"] for model in ask("about")["models"]] == [name]  # what else is shipped stayed here
            answer = ask("map", model=name, at=[0.5, -1.0])
            shown = Image.open(io.BytesIO(base64.b64decode(answer["png"].partition(",")[2])))
            with torch.no_grad():
                expected = zoo.load(name).decode(torch.tensor([[0.5, -1.0]])).mean[0, 0]
            assert np.abs(np.asarray(shown) - 255.0 * expected.numpy()).max() <= 1
        finally:
            server.terminate()
    assert server.returncode is not None
