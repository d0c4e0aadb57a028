"""The wheel: built, installed into an empty environment, used from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT
from zoo.entries.catalog import list_models, recipe_paths

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
    )
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and nothing of the checkout; torch and the others come from this one."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Only the folder of installed packages, as text: a .pth would bring in this checkout's editable install as well.
    (site / "sitecustomize.py").write_text(f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n")
    return python


def use(program: Path, cwd: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "ZOO_DATA")}
    done = subprocess.run(
        [str(program), *arguments],
        cwd=cwd, env={**environment, "ZOO_DATA": str(cwd / "data")}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_recipes_weights_and_the_type_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"zoo/recipes/{path.name}" for path in recipe_paths().values()} <= names
    for name in list_models(weights=True):
        assert {f"zoo/weights/{name}/{file}" for file in ("model.safetensors", "config.json", "README.md")} <= names
    assert "zoo/py.typed" in names
    assert {"zoo/explorer/static/index.html", "zoo/explorer/static/views/map.js"} <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "recipes"))]
    assert wheel.stat().st_size < 95e6  # PyPI takes 100 MB
    assert not [name for name in names if name.startswith("zoo/weights/") and name.endswith(".png")]


def test_the_installed_package_lists_loads_trains_and_compares(python: Path, tmp_path: Path) -> None:
    code = "import zoo, json; print(json.dumps([zoo.__file__, zoo.list_models(), zoo.recipe('conv_vae_mnist').name]))"
    listed = use(python, tmp_path, "-c", code)
    assert str(python.parent.parent) in listed
    assert "conv_vae_mnist" in listed
    code = "import zoo; m = zoo.load('conv_vae_mnist'); print(m.sample(16).shape)"
    assert use(python, tmp_path, "-c", code) == "torch.Size([16, 1, 28, 28])\n"
    small = ("--set", "data.train_images=500", "--set", "data.test_images=100", "--set", "training.epochs=1")
    use(python.with_name("zoo"), tmp_path, "train", "quickstart", *small)
    use(python, tmp_path, "-m", "zoo.compare", "./runs/quickstart_changed", "linear_vae_mnist")
    assert (tmp_path / "compare.png").stat().st_size > 10_000
