"""Safetensors files that carry the sha256 of their own content, so that a damaged one is known."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

SEAL = re.compile(rb'\{\\"sha256\\": \\"([0-9a-f]{64})\\"')
"""The place of the digest in a file's header: the first field of the JSON in its metadata."""

BLANK = "0" * 64
"""The digest in the content of which the digest is taken."""


class Damaged(ValueError):
    """The content is not what :func:`seal` has returned."""


def seal(tensors: dict[str, Tensor], key: str, fields: Mapping[str, Any]) -> bytes:
    """Return the content of a safetensors file that holds its own sha256.

    Args:
        tensors: the tensors.
        key: the name of the metadata's only text; several would have no order.
        fields: what the text holds as JSON.
    """
    content = save(tensors, metadata={key: json.dumps({"sha256": BLANK, **fields})})
    start, end = _seal_place(content)
    return b"".join([content[:start], hashlib.sha256(content).hexdigest().encode(), content[end:]])


def unseal(content: bytes, key: str, unsealed: Collection[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the fields of a file.

    Args:
        content: the content of the file.
        key: the name of the metadata's text.
        unsealed: the names of the fields in files of earlier versions, which have no digest; none for one whose
            files had no metadata.

    Raises:
        Damaged: the content is not what was written.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header.get("__metadata__", {key: "{}"})
        if metadata.keys() != {key}:
            raise Damaged("its header is not what the zoo writes")
        fields = json.loads(metadata[key])
        if "sha256" in fields:
            start, end = _seal_place(content)
            digest = hashlib.sha256(content[:start])
            digest.update(BLANK.encode())
            digest.update(memoryview(content)[end:])
            if digest.hexdigest() != fields.pop("sha256"):
                raise Damaged("its sha256 differs")
        elif fields.keys() != set(unsealed):
            raise Damaged("its header is not what the zoo writes")
        return load(content), fields
    except Damaged:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise Damaged(str(error) or type(error).__name__) from error


def _seal_place(content: bytes) -> tuple[int, int]:
    place = SEAL.search(content, 8, 8 + int.from_bytes(content[:8], "little"))
    if not place:
        raise Damaged("it has no sha256")
    return place.span(1)
