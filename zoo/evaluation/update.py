"""Measuring a run folder again and writing the figures into its config and card: nothing is typed by hand."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo.datasets import Split
from zoo.entries.trained_model import TrainedModel
from zoo.errors import ZooError
from zoo.evaluation.claims import check_images
from zoo.metrics import EvalContext, after_training, evaluate, in_order, measure_on_glyphs
from zoo.runs.card import is_generated, load_name_of, write_card
from zoo.runs.folder import CARD_FILE, CONFIG_FILE, read_config
from zoo.runs.provenance import LIBRARIES, METRIC_LIBRARIES, versions
from zoo.schema.digest import digest
from zoo.schema.run_config import EvaluationRecord, Repetition, RunConfig
from zoo.schema.text import read_text
from zoo.system.devices import describe
from zoo.system.files import write_atomically


def update(
    trained: TrainedModel,
    context_of: Callable[[Split], EvalContext],
    names: Sequence[str] = (),
    runs: Sequence[Path] = (),
    *,
    samples: int = 0,
    on_family: Callable[[str], object] = lambda family: None,
) -> list[Path]:
    """Write what is measured now, and other seeds' runs, into the card; figures that are not measured again stay.

    Args:
        trained: the model and its run folder.
        context_of: a function of a split that returns the model and the images.
        names: metrics or families; by default all that are not left for a request, and the claimed ones.
        runs: run folders of the same recipe with other seeds.
        samples: K of metrics with a number of samples, where the name does not say it.
        on_family: called with the name of each family before it is measured.

    Returns:
        The paths of the files written; a card that was edited by hand is not among them.

    Raises:
        ZooError: the images are not those of the card, a run is of another recipe, two runs have the same seed, the
            run folder is in the Hub's cache or was written anew meanwhile, or nothing could be measured.
    """
    config = trained.config
    if trained.location.address:
        raise ZooError(
            f"the cache keeps {trained.location.address} as it is; measure a copy of it: "
            f"zoo pull {trained.location.address} --to FOLDER"
        )
    repetitions = [repetition(config, run) for run in runs] or config.repetitions
    seeds = [other.seed for other in repetitions]
    if len(set(seeds)) < len(seeds):
        raise ZooError(f"the runs have the seeds {', '.join(map(str, seeds))}: give each seed once")
    test = context_of("test")
    check_images(config, "test", test.images)
    evaluation = evaluate(test, names, samples=samples, on_family=on_family)
    train = config.metrics["train"]
    if not names:
        claimed = {claim.metric for claim in config.checked_recipe.claims if claim.split == "test"}
        if claimed - evaluation.metrics.keys():
            evaluation |= evaluate(test, sorted(claimed - evaluation.metrics.keys()), on_family=on_family)
        training = context_of("train")
        check_images(config, "train", training.images)
        train = evaluate(training, after_training(), on_family=on_family).metrics
    if not evaluation.metrics:
        raise ZooError(f"nothing to write: {'; '.join(evaluation.lacking.values())}")
    record = EvaluationRecord(
        hardware=describe(trained.model.device), versions=versions((*LIBRARIES, *METRIC_LIBRARIES))
    )
    glyphs = measure_on_glyphs(trained.model)
    now = read_config(trained.folder)  # measuring takes long enough for others to have written there
    if (now.weights_sha256, now.recipe_sha256) != (config.weights_sha256, config.recipe_sha256):
        raise ZooError(f"{trained.folder} has another run by now than was measured; nothing was written")
    changed = now.model_copy(
        update={
            "metrics": {
                "train": now.metrics["train"] if names else train,
                "test": in_order(now.metrics["test"] | evaluation.metrics),
            },
            "evaluation": now.evaluation | dict.fromkeys(evaluation.families, record),
            "glyphs": glyphs,
            "repetitions": repetitions if runs else now.repetitions,
        }
    )
    write_atomically(trained.folder / CONFIG_FILE, changed.to_json())
    written = [trained.folder / CONFIG_FILE]
    card = trained.folder / CARD_FILE
    if card.exists() and not is_generated(read_text(card, "the card")):
        warnings.warn(f"{card} was edited by hand and stays as it is; remove it to have it written anew", stacklevel=2)
        return written
    load_name, files = load_name_of(Path(os.path.abspath(trained.folder))), os.listdir(trained.folder)
    write_atomically(card, write_card(changed, load_name, files))
    return [card, *written]


def repetition(config: RunConfig, folder: Path) -> Repetition:
    """Return the part of a run's record that is kept, where the run differs from ``config``'s in its seed only.

    Raises:
        ZooError: it differs in more than its seed, or not at all.
    """
    other = read_config(folder)
    for name, run in ((config.name, config), (folder, other)):
        if run.foreign:
            raise ZooError(f"{name} was trained elsewhere ({run.foreign.file}): it is no run of a recipe with a seed")
    seed, config_seed = other.checked_recipe.training.seed, config.checked_recipe.training.seed
    if seed == config_seed:
        raise ZooError(f"{folder} has the seed of {config.name} itself ({seed}); a repetition has another one")
    same_seed = {**other.recipe, "training": {**other.recipe["training"], "seed": config_seed}}
    if digest(same_seed) != config.recipe_sha256 or other.dataset != config.dataset:
        raise ZooError(f"{folder} is not a run of the recipe of {config.name} with another seed")
    return Repetition(seed=seed, **other.model_dump(include=set(Repetition.model_fields) - {"seed"}))
