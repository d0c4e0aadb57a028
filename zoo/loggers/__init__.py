"""Loggers show the curves and images of a run while it trains, one file each; a run folder has its curves anyway.

A logger is told of each epoch at its end, where training waits for the device by itself.
"""

from zoo.loggers._base import LoggedRun, Logger

__all__ = ["LoggedRun", "Logger"]
