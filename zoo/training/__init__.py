"""The generic trainer. It knows the contracts of :mod:`zoo.models` and :mod:`zoo.objectives`, but no variant by name.

>>> import zoo
>>> from zoo.training import train
>>> train(zoo.recipe("quickstart"), "runs/quickstart")  # doctest: +SKIP
"""

from zoo.training.run import train

__all__ = ["train"]
