"""Seeds that are computed from other numbers."""

from __future__ import annotations

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """Return one seed of 32 bits from whole numbers, so that neighbouring numbers give unrelated streams."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def mixed_seed_63(*numbers: int) -> int:
    """Return one seed of 63 bits from whole numbers, as torch's generators take it."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) % 2**63
