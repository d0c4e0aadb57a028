"""One file per network, named like it: the layers between images and codes, without the code."""

from zoo.networks._base import Network, build_grid, build_network, halved

__all__ = ["Network", "build_grid", "build_network", "halved"]
