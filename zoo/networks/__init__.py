"""One file per network, named like it: the layers between images and codes, without the code."""

from zoo.networks import _own as _own  # registers the one that files cannot choose
from zoo.networks._base import Network, build_grid, build_network, halved

__all__ = ["Network", "build_grid", "build_network", "halved"]
