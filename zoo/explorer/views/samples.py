"""Samples of the prior, or of one class, with a temperature."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import NotApplicable, ZooError
from zoo.explorer._view import Answer, ModelParameters, register_view, sheet
from zoo.explorer.session import OpenModel, Session
from zoo.inference.loops import eval_mode
from zoo.models.priors import FittedGaussian, StandardNormal

MAX_DIMENSIONS = 512
"""The most dimensions of a code whose covariance in a class is estimated."""

CLASS_IMAGES = 1000
"""The number of test images of a class that its Gaussian is fitted to."""


NO_TEMPERATURE = "A temperature stretches a Gaussian around its mean, and this prior is none."


class SamplesParameters(ModelParameters):
    """How many samples, of what, and the temperature."""

    count: Annotated[int, Field(ge=1, le=100)] = 50
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    temperature: Annotated[float, Field(ge=0, le=3)] = 1.0
    label: Annotated[int, Field(ge=0, lt=10**6)] | None = None


@register_view("samples", SamplesParameters)
def samples(session: Session, parameters: SamplesParameters) -> Answer:
    """Return samples, what they were drawn from, and the classes that there are."""
    opened = session.model(parameters.model)
    model, label, generator = opened.model, parameters.label, torch.Generator().manual_seed(parameters.seed)
    classes, why_not = classes_of(opened)
    if label is not None and label not in classes:
        known = f"the classes are {', '.join(map(str, classes))}"
        raise ZooError(f"there is no class {label} to draw samples of; {known}" if classes else why_not)
    if label is None or model.classes:
        with opened.lock, eval_mode(model):
            z = model.prior.sample(parameters.count, generator).cpu()
        middle = middle_of(model.prior)
        source = "codes of the prior"
    else:
        gaussian = session.kept(opened.name, ("gaussian", label), lambda: gaussian_of_class(opened, label))
        z, middle = gaussian.sample(parameters.count, generator), gaussian.mean
        source = f"codes of the Gaussian that fits those of the test images of class {opened.class_names[label]}"
    if middle is not None:
        z = middle + parameters.temperature * (z - middle)
    each = torch.arange(len(z)) % max(1, model.classes) if label is None else torch.full((len(z),), label)
    return {
        "sheet": sheet(opened.decode(z, each)),
        "source": source,
        "classes": [{"label": one, "name": opened.class_names[one]} for one in classes],
        "no_classes": why_not,
        "no_temperature": NO_TEMPERATURE if middle is None else None,
    }


def middle_of(prior: object) -> Tensor | None:
    """Return the mean of a prior that is a Gaussian, (D,) or (); None for any other."""
    if isinstance(prior, FittedGaussian):
        return prior.mean.cpu()
    return torch.zeros(()) if type(prior) is StandardNormal else None


def classes_of(opened: OpenModel) -> tuple[list[int], str]:
    """Return the classes that samples can be drawn of, or none and a sentence that says why."""
    prior = opened.model.prior
    if opened.model.classes:
        return list(range(opened.model.classes)), ""
    if prior.num_codes or prior.latent_dim > MAX_DIMENSIONS:
        return [], f"Samples of one class need a code of at most {MAX_DIMENSIONS} real numbers."
    try:
        labels = opened.test.labels
    except NotApplicable as error:
        return [], f"There are no samples of one class: {error}."
    return (
        ([], "There are no samples of one class: the images have none.")
        if labels is None
        else (labels.unique().tolist(), "")
    )


def gaussian_of_class(opened: OpenModel, label: int) -> FittedGaussian:
    """Return the Gaussian that fits samples of q(z|x) of the test images of a class."""
    from zoo.figures._latent_arithmetic import gaussian_of  # here, because it brings matplotlib with it

    test = opened.test
    assert test.labels is not None  # or there would be no classes
    images = test.images[test.labels == label][:CLASS_IMAGES]
    with opened.lock, eval_mode(opened.model):
        return gaussian_of(opened.model.encode(opened.to_float(images)).rsample().cpu())
