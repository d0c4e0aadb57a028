"""The dataset that a trained model is measured and shown on: its recipe's, or the one that ``--data`` names."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.datasets import load_images
from zoo.datasets.image_folder import ImageFolderConfig, folder_for
from zoo.entries.loading import RunLocation
from zoo.errors import ZooError
from zoo.schema.base import DatasetConfig, format_shape
from zoo.schema.recipe import parse_data
from zoo.schema.run_config import RunConfig
from zoo.system.image_sources import names_images


def chosen_dataset(data: str | None, config: RunConfig, location: RunLocation) -> DatasetConfig:
    """Return the settings of the dataset to measure a trained model on; its images are binarised as the model's were.

    Args:
        data: a dataset's name or the path of a folder, zip, pattern or image file; None: what the model was trained on.
        config: the content of the run's ``config.json``.
        location: the run folder, which may come from elsewhere.

    Raises:
        ZooError: there is no such dataset, or its images have another shape.
        NotApplicable: the run comes from the Hub, and its images are its author's own.
    """
    recipe = config.checked_recipe
    if data is None:
        location.check_may_read(recipe.data)
        return recipe.data
    if names_images(data):
        count = recipe.model.classes
        classes = list(class_names(config, location) or map(str, range(count))) if count else None
        return _moved(data, config, location) or folder_for(data, config.image_shape, recipe.data, classes)
    try:
        chosen = parse_data({"name": data}, f"--data {data}")
    except ZooError as error:
        if os.path.isdir(data):
            raise ZooError(f"{error} (for the folder, write ./{data})") from error
        raise
    if chosen.image_shape != config.image_shape:
        here, wanted = format_shape(chosen.image_shape), format_shape(config.image_shape)
        raise ZooError(f"--data {data}: its images are {here}, the models take {wanted}")
    return chosen.model_copy(update={"binarization": recipe.data.binarization})


def class_names(config: RunConfig, location: RunLocation) -> tuple[str, ...]:
    """Return the names of the classes that a model was trained on, as far as they are known."""
    data = config.checked_recipe.data
    if data.private and location.from_hub and config.recipe["data"].get("classes") is None:
        return ()  # to look into the folder would be to read one that a config from elsewhere names
    return data.class_names


def _moved(path: str, config: RunConfig, location: RunLocation) -> ImageFolderConfig | None:
    """Return the recipe's own settings with another path, where the folder has the test images of the card."""
    trained = config.checked_recipe.data
    if not isinstance(trained, ImageFolderConfig):
        return None
    test_list = trained.test_list
    if test_list is not None:
        inside = Path(test_list).is_relative_to(trained.path) and ".." not in Path(test_list).parts
        if inside:
            test_list = str(Path(path) / Path(test_list).relative_to(trained.path))
        elif location.from_hub:  # a config from elsewhere chooses no file here
            return None
    moved = trained.model_copy(update={"path": path, "test_list": test_list})
    try:
        same = load_images(moved, "test").digest == config.dataset["test"].sha256
    except ZooError:
        return None
    return moved if same else None
