"""One file per dataset, named like it: its settings, its shape, and the function that loads it as uint8 tensors."""

from zoo.datasets._base import (
    BINARIZATION_SEEDS,
    SET_ZOO_DATA,
    ImageSet,
    as_float,
    binarized,
    check_may_download,
    damaged,
    data_folder,
    digest_of,
    display_images,
    from_torchvision,
    load_images,
    unavailable,
    where_labelled,
    without_downloads,
)
from zoo.datasets._validation import split_off, validation_size
from zoo.schema.base import Split

__all__ = [
    "BINARIZATION_SEEDS", "SET_ZOO_DATA", "ImageSet", "Split", "as_float", "binarized", "check_may_download", "damaged",
    "data_folder", "digest_of", "display_images", "from_torchvision", "load_images", "split_off", "unavailable",
    "validation_size", "where_labelled", "without_downloads",
]  # fmt: skip
