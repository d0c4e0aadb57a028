"""From the files in ``docs/benchmarks`` to the tables of ``docs/performance.md``. Every figure comes from a file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from tests.benchmarks.records import Axis, Race, Results, Timing, read_results

BUSY = 0.5
"""A machine with this many programs running beforehand is said to be busy."""

HEADINGS = (
    "recipe", "trained by", "s per epoch", "lowest – highest", "images per s", "times the reference's speed",
    "peak memory", "of the arithmetic bound", "of the bandwidth bound", "test loss",
)  # fmt: skip
LOSSES = {"negative_elbo": ("\N{MINUS SIGN}ELBO", 2), "mse": ("MSE", 5)}
AXES: dict[Axis, tuple[str, str]] = {
    "batch": ("Larger batches", "batch"),
    "side": ("Larger images", "image"),
    "at_once": ("Several models at once", "at once"),
}


def render(folder: Path) -> str:
    """The tables of every file in the folder, by device."""
    results = sorted(read_results(folder), key=lambda found: found.device)
    if not results:
        return "No measurements yet."
    parts = []
    for device, runs in groupby(results, key=lambda found: found.device):
        parts.append(f"### {device}")
        for run in runs:
            parts += section(run)
    return "\n\n".join(parts)


def section(run: Results) -> Iterator[str]:
    """How a run was made, its command, its tables."""
    yield circumstances(run)
    yield f"```bash\n{run.command}\n```"
    if run.races:
        yield table(HEADINGS, 2, (row for race in run.races for row in rows(race, run)))
    ways = [(race.entry, timing) for race in run.races for timing in race.timings if timing.how]
    if ways:
        yield "\n".join(f"- `{entry}`, {timing.label}: {timing.how}" for entry, timing in ways)
    for axis, races in run.growth.items():
        yield f"**{AXES[axis][0]}.** {counts(races)}"
        if axis == "at_once":
            yield at_once(races)
        else:
            yield growing(axis, races)


def circumstances(run: Results) -> str:
    """One paragraph."""
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    counts = sorted({race.epochs - 1 for race in run.races}) or [run.repetitions]  # fewer where one was stopped
    words = [f"{' or '.join(map(str, counts))} timed epochs each{f', {run.date}' if run.date else ''}; {versions}."]
    if run.load is not None:
        busy = " (busy: take the times as upper bounds)" if run.load > BUSY else ""
        words.append(f"{run.cores} cores, load average before the run {run.load:.2f}{busy}.")
    words.append(
        f"Measured peaks of the device: {run.peak_flops / 1e9:,.0f} GFLOP/s, {run.peak_bandwidth / 1e9:,.1f} GB/s."
    )
    if run.note:
        words.append(run.note)
    return " ".join(words)


def rows(race: Race, run: Results) -> Iterator[Sequence[str]]:
    """One per contestant; its times are left out where they do not count."""
    for timing in race.timings:
        names = (f"`{race.entry}`", timing.label)
        if timing.absent or race.void(timing):
            yield (*names, timing.absent or race.void(timing), *[""] * (len(HEADINGS) - 3))
            continue
        loss, digits = LOSSES[race.metric]
        yield (
            *names,
            seconds(timing.typical),
            f"{seconds(min(timing.each))} – {seconds(max(timing.each))}",
            f"{race.images_per_second(timing):,.0f}",
            speedup(race, timing, spread=True),
            "" if timing.peak_bytes is None else f"{timing.peak_bytes / 2**20:,.0f} MiB",
            f"{race.of_bound(timing, race.flops, run.peak_flops):.1%}",
            f"{race.of_bound(timing, race.bytes, run.peak_bandwidth):.1%}",
            f"{loss} {sum(timing.losses) / len(timing.losses):.{digits}f}" if timing.losses else "",
        )


def growing(axis: Axis, races: Iterable[Race]) -> str:
    """Reference and ours, point by point."""
    lines = []
    for race in races:
        (mine,) = (timing for timing in race.timings if timing.kind == "ours")
        if not race.reference or mine.absent:
            continue
        point = f"{race.side}x{race.side}" if axis == "side" else f"{race.batch_size:,}"
        cells = (seconds(race.reference.typical), seconds(mine.typical), f"{race.images_per_second(mine):,.0f}")
        lines.append((f"`{race.entry}`", point, *cells, speedup(race, mine)))
    headings = ("recipe", AXES[axis][1], "reference, s per epoch", "ours, s per epoch", "images per s")
    return table((*headings, "times the reference's speed"), 1, lines)


def at_once(races: Iterable[Race]) -> str:
    """Wall time of one epoch of all of them, and per model."""
    lines = [
        (f"`{race.entry}`", f"{timing.models}", seconds(timing.typical * timing.models), seconds(timing.typical),
         f"{race.images_per_second(timing):,.0f}", speedup(race, timing))
        for race in races for timing in race.timings if timing.kind == "ours" and not timing.absent
    ]  # fmt: skip
    headings = ("recipe", "at once", "s per epoch of all", "s per epoch and model", "images per s, all together")
    return table((*headings, "times the reference's speed, per model"), 1, lines)


def counts(races: Sequence[Race]) -> str:
    """How large the epochs were."""
    images = " or ".join(f"{count:,}" for count in sorted({race.images for race in races}))
    epochs = " or ".join(f"{count}" for count in sorted({race.epochs - 1 for race in races}))
    return f"Epochs of {images} images, the median of {epochs}."


def speedup(race: Race, timing: Timing, spread: bool = False) -> str:
    """Median of the ratios, each of two epochs of one repetition; with the lowest and the highest, if wanted."""
    ratios = race.ratios(timing)
    if not ratios:
        return ""
    words = f"{race.speedup(timing):.2f}"
    if spread and timing != race.reference:
        words += f" ({min(ratios):.2f} – {max(ratios):.2f})"
    return words


def seconds(value: float) -> str:
    """Three significant digits."""
    decimals = 2 - math.floor(math.log10(value))
    return f"{value:.{max(decimals, 0)}f}"


def table(headings: Sequence[str], words: int, lines: Iterable[Sequence[str]]) -> str:
    """In Markdown; the first ``words`` columns are text, the others numbers."""
    rule = "|" + "---|" * words + "--:|" * (len(headings) - words)
    return "\n".join([f"| {' | '.join(headings)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)])
