"""The card: README.md of a run folder, generated from its config, readable by people and by the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from zoo.metrics import metric_of
from zoo.registry import VARIANTS
from zoo.runs import markdown
from zoo.runs.folder import LOSS_CURVES_FILE, RECONSTRUCTIONS_FILE, SAMPLES_FILE
from zoo.runs.remarks import remarks
from zoo.schema.base import format_shape
from zoo.schema.recipe import Recipe
from zoo.schema.run_config import RunConfig
from zoo.system.files import sha256

FIGURES_SHOWN = {
    LOSS_CURVES_FILE: "![Loss curves](loss_curves.png)\n\n",
    RECONSTRUCTIONS_FILE: "Originals above their reconstructions (test images):\n\n"
    "![Reconstructions](reconstructions.png)\n\n",
    SAMPLES_FILE: "Samples from the prior:\n\n![Samples](samples.png)\n\n",
}
"""The Markdown that shows each drawn figure of a run folder, by its file name."""

USER_VARIANT_NOTE = """
The variant is its author's own: run the file that registers it first (in the zoo's commands, `--import FILE.py`).
"""

NAMES_SHOWN = 12
"""The most names of tensors in a sentence."""

TO_TRAIN_IT = "To train it again, save this as `recipe.json` and run `zoo train recipe.json`:"

TO_BUILD_IT = "The recipe of the model; what it says of a training did not make these weights:"

DIGEST_MARK = """
<!-- Written by the autoencoder zoo, sha256 of the above {}. Edited by hand, it stays when pushed again. -->
"""


def write_card(config: RunConfig, load_name: str | None = None, files: Container[str] = FIGURES_SHOWN) -> str:
    """Write the card as Markdown, the Hub's metadata on top, and at the end a mark by which an edited card is known.

    Args:
        config: the facts of the model.
        load_name: what the card passes to ``zoo.load``; None: a folder with the model's name.
        files: the names of the files beside the card; it shows the drawn figures among them.
    """
    text = _card(config, load_name or f"./{config.name}", files)
    return text + DIGEST_MARK.format(sha256(text.encode()))


def load_name_of(folder: Path) -> str:
    """Return what a card passes to ``zoo.load`` for a run folder, to those who are beside it: ``./mine``."""
    return f"./{folder.name}" if re.fullmatch(r"[\w.-]+", folder.name) else "PATH/TO/RUN"


def is_generated(card: str) -> bool:
    """Return whether a card is as :func:`write_card` wrote it, in this version or an earlier one."""
    text, mark, _ = card.partition(DIGEST_MARK.split("{}")[0])
    return bool(mark) and card == text + DIGEST_MARK.format(sha256(text.encode()))


def load_name_in(card: str) -> str | None:
    """Return the name that a card passes to ``zoo.load``, or None."""
    match = re.search(r'^model = zoo\.load\("([^"\n]+)"(?:, encoder=Encoder, decoder=Decoder)?\)$', card, re.MULTILINE)
    return match[1] if match else None


def _card(config: RunConfig, load_name: str, files: Container[str]) -> str:
    recipe = config.checked_recipe
    variant = VARIANTS.get(recipe.model.variant)
    summary = lower_first(variant.summary)
    stated = recipe.source
    origin = [markdown.text(stated.paper or variant.paper), markdown.text(stated.system)]
    origin += [markdown.url(stated.url), markdown.text(stated.notes)]
    published = [f"Published of the method: {figure.figure} ({figure.computed})." for figure in stated.published]
    origin += map(markdown.text, published)
    origin += [markdown.text(f"Not repeated: {line}") for line in stated.corrected]
    source = "\n".join(f"- {line}" for line in origin if line)
    claims = "".join(
        f"\nClaimed: {claim.split} {claim.metric} {claim.value:g}, within {claim.tolerance:g}.\n"
        for claim in recipe.claims
    )
    note = "" if variant.build.__module__.startswith("zoo.") else USER_VARIANT_NOTE
    own = ""
    if config.has_own_modules:
        own, network = ", encoder=Encoder, decoder=Decoder", config.recipe["model"]["network"]
        named = " and ".join(markdown.text(network.get(role, "")) for role in ("encoder", "decoder"))
        note += f"\nEncoder and decoder are its author's own, {named}: import them, and hand them in.\n"
    classes = recipe.model.classes
    given, labels = (", labels=labels", ", labels") if classes else ("", "")
    needs, making = ("import torch\n\n", f"labels = torch.arange(16) % {classes}\n") if classes else ("", "")
    return f"""---
{metadata(config, recipe)}
---

# {config.name}

{markdown.text(recipe.summary) or "An autoencoder"}. Variant `{recipe.model.variant}` of the autoencoder zoo: {summary}.
{config.parameters:,} parameters, images of {format_shape(config.image_shape)} (channels, height, width).
{note}
```python
{needs}import zoo

model = zoo.load("{load_name}"{own})
{making}images = model.sample(16{given})  # (16, {", ".join(map(str, config.image_shape))}) in [0, 1]
reconstructions = model.reconstruct(images{labels})
```

## Metrics

{measured_sentences(config, recipe)}

{metrics_table(config)}

`zoo evaluate --list` says what each is; `zoo evaluate {load_name} --check` measures them again.
{measured_on(config)}{claims}{remarked(config)}

{"".join(text for name, text in FIGURES_SHOWN.items() if name in files)}## Where it comes from

{source}
{start(recipe)}- {history_sentences(config, recipe)}
- Images: {recipe.data.name}{recipe.data.presented}, sha256 of the training images `{config.dataset["train"].sha256}`.
- Weights: sha256 `{config.weights_sha256}`{", the parameters stored as float16" if config.in_half else ""}.

{TO_BUILD_IT if config.foreign else TO_TRAIN_IT}

```json
{recipe_json(config)}
```
"""


def start(recipe: Recipe) -> str:
    """Write which weights the training started from, and what of them stayed; nothing where they were fresh."""
    training = recipe.training
    lines = []
    if training.start:
        lines.append(f"Started from the weights of {training.start}, sha256 {training.start_sha256}.")
    if training.freeze:
        lines.append(f"Not trained further: {', '.join(training.freeze)}.")
    return "".join(f"- {markdown.text(line)}\n" for line in lines)


def measured_sentences(config: RunConfig, recipe: Recipe) -> str:
    """Write which images the figures were measured on, and what training has seen of them, as far as that is known."""
    test, train = (f"{config.dataset[split].images:,}" for split in ("test", "train"))
    if config.foreign:
        return (
            f"Measured here in eval mode, on {test} test and {train} training images. The weights were trained "
            f"elsewhere:\nwhich images they have seen is not known."
        )
    return (
        f"Measured after training in eval mode: test on {test} images that training never saw, train on\nthe {train} "
        f"that it did. {selection_sentence(config)}{seeds_sentence(config, recipe)}"
    )


def history_sentences(config: RunConfig, recipe: Recipe) -> str:
    """Write how the weights came about: by a training here, or from a file, of whose training nothing is known."""
    foreign, where = config.foreign, machine(config.hardware, config.versions)
    if foreign is None:
        return f"{history_sentence(config, recipe)}Trained in {seconds(config)} {where}."
    names = [f"{old} is {new}" if new else f"without {old}" for old, new in foreign.mapping.items()]
    mapped = f" Names of tensors: {listed(names, '; ')}." if names else ""
    seed = f"initial weights (seed {recipe.training.seed})"
    lacking = f" Not in it, and with {seed}: {listed(foreign.initial, ', ')}." if foreign.initial else ""
    told = markdown.text(
        f"Trained elsewhere, nothing is known of how: the weights were in {foreign.file}, sha256 {foreign.sha256}."
        f"{mapped}{lacking} Measured"
    )
    return f"{told} {where}."


def listed(names: Sequence[str], separator: str) -> str:
    """Write the first names of a list; `config.json` has all."""
    rest = f"{separator}and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{separator.join(names[:NAMES_SHOWN])}{rest}"


def seconds(config: RunConfig) -> str:
    """Write how long the epochs took and, where it is known, how long the run took."""
    wall = "" if config.wall_seconds is None else f" ({config.wall_seconds:,.0f} s with preparing and waiting)"
    return f"{config.training_seconds:,.0f} s{wall}"


def metrics_table(config: RunConfig) -> str:
    """Write a table of every figure, with the mean and standard deviation over the seeds where there are several."""
    seeds = len(config.repetitions) + 1
    over = f" test, mean ± sd of {seeds} seeds |" if seeds > 1 else ""
    rows = [f"| metric | unit | test | train |{over}", "|---|---|--:|--:|" + "--:|" * (seeds > 1)]
    for name, value in config.metrics["test"].items():
        metric, train = metric_of(name), config.metrics["train"].get(name)
        row = f"| {name} | {metric.unit} | {metric.show(value)} | {'' if train is None else metric.show(train)} |"
        rows.append(row + (f" {seed_mean_and_sd(config, name)} |" if seeds > 1 else ""))
    return "\n".join(rows)


def seeds_sentence(config: RunConfig, recipe: Recipe) -> str:
    """Write the sentence that says which seeds were trained."""
    seeds = [recipe.training.seed, *(repetition.seed for repetition in config.repetitions)]
    if len(seeds) == 1:
        return f"One seed ({seeds[0]})."
    return f"The weights are those of seed {seeds[0]}; {len(seeds)} seeds were trained ({', '.join(map(str, seeds))})."


def selection_sentence(config: RunConfig) -> str:
    """Write which epoch was kept and by which images, if any were cut off for it."""
    if config.validation is None:
        return ""
    cut_off = f"{config.validation.images:,} more images of the training split were only validated on"
    kept = config.selected
    if kept is None:
        return f"{cut_off}; they chose nothing. "
    return (
        f"{cut_off}: the weights are those of epoch {kept.epoch} of the {kept.epochs} trained, whose "
        f"{kept.metric.replace('_', ' ')} on them was the smallest ({kept.value:.6g}). "
    )


def history_sentence(config: RunConfig, recipe: Recipe) -> str:
    """Write how a training went on, and where it ended before the end, if it did."""
    parts = [f"{part.epochs:,} epochs until step {part.steps:,}" for part in config.earlier]
    end = f"Ended at step {recipe.training.steps:,}. " if recipe.training.steps else ""
    if not parts:
        return end
    return f"Laid out over {', then '.join(parts)}; went on as one of {recipe.training.epochs:,} epochs. {end}"


def machine(hardware: str, versions: Mapping[str, str]) -> str:
    """Write ``on HARDWARE with NAME VERSION, …``."""
    return markdown.text(f"on {hardware} with " + ", ".join(f"{name} {version}" for name, version in versions.items()))


def recipe_json(config: RunConfig) -> str:
    """Write the recipe as JSON in which nothing looks like HTML to a careless reader."""
    return json.dumps(config.recipe, indent=2).replace("<", r"\u003c")


def remarked(config: RunConfig) -> str:
    """Write what the figures say is wrong with the model, if anything."""
    return "".join(f"\n{sentence}\n" for sentence in remarks(config))


def measured_on(config: RunConfig) -> str:
    """Say on which hardware and versions figures were measured, where not at the end of training."""
    lines: dict[str, list[str]] = {}
    for family, record in config.evaluation.items():
        lines.setdefault(machine(record.hardware, record.versions), []).append(markdown.text(family))
    return "".join(f"\nMeasured {where}: {', '.join(families)}.\n" for where, families in lines.items())


def metadata(config: RunConfig, recipe: Recipe) -> str:
    """Write the Hub's YAML front matter."""
    from huggingface_hub import EvalResult, ModelCardData

    generative = "negative_elbo" in config.metrics["test"]
    card = ModelCardData(
        license=recipe.source.license or None,
        library_name="autoencoder-zoo",
        tags=["autoencoder", recipe.model.variant, recipe.objective.name],
        datasets=[recipe.data.public_name] if recipe.data.public_name else None,
        pipeline_tag="unconditional-image-generation" if generative else "image-feature-extraction",
        model_name=config.name,
        eval_results=[
            EvalResult(
                task_type="unconditional-image-generation" if generative else "image-feature-extraction",
                dataset_type=recipe.data.name,
                dataset_name=recipe.data.name,
                dataset_split="test",
                metric_type=name,
                metric_name=f"{name} ({metric_of(name).unit})" if metric_of(name).unit else name,
                metric_value=value,
            )
            for name, value in config.metrics["test"].items()
            if metric_of(name).repeatable
        ],
    )
    yaml: str = card.to_yaml()
    return yaml.strip()


def seed_mean_and_sd(config: RunConfig, name: str) -> str:
    """Write ``mean ± standard deviation`` of a test figure over the seeds; nothing where not every run has it."""
    runs = [config.metrics["test"], *(repetition.metrics["test"] for repetition in config.repetitions)]
    known = [run[name] for run in runs if name in run]
    if len(known) < max(2, len(runs)):
        return ""
    return metric_of(name).show_spread(known)


def lower_first(sentence: str) -> str:
    """Write a sentence as the second half of another: its first letter small, unless it begins with an acronym."""
    return sentence if sentence[1:2].isupper() else f"{sentence[:1].lower()}{sentence[1:]}"
