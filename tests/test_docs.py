"""What the documents say is so: generated parts are current, commands and snippets run."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from markdown_it import MarkdownIt
from torchvision.transforms.functional import to_pil_image

import zoo
from tests.helpers import PLUGIN, ROOT, command, dataset, needs_mnist, python, tiny_recipe
from tests.hub.server import StandInHub
from zoo.cli.app import VERBS
from zoo.datasets import load_images
from zoo.entries.catalog import list_models
from zoo.registry import FIGURES, LOGGERS, METRICS
from zoo.runs.folder import read_config
from zoo.schema import parse_recipe
from zoo.training import train

README = (ROOT / "README.md").read_text()
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
GENERATED = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*/*.md"))
RUN = {
    "README.md", "docs/anomaly_detection.md", "docs/evaluation.md", "docs/figures.md", "docs/fine_tuning.md",
    "docs/hub.md", "docs/sweeps.md", "docs/tasks.md", "docs/training.md", "docs/your_own_images.md",
    "docs/your_own_loop.md", "docs/your_own_variant.md",
}  # fmt: skip
"""The pages whose Python the tests below run."""


def snippets(page: str) -> list[str]:
    """The Python of a page, one snippet after the other."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines of a page that run a command of the zoo, as ``VERB OPTIONS``, without their comments.

    Also by ``torchrun``, and as a job of an array, of which the third is taken.
    """
    starts = r"zoo |python -m zoo[. ]|torchrun .*-m zoo\.|sbatch .*--wrap 'zoo "
    lines = re.findall(rf"^(?:\$ )?({starts})(.+)$", text, re.MULTILINE)
    words = [line.rpartition("'")[0] if start.startswith("sbatch") else line.split("#")[0] for start, line in lines]
    return [line.replace("$SLURM_ARRAY_TASK_ID", "3").strip() for line in words]


def write_images(folder: Path, count: int) -> None:
    """Write image files into a new folder."""
    folder.mkdir()
    for number, image in enumerate(load_images(dataset("glyphs"), "test").images[:count]):
        to_pil_image(image).save(folder / f"{number}.png")


def test_everything_generated_is_up_to_date() -> None:
    done = python("docs/generate.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_two_commands_stand_at_the_top_of_the_readme() -> None:
    first = README.split("```bash\n", 1)[1].split("```", 1)[0].strip().splitlines()
    assert first == [
        "pip install -e . && python -m zoo.train recipes/quickstart.json",
        "pip install -e '.[test]' && pytest -n auto",
    ]


@pytest.mark.slow
@pytest.mark.alone
def test_the_quickstart_needs_no_download_and_trains_in_under_90_seconds(tmp_path: Path) -> None:
    done = command("train", "recipes/quickstart.json", "--out", tmp_path / "quickstart", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    config = read_config(tmp_path / "quickstart")
    assert config.training_seconds < 90
    assert config.metrics["test"]["negative_elbo"] < 110


@needs_mnist
def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (code,) = snippets("README.md")
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([16, 1, 28, 28])" in done.stdout


def test_every_zoo_command_in_the_documents_parses() -> None:
    # --help after the options makes argparse check the command without running it.
    lines = [line for page in PAGES for line in commands((ROOT / page).read_text())]
    assert len(lines) >= 69
    for page in GENERATED:  # they differ in the entry's name: each kind of line once
        for name in re.findall(r"^zoo train (\w+)$", text := (ROOT / page).read_text(), re.MULTILINE):
            assert name in list_models(), page
            lines += [line for line in commands(text.replace(name, "NAME")) if line not in lines]
    verbs = {shlex.split(line)[0] for line in lines if not line.startswith("--help")}
    assert verbs <= VERBS.keys()
    assert VERBS.keys() - verbs <= {"classifier", "completion"}, "every other verb is shown"
    for line in lines:
        done = command(*shlex.split(line), "--help")
        assert done.returncode == 0, line


@pytest.mark.parametrize("module", ["train", "compare"])
def test_the_modules_that_the_readme_runs_are_there(module: str) -> None:
    assert f"\npython -m zoo.{module}" in README
    done = python("-m", f"zoo.{module}", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m zoo.{module} [-h]")


def test_no_page_speaks_of_commands_that_moved() -> None:
    for page in PAGES:
        if page != "CHANGELOG.md":
            assert set(re.findall(r"python -m zoo\.(\w+)", (ROOT / page).read_text())) <= {"train", "compare"}, page


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*PAGES, *GENERATED, "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
            if "://" not in target:
                assert ((ROOT / page).parent / target).exists(), (page, target)


def test_the_python_of_every_page_is_run_by_a_test() -> None:
    assert {page for page in [*PAGES, *GENERATED] if snippets(page)} == RUN


def test_every_recipe_of_the_pages_is_one() -> None:
    blocks = [
        json.loads(block)
        for page in PAGES
        for block in re.findall(r"^```json\n(\{\n.*?)```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    ]
    recipes = [block for block in blocks if "data" in block and block["model"]["variant"] != "tanh_vae"]
    assert len(recipes) >= 5
    for fields in recipes:
        fields.pop("$schema", None)
        parse_recipe(fields)


def test_markdown_means_the_same_on_the_site_and_on_github() -> None:
    # Lists need an empty line above them in Python's Markdown and four spaces within, on GitHub they do not.
    markdown = pytest.importorskip("markdown", reason="needs the extra `docs`")
    extensions = ["tables", "attr_list", "md_in_html", "sane_lists", "pymdownx.superfences"]
    github = MarkdownIt("gfm-like", {"linkify": False})
    for page in [*PAGES, GENERATED[0], "docs/variants/README.md", "CHANGELOG.md"]:
        text = (ROOT / page).read_text()
        there, here = (
            Counter(re.findall(r"<(ul|ol|li|pre|table|tr|td|h\d|img|a|strong)[ >]", html))
            for html in (github.render(text), markdown.markdown(text, extensions=extensions))
        )
        assert there == here, page


def test_every_kind_of_figure_has_its_place_in_the_documentation() -> None:
    text = (ROOT / "docs" / "figures.md").read_text()
    for kind, figure in FIGURES.items().items():
        if figure.build.__module__.startswith("zoo."):
            assert f"`{kind}`" in text
            assert f"--kind {kind}" in text


@pytest.mark.slow
@needs_mnist
def test_the_python_of_the_page_on_figures_runs(tmp_path: Path) -> None:
    (code,) = snippets("docs/figures.md")
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "manifold.png").is_file()


@pytest.mark.slow
def test_the_python_of_the_page_on_tasks_runs(tmp_path: Path) -> None:
    codes = snippets("docs/tasks.md")
    assert len(codes) == 6
    done = python("-c", "\n".join(codes), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *_, stored, accuracy, exported = done.stdout.splitlines()
    assert stored.startswith("(10000, 10) glyphs/test/0 ")
    assert float(accuracy) > 0.2
    assert exported == "(16, 10) [0, 1]"
    assert (tmp_path / "exported-torch" / "decoder.pt2").is_file()


@pytest.mark.slow
def test_the_python_of_the_pages_on_fine_tuning_and_sweeps_runs(tmp_path: Path) -> None:
    fields = zoo.recipe("quickstart").to_dict()
    fields["data"] |= {"train_images": 200, "test_images": 200}
    fields["training"]["epochs"] = 1
    start = train(parse_recipe(fields), tmp_path / "runs" / "quickstart", "cpu")
    ((further,), (sweep,)) = (snippets(f"docs/{page}.md") for page in ("fine_tuning", "sweeps"))
    done = python("-c", f"{further}\n{sweep}".replace("2000", "200"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *_, sha256, found = (line for line in done.stdout.splitlines() if re.match(r"[0-9a-f]{64}|\{", line))
    assert sha256 == read_config(start).weights_sha256
    assert re.fullmatch(r"\{1\.0: [\d.]+, 4\.0: [\d.]+\}", found)


@pytest.mark.slow
def test_the_python_of_the_page_on_anomaly_detection_runs(tmp_path: Path) -> None:
    done = python("-c", "\n".join(snippets("docs/anomaly_detection.md")), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    threshold, same = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"threshold 0\.\d+, 0\.010 of the normal images above it", threshold)
    assert same == "True"


@pytest.mark.slow
def test_the_python_of_the_page_on_ones_own_images_runs(tmp_path: Path) -> None:
    recipe, *_ = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "your_own_images.md").read_text(), re.DOTALL)
    assert '"epochs": 50' in recipe
    (tmp_path / "mine.json").write_text(recipe.replace('"epochs": 50', '"epochs": 1'))
    write_images(tmp_path / "images", 200)
    (code,) = snippets("docs/your_own_images.md")
    environment = {"ZOO_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    assert command("train", "mine.json", "--device", "cpu", cwd=tmp_path, **environment).returncode == 0
    done = python("-c", f"{code}\nprint(codes.shape, reconstructions.shape, new.shape)", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\(?\[\d+, 64\].*\[\d+, 3, 64, 64\].*\[16, 3, 64, 64\]", done.stdout)


def test_the_readme_lists_the_shipped_entries_outside_the_bench_and_the_leaderboard_all_of_them() -> None:
    leaderboard = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    bench = leaderboard[leaderboard.index("## The bench") : leaderboard.index("## Likelihood")]
    for name in list_models(weights=True):
        assert (f"| `{name}` |" in README) != (f"(entries/{name}.md)" in bench)
        assert f"[`{name}`](entries/{name}.md)" in leaderboard


def test_the_metric_of_the_page_on_evaluation_can_be_measured(trained: Path, tmp_path: Path) -> None:
    (code,) = snippets("docs/evaluation.md")
    (tmp_path / "brightness.py").write_text(code)
    with mock.patch.dict(METRICS._registered):  # its own until the end of this test
        done = command(
            "evaluate", trained, "--metrics", "mean_grey", "--import", PLUGIN, "--import", tmp_path / "brightness.py"
        )
    assert done.returncode == 0, done.stderr
    assert "mean_grey" in done.stdout


@pytest.mark.slow
def test_each_page_on_ones_own_things_trains_with_them(tmp_path: Path) -> None:
    names = ("network", "posterior", "prior", "likelihood", "objective", "optimizer", "augmentation", "figure")
    _, _, *codes, _ = snippets("docs/your_own_variant.md")
    for name, code in zip(names, codes, strict=True):
        (tmp_path / f"my_{name}.py").write_text(code)
    page = (ROOT / "docs" / "your_own_variant.md").read_text()
    sections = ", ".join(re.findall(r"^In a recipe: `(.*)`\.$", page, re.MULTILINE))
    parts = json.loads(f"{{{', '.join(re.findall(r'^In a model: `(.*)`[.]$', page, re.MULTILINE))}}}")
    assert parts.keys() == {"posterior", "prior", "likelihood"}
    recipe: dict[str, Any] = tiny_recipe().to_dict() | json.loads(f"{{{sections}}}")
    recipe["model"] |= parts
    recipe["objective"] = {"name": "kl_target"}
    (tmp_path / "mine.json").write_text(json.dumps(recipe))
    imports = [word for name in names for word in ("--import", f"my_{name}.py")]
    (tmp_path / "all.py").write_text(
        "import sys\nfrom zoo.cli.app import run\n"
        f"options = {[*imports, '--device', 'cpu', '--import', str(PLUGIN)]}\n"
        "run(['train', 'mine.json', '--out', 'mine', *options])\n"
        "run(['figures', './mine', '--kind', 'mean_image', '--out', 'mean.png', '--device', 'cpu'])\n"
    )  # in a process of its own, whose registries end with it
    done = python("all.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mean.png").is_file()
    config = read_config(tmp_path / "mine")
    assert config.recipe["model"]["network"] == {"name": "silu", "hidden": 300}
    assert parts.items() <= config.recipe["model"].items()
    assert config.recipe["optimizer"]["schedule"] == {"name": "warm_up", "rise": 3}
    assert config.recipe["training"]["augment"] == [{"name": "gamma", "probability": 1.0, "largest": 2.0}]


def test_an_encoder_and_a_decoder_of_ones_own_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = snippets("docs/your_own_variant.md")[-1].replace(
        '"glyphs"', '"glyphs", "train_images": 200, "test_images": 20'
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "my_layers"}
    exec(code, names)
    found = read_config(tmp_path / "runs" / "my_layers").recipe["model"]["network"]
    assert found == {"name": "own", "encoder": "my_layers:Encoder", "decoder": "my_layers:Decoder"}
    assert names["model"].config is not None


def own_loop(number: int) -> str:
    """A snippet of the page on loops of one's own, for fewer images."""
    code = snippets("docs/your_own_loop.md")[number]
    return code.replace("torch.rand(512, ", "torch.rand(32, ").replace("batch_size=64", "batch_size=16")


def test_the_plain_loop_of_ones_own_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    with contextlib.chdir(tmp_path):
        exec(own_loop(0), names)
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"epoch 2: loss [\d.]+, reconstruction [\d.]+, kl [\d.]+", second)
    assert names["reconstructions"].shape == (8, 3, 64, 64)
    assert names["samples"].shape == (16, 3, 64, 64)
    assert (tmp_path / "vae.safetensors").is_file()


@pytest.mark.skipif(importlib.util.find_spec("lightning") is None, reason="needs lightning (the extra `lightning`)")
@pytest.mark.slow
def test_the_lightning_loop_of_ones_own_runs(tmp_path: Path) -> None:
    done = python("-c", f"{own_loop(0)}\n{own_loop(1)}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("torch.Size([16, 3, 64, 64])\n")


def test_the_trainer_runs_from_a_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = own_loop(2).replace('zoo.recipe("quickstart")', "tiny")
    with contextlib.chdir(tmp_path):
        exec(code, {"tiny": tiny_recipe()})
    assert "tiny_vae: linear_vae, " in capsys.readouterr().out
    assert (tmp_path / "runs" / "quickstart" / "model.safetensors").is_file()


@pytest.mark.slow
def test_the_page_on_the_hub_leads_from_images_to_a_model_that_is_loaded(hub: StandInHub, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "hub.md").read_text()
    (recipe,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert '"epochs": 50' in recipe
    (tmp_path / "my_images.json").write_text(recipe.replace('"epochs": 50', '"epochs": 1'))
    write_images(tmp_path / "images", 40)
    environment = {"HF_HOME": str(tmp_path / "home"), "ZOO_DATA": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    lines = commands(page)
    assert [line.split()[0] for line in lines][:4] == ["train", "push", "push", "verify"]
    load, torch_hub = snippets("docs/hub.md")
    for line in lines:
        done = command(*shlex.split(line), cwd=tmp_path, **environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    repository = hub.repositories["me/my-images"]
    commit = repository.branches["main"]
    assert repository.tags == {"v1": commit}
    assert b"license: cc-by-4.0" in hub.files("me/my-images")["README.md"]
    for code, expected in ((load, f"hf-hub:me/my-images@{commit}\ntorch.Size([16, 3, 64, 64])\n"), (torch_hub, "")):
        done = python("-c", code, cwd=ROOT if code == torch_hub else tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.removeprefix("the cache: ") == expected


def test_the_logger_of_the_page_on_training_logs(tmp_path: Path) -> None:
    (code,) = snippets("docs/training.md")
    (tmp_path / "lines.py").write_text(code)
    (tmp_path / "r.json").write_text(json.dumps(tiny_recipe().to_dict()))
    options = ["--import", PLUGIN, "--import", tmp_path / "lines.py", "--out", tmp_path / "mine", "--device", "cpu"]
    with mock.patch.dict(LOGGERS._registered):
        done = command("train", tmp_path / "r.json", "--log", "lines", *options)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "mine.log").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert "train/loss" in lines[0]
