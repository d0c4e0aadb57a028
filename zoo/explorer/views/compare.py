"""One image, given in any way, as every chosen model reconstructs and scores it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.explorer._view import Answer, ModelName, Parameters, png, register_view
from zoo.explorer.given_image import GivenImage, Seen, as_file, background, from_base64, in_words, test_image
from zoo.explorer.session import OpenModel, Session
from zoo.inference.image_batches import ImageBatch, ImageStream
from zoo.metrics import metric_of
from zoo.system.image_files import Fit
from zoo.tasks import score

REFERENCE_IMAGES = 500
"""The number of test images whose scores an image's are compared with."""

MAX_MODELS = 8
"""The most models that are compared at once."""

HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""The colours of an error of 0, 1/4, 1/2, 3/4 and 1: those of matplotlib's inferno."""


class CompareParameters(Parameters):
    """The image, what is to be done to it, and the models."""

    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=MAX_MODELS)]
    number: Annotated[int, Field(ge=0, lt=10**9)] | None = Field(
        None, description="A test image of the first of the models, instead of a file."
    )
    file: str = Field("", description="The content of an image file, as base64.")
    drawn: bool = Field(False, description="The file is a drawing made for the first of the models.")
    fit: Fit | None = None
    invert: bool | None = None
    grey: bool = False
    label: Annotated[int, Field(ge=0, lt=10**6)] | None = Field(
        None, description="The class for models that need one; `null`: that of the test image, or the likeliest."
    )


@register_view("compare", CompareParameters)
def compare(session: Session, parameters: CompareParameters) -> Answer:
    """Return what every model makes of the image: what it was given, its reconstruction, the error and the scores."""
    first = session.model(parameters.models[0])
    shape, test, of_image = first.model.image_shape, parameters.number is not None, None
    if parameters.number is not None:
        image, of_image = test_image(first, parameters.number)
        content = as_file(image)
    else:
        content = from_base64(parameters.file)
    answer: Answer = {
        "shape": shape,
        "words": in_words(shape),
        "background": background(first),
        "alike": alike(session, first),
        "models": [],
    }
    if not content:
        return answer
    if parameters.drawn:  # an image of the first model, whatever the page has written it as
        content = as_file(GivenImage(content, invert=False).seen_by(first).images)
    as_it_is = (test or parameters.drawn) and parameters.invert is None
    given = GivenImage(content, parameters.fit, False if as_it_is else parameters.invert, parameters.grey)
    for name in parameters.models:
        opened = session.model(name)
        label = parameters.label
        if label is None and of_image is not None and opened.trained.dataset.name == first.trained.dataset.name:
            label = int(of_image)
        try:
            result = judged(session, opened, given.seen_by(opened), label, test=test)
        except NotApplicable as error:  # of this model; a damaged file is an error of the whole
            result = {"missing": str(error)}
        answer["models"].append({"name": name, **result})
    return answer


def alike(session: Session, opened: OpenModel) -> list[str]:
    """Return the names of the open models that were trained on images of the same dataset and shape, itself first."""
    config = opened.trained.config
    kind = (config.recipe["data"]["name"], config.image_shape)
    names = [opened.name]
    for name, other in session.models.items():
        if name == opened.name or other.unfinished:
            continue
        own = other.trained.config
        if (own.recipe["data"]["name"], own.image_shape) == kind:
            names.append(name)
    return names


def judged(session: Session, opened: OpenModel, seen: Seen, label: int | None, *, test: bool) -> Answer:
    """Return a model's reconstruction of an image, its error and its scores.

    Args:
        session: the session, which keeps the scores of the test images.
        opened: the model.
        seen: what it is given.
        label: the class for a model that needs one; None: the one under which the image is the likeliest.
        test: whether the image is one of the model's test images.
    """
    model = opened.model
    classes = range(model.classes) if label is None else (label,)
    labels = torch.tensor(classes) if model.classes else None
    count = 1 if labels is None else len(labels)
    batch = ImageBatch(["the image"] * count, seen.images.expand(count, -1, -1, -1), labels)
    binarized = test and opened.trained.dataset.binarization == "fixed"
    with opened.lock:
        scored = next(score(model, ImageStream("the image", count, lambda size: iter([batch]), binarized)))
    by = "negative_elbo" if "negative_elbo" in scored.scores else "mse"
    best = int(scored.scores[by].argmin())
    x = scored.x[best : best + 1]
    given = None if labels is None else labels[best : best + 1]
    with opened.lock:
        reconstruction = model.given(given).reconstruct(x.to(model.device)).cpu()
    usual = session.kept(opened.name, "scores", lambda: usual_scores(opened))
    scores = []
    for score_name, values in scored.scores.items():
        metric, value = metric_of(score_name), float(values[best])
        others = usual.get(score_name)
        lower = None if others is None else float((others < value).float().mean())
        scores.append({"name": score_name, "heading": metric.heading, "text": metric.show(value), "above": lower})
    return {
        "seen": png(x[0]),
        "steps": list(seen.steps),
        "inverted": seen.inverted,
        "words": in_words(model.image_shape),
        "reconstruction": png(reconstruction[0]),
        "error": png(heat((x - reconstruction).abs().mean(dim=1))[0]),
        "scores": scores,
        "class": None if given is None else opened.class_names[int(given)],
        "chosen": label is None,
    }


def usual_scores(opened: OpenModel) -> dict[str, Tensor]:
    """Return the scores of the first test images, (N,) by name; nothing where the images are not here."""
    try:
        images = opened.test.first(REFERENCE_IMAGES)
    except NotApplicable:
        return {}

    def batches(size: int) -> Iterator[ImageBatch]:
        for part in images.batches(size):
            yield ImageBatch([""] * len(part), part.images, part.labels)

    stream = ImageStream("the test images", len(images), batches, opened.trained.dataset.binarization == "fixed")
    with opened.lock:
        parts = [scored.scores for scored in score(opened.model, stream)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def heat(values: Tensor) -> Tensor:
    """Return values (N, H, W) in [0, 1] as colours (N, 3, H, W), from black over red to yellow."""
    scale = torch.tensor(HEAT) / 255
    place = values.clamp(0, 1) * (len(HEAT) - 1)
    lower = place.floor().long().clamp(max=len(HEAT) - 2)
    colours: Tensor = torch.lerp(scale[lower], scale[lower + 1], (place - lower)[..., None])
    return colours.permute(0, 3, 1, 2)
