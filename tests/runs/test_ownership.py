"""Nothing under a name that the zoo derives from the user's is replaced or removed unless the zoo has written it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import CPU, PLUGIN, command, tiny_recipe
from zoo.errors import ZooError
from zoo.system.files import temporary_path, user_path, write_atomically
from zoo.system.folders import names_in, new_folder
from zoo.training import run as training
from zoo.training import train


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


FOREIGN = {
    "another file": "thesis.partial/chapter1.txt",
    "a hidden file": "thesis.partial/.git",
    "a file below": "thesis.partial/notes/1.txt",
    "a folder named like a file": "thesis.partial/README.md/1.txt",
    "the user's own README": "thesis.partial/README.md",
    "the user's own config": "thesis.partial/config.json",
    "something temporary": "thesis.partial/.notes.txt.123.tmp",
    "a file, not a folder": "thesis.partial",
    "the lock": ".thesis.lock",
    "a run's place": "thesis/README.md",
    "a model of something else": "thesis/config.json",
}


@pytest.mark.parametrize("place", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("options", [(), ("--resume",), ("--overwrite",), ("--resume", "--overwrite")])
def test_training_leaves_what_is_not_the_zoo_s(
    place: str, options: tuple[str, ...], tmp_path: Path, recipe_file: Callable[..., Path]
) -> None:
    path = tmp_path / "in" / place
    path.parent.mkdir(parents=True)
    path.write_text('{"mine": 1}')
    before = tree(tmp_path / "in")
    done = command("train", recipe_file(), "--out", tmp_path / "in" / "thesis", "--import", PLUGIN, *options)
    assert done.returncode == 2, done.stderr
    assert tree(tmp_path / "in") == before


@pytest.mark.parametrize("options", [{"resume": True}, {"overwrite": True}])
def test_a_checkpoint_makes_the_files_beside_it_no_run(options: dict[str, bool], tmp_path: Path) -> None:
    partial = tmp_path / "run.partial"
    partial.mkdir()
    (partial / "checkpoint.safetensors").write_bytes(b"of a run")
    (partial / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(ZooError, match=r"holds files that no run has written \(notes.txt\); move them"):
        train(tiny_recipe(), tmp_path / "run", CPU, **options)
    assert tree(tmp_path) == before


def test_a_link_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ZooError, match="run.partial is a link; remove it, or choose another folder"):
        train(tiny_recipe(), tmp_path / "run", CPU, overwrite=True)


def test_files_that_appear_while_a_run_is_replaced_are_kept(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    finish = training.finish

    def finishing(*arguments: object) -> object:
        (out / "notes.txt").write_text("mine")
        return finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "finish", finishing)
    with pytest.raises(ZooError, match=r"notes.txt.*the new run is complete in .*run.partial"):
        train(tiny_recipe(), out, CPU, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").rename(tmp_path / "notes.txt")
    monkeypatch.undo()
    train(tiny_recipe(), out, CPU, resume=True, overwrite=True)
    assert not (tmp_path / "run.partial").exists()


def test_folders_of_a_similar_name_stay(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    for name in (".run.replaced-1", ".run.replaced-mine", f".run.{os.getpid()}.tmp", "run.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text("mine")
    train(tiny_recipe(), out, CPU, overwrite=True)
    assert len(list(tmp_path.glob("*run*/1.txt"))) == 4


def test_a_temporary_file_has_a_name_that_nobody_else_has(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    assert temporary_path(path) != temporary_path(path)
    mine = tmp_path / f".scores.csv.{os.getpid()}.tmp"
    mine.write_text("mine")
    write_atomically(path, "1")
    write_atomically(tmp_path / ("ä" * 120), "a name of 240 bytes")
    assert mine.read_text() == "mine"


def test_only_old_leftovers_of_the_zoo_are_tidied(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    young, old = temporary_path(path), temporary_path(path)
    other, mine = temporary_path(tmp_path / "other.csv"), tmp_path / ".scores.csv.zoo-notes.tmp"
    long_ago = 1e9
    for leftover in (young, other, mine):
        leftover.write_text("")
    old.mkdir()
    (old / "1.png").write_text("")
    for leftover in (old, other, mine):
        os.utime(leftover, (long_ago, long_ago))
    write_atomically(path, "1")
    assert not old.exists()
    assert young.exists() and other.exists() and mine.exists()


def test_a_folder_that_is_filled_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="not empty"), new_folder(tmp_path / "images") as folder:
        (folder / "1.png").write_text("")
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "mine.txt").write_text("mine")
    assert tree(tmp_path) == {"images/mine.txt": b"mine"}


def test_the_home_folder_and_the_current_one_are_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "home")
    for out in ("~", ".", "..", str(tmp_path), "/"):
        with pytest.raises(ZooError, match="name a new folder"):
            train(tiny_recipe(), out, CPU, overwrite=True)
    assert not any((tmp_path / "home").iterdir())
    assert user_path("~/x") == tmp_path / "home" / "x"
    with pytest.raises(ZooError, match="no such home folder; write ./~nosuchuser/x"):
        user_path("~nosuchuser/x")


def test_a_run_with_a_config_of_an_earlier_version_can_be_replaced(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    fields = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**fields, "format": 0}))
    train(tiny_recipe(), out, CPU, overwrite=True)
    assert json.loads((out / "config.json").read_text())["format"] == 1


def test_a_leftover_of_an_earlier_version_is_tidied(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / ".checkpoint.safetensors.123.tmp").write_text("cut short")
    train(tiny_recipe(), tmp_path / "run", CPU)
    assert not list((tmp_path / "run").glob(".*"))
    assert names_in(tmp_path) == {"run"}
