"""Datasets of Hugging Face, written here by its own library: splits, columns, labels, and no code of anybody's."""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import dataset
from zoo.datasets import load_images
from zoo.errors import NotApplicable, ZooError

needs_datasets = pytest.mark.skipif(find_spec("datasets") is None, reason="needs datasets (the extra `hf`)")

CLASSES = ["cat", "dog"]


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.arange(80, dtype=np.uint8).reshape(8, 10) * 3
    pixels[0, 0] = number
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two splits of 40 and 8 images: as a folder of save_to_disk, as parquet files, and one split alone."""
    import datasets

    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES), "patient": datasets.Value("string")}
    )

    def table(numbers: range) -> Any:
        cells = [{"bytes": png(number), "path": None} for number in numbers]
        labels = [number % 2 if number else -1 for number in numbers]
        patients = [f"p{number // 4}" for number in numbers]
        return datasets.Dataset.from_dict({"image": cells, "label": labels, "patient": patients}, features=features)

    both = datasets.DatasetDict({"train": table(range(40)), "test": table(range(40, 48))})
    both.save_to_disk(str(tmp_path / "saved"))
    both["train"].save_to_disk(str(tmp_path / "alone"))
    shared = datasets.DatasetDict({"train": both["train"], "test": table(range(38, 44))})
    shared.save_to_disk(str(tmp_path / "shared"))
    (tmp_path / "parquet").mkdir()
    for name, one in both.items():
        one.to_parquet(str(tmp_path / "parquet" / f"{name}-00000-of-00001.parquet"))
    return tmp_path


def config_of(path: str = "./saved", **settings: Any) -> Any:
    return dataset("hf_dataset", **{"path": path, "size": (8, 10), "channels": 1} | settings)


def numbers(config: Any, split: Any) -> list[int]:
    return [int(number) for number in load_images(config, split).images[:, 0, 0, 0]]


@needs_datasets
@pytest.mark.filterwarnings("ignore:.*left out.*")
def test_the_images_labels_and_splits_are_those_that_were_written(written: Path) -> None:
    for path in ("./saved", "./parquet"):
        config = config_of(path, label="label")
        assert numbers(config, "train") == list(range(1, 40))  # the first has no label
        assert numbers(config, "test") == list(range(40, 48))
        labels = load_images(config, "train").labels
        assert labels is not None and labels.tolist() == [number % 2 for number in range(1, 40)]
        assert config.class_names == ("cat", "dog")
    assert numbers(config_of(), "train") == list(range(40))
    assert config_of().resolved(labels=False) == config_of()
    assert config_of(label="label").resolved(labels=True).classes == ("cat", "dog")
    train, test, lines = config_of(label="label").counted()
    assert (train, test) == (39, 8) and any("by the splits train and test" in line for line in lines)


@needs_datasets
def test_a_share_is_held_out_where_there_is_one_split_and_groups_stay_together(written: Path) -> None:
    config = config_of("./alone", holdout=0.25)
    train, test = numbers(config, "train"), numbers(config, "test")
    assert sorted(train + test) == list(range(40)) and 1 <= len(test) <= 20
    grouped = config_of("./alone", holdout=0.25, group="patient")
    train, test = numbers(grouped, "train"), numbers(grouped, "test")
    assert sorted(train + test) == list(range(40))
    assert test and not {number // 4 for number in train} & {number // 4 for number in test}
    groups = load_images(grouped, "train").groups
    assert groups is not None and len(groups.unique()) == len({number // 4 for number in train})


@needs_datasets
def test_groups_on_both_sides_are_named(written: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 groups .data.group. are on both sides, by the splits train and test: p9;"):
        numbers(config_of("./shared", group="patient"), "train")


@needs_datasets
def test_what_is_missing_is_said_in_one_line_with_close_matches(written: Path) -> None:
    (written / "folder").mkdir()
    for settings, message in [
        ({"train_split": "trian"}, "data.train_split: ./saved has no split 'trian'; did you mean 'train'"),
        ({"test_split": "validation"}, "data.test_split: ./saved has no split 'validation'; known: test, train"),
        ({"column": "imag"}, "data.column: ./saved has no column 'imag'; did you mean 'image'"),
        ({"column": "patient"}, "'patient' holds no image files .*; there is 'image'"),
        ({"label": "labels"}, "data.label: ./saved has no column 'labels'; did you mean 'label'"),
        ({"label": "image"}, "data.label: 'image' holds neither words nor whole numbers"),
        ({"label": "label", "classes": ("cow",)}, "data.classes: the column label has no 'cow'; known: cat, dog"),
        ({"group": "patients"}, "did you mean 'patient'"),
        ({"path": "./folder"}, 'for a folder of image files, write "name": "image_folder"'),
        ({"path": "./none"}, "there is no folder"),
        ({"path": "saved images"}, "neither a folder nor a dataset on the Hub"),
    ]:
        with pytest.raises(ZooError, match=message) as caught:
            load_images(config_of(**settings), "train")
        assert "\n" not in str(caught.value)


@needs_datasets
def test_paths_in_tables_are_not_opened_and_damaged_images_are_named(written: Path) -> None:
    import datasets
    from pyarrow.parquet import write_table

    Path("secret.png").write_bytes(png(7))
    cells = [{"bytes": png(number), "path": None} for number in range(20)]
    cells[3] = {"bytes": None, "path": str(written / "secret.png")}
    cells[4] = {"bytes": b"no image", "path": None}
    features = datasets.Features({"image": datasets.Image()})
    table = datasets.Dataset.from_dict({"image": cells}, features=features).data.table
    write_table(table, "paths.parquet")  # the library itself would read the file and save its content
    with pytest.warns(UserWarning) as caught:
        found = [number for split in ("train", "test") for number in numbers(config_of("./paths.parquet"), split)]
    assert sorted(found) == sorted(set(range(20)) - {3, 4})
    told = " ".join(str(warning.message) for warning in caught)
    assert "train/3: its row holds a path in place of an image" in told and "train/4" in told


@needs_datasets
def test_a_dataset_on_the_hub_is_read_at_its_commit(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub

    commit, asked = "c0ffee" * 6 + "abcd", []

    def info(self: Any, name: str, revision: str | None) -> Any:
        return SimpleNamespace(sha=commit)

    original = datasets.load_dataset_builder

    def builder(path: str, name: str | None = None, **options: Any) -> Any:
        asked.append((path, name, options.pop("revision")))
        return original("parquet", data_dir=str(written / "parquet"), **options)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    config = config_of("me/pets", subset="small")
    assert not config.private and config.public_name == "me/pets"
    resolved = config.resolved(labels=False)
    assert resolved.path == f"me/pets@{commit}" and f"me/pets@{commit}" in resolved.presented
    assert numbers(resolved, "test") == list(range(40, 48))
    assert set(asked) == {("me/pets", "small", commit)}
    assert resolved.resolved(labels=False) == resolved


@needs_datasets
def test_image_files_on_the_hub_are_read_where_the_library_has_put_them(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    for number in range(12):
        file = Path("files", "test" if number > 8 else "train", CLASSES[number % 2], f"{number}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    builder = datasets.load_dataset_builder("imagefolder", data_dir="files", cache_dir="cache")
    monkeypatch.setattr("zoo.datasets._hf_tables.commit_of", lambda name, revision: "0" * 40)
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *names, **options: builder)
    config = config_of("me/pets", label="label")
    assert sorted(numbers(config, "train")) == list(range(9)) and config.class_names == ("cat", "dog")
    labels = load_images(config, "test").labels
    assert labels is not None and labels.tolist() == [number % 2 for number in numbers(config, "test")]


@needs_datasets
def test_no_script_and_no_kind_that_may_unpickle_is_run(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from datasets.packaged_modules.pandas.pandas import Pandas

    monkeypatch.setattr("zoo.datasets._hf_tables.commit_of", lambda name, revision: "0" * 40)
    Path("x.pkl").write_bytes(b"")
    pickled = Pandas(data_files="x.pkl", hash="0")
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *names, **options: pickled)
    with pytest.raises(ZooError, match="me/pets is of the kind pandas, and only arrow, imagefolder, parquet"):
        load_images(config_of("me/pets"), "train")

    def scripted(*names: Any, **options: Any) -> Any:
        raise RuntimeError("Dataset scripts are no longer supported, but found pets.py")

    monkeypatch.setattr(datasets, "load_dataset_builder", scripted)
    with pytest.raises(ZooError, match="me/pets is made by a script, and no code of a dataset is run here"):
        load_images(config_of("me/pets"), "train")


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "saved").mkdir()
    with pytest.raises(NotApplicable, match=r'pip install "autoencoder-zoo\[hf\]"'):
        load_images(config_of(str(tmp_path / "saved")), "train")
