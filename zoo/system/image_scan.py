"""What the headers of image files say before any is decoded: pages, and the range of values of more than 8 bits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from PIL import ImageSequence

from zoo.errors import first_line
from zoo.system.deep_pixels import count_values, is_deep_colour, is_deep_grey
from zoo.system.embedded import FileT, ImageFile
from zoo.system.files import spelled
from zoo.system.image_files import DECODING, Pages, open_image, pages_in
from zoo.system.memory import out_of_memory
from zoo.system.pixel_range import ValueHistogram, ValueRange, usual_range

POOR = 8
"""A range that values fill less than one part in this many of makes images of almost one shade."""

FEW, LOST = 4.0, 2.0
"""Shades of fewer bits of entropy, where the values have so many more, are reported: as where a mark for pixels without
a value lies far from all others."""


@dataclass(frozen=True)
class Scaled:
    """Values of more than 8 bits that are scaled with one range."""

    found: ValueRange
    """The range of these values, all but a few."""
    range: ValueRange
    """The range to scale them with."""
    outside: float
    """The share of their pixels outside that range."""
    few_shades: bool
    """True if most values, although they differ, become few of the 256 shades of the range."""

    @property
    def suits(self) -> bool:
        """False where the images will be almost one shade, or lose much."""
        width = min(self.found[1], self.range[1]) - max(self.found[0], self.range[0])
        return width >= (self.range[1] - self.range[0]) / POOR and self.outside <= 1 / POOR


@dataclass
class Scan:
    """What is in a list of image files."""

    pages: list[int] = field(default_factory=list)
    """The number of pages of each file; 1 where its header cannot be read."""
    damaged: dict[ImageFile, str] = field(default_factory=dict)
    """The files whose header cannot be read, and why."""
    deep: int = 0
    """The number of files whose values have more than 8 bits."""
    colours: int = 0
    """The number of files with colours of 16 bits, of which the upper 8 bits are read."""
    found: ValueRange | None = None
    """The range of these values, all but a few; None where there are none."""
    range: ValueRange | None = None
    """The range to scale them with."""
    undefined: int = 0
    """The number of their pixels that are NaN or infinite."""
    scaled: list[Scaled] = field(default_factory=list)
    """The values with the range of each: all of them with one, or floats and whole numbers with one each."""
    kinds: dict[str, ValueRange] = field(default_factory=dict)
    """The range of the values of each kind, floats and whole numbers."""
    dim: list[ImageFile] = field(default_factory=list)
    """The files whose own values fill so little of the range that they become almost one shade, but not one value."""
    asked: ValueRange | None = None
    """The range that was asked for."""

    @property
    def several(self) -> int:
        """The number of files with more than one page."""
        return sum(pages > 1 for pages in self.pages)

    def images(self, files: Sequence[FileT], pages: Pages) -> list[tuple[FileT, int]]:
        """Return every image: the file, of those that were scanned, and the page."""
        counts = self.pages if pages == "all" else [1] * len(files)
        return [(file, page) for file, count in zip(files, counts, strict=True) for page in range(count)]

    def describe(self) -> list[str]:
        """Say which range is used, where there are values of more than 8 bits."""
        if self.found is None or self.range is None:
            return []
        undefined = f"; {self.undefined:,} pixels without a value count as the lowest" if self.undefined else ""
        shallow = len(self.pages) - self.deep - len(self.damaged)
        beside = f"; {shallow:,} files of 8 bits beside them keep 0 to 255" if shallow else ""
        cut = f"; of {self.colours:,} in colour, only the upper 8 of 16 bits are read" if self.colours else ""
        return [
            f"{self.deep:,} files have values of more than 8 bits, from {self.found[0]:g} to {self.found[1]:g}: "
            f"{self.range[0]:g} becomes black, {self.range[1]:g} white{undefined}{cut}{beside}"
        ]

    def warn(self, name: str, pages: Pages, option: str = "data.range") -> None:
        """Warn of pages that are not used, and of a range that does not suit the values.

        Args:
            name: the source of the files, as it is printed.
            pages: the pages that are used.
            option: what sets the range, as it is printed.
        """
        if pages == "first" and self.several:
            total = sum(self.pages) - len(self.pages)
            warnings.warn(
                f"{name}: {self.several:,} files have several pages or frames, and only the first of each is used; "
                f'data.pages "all" uses the other {total:,} as well',
                stacklevel=3,
            )
        if self.asked and not self.deep and len(self.damaged) < len(self.pages):
            warnings.warn(
                f"{name}: no file has values of more than 8 bits, which alone the range {self.asked[0]:g} to "
                f"{self.asked[1]:g} is for ({option}): 0 becomes black, 255 white",
                stacklevel=3,
            )
        for part in self.scaled:
            (low, high), (black, white) = part.found, part.range
            if not part.suits:
                warnings.warn(
                    f"{name}: the values lie between {low:g} and {high:g}, but {black:g} becomes black and {white:g} "
                    f"white ({option}): the images will be almost one shade, or lose much",
                    stacklevel=3,
                )
            elif part.few_shades:
                warnings.warn(
                    f"{name}: the values lie between {low:g} and {high:g}, most of them so close together that they "
                    f"become few shades of grey; if some stand for no value, set another range ({option})",
                    stacklevel=3,
                )
        if len(self.kinds) > 1 == len(self.scaled):
            listed = " and ".join(f"{kind} from {low:g} to {high:g}" for kind, (low, high) in self.kinds.items())
            black, white = self.scaled[0].range
            warnings.warn(
                f"{name}: there are {listed}, and all are scaled with one range, {black:g} to {white:g}; keep those of "
                f"one kind in a folder of their own",
                stacklevel=3,
            )
        elif len(self.dim) >= max(2, self.deep // 10) and all(part.suits for part in self.scaled):
            warnings.warn(
                f"{name}: {len(self.dim):,} of the {self.deep:,} files of more than 8 bits (first: "
                f"{spelled(str(self.dim[0]))}) become almost one shade, as their values fill less than 1 in {POOR} "
                f"of what becomes black to white; if they have fewer bits than the others, keep them in a folder of "
                f"their own",
                stacklevel=3,
            )


KINDS: dict[str, ValueRange] = {"floats": (0.0, 1.0), "whole numbers": (0.0, 65535.0)}
"""The kinds of values of more than 8 bits, with the range that each is scaled with where the files do not decide."""


def scan(
    files: Sequence[ImageFile], pages: Pages, value_range: ValueRange | None = None, *, by_kind: bool = False
) -> Scan:
    """Read the headers of image files, and all of those with values of more than 8 bits.

    Args:
        files: the files.
        pages: the pages whose values count.
        value_range: the range to scale with; None: that of the values.
        by_kind: without a range, scale each kind of values with that of :data:`KINDS`, whatever the files hold.
    """
    result, kinds = Scan(asked=value_range), {kind: ValueHistogram() for kind in KINDS}
    own: list[tuple[ImageFile, str, ValueRange]] = []
    with ThreadPoolExecutor() as pool:
        for file, header in zip(files, pool.map(lambda file: _scan_one(file, pages), files), strict=True):
            result.pages.append(header.pages)
            if header.damage is not None:
                result.damaged[file] = header.damage
            if header.values is not None:
                result.deep += 1
                result.colours += header.deep_colour
                kind = "whole numbers" if header.values.whole else "floats"
                kinds[kind].merge(header.values)
                if found := header.values.found:
                    own.append((file, kind, found))
    result.kinds = {kind: part.found for kind, part in kinds.items() if part.found is not None}
    values = ValueHistogram()
    for part in kinds.values():
        values.merge(part)
    result.found, result.undefined = values.found, values.undefined
    if result.found is not None:
        result.range = value_range or usual_range(*result.found, whole=values.whole)
        ranges = KINDS if by_kind and value_range is None else dict.fromkeys(KINDS, result.range)
        parts = [values] if ranges is not KINDS else [kinds[kind] for kind in result.kinds]
        used = [result.range] if ranges is not KINDS else [KINDS[kind] for kind in result.kinds]
        result.scaled = [_scaled(part, range_) for part, range_ in zip(parts, used, strict=True)]
        for file, kind, (low, high) in own:
            black, white = ranges[kind]
            if 0 < high - low < (white - black) / POOR:
                result.dim.append(file)
    return result


def _scaled(values: ValueHistogram, value_range: ValueRange) -> Scaled:
    assert values.found
    before, left = values.entropies(value_range)
    few = left < FEW and before - left > LOST
    return Scaled(values.found, value_range, values.share_outside(value_range), few)


@dataclass
class _Header:
    """What one file says of itself."""

    pages: int = 1
    damage: str | None = None
    values: ValueHistogram | None = None
    deep_colour: bool = False


def _scan_one(file: ImageFile, pages: Pages) -> _Header:
    header = _Header()
    try:
        with open_image(file) as image:
            header.pages = pages_in(image)
            if is_deep_grey(image) or is_deep_colour(image):
                header.values = ValueHistogram()
                for page in ImageSequence.Iterator(image):
                    grey, colour = is_deep_grey(page), is_deep_colour(page)
                    if grey or colour:
                        header.deep_colour |= colour
                        with DECODING.reserved(page.width * page.height * 8):
                            count_values(page, header.values)
                    if pages == "first":
                        break
    except Exception as error:  # Pillow raises a dozen kinds
        if out_of_memory(error):  # which is no fault of the file
            raise
        return _Header(damage=first_line(error))
    return header
