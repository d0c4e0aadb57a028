"""A small classifier of a dataset's images, in whose features samples are compared with images.

``python -m zoo.classifier DATASET`` trains one; those of MNIST, Fashion-MNIST and glyphs come with the package. It has
the place of the Inception network in the Fréchet Inception distance, but it is another network, trained on other
images: its distances are never to be called FID nor compared with one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from zoo import cli
from zoo.catalog import PACKAGE
from zoo.configs import ImageShape, spell
from zoo.data import ImageSet, data_folder, load_images
from zoo.devices import choose_device, isolated_randomness
from zoo.errors import Lacking, ZooError
from zoo.files import write_atomically
from zoo.passes import fitting
from zoo.schema import parse_data
from zoo.training.batches import epoch_order

CHANNELS = (16, 32, 32)
"""Of the convolutions, each of which halves the image."""

FEATURES = 64
EPOCHS, BATCH, RATE = 8, 128, 1e-3
SEED = 0


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
    """Images (N, C, H, W), uint8 or float in [0, 1] → their features (N, 64), on the device."""
    with torch.no_grad():
        return torch.cat([classifier.features(_float(part.to(device))) for part in images.split(1000)])


def _float(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


def train(images: ImageSet, device: torch.device) -> Classifier:
    """A classifier of labelled images; the same bits for the same images and device."""
    assert images.labels is not None
    shape: Any = tuple(images.images.shape[1:])
    with isolated_randomness(SEED, device):
        model = Classifier(shape, int(images.labels.max()) + 1).to(device)
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for epoch in range(EPOCHS):
            for chosen in epoch_order(len(images), SEED, epoch).split(BATCH):
                logits = model(_float(images.images[chosen].to(device)))
                optimizer.zero_grad()
                F.cross_entropy(logits, images.labels[chosen].to(device)).backward()
                optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model: Classifier, images: ImageSet, device: torch.device) -> float:
    """Share of images that are classified rightly."""
    assert images.labels is not None
    right = 0
    with torch.no_grad():
        for batch in images.batches(fitting(images)):
            assert batch.labels is not None
            right += int((model(_float(batch.images.to(device))).argmax(dim=1).cpu() == batch.labels).sum())
    return right / len(images)


def places(dataset: str) -> list[Path]:
    """Where the classifier of a dataset is looked for: in the package, then in the data folder."""
    return [folder / f"{dataset}.safetensors" for folder in (PACKAGE / "classifiers", data_folder() / "classifiers")]


@cache
def load(dataset: str, shape: ImageShape) -> Classifier:
    """The classifier of a dataset, in eval mode on the CPU.

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
            model = Classifier(shape, int(about["classes"]))
            model.load_state_dict(weights, strict=True)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ZooError(f"{path} holds no classifier of the zoo ({error}); train it again") from error
        return model.eval()
    raise Lacking(
        f"there is no classifier of {dataset!r} to compare in; train one with `python -m zoo.classifier {dataset}`"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m zoo.classifier DATASET``."""
    parser = argparse.ArgumentParser(prog="python -m zoo.classifier", description=__doc__)
    parser.add_argument("dataset", help="a dataset with classes, as in mnist")
    parser.add_argument(
        "--out", type=Path, help="the file (default: classifiers/DATASET.safetensors in the data folder)"
    )
    cli.add_common(parser)
    options = parser.parse_args(arguments)
    cli.import_files(options.imports)
    device = choose_device(options.device)
    data = parse_data({"name": options.dataset}, "the dataset")
    images, test = load_images(data, "train"), load_images(data, "test")
    if images.labels is None:
        raise ZooError(f"the dataset {options.dataset!r} has no classes to tell apart")
    model = train(images, device)
    about = {
        "dataset": options.dataset,
        "image_shape": data.image_shape,
        "classes": model.head.out_features,
        "accuracy": accuracy(model, test, device),
        "epochs": EPOCHS,
        "seed": SEED,
        "train_sha256": images.digest,
    }
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    out = options.out or places(options.dataset)[-1]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, save(weights, metadata={"about": json.dumps(about)}))
    print(f"{out}: {about['accuracy']:.4f} of {len(test):,} test images classified rightly")


if __name__ == "__main__":
    cli.run(main)
