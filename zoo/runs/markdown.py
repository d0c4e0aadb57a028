"""Text from outside in Markdown: it stays text, on one line, whatever it looks like."""

from __future__ import annotations

import re

from zoo.errors import escaped

ENTITIES = {"<": "&lt;", ">": "&gt;"}

SPECIAL = re.compile(
    r"[<>`*\\]"  # tags, code, emphasis, escapes
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; within a word it is none
    r"|~(?=~)|(?<=~)~"  # strikethrough
    r"|!(?=\[)|\](?=[\[(])"  # images, links
    r"|&(?=#|\w+;)"  # entities
    r"|^(?:[#>|=~+-](?!\d)|\[)|^\d+(?=[.)](?:\s|$))"  # what begins a block
)

URL = re.compile(r"https?://[\w.~:/?#@!$&'(),;=%+-]+", re.ASCII | re.IGNORECASE)
"""The addresses that a card shows as they are, which viewers make links of."""


def text(value: str) -> str:
    """Return text on one line that Markdown shows as it is; plain text stays the same, character by character."""
    return SPECIAL.sub(_escape, escaped(value).strip())


def url(value: str) -> str:
    """Return an address on the web as it is, and anything else as text."""
    return value if URL.fullmatch(value) else text(value)


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    if found.isdigit():  # of a numbered list; the dot is what can be escaped
        return f"{found}\\"
    return ENTITIES.get(found) or f"\\{found}"
