"""Text in files, as any system writes it: UTF-8 with a byte order mark or without, UTF-16 with one; paths in JSON."""

from __future__ import annotations

import codecs
from pathlib import Path

from zoo.errors import ZooError

MAX_TEXT_BYTES = 2**26
"""The most bytes that are read of a text, which may come from a pipe or a device that never ends."""


def read_text(path: Path, what: str) -> str:
    r"""Return the text of a file or a pipe, with its line breaks as ``\n``.

    Args:
        path: the file.
        what: what the file is, for messages: ``"the recipe"``.

    Raises:
        ZooError: it cannot be read, is too long, or is not text.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise ZooError(f"cannot read {what} {path}: {error.strerror}") from error
    if len(content) > MAX_TEXT_BYTES:
        raise ZooError(f"cannot read {what} {path}: more than {MAX_TEXT_BYTES:,} bytes")
    return decode_text(content, f"cannot read {what} {path}: it").replace("\r\n", "\n")


def decode_text(content: bytes, where: str, errors: str = "strict") -> str:
    """Return bytes as text, without the byte order mark that they may begin with.

    Args:
        content: the bytes of a file.
        where: the beginning of a message, which goes on with "is not UTF-8 text".
        errors: ``"surrogateescape"`` for names of files, which may be any bytes.

    Raises:
        ZooError: they are neither UTF-8 nor UTF-16 with a byte order mark.
    """
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig", errors)
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1:,} is 0x{content[error.start]:02x}"
        raise ZooError(f"{where} is not UTF-8 text ({place}); save it as UTF-8") from error
    if "\0" in text:  # UTF-16 without a mark, or no text at all
        raise ZooError(f"{where} is not UTF-8 text (there are zero bytes); save it as UTF-8")
    return text


JSON_ESCAPES = {
    "\t": (r"\t", "a tab"),
    "\n": (r"\n", "a line break"),
    "\r": (r"\r", "a carriage return"),
    "\b": (r"\b", "a backspace"),
    "\f": (r"\f", "a form feed"),
}
"""Characters that hardly any path has, each as JSON spells it and in words."""


def backslash_hint(path: Path) -> str:
    r"""Return the end of a message about a path that is not there, where JSON has made it of ``"pics\train"``.

    That is a path with a tab, which nobody meant. The hint begins with a semicolon; for other paths it is empty.
    """
    text = str(path)
    found = [spelling for character, spelling in JSON_ESCAPES.items() if character in text]
    if not found:
        return ""
    for character, (spelling, _) in JSON_ESCAPES.items():
        text = text.replace(character, spelling)
    made = " and ".join(f"{spelling} is {words}" for spelling, words in found)
    slashes, doubled = text.replace("\\", "/"), text.replace("\\", r"\\")
    return f'; in JSON, {made}: write "{slashes}" or "{doubled}"'
