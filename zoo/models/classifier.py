"""The zoo's small classifiers, in whose features images are compared, and how they are read from their files.

There is one for MNIST, one for Fashion-MNIST and one for glyphs in the package.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.schema.base import ImageShape
from zoo.system.files import read_file
from zoo.system.process import cpu_by_default, initial_weights
from zoo.system.randomness import CPU, default_generators_kept
from zoo.system.sealed import unseal

CLASSIFIERS = Path(__file__).parent / "classifiers"
"""The folder of the shipped classifiers."""

CHANNELS = (16, 32, 32)
"""The output channels of the convolutions, each of which halves the image."""

FEATURES = 64

ABOUT = ("dataset", "image_shape", "classes", "accuracy", "epochs", "seed", "train_sha256")
"""The facts that a classifier's file states in its header."""


class Classifier(nn.Module):
    """Three convolutions, a layer of 64 features, a linear map to the classes.

    Args:
        shape: the shape (C, H, W) of the images.
        classes: the number of classes.
    """

    def __init__(self, shape: ImageShape, classes: int) -> None:
        super().__init__()
        channels = (shape[0], *CHANNELS)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        height, width = (-(-side // 2 ** len(CHANNELS)) for side in shape[1:])
        self.shape = shape
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS[-1] * height * width, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the features (B, 64) of images (B, C, H, W) in [0, 1]."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) of images (B, C, H, W) in [0, 1]."""
        logits: Tensor = self.head(self.features(x))
        return logits


def read_classifier(path: Path) -> Classifier:
    """Return the classifier in a file, in eval mode on the CPU.

    Raises:
        ZooError: the file is damaged.
    """
    try:
        weights, about = unseal(read_file(path), "about", unsealed=ABOUT)
        channels, height, width = about["image_shape"]
        with default_generators_kept(CPU), cpu_by_default(), initial_weights():  # fresh weights are overwritten
            model = Classifier((channels, height, width), int(about["classes"]))
        model.load_state_dict(weights, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ZooError(f"{path} holds no classifier of the zoo ({error}); train it again") from error
    return model.eval()
