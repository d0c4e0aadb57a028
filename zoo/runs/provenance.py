"""What a figure was made with: versions."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from zoo._version import __version__

LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "matplotlib")
"""Whose versions decide the weights or the images."""

MEASURING = ("scikit-learn", "torchmetrics")
"""Whose versions decide some of the metrics."""


def versions(libraries: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Of the zoo, Python and the libraries; one installed without its metadata is left out."""
    found = {"autoencoder-zoo": __version__, "python": platform.python_version()}
    for name in libraries:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
