r"""The distance in the features of a frozen network: a perceptual loss (Hou et al. 2017; Johnson et al. 2016).

Images are alike where a classifier sees the same in them. The maps Phi_l are those after each convolution of one of the
classifiers in the package, in place of VGG-19, which no image of 28x28 pixels suits. There is no term of pixels.

.. math::
    d(x, \hat x) = w\sum_l \frac{1}{2 C_l H_l W_l}\,\big\|\Phi_l(x) - \Phi_l(\hat x)\big\|^2
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.distances import Distance
from zoo.errors import ZooError
from zoo.models.classifier import CLASSIFIERS, read_classifier
from zoo.models.likelihoods import Likelihood
from zoo.registry import register_distance
from zoo.schema.base import DistanceConfig, ImageShape, Positive, format_shape


class PerceptualConfig(DistanceConfig):
    """Squared error of the mean image in the features of one of the zoo's frozen classifiers."""

    name: Literal["perceptual"] = "perceptual"
    classifier: Literal["mnist", "fashion_mnist", "glyphs"] = Field(
        description="The dataset that the classifier tells the classes of; it is one of those in the package."
    )
    weight: Positive | None = Field(
        None, description="The factor of the distance; `null`: the number of values in an image."
    )


@register_distance(
    config=PerceptualConfig,
    paper="Hou, Shen, Sun & Qiu 2017, Deep Feature Consistent Variational Autoencoder, arXiv:1610.00291",
)
class Perceptual(Distance):
    """The squared error in frozen features, whose weights are constants: no parameters, and not kept in checkpoints."""

    unit = "weighted feature error per image"

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.name, self.weight = config.classifier, config.weight
        classifier = read_classifier(CLASSIFIERS / f"{config.classifier}.safetensors")
        self.shape = classifier.shape
        self.layers = 0
        for layer in classifier.body:
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                self.register_buffer(f"kernel_{self.layers}", layer.weight.detach(), persistent=False)
                self.register_buffer(f"bias_{self.layers}", layer.bias.detach(), persistent=False)
                self.layers += 1

    def setup(self, shape: ImageShape) -> None:
        """Refuse images that the classifier cannot take.

        Raises:
            ZooError: as it says.
        """
        if shape != self.shape:
            raise ZooError(
                f"the classifier of {self.name!r} takes images of {format_shape(self.shape)}, not of "
                f"{format_shape(shape)}; choose another distance"
            )

    def forward(self, x: Tensor, likelihood: Likelihood) -> Tensor:
        """Return the weighted sum over layers of half the mean squared difference: (B,)."""
        maps = zip(self.features(x), self.features(likelihood.location), strict=True)
        total = sum((0.5 * (a - b).square().flatten(1).mean(dim=1) for a, b in maps), x.new_zeros(len(x)))
        return (self.weight or x[0].numel()) * total

    def features(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the maps (B, C_l, H_l, W_l) after each convolution of images (B, C, H, W)."""
        for layer in range(self.layers):
            kernel, bias = self.get_buffer(f"kernel_{layer}"), self.get_buffer(f"bias_{layer}")
            x = F.relu(F.conv2d(x, kernel.to(x), bias.to(x), stride=2, padding=1))
            yield x
