"""One file per distance, named like it: how far the decoded image lies from the image, where an objective takes any."""

from zoo.distances._base import Distance, build_distance

__all__ = ["Distance", "build_distance"]
