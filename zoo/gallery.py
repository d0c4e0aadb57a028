"""Every kind of picture of a trained model: what it shows and how it is computed.

A kind is a function from a :class:`~zoo.subject.Subject` to a figure. What draws them is in :mod:`zoo.plotting`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from matplotlib.figure import Figure

from zoo import latents, plotting
from zoo.artifacts import read_history
from zoo.builder import build_objective
from zoo.codebook import Codebook, Quantized
from zoo.data import ImageSet
from zoo.errors import Lacking, ZooError
from zoo.passes import codes
from zoo.subject import MOST, MOST_IN_MAP, Subject

COLUMNS = 10
"""Images in a row, unless the options say otherwise."""


def training_images(subject: Subject) -> Figure:
    """Images that the model was trained on, chosen at random."""
    chosen = torch.randperm(len(subject.train), generator=subject.generator)[: subject.count(50)]
    return plotting.sample_grid(subject.x(subject.train.images[chosen]))


def reconstructions(subject: Subject) -> Figure:
    """Test images, each above its reconstruction."""
    first = subject.test.first(subject.count(40))
    x = subject.x(first.images)
    return plotting.reconstruction_grid(x, subject.model.given(first.labels).reconstruct(x))


def loss_curves(subject: Subject) -> Figure:
    """The loss and its terms over the epochs, training and test."""
    return plotting.loss_curves(read_history(subject.folder), build_objective(subject.config.checked_recipe).unit)


def samples(subject: Subject) -> Figure:
    """Images decoded from the prior: of a codebook, from codes drawn at random."""
    return plotting.sample_grid(subject.model.sample(subject.count(100), subject.generator))


def manifold(subject: Subject) -> Figure:
    """A map of a two-dimensional code, over the quantiles of the prior."""
    prior = subject.model.prior
    if prior.latent_dim != 2:
        raise Lacking(f"a map needs a two-dimensional code; this one has {prior.latent_dim} dimensions")
    if prior.fitted:
        raise Lacking("a map needs a code with a standard normal prior")
    values = latents.normal_quantiles(subject.count(20, MOST_IN_MAP))
    with subject.drawing():
        return plotting.manifold_map(subject.decode(latents.square(values)), values)


def decode(subject: Subject) -> Figure:
    """The images at chosen codes (``--at``)."""
    at, dim = subject.options.at, subject.model.prior.latent_dim
    if not at:
        raise Lacking(f"say at which codes to decode, {dim} number{'s' * (dim > 1)} each: --at 0,1 --at 1,0")
    wrong = [z for z in at if len(z) != dim]
    if wrong:
        raise ZooError(f"--at {','.join(map(str, wrong[0]))}: the code has {dim} dimensions, not {len(wrong[0])}")
    with subject.drawing():
        images = subject.decode(torch.tensor(at))
    titles = [", ".join(f"{value:g}" for value in z[:4]) + ", \N{HORIZONTAL ELLIPSIS}" * (dim > 4) for z in at]
    return plotting.titled(images, [f"z = ({title})" for title in titles])


def scatter(subject: Subject, method: Literal["t-SNE", "PCA"]) -> Figure:
    """The posterior means of test images in two dimensions, coloured by class."""
    first = subject.test.first(subject.options.count or 2000)
    if min(len(first) - 2, subject.model.prior.latent_dim - 1) < 1:
        raise Lacking(f"{method} needs codes of at least two dimensions, of at least three images")
    labels = torch.zeros(len(first), dtype=torch.int64) if first.labels is None else first.labels
    means = codes(subject.model, first, subject.config.checked_recipe.data).cpu()
    try:
        points = latents.tsne(means, subject.options.seed) if method == "t-SNE" else latents.pca(means)
    except ZooError as error:  # scikit-learn is not there
        raise Lacking(str(error)) from error
    classes = range(0 if first.labels is None else int(labels.max()) + 1)
    names = [subject.class_name(label) for label in classes]
    return plotting.scatter(points, labels, names, method)


def interpolation(subject: Subject) -> Figure:
    """From one test image's code to that of another class; the first and the last column are the images themselves."""
    rows = []
    steps = max(2, subject.count(COLUMNS))
    with subject.drawing():
        for name, ends in interpolated(subject).items():
            x = subject.x(subject.test.images[list(ends)])
            y = torch.zeros(2, dtype=torch.int64) if subject.test.labels is None else subject.test.labels[list(ends)]
            start, end = subject.model.given(y).encode(x).mean
            z = latents.interpolate(start, end, steps, subject.options.path == "spherical")
            half = torch.arange(steps) >= steps / 2  # a conditional model changes its label in the middle
            between = subject.decode(z, torch.where(half, y[1], y[0]))
            rows.append((name, torch.cat([x[:1].cpu(), between, x[1:].cpu()])))
    return plotting.labelled_rows(rows, f"{subject.options.path} interpolation between the images at both ends")


def interpolated(subject: Subject) -> dict[str, tuple[int, int]]:
    """Label of a row → which two test images it is between: of different classes, or where there are none, any two.

    Raises:
        Lacking: there is only one image, or one class.
        ZooError: the classes asked for are not there.
    """
    labels = subject.test.labels
    if labels is None:
        labels = torch.arange(len(subject.test.first(2 * COLUMNS)))
    present = labels.unique().tolist()
    if len(present) < 2:
        raise Lacking("an interpolation needs test images of two classes")
    pairs = list(zip(present[::2], [*present[1::2], present[0]], strict=False))  # an odd one out goes with the first
    if subject.options.between:
        pairs = [subject.options.between]
    found = {}
    for pair in pairs[:COLUMNS]:
        if pair[0] == pair[1] or not set(pair) <= set(present):
            raise ZooError(f"choose two different classes of {', '.join(map(str, present))}, as in --between 3,5")
        first, last = (int((labels == label).nonzero()[0, 0]) for label in pair)
        names = map(subject.class_name, pair) if subject.test.labels is not None else map(str, pair)
        found[" \N{RIGHTWARDS ARROW} ".join(names)] = (first, last)
    return found


def class_samples(subject: Subject) -> Figure:
    """Samples of each class, from a Gaussian fitted to the codes of its test images."""
    rows = []
    labels = subject.labels(subject.test)
    for label in labels.unique().tolist():
        of_class = ImageSet(subject.test.images[labels == label], labels[labels == label])
        with subject.drawing():
            posterior = subject.model.given(of_class.labels).encode(subject.x(of_class.images))
            gaussian = latents.gaussian_of(posterior.rsample().cpu())
            z = gaussian.sample(subject.count(COLUMNS), subject.generator)
            rows.append((subject.class_name(label), subject.decode(z, torch.full((len(z),), label))))
    return plotting.labelled_rows(rows)


def label_samples(subject: Subject) -> Figure:
    """Samples of a conditional model, a row for each label; the code is the same down a column."""
    classes = subject.model.classes
    if not classes:
        raise Lacking("samples by label need a conditional model, such as conditional_vae_mnist")
    with subject.drawing():
        z = subject.model.prior.sample(subject.count(COLUMNS), subject.generator)
        rows = [
            (subject.class_name(label), subject.decode(z, torch.full((len(z),), label))) for label in range(classes)
        ]
    return plotting.labelled_rows(rows)


def codebook(subject: Subject) -> Figure:
    """How often each vector of the codebook is used by the test images."""
    prior = subject.model.prior
    if not isinstance(prior, Codebook):
        raise Lacking("the use of a codebook needs a model with one, such as vq_vae_fashion_mnist")
    with subject.drawing():
        parts = [prior.quantize(subject.model.encoder(subject.x(part.images))) for part in subject.test.batches(MOST)]
    indices = torch.cat([part.indices for part in parts]).cpu()
    counts = indices.flatten().bincount(minlength=prior.size)
    return plotting.codebook_use(counts, Quantized.usage(indices)["perplexity"])


def random_codes(subject: Subject) -> Figure:
    """Images decoded from vectors of the codebook that are drawn at random, all equally likely."""
    if not isinstance(subject.model.prior, Codebook):
        raise Lacking("random vectors of a codebook need a model with one, such as vq_vae_fashion_mnist")
    return samples(subject)


def progress(subject: Subject) -> Figure:
    """Reconstructions of the same test images as training went on; with ``--out NAME.gif`` as an animation."""
    found = subject.snapshots
    return plotting.progress_strip(found.originals, found.epochs, found.reconstructions)


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
    drawn = {}
    for name, subject in subjects.items():
        try:
            drawn[name] = KINDS[kind](subject)
        except ZooError as error:
            raise ZooError(f"{name}: {error}") from error
    return plotting.side_by_side(drawn)
