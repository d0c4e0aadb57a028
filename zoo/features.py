"""A small classifier's features of images: where samples are compared with images.

There is one for MNIST, one for Fashion-MNIST and one for glyphs in the package; ``python -m zoo.classifier`` trains
others. It has the place of the Inception network in the Fréchet Inception distance, but it is another network, trained
on other images: its distances are never to be called FID nor compared with one.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from zoo.catalog import PACKAGE
from zoo.data import data_folder
from zoo.errors import Lacking, ZooError
from zoo.schema.base import DatasetConfig, ImageShape, spell

CHANNELS = (16, 32, 32)
"""Of the convolutions, each of which halves the image."""

FEATURES = 64


class Classifier(nn.Module):
    """Three convolutions, a layer of 64 features, a linear map to the classes.

    Args:
        shape: (C, H, W) of the images.
        classes: how many.
    """

    def __init__(self, shape: ImageShape, classes: int) -> None:
        super().__init__()
        channels = (shape[0], *CHANNELS)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(channels, channels[1:], strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        height, width = (-(-side // 2 ** len(CHANNELS)) for side in shape[1:])
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS[-1] * height * width, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] → (B, 64)."""
        found: Tensor = self.body(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Images → logits (B, classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def features_of(classifier: Classifier, images: Tensor, device: torch.device) -> Tensor:
    """uint8 images (N, C, H, W) → their features (N, 64), on the device."""
    with torch.no_grad():
        return torch.cat([classifier.features(part.to(device).float() / 255) for part in images.split(1000)])


def places(dataset: str) -> list[Path]:
    """Where the classifier of a dataset is looked for: in the package, then in the data folder."""
    return [folder / f"{dataset}.safetensors" for folder in (PACKAGE / "classifiers", data_folder() / "classifiers")]


def classifier_of(data: DatasetConfig) -> Classifier:
    """The classifier of a dataset, in eval mode on the CPU.

    Raises:
        Lacking: there is none; says how to train one.
        ZooError: its file is damaged.
    """
    if "path" in type(data).model_fields:
        raise Lacking("pictures of one's own have no classifier to compare in")
    return load(data.name, data.image_shape)


@cache
def load(dataset: str, shape: ImageShape) -> Classifier:
    """As :func:`classifier_of`.

    Raises:
        Lacking: there is none, or it takes images of another shape; says how to train one.
        ZooError: its file is damaged.
    """
    for path in places(dataset):
        if not path.is_file():
            continue
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["about"])
                weights = {name: file.get_tensor(name) for name in file.keys()}
            if tuple(about["image_shape"]) != shape:
                raise Lacking(f"the classifier of {dataset!r} takes images of another shape than {spell(shape)}")
            with torch.random.fork_rng(devices=[]):  # fresh weights are overwritten
                model = Classifier(shape, int(about["classes"]))
            model.load_state_dict(weights, strict=True)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ZooError(f"{path} holds no classifier of the zoo ({error}); train it again") from error
        return model.eval()
    raise Lacking(
        f"there is no classifier of {dataset!r} to compare in; if it has classes, train one with "
        f"`python -m zoo.classifier {dataset}`"
    )
