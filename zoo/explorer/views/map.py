"""A map of the codes: test images as points by class, and the image of any point of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.explorer._view import Answer, ModelParameters, Number, png, register_view, sheet
from zoo.explorer.session import OpenModel, Session, refuse
from zoo.explorer.views._codes import Label, known_codes, labels_of, rounded, without_continuum

SHARE_SHOWN = 0.995
"""The share of the points that the map's square is certain to hold; a few strays would make all others small."""

MARGIN = 1.15

Dimension = Annotated[int, Field(ge=0, lt=2**20)]


class MapParameters(ModelParameters):
    """The parameters of a map: ``at`` asks for the image of a point, ``grid`` for many, else for the points."""

    axes: Literal["auto", "pca"] | tuple[Dimension, Dimension] = "auto"
    """The two dimensions of the code along the map, or its two principal components; ``auto``: these where there are
    more than two dimensions."""
    at: tuple[Number, Number] | None = None
    """The point whose image is asked for."""
    label: Label | None = None
    """The class that a conditional model decodes."""
    grid: Annotated[int, Field(ge=0, le=24)] = 0
    """The images along a side of the grid of decoded codes behind the points; 0: none."""


@dataclass(frozen=True)
class Plane:
    """The plane of a map in the space of codes: a code and two directions from it."""

    centre: Tensor
    """The code (D,) at the origin."""
    directions: Tensor
    """The directions (2, D)."""
    names: tuple[str, str]
    """The names of the axes."""

    def codes(self, points: Tensor) -> Tensor:
        """Return the codes (N, D) of points (N, 2)."""
        return self.centre + points @ self.directions

    def points(self, codes: Tensor) -> Tensor:
        """Return the points (N, 2) that codes (N, D) lie above; the directions are orthonormal."""
        return (codes - self.centre) @ self.directions.T


def fits(opened: OpenModel) -> str | None:
    """Say why a model has no map, or return None."""
    if opened.model.prior.latent_dim < 2:
        return "a map needs codes of two dimensions or more; this model's have one, which the view of sliders moves"
    return without_continuum(opened)


@register_view("map", MapParameters, fits=fits)
def view_map(session: Session, parameters: MapParameters) -> Answer:
    """A map of the codes of test images by class, where any point can be decoded."""
    opened = session.model(parameters.model)
    refuse(fits(opened))
    known = known_codes(session, parameters.model)
    axes = parameters.axes
    plane = session.kept(parameters.model, ("plane", axes), lambda: plane_of(known.codes, axes))
    if parameters.at is not None:
        z = plane.codes(torch.tensor([parameters.at]))
        return {"png": png(opened.decode(z, labels_of(opened, parameters.label, 1))[0]), "z": rounded(z[0])}
    points = plane.points(known.codes)
    low, high = region(points)
    if parameters.grid:
        return {"grid": decoded_grid(opened, plane, low, high, parameters.grid, parameters.label)}
    labels = known.encoded.images.labels if known.encoded else None
    return {
        "axes": plane.names,
        "dimensions": known.codes.shape[1],
        "square": [*rounded(low), *rounded(high)],
        "points": rounded(points.flatten()) if known.encoded else [],
        "labels": [] if labels is None else labels.tolist(),
        "classes": opened.class_names,
        "conditional": bool(opened.model.classes),
        "note": known.note,
    }


def plane_of(codes: Tensor, axes: str | tuple[int, int]) -> Plane:
    """Return the plane of a map: two dimensions through the mean code, or the principal components of codes (N, D)."""
    dimensions = codes.shape[1]
    mean = codes.mean(dim=0)
    if dimensions == 2 or isinstance(axes, tuple):
        chosen = [min(axis, dimensions - 1) for axis in (axes if isinstance(axes, tuple) else (0, 1))]
        directions = torch.eye(dimensions)[chosen]
        centre = mean - (mean @ directions.T) @ directions  # so that coordinates along the map are those of the code
        return Plane(centre, directions, (f"z{chosen[0] + 1}", f"z{chosen[1] + 1}"))
    centred = (codes - mean).double()
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return Plane(mean, (directions * largest.sign()).float(), ("PCA 1", "PCA 2"))


def region(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower left and the upper right corner of the square that holds points (N, 2) but for strays."""
    low, high = (points.quantile(share, dim=0) for share in (1 - SHARE_SHOWN, SHARE_SHOWN))
    middle, half = (low + high) / 2, ((high - low) / 2).max().clamp(min=1e-3) * MARGIN
    return middle - half, middle + half


def decoded_grid(opened: OpenModel, plane: Plane, low: Tensor, high: Tensor, side: int, label: int | None) -> Answer:
    """Decode the centres of side x side cells of the map, the upper left one first."""
    steps = (torch.arange(side) + 0.5) / side
    x, y = (low[axis] + steps * (high[axis] - low[axis]) for axis in (0, 1))
    rows, columns = torch.meshgrid(y.flip(0), x, indexing="ij")
    z = plane.codes(torch.stack([columns.flatten(), rows.flatten()], dim=1))
    return sheet(opened.decode(z, labels_of(opened, label, len(z))), side)
