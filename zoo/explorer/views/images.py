"""Test images of a model to choose from, of one class or of all; other views show them, it has no tab of its own."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from zoo.errors import NotApplicable
from zoo.explorer._view import Answer, ModelParameters, register_view, sheet
from zoo.explorer.session import OpenModel, Session


class ImagesParameters(ModelParameters):
    """The class, and which of its images."""

    label: Annotated[int, Field(ge=0, lt=2**16)] | None = None
    offset: Annotated[int, Field(ge=0, lt=2**40)] = 0
    count: Annotated[int, Field(ge=1, le=200)] = 40


def fits(opened: OpenModel) -> str | None:
    """Return why there are no images to choose from, or None."""
    try:
        return None if len(opened.test) else "there are no test images"
    except NotApplicable as error:
        return str(error)


@register_view("images", ImagesParameters, fits=fits)
def images(session: Session, parameters: ImagesParameters) -> Answer:
    """Return some test images with their numbers and labels, how many there are, and the classes."""
    opened = session.model(parameters.model)
    test = opened.test
    numbers = torch.arange(len(test))
    if parameters.label is not None and test.labels is not None:
        numbers = (test.labels == parameters.label).nonzero().flatten()
    chosen = numbers[parameters.offset :][: parameters.count]
    return {
        "sheet": sheet(test.images[chosen].float() / 255) if len(chosen) else None,
        "numbers": chosen.tolist(),
        "labels": None if test.labels is None else test.labels[chosen].tolist(),
        "total": len(numbers),
        "present": [] if test.labels is None else test.labels.unique().tolist(),
        "classes": opened.class_names,
    }
