"""Images along a path between the codes of two test images."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from zoo.explorer._view import Answer, ModelParameters, png, register_view, sheet
from zoo.explorer.given_image import test_image
from zoo.explorer.session import Session
from zoo.models import Autoencoder
from zoo.models.priors import StandardNormal

MANY_DIMENSIONS = 10
"""The dimensions from which on nearly all of a standard normal lies at about the same distance from its mean."""


class InterpolationParameters(ModelParameters):
    """The two images, the path between their codes, and the number of images on it."""

    first: Annotated[int, Field(ge=0, lt=10**9)] = 0
    last: Annotated[int, Field(ge=0, lt=10**9)] = 1
    path: Literal["linear", "spherical"] | None = Field(None, description="`null`: what suits the model's codes.")
    steps: Annotated[int, Field(ge=2, le=65)] = 33


@register_view("interpolation", InterpolationParameters)
def interpolation(session: Session, parameters: InterpolationParameters) -> Answer:
    """Return the two images, and those decoded along the path, both ends included."""
    from zoo.figures import FigureContext  # here, because they bring matplotlib with them
    from zoo.figures.interpolation import images_between

    opened = session.model(parameters.model)
    suits, reason = suitable_path(opened.model)
    path = parameters.path or suits
    ends = [test_image(opened, number) for number in (parameters.first, parameters.last)]
    labels = torch.cat([torch.zeros(1, dtype=torch.int64) if label is None else label for _, label in ends])
    x = opened.to_float(torch.cat([image for image, _ in ends]))
    context = FigureContext(opened.trained)
    with opened.lock, context.drawing():
        between = images_between(context, x, labels, parameters.steps, spherical=path == "spherical")
    return {
        "originals": [png(image) for image in x.cpu()],
        "classes": [None if label is None else opened.class_names[int(label)] for _, label in ends],
        "frames": sheet(between),
        "path": path,
        "suits": suits,
        "reason": reason,
        "changes_class": bool(opened.model.classes) and int(labels[0]) != int(labels[1]),
    }


def suitable_path(model: Autoencoder) -> tuple[Literal["linear", "spherical"], str]:
    """Return the path that follows the geometry of a model's codes, and why, in a sentence."""
    prior = model.prior
    if type(prior) is not StandardNormal:
        return "linear", "A straight line: these codes are points, and the prior is no standard normal."
    if prior.latent_dim < MANY_DIMENSIONS:
        return "linear", f"A straight line: a code of {prior.latent_dim} dimensions is dense around its mean."
    length = prior.latent_dim**0.5
    return (
        "spherical",
        f"A great circle: in {prior.latent_dim} dimensions nearly all codes of the prior have a length of about "
        f"{length:.1f}, and the middle of a straight line is shorter.",
    )
