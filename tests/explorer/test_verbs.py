"""``zoo explore`` and ``zoo demo`` from the command line: what they say, what they refuse, how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import PLUGIN, ROOT, command, unproxied
from zoo.cli import _browser, demo
from zoo.explorer.server import listen


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["conv_vae_2d_mnits"], "error: unknown entry 'conv_vae_2d_mnits'; did you mean 'conv_vae_2d_mnist'"),
        (["./nowhere"], "error: "),
        (["conv_vae_2d_mnist", "--port", "70000"], "error: --port 70000: choose between 0 and 65,535"),
        (["conv_vae_2d_mnist", "--host", "192.0.2.1"], "error: --host 192.0.2.1: this machine cannot listen there"),
        (["--port", "x"], "invalid int value"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], message: str, serves_not: None) -> None:
    done = command("explore", *words, "--no-browser")
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_one_sentence_and_the_usual_one_gives_way(
    trained: Path, serves_not: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = command("explore", trained, "--import", PLUGIN, "--port", port, "--no-browser")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"--port {port}: another program listens there" in done.stderr
        monkeypatch.setattr(_browser, "USUAL_PORT", port)
        done = command("explore", trained, "--import", PLUGIN, "--no-browser")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("http://127.0.0.1:") and f":{port}/" not in done.stdout


def test_without_the_extra_explore_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_browser, "PACKAGES", ("a_package_that_is_not_there",))
    done = command("explore", "conv_vae_2d_mnist")
    assert (done.returncode, "pip install 'autoencoder-zoo[explore]'" in done.stderr) == (2, True)


def test_it_opens_a_browser_where_there_is_one(
    trained: Path, serves_not: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(_browser, "open_browser", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    words = ("explore", trained, "--import", PLUGIN, "--port", "0")
    assert command(*words).returncode == 0 and opened == []
    assert command(*words, DISPLAY=":0").returncode == 0 and len(opened) == 1
    assert command(*words, "--no-browser", DISPLAY=":0").returncode == 0 and len(opened) == 1


def test_another_host_prints_its_token(trained: Path, serves_not: None) -> None:
    done = command("explore", trained, "--import", PLUGIN, "--port", "0", "--host", "0.0.0.0", "--no-browser")
    assert "/?token=" in done.stdout


@pytest.mark.parametrize("lacking", ["browser", "extra"])
def test_demo_writes_a_figure_where_there_is_no_browser_or_no_extra(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "has_browser", lambda: lacking != "browser")
    monkeypatch.setattr(demo, "is_installed", lambda: lacking != "extra")
    monkeypatch.setattr("torchvision.datasets.MNIST.download", lambda self: pytest.fail("a download"))
    done = command("demo", "--device", "cpu", cwd=tmp_path, ZOO_DATA=str(tmp_path / "nothing"))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "zoo_demo.png") as image:
        assert min(image.size) > 400
    assert ("pip install" in done.stdout) == (lacking == "extra")
    assert not (tmp_path / "nothing").exists()


def test_demo_opens_the_map_of_its_model(serves_not: None, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(_browser, "open_browser", opened.append)
    monkeypatch.setattr(_browser, "has_browser", lambda: True)
    monkeypatch.setattr(demo, "has_browser", lambda: True)
    done = command("demo", "--port", "0")
    assert done.returncode == 0, done.stderr
    assert opened[0].endswith("/#view=map&model=conv_vae_2d_mnist&grid=1")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_server_without_a_traceback(number: int, code: int) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "zoo", "explore", "conv_vae_2d_mnist", "--port", "0", "--no-browser"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout
    url = server.stdout.readline().strip()
    question = urllib.request.Request(url + "api/about", b"{}", {"Content-Type": "application/json"})
    with unproxied(question, timeout=60) as answer:
        assert json.load(answer)["models"][0]["name"] == "conv_vae_2d_mnist"
    server.send_signal(number)
    _, said = server.communicate(timeout=30)
    assert (server.returncode, said) == (code, "")
