"""Images of a model that a verb writes as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def write_images(folder: Path, names: Sequence[str], images: Tensor, first: int) -> None:
    """Write images (B, C, H, W) in [0, 1] as ``000017-NAME.png``, numbered from ``first``.

    Args:
        folder: the folder to write into.
        names: the name of each image, such as that of the file it was read from, or an empty one.
        images: the images.
        first: the number of the first.
    """
    from zoo.system.image_files import encode_png

    for number, (name, image) in enumerate(zip(names, images, strict=True), first):
        stem = part_of(Path(name).stem)
        (folder / f"{number:06}{stem and f'-{stem}'}.png").write_bytes(encode_png(image))


def part_of(name: str) -> str:
    """Return as much of a name as fits into that of another file, whose length the system counts in bytes."""
    return name.encode()[:100].decode(errors="ignore")
