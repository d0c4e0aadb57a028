"""The autoencoder zoo: a recipe fully determines a trained model, and a model never travels without its recipe.

>>> import zoo
>>> zoo.list_models("*2d_mnist")
['conv_vae_2d_mnist', 'vae_2d_mnist']
>>> model = zoo.load("conv_vae_mnist")
>>> model.sample(16).shape
torch.Size([16, 1, 28, 28])

Everything below is imported when it is first used: looking around needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zoo._version import __version__ as __version__
from zoo.imports import importing

if TYPE_CHECKING:
    from zoo import augmentations as augmentations
    from zoo import datasets as datasets
    from zoo import figures as figures
    from zoo import hub as hub
    from zoo import loggers as loggers
    from zoo import metrics as metrics
    from zoo import models as models
    from zoo import objectives as objectives
    from zoo import schema as schema
    from zoo import tasks as tasks
    from zoo import training as training
    from zoo.entries.catalog import list_models as list_models
    from zoo.entries.catalog import recipe as recipe
    from zoo.entries.loading import load as load
    from zoo.errors import ZooError as ZooError
    from zoo.explorer.notebook import explore as explore
    from zoo.models.build import build as build
    from zoo.models.build import create_model as create_model
    from zoo.registry import list_variants as list_variants
    from zoo.registry import register_augmentation as register_augmentation
    from zoo.registry import register_dataset as register_dataset
    from zoo.registry import register_distance as register_distance
    from zoo.registry import register_figure as register_figure
    from zoo.registry import register_likelihood as register_likelihood
    from zoo.registry import register_logger as register_logger
    from zoo.registry import register_metrics as register_metrics
    from zoo.registry import register_network as register_network
    from zoo.registry import register_objective as register_objective
    from zoo.registry import register_optimizer as register_optimizer
    from zoo.registry import register_posterior as register_posterior
    from zoo.registry import register_prior as register_prior
    from zoo.registry import register_schedule as register_schedule
    from zoo.registry import register_variant as register_variant

_HOME = {
    "load": "zoo.entries.loading",
    "explore": "zoo.explorer.notebook",
    "build": "zoo.models.build",
    "create_model": "zoo.models.build",
    "list_models": "zoo.entries.catalog",
    "recipe": "zoo.entries.catalog",
    "list_variants": "zoo.registry",
    "register_variant": "zoo.registry",
    "register_network": "zoo.registry",
    "register_posterior": "zoo.registry",
    "register_prior": "zoo.registry",
    "register_likelihood": "zoo.registry",
    "register_objective": "zoo.registry",
    "register_distance": "zoo.registry",
    "register_dataset": "zoo.registry",
    "register_optimizer": "zoo.registry",
    "register_schedule": "zoo.registry",
    "register_augmentation": "zoo.registry",
    "register_logger": "zoo.registry",
    "register_metrics": "zoo.registry",
    "register_figure": "zoo.registry",
    "ZooError": "zoo.errors",
}

_PACKAGES = (
    "augmentations", "datasets", "figures", "hub", "loggers", "metrics", "models", "objectives", "schema", "tasks",
    "training",
)  # fmt: skip
"""The packages that users need, which stand ready after ``import zoo``."""

__all__ = [*_HOME, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name not in _PACKAGES and name not in _HOME:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    with importing():
        home = import_module(_HOME.get(name, f"zoo.{name}"))
    return home if name in _PACKAGES else getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
