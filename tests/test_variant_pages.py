"""The pages of the variants: ideas, formulas, checks and figures of every family, all written by themselves."""

from __future__ import annotations

import inspect
import re
import sys
from functools import cache
from pathlib import Path

import pytest

import zoo
from docs import variants
from docs.known_answers import known_answers
from docs.variants import bench_of, families_of_entries, own_parts, parts_of, prose, variant_pages
from tests.helpers import ROOT
from zoo.entries.catalog import weights_folder
from zoo.registry import Registry
from zoo.runs.folder import read_config
from zoo.schema.extends import read_fields
from zoo.schema.recipe import parse_recipe

FAMILIES = families_of_entries()
pages = cache(variant_pages)


def formulas(page: str) -> list[str]:
    return re.findall(r"```math\n(.*?)\n```", page, re.DOTALL)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_page_has_an_idea_a_formula_its_settings_and_a_check(family: str) -> None:
    page = pages()[f"{family}.md"]
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


def test_formulas_are_ones_that_another_reader_of_tex_knows() -> None:
    convert = pytest.importorskip("latex2mathml.converter", reason="needs the extra `docs`").convert
    for formula in {formula for page in pages().values() for formula in formulas(page)}:
        found = convert(formula)
        assert found.startswith("<math") and not re.search(r">\s*\\[a-zA-Z]+\s*<", found), formula


def test_a_page_shows_the_figures_of_entries_with_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    names = FAMILIES["vamp_vae"]
    assert ".png" not in variants.page("vamp_vae", names) or weights_folder(names[0])
    monkeypatch.setattr(variants, "weights_folder", lambda name: Path(name))
    monkeypatch.setattr(variants, "record_folder", lambda name: ROOT / "zoo" / "weights" / "linear_vae_mnist")
    page = variants.page("vamp_vae", names)
    assert all(f"](../entries/{name}.png)" in page for name in names)
    figures = read_config(ROOT / "zoo" / "weights" / "linear_vae_mnist").metrics["test"]
    assert f"{figures['negative_elbo']:.2f}" in page
