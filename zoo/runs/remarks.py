"""What the figures of a trained model say is wrong with it, in a sentence each: nothing for most models."""

from __future__ import annotations

import math

from zoo.schema.run_config import RunConfig

COLLAPSED_NATS = 0.1
"""A code whose KL is below this many nats per image tells images hardly apart: exp(0.1) is about one."""

UNUSED_PERPLEXITY = 2.0
"""A codebook of a lower perplexity is used as if it had fewer vectors than this."""

OVERFIT_SHARE = 0.05
"""The part of the training images' bound by which that of test images may be worse, and nats besides."""

OVERFIT_NATS = 5.0

OVERFIT_ERRORS = 2.0
"""The factor by which the squared error of test images may exceed that of training images."""


def remarks(config: RunConfig) -> list[str]:
    """Return a sentence for each figure that is out of its usual range."""
    train, test = config.metrics["train"], config.metrics["test"]
    found = []
    kl, perplexity = test.get("kl", math.inf), test.get("perplexity", math.inf)
    if kl < COLLAPSED_NATS or test.get("active_units") == 0:
        found.append(
            f"The posterior has collapsed: the KL is {test.get('kl', 0.0):.2g} nats, so the code says next to nothing "
            "about the image. Less weight on the KL, or a KL that is annealed, may help."
        )
    if perplexity < UNUSED_PERPLEXITY:
        found.append(
            f"The codebook is hardly used: its perplexity is {perplexity:.2g}. A smaller learning rate, or reviving "
            "vectors, may help."
        )
    bounds = train.get("negative_elbo", math.inf), test.get("negative_elbo", -math.inf)
    errors = train.get("mse", math.inf), test.get("mse", 0.0)
    if bounds[1] - bounds[0] > OVERFIT_NATS + OVERFIT_SHARE * abs(bounds[0]) or errors[1] > OVERFIT_ERRORS * errors[0]:
        name, (seen, unseen) = ("\N{MINUS SIGN}ELBO", bounds) if bounds[1] > bounds[0] else ("MSE", errors)
        found.append(
            f"It is overfitted: its {name} is {unseen:.4g} on test images and {seen:.4g} on training images. "
            "Validation images with `training.select`, or fewer epochs, may help."
        )
    return found
