"""The loop that most people start from, in the style of pytorch/examples (``vae/main.py``).

Images come one by one through torchvision's own ``__getitem__`` (a PIL image, then ``ToTensor``) and a DataLoader; the
loss of every step is fetched from the device for the running mean. Unlike there, the network and the loss are the
zoo's: what is compared is the loop. Source: https://github.com/pytorch/examples/blob/main/vae/main.py
"""

from __future__ import annotations

import torch
from torch import Tensor, optim
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from tests.benchmarks.contestants import Contestant
from zoo.datasets import ImageSet
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.recipe import Recipe


class ImageStream(MNIST):  # type: ignore[misc]
    """Any grey images, handed out as torchvision hands out MNIST: float32 (1, H, W) in [0, 1] and a label."""

    def __init__(self, images: ImageSet) -> None:
        self.data = images.images.squeeze(1)  # uint8 (N, H, W), as torchvision keeps them
        self.targets = torch.zeros(len(images), dtype=torch.int64) if images.labels is None else images.labels
        self.transform, self.target_transform = ToTensor(), None


class ReferenceLoop(Contestant):
    """DataLoader, zero_grad, forward, backward, ``.item()``, step.

    Args:
        recipe: what to train.
        train: its images.
        device: where.
        workers: processes that read images; with any, batches for a GPU are pinned.
    """

    def __init__(self, recipe: Recipe, train: ImageSet, device: torch.device, workers: int) -> None:
        torch.manual_seed(recipe.training.seed)
        self.device = device
        self.model = build(recipe).to(device)
        self.models = [self.model]
        self.objective = build_objective(recipe, self.model, len(train)).to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=recipe.optimizer.learning_rate)
        self.epoch = torch.zeros((), device=device)  # the objectives that are compared do not change with it
        self.images = len(train)
        self.loader: DataLoader[Tensor] = DataLoader(
            ImageStream(train),
            batch_size=recipe.training.batch_size,
            shuffle=True,
            num_workers=workers,
            pin_memory=workers > 0 and device.type == "cuda",
        )

    def train_epoch(self) -> None:
        """One pass, as published."""
        self.model.train()
        total = 0.0
        for x, _ in self.loader:
            x = x.to(self.device)
            self.optimizer.zero_grad()
            loss = self.objective(self.model, x, self.epoch)["loss"]
            loss.backward()
            total += loss.item() * len(x)
            self.optimizer.step()
        self.mean_loss = total / self.images
