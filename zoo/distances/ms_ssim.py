r"""The multi-scale structural dissimilarity weight * (1 - MS-SSIM) (Wang, Simoncelli & Bovik 2003; Snell et al. 2017).

Two images are alike where their windows have the same brightness, contrast and structure, at several sizes: cs_j
compares contrast and structure at scale j, l_M luminance at the coarsest of M scales; each scale is half of the one
before. It is taken for each image and channel, then the mean over channels.

.. math::
    d(x, \hat x) = w\,\Big(1 - \big(\overline{l_M\,cs_M}\big)^{w_M}\prod_{j<M}\overline{cs_j}^{\,w_j}\Big)

.. math::
    l = \frac{2\mu_x\mu_{\hat x}+c_1}{\mu_x^2+\mu_{\hat x}^2+c_1}, \qquad
    cs = \frac{2\sigma_{x\hat x}+c_2}{\sigma_x^2+\sigma_{\hat x}^2+c_2}

The weight w is the number of values in an image, unless another is set. The moments are those under a Gaussian window,
and only whole windows count. Images that are too small for five scales have fewer, and their exponents are scaled to
the sum 1: 28x28 pixels have two scales with a window of 11 pixels, three with one of 7.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from zoo.distances import Distance
from zoo.errors import ZooError
from zoo.models.likelihoods import Likelihood
from zoo.models.numerics import at_least_float32
from zoo.registry import register_distance
from zoo.schema.base import DistanceConfig, ImageShape, Positive, format_shape

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents w_j of the five scales, the finest first."""

SIGMA = 1.5
"""The standard deviation of the Gaussian window, in pixels."""

C1, C2 = 0.01**2, 0.03**2
"""The constants that keep the quotients finite, for images in [0, 1]."""

LEAST = 1e-6
"""The least value that is raised to a power: where images disagree, cs is negative, and its power is no number."""


class MSSSIMConfig(DistanceConfig):
    """Multi-scale structural dissimilarity of the mean image."""

    name: Literal["ms_ssim"] = "ms_ssim"
    weight: Positive | None = Field(
        None,
        description="The factor of 1 - MS-SSIM, against which other terms are weighed; `null`: the number of values in "
        "an image.",
    )
    window: Literal[3, 5, 7, 9, 11] = Field(11, description="The side of the Gaussian window in pixels.")
    scales: Annotated[int, Field(ge=1, le=5)] | None = Field(
        None, description="The number of scales; `null`: as many as the images have room for, five at most."
    )


@register_distance(
    config=MSSSIMConfig,
    paper="Wang, Simoncelli & Bovik 2003, Asilomar; Snell et al. 2017, arXiv:1511.06409",
)
class MSSSIM(Distance):
    """The multi-scale structural dissimilarity of the mean image."""

    unit = "weighted 1 - MS-SSIM per image"
    window: Tensor  # (window,), the sum is 1

    def __init__(self, config: MSSSIMConfig) -> None:
        super().__init__()
        self.config = config
        offsets = torch.arange(config.window, dtype=torch.float32) - config.window // 2
        window = torch.exp(-offsets.square() / (2 * SIGMA**2))
        self.register_buffer("window", window / window.sum(), persistent=False)

    def setup(self, shape: ImageShape) -> None:
        """Refuse images that have no room for the scales.

        Raises:
            ZooError: as it says.
        """
        fitting, side = self.fitting(shape), self.config.window
        if fitting < (self.config.scales or 1):
            remedy = f"at most {fitting} scales" if fitting else "a smaller window"
            raise ZooError(
                f"images of {format_shape(shape)} have no room for {self.config.scales or 1} scales of ms_ssim with a "
                f"window of {side}; choose {remedy}"
            )

    def fitting(self, shape: ImageShape) -> int:
        """Return the number of scales, up to five, at which images of a shape hold a window."""
        return sum(min(shape[1:]) // 2**scale >= self.config.window for scale in range(len(WEIGHTS)))

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return weight * (1 - MS-SSIM): (B,)."""
        similarity = self.similarity(at_least_float32(x), at_least_float32(likelihood.location))
        return (self.config.weight or x[0].numel()) * (1 - similarity)

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the MS-SSIM of images x and y (B, C, H, W): (B,)."""
        channels, height, width = x.shape[1:]
        weights = WEIGHTS[: self.config.scales or self.fitting((channels, height, width))]
        similarity = torch.ones_like(x[:, :, 0, 0])
        for scale, weight in enumerate(weights, start=1):
            luminance, contrast = self.compared(x, y)
            found = (luminance * contrast if scale == len(weights) else contrast).mean(dim=(2, 3))
            similarity = similarity * found.clamp(min=LEAST) ** (weight / sum(weights))
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return similarity.mean(dim=1)

    def compared(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the comparisons of luminance and of contrast and structure at every window: each (B, C, h, w)."""
        mean_x, mean_y = self.blurred(x), self.blurred(y)
        variances = self.blurred(x * x) - mean_x * mean_x + self.blurred(y * y) - mean_y * mean_y
        covariance = self.blurred(x * y) - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
        return luminance, (2 * covariance + C2) / (variances + C2)

    def blurred(self, x: Tensor) -> Tensor:
        """Return the means of images (B, C, H, W) under the window wherever it fits."""
        window = self.window.to(x)
        flat = x.flatten(0, 1)[:, None]
        flat = F.conv2d(F.conv2d(flat, window[None, None, :, None]), window[None, None, None, :])
        means: Tensor = flat[:, 0].unflatten(0, x.shape[:2])
        return means
