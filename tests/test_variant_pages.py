"""The pages of the variants: ideas, formulas, checks and figures of every family, all written by themselves."""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

import zoo
from docs.known_answers import known_answers
from docs.variants import (
    FIGURES,
    bench_of,
    families_of_entries,
    own_parts,
    parts_of,
    prose,
    reconstructions_and_samples,
    variant_pages,
)
from tests.helpers import command, tiny_fields
from zoo.entries.trained_model import TrainedModel
from zoo.registry import Registry
from zoo.schema.extends import read_fields
from zoo.schema.recipe import parse_recipe

FAMILIES = families_of_entries()
PAGES = variant_pages()


def formulas(page: str) -> list[str]:
    return re.findall(r"```math\n(.*?)\n```", page, re.DOTALL)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_page_has_an_idea_a_formula_its_settings_and_a_check(family: str) -> None:
    page = PAGES[f"{family}.md"]
    assert formulas(page)
    assert "- " in page.split("## Checked against known answers")[1], "mark a test with known_answer"
    assert not re.search(r"^(?:- )?Of ", page, re.MULTILINE)
    assert ":class:" not in page and ".. math" not in page
    outside = re.sub(r"```.*?```|`[^`\n]*`", "", page, flags=re.DOTALL)
    assert "$" not in outside and "\\`" not in outside
    for formula in formulas(page):
        assert formula.count("{") == formula.count("}"), formula
        for opening, closing in (("left", "right"), ("underbrace", "underbrace")):
            assert formula.count(rf"\{opening}") == formula.count(rf"\{closing}"), formula
        assert "#" not in formula and "%" not in formula  # comments and parameters of TeX
        assert "\n\n" not in formula


def test_every_part_that_a_page_speaks_of_has_a_formula_and_a_check() -> None:
    patterns = {pattern for names, _, _ in known_answers() for pattern in names}
    for family, names in FAMILIES.items():
        recipe, bench = zoo.recipe(names[0]), bench_of(family)
        for (kind, name, _), registry in own_parts(recipe, parse_recipe({"name": "x", **read_fields(bench)}, "x")):
            module = sys.modules[registry.get(name).build.__module__]
            assert ".. math::" in (inspect.getdoc(module) or ""), f"{kind} {name}"
            if family not in {"ae_16", "vae_16"}:  # which speak of everything
                assert f"{kind}/{name}" in patterns or f"{kind}/*" in patterns, f"{kind} {name}"


def test_a_marked_test_is_of_parts_that_there_are() -> None:
    registries: dict[str, Registry[object]] = {
        part[0]: registry for names in FAMILIES.values() for part, registry in parts_of(zoo.recipe(names[0]))
    }
    for names, says, address in known_answers():
        assert says[0].isupper() or not says[0].islower() or says.startswith(("beta", "log|", "m and")), says
        assert says.endswith("."), says
        for name in names:
            kind, _, choice = name.partition("/")
            assert choice == "*" or choice in registries[kind].names(), f"{name} in {address}"


def test_formulas_and_code_of_a_docstring_stay_what_they_are() -> None:
    found = prose("Code `a_b*c` and a * b.\nAnd :class:`~zoo.X`.\n\n.. math::\n    a_1 * b_2\n    + c")
    assert found == "Code `a_b*c` and a \\* b. And `zoo.X`.\n\n```math\na_1 * b_2\n+ c\n```"


def test_a_figure_has_a_palette_and_is_small(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.json"
    recipe.write_text(json.dumps(tiny_fields(training={"epochs": 1, "batch_size": 50})))
    done = command("train", recipe, "--out", tmp_path / "run", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    drawn = reconstructions_and_samples(TrainedModel(tmp_path / "run"))
    assert Image.open(io.BytesIO(drawn)).mode == "P"
    assert drawn == reconstructions_and_samples(TrainedModel(tmp_path / "run"))
    for content in (drawn, *(path.read_bytes() for path in FIGURES.glob("*.png"))):
        assert len(content) <= 40_000
