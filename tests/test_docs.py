"""The documentation says what the code does: generated parts are current, commands and snippets run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from torchvision.transforms.functional import to_pil_image

from tests.helpers import PLUGIN, ROOT, command, dataset, needs_mnist
from tests.hub.server import StandInHub
from zoo.datasets import load_images
from zoo.entries.catalog import list_models
from zoo.figures import KINDS

README = (ROOT / "README.md").read_text()


def test_everything_generated_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_two_commands_stand_at_the_top_of_the_readme() -> None:
    first = README.split("```bash\n", 1)[1].split("```", 1)[0].strip().splitlines()
    assert first == [
        "pip install -e . && python -m zoo.train recipes/quickstart.json",
        "pip install -e '.[test]' && pytest",
    ]


def test_the_quickstart_needs_no_download_and_trains_in_under_90_seconds(tmp_path: Path) -> None:
    done = command("train", "recipes/quickstart.json", "--out", tmp_path / "quickstart", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    from zoo.runs.folder import read_config

    config = read_config(tmp_path / "quickstart")
    assert config.training_seconds < 90
    assert config.metrics["test"]["negative_elbo"] < 110


@needs_mnist
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=dict(**_environment())
    )
    assert done.returncode == 0, done.stderr
    assert "torch.Size([16, 1, 28, 28])" in done.stdout


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_every_zoo_command_in_the_documents_parses() -> None:
    # --help after the options makes argparse check the command without running it.
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [line for page in pages for line in re.findall(r"^(?:\$ )?python -m (zoo\..*)$", page.read_text(), re.M)]
    assert len(lines) >= 8
    for line in lines:
        module, *arguments = shlex.split(line.split("#")[0])
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), line
        done = command(module, *arguments, "--help")
        assert done.returncode == 0, line


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_between_the_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


def test_every_kind_of_picture_has_its_place_in_the_documentation() -> None:
    text = (ROOT / "docs" / "pictures.md").read_text()
    for kind in KINDS:
        assert f"`{kind}`" in text
        assert f"--kind {kind}" in text


@needs_mnist
def test_the_python_of_the_page_on_pictures_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "pictures.md").read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=dict(**_environment())
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "manifold.png").is_file()


def test_the_python_of_the_page_on_tasks_runs(tmp_path: Path) -> None:
    codes = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tasks.md").read_text(), re.DOTALL)
    assert len(codes) == 6
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(codes)], cwd=tmp_path, capture_output=True, text=True, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    *_, stored, accuracy, exported = done.stdout.splitlines()
    assert stored.startswith("(10000, 10) glyphs/test/0 ")
    assert float(accuracy) > 0.2
    assert exported == "(16, 10) [0, 1]"
    assert (tmp_path / "exported-torch" / "decoder.pt2").is_file()


def test_the_readme_lists_every_shipped_entry() -> None:
    for name in list_models(weights=True):
        assert f"| `{name}` |" in README


def test_the_metric_of_the_page_on_evaluation_can_be_measured(trained: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "evaluation.md").read_text(), re.DOTALL)
    (tmp_path / "brightness.py").write_text(code)
    done = command(
        "evaluate", trained, "--metrics", "mean_grey", "--import", PLUGIN, "--import", tmp_path / "brightness.py"
    )
    assert done.returncode == 0, done.stderr
    assert "mean_grey" in done.stdout


def test_the_page_on_the_hub_leads_from_pictures_to_a_model_that_is_loaded(hub: StandInHub, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "hub.md").read_text()
    (recipe,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert '"epochs": 50' in recipe
    (tmp_path / "my_pictures.json").write_text(recipe.replace('"epochs": 50', '"epochs": 1'))
    (tmp_path / "pictures").mkdir()
    for number, image in enumerate(load_images(dataset("glyphs"), "test").images[:40]):
        to_pil_image(image).save(tmp_path / "pictures" / f"{number}.png")
    environment = {"HF_HOME": str(tmp_path / "home"), "ZOO_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    lines = re.findall(r"^python -m (zoo\..*?)(?: +#.*)?$", page, re.MULTILINE)
    assert [line.split()[0] for line in lines][:4] == ["train", "push", "push", "verify"]
    load, torch_hub = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for line in lines:
        done = command(*shlex.split(line), cwd=tmp_path, **environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    repository = hub.repositories["me/my-pictures"]
    commit = repository.branches["main"]
    assert repository.tags == {"v1": commit}
    assert b"license: cc-by-4.0" in hub.files("me/my-pictures")["README.md"]
    for code, expected in ((load, f"hf-hub:me/my-pictures@{commit}\ntorch.Size([16, 3, 64, 64])\n"), (torch_hub, "")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT if code == torch_hub else tmp_path,
            env={**_environment(), **environment}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.removeprefix("the cache: ") == expected
