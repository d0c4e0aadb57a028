"""Files from outside that mean harm: each gives a ZooError or a model, within two seconds and bounded memory; nothing
is executed, nothing is written, nothing is imported by a name that stands in them."""

from __future__ import annotations

import copy
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from tests.helpers import tiny_fields, tiny_model
from tests.hub.server import StandInHub
from zoo.errors import ZooError
from zoo.hub import pull
from zoo.runs.folder import MAX_HEADER_BYTES, RUN_FILES, load_folder, read_config, read_history, read_snapshots
from zoo.schema.digest import digest
from zoo.schema.hub_address import Address
from zoo.schema.recipe import read_recipe
from zoo.system.files import sha256

pytestmark = pytest.mark.filterwarnings("ignore:.*is not pinned")

MOST_MEMORY = 400 * 2**20
"""Bytes by which the process may grow in a case; the largest file that is read has 100 MB."""


def fuzz(cases: int) -> Callable[[Any], Any]:
    """Return a decorator that runs this number of cases, always the same ones, each within two seconds."""
    return settings(
        max_examples=cases,
        deadline=2000,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


every_case = pytest.mark.parametrize(
    "part", [pytest.param(10, id="a tenth of the cases"), pytest.param(1, id="all cases", marks=pytest.mark.slow)]
)
"""Runs a fuzz test with a part of its cases; with all of them it is slow."""


# --- what must not happen

FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class", "shutil.",
             "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "socket.connect")  # fmt: skip
watching = False
seen: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not watching:
        return
    if event.startswith(FORBIDDEN):
        seen.append(f"{event} {arguments}")
    elif event == "import" and "evil" in str(arguments[0]):
        seen.append(f"import {arguments[0]}")
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append(f"open for writing {arguments[0]}")


sys.addaudithook(_watch)


def harmless(call: Callable[[], object]) -> ZooError | None:
    """Return the error that refused it, or None if it was done; anything else is a failure, as is a side effect."""
    global watching
    seen.clear()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY, limits[1]))
    watching = True
    try:
        call()
    except ZooError as error:
        assert str(error).replace("\n", " ").isprintable()
        assert len(str(error)) < 40_000, "an error is for people"
        return error
    finally:
        watching = False
        resource.setrlimit(resource.RLIMIT_AS, limits)
        assert not seen
    return None


def test_the_bound_on_memory_holds() -> None:
    with pytest.raises(MemoryError):
        harmless(lambda: bytearray(MOST_MEMORY + 2**32))  # more than the heap may have kept


# --- harm

DEEP: Any = []
for _ in range(400):
    DEEP = [DEEP]

HARM: list[Any] = [
    None, True, -1, 0, 1, 2**20, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, -1e-308, float("nan"),
    float("inf"), float("-inf"), "", " ", "../../../../etc/passwd", "/etc/passwd", "~/.ssh/id_rsa", "\0", "a\nb",
    "\x1b[31m", "a" * 100_000, "linear_v\u0430e", "\uff4cinear_vae", "linear_vae\u200b", "\u202evil", "\ud800",
    "LINEAR_VAE", "os.system", "evil_module", "evil_module:run", "__import__('os').system('touch evil')", "!!python",
    "builtins.eval", [], {}, [[]], {"": None}, DEEP, list(range(20_000)), {f"field_{i}": i for i in range(3000)},
    [2**20] * 64, [1] * 65, [2**20, 2**20, 2**20], {"name": "evil_module"}, {"__class__": "evil_module"}, "1e999",
]  # fmt: skip

NAMES = [
    "__class__",
    "__init__",
    "",
    "evil_module",
    "name",
    "variant",
    "sha256",
    "a" * 5000,
    "\u202e",
    "\ud800",
    "$ref",
]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield place
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*place, key))


@st.composite
def harmed(draw: st.DrawFn, base: dict[str, Any]) -> dict[str, Any]:
    """A copy with one to three changes: a value exchanged, a field dropped or added."""
    fields = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from([found for found in places(fields) if found][:2000]))
        parent = fields
        for key in place[:-1]:
            parent = parent[key]
        change = draw(st.sampled_from(["exchange", "exchange", "exchange", "drop", "add"]))
        if change == "exchange":
            parent[place[-1]] = copy.deepcopy(draw(st.sampled_from(HARM)))
        elif change == "drop":
            del parent[place[-1]]
        elif isinstance(parent, dict):
            parent[draw(st.sampled_from(NAMES))] = copy.deepcopy(draw(st.sampled_from(HARM)))
        if not fields:
            break
    return fields


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A copy with bytes flipped, cut off, doubled or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(["flip", "cut", "put", "double"]))
        if change == "flip" and at < len(data):
            data[at] ^= draw(st.integers(1, 255))
        elif change == "cut":
            del data[at:]
        elif change == "put":
            data[at:at] = draw(st.binary(max_size=20))
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 200))]
    return bytes(data)


# --- the files


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose files the tests exchange; each puts back what it has changed."""
    copied = tmp_path_factory.mktemp("hostile") / "run"
    copied.mkdir()
    for name in RUN_FILES:
        (copied / name).write_bytes((trained / name).read_bytes())
    return copied


@pytest.fixture(autouse=True)
def restored(folder: Path, trained: Path) -> Iterator[None]:
    load_folder(folder)  # imports what loading needs
    yield
    for path in folder.iterdir():
        path.unlink()
    for name in RUN_FILES:
        (folder / name).write_bytes((trained / name).read_bytes())


@every_case
def test_configs(folder: Path, part: int) -> None:
    base = json.loads((folder / "config.json").read_text())

    @fuzz(900 // part)
    @given(harmed(base), st.booleans())
    def run(fields: dict[str, Any], signed: bool) -> None:
        if signed and isinstance(fields.get("recipe"), dict):  # so that more than the sha256 is looked at
            fields["recipe_sha256"] = digest(fields["recipe"])
        (folder / "config.json").write_text(json.dumps(fields))
        harmless(lambda: load_folder(folder))
        harmless(lambda: read_config(folder).checked_recipe)

    run()


@every_case
def test_configs_whose_bytes_are_damaged(folder: Path, part: int) -> None:
    content = (folder / "config.json").read_bytes()

    @fuzz(300 // part)
    @given(damaged(content))
    def run(data: bytes) -> None:
        (folder / "config.json").write_bytes(data)
        harmless(lambda: load_folder(folder))

    run()


@every_case
def test_recipes(tmp_path: Path, part: int) -> None:
    path = tmp_path / "recipe.json"
    flat = tiny_fields(source={"published": [{"figure": "1", "computed": "so"}]}, claims=[])
    nested = tiny_fields(model=tiny_model("vae"))

    @fuzz(900 // part)
    @given(harmed(flat) | harmed(flat) | harmed(nested), st.booleans())
    def run(fields: dict[str, Any], overridden: bool) -> None:
        path.write_text(json.dumps(fields))
        harmless(lambda: read_recipe(path, ["training.epochs=3"] if overridden else []))

    run()


@every_case
def test_histories(folder: Path, part: int) -> None:
    base = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    @fuzz(200 // part)
    @given(harmed(base[0]), damaged(json.dumps(base[1]).encode()))
    def run(first: dict[str, Any], second: bytes) -> None:
        (folder / "metrics.jsonl").write_bytes(json.dumps(first).encode() + b"\n" + second)
        harmless(lambda: read_history(folder))

    run()


def safetensors(header: bytes, body: bytes, length: int | None = None) -> bytes:
    return ((len(header) if length is None else length) % 2**64).to_bytes(8, "little") + header + body


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@pytest.mark.parametrize("name", ["model.safetensors", "snapshots.safetensors"])
@every_case
def test_safetensors(folder: Path, name: str, part: int) -> None:
    """Headers with other dtypes, shapes and offsets, overlapping, negative, beyond the end; lengths that lie."""
    content = (folder / name).read_bytes()
    header, body = split(content)
    config = json.loads((folder / "config.json").read_text())

    def attack(data: bytes) -> None:
        (folder / name).write_bytes(data)
        if name == "model.safetensors":
            (folder / "config.json").write_text(json.dumps({**config, "weights_sha256": sha256(data)}))
            harmless(lambda: load_folder(folder))
        else:
            harmless(lambda: read_snapshots(folder))

    offsets = st.lists(st.integers(-(2**64), 2**64) | st.integers(-8, len(body) + 8), max_size=3)
    shapes = st.lists(st.integers(-2, 2**40) | st.sampled_from([0, 2**63, 2**64, 10**30]), max_size=6)
    dtypes = st.sampled_from(["F32", "F64", "I64", "U8", "BOOL", "F8_E4M3", "BF16", "X", "", "pickle", 5, None])
    entry = st.fixed_dictionaries({}, optional={"dtype": dtypes, "shape": shapes, "data_offsets": offsets})
    change = st.dictionaries(st.sampled_from([*header, "__metadata__", "evil", "../x", "\u202e"]), entry, min_size=1)

    @fuzz(250 // part)
    @given(change, st.booleans())
    def headers(changes: dict[str, Any], merged: bool) -> None:
        other = {**header, **{key: {**header.get(key, {}), **value} for key, value in changes.items()}}
        attack(safetensors(json.dumps(other if merged else changes).encode(), body))

    @fuzz(100 // part)
    @given(harmed(header))
    def values(fields: dict[str, Any]) -> None:
        attack(safetensors(json.dumps(fields).encode(), body))

    @fuzz(100 // part)
    @given(damaged(content))
    def flipped(data: bytes) -> None:
        attack(data)

    @fuzz(50 // part)
    @given(st.sampled_from([0, 1, 7, 8, len(content), 2**20, MAX_HEADER_BYTES, 2**31, 2**63, 2**64 - 1]), st.binary())
    def lengths(length: int, more: bytes) -> None:
        attack(safetensors(json.dumps(header).encode() + more, body, length))

    headers()
    values()
    flipped()
    lengths()


@pytest.mark.parametrize("fill", [b" ", b"[", b'{"a":', b"\xff"])
def test_a_header_of_100_mb(folder: Path, fill: bytes) -> None:
    header = fill * (100_000_000 // len(fill))
    data = safetensors(header, b"")
    (folder / "model.safetensors").write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "weights_sha256": sha256(data)}))
    assert isinstance(harmless(lambda: load_folder(folder)), ZooError)
    (folder / "snapshots.safetensors").write_bytes(data)
    assert isinstance(harmless(lambda: read_snapshots(folder)), ZooError)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        '{"name": ' + "9" * 5000 + "}",
        "\ufeff{}",
        "{" + '"a":1,' * 100_000,
    ],
)
def test_json_that_is_only_depth_or_length(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")
    assert isinstance(harmless(lambda: load_folder(folder)), ZooError)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    assert isinstance(harmless(lambda: read_history(folder)), ZooError)
    assert isinstance(harmless(lambda: read_recipe(folder / "config.json")), ZooError)


def test_a_model_larger_than_memory_is_refused_before_it_is_made(folder: Path) -> None:
    fields = json.loads((folder / "config.json").read_text())
    for hidden in ([2**20] * 64, [2**20], [2**16, 2**16]):
        fields["recipe"]["model"]["hidden"] = hidden
        fields["recipe_sha256"] = digest(fields["recipe"])
        (folder / "config.json").write_text(json.dumps(fields))
        error = harmless(lambda: load_folder(folder))
        assert error is not None
        assert "do not fit" in str(error)


# --- names

TEXT = st.text(st.characters(), max_size=60) | st.sampled_from([value for value in HARM if isinstance(value, str)])


@every_case
def test_names(part: int) -> None:
    @fuzz(400 // part)
    @given(TEXT, st.sampled_from(["", "./", "/", "~", "hf-hub:", "hf-hub:a/", "hf-hub:me/x@", "https://", "conv_vae_"]))
    def run(text: str, prefix: str) -> None:
        if prefix.startswith("hf-hub:"):
            harmless(lambda: Address.parse(prefix + text))
        else:
            harmless(lambda: zoo.load(prefix + text))

    run()


LOOKALIKES = [
    "conv_v\u0430e_mnist",
    "\uff43onv_vae_mnist",
    "conv_vae_mnist\u200b",
    "conv\u2010vae_mnist",
    "CONV_VAE_MNIST",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_lookalike_is_another_name(name: str) -> None:
    error = harmless(lambda: zoo.load(name))
    assert error is not None
    assert "did you mean 'conv_vae_mnist'" in str(error) or name.isupper()


# --- places


def test_records_that_would_grow_when_they_are_parsed(folder: Path) -> None:
    """Empty lists take three bytes in a file and sixty in memory."""
    path = folder / "metrics.jsonl"
    row = path.read_bytes().splitlines()[0]
    lists = b'{"x": [' + b"[]," * 2**24 + b"[]]}"
    short_lines = b'{"epoch": 1, "train": {}, "test": {}, "x": [' + b"[]," * 20_000 + b"[]]}\n"
    for content in (lists, row + b"\n" + lists, b"\n" * 2**25, short_lines * 400, (row + b"\n") * 2**18):
        path.write_bytes(content)
        error = harmless(lambda: read_history(folder))
        assert error is not None
        assert "memory" not in str(error)
    snapshots = folder / "snapshots.safetensors"
    snapshots.write_bytes(safetensors(lists, b""))
    assert "header is longer" in str(harmless(lambda: read_snapshots(folder)))


def test_pipes_devices_folders_and_loops_are_no_files(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        path, content = folder / name, (folder / name).read_bytes()
        path.unlink()
        os.mkfifo(path)
        assert "is not a file" in str(harmless(lambda: load_folder(folder)))
        for target in ("/dev/zero", "/", str(path)):
            path.unlink()
            path.symlink_to(target)
            assert harmless(lambda: load_folder(folder))
        path.unlink()
        path.write_bytes(content)
    for name in ("metrics.jsonl", "snapshots.safetensors"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert harmless(lambda: read_history(folder))
    assert harmless(lambda: read_snapshots(folder))


def test_files_of_a_repository_with_harmful_names_stay_there(hub: StandInHub, trained: Path, tmp_path: Path) -> None:
    good = {name: (trained / name).read_bytes() for name in RUN_FILES}
    evil = [
        "../../evil",
        "/tmp/evil",
        "..",
        "a/../../evil",
        "evil.py",
        "\u202eevil",
        "C:\\evil",
        "hub.json",
        ".git/hooks/evil",
    ]
    hub.repository("me/evil", {**good, **dict.fromkeys(evil, b"evil")})
    before = set(tmp_path.rglob("*"))
    found = pull("hf-hub:me/evil", tmp_path / "mine").folder
    assert {path.name for path in found.iterdir()} == RUN_FILES | {"hub.json"}
    assert b"evil" not in {path.read_bytes() for path in found.iterdir()}
    new = {
        path
        for path in set(tmp_path.rglob("*")) - before
        if not path.relative_to(tmp_path).parts[0].startswith("cache")
    }
    assert {path.relative_to(tmp_path).parts[0] for path in new} == {"mine"}
    assert not list(tmp_path.rglob("*evil")) or all("me--evil" in str(path) for path in tmp_path.rglob("*evil"))


@pytest.mark.parametrize("case", range(40))
def test_hostile_repositories_leave_no_half_made_cache(
    hub: StandInHub, trained: Path, tmp_path: Path, case: int
) -> None:
    """What a repository holds is changed in one place; what is refused can be mended there and pulled again."""
    good = {name: (trained / name).read_bytes() for name in RUN_FILES}
    config = json.loads(good["config.json"])
    place = ["name", "recipe", "weights_sha256", "metrics", "parameters"][case % 5]
    bad = json.dumps({**config, place: copy.deepcopy(HARM[case % len(HARM)])}).encode()
    hub.repository("me/evil", {**good, "config.json": bad})

    def get() -> None:
        zoo.load("hf-hub:me/evil")

    with pytest.raises(ZooError):
        get()
    leftovers = [path for path in tmp_path.rglob("*") if path.suffix in (".incomplete", ".tmp") or path.name == "mine"]
    assert leftovers == []
    repository = hub.repositories["me/evil"]
    repository.branches["main"] = repository.commit(good)
    get()
