"""The constraints that .ci/run makes of pyproject's lower bounds."""

from __future__ import annotations

import importlib.metadata
import tomllib
from typing import Any

import pytest
from packaging.version import Version

from tests.lowest_versions import PYPROJECT, lowest_versions

PROJECT: dict[str, Any] = {
    "name": "zoo-of-mine",
    "dependencies": ["torch>=2.0", "numpy>=2.0,!=2.1"],
    "optional-dependencies": {
        "figures": ["scikit-learn>=1.4.2"],
        "all": ["zoo-of-mine[figures]", "onnx>=1.17 ; python_version >= '3'"],
        "dev": ["ruff>=0.9"],
    },
}


def test_every_lower_bound_of_a_user_is_a_constraint() -> None:
    expected = ["torch==2.0", "numpy==2.0", "scikit-learn==1.4.2", "onnx==1.17"]
    assert list(lowest_versions(PROJECT)) == expected
    assert list(lowest_versions(PROJECT, without=["torch"])) == expected[1:]


@pytest.mark.parametrize("package", ["rich", "rich<14", "rich==13"])
def test_a_package_without_a_lower_bound_is_refused(package: str) -> None:
    with pytest.raises(ValueError, match=f"'{package}' promises no lowest version"):
        list(lowest_versions(PROJECT | {"dependencies": [package]}))


def test_what_is_installed_is_not_below_what_is_promised() -> None:
    for constraint in lowest_versions(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]):
        name, lowest = constraint.split("==")
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra
        assert Version(installed) >= Version(lowest), name
