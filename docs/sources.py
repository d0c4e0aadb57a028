"""The page that sets published figures beside the zoo's own: ``docs/sources.md``, written by ``docs/generate.py``.

Everything in it comes from the recipes' ``source`` sections and from the ``config.json`` of the trained entries.
"""

from __future__ import annotations

from math import prod

from zoo.entries.catalog import list_models, recipe, record_folder, weights_folder
from zoo.metrics import metric_of, summary_metrics
from zoo.runs.folder import read_config, read_history
from zoo.schema.recipe import Recipe
from zoo.schema.run_config import RunConfig

INTRODUCTION = """# The sources, their figures and ours

*Written by `python docs/generate.py` from the recipes and from each entry's `config.json`; do not edit.*

The zoo re-implements the systems below from their facts; no code is taken over. Where a source makes a mistake, the
entry does not repeat it, and this page says so: a figure made with the mistake is not the same quantity as ours. Every
figure of ours is measured after training, in eval mode, over a whole split: "test" over 10,000 images that training
never saw, "train" over the 60,000 that it did. Where a source states the mean over the batches of the last epoch, in
training mode, that is given in brackets. One run each. `zoo train ENTRY` trains an entry again,
`zoo compare ENTRY` measures its test figures again.

Units: −ELBO, reconstruction and KL in nats per image; MSE per pixel of images in [0, 1].
"""


def sources_page() -> str:
    """The page, in Markdown."""
    entries = [(name, recipe(name)) for name in list_models()]
    entries = [(name, found) for name, found in entries if found.source.system]
    systems = list(dict.fromkeys(found.source.system for _, found in entries))
    parts = [INTRODUCTION, overview(entries)]
    for system in sorted(systems, key=str.lower):
        of_system = [(name, found) for name, found in entries if found.source.system == system]
        parts.append(f"## [{system}]({of_system[0][1].source.url})")
        parts += [section(name, found) for name, found in of_system]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def overview(entries: list[tuple[str, Recipe]]) -> str:
    """A row for each published figure, or for each entry without one."""
    rows = [
        "| entry | published | how it was computed | in our units | ours |",
        "|---|---|---|--:|--:|",
    ]
    for name, found in entries:
        config = record(name)
        if not found.source.published:
            rows.append(f"| `{name}` | none | | | {', '.join(headline(config)) or 'not trained'} |")
        for figure in found.source.published:
            if figure.metric and figure.value is not None:
                theirs = shown(figure.metric, figure.split, figure.value)
                value = config.metrics[figure.split].get(figure.metric) if config else None
                ours = "" if value is None else shown(figure.metric, figure.split, value)
                if config and figure.split == "train":
                    ours += f" ({last_epoch(name, figure.metric, config)} in the last epoch)"
            else:
                theirs, ours = "", ", ".join(headline(config))
            rows.append(f"| `{name}` | {figure.figure} | {figure.computed} | {theirs} | {ours or 'not trained'} |")
    return "\n".join(rows)


def section(name: str, found: Recipe) -> str:
    """What an entry's setting is, what it corrects, what it reaches."""
    config = record(name)
    model = {key: value for key, value in found.model.model_dump(mode="json").items() if key != "variant"}
    settings = ", ".join(f"{key} {spelled(value)}" for key, value in model.items() if value is not None)
    optimizer = found.optimizer.model_dump(mode="json", exclude_defaults=True)
    optimizer = {"learning_rate": found.optimizer.learning_rate} | optimizer
    if "schedule" in optimizer:
        optimizer["schedule"] = spelled(found.optimizer.schedule.model_dump(mode="json"))  # its name is a default
    steps = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in optimizer.items() if key != "name")
    objective = found.objective.model_dump(mode="json", exclude={"name"})
    goal = "".join(f", {key} {words}" for key, value in objective.items() if (words := spelled(value)) != "constant")
    lines = [
        f"### `{name}`",
        "",
        f"{found.summary}. Variant `{found.model.variant}` ({settings}); objective `{found.objective.name}`{goal}; "
        f"{found.optimizer.name}, {steps}; {found.training.epochs} epochs in batches of {found.training.batch_size}.",
    ]
    if found.source.corrected:
        lines += ["", "Corrected:", "", *(f"- {line}" for line in found.source.corrected)]
    if found.source.notes:
        lines += ["", found.source.notes]
    if config:
        shipped = "" if weights_folder(name) else " The package has no room for its weights."
        lines += [
            "",
            f"{config.parameters:,} parameters; trained in {config.training_seconds:,.0f} s on {config.hardware}."
            f"{shipped}",
            "",
            *metrics_table(config),
        ]
    return "\n".join(lines)


def spelled(value: object) -> str:
    """A setting, for people."""
    if isinstance(value, dict):
        choice = next((str(value[tag]) for tag in ("name", "variant", "family") if tag in value), "")
        others = [
            (key, inner) for key, inner in value.items() if inner is not False and inner not in (None, [], "", choice)
        ]
        settings = ", ".join(f"{key.replace('_', ' ')} {spelled(inner)}" for key, inner in others)
        return f"{choice} ({settings})" if choice and settings else choice or settings
    return "-".join(map(spelled, value)) or "none" if isinstance(value, list) else str(value)


def metrics_table(config: RunConfig) -> list[str]:
    """Every metric on both splits."""
    rows = ["| metric | unit | test | train |", "|---|---|--:|--:|"]
    for metric in summary_metrics():
        if metric.name in config.metrics["test"]:
            values = " | ".join(metric.show(config.metrics[split][metric.name]) for split in ("test", "train"))
            rows.append(f"| {metric.heading.split(',')[0]} | {metric.unit} | {values} |")
    return rows


def record(name: str) -> RunConfig | None:
    """An entry's ``config.json``, if it has been trained."""
    folder = record_folder(name)
    return read_config(folder) if folder else None


def last_epoch(name: str, metric: str, config: RunConfig) -> str:
    """A metric as most sources compute it: the mean over the batches of the last epoch, in training mode."""
    folder = record_folder(name)
    assert folder is not None
    terms = read_history(folder)[-1]["train"]
    value = terms["reconstruction"] + terms["kl"] if metric == "negative_elbo" else None
    if metric == "mse":  # the objectives of these entries sum the squared error over an image
        value = terms["reconstruction"] / prod(config.image_shape)
    assert value is not None
    return metric_of(metric).show(value)


def headline(config: RunConfig | None) -> list[str]:
    """The figures that an entry is known by."""
    metrics = config.metrics["test"] if config else {}
    metric = next((name for name in ("perplexity", "negative_elbo") if name in metrics), "")
    return [shown(name, "test", metrics[name]) for name in (metric, "mse") if name in metrics]


def shown(metric: str, split: str, value: float) -> str:
    """A figure with its name and split."""
    heading = metric_of(metric).heading.split(",")[0].replace(" per pixel", "")
    return f"{heading} {metric_of(metric).show(value)} {split}"
