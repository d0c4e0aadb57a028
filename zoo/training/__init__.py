"""The generic trainer: knows the contracts of :mod:`zoo.autoencoder` and :mod:`zoo.objective`, no variant by name."""
