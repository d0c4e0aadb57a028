"""Polygons of a typeface's characters, and the signed distance field of a polygon."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont
from matplotlib import get_data_path
from numpy.typing import NDArray

Array = NDArray[np.float64]

FIELD = 64
"""The number of samples along each side of a distance field."""

REACH = 0.8
"""Half the side of a distance field in units of the character's height: it covers [-REACH, REACH], centred on the
outline."""


class Polygons(BasePen):  # type: ignore[misc]
    """Collects a glyph's contours, each curve cut into eight pieces."""

    def __init__(self, glyphs: Any) -> None:
        super().__init__(glyphs)
        self.contours: list[list[tuple[float, float]]] = []

    def _moveTo(self, point: tuple[float, float]) -> None:
        self.contours.append([point])

    def _lineTo(self, point: tuple[float, float]) -> None:
        self.contours[-1].append(point)

    def _curveToOne(self, *points: tuple[float, float]) -> None:
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = self.contours[-1][-1], *points
        for t in (k / 8 for k in range(1, 9)):
            s = 1 - t
            w = (s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t)
            self.contours[-1].append(
                (w[0] * x0 + w[1] * x1 + w[2] * x2 + w[3] * x3, w[0] * y0 + w[1] * y1 + w[2] * y2 + w[3] * y3)
            )


def outlines(face: str, characters: str) -> Iterator[list[Array]]:
    """Yield the closed polygons (P, 2) of each character, centred, of height 1, y upwards.

    Args:
        face: a typeface that matplotlib ships, by its file name.
        characters: the characters, one after another.
    """
    logging.getLogger("fontTools.ttLib.tables._h_e_a_d").setLevel(logging.ERROR)  # old fonts, wrong dates
    with TTFont(Path(get_data_path()) / "fonts" / "ttf" / f"{face}.ttf") as font:
        glyphs, names = font.getGlyphSet(), font.getBestCmap()
        for character in characters:
            pen = Polygons(glyphs)
            glyphs[names[ord(character)]].draw(pen)
            contours = [np.array(contour, dtype=np.float64) for contour in pen.contours]
            points = np.concatenate(contours)
            low, high = points.min(axis=0), points.max(axis=0)
            yield [(contour - (low + high) / 2) / (high[1] - low[1]) for contour in contours]


def distance_field(contours: list[Array]) -> Array:
    """Return the signed distance to the outline on a grid (FIELD, FIELD), rows upwards, positive inside."""
    axis = np.linspace(-REACH, REACH, FIELD)
    px, py = axis[None, :, None], axis[:, None, None]  # broadcast to (FIELD, FIELD, segments)
    start = np.concatenate(contours)
    end = np.concatenate([np.roll(contour, -1, axis=0) for contour in contours])
    keep = (start != end).any(axis=1)
    (x0, y0), (dx, dy) = start[keep].T, (end - start)[keep].T

    # The nearest point of every segment.
    t = np.clip(((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    ex, ey = px - x0 - t * dx, py - y0 - t * dy
    distance = np.sqrt((ex * ex + ey * ey).min(axis=2))

    # The winding number: crossings of a ray to the right, upward ones minus downward ones.
    crosses = (y0 <= py) != (y0 + dy <= py)
    with np.errstate(divide="ignore", invalid="ignore"):
        right = px < x0 + (py - y0) * dx / dy
    winding = np.where(crosses & right, np.sign(dy), 0).sum(axis=2)
    field: Array = np.where(winding != 0, distance, -distance)
    return field
