"""Print the lowest versions that pyproject.toml promises, as constraints of pip.

``python -m tests.lowest_versions --without torch torchvision > lowest.txt && pip install -c lowest.txt .`` makes an
environment of them; ``.ci/run`` runs tests there.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
TOOLS = ("test", "dev")
"""The extras that develop the zoo: no user needs their packages, so that the newest will do."""


def lowest_versions(project: dict[str, Any], without: Collection[str] = ()) -> Iterator[str]:
    """Yield ``name==version`` for every package that a user of the core or of an extra has.

    Args:
        project: the table ``[project]`` of pyproject.toml.
        without: the names of packages to leave out.

    Raises:
        ValueError: a package has no lower bound.
    """
    extras = [packages for extra, packages in project["optional-dependencies"].items() if extra not in TOOLS]
    for text in [*project["dependencies"], *(package for packages in extras for package in packages)]:
        requirement = Requirement(text)
        if requirement.name in (project["name"], *without):
            continue
        bounds = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        if len(bounds) != 1:
            raise ValueError(f"{text!r} promises no lowest version: write it as NAME>=VERSION")
        yield f"{requirement.name}=={bounds[0]}"


def main() -> None:
    """Print one constraint a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--without", nargs="+", default=(), metavar="NAME", help="packages to leave out")
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(lowest_versions(project, parser.parse_args().without)))


if __name__ == "__main__":
    main()
