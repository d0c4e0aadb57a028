"""Every kind of picture of a trained model: what it shows and how it is computed.

A kind is a function from a :class:`Subject` to a figure. What draws them is in :mod:`zoo.figures`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor

from zoo import figures, latents
from zoo.artifacts import RunConfig, Snapshots, load, read_config, read_history, read_snapshots, resolve
from zoo.autoencoder import Autoencoder
from zoo.builder import build_objective
from zoo.codebook import Codebook, Quantized
from zoo.data import ImageSet, load_images, pictured
from zoo.devices import isolated_randomness
from zoo.errors import ZooError
from zoo.evaluation import codes

COLUMNS = 10
"""Images in a row, unless the options say otherwise."""


@dataclass(frozen=True)
class Options:
    """What the kinds may be asked for.

    Args:
        count: how many: images in a grid, points in a scatter, images along one side of a map. None: what suits.
        at: codes to decode.
        between: the two classes to interpolate between; None: several pairs.
        path: of the interpolation.
        seed: of everything that is drawn at random.
    """

    count: int | None = None
    at: tuple[tuple[float, ...], ...] = ()
    between: tuple[int, int] | None = None
    path: Literal["linear", "spherical"] = "linear"
    seed: int = 0


@dataclass
class Subject:
    """A trained model, its run folder and its images, each read when it is first needed.

    Args:
        source: an entry or a run folder, as :func:`zoo.load` takes it.
        device: where to compute.
        options: what is wanted.
    """

    source: str | os.PathLike[str]
    device: str = "cpu"
    options: Options = field(default_factory=Options)

    @cached_property
    def folder(self) -> Path:
        """The run folder."""
        return resolve(self.source)

    @cached_property
    def config(self) -> RunConfig:
        """The card's facts."""
        return read_config(self.folder)

    @cached_property
    def model(self) -> Autoencoder:
        """In eval mode."""
        return load(self.source, self.device)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Kept during training."""
        return read_snapshots(self.folder)

    @cached_property
    def train(self) -> ImageSet:
        """The images that it was trained on."""
        return load_images(self.config.checked_recipe.data, "train")

    @cached_property
    def test(self) -> ImageSet:
        """The images that it was not trained on."""
        return load_images(self.config.checked_recipe.data, "test")

    @property
    def generator(self) -> torch.Generator:
        """A fresh one."""
        return torch.Generator().manual_seed(self.options.seed)

    def x(self, images: Tensor) -> Tensor:
        """uint8 → float in [0, 1], on the device."""
        return pictured(images.to(self.model.device), self.config.checked_recipe.data)

    def labels(self, images: ImageSet) -> Tensor:
        """(N,).

        Raises:
            ZooError: the dataset has none.
        """
        if images.labels is None:
            raise ZooError(f"the dataset {self.config.checked_recipe.data.name!r} has no classes")
        return images.labels

    def class_name(self, label: int) -> str:
        """As the dataset calls it."""
        names = self.config.checked_recipe.data.CLASSES
        return names[label] if label < len(names) else str(label)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Without gradients, and with random numbers of its own."""
        with torch.no_grad(), isolated_randomness(self.options.seed, self.model.device):
            yield

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The images of codes (N, D); of a conditional model, of the first class unless ``labels`` are given."""
        labels = torch.zeros(len(z), dtype=torch.int64) if labels is None else labels
        return self.model.given(labels).decode(z).mean.cpu()


def training_images(subject: Subject) -> Figure:
    """Images that the model was trained on, chosen at random."""
    chosen = torch.randperm(len(subject.train), generator=subject.generator)[: subject.options.count or 50]
    return figures.sample_grid(subject.x(subject.train.images[chosen]))


def reconstructions(subject: Subject) -> Figure:
    """Test images, each above its reconstruction."""
    first = subject.test.first(subject.options.count or 40)
    x = subject.x(first.images)
    return figures.reconstruction_grid(x, subject.model.given(first.labels).reconstruct(x))


def loss_curves(subject: Subject) -> Figure:
    """The loss and its terms over the epochs, training and test."""
    return figures.loss_curves(read_history(subject.folder), build_objective(subject.config.checked_recipe).unit)


def samples(subject: Subject) -> Figure:
    """Images decoded from the prior: of a codebook, from codes drawn at random."""
    return figures.sample_grid(subject.model.sample(subject.options.count or 100, subject.generator))


def manifold(subject: Subject) -> Figure:
    """A map of a two-dimensional code, over the quantiles of the prior."""
    prior = subject.model.prior
    if prior.latent_dim != 2:
        raise ZooError(f"a map needs a two-dimensional code; this one has {prior.latent_dim} dimensions")
    if prior.fitted:
        raise ZooError("a map needs a code with a standard normal prior")
    values = latents.normal_quantiles(subject.options.count or 20)
    with subject.drawing():
        return figures.manifold_map(subject.decode(latents.square(values)), values)


def decode(subject: Subject) -> Figure:
    """The images at chosen codes (``--at``)."""
    at, dim = subject.options.at, subject.model.prior.latent_dim
    if not at:
        raise ZooError(f"say at which codes to decode, {dim} number{'s' * (dim > 1)} each: --at 0,1 --at 1,0")
    wrong = [z for z in at if len(z) != dim]
    if wrong:
        raise ZooError(f"--at {','.join(map(str, wrong[0]))}: the code has {dim} dimensions, not {len(wrong[0])}")
    with subject.drawing():
        images = subject.decode(torch.tensor(at))
    titles = [", ".join(f"{value:g}" for value in z[:4]) + ", \N{HORIZONTAL ELLIPSIS}" * (dim > 4) for z in at]
    return figures.titled(images, [f"z = ({title})" for title in titles])


def scatter(subject: Subject, method: Literal["t-SNE", "PCA"]) -> Figure:
    """The posterior means of test images in two dimensions, coloured by class."""
    first = subject.test.first(subject.options.count or 2000)
    labels = subject.labels(first)
    means = codes(subject.model, first, subject.config.checked_recipe.data).cpu()
    points = latents.tsne(means, subject.options.seed) if method == "t-SNE" else latents.pca(means)
    names = [subject.class_name(label) for label in range(int(labels.max()) + 1)]
    return figures.scatter(points, labels, names, method)


def interpolation(subject: Subject) -> Figure:
    """From one test image's code to that of another class; the first and the last column are the images themselves."""
    labels = subject.labels(subject.test)
    present = labels.unique().tolist()
    pairs = zip(present[::2], present[1::2], strict=False)
    rows = []
    with subject.drawing():
        for pair in [subject.options.between] if subject.options.between else pairs:
            if pair[0] == pair[1] or not set(pair) <= set(present):
                raise ZooError(f"choose two different classes of {', '.join(map(str, present))}, as in --between 3,5")
            ends = torch.stack([(labels == label).nonzero()[0, 0] for label in pair])
            x, y = subject.x(subject.test.images[ends]), labels[ends]
            start, end = subject.model.given(y).encode(x).mean
            steps = subject.options.count or COLUMNS
            z = latents.interpolate(start, end, steps, subject.options.path == "spherical")
            half = torch.arange(steps) >= steps / 2  # a conditional model changes its label in the middle
            between = subject.decode(z, torch.where(half, y[1], y[0]))
            name = " \N{RIGHTWARDS ARROW} ".join(map(subject.class_name, pair))
            rows.append((name, torch.cat([x[:1].cpu(), between, x[1:].cpu()])))
    return figures.labelled_rows(rows, f"{subject.options.path} interpolation between the images at both ends")


def class_samples(subject: Subject) -> Figure:
    """Samples of each class, from a Gaussian fitted to the codes of its test images."""
    rows = []
    labels = subject.labels(subject.test)
    for label in labels.unique().tolist():
        of_class = ImageSet(subject.test.images[labels == label], labels[labels == label])
        with subject.drawing():
            posterior = subject.model.given(of_class.labels).encode(subject.x(of_class.images))
            gaussian = latents.gaussian_of(posterior.rsample().cpu())
            z = gaussian.sample(subject.options.count or COLUMNS, subject.generator)
            rows.append((subject.class_name(label), subject.decode(z, torch.full((len(z),), label))))
    return figures.labelled_rows(rows)


def label_samples(subject: Subject) -> Figure:
    """Samples of a conditional model, a row for each label; the code is the same down a column."""
    classes = subject.model.classes
    if not classes:
        raise ZooError("samples by label need a conditional model, such as conditional_vae_mnist")
    with subject.drawing():
        z = subject.model.prior.sample(subject.options.count or COLUMNS, subject.generator)
        rows = [
            (subject.class_name(label), subject.decode(z, torch.full((len(z),), label))) for label in range(classes)
        ]
    return figures.labelled_rows(rows)


def codebook(subject: Subject) -> Figure:
    """How often each vector of the codebook is used by the test images."""
    prior = subject.model.prior
    if not isinstance(prior, Codebook):
        raise ZooError("the use of a codebook needs a model with one, such as vq_vae_fashion_mnist")
    with subject.drawing():
        parts = [subject.model.encode(subject.x(part.images)).code for part in subject.test.batches(1000)]
    indices = torch.cat(parts).cpu()
    counts = indices.flatten().bincount(minlength=prior.size)
    return figures.codebook_use(counts, Quantized.usage(indices)["perplexity"])


def random_codes(subject: Subject) -> Figure:
    """Images decoded from vectors of the codebook that are drawn at random, all equally likely."""
    if not isinstance(subject.model.prior, Codebook):
        raise ZooError("random vectors of a codebook need a model with one, such as vq_vae_fashion_mnist")
    return samples(subject)


def progress(subject: Subject) -> Figure:
    """Reconstructions of the same test images as training went on; with ``--out NAME.gif`` as an animation."""
    found = subject.snapshots
    return figures.progress_strip(found.originals, found.epochs, found.reconstructions)


KINDS: dict[str, Callable[[Subject], Figure]] = {
    "training_images": training_images,
    "reconstructions": reconstructions,
    "loss_curves": loss_curves,
    "samples": samples,
    "manifold": manifold,
    "decode": decode,
    "tsne": partial(scatter, method="t-SNE"),
    "pca": partial(scatter, method="PCA"),
    "interpolation": interpolation,
    "class_samples": class_samples,
    "label_samples": label_samples,
    "codebook": codebook,
    "random_codes": random_codes,
    "progress": progress,
}
"""Name → function."""


def describe(kind: str) -> str:
    """What a kind shows, in a line."""
    function = KINDS[kind]
    words = (function.func if isinstance(function, partial) else function).__doc__ or ""
    method = f" ({function.keywords['method']})" if isinstance(function, partial) else ""
    return words.splitlines()[0].rstrip(".") + method


def beside(subjects: dict[str, Subject], kind: str) -> Figure:
    """One kind of picture of several models, side by side below their names."""
    return figures.side_by_side({name: KINDS[kind](subject) for name, subject in subjects.items()})
