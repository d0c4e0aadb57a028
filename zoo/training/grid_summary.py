"""The runs of a grid, summed up beside their run folders: a line for each point, and the metrics over the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from rich.table import Table

from zoo.metrics import Metric, metric_of, summary_metrics
from zoo.plotting import to_png
from zoo.plotting.sweep import Line, sweep
from zoo.runs import markdown
from zoo.runs.folder import read_config, read_history
from zoo.schema.grid import Axis, labels, points
from zoo.system.files import write_atomically
from zoo.system.terminal import plain

Point = tuple[str, ...]
"""A value of each axis."""


VALIDATION = "validation loss"


def validation_loss(folder: Path) -> float | None:
    """Return the loss on the validation images at the epoch whose weights a run has kept; None where it has none.

    Raises:
        ZooError: a record is missing or damaged.
    """
    config = read_config(folder)
    if config.recipe["training"].get("validation") is None:
        return None
    history = read_history(folder)
    row = history[config.selected.epoch - 1 if config.selected else -1]
    return float(row["validation"]["loss"]) if "validation" in row else None


@dataclass(frozen=True)
class GridSummary:
    """The figures of the finished runs of a grid; a point has several runs where there are several seeds."""

    name: str
    """The name of the recipe before the grid changes it."""
    axes: Sequence[Axis]
    folders: dict[Point, list[Path]]
    """The run folders that are ready, in the order of the grid."""
    metrics: dict[Point, list[dict[str, float]]]
    """The metrics of each run on the test images."""
    validation: Mapping[Point, Sequence[float]] = field(default_factory=dict)
    """The loss of each run on its validation images, at the epoch that is kept; empty where a run has none."""

    @classmethod
    def read(cls, name: str, axes: Sequence[Axis], folders: Mapping[Point, Sequence[Path]]) -> GridSummary:
        """Read the records of finished runs.

        Raises:
            ZooError: a record is missing or damaged.
        """
        ready = {point: list(folders[point]) for point in points(axes) if folders.get(point)}
        metrics = {point: [read_config(folder).metrics["test"] for folder in there] for point, there in ready.items()}
        losses = {point: [validation_loss(folder) for folder in there] for point, there in ready.items()}
        validation = {point: [loss for loss in there if loss is not None] for point, there in losses.items()}
        every = all(len(validation[point]) == len(there) for point, there in ready.items())
        return cls(name, axes, ready, metrics, validation if every else {})

    @property
    def title(self) -> str:
        """The name, and how much of the grid is ready: ``vae_mnist: 5 of 6 points, mean ± sd of their seeds``."""
        spread = ", mean ± sd of their seeds" if any(len(runs) > 1 for runs in self.folders.values()) else ""
        return f"{self.name}: {len(self.folders)} of {len(list(points(self.axes)))} points{spread}"

    def shown(self) -> list[Metric]:
        """Return the metrics of tables of several models that a run has."""
        return [metric for metric in summary_metrics() if any(self.values(point, metric) for point in self.metrics)]

    def values(self, point: Point, metric: Metric) -> list[float]:
        """Return a metric of each run of a point that has it."""
        return [run[metric.name] for run in self.metrics[point] if metric.name in run]

    def cell(self, point: Point, metric: Metric) -> str:
        """Write a metric of a point: its value, or mean and standard deviation."""
        values = self.values(point, metric)
        return metric.show_spread(values) if len(values) > 1 else metric.show(values[0]) if values else "-"

    def chosen_by(self, point: Point) -> list[str]:
        """Return the cell of the validation loss, if the runs have one."""
        values = self.validation.get(point, [])
        spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        return [f"{fmean(values):.2f}{spread}"] if values else []

    def table(self) -> Table:
        """Return the table, for a terminal."""
        table = Table(title=plain(self.title, "table.title"))
        for label in labels(self.axes):
            table.add_column(plain(label), no_wrap=True)
        if self.validation:
            table.add_column(VALIDATION, justify="right")
        for metric in self.shown():
            table.add_column(metric.heading, justify="right")
        for point in self.folders:
            cells = (self.cell(point, metric) for metric in self.shown())
            table.add_row(*map(plain, point), *self.chosen_by(point), *cells)
        return table

    def markdown(self, figure: str) -> str:
        """Return the page beside the run folders: every metric of each point, with its runs, and the figure.

        Args:
            figure: the file name of the figure.
        """

        def line(*cells: str) -> str:
            return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"

        names = dict.fromkeys(name for runs in self.metrics.values() for run in runs for name in run)
        metrics = [metric_of(name) for name in names]
        extra = [VALIDATION] if self.validation else []
        heading = "On the test images; the validation loss is the objective's:" if extra else "On the test images:"
        headings = [f"{metric.name}, {metric.unit}" if metric.unit else metric.name for metric in metrics]
        return "\n".join(
            [
                f"# {markdown.text(self.title)}",
                "",
                heading,
                "",
                line(*map(markdown.text, labels(self.axes)), *extra, *headings, "runs"),
                f"|{'---|' * len(self.axes)}{'--:|' * (len(extra) + len(metrics))}---|",
                *(
                    line(
                        *map(markdown.text, point),
                        *self.chosen_by(point),
                        *(self.cell(point, metric) for metric in metrics),
                        ", ".join(folder.name for folder in folders),
                    )
                    for point, folders in self.folders.items()
                ),
                "",
                f"![Metrics over the values of {self.axes[0].field}]({figure})",
                "",
            ]
        )  # fmt: skip

    def lines(self, metric: Metric) -> list[Line]:
        """Return a metric over the values of the first axis, a line for each combination of the others."""
        first, *others = self.axes
        lines = []
        for rest in points(others):
            there = [(tick, (value, *rest)) for tick, value in enumerate(first.values)]
            known = [
                (tick, values)
                for tick, point in there
                if point in self.metrics and (values := self.values(point, metric))
            ]
            if known:
                label = ", ".join(f"{name} {value}" for name, value in zip(labels(self.axes)[1:], rest, strict=True))
                spreads = [stdev(values) if len(values) > 1 else 0.0 for _, values in known]
                lines.append(Line(label, [tick for tick, _ in known], [fmean(values) for _, values in known], spreads))
        return lines

    def write(self) -> list[Path]:
        """Write ``NAME-grid.md`` and ``NAME-grid.png`` beside the run folders, and return their paths.

        Raises:
            ZooError: a file cannot be written.
        """
        beside = next(iter(self.folders.values()))[0].parent
        page, figure = beside / f"{self.name}-grid.md", beside / f"{self.name}-grid.png"
        panels = {metric.heading: self.lines(metric) for metric in self.shown()}
        write_atomically(figure, to_png(sweep(panels, self.axes[0].field, self.axes[0].values)))
        write_atomically(page, self.markdown(figure.name))
        return [page, figure]
