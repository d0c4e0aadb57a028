"""The distance of reconstructions from the posterior's mean to their images, pixel by pixel."""

from __future__ import annotations

from torch import Tensor

from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.models.numerics import mean_squared_errors
from zoo.objectives import Terms

MIN_SQUARED_ERROR = 1e-12
"""The squared error that a perfect image counts as: 120 dB."""


@register_metrics(
    "pixels",
    Metric(
        "mse", "MSE per pixel", "per pixel",
        "Squared error of the reconstruction from the posterior's mean, mean over pixels, channels and images; "
        "intensities in [0, 1].",
        "Hinton & Salakhutdinov 2006, Science 313", digits=5, better="lower", relative=3e-3,
        topic="Reconstruction", summary=True, noise_free=True,
    ),
    Metric(
        "psnr", "PSNR, dB", "dB",
        "10 log10(1 / MSE of an image), mean over images.",
        "Horé & Ziou 2010, Image Quality Metrics: PSNR vs. SSIM, ICPR", better="higher",
        topic="Reconstruction", noise_free=True,
    ),
    after_training=True,
)  # fmt: skip
def pixels(context: EvalContext) -> dict[str, float]:
    """Measure MSE and PSNR of reconstructions from the posterior's mean, without noise."""

    def terms(model: Model, x: Tensor) -> Terms:
        each = mean_squared_errors(x, model.decode(model.encode(x).mean).mean)  # (B,)
        return {"mse": each.mean(), "psnr": -10 * each.clamp(min=MIN_SQUARED_ERROR).log10().mean()}

    return context.mean(terms)
