"""``python -m zoo.classifier DATASET``: train the small classifier in whose features samples are compared."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch.nn import functional as F

from zoo import cli
from zoo.data import ImageSet, load_images
from zoo.errors import ZooError
from zoo.features import Classifier, places
from zoo.passes import fitting
from zoo.schema.recipe import parse_data
from zoo.system.devices import choose_device, isolated_randomness
from zoo.system.files import write_atomically
from zoo.training.batches import epoch_order

EPOCHS, BATCH, RATE = 8, 128, 1e-3
SEED = 0


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
                logits = model(images.images[chosen].to(device).float() / 255)
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
            right += int((model(batch.images.to(device).float() / 255).argmax(dim=1).cpu() == batch.labels).sum())
    return right / len(images)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m zoo.classifier DATASET``."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo.classifier", description="Train the classifier in whose features samples are compared."
    )
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
