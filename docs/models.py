"""The leaderboard, ``docs/models.md`` and ``docs/models.csv``, and its two plots; written by ``docs/generate.py``.

Everything in it comes from the ``config.json`` of the trained entries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from docs.bench import bench_section
from zoo.evaluation.leaderboard import CARD_FACTS, LeaderboardEntry, best_first, columns, leaderboard_entries, show
from zoo.metrics import TOPICS, all_metrics, families, metric_of
from zoo.plotting import to_png
from zoo.plotting.tradeoff import Point, tradeoff

INTRODUCTION = """# The models and their figures

*Written by `python docs/generate.py` from each entry's `config.json`, where `zoo evaluate ENTRY --update`
puts what it measures; do not edit. `zoo evaluate ENTRY --check` measures an entry again and compares.*

Test figures, over the 10,000 test images unless a definition below says otherwise. Each topic has a table for each
dataset, sorted by its first figure, the best first among entries of the same data. For another order:
`zoo list --sort METRIC`, or [models.csv](models.csv) in a spreadsheet. Likelihoods can be compared between entries with
the same words in the column "data" only: dataset, binarisation (none: intensities count as probabilities), and p(x|z)
where it is not Bernoulli. Where several seeds were trained, the figure is that of the shipped weights, and mean ±
standard deviation over the seeds follow in brackets. An entry marked \\* has no weights in the package; its recipe
trains it.
"""

PLOTS = """## Rate and distortion

The KL (the rate, in nats) and −log p(x|z) (the distortion) of entries that share their data with at least two others;
the thin lines are models with the same −ELBO.

![Rate against distortion](models/rate_distortion.png)

## Quality and training time

The −ELBO of the same entries, and the seconds that their training took.

![−ELBO against training time](models/quality_time.png)

*Drawn by `python docs/generate.py --plots`. Times are of one run on a small CPU, mostly with other work beside it:
upper bounds, and not all under the same conditions. Entries that were trained on a GPU are left out.*
"""


def models_page() -> str:
    """The page, in Markdown."""
    rows = leaderboard_entries()
    tables = [part for title in TOPICS if (part := topic(title, rows))]
    sections = [bench_section(rows), *tables, PLOTS, cost_table(rows), definitions()]
    parts = [INTRODUCTION, contents(sections), *sections]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def contents(sections: Iterable[str]) -> str:
    """The headings as links, those of the datasets beside their topic."""
    lines: list[str] = []
    anchors: Counter[str] = Counter()
    for level, words in re.findall(r"^(##+) (.+)$", "\n".join(sections), re.MULTILINE):
        anchor = re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-")
        again = anchors[anchor]
        anchors[anchor] += 1
        link = f"[{words}](#{anchor}{f'-{again}' if again else ''})"  # as GitHub numbers headings of the same words
        if level == "##":
            lines.append(f"- {link}")
        else:
            lines[-1] += f"{', ' if '(#' in lines[-1].partition(': ')[2] else ': '}{link}"
    return "\n".join(lines)


def topic(title: str, rows: Iterable[LeaderboardEntry]) -> str:
    """A table for each dataset, of the entries that have one of the topic's figures."""
    metrics = [metric.name for metric in all_metrics().values() if metric.topic == title]
    groups: dict[str, list[LeaderboardEntry]] = {}
    for row in rows:
        groups.setdefault(row.config.recipe["data"]["name"], []).append(row)
    tables = [
        f"### {dataset}\n\n{table(shown, found)}"
        for dataset, found in groups.items()
        if (shown := columns(found, metrics))
    ]
    return "\n\n".join([f"## {title}", *tables]) if tables else ""


def table(shown: list[str], rows: Iterable[LeaderboardEntry]) -> str:
    """The entries that have one of the figures, the best first among those of the same data."""
    found = [row for row in rows if any(row.value(column) is not None for column in shown)]
    lines = [f"| entry | data | {' | '.join(metric_of(column).heading for column in shown)} |"]
    lines.append("|---|---|" + "--:|" * len(shown))
    for row in sorted(best_first(found, shown[0]), key=lambda row: row.data):
        lines.append(f"| {named(row)} | {row.data} | {' | '.join(show(row, column) for column in shown)} |")
    return "\n".join(lines)


def named(row: LeaderboardEntry) -> str:
    """The entry, marked where its weights are not in the package."""
    return f"[`{row.name}`](entries/{row.name}.md)" + ("" if row.shipped else " \\*")


def cost_table(rows: Iterable[LeaderboardEntry]) -> str:
    """What each entry is and what it took."""
    lines = ["| entry | recipe | variant | objective | parameters | trained in, s | on | speeds measured on |"]
    lines.append("|---|---|---|---|--:|--:|---|---|")
    for row in rows:
        recipe, evaluation = row.config.recipe, row.config.evaluation
        what = f"`{recipe['model']['variant']}` | `{recipe['objective']['name']}`"
        facts = " | ".join(show(row, fact) for fact in CARD_FACTS)
        measured = evaluation["speed"].hardware if "speed" in evaluation else ""
        link = f"[{row.recipe}](../recipes/{row.recipe})"
        lines.append(f"| {named(row)} | {link} | {what} | {facts} | {row.config.hardware} | {measured} |")
    words = "Runs on a GPU shared it with others, 8 in a process and up to 3 processes: their times are no comparison."
    return f"## Recipes, sizes, times, hardware\n\n{words}\n\n" + "\n".join(lines)


def definitions() -> str:
    """Every metric in words."""
    lines = ["| metric | unit | better | definition | source |", "|---|---|---|---|---|"]
    for family in families().values():
        for metric in family.metrics:
            name = metric.pattern
            words = metric.definition.replace("|", "\\|")
            lines.append(f"| `{name}` | {metric.unit} | {metric.better} | {words} | {metric.source} |")
    return "## What each figure is\n\n" + "\n".join(lines)


def on_cpu(row: LeaderboardEntry) -> bool:
    """Return whether an entry was trained on a CPU, whose description counts the threads."""
    return "thread" in row.config.hardware


def plots() -> dict[str, bytes]:
    """File name → PNG."""
    rows = [
        row
        for row in leaderboard_entries()
        if {"negative_elbo", "reconstruction", "kl"} <= row.config.metrics["test"].keys()
    ]
    kinds = {kind: [row for row in rows if row.data == kind] for kind in dict.fromkeys(row.data for row in rows)}

    def points(x: str, y: str, chosen: Callable[[LeaderboardEntry], bool] = bool) -> dict[str, list[Point]]:
        found = {
            kind: [Point(row.name, row.value(x) or 0.0, row.value(y) or 0.0) for row in group if chosen(row)]
            for kind, group in kinds.items()
        }
        return {kind: group for kind, group in found.items() if len(group) > 2}  # a single point trades nothing off

    rate = tradeoff(points("kl", "reconstruction"), "rate: KL, nats", "distortion: -log p(x|z), nats", sums=True)
    times = points("training_seconds", "negative_elbo", on_cpu)
    time = tradeoff(times, "training, seconds", "−ELBO, nats", logarithmic=True)
    return {"rate_distortion.png": to_png(rate), "quality_time.png": to_png(time)}
