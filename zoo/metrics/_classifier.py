"""A small classifier's features of images: where samples are compared with images.

There is one for MNIST, one for Fashion-MNIST and one for glyphs in the package; ``zoo classifier`` trains
others. It has the place of the Inception network in the Fréchet Inception distance, but it is another network, trained
on other images: its distances are never to be called FID nor compared with one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.datasets import ImageSet, data_folder, load_images
from zoo.errors import NotApplicable, ZooError
from zoo.inference.loops import epoch_permutation, eval_batch_size
from zoo.schema.base import DatasetConfig, ImageShape, format_shape
from zoo.schema.recipe import parse_data
from zoo.system.devices import isolated_randomness
from zoo.system.files import write_atomically

CLASSIFIERS = Path(__file__).parent / "classifiers"
"""The folder of the shipped classifiers."""

CHANNELS = (16, 32, 32)
"""Output channels of the convolutions, each of which halves the image."""

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
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        height, width = (-(-side // 2 ** len(CHANNELS)) for side in shape[1:])
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS[-1] * height * width, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return the features (B, 64) of images (B, C, H, W) in [0, 1]."""
        found: Tensor = self.body(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) of images."""
        logits: Tensor = self.head(self.features(x))
        return logits


def features_of(classifier: Classifier, images: Tensor, device: torch.device) -> Tensor:
    """Return the features (N, 64), on the device, of uint8 images (N, C, H, W)."""
    with torch.no_grad():
        return torch.cat([classifier.features(part.to(device).float() / 255) for part in images.split(1000)])


def candidate_paths(dataset: str) -> list[Path]:
    """List where the classifier of a dataset is looked for: in the package, then in the data folder."""
    return [folder / f"{dataset}.safetensors" for folder in (CLASSIFIERS, data_folder() / "classifiers")]


def classifier_of(data: DatasetConfig) -> Classifier:
    """Return the classifier of a dataset, in eval mode on the CPU.

    Raises:
        NotApplicable: there is none; says how to train one.
        ZooError: its file is damaged.
    """
    if data.PRIVATE:
        raise NotApplicable("images of one's own have no classifier to compare in")
    return load_classifier(data.name, data.image_shape)


@cache
def load_classifier(dataset: str, shape: ImageShape) -> Classifier:
    """Read the file of a classifier, as :func:`classifier_of` does.

    Raises:
        NotApplicable: there is none, or it takes images of another shape; says how to train one.
        ZooError: its file is damaged.
    """
    for path in candidate_paths(dataset):
        if not path.is_file():
            continue
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["about"])
                weights = {name: file.get_tensor(name) for name in file.keys()}
            if tuple(about["image_shape"]) != shape:
                raise NotApplicable(
                    f"the classifier of {dataset!r} takes images of another shape than {format_shape(shape)}"
                )
            with torch.random.fork_rng(devices=[]):  # fresh weights are overwritten
                model = Classifier(shape, int(about["classes"]))
            model.load_state_dict(weights, strict=True)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ZooError(f"{path} holds no classifier of the zoo ({error}); train it again") from error
        return model.eval()
    raise NotApplicable(
        f"there is no classifier of {dataset!r} to compare in; if it has classes, train one with "
        f"`zoo classifier {dataset}`"
    )


EPOCHS, BATCH, RATE = 8, 128, 1e-3
TRAINING_SEED = 0


def fit_classifier(images: ImageSet, device: torch.device) -> Classifier:
    """Train a classifier of labelled images; the same images and device give the same bits."""
    assert images.labels is not None
    shape: Any = tuple(images.images.shape[1:])
    with isolated_randomness(TRAINING_SEED, device):
        model = Classifier(shape, int(images.labels.max()) + 1).to(device)
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for epoch in range(EPOCHS):
            for chosen in epoch_permutation(len(images), TRAINING_SEED, epoch).split(BATCH):
                logits = model(images.images[chosen].to(device).float() / 255)
                optimizer.zero_grad()
                F.cross_entropy(logits, images.labels[chosen].to(device)).backward()
                optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model: Classifier, images: ImageSet, device: torch.device) -> float:
    """Return the share of images that are classified rightly."""
    assert images.labels is not None
    right = 0
    with torch.no_grad():
        for batch in images.batches(eval_batch_size(images.images.shape[1:])):
            assert batch.labels is not None
            right += int((model(batch.images.to(device).float() / 255).argmax(dim=1).cpu() == batch.labels).sum())
    return right / len(images)


@dataclass(frozen=True)
class WrittenClassifier:
    """A classifier's file, and how good it is."""

    path: Path
    accuracy: float
    """The share of test images that are classified rightly."""
    images: int
    """The number of test images."""


def train_classifier(dataset: str, device: torch.device, out: Path | None = None) -> WrittenClassifier:
    """Train the classifier of a dataset and write its file.

    Args:
        dataset: the name of a dataset with classes.
        device: where to train.
        out: the file; None: where :func:`classifier_of` looks in the data folder.

    Raises:
        ZooError: the dataset cannot be had or has no classes, or the file cannot be written.
    """
    data = parse_data({"name": dataset}, "the dataset")
    images, test = load_images(data, "train"), load_images(data, "test")
    if images.labels is None:
        raise ZooError(f"the dataset {dataset!r} has no classes to tell apart")
    model = fit_classifier(images, device)
    path = out or candidate_paths(dataset)[-1]
    written = WrittenClassifier(path, accuracy(model, test, device), len(test))
    about = {
        "dataset": dataset,
        "image_shape": data.image_shape,
        "classes": model.head.out_features,
        "accuracy": written.accuracy,
        "epochs": EPOCHS,
        "seed": TRAINING_SEED,
        "train_sha256": images.digest,
    }
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(weights, metadata={"about": json.dumps(about)}))
    return written
