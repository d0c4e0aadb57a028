"""One file per dataset, named like it: its settings, its shape, how it becomes uint8 tensors."""
