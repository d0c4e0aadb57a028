"""One file per learning-rate schedule, named like it."""
