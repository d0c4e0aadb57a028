"""Structural similarity of reconstructions to their images, by torchmetrics."""

from __future__ import annotations

from torch import Tensor

from zoo.autoencoder import Model
from zoo.errors import Lacking
from zoo.metric import Case, Metric, register_metrics
from zoo.objective import Terms

WINDOW = 11


@register_metrics(
    "ssim",
    Metric(
        "ssim", "SSIM", "",
        f"Structural similarity of the reconstruction from the posterior's mean; Gaussian window of {WINDOW} pixels "
        "with sigma 1.5, mean over images.",
        "Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4); torchmetrics", digits=4, better="higher",
    ),
)  # fmt: skip
def measure(case: Case) -> dict[str, float]:
    """1 for equal images."""
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure as ssim
    except ImportError as error:
        raise Lacking("it needs torchmetrics: pip install 'autoencoder-zoo[evaluation]'") from error
    if min(case.model.image_shape[1:]) < WINDOW:
        raise Lacking(f"it needs images of at least {WINDOW}x{WINDOW} pixels")

    def terms(model: Model, x: Tensor) -> Terms:
        found = ssim(model.decode(model.encode(x).mean).mean, x, data_range=1.0)
        assert isinstance(found, Tensor)  # a tuple only where more is asked for
        return {"ssim": found}

    return case.mean(terms)
