"""What is installed here, as requirements that install the same on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from zoo.errors import ZooError

LINUX = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
"""The markers of the machine that the requirements are for, where it may differ from this one."""

NEEDS_A_GPU = ("nvidia-", "cuda-", "triton")
"""The beginnings of the names of packages that only a torch for GPUs needs."""


def pinned(packages: Iterable[str]) -> list[str]:
    """Return packages, and all that they need on Linux without a GPU, as ``name==version`` in alphabetical order.

    A local version (``2.11.0+cu130``) is pinned as its public one. What only Linux needs and is not installed here is
    left to pip.

    Args:
        packages: requirements, such as ``uvicorn`` or ``torch>=2.11``.

    Raises:
        ZooError: one of them is not installed.
    """
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(Requirement(package), True) for package in packages]
    while todo:
        requirement, asked = todo.pop()
        name = canonicalize_name(requirement.name)
        try:
            found = distribution(name)
        except PackageNotFoundError as error:
            if asked:
                raise ZooError(f"{name} is not installed here, so that its version is not known") from error
            continue
        versions[name] = Version(found.version).public
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo += ((needed, False) for needed in _needs(found.requires or (), extra))
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def _needs(requirements: Iterable[str], extra: str) -> Iterator[Requirement]:
    """Yield those of a package's requirements that count on Linux, for one of its extras."""
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if (marker is None or marker.evaluate({**LINUX, "extra": extra})) and not requirement.name.startswith(
            NEEDS_A_GPU
        ):
            yield requirement
