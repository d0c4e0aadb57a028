"""Measure a run folder again and write the figures into its config and card: nothing is typed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zoo.artifacts import CONFIG_FILE, read_config
from zoo.card import write_card
from zoo.claims import check_images
from zoo.data import Split
from zoo.errors import ZooError
from zoo.evaluation import BASIC, evaluate, in_order, measure_on_glyphs
from zoo.metric import Case
from zoo.provenance import LIBRARIES, MEASURING, versions
from zoo.schema.digest import digest
from zoo.schema.run_config import Evaluation, Repetition, RunConfig
from zoo.subject import Subject
from zoo.system.devices import describe
from zoo.system.files import write_atomically


def update(
    subject: Subject,
    case: Callable[[Split], Case],
    names: Sequence[str] = (),
    runs: Sequence[Path] = (),
    told: Callable[[str], object] = str,
) -> list[Path]:
    """Put what is measured now, and other seeds' runs, into the card; figures that are not measured again stay.

    Args:
        subject: the model and its run folder.
        case: gives the model and the images of a split.
        names: metrics or families; by default all that are not left for a request, and the claimed ones.
        runs: run folders of the same recipe with other seeds.
        told: called with the name of each family before it is measured.

    Returns:
        The files written.

    Raises:
        ZooError: the images are not those of the card, or a run is of another recipe.
    """
    config = subject.config
    if subject.found.address:
        raise ZooError(
            f"the cache keeps {subject.found.address} as it is; measure a folder of your own: "
            f"python -m zoo.pull {subject.found.address} --to FOLDER"
        )
    repetitions = [repetition(config, run) for run in runs] or config.repetitions
    seeds = [found.seed for found in repetitions]
    if len(set(seeds)) < len(seeds):
        raise ZooError(f"the runs have the seeds {', '.join(map(str, seeds))}: give each seed once")
    test = case("test")
    check_images(config, "test", test.images)
    found = evaluate(test, names, told)
    train = config.metrics["train"]
    if not names:
        claimed = {claim.metric for claim in config.checked_recipe.claims if claim.split == "test"}
        if claimed - found.metrics.keys():
            found |= evaluate(test, sorted(claimed - found.metrics.keys()), told)
        training = case("train")
        check_images(config, "train", training.images)
        train = evaluate(training, BASIC, told).metrics
    if not found.metrics:
        raise ZooError(f"nothing to write: {'; '.join(found.lacking.values())}")
    here = Evaluation(hardware=describe(subject.model.device), versions=versions((*LIBRARIES, *MEASURING)))
    changed = config.model_copy(
        update={
            "metrics": {"train": train, "test": in_order(config.metrics["test"] | found.metrics)},
            "evaluation": config.evaluation | dict.fromkeys(found.families, here),
            "glyphs": measure_on_glyphs(subject.model),
            "repetitions": repetitions,
        }
    )
    write_atomically(subject.folder / "README.md", write_card(changed))
    write_atomically(subject.folder / CONFIG_FILE, changed.to_json())
    return [subject.folder / "README.md", subject.folder / CONFIG_FILE]


def repetition(config: RunConfig, folder: Path) -> Repetition:
    """What is kept of a run that differs from ``config``'s in its seed.

    Raises:
        ZooError: it differs in more, or not at all.
    """
    other = read_config(folder)
    seed, own = other.checked_recipe.training.seed, config.checked_recipe.training.seed
    if seed == own:
        raise ZooError(f"{folder} has the seed of {config.name} itself ({seed}); a repetition has another one")
    same_seed = {**other.recipe, "training": {**other.recipe["training"], "seed": own}}
    if digest(same_seed) != config.recipe_sha256 or other.dataset != config.dataset:
        raise ZooError(f"{folder} is not a run of the recipe of {config.name} with another seed")
    return Repetition(seed=seed, **other.model_dump(include=set(Repetition.model_fields) - {"seed"}))
