"""The images that a user names: a folder, a zip of one, a pattern of paths, or a single image file.

Whatever takes images from a user comes here, so that all of these are taken wherever one is.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from zoo.errors import ZooError, escaped
from zoo.schema.text import backslash_hint
from zoo.system.files import is_path
from zoo.system.folder_walk import HIDDEN, UNREADABLE, Walk, walk
from zoo.system.image_files import endings, is_image
from zoo.system.wildcards import PathPattern, has_wildcards
from zoo.system.zip_files import ENDING, files_in, is_zip

HEIF = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
"""The endings of HEIF, which Pillow reads with the plugin pillow-heif."""

NOT_READ = HEIF | frozenset(
    ".3fr .arw .blp .cr2 .cr3 .crw .cur .dcm .dcx .dds .dicom .djvu .dng .emf .eps .erf .exr .fit .fits .gbr "
    ".hdr .icb .icns .ico .iiq .jls .jxl .jxr .kdc .kra .mha .mhd .mng .mos .mrw .nef .nii .nii.gz .nrrd .nrw "
    ".ora .orf .pcd .pcx .pef .psb .psd .pxr .qoi .raf .ras .raw .rw2 .sgi .sr2 .srf .srw .svg .svgz .tga .vda "
    ".vst .wdp .wmf .x3f .xbm .xcf .xpm".split()
)
"""The endings of images that are not read: raw files of cameras, medical and layered images, drawings."""

INSTALL_HEIF = "; install the extra heif (pillow-heif) to read it"

NO_ENDING = "without an ending; give them one, such as .png"

SKIPPED_SHOWN = 5
"""The number of unreadable files that a warning names."""

Side = Literal["train", "test", "val"]

SIDES: dict[str, Side] = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "val", "valid": "val", "validation": "val",
}  # fmt: skip
"""The names of folders, in any case, that say on which side the images in them are."""


@dataclass(frozen=True)
class ImageFiles:
    """The image files that a user has named."""

    name: str
    """The path or pattern that they were named with, as it is printed."""
    root: Path
    """The folder or zip file that all are in."""
    paths: list[Path]
    """The image files, sorted by path."""
    left_out: dict[str, list[Path]]
    """What was left out, by reason."""

    @property
    def base(self) -> Path:
        """The folder whose content is divided in training and test images.

        It is the root, or, if all images of a zip are in one folder, that folder: a zip of a folder is like the folder.
        """
        tops = {path.relative_to(self.root).parts[:-1][:1] for path in self.paths}
        top = next(iter(tops))
        zipped_folder = len(tops) == 1 and top and is_zip(self.root)
        return self.root / top[0] if zipped_folder and top[0].lower() not in SIDES else self.root

    def warn(self) -> None:
        """Warn of what was left out, besides hidden files and those of tools."""
        for reason, paths in self.left_out.items():
            if reason != HIDDEN:
                warnings.warn(f"{self.name}: left out {listed(paths, self.root)}: {reason}", stacklevel=3)


def names_images(source: str) -> bool:
    """Return whether images are named by a path or pattern rather than by a dataset's name."""
    ending = PurePath(source.rpartition(":")[0] or source).suffix.lower()
    return is_path(source) or has_wildcards(source) or ending == ENDING or ending in endings()


def images_at(source: Path) -> ImageFiles:
    """List the image files of a folder with its subfolders, of a zip, of a pattern of paths, or a single one.

    Each counts once; links in folders are followed, hidden files are left out.

    Raises:
        ZooError: there is no such file or folder, or no image file in it.
    """
    name = printable(source)
    if source.is_dir():
        return _sorted_out(name, source, walk(source, _looks_like_an_image))
    if is_zip(source):
        return _sorted_out(name, source, files_in(source, _looks_like_an_image))
    if source.is_file():
        return _single(name, source)
    if has_wildcards(source):
        return _sorted_out(name, *_matching(source))
    if source.exists():
        raise ZooError(f"{name} is no file and no folder")
    what = "file" if source.suffix else "folder"
    raise ZooError(f"there is no {what} {name}{backslash_hint(source)}")


def _looks_like_an_image(path: Path) -> bool:
    ending = _ending(path)
    return not ending or _before_more(ending) in endings() or ending in NOT_READ


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def _before_more(ending: str) -> str:
    """Return an ending without what copies and downloads append: ``.png`` of ``.png~``, ``.jpg`` of ``.jpg?w=640``."""
    return re.split(r"(?<=[a-z0-9])[^a-z0-9]", ending, maxsplit=1)[0]


def _single(name: str, path: Path) -> ImageFiles:
    if path.suffix.lower() not in endings() and not is_image(path):
        ending = path.suffix.lower()
        hint = INSTALL_HEIF if ending in HEIF else f"; images are read that end in {', '.join(sorted(endings()))}"
        raise ZooError(f"{name} is no image that is read here, nor a zip file of images{hint}")
    return ImageFiles(name, path.parent, [path], {})


def _matching(source: Path) -> tuple[Path, Walk]:
    """Return the folder that a pattern begins with, and what matches the pattern in it."""
    pattern = PathPattern(source)
    found = walk(
        pattern.root, lambda path: _looks_like_an_image(path) and pattern.matches(path), enter=pattern.may_hold
    )
    left_out = {
        reason: [path for path in paths if pattern.matches(path)] if reason != UNREADABLE else paths
        for reason, paths in found.left_out.items()
    }
    return pattern.root, Walk(found.files, {reason: paths for reason, paths in left_out.items() if paths})


def _sorted_out(name: str, root: Path, found: Walk) -> ImageFiles:
    """Return the image files that are read here, and leave out the others.

    Raises:
        ZooError: there are none.
    """
    known = endings()
    paths: list[Path] = []
    left_out = dict(found.left_out)
    for path in found.files:
        ending = _ending(path)
        if ending in known:
            paths.append(path)
        elif ending in NOT_READ:
            hint = INSTALL_HEIF if ending in HEIF else ""
            left_out.setdefault(f"images of a kind that is not read ({ending}){hint}", []).append(path)
        elif is_image(path):
            what = (
                f"with more after their ending; rename them to end in {_before_more(ending)}" if ending else NO_ENDING
            )
            left_out.setdefault(f"images {what}", []).append(path)
    if not paths:
        what = "".join(f"; left out {listed(names, root)}: {reason}" for reason, names in left_out.items())
        raise ZooError(f"there are no images under {name} (looked for {', '.join(sorted(known))}){what}")
    return ImageFiles(name, root, paths, left_out)


def listed(paths: Sequence[Path], root: Path) -> str:
    """Write how many files there are, and the names of the first few."""
    return listed_names([path.relative_to(root) for path in paths])


def listed_names(names: Sequence[PurePath]) -> str:
    """Write how many names there are, and the first few of them."""
    shown = ", ".join(printable(Path(name)) for name in names[:SKIPPED_SHOWN])
    return f"{len(names):,} ({shown}{', …' if len(names) > SKIPPED_SHOWN else ''})"


def printable(path: Path) -> str:
    """Return a file's name for a message; in a file it is :func:`zoo.system.files.spelled`."""
    return escaped(str(path))


def warn_skipped(unreadable: Sequence[str], total: int, what: str) -> None:
    """Warn of files that were skipped, if any, and name the first few.

    Args:
        unreadable: a line ``name: reason`` for each file.
        total: the number of files that were tried.
        what: the plural noun for them in the message.
    """
    if not unreadable:
        return
    listed = "".join(f"\n  {line}" for line in unreadable[:SKIPPED_SHOWN])
    more = len(unreadable) - SKIPPED_SHOWN
    rest = f"\n  and {more} more" if more > 0 else ""
    warnings.warn(f"skipped {len(unreadable)} of {total} {what}:{listed}{rest}", stacklevel=3)
