"""What travels to a bare machine without internet, and what comes back: wheels, images, another checkout; found files.

``pack`` is called where there is internet, ``unpack`` there. Needs the standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CARGO = ROOT / ".gpu_day"
"""The folder that travels beside the checkout; git ignores it."""

SITE, DATA, BEFORE = CARGO / "site", CARGO / "data", CARGO / "before"
"""Where the cargo lies once it is unpacked: packages, images, the other checkout."""

FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
"""The folders of the datasets that can travel, as torchvision names them."""

WHEELS = ("pydantic", "pydantic_core", "annotated-types", "typing-inspection", "typing_extensions", "filelock", "shtab")
"""What an image with torch may lack; taken in the versions that are installed here."""

PYTHAE = "pythae==0.1.2"
GLIBC = ("2_39", "2_34", "2_28", "2_27", "2_17")
"""pip takes only the platforms that it is told, word for word."""

PART_BYTES, PARTS = 15 * 2**20, 4
"""The size and number of the files that come back: 60 MiB in all."""


BROUGHT = "brought.txt"
"""The list of what came back in earlier calls of the same day."""


def pack(against: str, data: Path, datasets: Sequence[str], python: str, runs: Path | None = None) -> None:
    """Fill the folder: wheels, images, the tree of another commit without its weights, unfinished runs.

    Raises:
        subprocess.CalledProcessError: pip or git has failed; it has said why.
    """
    shutil.rmtree(CARGO, ignore_errors=True)
    (CARGO / "wheels").mkdir(parents=True)
    download(python)
    for dataset in datasets:
        folder = data / FOLDERS[dataset] / "raw"
        with tarfile.open(CARGO / f"{dataset}.tar.gz", "w:gz") as tar:
            for path in sorted(path for path in folder.iterdir() if not path.suffix):  # not what they came in
                tar.add(path, Path(FOLDERS[dataset], "raw", path.name))
    names = {}
    for label, commit in {"before": against, "now": "HEAD"}.items():
        names[label] = git("rev-parse", "--short", commit).decode().strip()
        (CARGO / f"commit_{label}").write_text(names[label] + "\n")
    (CARGO / "before.tar").write_bytes(git("archive", against, "--", "zoo", "recipes", ":(exclude)zoo/weights"))
    if runs:
        shutil.copytree(runs, CARGO / "runs")
    size = sum(path.stat().st_size for path in CARGO.rglob("*") if path.is_file())
    tree = [ROOT / name for name in git("ls-files", "-z", "-co", "--exclude-standard").decode().split("\0") if name]
    size += sum(path.stat().st_size for path in tree if path.is_file())
    print(f"{CARGO}: {names['now']} against {names['before']}; {size / 2**20:.1f} MiB to carry with the checkout")


def download(python: str) -> None:
    """Fetch the wheels for another version of Python on Linux, x86-64."""
    from importlib.metadata import version

    wanted = [*(f"{name}=={version(name)}" for name in WHEELS), PYTHAE]
    platforms = [word for glibc in GLIBC for word in ("--platform", f"manylinux_{glibc}_x86_64")]
    platforms += ["--platform", "manylinux2014_x86_64"]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version",
         python, "--implementation", "cp", *platforms, "--dest", CARGO / "wheels", *wanted], check=True,
    )  # fmt: skip


def git(*words: str) -> bytes:
    """Return what git prints."""
    return subprocess.run(["git", *words], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def unpack(out: Path) -> None:
    """Install the wheels, lay out images and the other checkout; nothing that is there already is done twice."""
    wheels = sorted((CARGO / "wheels").glob("*.whl"))
    if wheels and not SITE.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target",
             SITE, *wheels], check=True,
        )  # fmt: skip
    for path in CARGO.glob("*.tar.gz"):
        if not (DATA / FOLDERS[path.name.removesuffix(".tar.gz")]).exists():
            extract(path, DATA)
    if (CARGO / "before.tar").exists() and not BEFORE.exists():
        extract(CARGO / "before.tar", BEFORE)
    if (CARGO / "runs").exists() and not (out / "runs").exists():
        shutil.copytree(CARGO / "runs", out / "runs")
    print("unpacked", *sorted(path.name for path in CARGO.glob("*")))


def extract(path: Path, to: Path) -> None:
    """Unpack a tar file."""
    to.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path) as tar:
        tar.extractall(to, filter="data")


def environment() -> dict[str, str]:
    """Return the environment of the stages: this checkout, the packages and images that were carried."""
    found = dict(os.environ, PYTHONUNBUFFERED="1")
    inherited = [found["PYTHONPATH"]] if "PYTHONPATH" in found else []
    found["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(SITE), *inherited])
    if any(CARGO.glob("*.tar.gz")):
        found["ZOO_DATA"] = str(DATA)
    return found


def bundle(folder: Path, to: Path) -> list[str]:
    """Put a folder's files into a few tar files of a limited size, small files first; return what had no room.

    What an earlier call has brought back and nothing has changed since is left out; the numbers of its files go on.
    """
    to.mkdir(parents=True, exist_ok=True)
    brought = folder / BROUGHT
    before = set(brought.read_text().splitlines()) if brought.exists() else set()
    files = [path for path in folder.rglob("*") if path.is_file() and path != brought]
    files = sorted((path for path in files if stamp(path, folder) not in before), key=lambda path: path.stat().st_size)
    parts: list[list[Path]] = [[]]
    left, room = [], PART_BYTES
    for path in files:
        size = path.stat().st_size + 2048  # its header, and what rounds it up
        if size > room and parts[-1]:
            parts.append([])
            room = PART_BYTES
        if size > room or len(parts) > PARTS:
            left.append(str(path.relative_to(folder)))
            continue
        parts[-1].append(path)
        room -= size
    for number, part in enumerate(filter(None, parts), 1 + len(list(to.glob("found*.tar")))):
        with tarfile.open(to / f"found{number}.tar", "w") as tar:
            for path in part:
                tar.add(path, path.relative_to(folder))
                before.add(stamp(path, folder))
    brought.write_text("".join(f"{line}\n" for line in sorted(before)))
    return left


def stamp(path: Path, folder: Path) -> str:
    """Return a line that tells a file in a state from the same file in another one."""
    return f"{path.stat().st_mtime_ns} {path.relative_to(folder)}"
