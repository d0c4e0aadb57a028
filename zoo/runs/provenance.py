"""The versions of the libraries that a figure was computed with."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from zoo._version import __version__

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "matplotlib")
"""The libraries whose versions decide the weights or the images."""

METRIC_LIBRARIES = ("scikit-learn", "torchmetrics")
"""The libraries whose versions decide some of the metrics."""


def versions(libraries: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return the versions of the zoo, Python and the libraries by name; a library without metadata is left out."""
    known = {"autoencoder-zoo": __version__, "python": platform.python_version()}
    for name in libraries:
        with suppress(PackageNotFoundError):
            known[name] = version(name)
    return known
