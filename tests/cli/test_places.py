"""Where outputs go: ``~``, folders that are not there yet, names that are taken, and what stays after a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import zoo
from tests.helpers import CPU, PLUGIN, ROOT, command, tiny_fields
from zoo.cli.app import VERBS, parser_of
from zoo.cli.train import seeds
from zoo.errors import ZooError
from zoo.hub import push
from zoo.metrics import _classifier
from zoo.models import Autoencoder
from zoo.schema.recipe import read_recipe
from zoo.tasks import Codes, export, read, write_codes

FIGURE = ("--import", PLUGIN, "--kind", "samples")


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_takes_a_path_as_it_is(verb: str) -> None:
    """A shell leaves ``--out=~/x`` alone, so that each path has to go through ``user_path``."""
    for action in parser_of(verb, f"zoo {verb}")._actions:
        assert action.type is not Path, action.option_strings
        if action.dest in ("out", "to", "folder", "file", "sheet", "strip", "names", "mask", "runs"):
            assert getattr(action.type, "__name__", "") == "user_path", action.option_strings
    assert seeds("0-2") == [0, 1, 2]  # another function as a type


def test_a_home_folder_is_found_in_outputs_inputs_and_imports(trained: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "run").symlink_to(trained)
    (home / "plugin.py").symlink_to(PLUGIN)
    done = command(
        "figures", "~/run", "--import", "~/plugin.py", "--kind", "samples", "--out", "~/deep/er/x.png",
        cwd=tmp_path, HOME=str(home),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (home / "deep" / "er" / "x.png").is_file()
    assert f"created the folder {home / 'deep' / 'er'}\n" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_home_folder_of_nobody_is_one_line(trained: Path, tmp_path: Path) -> None:
    done = command("figures", trained, *FIGURE, "--out", "~nobody-of-this-name/x.png", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ~nobody-of-this-name/x.png: there is no such home folder")
    done = command("train", "~nobody-of-this-name/x.json", cwd=tmp_path)
    assert (done.returncode, "there is no such home folder" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("figures", ("--kind", "samples", "--out", "a/b/x.png")),
        ("figures", ("--kind", "samples", "--out", "a/b")),
        ("compare", ("--out", "a/b/x.png")),
        ("anomaly", ("IMAGES", "--out", "a/b/x.csv", "--sheet", "a/b/x.png")),
        ("impute", ("IMAGES", "--drop", "0.5", "--strip", "a/b/x.png")),
        ("impute", ("IMAGES", "--drop", "0.5", "--strip", "x.png", "--out", "a/b/x")),
        ("encode", ("IMAGES", "--out", "a/b/x.npz")),
        ("reconstruct", ("IMAGES", "--out", "a/b/x")),
        ("sample", ("--count", "2", "--out", "a/b/x")),
        ("compress", ("IMAGES", "--out", "a/b/x.aez")),
        ("export", ("--format", "torch", "--out", "a/b/x")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[-1],
)
def test_missing_folders_are_created_and_said_and_go_again_after_a_mistake(
    verb: str, options: tuple[str, ...], trained: Path, tmp_path: Path
) -> None:
    words = ["tiny" if option == "IMAGES" else option for option in options]
    done = command(verb, "./nowhere", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert not list(tmp_path.iterdir()), done.stderr
    done = command(verb, trained, *words, "--import", PLUGIN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "a" / "b").iterdir())
    assert done.stderr.count("created the folder a/b\n") == 1


def test_the_root_of_the_file_system_is_no_place_for_files(trained: Path, tmp_path: Path) -> None:
    for out in ("/", "/x.png"):
        done = command("figures", trained, *FIGURE, "--out", out, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr == "error: the folder / is the root of the file system; choose another with --out\n"


@pytest.mark.parametrize(
    "verb", [("export",), ("impute", "tiny", "--drop", "0.5", "--strip", "x.png")], ids=lambda v: v[0]
)
def test_an_empty_home_folder_becomes_no_output(verb: tuple[str, ...], trained: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    name, *more = verb
    done = command(name, trained, *more, "--import", PLUGIN, "--out", "~", cwd=tmp_path, HOME=str(home))
    assert done.returncode == 2
    assert "holds your home folder, or the one that you work in; name a new folder" in done.stderr
    assert home.is_dir() and not list(home.iterdir())


@pytest.mark.parametrize(
    ("verb", "name", "option"),
    [
        (("compare",), "compare.png", "--out"),
        (("figures", "--kind", "samples"), "tiny_vae-samples.png", "--out"),
        (("anomaly", "tiny"), "anomaly.png", "--sheet"),
        (("anomaly", "tiny"), "anomaly.csv", "--out"),
        (("impute", "tiny", "--drop", "0.5"), "imputed.png", "--strip"),
    ],
)
def test_a_default_name_replaces_figures_and_tables_of_the_zoo_only(
    verb: tuple[str, ...], name: str, option: str, trained: Path, tmp_path: Path
) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return command(verb[0], trained, *verb[1:], "--import", PLUGIN, *more, cwd=tmp_path)

    done = run()
    assert done.returncode == 0, done.stderr
    first = (tmp_path / name).read_bytes()
    assert run().returncode == 0  # its own
    if name.endswith(".png"):
        Figure().savefig(tmp_path / name)  # the user's, by the same library
    else:
        (tmp_path / name).write_text("name,score\n")
    mine = (tmp_path / name).read_bytes()
    done = run()
    assert done.returncode == 2
    assert f"{name} is there already and not written by the zoo; name another file with {option}" in done.stderr
    assert (tmp_path / name).read_bytes() == mine
    if verb[0] != "figures":  # what is named is replaced
        assert run(option, name).returncode == 0
        assert (tmp_path / name).read_bytes() == first


SLOW_VERB = """
import os, sys, time
from pathlib import Path
from zoo.cli import app, list
from zoo.system.files import writing

def run(options):
    with writing(Path("x")) as file:
        file.write(b"half")
        if not os.fork():  # a forked process ends as if there were no handler
            time.sleep(60)
        print("ready", flush=True)
        time.sleep(60)

list.run = run
app.main(["list"])
"""


def test_no_temporary_file_stays_after_sigterm(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", SLOW_VERB]
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert list(tmp_path.iterdir())
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(30) == 143
    assert not list(tmp_path.iterdir())


def test_a_path_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    done = command("export", "tiny", "--out", "a\0b", cwd=tmp_path)
    assert (done.returncode, "no path holds a zero byte" in done.stderr) == (2, True)


def test_functions_that_take_a_path_find_the_home_folder(
    model: Autoencoder, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(trained)
    codes = Codes(["a"], np.zeros((1, 2), np.float32), None)
    write_codes(codes, "~/codes.npz")
    write_codes(codes, Path("~/codes.safetensors"))
    export(model, "~/exported", "torch")
    assert zoo.load(Path("~/run")).image_shape == zoo.load("~/run").image_shape
    (tmp_path / "r.json").write_text(json.dumps(tiny_fields()))
    assert read_recipe("~/r.json") == read_recipe(Path("~/r.json"))
    monkeypatch.setattr(_classifier, "EPOCHS", 0)
    assert _classifier.train_classifier("tiny", CPU, Path("~/deep/c.safetensors")).path.is_file()
    with pytest.raises(ZooError, match=f"there is no file {tmp_path / 'x.aez'}"):
        read("~/x.aez")
    with pytest.raises(ZooError, match=f"there is no folder {tmp_path / 'none'}"):
        push("~/none", "me/none", endpoint="http://localhost:1", token="hf_x", dry_run=True)
    names = {"codes.npz", "codes.safetensors", "exported", "run", "deep", "r.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_one_process_of_several_speaks(trained: Path, tmp_path: Path) -> None:
    for rank, lines in (("0", 1), ("1", 0)):
        done = command("figures", trained, *FIGURE, "--out", f"{rank}/x.png", cwd=tmp_path, RANK=rank)
        assert (done.returncode, done.stderr.count("created the folder")) == (0, lines)
