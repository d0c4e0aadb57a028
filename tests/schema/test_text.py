"""Text as Windows tools write it, and what is no text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import PLUGIN, ROOT, command, tiny_fields
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.runs.folder import read_config, read_history
from zoo.schema.recipe import parse_recipe, read_recipe
from zoo.schema.text import MAX_TEXT_BYTES, backslash_hint, decode_text, read_text

TEXT = "Größe − ✓ 🦓\nline two\n"

WRITTEN = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16, little endian": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, big endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "Windows": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
}

every_encoding = pytest.mark.parametrize("how", WRITTEN)


@every_encoding
def test_text_is_read_as_any_system_writes_it(how: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(WRITTEN[how](TEXT))
    assert read_text(tmp_path / "a.txt", "the text") == TEXT


@every_encoding
def test_recipes_and_run_folders_are_read_so(how: str, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(WRITTEN[how](json.dumps(tiny_fields(summary="Größe"), ensure_ascii=False)))
    assert read_recipe(path).summary == "Größe"
    shutil.copytree(trained, tmp_path / "run")
    for name in ("config.json", "metrics.jsonl"):
        file = tmp_path / "run" / name
        file.write_bytes(WRITTEN[how](file.read_text(encoding="utf-8")))
    assert read_config(tmp_path / "run") == read_config(trained)
    assert read_history(tmp_path / "run") == read_history(trained)


def test_bytes_of_file_names_are_kept_where_they_may_stand() -> None:
    assert decode_text(b"\xef\xbb\xbfFl\xe4che.png", "a list", "surrogateescape") == "Fl\udce4che.png"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Größe".encode("latin-1"), "byte 3 is 0xf6"),
        ("{}".encode("utf-16-le"), "zero bytes"),
        ("{}".encode("utf-32"), "zero bytes"),
        (b"\xff\xfe{", "byte 3 is 0x7b"),
        (b"\x89PNG\r\n\x1a\n\0\0", "byte 1 is 0x89"),
    ],
)
def test_what_is_no_text_is_said_in_a_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(ZooError, match=f"cannot read the recipe .*: it is not UTF-8 text .*{words}.*save it") as error:
        read_recipe(tmp_path / "r.json")
    assert "\n" not in str(error.value)


def test_a_device_that_never_ends_is_refused() -> None:
    with pytest.raises(ZooError, match=f"more than {MAX_TEXT_BYTES:,} bytes"):
        read_text(Path("/dev/zero"), "the recipe")


def test_a_recipe_may_come_through_a_pipe_which_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "recipe.pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(json.dumps(tiny_fields()),), daemon=True)
    writer.start()
    done = printed(str(pipe), "--seeds", "3,5")
    writer.join(5)
    assert done.returncode == 0, done.stderr
    text, found = done.stdout, []
    while text.strip():
        recipe, end = json.JSONDecoder().raw_decode(text.lstrip())
        found.append((recipe["name"], recipe["training"]["seed"]))
        text = text.lstrip()[end:]
    assert found == [("tiny_vae", 3), ("tiny_vae", 5)]


def test_a_recipe_is_read_from_standard_input() -> None:
    done = printed("/dev/stdin", given=json.dumps(tiny_fields()))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "tiny_vae"


def printed(recipe: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Print a recipe in a process of its own, which is ended if it waits for more than there is."""
    return subprocess.run(
        [sys.executable, "-m", "zoo", "train", recipe, "--print-recipe", "--import", str(PLUGIN), *arguments],
        input=given, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


BACKSLASHES = [
    (r"pics\train", r"\t is a tab", "pics/train", r"pics\\train"),
    (r"pics\new\best", r"\n is a line break and \b is a backspace", "pics/new/best", r"pics\\new\\best"),
    (r"C:\\data\faces", r"\f is a form feed", "C:/data/faces", r"C:\\data\\faces"),
    (r"x\red", r"\r is a carriage return", "x/red", r"x\\red"),
]


@pytest.mark.parametrize(("typed", "made", "slashes", "doubled"), BACKSLASHES)
def test_what_json_makes_of_single_backslashes_is_said(
    typed: str, made: str, slashes: str, doubled: str, tmp_path: Path
) -> None:
    recipe = json.dumps(tiny_fields(data={"name": "image_folder", "path": "PATH", "size": 16}))
    (tmp_path / "r.json").write_text(recipe.replace("PATH", typed))
    done = command("train", tmp_path / "r.json", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f'in JSON, {made}: write "{slashes}" or "{doubled}"' in done.stderr


def test_a_list_of_test_images_with_single_backslashes_is_explained(tmp_path: Path) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    data = {"name": "image_folder", "path": str(tmp_path), "size": 16, "test_list": "lists\test.txt"}
    with pytest.raises(ZooError, match=r"cannot read .*; in JSON, \\t is a tab: write .lists/test.txt."):
        load_images(parse_recipe(tiny_fields(data=data)).data, "test")


def test_other_missing_folders_are_not_explained_so(tmp_path: Path) -> None:
    assert backslash_hint(tmp_path / "a\\b c") == ""


def test_a_backslash_that_json_cannot_read_is_explained(tmp_path: Path) -> None:
    recipe = json.dumps(tiny_fields(data={"name": "image_folder", "path": "PATH", "size": 16}))
    (tmp_path / "r.json").write_text(recipe.replace("PATH", r"C:\Me\pics"))
    done = command("train", tmp_path / "r.json")
    assert done.returncode == 2
    assert r"in JSON, write a backslash as \\, or a path with /" in done.stderr
