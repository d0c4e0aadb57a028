"""Text as Windows tools write it, and what is no text."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.helpers import PLUGIN, command, tiny_fields
from zoo.errors import ZooError
from zoo.runs.folder import read_config, read_history
from zoo.schema.recipe import read_recipe
from zoo.schema.text import MAX_TEXT_BYTES, decode_text, read_text

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


def test_a_recipe_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "recipe.pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(json.dumps(tiny_fields()),))
    writer.start()
    done = command("train", pipe, "--print-recipe", "--import", PLUGIN)
    writer.join()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "tiny_vae"
