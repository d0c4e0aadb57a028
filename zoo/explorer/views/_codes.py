"""Codes to begin from, which the views that move a code share: those of test images, or else the prior's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from zoo.errors import NotApplicable
from zoo.explorer.session import Encoded, OpenModel, Session

PRIOR_CODES = 2000
"""The number of codes that are drawn from the prior, for the space that codes take up."""

Label = Annotated[int, Field(ge=0, lt=2**16)]
"""A class that a conditional model decodes; a larger one than it has is its last."""


@dataclass(frozen=True)
class KnownCodes:
    """Codes that show where a model's codes lie."""

    codes: Tensor
    """The codes (N, D) of test images, or of the prior where there are none."""
    encoded: Encoded | None
    """The test images."""
    note: str | None
    """The sentence that says why there are no test images."""


def known_codes(session: Session, name: str) -> KnownCodes:
    """Return the codes of a model's test images, or those of its prior where the images are not on this machine."""
    try:
        encoded = session.encoded(name)
    except NotApplicable as reason:
        note = f"There are no test images to show, so this is where the prior's codes lie: {reason}."
        return KnownCodes(usual_codes(session, name), None, note)
    return KnownCodes(encoded.codes, encoded, None)


def prior_codes(opened: OpenModel, count: int = PRIOR_CODES, seed: int = 0) -> Tensor:
    """Return codes (count, D) that are drawn from the prior, on the CPU."""
    with opened.lock, torch.no_grad():
        return opened.model.prior.sample(count, torch.Generator().manual_seed(seed)).cpu()


def usual_codes(session: Session, name: str) -> Tensor:
    """Return codes (:data:`PRIOR_CODES`, D) of the prior, the same at every call."""
    return session.kept(name, "codes of the prior", lambda: prior_codes(session.model(name)))


def without_continuum(opened: OpenModel) -> str | None:
    """Say why a code of a model cannot be moved little by little, or return None."""
    prior = opened.model.prior
    if not prior.num_codes:
        return None
    grid = " x ".join(map(str, prior.index_shape))
    return (
        f"a code of this model is a grid of {grid} vectors out of {prior.num_codes}: between two vectors there is "
        f"nothing, so nothing can be moved little by little; the view of the codebook exchanges one for another"
    )


def labels_of(opened: OpenModel, label: int | None, count: int) -> Tensor | None:
    """Return the label of each of ``count`` codes, or None for a model that is not conditional."""
    classes = opened.model.classes
    return torch.full((count,), min(label or 0, classes - 1)) if classes else None


def rounded(values: Tensor) -> list[float]:
    """Return values as numbers that are short in JSON."""
    return [round(value, 4) for value in values.tolist()]
