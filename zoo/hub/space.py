"""A folder that runs as a Space on the Hub: the explorer with one model, in a container whose versions are pinned."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from huggingface_hub import SpaceCardData

from zoo._version import __version__
from zoo.errors import ZooError
from zoo.hub.client import PUBLIC_ENDPOINT, Hub
from zoo.hub.contents import FILES_SHOWING_TEST_IMAGES, read_run
from zoo.registry import VARIANTS
from zoo.runs import markdown
from zoo.runs.card import lower_first
from zoo.runs.folder import PIN_FILE, load_folder
from zoo.schema.hub_address import Address
from zoo.schema.parsing import parse_json, validate
from zoo.schema.run_config import RunConfig
from zoo.schema.sections import HubPin
from zoo.schema.text import decode_text
from zoo.system.files import read_file, user_path
from zoo.system.manifest import check_untouched, write_folder
from zoo.system.pins import pinned

PORT = 7860
"""The port on which the Hub asks a Space."""

MANIFEST = "space.json"
"""The file that names every other file of the folder with its sha256, by which a folder is known as the zoo's own."""

SERVER = ("starlette", "uvicorn")
"""The packages of the extra ``explore``, without which nothing is served."""

ZOO = "autoencoder-zoo"
PACKAGE = Path(__file__).resolve().parent.parent
LEFT_OUT = {"weights", "recipes", "__pycache__"}
"""The folders of the package that a Space does without: it has a model of its own."""

MAX_DESCRIPTION = 60
"""The most characters of a Space's ``short_description``."""

LARGE_FILES = "".join(f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in ("png", "safetensors"))
"""The content of ``.gitattributes``: the Hub takes binary files by LFS only."""


@dataclass(frozen=True)
class Space:
    """A folder that runs as a Space."""

    folder: Path
    model: str
    """The name of the model."""
    files: int
    bytes: int
    notes: tuple[str, ...]
    """Remarks for the author about what visitors may see or miss."""


def write_space(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    address: Address | None = None,
    test_images: bool = True,
    imports: Sequence[str | os.PathLike[str]] = (),
) -> Space:
    """Write a folder that runs as a Space: the explorer with one model. The same run gives the same bytes.

    >>> write_space("./runs/my_images", "my_space")  # doctest: +SKIP

    Args:
        run: the run folder.
        out: the new folder. One that was written by this function before is replaced if nobody has changed it since.
        address: the run's commit on the Hub, from which the container fetches it when it is built; None: the files of
            the run go into the folder.
        test_images: include the files of the run that show images of the test split.
        imports: Python files of the user that register what the model is made of. They go into the folder, too.

    Raises:
        ZooError: the run is not whole, a package that is to be pinned is not installed, or ``out`` holds other files.
    """
    run, out = user_path(run), user_path(out)
    check_untouched(out, MANIFEST)
    own = _own_files(imports)
    if address is None:
        contents = read_run(run, "./run", test_images=test_images)
        config, notes, model = contents.config, contents.notes, f"runs/{contents.config.name}"
        held = {f"{model}/{name}": content for name, content in contents.files.items()}
        if (run / PIN_FILE).exists():  # it was pulled
            held[f"{model}/{PIN_FILE}"] = content = read_file(run / PIN_FILE)
            pin = validate(HubPin, parse_json(decode_text(content, PIN_FILE), PIN_FILE), str(run / PIN_FILE))
            address = Address(pin.repo, pin.revision)
        fetch = None
    else:
        loaded = load_folder(run).config
        assert loaded is not None  # of a model from a folder
        config, notes, model, held, fetch = loaded, (), f"runs/{loaded.name}", {}, address
    if config.checked_recipe.data.PRIVATE:
        notes += ("the images that the model was trained on stay here: visitors bring their own",)
    texts = {
        "README.md": readme(config, address),
        "Dockerfile": dockerfile(
            f"./{model}",
            fetch,
            sorted(own),
            fetch_images=not config.checked_recipe.data.PRIVATE,
            test_images=test_images,
            endpoint=Hub().endpoint if fetch else PUBLIC_ENDPOINT,
        ),
        "requirements.txt": requirements(),
        ".gitattributes": LARGE_FILES,
        "zoo/LICENSE": _license(),
    }
    files = {path: text.encode() for path, text in texts.items()} | own | _package() | held
    write_folder(out, files, MANIFEST)
    return Space(out, config.name, len(files) + 1, sum(map(len, files.values())), notes)


def readme(config: RunConfig, address: Address | None) -> str:
    """Write the README with the head that the Hub reads, and the words that visitors of the repository read.

    Args:
        config: the facts of the model.
        address: where the model lies on the Hub, if it does.
    """
    recipe = config.checked_recipe
    summary = lower_first(VARIANTS.get(recipe.model.variant).summary)
    head = SpaceCardData(
        title=config.name,
        emoji="\N{ZEBRA FACE}",
        colorFrom="indigo",
        colorTo="blue",
        sdk="docker",
        app_port=PORT,
        license=recipe.source.license or None,
        models=[address.repository] if address else None,
        tags=["autoencoder", recipe.model.variant],
        short_description=f"Explore {config.name} in the browser"[:MAX_DESCRIPTION],
    )
    where = f"`{address}`" if address else f"[runs/{config.name}](runs/{config.name}/README.md)"
    return f"""---
{head.to_yaml().strip()}
---

# {config.name}

{markdown.text(recipe.summary) or "An autoencoder"}. Variant `{recipe.model.variant}` of the autoencoder zoo: {summary}.
Move its codes and watch the images, interpolate, draw samples, or give it an image of your own.

- The model: {where}.
- The program: the explorer of autoencoder-zoo {__version__}, in `zoo/` (Apache-2.0), as `zoo space` has written it.
- On a machine of your own: `docker build -t zoo . && docker run -p {PORT}:{PORT} zoo`, then http://localhost:{PORT}.
"""


def dockerfile(
    model: str,
    fetch: Address | None,
    imports: Sequence[str],
    *,
    fetch_images: bool,
    endpoint: str = PUBLIC_ENDPOINT,
    test_images: bool = True,
) -> str:
    """Write the Dockerfile.

    Args:
        model: the run folder in the container.
        fetch: the commit on the Hub that the run is fetched from when the container is built; None: it is there.
        imports: the user's own Python files.
        fetch_images: fetch the images that the model was trained on, too.
        endpoint: the Hub that the run is fetched from.
        test_images: keep the files of the fetched run that show images of the test split.
    """
    options = [word for file in imports for word in ("--import", file)]
    start = ["zoo", "explore", model, "--host", "0.0.0.0", "--port", str(PORT), "--public", *options]  # nosec B104: in its container
    steps = []
    if fetch:
        elsewhere = f" --endpoint {endpoint}" if endpoint != PUBLIC_ENDPOINT else ""
        showing = " ".join(f"{model}/{name}" for name in sorted(FILES_SHOWING_TEST_IMAGES))
        without = "" if test_images else f" && rm -f {showing}"
        steps.append(f"RUN python -m zoo pull {fetch} --to {model}{elsewhere}{without}\n")
    if fetch_images:
        code = f"from zoo.entries.trained_model import TrainedModel; TrainedModel('{model}').test"
        steps.append(
            f"# The explorer shows test images where it finds some, and does without them where it does not.\n"
            f'RUN python -c "{code}" || true\n'
        )
    python = ".".join(map(str, sys.version_info[:3]))
    return f"""\
# Written by `zoo space`: the explorer of the autoencoder zoo with one model.
FROM python:{python}-slim

COPY requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir -r /tmp/requirements.txt

# The user that Spaces run as.
RUN useradd --create-home --uid 1000 user && install -d -o user -g user /home/user/app
USER user
WORKDIR /home/user/app
ENV HOME=/home/user ZOO_DATA=/home/user/data PYTHONUNBUFFERED=1

COPY --chown=user . .
{"".join(steps)}
EXPOSE {PORT}
CMD {json.dumps(["python", "-m", *start])}
"""


def requirements() -> str:
    """Write the requirements of the explorer, all of them at the versions that are installed here.

    Raises:
        ZooError: one is not installed; says how to install it.
    """
    try:
        core = [line for line in distribution(ZOO).requires or () if "extra" not in line.partition(";")[2]]
        pins = pinned([*core, *SERVER])
    except PackageNotFoundError as error:
        raise ZooError(
            "the zoo itself is not installed, so that it does not know what it needs: pip install ."
        ) from error
    except ZooError as error:
        raise ZooError(f"{error}: pip install '{ZOO}[explore]'") from error
    # Of "2.11.0+cpu" there and "2.11.0" on PyPI, pip takes the first for "==2.11.0": a tenth as large, without CUDA.
    return "\n".join(["--extra-index-url https://download.pytorch.org/whl/cpu", *pins, ""])


def _package() -> dict[str, bytes]:
    """Return the files of this very zoo, but for its shipped weights and recipes."""
    paths = [path for path in sorted(PACKAGE.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    inside = {path: path.relative_to(PACKAGE).as_posix() for path in paths}
    return {f"zoo/{name}": path.read_bytes() for path, name in inside.items() if not LEFT_OUT & set(name.split("/"))}


def _license() -> str:
    """Return the licence of the zoo, which lies beside the package in a checkout, and with the metadata elsewhere."""
    beside = PACKAGE.parent / "LICENSE"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    return distribution(ZOO).read_text("licenses/LICENSE") or "Apache-2.0\n"


def _own_files(imports: Sequence[str | os.PathLike[str]]) -> dict[str, bytes]:
    """Return the user's Python files by their paths in the folder.

    Raises:
        ZooError: two have one name, or one cannot be read.
    """
    files: dict[str, bytes] = {}
    for path in map(user_path, imports):
        place = f"imports/{path.name}"
        if place in files:
            raise ZooError(f"--import {path}: two files are called {path.name}; rename one")
        files[place] = read_file(path)
    return files
