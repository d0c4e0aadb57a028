"""``zoo.explore``: the explorer as a widget in a notebook."""

from __future__ import annotations

import os
import sys
import warnings
from importlib.util import find_spec
from typing import Any

from matplotlib.figure import Figure

from zoo.entries.loading import SHIPPED
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable, ZooError
from zoo.explorer.session import Session
from zoo.figures import FigureContext, draw
from zoo.models import Autoencoder
from zoo.schema.hub_address import PREFIX
from zoo.system.files import user_path

KINDS = ("manifold", "samples")
"""The kinds of the figure that stands in for the widget: the first that can be drawn of the model."""


def explore(*models: str | os.PathLike[str] | Autoencoder, device: str = "cpu", data: str | None = None) -> Any:
    """Show trained models in a notebook, where one moves a code and the image follows.

    >>> import zoo
    >>> zoo.explore("conv_vae_2d_mnist")  # doctest: +SKIP

    Args:
        models: entries, run folders or addresses on the Hub, as :func:`zoo.load` takes them, or what it has returned.
        device: the device to compute on; a model that is loaded stays where it is.
        data: the dataset or the folder of images to show; None: what each model was trained on.

    Returns:
        The widget, which a notebook shows where it is the last value of a cell. Outside of a notebook, or without the
        extra ``notebook``, a matplotlib figure of the first model instead, after a sentence on what is missing.

    Raises:
        ZooError: there is no such model, or one has no run folder.
    """
    if not models:
        raise ZooError("name a model: zoo.explore('conv_vae_2d_mnist')")
    session = Session([_source(model) for model in models], device, data)
    for model, opened in zip(models, session.models.values(), strict=True):
        if isinstance(model, Autoencoder):
            opened.trained.__dict__["model"] = model  # as it is now, and not as its folder has it
    lacking = what_is_lacking()
    if lacking:
        warnings.warn(f"{lacking}; this is a figure instead of it", stacklevel=2)
        return figure(next(iter(session.models.values())).trained)
    from zoo.explorer._widget import Explorer

    return Explorer(session)


def what_is_lacking() -> str | None:
    """Say why no widget can be shown, or return None."""
    ipython = sys.modules.get("IPython")  # whoever runs a notebook has imported it
    if getattr(ipython and ipython.get_ipython(), "kernel", None) is None:
        return "zoo.explore shows a widget in a notebook, and this is none (`zoo explore` opens a browser)"
    if find_spec("anywidget") is None:
        return "the widget of zoo.explore needs a package more: pip install 'autoencoder-zoo[notebook]'"
    return None


def figure(trained: TrainedModel) -> Figure:
    """Draw the first of the :data:`KINDS` that can be drawn of a model."""
    *kinds, last = KINDS
    for kind in kinds:
        try:
            return draw(kind, FigureContext(trained))
        except NotApplicable:
            continue
    return draw(last, FigureContext(trained))


def _source(model: str | os.PathLike[str] | Autoencoder) -> str:
    """Return what a model was loaded from, as :func:`zoo.load` takes it.

    Raises:
        ZooError: it was not loaded from anywhere.
    """
    if isinstance(model, str):
        return model
    if not isinstance(model, Autoencoder):
        return str(user_path(model).absolute())
    if model.config is None or model.origin is None:
        raise ZooError("zoo.explore shows trained models, with their run folder: what zoo.load returns, or a name")
    if model.origin == SHIPPED:
        return model.config.name
    if PREFIX in model.origin:
        return model.origin[model.origin.index(PREFIX) :]  # without "the cache: "
    return str(user_path(model.origin).absolute())
