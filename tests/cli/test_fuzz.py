"""Command lines and folders as nobody would write them: every one ends with a message and exit code 0, 1 or 2."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from tests.helpers import CPU, PLUGIN, command, tiny_fields, tiny_recipe
from tests.hub.server import StandInHub
from zoo.cli.app import VERBS, parser_of
from zoo.runs.folder import RUN_FILES
from zoo.training import train

pytestmark = pytest.mark.filterwarnings("ignore")

CASES = int(os.environ.get("ZOO_FUZZ", "1500"))
"""The command lines that are tried, each by its number; ``ZOO_FUZZ=3000`` tries twice as many."""

# --- folders of images

WAYS: dict[str, Callable[[Path], object]] = {
    "grey": lambda path: Image.new("L", (9, 7), 50).save(path, "png"),
    "colour": lambda path: Image.new("RGB", (28, 28), (9, 90, 200)).save(path, "png"),
    "palette": lambda path: Image.new("P", (5, 28)).save(path, "gif"),
    "transparent": lambda path: Image.new("RGBA", (1, 1)).save(path, "png"),
    "deep": lambda path: Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path, "png"),
    "float": lambda path: Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(path, "tiff"),
    "pages": lambda path: Image.new("L", (4, 4)).save(
        path, "tiff", save_all=True, append_images=[Image.new("L", (6, 6))]
    ),
    "cut off": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no image"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link upwards": lambda path: path.symlink_to(".."),
}
FOLDERS = [b"", b"train", b"Test", b"val", b"0", b"1", b"cat", b".hidden", b"a b", b"d\xe4", b"a/b/c"]
NAMES = [b"a.png", b"b.PNG", b"c.tif", b"d.gif", b"e.heic", b"f", b"g.txt", b"\xe4.png", b"\n.png", b"[b].png",
         b"Thumbs.db", b".png"]  # fmt: skip


def link(source: str, target: str) -> None:
    """Copy without copying: nothing in the zoo changes a file where it is."""
    os.link(source, target, follow_symlinks=False)


def plant(root: Path, random: Random) -> None:
    """Make a folder of up to eight files of all kinds, half of them images that can be read."""
    root.mkdir()
    for _ in range(random.randrange(9)):
        path = root / os.fsdecode(random.choice(FOLDERS)) / os.fsdecode(random.choice(NAMES))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            WAYS[random.choice([*WAYS, *list(WAYS)[:7]])](path)


# --- command lines

JUNK = [
    "", " ", "-", "--", "..", ".", "nowhere", "./nowhere", "~nosuchuser/x", "\0", "\n", "\u202e", "\udce4",
    "a" * 300, "*", "[", "hf-hub:", "hf-hub:me/there", "hf-hub:a/b@c", "https://x", "=", "a=b", "{}", "null",
    "/dev/null", "/dev/null/x", "/proc/nope", "file.txt", "images/a.png",
]  # fmt: skip
NUMBERS = ["-1", "0", "1", "2", "3", "7", "0.5", "1e3", "nan", "inf", "-inf", "x", "9" * 30, "0-3", "1,2", "\u0663"]
MODELS = ["./run"] * 9 + ["./damaged", "./images", "run", "tiny_vae", "conv_vae_mnits", "hf-hub:me/there"]
IMAGES = [
    "./images", "./images", "./images", "tiny", "tiny:3", "tiny/train", "tiny:99", "tiny:x", "./images:cat",
    "./images/a.png", "./empty", "images", "glyph",
]  # fmt: skip
PATHS = [
    "new", "new.png", "new.csv", "new.json", "new.npz", "new.safetensors", "new.aez", "new.gif", "no/new.png", "run",
    "images", "images/x.csv", "file.txt", "link.csv", "~/new",
]  # fmt: skip
VALUES: dict[str, list[str]] = {
    "model": MODELS,
    "models": MODELS,
    "images": IMAGES,
    "against": IMAGES,
    "recipes": [
        "recipe.json", "folder.json", "folder.json", "bom.json", "damaged.json", "quickstart", "conv*",
        "run/config.json",
    ],
    "folder": ["run", "run", "damaged", "images"],
    "repository": ["me/new", "me/there", "new", "a/b/c", "me/../x"],
    "source": ["hf-hub:me/there", "hf-hub:me/nowhere", "hf-hub:me/there@main", "me/there"],
    "sources": ["images", "tiny", "./images"],
    "file": ["made.aez", "made.aez", "file.txt", "images", "damaged.aez"],
    "dataset": ["tiny", "image_folder", "tinny", "celeba"],
    "shell": ["bash", "fish", "sh"],
    "device": ["cpu", "auto", "cuda", "cuda:7", "mps", "cpu:1", "tpu"],
    "imports": [str(PLUGIN), str(PLUGIN), str(PLUGIN), "broken.py", "file.txt"],
    "overrides": [
        "training.epochs=1", "training.epochs=0", "data.path=images", "data.size=9", "data.size=[3,4]",
        "model.hidden=[]", "data.channels=1", "data.channels=2", 'data.classes=["cat"]', "data.test_list=file.txt",
        "data.group=1", "model.variant=vq_vae", "optimizer.name=sgd", "objective.name=elbo", "data.holdout=0.5", "x",
        "x.y=1", "data=3", "name=\udce4", "training.batch_size=1e9", "model.latent_dim=99999999999",
        "execution.precision=bf16", "[]={}",
    ],
    "metrics": ["mse", "mse,ssim", "negative_elbo", "nothing", ","],
    "kind": ["samples", "reconstructions", "loss_curves", "sample", "manifold"],
    "sort": ["mse", "nothing", "epochs"],
    "data": ["tiny", "mnist", "./images"],
    "port": ["0", "0", "99999"],
    "host": ["127.0.0.1", "localhost", "0.0.0.0"],
    "by": ["mse", "negative_elbo", "nll_1", "x"],
    "box": ["1,1,3,3", "0,0,99,99", "-1,0,2,2", "1,2"],
    "runs": ["run", "images"],
    "encode.out": ["new.npz", "new.npz", "new.safetensors", "link.npz", "images/x.npz"],
    "convert.file": ["run/model.safetensors", "damaged/model.safetensors", "file.txt", "images"],
    "convert.recipe": ["recipe.json", "recipe.json", "./run", "folder.json", "linear_vae_mnist"],
    "rules": ["*=*", "encoder.*=encoder.*", "decoder.*=", "space.json", "x.*=y", "="],
    "tune.recipe": ["recipe.json", "recipe.json", "./run", "folder.json"],
    "search": ["space.json", "space.json", "recipe.json", "damaged.json", "file.txt"],
    "metric": ["mse", "mse", "negative_elbo", "active_units", "nothing"],
    "storage": ["sqlite:///study.db", "sqlite:///no/x.db", "sqlite:///file.txt", "x://y"],
    "trials": ["1", "1", "2"],
    "compress.out": ["new.aez", "new.aez", "made.aez", "link.aez", "no/new.aez"],
    "compare.out": ["new.png", "images/new.png"],
    "anomaly.out": ["new.csv", "new.json", "link.csv", "images/x.csv"],
    "endpoint": ["http://127.0.0.1:9", "ftp://x"],
    **{name: PATHS for name in ("out", "sheet", "strip", "names", "to", "mask")},
}  # fmt: skip
"""What each argument may be given, most of it what it is for."""

FORCED: dict[str, list[list[str]]] = {
    "train": [["--dry-run"], ["--dry-run"], ["--print-recipe"]],
    "evaluate": [["--metrics", "mse", "--images", "20"]],
    "compare": [["./run", "--count", "2"]],
    "figures": [["--kind", "samples"], ["--kind", "reconstructions"], ["--list"]],
    "export": [["--format", "torch"], ["--format", "torch", "--out", "images"]],
    "demo": [["--out", "new.png"]],
    "tune": [["--trials=1", "--set=training.validation=0.2"]],
    "impute": [["--drop=0.5"], ["--box=1,1,3,3"], ["--mask=images/a.png"], ["--mask=file.txt"], ["--drop=7"], []],
}
"""What keeps a verb quick, or is needed in one of several ways."""

SLOW = {"all", "check", "retrain"}


def value(verb: str, action: argparse.Action, random: Random) -> str:
    """Choose what an argument may be given, or in one of a dozen cases anything."""
    usual = VALUES.get(f"{verb}.{action.dest}") or VALUES.get(action.dest)
    usual = usual or [*map(str, action.choices or ["0", "1", "2", "3", "7"])]
    return random.choice(usual if random.randrange(12) else NUMBERS + JUNK)


def written(verb: str, action: argparse.Action, random: Random) -> list[str]:
    """Write an argument as a user would, or nearly."""
    most = {"*": 2, "+": 2, 0: 0}.get(action.nargs, 1)  # type: ignore[call-overload]
    given = [value(verb, action, random) for _ in range(random.randint(min(most, 1), most))]
    if not action.option_strings:
        return given
    option = random.choice(action.option_strings)
    return [f"{option}={given[0]}"] if len(given) == 1 and random.randrange(2) else [option, *given]


ACTIONS = {verb: [action for action in parser_of(verb, "zoo")._actions if action.dest != "help"] for verb in VERBS}


def command_line(random: Random) -> list[str]:
    """Write a command line of any verb."""
    verb = random.choice(list(VERBS))
    needed = [action for action in ACTIONS[verb] if action.required or not action.option_strings]
    optional = [action for action in ACTIONS[verb] if action not in needed and action.dest not in SLOW]
    chosen = random.sample(optional, min(random.randrange(4), len(optional)))
    parts = [written(verb, action, random) for action in needed if random.randrange(40)]
    parts += [random.choice(FORCED.get(verb, [[]])), *(written(verb, action, random) for action in chosen)]
    if not random.randrange(20):
        parts.append([random.choice(["-h", "--", "--nothing", "-x", *JUNK])])
    return [verb, *(word for part in parts for word in part)]


# --- what comes out


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies beside the images in each case."""
    stock = tmp_path_factory.mktemp("stock")
    train(tiny_recipe(training={"epochs": 1, "batch_size": 50}), stock / "run", CPU)
    shutil.copytree(stock / "run", stock / "damaged")
    (stock / "damaged" / "model.safetensors").write_bytes(b"nothing")
    (stock / "empty").mkdir()
    recipe = tiny_fields(training={"epochs": 1, "batch_size": 50})
    of_folder = recipe | {"data": {"name": "image_folder", "path": "images", "size": 12, "channels": 1}}
    (stock / "recipe.json").write_text(json.dumps(recipe))
    (stock / "folder.json").write_text(json.dumps(of_folder))
    (stock / "bom.json").write_text(json.dumps(recipe), encoding="utf-16")
    (stock / "damaged.json").write_text(json.dumps(recipe)[:-9])
    (stock / "space.json").write_text('{"model.latent_dim": {"choices": [2, 3]}}')
    (stock / "file.txt").write_text("a.png\n")
    (stock / "broken.py").write_text("1 / 0")
    (stock / "link.csv").symlink_to("nothing")
    made = command("compress", "./run", "tiny:3", "--out", "made.aez", cwd=stock)
    assert made.returncode == 0, made.stderr
    (stock / "damaged.aez").write_bytes((stock / "made.aez").read_bytes()[:-30])
    return stock


def check(words: list[str], place: Path) -> None:
    environment = {"ZOO_DATA": str(place / "data"), "HOME": str(place / "home"), "COLUMNS": "100"}
    done = command(*words, cwd=place, **environment)
    assert done.returncode in (0, 1, 2)
    assert "Traceback" not in done.stderr
    assert done.returncode != 2 or "error: " in done.stderr
    printed = re.sub(r"\r.*", "", done.stdout + done.stderr)  # the bars of the Hub's client
    assert printed.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "cases", [pytest.param(range(60), id="some"), pytest.param(range(60, CASES), id="others", marks=pytest.mark.slow)]
)
def test_no_command_line_ends_with_a_traceback(
    cases: range, stock: Path, hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serves_not: None
) -> None:
    hub.repository("me/there", {name: (stock / "run" / name).read_bytes() for name in RUN_FILES})
    monkeypatch.setattr("zoo.metrics._classifier.EPOCHS", 1)
    for protocol in ("HTTP", "HTTPS"):  # no dataset is downloaded
        monkeypatch.setenv(f"{protocol}_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    place = tmp_path / "place"
    for case in cases:
        random = Random(case)
        shutil.copytree(stock, place, symlinks=True, copy_function=link)
        plant(place / "images", random)
        check(command_line(random), place)
        shutil.rmtree(place)
