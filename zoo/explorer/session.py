"""The models that are open in the explorer, and the questions about them; nothing here knows of HTTP or notebooks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from zoo.datasets import ImageSet, display_images, without_downloads
from zoo.entries.catalog import list_models, weights_folder
from zoo.entries.trained_model import TrainedModel
from zoo.errors import NotApplicable, UnknownNameError, ZooError
from zoo.explorer._view import VIEWS, Answer, ModelParameters, Parameters, checked
from zoo.inference.loops import eval_mode, running_terms
from zoo.models import Autoencoder, Model
from zoo.objectives import Terms
from zoo.runs.folder import CHECKPOINT_FILE, CONFIG_FILE
from zoo.runs.unfinished import PARTIAL

TEST_IMAGES = 2000
"""The number of test images that are encoded for maps and grids, the first ones."""

FIRST = "conv_vae_2d_mnist"
"""The entry that stands before all others where none is named: its code is one map."""

KEPT_MODELS, KEPT_VALUES = 8, 64
"""The number of models of which something computed is kept, and of values of each."""

T = TypeVar("T")


@dataclass(frozen=True)
class Encoded:
    """The first test images with their codes."""

    images: ImageSet
    codes: Tensor
    """The posterior means (N, D), on the CPU."""
    use: Tensor
    """The use of each dimension (D,): the mean KL in nats where it has a closed form, else the standard deviation."""
    measure: str
    """The words for ``use``."""


@dataclass
class OpenModel:
    """A model that is open under a name, with a lock: one question at a time is computed with it.

    Args:
        name: the name in questions and links.
        trained: the model with its run folder and its images.
    """

    name: str
    trained: TrainedModel
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def unfinished(self) -> bool:
        """True if the folder is that of a run that is still in training: there are checkpoints, but no weights yet."""
        return is_unfinished(self.trained.folder)

    @property
    def model(self) -> Autoencoder:
        """The model, in eval mode."""
        with self.lock:
            return self.trained.model

    @property
    def test(self) -> ImageSet:
        """The test images, which are never downloaded for it.

        Raises:
            NotApplicable: they are not on this machine.
        """
        with self.lock, without_downloads():
            return self.trained.test

    @cached_property
    def class_names(self) -> list[str]:
        """The names of the classes 0, 1, …; their numbers where they have none; empty where there are no classes."""
        model, names = self.model, list(self.trained.class_names)
        try:
            labels = self.test.labels
        except NotApplicable:
            labels = None
        count = model.classes or (0 if labels is None else int(labels.max()) + 1)
        return [names[label] if label < len(names) else str(label) for label in range(count)]

    def to_float(self, images: Tensor) -> Tensor:
        """Return uint8 images (N, C, H, W) as floats in [0, 1], on the model's device."""
        return display_images(images.to(self.model.device), self.trained.dataset)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the images (N, C, H, W) of codes (N, D), on the CPU; a conditional model's are of ``labels`` (N,)."""
        with self.lock, eval_mode(self.model):
            if self.model.classes and labels is None:
                labels = torch.zeros(len(z), dtype=torch.int64)
            return self.model.given(labels).decode(z.to(self.model.device)).mean.cpu()


class Session:
    """The open models, and the questions about them.

    >>> from zoo.explorer import Session
    >>> session = Session(["conv_vae_2d_mnist"])
    >>> sorted(session.ask("map", {"model": "conv_vae_2d_mnist", "at": [0.5, -1.0]}))
    ['png', 'z']

    Args:
        models: entries, run folders or addresses on the Hub, as :func:`zoo.load` takes them; none: all that are
            shipped.
        device: the device to compute on.
        data: the dataset or the folder of images to use; None: what each model was trained on.

    Raises:
        ZooError: there is no such model.
    """

    def __init__(self, models: Sequence[str] = (), device: str = "cpu", data: str | None = None) -> None:
        sources = list(models) or sorted(filter(weights_folder, list_models()), key=lambda name: name != FIRST)
        self.models: dict[str, OpenModel] = {}
        for source in sources:
            trained = TrainedModel(source, device, data)
            if not is_unfinished(trained.folder):
                _ = trained.config  # here, so that what is no run folder is an error at once
            name = trained.folder.name if trained.location.address is None else str(source)
            self.add(name, trained)
        self._kept: OrderedDict[str, OrderedDict[Hashable, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, trained: TrainedModel) -> OpenModel:
        """Open a model under a name, or one like it where the name is taken."""
        number, free = 2, name
        while free in self.models:
            free, number = f"{name} ({number})", number + 1
        self.models[free] = OpenModel(free, trained)
        return self.models[free]

    def model(self, name: str) -> OpenModel:
        """Return an open model; only those that the session was opened with can be asked for.

        Raises:
            UnknownNameError: no model is open under this name; shows the close matches.
        """
        if name not in self.models:
            raise UnknownNameError("model", name, self.models)
        return self.models[name]

    def ask(self, view: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Answer a question of a view, or one of the two of every page: ``about`` and ``fits``.

        Args:
            view: the name of a view; ``about`` for the open models and the views, ``fits`` for the views that make
                sense for a ``model``.
            parameters: the parameters, as JSON has them.

        Raises:
            ZooError: there is no such view or model, a parameter is wrong, or there is no answer; one sentence.
        """
        parameters = parameters or {}
        if view == "about":
            checked(Parameters, parameters, view)
            return self.about()
        if view == "fits":
            return {"views": self.fits(checked(ModelParameters, parameters, view).model)}
        return VIEWS.get(view).answer(self, parameters)

    def about(self) -> Answer:
        """Return the open models, in order, and the views."""
        return {
            "models": [{"name": name, "unfinished": opened.unfinished} for name, opened in self.models.items()],
            "views": VIEWS.names(),
        }

    def fits(self, name: str) -> dict[str, str | None]:
        """Return for each view None where it makes sense for a model, or the sentence why not."""
        opened = self.model(name)
        found: dict[str, str | None] = {}
        for view in VIEWS.items().values():
            if opened.unfinished and not view.unfinished:
                found[view.name] = "this run is still in training; its weights are not there yet"
            else:
                found[view.name] = view.fits(opened)
        return found

    def encoded(self, name: str) -> Encoded:
        """Return the first test images of a model with their codes, computed once (:meth:`kept`).

        Raises:
            NotApplicable: its images are not on this machine.
        """
        opened = self.model(name)
        return self.kept(name, "encoded", lambda: encode(opened, opened.test.first(TEST_IMAGES)))

    def kept(self, name: str, what: Hashable, compute: Callable[[], T]) -> T:
        """Return what is computed of a model, only once while the model is among the last :data:`KEPT_MODELS` used.

        Args:
            name: the model's name.
            what: the name of what is computed, with all that it depends on.
            compute: a function that computes it.
        """
        with self.model(name).lock:
            with self._lock:
                values = self._kept.setdefault(name, OrderedDict())
                self._kept.move_to_end(name)
                while len(self._kept) > KEPT_MODELS:
                    self._kept.popitem(last=False)
            if what not in values:
                values[what] = compute()
                while len(values) > KEPT_VALUES:
                    values.popitem(last=False)
            return cast(T, values[what])


def encode(opened: OpenModel, images: ImageSet) -> Encoded:
    """Encode images: their posterior means, and how much each dimension is used."""
    means: list[Tensor] = []
    divergences: list[Tensor | None] = []

    def terms(model: Model, x: Tensor) -> Terms:
        posterior = model.encode(x)
        means.append(posterior.mean.cpu())
        divergences.append(posterior.kl_per_dimension(model.prior) if posterior.stochastic else None)
        return {}

    opened.model.check_labels(images.labels)
    running_terms(images, opened.trained.dataset, opened.model, terms)
    codes = torch.cat(means)
    parts = [part.cpu() for part in divergences if part is not None and part.shape[1] == codes.shape[1]]
    if len(parts) == len(means):
        return Encoded(images, codes, torch.cat(parts).mean(dim=0), "mean KL in nats")
    return Encoded(images, codes, codes.std(dim=0, correction=0), "standard deviation of the codes")


def is_unfinished(folder: Path) -> bool:
    """Return whether a folder is that of a run that is still in training, or was stopped."""
    started = folder.suffix == PARTIAL or (folder / CHECKPOINT_FILE).exists()
    return folder.is_dir() and started and not (folder / CONFIG_FILE).exists()


def refuse(reason: str | None) -> None:
    """Raise the sentence why a view makes no sense for a model, if there is one."""
    if reason:
        raise ZooError(reason)
