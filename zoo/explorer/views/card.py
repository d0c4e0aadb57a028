"""The card of a model in the list that one is chosen from: what it is, its figures, and images that it draws."""

from __future__ import annotations

import torch

from zoo.errors import ZooError
from zoo.explorer._view import Answer, ModelParameters, register_view, sheet
from zoo.explorer.session import OpenModel, Session
from zoo.metrics import summary_metrics
from zoo.schema.base import format_shape

SAMPLES = 8
"""The images on a card."""


class CardParameters(ModelParameters):
    """The parameters of a card: the model."""


@register_view("card", CardParameters, unfinished=True)
def view_card(session: Session, parameters: CardParameters) -> Answer:
    """The card of a model: what it is, its figures, and images that it draws."""
    opened = session.model(parameters.model)
    if opened.unfinished:
        return {"summary": "A run that is still in training.", "facts": [], "figures": [], "url": None, "samples": None}
    config, recipe = opened.trained.config, opened.trained.config.checked_recipe
    test = config.metrics["test"]
    shown = [metric for metric in summary_metrics() if metric.name in test]
    return {
        "summary": recipe.summary,
        "facts": [
            recipe.model.variant,
            f"images {format_shape(config.image_shape)} of {recipe.data.name}",
            f"{config.parameters:,} parameters",
        ],
        "figures": [[metric.heading, metric.show(test[metric.name])] for metric in shown],
        "paper": recipe.source.paper,
        "url": recipe.source.url if recipe.source.url.startswith("https://") else None,
        "samples": samples(opened),
    }


def samples(opened: OpenModel) -> Answer | None:
    """Return images that a model draws, the same at every call; None where its prior cannot draw."""
    try:
        with opened.lock, torch.no_grad():
            return sheet(opened.model.sample(SAMPLES, torch.Generator().manual_seed(0)).cpu(), SAMPLES)
    except ZooError:
        return None
