"""Folders that name each of their files with its digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.system.manifest import write_folder

FILES = {"a.txt": b"a", "deep/b.txt": b"b"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_replaced_while_nobody_has_touched_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, FILES, "own.json")
    assert contents(out).items() >= FILES.items() and set(contents(out)) == {*FILES, "own.json"}
    (out / "deep" / "__pycache__").mkdir()
    (out / "deep" / "__pycache__" / "b.pyc").write_bytes(b"of Python")
    (out / "a.txt").unlink()
    write_folder(out, {"c.txt": b"c"}, "own.json")
    assert set(contents(out)) == {"c.txt", "own.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def link(out: Path) -> None:
    (out / "a.txt").rename(out.parent / "a.txt")
    (out / "a.txt").symlink_to(out.parent / "a.txt")


@pytest.mark.parametrize(
    ("touch", "named"),
    [
        (lambda out: (out / "a.txt").write_text("mine"), r"\(a.txt\)"),
        (lambda out: (out / "deep" / "mine.txt").write_text("mine"), r"\(deep/mine.txt\)"),
        (lambda out: (out / "mine").symlink_to(out.parent), r"\(mine\)"),
        (link, r"\(a.txt\)"),
        (lambda out: (out / "own.json").write_text("{}"), r"\(a.txt, deep/b.txt\)"),
        (lambda out: (out / "own.json").write_text("[]"), "not empty"),
        (lambda out: (out / "own.json").unlink(), "not empty"),
    ],
)
def test_what_somebody_has_touched_stays(touch: Callable[[Path], object], named: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_folder(out, FILES, "own.json")
    touch(out)
    before = contents(out)
    with pytest.raises(ZooError, match=named):
        write_folder(out, {"c.txt": b"c"}, "own.json")
    assert contents(out) == before
