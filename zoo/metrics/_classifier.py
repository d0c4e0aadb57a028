"""A small classifier, in whose features samples are compared with images.

There is one for MNIST, one for Fashion-MNIST and one for glyphs in the package; ``zoo classifier`` trains
others. It stands in for the Inception network of the Fréchet Inception distance, but it is another network, trained
on other images: its distances are never to be called FID nor compared with one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.datasets import SET_ZOO_DATA, ImageSet, data_folder, load_images
from zoo.errors import NotApplicable, ZooError
from zoo.inference.loops import epoch_permutation, eval_batch_size
from zoo.models.classifier import CLASSIFIERS, Classifier, read_classifier
from zoo.schema.base import DatasetConfig, ImageShape, format_shape
from zoo.schema.recipe import parse_data
from zoo.system.files import user_path, writing
from zoo.system.folders import make_folder
from zoo.system.process import initial_weights
from zoo.system.randomness import CPU, isolated_randomness
from zoo.system.sealed import seal


def features_of(classifier: Classifier, images: Tensor, device: torch.device) -> Tensor:
    """Return the features (N, 64), on the device, of uint8 images (N, C, H, W)."""
    with torch.no_grad():
        return torch.cat([classifier.features(part.to(device).float() / 255) for part in images.split(1000)])


def candidate_paths(dataset: str) -> Iterator[Path]:
    """Yield the files that the classifier of a dataset is read from: the package's, else the data folder's."""
    yield CLASSIFIERS / f"{dataset}.safetensors"
    yield own_path(dataset)


def own_path(dataset: str) -> Path:
    """Return the file of a classifier that was trained on this machine."""
    return data_folder() / "classifiers" / f"{dataset}.safetensors"


def classifier_of(data: DatasetConfig) -> Classifier:
    """Return the classifier of a dataset, in eval mode on the CPU.

    Raises:
        NotApplicable: there is none; says how to train one.
        ZooError: its file is damaged.
    """
    if data.PRIVATE:
        raise NotApplicable("the zoo has no classifier of your own images to compare samples with")
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
        model = read_classifier(path)
        if model.shape != shape:
            raise NotApplicable(
                f"the classifier of {dataset!r} takes images of another shape than {format_shape(shape)}"
            )
        return model
    raise NotApplicable(
        f"there is no classifier of {dataset!r} to compare samples with; if it has classes, train one with "
        f"`zoo classifier {dataset}`"
    )


EPOCHS, BATCH_SIZE, LEARNING_RATE = 8, 128, 1e-3
TRAINING_SEED = 0


def fit_classifier(images: ImageSet, device: torch.device) -> Classifier:
    """Train a classifier of labelled images; the same images and device give the same bits."""
    assert images.labels is not None
    shape: Any = tuple(images.images.shape[1:])
    with isolated_randomness(TRAINING_SEED, CPU), initial_weights():
        model = Classifier(shape, int(images.labels.max()) + 1).to(device)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for epoch in range(EPOCHS):
        for chosen in epoch_permutation(len(images), TRAINING_SEED, epoch).split(BATCH_SIZE):
            logits = model(images.images[chosen].to(device).float() / 255)
            optimizer.zero_grad()
            F.cross_entropy(logits, images.labels[chosen].to(device)).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def accuracy(model: Classifier, images: ImageSet, device: torch.device) -> float:
    """Return the share of images that are classified correctly."""
    assert images.labels is not None
    correct = 0
    with torch.no_grad():
        for batch in images.batches(eval_batch_size(images.images.shape[1:])):
            assert batch.labels is not None
            correct += int((model(batch.images.to(device).float() / 255).argmax(dim=1).cpu() == batch.labels).sum())
    return correct / len(images)


@dataclass(frozen=True)
class WrittenClassifier:
    """A classifier's file and its accuracy."""

    path: Path
    accuracy: float
    """The share of test images that are classified correctly."""
    images: int
    """The number of test images."""


def train_classifier(
    dataset: str, device: torch.device, out: str | os.PathLike[str] | None = None
) -> WrittenClassifier:
    """Train the classifier of a dataset and write its file.

    Args:
        dataset: the name of a dataset with classes.
        device: the device to train on.
        out: the file to write; None: the one in the data folder that :func:`classifier_of` reads.

    Raises:
        ZooError: the dataset cannot be had or has no classes, or the file cannot be written.
    """
    data = parse_data({"name": dataset}, "the dataset")
    images, test = load_images(data, "train"), load_images(data, "test")
    if images.labels is None:
        raise ZooError(f"the dataset {dataset!r} has no classes to tell apart")
    model = fit_classifier(images, device)
    path = user_path(out) if out else own_path(dataset)
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
    remedy = "choose another place with --out" if out else f"{SET_ZOO_DATA}, or name a file with --out"
    make_folder(path.parent, remedy)
    with writing(path, remedy) as file:
        file.write(seal(weights, "about", about))
    return written
