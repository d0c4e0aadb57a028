"""The site's own part, docs/site.py; whether its links hold, `mkdocs build --strict` says in CI."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import zoo
from tests.helpers import ROOT
from zoo.entries.catalog import list_models, weights_folder

site = pytest.importorskip("docs.site", reason="needs MkDocs (the extra `docs`)")


@pytest.mark.parametrize(
    "page, link, expected",
    [
        ("index.md", "](../README.md#use)", "](first_steps.md#use)"),
        ("index.md", "](hub.md)", "](hub.md)"),
        ("variants/vae_16.md", "](../../CHANGELOG.md)", "](../changes.md)"),
        ("models.md", "](../recipes/ae.json)", "](recipes/ae.json)"),
        ("entries/ae_mnist.md", "](../../recipes/ae.json)", "](../recipes/ae.json)"),
        ("first_steps.md", "](docs/models.md#cost)", "](models.md#cost)"),
        ("first_steps.md", "](docs/tutorial.ipynb)", "](tutorial.md)"),
        ("tutorial.md", "](tutorial.ipynb)", "](tutorial.ipynb)"),  # the file itself
        ("hub.md", "](https://huggingface.co)", "](https://huggingface.co)"),
        ("hub.md", "](#2-push)", "](#2-push)"),
        ("hub.md", "`](../README.md)`", "`](../README.md)`"),
        ("hub.md", "\n```text\n](../README.md)\n```\n", "\n```text\n](../README.md)\n```\n"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(page: str, link: str, expected: str) -> None:
    assert site.relinked(f"a [b{link} c", page) == f"a [b{expected} c"


def test_a_notebook_becomes_a_page_with_its_cells_outputs_and_figures(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words."]},
        {
            "cell_type": "code",
            "source": ["x = 1\n", "x"],
            "outputs": [
                {"output_type": "execute_result", "data": {"text/plain": ["1"]}},
                {"output_type": "display_data", "data": {"image/png": "aGk=\n", "text/plain": ["<Figure>"]}},
                {"output_type": "stream", "text": ["said\n"]},
            ],
        },
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    files = site.notebook(tmp_path / "a.ipynb")
    assert files["a/1.png"] == b"hi"
    page = files["a.md"]
    assert page.startswith("# Title\n\n*This page is [a notebook](a.ipynb)")
    assert page.index("Words.") < page.index("```python\nx = 1\nx\n```") < page.index("```text\n1\n```")
    assert page.index("](a/1.png)") < page.index("```text\nsaid\n```")
    assert "<Figure>" not in page


def test_the_reference_has_every_public_name_and_package() -> None:
    pages = site.api_pages()
    assert set(re.findall(r"heading: zoo\.(\w+)", pages["api/index.md"])) == {*zoo.__all__} - {*zoo._PACKAGES}
    assert {*zoo._PACKAGES} <= {package for packages in site.API.values() for package in packages}


def test_a_pattern_in_the_navigation_stands_for_the_pages_that_are_not_named() -> None:
    nav = [{"A": ["a/README.md", "a/*"]}, "b.md"]
    assert set(site._named(nav)) == {"a/README.md", "a/*", "b.md"}
    assert site._expanded(nav, ["a/1.md", "a/2.md", "c.md"]) == [{"A": ["a/README.md", "a/1.md", "a/2.md"]}, "b.md"]


def test_a_formula_is_mathml_and_one_that_cannot_be_is_refused() -> None:
    found = site.MATH.sub(site.mathml, "a\n\n```math\n\\frac{a}{b}\n```\n\nb")
    assert "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>" in found
    with pytest.raises(site.PluginError, match="cannot be written as MathML"):
        site.MATH.sub(site.mathml, "```math\n\\nosuch{a}\n```")


@pytest.mark.parametrize(
    "tag", ['<img src="//a.b/c.png">', '<script async src="https://a.b/c.js">', "<link href=https://a.b rel=x>"]
)
def test_a_page_that_loads_from_outside_is_refused(tag: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="a.md"))
    with pytest.raises(site.PluginError, match="a.md loads something from outside"):
        site.on_post_page(f"<p>{tag}</p>", page=page)
    harmless = '<a href="https://a.b">out</a><img src="c.png"><script src="../x.js">'
    assert site.on_post_page(harmless, page=page) == harmless


def test_every_entry_has_a_page_and_those_with_weights_a_figure_in_the_grid() -> None:
    start = (ROOT / "docs" / "index.md").read_text()
    for name in list_models():
        assert (ROOT / "docs" / "entries" / f"{name}.md").is_file()
        if weights_folder(name):
            assert f"](entries/{name}.png)](entries/{name}.md)" in start
            assert (ROOT / "docs" / "entries" / f"{name}.png").is_file(), "python docs/generate.py --plots"


def test_headings_of_the_same_words_have_the_anchors_of_github() -> None:
    text = "# A\n\n### `a_b`\n\n```text\n### `a_b`\n```\n\n### `a_b`\n\n### `a_b`\n"
    assert [line for line in site.numbered(text).splitlines() if "{" in line] == [
        "### `a_b` { #a_b-1 }",
        "### `a_b` { #a_b-2 }",
    ]
