"""Structural similarity of reconstructions to their images, by torchmetrics."""

from __future__ import annotations

from torch import Tensor

from zoo.errors import NotApplicable
from zoo.metrics import EvalContext, Metric, register_metrics
from zoo.models.autoencoder import Model
from zoo.objectives import Terms

WINDOW = 11


@register_metrics(
    "ssim",
    Metric(
        "ssim", "SSIM", "",
        f"Structural similarity of the reconstruction from the posterior's mean; Gaussian window of {WINDOW} pixels "
        "with sigma 1.5, mean over images.",
        "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4); torchmetrics", digits=4, better="higher",
        topic="Reconstruction",
    ),
)  # fmt: skip
def ssim(context: EvalContext) -> dict[str, float]:
    """Measure SSIM, which is 1 for equal images."""
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise NotApplicable("it needs torchmetrics: pip install 'autoencoder-zoo[evaluation]'") from error
    if min(context.model.image_shape[1:]) < WINDOW:
        raise NotApplicable(f"it needs images of at least {WINDOW}x{WINDOW} pixels")

    def terms(model: Model, x: Tensor) -> Terms:
        value = structural_similarity_index_measure(model.decode(model.encode(x).mean).mean, x, data_range=1.0)
        assert isinstance(value, Tensor)  # a tuple only where more is asked for
        return {"ssim": value}

    return context.mean(terms)
