"""Images in a file: a tensor like any other, whose subsets stay in the file."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.system.control_groups import own_groups
from zoo.system.mapped_images import MappedFile, MappedImages, chosen, in_unnamed_file, map_file, parts, plain
from zoo.system.memory import free_memory, machine_memory

SHAPE = (3, 4, 5)
PERMUTATION = torch.randperm(50, generator=torch.Generator().manual_seed(0))
MASK = PERMUTATION % 3 == 0


@pytest.fixture
def both(tmp_path: Path) -> tuple[MappedImages, Tensor]:
    """The same images in a file and in memory."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, *SHAPE), np.uint8)
    (tmp_path / "images").write_bytes(pixels.tobytes())
    return map_file(tmp_path / "images", SHAPE), torch.from_numpy(pixels)


STAY: list[Callable[[Tensor], Tensor]] = [
    lambda x: x[:7],
    lambda x: x[-3:],
    lambda x: x[:99],
    lambda x: x[5:5],
    lambda x: x[::7],
    lambda x: x.split(8)[-1],
    lambda x: x.contiguous(),
    lambda x: x.to("cpu"),
    lambda x: x.narrow(0, 2, 3),
    lambda x: chosen(x, PERMUTATION),
    lambda x: chosen(chosen(x, MASK), torch.tensor([2, 0, -1])),
]
"""What stays in the file."""

READ: list[Callable[[Tensor], Tensor]] = [
    lambda x: x[PERMUTATION],
    lambda x: x[MASK],
    lambda x: x[[1, -2]],
    lambda x: x[PERMUTATION.view(5, 10)],
    lambda x: x[-3],
    lambda x: x[torch.tensor(3)],
    lambda x: x[3:40][MASK[3:40]],
    lambda x: x[PERMUTATION, :, 1],
    lambda x: x[:, 0],
    lambda x: x[None],
    lambda x: x[:16].float() / 255,
    lambda x: x.to(torch.float32, copy=True),
    lambda x: chosen(x, PERMUTATION).transpose(2, 3),
    lambda x: chosen(x, PERMUTATION).expand(50, -1, -1, -1),
    lambda x: torch.cat([x, x]),
    lambda x: torch.stack(list(x)),
    lambda x: torch.tensor(x[:2].tolist()),
    lambda x: torch.from_numpy(chosen(x, MASK).numpy()),
    lambda x: pickle.loads(pickle.dumps(chosen(x, MASK))),
]
"""What gives a plain tensor."""


@pytest.mark.parametrize("number", range(len(STAY)))
def test_subsets_are_equal_to_those_of_a_tensor_and_read_nothing(
    both: tuple[MappedImages, Tensor], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped, tensor = both
    with monkeypatch.context() as nothing_is_read:
        nothing_is_read.delattr(MappedFile, "read")
        found = STAY[number](mapped)
        assert isinstance(found, MappedImages) and found.file is mapped.file
    assert torch.equal(plain(found), STAY[number](tensor))


@pytest.mark.parametrize("number", range(len(READ)))
def test_everything_else_is_that_of_a_tensor(both: tuple[MappedImages, Tensor], number: int) -> None:
    mapped, tensor = both
    found = READ[number](mapped)
    assert type(found) is Tensor
    assert torch.equal(found, READ[number](tensor))


def test_images_side_by_side_are_not_copied(both: tuple[MappedImages, Tensor]) -> None:
    mapped, _ = both
    image = mapped.file.images[0].nbytes
    assert plain(mapped).data_ptr() + 7 * image == plain(mapped[7:20]).data_ptr()
    assert copy.deepcopy(mapped) is mapped
    assert (mapped.nbytes, mapped.device.type, len(mapped)) == (50 * image, "cpu", 50)
    assert "images" in repr(mapped)


@pytest.mark.parametrize("write", [
    lambda x: x.add_(1), lambda x: x.__setitem__(3, 1), lambda x: x.zero_(), lambda x: torch.neg(x, out=x),
])  # fmt: skip
def test_images_in_a_file_cannot_be_written_to(
    both: tuple[MappedImages, Tensor], write: Callable[[Tensor], object]
) -> None:
    with pytest.raises(RuntimeError, match="cannot be written to"):
        write(both[0])
    assert torch.equal(plain(both[0]), both[1])


def test_an_index_beyond_the_images_is_an_error(both: tuple[MappedImages, Tensor]) -> None:
    for index in (50, [0, 50], torch.tensor([-51])):
        with pytest.raises(IndexError):
            both[0][index]


def test_only_the_images_that_are_read_are_announced(
    both: tuple[MappedImages, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    announced = []
    monkeypatch.setattr("os.posix_fadvise", lambda _, start, size, __: announced.append((start, size)), raising=False)
    both[0][[4, 5, 6, 2, 9, 8]]
    assert announced == [(240, 180), (120, 60), (540, 60), (480, 60)]
    announced.clear()
    plain(both[0][7:20])
    assert announced == [(420, 780)]
    announced.clear()
    monkeypatch.setattr("zoo.system.mapped_images.PART_BYTES", 779)  # more is not read at once
    plain(both[0][7:20])
    assert announced == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_system_reads_nothing_around_an_image(both: tuple[MappedImages, Tensor]) -> None:
    mappings = re.split(r"\n(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text())
    (mine,) = (mapping for mapping in mappings if both[0].file.handle.name in mapping)
    assert " rr " in mine[mine.index("VmFlags") :]


def test_parts_cover_the_images_and_are_bounded(
    both: tuple[MappedImages, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.system.mapped_images.PART_BYTES", 500)  # 8 images
    assert [len(both[0][rows]) for rows in parts(both[0])] == [8] * 6 + [2]
    assert torch.equal(plain(chosen(both[0], PERMUTATION)), both[1][PERMUTATION])
    monkeypatch.setattr("zoo.system.mapped_images.PART_BYTES", 1)
    assert len(parts(both[0])) == 50


def test_an_unnamed_file_is_gone_when_its_images_are(tmp_path: Path) -> None:
    pixels = np.arange(240, dtype=np.uint8).reshape(4, *SHAPE)
    images = in_unnamed_file(iter([pixels[:3], pixels[3:]]), tmp_path, SHAPE)
    assert torch.equal(plain(images), torch.from_numpy(pixels))
    handle = images.file.handle
    assert not handle.closed
    del images
    assert not any(tmp_path.iterdir())


def test_a_file_may_be_larger_than_the_memory_of_the_machine(tmp_path: Path) -> None:
    side = 2**12
    count = (machine_memory() or 2**36) * 2 // side**2
    with open(tmp_path / "sparse", "wb") as file:
        try:
            file.truncate(count * side**2)
        except OSError as error:
            pytest.skip(f"this disk has no such files: {error}")
    images = map_file(tmp_path / "sparse", (1, side, side))
    assert len(images) == count
    assert not images[-1, 0, -1].any()


@pytest.mark.parametrize(
    ("membership", "files", "left"),
    [
        ("0::/a/b\n", {"a/memory.max": "5000", "a/memory.stat": "anon 2000\nfile 100", "a/b/memory.max": "max"}, 3000),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "5000",
         "memory/a/memory.stat": "rss 1\ntotal_rss 4500\ntotal_cache 300"}, 500),
        ("0::/host/only\n", {"memory.max": "7000", "memory.stat": "anon 8000"}, 0),
        ("3:cpu:/a\n", {"cpu/memory.limit_in_bytes": "5", "cpu/memory.stat": ""}, None),
    ],
)  # fmt: skip
def test_free_memory_is_what_the_groups_of_the_process_leave(
    tmp_path: Path, membership: str, files: dict[str, str], left: int | None
) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    without = free_memory(tmp_path / "nothing", tmp_path / "root")
    found = free_memory(tmp_path / "membership", tmp_path / "root")
    if Path("/proc/meminfo").exists():
        assert found == left if left is not None else found and without and abs(found - without) < 0.2 * without
    assert list(own_groups("memory", tmp_path / "nothing")) == []
