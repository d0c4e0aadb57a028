"""The range of pixel values of more than 8 bits, found in the images of a folder.

The range reaches from the value that one pixel in 10,000 lies below to the one that one in 10,000 lies above, so that
a few hot or dead pixels do not decide; it is then widened to a usual range (12 bits, [0, 1], [-1, 1], …) that the
values fill at least half of, if there is one. It does not depend on the order of the images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ValueRange = tuple[float, float]
"""The values that become black and white."""

OUTSIDE = 10_000
"""One pixel of this many may lie below the range, and one above it."""

FLOATS = [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0)]
"""The usual ranges of floats."""

WHOLE = [(0.0, float(2**bits - 1)) for bits in range(1, 33)]
"""The usual ranges of whole numbers: 1 to 32 bits."""

BINS = 2**16

PART = 2**20
"""About the number of values that are looked at together."""


class ValueHistogram:
    """Counts of pixel values as float32, in bins of three significant digits, with the extremes of each bin."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.lowest = np.full(BINS, np.inf)
        self.highest = np.full(BINS, -np.inf)
        self.undefined = 0
        """The number of pixels that are NaN or infinite."""
        self.whole = True
        """True while no image of floats was added."""

    def add(self, values: NDArray[Any]) -> None:
        """Count the values of an image."""
        self.whole &= not np.issubdtype(values.dtype, np.floating)
        for part in np.array_split(values, parts_of(values)):
            if values.dtype == np.uint16:  # the usual kind, and much faster so
                counts = np.bincount(part.ravel(), minlength=2**16)
                self.add_counted(np.flatnonzero(counts), counts[counts > 0])
            else:
                self.add_counted(part.ravel(), None)

    def add_counted(self, values: NDArray[Any], counts: NDArray[np.int64] | None) -> None:
        """Count values (N,) as often as ``counts`` (N,) says; None: once each."""
        numbers = values.astype(np.float32) + np.float32(0)  # -0 becomes 0
        finite = numbers[np.isfinite(numbers)]
        self.undefined += numbers.size - finite.size
        bits = finite.view(np.uint32)
        # An order of the bits that is the order of the floats: the sign turned, and all bits of negative numbers.
        bins = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)) >> np.uint32(16)
        if counts is None:
            self.counts += np.bincount(bins, minlength=BINS)
        else:
            np.add.at(self.counts, bins, counts)
        order = np.argsort(bins, kind="stable")
        present, starts = np.unique(bins[order], return_index=True)
        if len(present):
            ordered = finite[order].astype(np.float64)
            self.lowest[present] = np.minimum(self.lowest[present], np.minimum.reduceat(ordered, starts))
            self.highest[present] = np.maximum(self.highest[present], np.maximum.reduceat(ordered, starts))

    def merge(self, other: ValueHistogram) -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts
        self.lowest = np.minimum(self.lowest, other.lowest)
        self.highest = np.maximum(self.highest, other.highest)
        self.undefined += other.undefined
        self.whole &= other.whole

    @property
    def found(self) -> ValueRange | None:
        """The range that all but one pixel in 10,000 lie in on either side; None where no value is a number."""
        total = int(self.counts.sum())
        if not total:
            return None
        below = np.cumsum(self.counts)
        low = int(np.searchsorted(below, total // OUTSIDE, side="right"))
        high = int(np.searchsorted(below, total - total // OUTSIDE, side="left"))
        return (float(self.lowest[low]), float(self.highest[high]))

    def entropies(self, value_range: ValueRange) -> tuple[float, float]:
        """Return the bits of entropy that a pixel has, and those that are left in 256 shades of a range."""
        present = self.counts > 0
        counts = self.counts[present]
        shades = to_8_bits((self.lowest[present] + self.highest[present]) / 2, value_range)
        return _entropy(counts), _entropy(np.bincount(shades, weights=counts))

    def share_outside(self, value_range: ValueRange) -> float:
        """Return the share of pixels that lie outside a range, to the precision of the bins."""
        low, high = value_range
        return float(self.counts[(self.highest < low) | (self.lowest > high)].sum() / max(self.counts.sum(), 1))


def _entropy(counts: NDArray[Any]) -> float:
    """Return the entropy of a distribution that is counted, in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def usual_range(low: float, high: float, *, whole: bool) -> ValueRange:
    """Return the narrowest usual range that [low, high] fills at least half of, else [low, high] itself."""
    for lo, hi in WHOLE if whole else FLOATS:
        if lo <= low and high <= hi and high - low >= (hi - lo) / 2:
            return (lo, hi)
    return (low, high) if high > low else (low, low + 1)


def parts_of(values: NDArray[Any]) -> int:
    """Return the number of parts in which many values are gone through, so that copies take little memory."""
    return max(1, min(len(values), values.size // PART))


def to_8_bits(values: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Scale pixel values to 0–255, clipped to the range; NaN counts as its lower end."""
    low, high = value_range
    scaled = np.empty(values.shape, np.uint8)
    count = parts_of(values)
    for part, out in zip(np.array_split(values, count), np.array_split(scaled, count), strict=True):
        wide = np.nan_to_num(part.astype(np.float64), nan=low, posinf=high, neginf=low)
        out[...] = (np.clip((wide - low) / (high - low), 0, 1) * 255).round()
    return scaled
