"""What the tasks achieve and how fast: ``python -m tests.benchmarks.tasks [--held-out FOLDER] [--only PART]``.

Writes ``docs/tasks.json`` and the tables of ``docs/tasks.md`` that are made of it. Needs MNIST, Fashion-MNIST,
scikit-learn, scipy and constriction; take the speeds on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

import zoo
from zoo.catalog import list_models
from zoo.data import load_images
from zoo.devices import describe
from zoo.files import write_atomically
from zoo.pictures import Batch, Pictures, of_dataset, open_pictures
from zoo.provenance import LIBRARIES, versions
from zoo.schema import parse_data
from zoo.tasks.anomaly import detection, score
from zoo.tasks.compression import compress
from zoo.tasks.encoding import encode
from zoo.tasks.imputation import dropped, impute

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "tasks.json"
PAGE = ROOT / "docs" / "tasks.md"
OTHER = {"mnist": "fashion_mnist", "fashion_mnist": "mnist", "glyphs": "mnist"}
CONDITIONAL = "conditional_vae_mnist"
IMPUTING = ("ae_mnist", "linear_vae_mnist", "vae_200_mnist", "conv_vae_mnist")
COMPRESSING = ("ae_mnist", "linear_vae_mnist", "conv_vae_mnist")
STEPS = (0.25, 0.5, 1.0, 2.0)


def blank(model: Any) -> Pictures:
    """One black picture; for a conditional model, of the first class."""

    def batches(size: int) -> Iterator[Batch]:
        yield Batch(["blank"], torch.zeros(1, *model.image_shape, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))

    return Pictures("blank", 1, batches)


def values(model: Any, pictures: Pictures) -> dict[str, list[float]]:
    """Score → its value for every picture."""
    found: dict[str, list[float]] = {}
    for scored in score(model, pictures):
        for name, part in scored.scores.items():
            found.setdefault(name, []).extend(part.tolist())
    return found


def anomaly() -> list[dict[str, Any]]:
    """Each shipped entry: test images of another dataset against its own, and a black picture."""
    rows = []
    for name in list_models(weights=True):
        model = zoo.load(name)
        own = model.config.recipe["data"]["name"]
        normal, other = values(model, open_pictures(own, model)), values(model, open_pictures(OTHER[own], model))
        black = values(model, blank(model))
        for kind, found in normal.items():
            rows.append(
                {"entry": name, "normal": own, "anomalous": OTHER[own], "score": kind, **detection(found, other[kind]),
                 "blank": detection(found, black[kind])["auroc"]}
            )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def held_out(folder: Path) -> list[dict[str, Any]]:
    """Models that were trained without a digit: how well that digit is told from the others."""
    rows = []
    for run in sorted(path for path in folder.iterdir() if (path / "config.json").is_file()):
        model = zoo.load(run)
        data = model.config.recipe["data"]
        left_out = sorted(set(range(10)) - set(data["only_classes"]))
        strange = of_dataset(parse_data({**data, "only_classes": left_out}, "held out"), "test")
        normal, other = values(model, open_pictures(data["name"], model)), values(model, strange)
        epochs = model.config.recipe["training"]["epochs"]
        for kind, found in normal.items():
            rows.append(
                {"recipe": model.config.name, "epochs": epochs, "digit": left_out, "score": kind,
                 **detection(found, other[kind])}
            )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def imputation() -> list[dict[str, Any]]:
    """MSE on the missing pixels of the MNIST test images, for models and for what costs nothing."""
    data = zoo.recipe("ae_mnist").data
    x = load_images(data, "test").images.float() / 255
    train = load_images(data, "train").images.float() / 255
    rows = []
    for share in (0.25, 0.5, 0.75):
        observed = dropped(tuple(x.shape), share, torch.Generator().manual_seed(0))
        missing = ~observed.expand(x.shape)

        def error(filled: Tensor, missing: Tensor = missing) -> float:
            return float((filled - x)[missing].double().square().mean())

        row: dict[str, Any] = {"missing": share}
        row["mean image"] = error(train.mean(dim=0, keepdim=True).expand(x.shape))
        row["nearest pixel"] = error(nearest_pixel(x, observed))
        row["nearest training image"] = error(nearest_image(x, observed, train))
        for name in IMPUTING:
            model = zoo.load(name)
            filled = [impute(model, a, b) for a, b in zip(x.split(1000), observed.split(1000), strict=True)]
            row[name] = error(torch.cat(filled))
        rows.append(row)
        print(row, flush=True)
    return rows


def nearest_pixel(x: Tensor, observed: Tensor) -> Tensor:
    """Every missing pixel as the observed one that is nearest to it."""
    from scipy.ndimage import distance_transform_edt

    filled = []
    for image, known in zip(x[:, 0].numpy(), observed[:, 0].numpy(), strict=True):
        row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
        filled.append(image[row, column])
    return torch.from_numpy(np.stack(filled))[:, None]


def nearest_image(x: Tensor, observed: Tensor, train: Tensor) -> Tensor:
    """The missing pixels of the training image that is nearest in the observed ones."""
    flat = train.flatten(1)
    filled = []
    for part, known in zip(x.flatten(1).split(500), observed.flatten(1).float().split(500), strict=True):
        distances = known @ flat.square().T - 2 * (known * part) @ flat.T
        filled.append(flat[distances.argmin(dim=1)])
    return torch.cat(filled).reshape(x.shape)


def compression() -> list[dict[str, Any]]:
    """Bits and distortion of test images as codes, PNG and JPEG."""
    rows: list[dict[str, Any]] = []
    for name in (*COMPRESSING, "vq_vae_fashion_mnist"):
        model = zoo.load(name)
        own = model.config.recipe["data"]["name"]
        for step in STEPS if own == "mnist" else (1.0,):
            found = compress(model, open_pictures(own, model), step)
            how = f"step {step:g}" if own == "mnist" else "indices"
            rows.append({"images": own, "coder": name, "how": how, "bits": found.bits_per_image, "mse": found.mse})
            print(rows[-1], flush=True)
    for own, example in (("mnist", "ae_mnist"), ("fashion_mnist", "ae_fashion_mnist")):
        images = load_images(zoo.recipe(example).data, "test").images
        for coder, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": 5}), ("JPEG", {"quality": 20}),
                               ("JPEG", {"quality": 50}), ("JPEG", {"quality": 80})):  # fmt: skip
            for together in (False, True):
                rows.append({"images": own, **pillow(images, coder, options, together)})
                print(rows[-1], flush=True)
    return rows


def pillow(images: Tensor, coder: str, options: dict[str, Any], together: bool) -> dict[str, Any]:
    """Each image a file, or all of them in one sheet, which spares the headers."""
    pictures = [images.reshape(100, 100, 28, 28).permute(0, 2, 1, 3).reshape(2800, 2800)] if together else images[:, 0]
    size, squared, pixels = 0, 0.0, 0
    for picture in pictures:
        buffer = io.BytesIO()
        to_pil_image(picture).save(buffer, coder.lower(), **options)
        size += len(buffer.getvalue())
        back = np.asarray(Image.open(buffer), dtype=np.float64)
        squared += float((((back - picture.numpy()) / 255) ** 2).sum())
        pixels += back.size
    quality = f"quality {options['quality']}, " if "quality" in options else ""
    how = quality + ("all in one sheet" if together else "a file each")
    return {"coder": coder, "how": how, "bits": 8 * size / len(images), "mse": squared / pixels}


def speed() -> list[dict[str, Any]]:
    """Pictures per second, from a folder of PNG files; and the memory of a hundred thousand."""
    model = zoo.load("conv_vae_mnist")
    images = load_images(model.config.checked_recipe.data, "test").images
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        folder.mkdir()
        for number in range(5000):
            to_pil_image(images[number]).save(folder / f"{number:06}.png")
        pictures = open_pictures(folder, model)

        def filling() -> None:
            for batch in pictures.batches(1000):
                x = batch.images.float() / 255
                impute(model, x, dropped(tuple(x.shape), 0.5, torch.Generator().manual_seed(0)))

        tasks: dict[str, Callable[[], object]] = {
            "decoding the files alone": lambda: [len(batch.names) for batch in pictures.batches(1000)],
            "anomaly scores": lambda: list(score(model, pictures)),
            "anomaly scores with NLL, 10 samples": lambda: list(score(model, pictures, 10)),
            "imputation, half of the pixels": filling,
            "compression": lambda: compress(model, pictures),
            "codes": lambda: encode(model, pictures),
        }
        for name, run in tasks.items():
            run()
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
            rows.append({"task": name, "pictures_per_second": pictures.size / sorted(seconds)[1]})
            print(rows[-1], flush=True)
    return rows


def memory() -> list[dict[str, Any]]:
    """Peak memory of scoring a folder of so many pictures, each in a process of its own."""
    code = (
        "import re, sys, zoo; from zoo.pictures import open_pictures; from zoo.tasks.anomaly import score\n"
        "model = zoo.load('linear_vae_mnist')\n"
        "n = sum(len(part.batch.names) for part in score(model, open_pictures(sys.argv[1], model)))\n"
        "print(n, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        image = to_pil_image(load_images(zoo.recipe("ae_mnist").data, "test").images[0])
        buffer = io.BytesIO()
        image.save(buffer, "png")
        for number in range(100_000):
            folder = Path(temporary) / f"{number // 1000:03}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:06}.png").write_bytes(buffer.getvalue())
            if number + 1 in (10_000, 100_000):
                done = subprocess.run(
                    [sys.executable, "-c", code, temporary], capture_output=True, text=True, check=True
                )
                count, peak = map(int, done.stdout.split())
                rows.append({"pictures": count, "peak_mib": peak / 1024})
                print(rows[-1], flush=True)
    return rows


def page(record: dict[str, Any]) -> str:
    """``docs/tasks.md`` with its tables."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables(record).items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    return text


def tables(record: dict[str, Any]) -> dict[str, str]:
    """Name of the marker → table."""

    def lines(columns: list[str], rows: list[list[str]], words: int = 1) -> str:
        rule = "|" + "---|" * words + "--:|" * (len(columns) - words)
        return "\n".join(f"| {' | '.join(row)} |" if row is not None else rule for row in [columns, None, *rows])

    def rate(value: float) -> str:
        return f"{value:.3f}"

    machine = f"*{record['hardware']}; " + ", ".join(f"{k} {v}" for k, v in record["versions"].items()) + ".*"
    anomalies = [
        [f"`{r['entry']}`", r["normal"], r["anomalous"], r["score"], rate(r["auroc"]), rate(r["average_precision"]),
         rate(r["blank"])] for r in record["anomaly"]
    ]  # fmt: skip
    held = [
        [f"`{r['recipe']}`", str(r["epochs"]), ", ".join(map(str, r["digit"])), r["score"], rate(r["auroc"]),
         rate(r["average_precision"])] for r in record["held_out"]
    ]  # fmt: skip
    fillers = [name for name in record["imputation"][0] if name != "missing"]
    imputed = [
        [f"`{name}`" if name in IMPUTING else name, *(f"{r[name]:.4f}" for r in record["imputation"])]
        for name in fillers
    ]
    coded = [
        [
            r["images"],
            f"`{r['coder']}`" if "_" in r["coder"] else r["coder"],
            r["how"],
            f"{r['bits']:,.1f}",
            f"{r['mse']:.5f}",
        ]
        for r in sorted(record["compression"], key=lambda r: (r["images"] != "mnist", r["mse"]))
    ]
    speeds = [[r["task"], f"{r['pictures_per_second']:,.0f}"] for r in record["speed"]]
    peaks = [[f"{r['pictures']:,}", f"{r['peak_mib']:,.0f}"] for r in record["memory"]]
    return {
        "anomaly": lines(["entry", "normal", "anomalous", "score", "AUROC", "average precision", "black picture"],
                         anomalies, 4),
        "held_out": lines(["recipe", "epochs", "digit", "score", "AUROC", "average precision"], held, 4),
        "imputation": lines(["filled by", *(f"{r['missing']:.0%} missing" for r in record["imputation"])], imputed),
        "compression": lines(["images", "coder", "how", "bits per image", "MSE per pixel"], coded, 3),
        "speed": lines(["task", "pictures per second"], speeds) + "\n\n"
        + lines(["pictures", "peak memory, MiB"], peaks) + f"\n\n{machine}",
    }  # fmt: skip


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "anomaly": anomaly, "imputation": imputation, "compression": compression, "speed": speed, "memory": memory,
}  # fmt: skip


def main() -> None:
    """Measure, record, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", type=Path, help="run folders that were trained without a digit")
    parser.add_argument("--only", choices=[*PARTS, "held_out", "tables"], help="measure this part again")
    options = parser.parse_args()
    record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for name, part in PARTS.items():
        if options.only in (None, name):
            record[name] = part()
    if options.held_out:
        record["held_out"] = held_out(options.held_out)
    record["hardware"] = describe(torch.device("cpu"))
    record["versions"] = versions((*LIBRARIES, "constriction", "scikit-learn"))
    write_atomically(RECORD, json.dumps(record, indent=1) + "\n")
    write_atomically(PAGE, page(record))
    assert all(math.isfinite(row["auroc"]) for row in record["anomaly"])
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
