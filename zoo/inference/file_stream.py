"""Image files as a stream: decoded while the model works on the batch before, and not kept."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from zoo.datasets._folder_classes import folders_of, found_classes, known_classes, numbered_classes
from zoo.errors import ZooError, escaped, suggest
from zoo.inference.image_batches import ImageBatch, ImageStream
from zoo.models import Autoencoder
from zoo.models.autoencoder import check_model
from zoo.schema.base import DatasetConfig
from zoo.system.files import spelled
from zoo.system.image_files import Presentation, decode_or_reason
from zoo.system.image_scan import scan
from zoo.system.image_sources import ImageFiles, images_at, listed, warn_skipped
from zoo.system.pixel_range import ValueRange
from zoo.system.prefetch import prefetch


def trained_on(model: Autoencoder) -> DatasetConfig:
    """Return the data section of the model's recipe.

    Raises:
        ZooError: the model has no recipe, because it was not loaded, or it is no model.
    """
    check_model(model)
    if model.config is None:
        raise ZooError("this model was built, not loaded: its recipe does not come with it")
    return model.config.checked_recipe.data


def presentation_of(model: Autoencoder) -> Presentation:
    """Return how image files are presented to a model: as its training images were, where these were files."""
    usual = Presentation(model.image_shape)
    presentation: Presentation = getattr(trained_on(model), "presentation", usual) if model.config else usual
    return presentation


def of_files(
    source: Path, model: Autoencoder, chosen: Sequence[str] = (), value_range: ValueRange | None = None
) -> ImageStream:
    """Open every image file of a folder, a zip or a pattern, or one, presented as the model's training images were.

    Args:
        source: the path or pattern.
        model: the model; a conditional one gets the labels that subfolders name.
        chosen: the classes to take, by the names of their subfolders or by their labels; empty: all images.
        value_range: the values of more than 8 bits that become black and white; None: those of the model's recipe, or
            else 0 and 65,535, 0 and 1 for floats, whatever the files hold: a score depends on no other file.

    Raises:
        ZooError: there are no images, none of a chosen class, or none with a label that a conditional model needs.
    """
    files = images_at(source)
    files.warn()
    paths, labels = with_labels(files, model, chosen)
    presentation = presentation_of(model)
    presentation = replace(presentation, range=value_range or presentation.range)
    scanned = scan(paths, presentation.pages, presentation.range, by_kind=True)
    suited = ",".join(f"{value:.17g}" for value in scanned.range or ())
    option = f"--range={suited} would suit them; the model's recipe has no range"
    if presentation.range:
        option = "--range" if value_range else "from the model's recipe, or --range"
    scanned.warn(files.name, presentation.pages, option)
    pages = scanned.images(paths, presentation.pages)

    def batches(size: int) -> Iterator[ImageBatch]:
        unreadable: list[str] = []
        pool = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="decode")
        parts = (pages[start : start + size] for start in range(0, len(pages), size))
        decoded = (
            (part, list(pool.map(lambda page: decode_or_reason(page[0], presentation, page[1]), part)))
            for part in parts
        )
        try:
            for part, results in prefetch(decoded):
                names, pixels, given = [], [], []
                for (path, page), result in zip(part, results, strict=True):
                    name = f"{spelled(path)}#{page + 1}" if page else spelled(path)
                    if isinstance(result, str):
                        unreadable.append(escaped(f"{name}: {result}"))
                    else:
                        names.append(name)
                        pixels.append(result)
                        given += [labels[path]] if labels else []
                if pixels:
                    known = torch.tensor(given, device="cpu") if labels else None
                    yield ImageBatch(names, torch.from_numpy(np.stack(pixels)), known)
        finally:
            pool.shutdown(cancel_futures=True)  # the next batch is not needed when this one has failed
        if len(unreadable) == len(pages):
            raise ZooError(f"none of the {len(pages)} images under {files.name} can be read ({unreadable[0]})")
        warn_skipped(unreadable, len(pages), "images")

    return ImageStream(str(source), len(pages), batches)


def with_labels(files: ImageFiles, model: Autoencoder, chosen: Sequence[str]) -> tuple[list[Path], dict[Path, int]]:
    """Return the images of the chosen classes, and the label of each where the model is conditional.

    Raises:
        ZooError: no image is in a class that was chosen or that the model knows.
    """
    relative = [path.relative_to(files.root) for path in files.paths]
    names = trained_on(model).class_names if model.config else ()
    labels = known_classes(relative, names) if names else numbered_classes(relative)
    if not any(label is not None for label in labels):
        if not model.classes:
            names, labels = found_classes(relative)
        elif names:  # or by their numbers
            labels = [
                label if label is not None and label < len(names) else None for label in numbered_classes(relative)
            ]
    paths = files.paths
    if chosen:
        wanted = {names.index(name) if name in names else int(name) if name.isdecimal() else -1 for name in chosen}
        folders = [folders_of(path) for path in relative]
        paths = [
            path
            for path, label, inside in zip(files.paths, labels, folders, strict=True)
            if label in wanted or not set(inside).isdisjoint(chosen)
        ]
        if not paths:
            there = sorted({name for inside in folders for name in inside})
            hint = suggest(chosen[0], there) or "; it has no subfolders"
            raise ZooError(f"{files.name}: no image is in a folder named {' or '.join(map(repr, chosen))}{hint}")
    if not model.classes:
        return paths, {}
    known = {path: label for path, label in zip(files.paths, labels, strict=True) if label is not None}
    missing = [path for path in paths if path not in known]
    if len(missing) == len(paths):
        some = f" ({', '.join(name.replace('/', '-') for name in names[:5])}, …)" if names else ""
        some += f" or numbered 0 to {model.classes - 1}"
        raise ZooError(
            f"this model is conditional and needs labels: put the images under {files.name} into folders named like "
            f"its classes{some}, or name a dataset, such as {trained_on(model).name}"
        )
    if missing:
        warnings.warn(f"left out {listed(missing, files.root)}: in no folder named like a class", stacklevel=3)
    return [path for path in paths if path in known], known
