"""One file per variant, named like it: its config, its builder, its paper."""
