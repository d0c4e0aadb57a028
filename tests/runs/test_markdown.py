"""Text from outside on cards: it stays text, and the cards that are shipped stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.helpers import tiny_fields
from zoo.entries.catalog import WEIGHTS
from zoo.runs import markdown
from zoo.runs.card import load_name_in, write_card
from zoo.runs.folder import read_config
from zoo.schema.recipe import parse_recipe
from zoo.schema.run_config import RunConfig

HOSTILE = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</details>", "<!-- x",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)", "[x]: https://evil.example", "a\n\n# Fake heading", "# Fake heading",
    "- a list", "+ a list", "1. a list", "1) a list", "> quoted", "```", "~~~", "    code", "a\n```\nb", "---", "===",
    "| a | b |",
    "\x1b[31mred", "\u202eesrever", "*bold*", "_bold_", "__bold__", "~~struck~~", "`code`", "``", "\\", "a\\",
    "&lt;script&gt;", "&#60;script&#62;", "<https://evil.example>", "a\r# Fake", "a\u2028# Fake", "[x][y]", "![x][y]",
    "a `", "\ttab", "* a",
]  # fmt: skip
KINDS = {"paragraph", "inline", "text", "text_special", "softbreak"}


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    for before in ("", "- "):
        tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"{before}{markdown.text(text)}. And on.")
        every = [inner for token in tokens for inner in [token, *(token.children or [])]]
        kinds = {token.type.removesuffix("_open").removesuffix("_close") for token in every}
        assert kinds <= KINDS | ({"bullet_list", "list_item"} if before else set())
        assert sum(token.type == "list_item_open" for token in every) == bool(before)


@pytest.mark.parametrize(
    "text",
    ["At beta = 1, -log p(x|z) is 0.5 [nats]; see conv_vae: a-b, Hinton & Salakhutdinov (2006) 5.", "0.1.0", "-0.5"],
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert markdown.text(text) == text


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://openreview.net/forum?id=Sy2fzU9gl", True),
        ("HTTP://example.org/a_b~c#d", True),
        ("javascript:alert(1)", True),  # is no link of any viewer
        ("https://x/[a](javascript:alert(1))", False),
        ("https://x/<script>", False),
        ("https://x\n# Fake", False),
        ("data:text/html,<script>", False),
    ],
)
def test_an_address_is_kept_where_it_is_one(address: str, kept: bool) -> None:
    assert (markdown.url(address) == address) == kept
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(f"- {markdown.url(address)}")
    assert {token.type for inline in tokens for token in inline.children or []} <= KINDS


def structure(card: str) -> list[tuple[str, str]]:
    """Return the headings, code blocks, images and HTML of a card, without what they are about."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(card.partition("\n---\n\n")[2])
    every = [inner for token in tokens for inner in [token, *(token.children or [])]]
    return [(token.type, token.tag) for token in every if token.type not in ("text", "text_special")]


def test_a_card_has_the_same_parts_whatever_its_recipe_says(trained: Path) -> None:
    config = read_config(trained)

    def card(text: str) -> str:
        source = {
            "system": text, "paper": text, "url": text, "notes": text, "license": text, "corrected": [text],
            "published": [{"figure": text, "computed": text}],
        }  # fmt: skip
        recipe = parse_recipe(tiny_fields(summary=text, source=source)).to_dict()
        about = {"hardware": text, "versions": {text: text}}
        record = config.model_dump() | {"recipe": recipe, **about, "evaluation": {text: about}}
        return write_card(RunConfig.model_validate(record))

    expected = structure(card("plain"))
    for text in HOSTILE:
        written = card(text)
        assert structure(written) == expected, text
        for forbidden in ("<script", "<img", "\x1b", "\u202e"):
            assert forbidden not in written.partition("\n---\n\n")[2]
        block = written.rpartition("```json\n")[2].partition("\n```\n")[0]
        assert json.loads(block)["summary"] == text


@pytest.mark.parametrize("folder", sorted(WEIGHTS.glob("*/README.md")), ids=lambda path: path.parent.name)
def test_the_shipped_cards_stay_as_they_are(folder: Path) -> None:
    text = folder.read_text(encoding="utf-8")
    beside = {path.name for path in folder.parent.iterdir()}
    assert write_card(read_config(folder.parent), load_name_in(text), beside) == text
