"""The Fréchet Inception distance itself, by torchmetrics, where the network can be had."""

from __future__ import annotations

from typing import Any

import torch

from zoo.errors import NotApplicable, first_line
from zoo.metrics import EvalContext, Metric, register_metrics


@register_metrics(
    "fid",
    Metric(
        "fid", "FID", "",
        "Fréchet Inception distance (2048 features) of as many samples as images; grey images in three channels.",
        "Heusel et al. 2017, arXiv:1706.08500; torchmetrics with torch-fidelity's network",
        better="lower", relative=0.02, topic="Samples",
    ),
    on_request=True,
)  # fmt: skip
def fid(context: EvalContext) -> dict[str, float]:
    """Measure FID with as many samples as images; the first use downloads 91 MB."""
    if len(context.images) < 2:
        raise NotApplicable("it needs at least two images")
    device = torch.device("cpu") if context.model.device.type == "mps" else context.model.device  # MPS has no float64
    network = inception().to(device)
    for real, images in ((True, context.images.images), (False, context.samples_drawn)):
        for part in images.split(100):
            network.update(part.expand(-1, 3, -1, -1).to(device), real=real)
    return {"fid": float(network.compute())}


def inception() -> Any:
    """Return torchmetrics' metric with its network.

    Raises:
        NotApplicable: it is not installed, or the network cannot be downloaded.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance()
    except ImportError as error:  # also raised by torchmetrics where torch-fidelity is missing
        raise NotApplicable("it needs torchmetrics with its network: pip install 'autoencoder-zoo[fid]'") from error
    except Exception as error:  # any way that a download can fail
        raise NotApplicable(f"torch-fidelity's Inception network cannot be had ({first_line(error)})") from error
