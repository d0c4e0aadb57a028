"""A map of the codes: test images as points by class, and the image of any point of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.explorer._view import Answer, ModelParameters, Number, png, register_view, sheet
from zoo.explorer.session import OpenModel, Session, refuse

SHARE_SHOWN = 0.995
"""The share of the points that the map's square is certain to hold; a few strays would make all others small."""

MARGIN = 1.15

PRIOR_CODES = 2000
"""The number of codes of the prior that the map's square is laid around where there are no test images."""

Dimension = Annotated[int, Field(ge=0, lt=2**20)]


class MapParameters(ModelParameters):
    """The parameters of a map: with ``at``, the image of a point is asked for, else the points."""

    axes: Literal["auto", "pca"] | tuple[Dimension, Dimension] = "auto"
    """The two dimensions of the code along the map, or its two principal components; ``auto``: these where there are
    more than two dimensions."""
    at: tuple[Number, Number] | None = None
    """The point whose image is asked for."""
    label: Annotated[int, Field(ge=0, lt=2**16)] | None = None
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
    prior = opened.model.prior
    if prior.num_codes:
        return (
            f"a code of this model is a grid of {' x '.join(map(str, prior.index_shape))} vectors out of "
            f"{prior.num_codes}: there is nothing between two of them to move through"
        )
    if prior.latent_dim < 2:
        return "a map needs codes of at least two dimensions; this model's have one, and a slider shows it"
    return None


@register_view("map", MapParameters, fits=fits)
def view_map(session: Session, parameters: MapParameters) -> Answer:
    """A map of the codes of test images by class, where any point can be decoded."""
    opened = session.model(parameters.model)
    refuse(fits(opened))
    try:
        encoded, note = session.encoded(parameters.model), None
        codes, labels = encoded.codes, encoded.images.labels
    except NotApplicable as reason:
        encoded, note, labels = None, f"There are no test images to show: {reason}.", None
        codes = opened.model.prior.sample(PRIOR_CODES, torch.Generator().manual_seed(0)).cpu()
    plane = plane_of(codes, parameters.axes)
    classes = opened.model.classes
    if parameters.at is not None:
        z = plane.codes(torch.tensor([parameters.at]))
        label = torch.tensor([min(parameters.label or 0, classes - 1)]) if classes else None
        return {"png": png(opened.decode(z, label)[0]), "z": rounded(z[0])}
    points = plane.points(codes)
    low, high = region(points)
    answer: Answer = {
        "axes": plane.names,
        "dimensions": codes.shape[1],
        "square": [*rounded(low), *rounded(high)],
        "points": rounded(points.flatten()) if encoded else [],
        "labels": labels.tolist() if encoded and labels is not None else [],
        "classes": opened.class_names,
        "conditional": bool(classes),
        "note": note,
    }
    if parameters.grid:
        answer["grid"] = decoded_grid(opened, plane, low, high, parameters.grid, parameters.label or 0)
    return answer


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


def decoded_grid(opened: OpenModel, plane: Plane, low: Tensor, high: Tensor, side: int, label: int) -> Answer:
    """Decode the centres of side x side cells of the map, the upper left one first."""
    steps = (torch.arange(side) + 0.5) / side
    x, y = (low[axis] + steps * (high[axis] - low[axis]) for axis in (0, 1))
    rows, columns = torch.meshgrid(y.flip(0), x, indexing="ij")
    z = plane.codes(torch.stack([columns.flatten(), rows.flatten()], dim=1))
    labels = torch.full((len(z),), min(label, opened.model.classes - 1)) if opened.model.classes else None
    return sheet(opened.decode(z, labels), side)


def rounded(values: Tensor) -> list[float]:
    """Return values as numbers that are short in JSON."""
    return [round(value, 4) for value in values.tolist()]
