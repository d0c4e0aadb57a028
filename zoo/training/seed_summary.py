"""Several seeds of one recipe, summed up beside their run folders: mean and standard deviation, and the curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from zoo.metrics import metric_of
from zoo.objectives import unit_of
from zoo.plotting import seed_curves, to_png
from zoo.runs.folder import read_config, read_history
from zoo.schema.base import Split
from zoo.schema.run_config import RunConfig
from zoo.system.files import write_atomically


@dataclass(frozen=True)
class SeedSummary:
    """The figures of finished runs that differ in their seeds only, two or more."""

    folders: list[Path]
    configs: list[RunConfig]

    @classmethod
    def read(cls, folders: Sequence[Path]) -> SeedSummary:
        """Read the records of finished runs.

        Raises:
            ZooError: a record is missing or damaged.
        """
        return cls(list(folders), [read_config(folder) for folder in folders])

    @property
    def name(self) -> str:
        """The name of the recipe, which is that of every run."""
        return self.configs[0].name

    @property
    def seeds(self) -> str:
        """The seeds, as in ``0-4, 7``."""
        return spans([config.recipe["training"]["seed"] for config in self.configs])

    def names(self) -> list[str]:
        """Return the metrics that a run has on the test images; one that is not finite is missing in its run."""
        return list(dict.fromkeys(name for config in self.configs for name in config.metrics["test"]))

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return a row for each metric: name, unit, ``mean ± sd`` of the test and of the training images."""

        def spread(name: str, split: Split) -> str:
            values = [config.metrics[split].get(name) for config in self.configs]
            known = [value for value in values if value is not None]
            return metric_of(name).show_spread(known) if len(known) == len(values) else ""

        names = self.names()
        return [(name, metric_of(name).unit, spread(name, "test"), spread(name, "train")) for name in names]

    def table(self) -> Table:
        """Return the table, for a terminal."""
        table = Table(title=f"{self.name}: mean ± sd of {len(self.configs)} seeds ({self.seeds})")
        table.add_column("metric", no_wrap=True)
        table.add_column("unit")
        table.add_column("test", justify="right", no_wrap=True)
        table.add_column("train", justify="right", no_wrap=True)
        for row in self.rows():
            table.add_row(*row)
        return table

    def markdown(self, figure: str) -> str:
        """Return the page beside the run folders: the table, each run's figures, and the curves.

        Args:
            figure: the file name of the curves.
        """
        names = self.names()
        runs = [
            [folder.name, *(metric_of(name).show(test[name]) if name in test else "-" for name in names)]
            for folder, test in zip(self.folders, (config.metrics["test"] for config in self.configs), strict=True)
        ]
        summary = [" | ".join(row) for row in self.rows()]
        return "\n".join(
            [
                f"# {self.name}, {len(self.configs)} seeds",
                "",
                f"Seeds {self.seeds}. Mean ± standard deviation over the runs:",
                "",
                "| metric | unit | test | train |",
                "|---|---|--:|--:|",
                *(f"| {row} |" for row in summary),
                "",
                "Each run, on the test images:",
                "",
                f"| run | {' | '.join(names)} |",
                f"|---|{'--:|' * len(names)}",
                *(f"| {' | '.join(row)} |" for row in runs),
                "",
                f"![Loss curves: the mean, and in pale each run]({figure})",
                "",
            ]
        )

    def write(self) -> list[Path]:
        """Write ``NAME-seeds.md`` and ``NAME-seeds.png`` beside the run folders, and return their paths.

        Raises:
            ZooError: a record is damaged, or a file cannot be written.
        """
        beside = self.folders[0].parent
        page, figure = beside / f"{self.name}-seeds.md", beside / f"{self.name}-seeds.png"
        unit = unit_of(self.configs[0].checked_recipe)
        write_atomically(figure, to_png(seed_curves([read_history(folder) for folder in self.folders], unit)))
        write_atomically(page, self.markdown(figure.name))
        return [page, figure]


def spans(numbers: Sequence[int]) -> str:
    """Write whole numbers with runs of neighbours shortened: ``0-4, 7``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
