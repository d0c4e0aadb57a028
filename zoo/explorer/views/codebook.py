"""The vectors of a codebook, and the image of a code in which some are exchanged."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import NotApplicable, ZooError
from zoo.explorer._view import Answer, ModelParameters, png, register_view, sheet
from zoo.explorer.given_image import test_image
from zoo.explorer.session import OpenModel, Session, refuse
from zoo.inference.loops import eval_mode, running_terms
from zoo.models import Model
from zoo.objectives import Terms

USED_BY = 1000
"""The number of test images whose use of the vectors is counted, the first ones."""

DECODED_AT_ONCE = 128

MAX_VECTORS, MAX_PLACES = 1024, 1024
"""The most vectors of a codebook, and places of a code, that a page shows."""

NotNegative = Annotated[int, Field(ge=0)]


class CodebookParameters(ModelParameters):
    """The test image, and the places of its code that are exchanged."""

    number: Annotated[int, Field(ge=0, lt=10**9)] | None = Field(
        None, description="The test image; `null`: return the vectors instead."
    )
    put: Annotated[dict[NotNegative, NotNegative], Field(max_length=MAX_PLACES)] = Field(
        {}, description="The vectors to put in, by the place in the code, row by row."
    )


def fits(opened: OpenModel) -> str | None:
    """Return why a model has no codebook to show, or None."""
    prior = opened.model.prior
    if not prior.num_codes:
        return "this model has no codebook: its codes are real numbers; vq_vae_fashion_mnist has one"
    if prior.num_codes > MAX_VECTORS or len(prior.index_shape) != 2:
        return f"the page shows codebooks of at most {MAX_VECTORS:,} vectors at the places of a grid"
    return None


@register_view("codebook", CodebookParameters, fits=fits)
def codebook(session: Session, parameters: CodebookParameters) -> Answer:
    """Return the vectors of the codebook, decoded, with their use; or a test image, its code and what becomes of it."""
    opened = session.model(parameters.model)
    refuse(fits(opened))
    if parameters.number is None:
        return session.kept(opened.name, "codebook", lambda: vectors(opened))
    image, label = test_image(opened, parameters.number)
    model, prior = opened.model, opened.model.prior
    with opened.lock, eval_mode(model):
        x = opened.to_float(image)
        posterior: Any = model.given(label).encode(x)
    indices = posterior.indices.cpu()
    places = indices[0].numel()
    changed = indices.clone()
    for place, vector in parameters.put.items():
        if place >= places or vector >= prior.num_codes:
            raise ZooError(f"the code has {places} places and the codebook {prior.num_codes} vectors")
        changed.view(-1)[place] = vector
    both = torch.cat([indices, changed])
    decoded = opened.decode(prior.decode_indices(both), None if label is None else label.expand(2))
    return {
        "image": png(x[0].cpu()),
        "reconstruction": png(decoded[0]),
        "changed": png(decoded[1]),
        "indices": changed.flatten().tolist(),
        "rows": indices.shape[1],
        "columns": indices.shape[2],
        "class": None if label is None else opened.class_names[int(label)],
    }


def vectors(opened: OpenModel) -> Answer:
    """Return each vector as the image of a code that holds nothing else, and how often test images use it."""
    prior = opened.model.prior
    height, width = prior.index_shape
    filled = torch.arange(prior.num_codes)[:, None, None].expand(-1, height, width)
    images = torch.cat([opened.decode(prior.decode_indices(part)) for part in filled.split(DECODED_AT_ONCE)])
    counts = use_of(opened)
    return {
        "vectors": sheet(images),
        "use": None if counts is None else (counts / counts.sum()).tolist(),
        "images": None if counts is None else int(counts.sum()) // (height * width),
    }


def use_of(opened: OpenModel) -> Tensor | None:
    """Return how often the first test images use each vector, (K,); None where they are not here."""
    size = opened.model.prior.num_codes
    counts = torch.zeros(size, dtype=torch.int64)

    def count(model: Model, x: Tensor) -> Terms:
        posterior: Any = model.encode(x)
        counts.add_(posterior.indices.cpu().flatten().bincount(minlength=size))
        return {}

    try:
        images = opened.test.first(USED_BY)
    except NotApplicable:
        return None
    with opened.lock:
        opened.model.check_labels(images.labels)
        running_terms(images, opened.trained.dataset, opened.model, count)
    return counts
