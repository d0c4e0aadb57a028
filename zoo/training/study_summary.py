"""The trials of a search, summed up beside their run folders: a table, a figure, and the recipe of the best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.table import Table

from zoo.plotting import to_png
from zoo.plotting.search import Panel, search_figure
from zoo.runs import markdown
from zoo.schema.metric import Metric
from zoo.schema.recipe import Recipe
from zoo.schema.search_space import Domain
from zoo.system.files import write_atomically
from zoo.system.terminal import plain

ROWS_SHOWN = 20
"""The most trials in the table on a terminal; the page beside the runs has all."""


@dataclass(frozen=True)
class Tried:
    """A trial that has ended."""

    number: int
    settings: dict[str, Any]
    value: float | None
    """The metric on the validation images; None: the trial failed."""


@dataclass(frozen=True)
class StudySummary:
    """The trials of a study that have ended."""

    name: str
    metric: Metric
    domains: Mapping[str, Domain]
    trials: Sequence[Tried]

    @cached_property
    def ranked(self) -> list[Tried]:
        """The trials that have succeeded, the best first."""
        sign = -1 if self.metric.better == "higher" else 1
        done = [trial for trial in self.trials if trial.value is not None]
        return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    @property
    def title(self) -> str:
        """The name, and how many trials have succeeded."""
        done, failed = len(self.ranked), len(self.trials) - len(self.ranked)
        return (
            f"{self.name}: {done} trial{'s' * (done != 1)}{f', and {failed} that failed' if failed else ''}, best first"
        )

    @property
    def heading(self) -> str:
        """The name of the metric, with its unit and the images that it is measured on."""
        unit = f", {self.metric.unit}" if self.metric.unit else ""
        return f"{self.metric.name}{unit} (validation)"

    def rows(self) -> list[list[str]]:
        """Return the cells of every trial: its number, its settings, the metric."""
        failed = [trial for trial in self.trials if trial.value is None]
        return [
            [
                str(trial.number),
                *(self.cell(trial.settings.get(key)) for key in self.domains),
                "failed" if trial.value is None else self.metric.show(trial.value),
            ]
            for trial in (*self.ranked, *failed)
        ]

    @staticmethod
    def cell(value: Any) -> str:
        """Write a setting."""
        return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    def table(self) -> Table:
        """Return the table of the best trials, for a terminal."""
        table = Table(title=plain(self.title, "table.title"))
        for name in ("trial", *self.domains, self.heading):
            table.add_column(plain(name), justify="right")
        for row in self.rows()[:ROWS_SHOWN]:
            table.add_row(*map(plain, row))
        return table

    def markdown(self, figure: str) -> str:
        """Return the page with every trial and the figure, whose file name is given."""
        lines = [["trial", *self.domains, self.heading], ["--:"] * (len(self.domains) + 2), *self.rows()]
        cells = [[cell if set(cell) <= set("-:") else markdown.text(cell) for cell in line] for line in lines]
        table = "\n".join(f"| {' | '.join(line)} |" for line in cells)
        return f"# {markdown.text(self.title)}\n\n{table}\n\n![{self.metric.name} over each setting]({figure})\n"

    def panels(self) -> list[Panel]:
        """Return the metric over the trials and over each setting that was searched."""
        done = sorted(self.ranked, key=lambda trial: trial.number)
        values = [trial.value or 0.0 for trial in done]
        panels = [Panel("trial", [trial.number for trial in done], values)]
        for key, domain in self.domains.items():
            words = domain.words
            places = [words.index(trial.settings[key]) if words else trial.settings[key] for trial in done]
            panels.append(Panel(key, places, values, words, domain.log))
        return panels

    def write(self, beside: Path, best: Recipe) -> list[Path]:
        """Write ``NAME-best.json``, ``NAME-study.md`` and ``NAME-study.png``, and return their paths.

        Args:
            beside: the folder of the runs.
            best: the recipe of the best trial.

        Raises:
            ZooError: a file cannot be written.
        """
        recipe, page, figure = (beside / f"{self.name}-{end}" for end in ("best.json", "study.md", "study.png"))
        write_atomically(figure, to_png(search_figure(self.panels(), self.heading, self.metric.better == "higher")))
        write_atomically(page, self.markdown(figure.name))
        write_atomically(recipe, json.dumps(best.to_dict(), indent=2) + "\n")
        return [recipe, page, figure]
