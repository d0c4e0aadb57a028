"""One file per prior p(z), named like it."""

from zoo.models.priors import Prior

__all__ = ["Prior"]
