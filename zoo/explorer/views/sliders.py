"""A slider for each dimension of a code, the most used first, and what each does to the image."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from zoo.datasets import ImageSet
from zoo.explorer._view import Answer, ModelParameters, Number, png, register_view, sheet
from zoo.explorer.session import OpenModel, Session, refuse
from zoo.explorer.views._codes import (
    Label,
    known_codes,
    labels_of,
    prior_codes,
    rounded,
    usual_codes,
    without_continuum,
)

MOST_SLIDERS = 32
"""The most sliders on a page, those of the dimensions that are used most."""

SHARE = 0.995
"""The share of the codes that lies below the end of a slider."""

Dimension = Annotated[int, Field(ge=0, lt=2**20)]


class SlidersParameters(ModelParameters):
    """The parameters of sliders: a code to begin from, and the dimensions of it that were moved."""

    image: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """The test image whose code is moved; a larger number than there are is the last."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """The seed of a code of the prior that is moved; with neither image nor seed, the mean of the codes is."""
    moved: Annotated[dict[Dimension, Number], Field(max_length=1024)] = {}
    """The values of the dimensions that were moved."""
    label: Label | None = None
    """The class that a conditional model decodes."""
    along: Dimension | None = None
    """The dimension whose traversal is asked for."""
    steps: Annotated[int, Field(ge=2, le=32)] = 11
    """The images of a traversal."""


@register_view("sliders", SlidersParameters, fits=without_continuum)
def view_sliders(session: Session, parameters: SlidersParameters) -> Answer:
    """A slider for each dimension of a code, the most used first."""
    opened = session.model(parameters.model)
    refuse(without_continuum(opened))
    known = known_codes(session, parameters.model)
    images = known.encoded.images if known.encoded else None
    z, label = code_of(opened, known.codes, images, parameters)
    low, high = session.kept(
        parameters.model, "ends of sliders", lambda: ends(known.codes, usual_codes(session, parameters.model))
    )
    if parameters.along is not None:
        axis = min(parameters.along, z.shape[0] - 1)
        codes = z.repeat(parameters.steps, 1)
        codes[:, axis] = torch.linspace(float(low[axis]), float(high[axis]), parameters.steps)
        decoded = opened.decode(codes, labels_of(opened, label, len(codes)))
        return {"strip": sheet(decoded, parameters.steps), "values": rounded(codes[:, axis])}
    use = known.encoded.use if known.encoded else known.codes.std(dim=0, correction=0)
    order = use.argsort(descending=True, stable=True)[:MOST_SLIDERS]
    answer: Answer = {
        "png": png(opened.decode(z[None], labels_of(opened, label, 1))[0]),
        "dimensions": order.tolist(),
        "of": len(use),
        "use": rounded(use[order]),
        "measure": known.encoded.measure if known.encoded else "standard deviation of the prior's codes",
        "low": rounded(low[order]),
        "high": rounded(high[order]),
        "z": rounded(z[order]),
        "classes": opened.class_names if opened.model.classes else [],
        "label": label,
        "images": len(images) if images else 0,
        "note": known.note,
    }
    if images and parameters.image is not None:
        number = min(parameters.image, len(images) - 1)
        answer["original"] = png(opened.to_float(images.images[number : number + 1])[0])
    return answer


def code_of(
    opened: OpenModel, codes: Tensor, images: ImageSet | None, parameters: SlidersParameters
) -> tuple[Tensor, int | None]:
    """Return the code (D,) that parameters describe, and its label."""
    label = parameters.label
    if parameters.image is not None and images:
        number = min(parameters.image, len(images) - 1)
        z = codes[number].clone()
        if label is None and images.labels is not None:
            label = int(images.labels[number])
    elif parameters.seed is not None:
        z = prior_codes(opened, 1, parameters.seed)[0].clone()
    else:
        z = codes.mean(dim=0)
    for dimension, value in parameters.moved.items():
        if dimension < len(z):
            z[dimension] = value
    return z, label


def ends(codes: Tensor, of_prior: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest value of each slider (D,): between them lie the codes, and the prior's."""
    both = torch.cat([codes, of_prior]).sort(dim=0).values
    last = len(both) - 1
    low, high = both[round(last * (1 - SHARE))], both[round(last * SHARE)]
    return low, torch.maximum(high, low + 1e-3)
