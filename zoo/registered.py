"""What stands behind a name of the zoo: a function or class, with its summary, its settings, its paper."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A name and the function or class behind it."""

    name: str
    """The name in recipes, commands and listings."""
    build: Callable[..., Any]
    """The registered function or class."""
    paper: str = ""
    """The paper: authors, year and where to find it."""

    @property
    def summary(self) -> str:
        """One line for listings: the first line of the docstring, without its full stop."""
        return (inspect.getdoc(self.described) or "").partition("\n")[0].rstrip(".")

    @property
    def described(self) -> Any:
        """The object whose docstring describes the item."""
        return self.build


@dataclass(frozen=True, kw_only=True)
class WithConfig(Registered):
    """A name that recipes can use, with the pydantic model of its settings."""

    config: type[Any]
    """The pydantic model of the settings."""

    @property
    def described(self) -> Any:
        """The config, whose docstring editors show, too."""
        return self.config


@dataclass(frozen=True, kw_only=True)
class Variant(WithConfig):
    """A kind of autoencoder."""

    objective: str = "elbo"
    """The objective that the variant is usually trained with."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a model that trains in a second, for tests."""


@dataclass(frozen=True, kw_only=True)
class Optimizer(WithConfig):
    """A rule by which parameters are updated."""

    state: tuple[str, ...] = ()
    """The names of the states kept for each parameter; all start at zero, as in torch.optim."""


@dataclass(frozen=True, kw_only=True)
class MetricFamily(Registered):
    """Metrics that are measured together by the function ``build``.

    It raises :class:`~zoo.errors.NotApplicable` where a model or its data lacks what the metrics need.
    """

    metrics: tuple[Any, ...]
    """The metrics of the family, each a :class:`zoo.schema.metric.Metric`."""
    on_request: bool = False
    """True if the family is measured only when asked for, because it takes long or needs a download."""
    after_training: bool = False
    """True if the family is measured at the end of every training, on training and test images."""

    @property
    def numbered(self) -> bool:
        """True if the family is measured with a number of samples, the second argument of ``build``."""
        return any(metric.numbered for metric in self.metrics)


@dataclass(frozen=True, kw_only=True)
class LoggerKind(Registered):
    """A place where runs are shown while they train."""

    package: str = ""
    """The package that it needs, which an extra of the logger's name installs."""
