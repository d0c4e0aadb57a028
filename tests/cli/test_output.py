"""What verbs print: in every encoding, into pipes that nobody reads, with names that would forge or break it."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

from tests.helpers import PLUGIN, ROOT, slow_but_for, tiny_fields
from tests.hub.server import StandInHub
from zoo.cli.app import VERBS, main
from zoo.system.files import path_of, spelled

HOSTILE = "[b]$\\frac{ \u2212\u202e\x1b[31m\nok     weights: FORGED"
"""The name of a folder: markup of rich and matplotlib, directions of writing, an escape sequence, a line of its own."""

COMMANDS: dict[str, list[str]] = {
    "train": ["recipe.json", "--import", str(PLUGIN), "--out", f"trained/{HOSTILE}", "--set", "training.epochs=1"],
    "convert": ["weights.safetensors", "--recipe", "RUN", "--out", f"new/{HOSTILE}", "--import", str(PLUGIN)],
    "tune": [
        *("recipe.json", "--search", f"{HOSTILE}.json", "--metric", "mse", "--trials", "1", "--out", f"./{HOSTILE}"),
        *("--set", "training.validation=0.2", "--import", str(PLUGIN)),
    ],
    "compare": ["RUN", f"./other/{HOSTILE}", "--import", str(PLUGIN)],
    "list": [],
    "evaluate": ["RUN", "--import", str(PLUGIN), "--images", "50", "--metrics", "mse"],
    "verify": ["RUN", "--import", str(PLUGIN)],
    "figures": ["RUN", "--import", str(PLUGIN), "--kind", "samples", "--out", HOSTILE],
    "classifier": ["tiny", "--import", str(PLUGIN), "--out", f"{HOSTILE}.safetensors"],
    "anomaly": ["RUN", "./images", "--out", f"{HOSTILE}.csv", "--import", str(PLUGIN)],
    "impute": ["RUN", "./images", "--drop", "0.5", "--out", HOSTILE, "--import", str(PLUGIN)],
    "reconstruct": ["RUN", "./images", "--out", HOSTILE, "--import", str(PLUGIN)],
    "sample": ["RUN", "--count", "3", "--out", HOSTILE, "--import", str(PLUGIN)],
    "encode": ["RUN", "./images", "--out", f"{HOSTILE}.npz", "--import", str(PLUGIN)],
    "compress": ["RUN", "./images", "--out", "x.aez", "--names", f"{HOSTILE}.csv", "--import", str(PLUGIN)],
    "decompress": ["made.aez", "--model", "RUN", "--out", HOSTILE, "--import", str(PLUGIN)],
    "export": ["RUN", "--format", "torch", "--out", HOSTILE, "--import", str(PLUGIN)],
    "push": ["RUN", "me/tiny", "--dry-run", "--import", str(PLUGIN)],
    "pull": ["hf-hub:me/there", "--to", f"./{HOSTILE}"],
    "space": ["RUN", "--out", HOSTILE, "--import", str(PLUGIN)],
    "completion": ["bash"],
    "cache": ["--json"],
    "watch": [".", "--once"],
    "explore": ["RUN", "--import", str(PLUGIN), "--port", "0", "--no-browser"],
    "demo": ["--out", f"{HOSTILE}.png"],
    "finish": [f"./cut/{HOSTILE}.partial", "--import", str(PLUGIN)],
}
"""A command line of every verb that works, with names that are not made for printing."""


def test_there_is_a_command_line_for_every_verb() -> None:
    assert set(COMMANDS) == set(VERBS)


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Path:
    """A folder with all that the command lines need."""
    for name in ("run", "other"):
        shutil.copytree(trained, tmp_path / name / HOSTILE)
    config = tmp_path / "run" / HOSTILE / "config.json"
    fields = json.loads(config.read_text())
    fields["versions"] |= {"torch": "1\n\nok     weights: FORGED \x1b[31m", "\x1b[31m": "[/b]"}
    fields["hardware"] = "a [/b] machine\x9b31m\u202e\nok     weights: FORGED"
    config.write_text(json.dumps(fields))
    (tmp_path / "recipe.json").write_text(json.dumps(tiny_fields()))
    (tmp_path / f"{HOSTILE}.json").write_text(json.dumps({"optimizer.learning_rate": {"choices": [0.001]}}))
    shutil.copy(trained / "model.safetensors", tmp_path / "weights.safetensors")
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate((b"a [b] $x$ \x1b[31m\nok     weights: FORGED.png", b"Fl\xe4che.png", b"c\x80.png")):
        image = Image.new("L", (8, 8), 20 * number)
        image.save(folder / "x.png")
        os.rename(folder / "x.png", os.path.join(os.fsencode(folder), name))
    (folder / "no image \x1b[31m\nok     weights: FORGED.png").write_bytes(b"nothing")
    return tmp_path


def run(place: Path, verb: str, output: io.IOBase, encoding: str = "utf-8", **environment: str) -> tuple[int, str]:
    """Run a verb's command line in this process with its output in a stream; return the exit code and stderr."""
    words = [word.replace("RUN", f"./run/{HOSTILE}") for word in COMMANDS[verb]]
    out, err = io.TextIOWrapper(output, encoding=encoding), io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # type: ignore[type-var, arg-type]
    with (
        chdir(place),
        mock.patch.dict(os.environ, environment),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
        pytest.raises(SystemExit) as exit,
    ):
        warnings.simplefilter("always")
        main([verb, *words])
    err.flush()
    said = err.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    try:
        out.detach()
    except OSError:
        pass
    code = exit.value.code
    return code if isinstance(code, int) else int(code is not None), said


class Terminal(io.BytesIO):
    """An output that is taken for a terminal."""

    def isatty(self) -> bool:
        return True


class Failing(io.RawIOBase):
    """An output that takes nothing."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def prepared(place: Path, hub: StandInHub, serves_not: None) -> Callable[[str], None]:
    """Makes what a verb reads that another verb writes."""

    def prepare(verb: str) -> None:
        if verb == "decompress":
            assert run(place, "compress", io.BytesIO())[0] == 0
            (place / "x.aez").rename(place / "made.aez")
        if verb == "finish":  # a run that was stopped before it was published
            assert run(place, "train", io.BytesIO())[0] == 0
            (place / "cut").mkdir()
            (place / "trained" / HOSTILE).rename(place / "cut" / f"{HOSTILE}.partial")
            (place / "cut" / f"{HOSTILE}.partial" / "config.json").unlink()
        if verb == "pull":
            folder = place / "other" / HOSTILE
            hub.repository("me/there", {path.name: path.read_bytes() for path in folder.iterdir()})

    return prepare


@pytest.mark.parametrize("verb", VERBS)
def test_no_name_forges_a_line_and_no_encoding_ends_a_verb(
    verb: str, place: Path, prepared: Callable[[str], None]
) -> None:
    prepared(verb)
    printed = io.BytesIO()
    code, said = run(place, verb, printed, "ascii")
    assert code == (verb == "verify"), said  # the card says another hardware
    text = printed.getvalue().decode("ascii")
    assert verb in ("classifier", "figures") or text
    for shown in (text, said):
        assert "\x1b" not in shown
        assert not re.search(r"^ok     weights: FORGED", shown, re.MULTILINE)
        assert "Traceback" not in shown


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_is_full_is_one_line(verb: str, place: Path, prepared: Callable[[str], None]) -> None:
    prepared(verb)
    code, said = run(place, verb, io.BufferedWriter(Failing(errno.ENOSPC)))
    assert code == 2
    assert said.splitlines()[-1] == "error: cannot write the output: No space left on device"


@pytest.mark.parametrize("verb", VERBS)
def test_an_output_that_nobody_reads_ends_quietly(verb: str, place: Path, prepared: Callable[[str], None]) -> None:
    prepared(verb)
    code, said = run(place, verb, io.BufferedWriter(Failing(errno.EPIPE)))
    assert code == 141  # 128 and the number of SIGPIPE, as of every other command
    assert "error" not in said


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "latin-1", "ascii", "utf-16"])
@pytest.mark.parametrize("verb", ["list", "compare", "evaluate"])
def test_a_table_in_the_encodings_of_consoles(verb: str, encoding: str, place: Path) -> None:
    printed = io.BytesIO()
    assert run(place, verb, printed, encoding)[0] == 0
    text = printed.getvalue().decode(encoding)
    assert verb != "list" or ("-ELBO" in text if encoding != "utf-16" else "\u2212ELBO" in text)


@pytest.mark.parametrize("columns", ["20", "1", "0", "many"])
def test_a_narrow_terminal_cuts_no_value(columns: str, place: Path) -> None:
    printed = Terminal()
    code, said = run(place, "list", printed, COLUMNS=columns, TERM="dumb", NO_COLOR="1")
    assert code == 0, said
    text = printed.getvalue().decode()
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "conv_vae_mnist" in text


@pytest.mark.parametrize("verb", VERBS)
def test_help_in_a_narrow_terminal_in_ascii(verb: str, place: Path) -> None:
    printed = io.BytesIO()
    with mock.patch.dict(COMMANDS, {verb: ["--help"]}):
        code, said = run(place, verb, printed, "ascii", COLUMNS="20")
    assert code == 0, said
    assert printed.getvalue().startswith(b"usage: zoo")


STREAMS = {
    ">&-": (0, ""),
    "2>&-": (0, ""),
    ">/dev/full": (2, "error: cannot write the output: No space left on device\n"),
    "2>/dev/full": (0, ""),
    "| true": (141, ""),
}


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "stream"),
    [
        slow_but_for(
            words == "train --help" or words[:4] == "list" and stream in (">/dev/full", "| true"), words, stream
        )
        for words in ("list --metrics mse", "train --help", "evaluate --list --json")
        for stream in STREAMS
        if not words.endswith("--json") or "2>" not in stream  # where JSON differs from a table is no matter of stderr
    ],
)
def test_streams_as_a_shell_sets_them(words: str, stream: str) -> None:
    line = f"{sys.executable} -m zoo {words} {stream.replace('| true', '| (exec <&-; sleep 0.1)')}"
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == STREAMS[stream]


@pytest.mark.slow
def test_the_locale_c_without_utf_8() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONIO", "PYTHONUTF8"))}
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "list"], cwd=ROOT, capture_output=True,
        env={**environment, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"-ELBO, nats" in done.stdout


@pytest.mark.parametrize(
    "name",
    ["plain.png", "Fl\u00e4che.png", "Fl\udce4che.png", "Fl\\xe4che.png", "a\\b.png", "\\\\", "\\\\xe4", "\\\udce4",
     "\ud800", "\\ud800", "\\udce4", "\udc80\udcff", "\\x", "\\u"],
)  # fmt: skip
def test_a_path_can_be_spelled_and_found_again(name: str) -> None:
    assert path_of(spelled(name)) == name
    spelled(name).encode()
    assert name.isascii() or "\\" in name or spelled(name) != name or name.encode()


def test_spellings_differ_where_names_do() -> None:
    parts = ["\\", "x", "e4", "\udce4", "u", "\ud8e4", "d8e4", "n"]
    names = {
        first + second + third + fourth for first in parts for second in parts for third in parts for fourth in parts
    }
    assert len({spelled(name) for name in names}) == len(names)
    assert all(path_of(spelled(name)) == name for name in names)
