"""The tables of Hugging Face's library `datasets`: their splits, and what their columns hold. No code of one is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from zoo.datasets import data_folder
from zoo.errors import NotApplicable, ZooError, first_line
from zoo.system.embedded import Embedded
from zoo.system.image_sources import printable
from zoo.system.zip_files import LARGE, MAX_MEMBER_BYTES

COMMIT = re.compile(r"[0-9a-f]{40}")

KINDS = ("arrow", "imagefolder", "parquet")
"""The modules of `datasets` that may read what a dataset holds: tables and image files, and nothing that unpickles."""


def library() -> Any:
    """Return the library `datasets`.

    Raises:
        NotApplicable: it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise NotApplicable(
            'the dataset "hf_dataset" needs the package datasets; pip install "autoencoder-zoo[hf]"'
        ) from error
    return datasets


def commit_of(name: str, revision: str | None) -> str:
    """Return the commit of a dataset on the Hub that a revision names; None: the newest.

    Raises:
        ZooError: there is no such dataset or revision, or the Hub cannot be reached.
    """
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(name, revision=revision).sha)
    except Exception as error:  # of huggingface_hub and of whatever carries its requests
        raise ZooError(f"data.path: cannot ask the Hub for the commit of {name} ({first_line(error)})") from error


def splits_on_hub(name: str, revision: str | None, subset: str | None) -> Mapping[str, Any]:
    """Return the splits of a dataset on the Hub, which are downloaded first.

    Raises:
        ZooError: there is no such dataset, it cannot be read, or a script makes it.
    """
    datasets = library()

    def read() -> Any:
        builder = datasets.load_dataset_builder(name, subset, revision=commit_of(name, revision), cache_dir=_cache())
        return _prepared(builder, name)

    return _reading(name, read)


def splits_in(root: Path, typed: str) -> Mapping[str, Any]:
    """Return the splits of a dataset in a folder, or of a parquet file.

    Raises:
        ZooError: it is none, or cannot be read.
    """
    datasets = library()
    if not root.exists():
        raise ZooError(f"data.path: there is no folder {printable(root)}")
    if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
        saved = _reading(typed, lambda: datasets.load_from_disk(str(root), keep_in_memory=False))
        return saved if isinstance(saved, Mapping) else {str(saved.split or "train"): saved}
    files = [root] if root.is_file() else list(root.rglob("*.parquet"))
    if not files or any(file.suffix.lower() != ".parquet" for file in files):
        raise ZooError(
            f"data.path: {printable(root)} is neither a folder that save_to_disk has written nor one of parquet files; "
            f'for a folder of image files, write "name": "image_folder"'
        )

    def read() -> Any:
        where: dict[str, Any] = {"data_files": str(root)} if root.is_file() else {"data_dir": str(root)}
        return _prepared(datasets.load_dataset_builder("parquet", cache_dir=_cache(), **where), typed)

    return _reading(typed, read)


def _prepared(builder: Any, name: str) -> Any:
    modules = [base.__module__ for base in type(builder).__mro__]
    kind = next((module.split(".")[2] for module in modules if module.startswith("datasets.packaged_modules.")), None)
    if kind not in KINDS:
        raise ZooError(f"data.path: {name} is of the kind {kind}, and only {', '.join(KINDS)} are read here")
    builder.download_and_prepare()
    return builder.as_dataset()


def _reading(name: str, read: Callable[[], Any]) -> Mapping[str, Any]:
    """Return what is read, with whatever goes wrong as one line.

    Raises:
        ZooError: it cannot be read, or it is made by a script.
    """
    try:
        splits: Mapping[str, Any] = read()
    except ZooError:
        raise
    except Exception as error:  # of the library, of pyarrow, and of whatever carries its requests
        if "scripts are no longer supported" in str(error):
            raise ZooError(
                f"data.path: {name} is made by a script, and no code of a dataset is run here; use one of parquet "
                f"files, or save it with save_to_disk"
            ) from error
        raise ZooError(f"data.path: cannot read {name} ({first_line(error)})") from error
    return splits


def _cache() -> str:
    return str(data_folder() / "hf_datasets")


def images_in(table: Any, column: str, split: PurePosixPath) -> list[Embedded]:
    """Return the images of a table, each named by its split and its number.

    Raises:
        ZooError: the column holds something else.
    """
    datasets = library()
    feature = table.features[column]
    raw = isinstance(feature, datasets.Value) and feature.dtype in ("binary", "large_binary")
    if not (raw or isinstance(feature, datasets.Image)):
        what = f"Value({feature.dtype!r})" if isinstance(feature, datasets.Value) else type(feature).__name__
        others = [name for name, other in table.features.items() if isinstance(other, datasets.Image)]
        hint = f"; there is {' and '.join(map(repr, others))}" if others else ""
        raise ZooError(f"data.column: {column!r} holds no image files (it is {what}){hint}")
    rows = table.select_columns([column]).with_format(None)
    rows = rows if raw else rows.cast_column(column, datasets.Image(decode=False))
    inside = table.info.builder_name == "imagefolder"  # whose paths the library has listed itself
    return [Embedded(split / str(row), partial(_content, rows, column, row, inside)) for row in range(len(table))]


def _content(rows: Any, column: str, row: int, may_open: bool) -> bytes:
    """Return the bytes of the image in a row.

    Raises:
        ValueError: it holds none, or too many. A path in a table from elsewhere is never opened.
    """
    cell = rows[row][column]
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if content is None and may_open and isinstance(cell, Mapping) and cell.get("path"):
        with open(cell["path"], "rb") as file:
            content = file.read(MAX_MEMBER_BYTES + 1)
    if content is None:
        named = isinstance(cell, Mapping) and cell.get("path")
        raise ValueError("its row holds a path in place of an image" if named else "its row is empty")
    if len(content) > MAX_MEMBER_BYTES:
        raise ValueError(LARGE.partition(";")[0])
    return bytes(content)


def values_of(table: Any, column: str) -> Sequence[Any]:
    """Return the values of a column, one a row."""
    values: Sequence[Any] = table.select_columns([column]).with_format(None)[:][column]
    return values


def words_in(table: Any, column: str) -> tuple[tuple[str, ...], list[str | None]]:
    """Return the names of the classes, where the column tells them, and the label of each row as a word.

    Raises:
        ZooError: the column holds neither words nor whole numbers.
    """
    datasets = library()
    feature = table.features[column]
    values = values_of(table, column)
    if isinstance(feature, datasets.ClassLabel):
        names = tuple(feature.names)
        return names, [names[value] if value is not None and value >= 0 else None for value in values]
    kind = feature.dtype if isinstance(feature, datasets.Value) else type(feature).__name__
    if kind not in ("string", "large_string") and not re.fullmatch(r"u?int\d+", kind):
        raise ZooError(f"data.label: {column!r} holds neither words nor whole numbers (it is {kind})")
    return (), [None if value is None or value == "" else str(value) for value in values]


def version_of(table: Any) -> list[tuple[PurePath, int, int]]:
    """Return the name, size and time of each file of a table, and its number of rows."""
    files = [Path(file["filename"]) for file in table.cache_files]
    stats = [(file, file.stat()) for file in files]
    return [(PurePath("rows"), len(table), 0), *((file, status.st_size, status.st_mtime_ns) for file, status in stats)]
