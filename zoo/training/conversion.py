"""Weights that were trained elsewhere: brought into a run folder by the names of their tensors, and measured there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.models import Autoencoder
from zoo.models.build import build
from zoo.runs.card import load_name_of, write_card
from zoo.runs.folder import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, check_finite, parse_weights
from zoo.runs.unfinished import partial_folder
from zoo.schema.recipe import Recipe
from zoo.schema.run_config import MAX_FILE_NAME, Foreign, RunConfig
from zoo.schema.sections import Training
from zoo.system.devices import without_tf32
from zoo.system.files import read_file, sha256, spelled, write_atomically
from zoo.system.process import training_modes
from zoo.system.randomness import CPU, isolated_randomness
from zoo.training.drawing import drawing
from zoo.training.finish import facts, figures_of, final_weights
from zoo.training.output_folder import publish, reserved
from zoo.training.run import written_out
from zoo.training.tensor_names import guessed_rules, renamed

PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
"""The endings of the names of files that torch pickles."""

PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""The first bytes of such files. The length of a header, with which a safetensors file begins, may be the same."""

MAX_FILE_BYTES = 2**36
"""The most bytes of a file of weights."""

MAX_LISTED = 8
"""The most tensors of a kind that a message lists."""


def convert(
    file: Path,
    recipe: Recipe,
    out: Path,
    device: torch.device,
    rules: Mapping[str, str],
    *,
    partial: bool = False,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> Path:
    """Write a run folder of weights that were trained elsewhere, measured as at the end of a training.

    Args:
        file: a safetensors file.
        recipe: the recipe that says which model they belong to, and which images it is measured on. What it says of
            the training is nothing that is known of the weights.
        out: the run folder to write.
        device: the device to measure on.
        rules: names of tensors in the file, or patterns of them, with their names in the model: see
            :func:`zoo.training.tensor_names.renamed`.
        partial: accept that the file lacks some of the model's tensors, which then have initial weights.
        overwrite: replace a run folder that is there already.
        say: called with each line about what was taken and what was not.

    Returns:
        The run folder.

    Raises:
        ZooError: the file is no safetensors file or does not fill the model, the images are not here, or the folder
            cannot be written.
    """
    check_file(file)
    content = read_file(file, MAX_FILE_BYTES)
    tensors = parse_weights(content, file)
    recipe = written_out(recipe.model_copy(update={"training": _untold(recipe.training)}))
    with training_modes(device), torch.no_grad():
        with isolated_randomness(recipe.training.seed, CPU):
            model = build(recipe)
        fit = fitted(model, tensors, rules)
        for line in fit.lines(file.name, recipe.name):
            say(line)
        if fit.missing and not partial:
            raise ZooError(fit.refusal(file, recipe.name))
        check_finite(fit.taken, file)
        model.load_state_dict(fit.taken, strict=False)
        name = spelled(file.name)[:MAX_FILE_NAME]
        foreign = Foreign(file=name, sha256=sha256(content), mapping=dict(rules), initial=sorted(fit.missing))
        del content, tensors
        out = Path(os.path.abspath(out))
        folder = partial_folder(out)
        with reserved(out, folder, resume=False, overwrite=overwrite):
            _write(model.to(device).eval(), recipe, foreign, folder, out, fit_prior=fit.fits_prior, say=say)
            publish(folder, out, overwrite=overwrite, keep=False)
    return out


def _write(
    model: Autoencoder,
    recipe: Recipe,
    foreign: Foreign,
    folder: Path,
    out: Path,
    *,
    fit_prior: bool,
    say: Callable[[str], object],
) -> None:
    train, test = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    for images in (train, test):
        model.check_labels(images.labels)
    for note in dict.fromkeys((*train.notes, *test.notes)):
        say(note)
    say("measuring both splits, drawing the figures")
    with without_tf32():
        weights = final_weights(model, recipe, train, fit_prior=fit_prior)
        known = facts(recipe, model, weights, train, test, [train.digest, test.digest])
        config = RunConfig(**known, foreign=foreign, training_seconds=0.0)
        drawn = drawing(figures_of(model, test, recipe.data))()
    for name, figure in drawn.items():
        write_atomically(folder / name, figure)
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_atomically(folder / CARD_FILE, write_card(config, load_name_of(out), drawn))
    write_atomically(folder / CONFIG_FILE, config.to_json())


def _untold(training: Training) -> Training:
    """Return the section without what would tell a history of weights that have none."""
    fields = ("validation", "select", "start", "start_sha256", "freeze", "steps", "stretches")
    return training.model_copy(update={name: Training.model_fields[name].get_default() for name in fields})


def check_file(file: Path) -> None:
    """Refuse a file that is pickled or not there.

    Raises:
        ZooError: it is.
    """
    if not file.is_file():
        raise ZooError(f"there is no file {file}; name a .safetensors file of weights")
    with open(file, "rb") as opened:
        start = opened.read(9)
        pickled = start.startswith(PICKLE_STARTS) and start[8:] != b"{"  # as a header begins
    if pickled or file.suffix.lower() in PICKLED:
        raise ZooError(f"{file} is pickled, and the zoo unpickles nothing; its owner can write {unpickling(file)}")


def unpickling(file: Path) -> str:
    """Return the command by which the owner of a pickled file of weights makes it one of safetensors."""
    code = (
        "import sys, torch; from safetensors.torch import save_file; "
        "s = torch.load(open(sys.argv[1], 'rb'), map_location='cpu', weights_only=True); s = s.get('state_dict', s); "
        "save_file({k: v.clone().contiguous() for k, v in s.items() if torch.is_tensor(v)}, sys.argv[2])"
    )
    named = file.with_name(f"{file.stem}-unpickled.pt") if file.suffix == ".safetensors" else file  # not onto itself
    names = (shlex.quote(str(name)) for name in (file, named.with_suffix(".safetensors")))
    return f'python -c "{code}" {" ".join(names)}'


@dataclass(frozen=True)
class Fit:
    """The tensors of a file beside those of a model."""

    taken: dict[str, Tensor]
    """The tensors that are taken, by their names in the model and in its types."""
    missing: dict[str, str]
    """The model's other tensors, with the reason; without those of a prior that is fitted afterwards."""
    left_over: dict[str, Tensor]
    """The tensors of the file that the model has no place for, by their names in the file."""
    cast: dict[str, str]
    """The types that tensors had in the file, where the model has others."""
    fits_prior: bool
    """True if the prior is to be fitted to the codes of the training images."""
    guesses: dict[str, str]
    """Rules that may be missing."""

    def lines(self, file: str, name: str) -> list[str]:
        """Say what was taken and what was not."""
        types = sorted(set(self.cast.values()))
        said = [f"{len(self.taken)} tensors of {file} are those of {name}"]
        if types:
            said[0] += f", {len(self.cast)} of them converted from {' and '.join(types)}"
        if self.left_over:
            names = [f"{old} {_shape(tensor)}" for old, tensor in self.left_over.items()]
            said.append(f"left over in {file}: {_listed(names)}")
        if self.fits_prior:
            said.append("the prior is fitted to the codes of the training images")
        return said

    def refusal(self, file: Path, name: str) -> str:
        """Say what is missing, and what may help."""
        reasons = [f"  {tensor}: {reason}" for tensor, reason in self.missing.items()]
        rest = [f"  and {len(reasons) - MAX_LISTED} more"] if len(reasons) > MAX_LISTED else []
        rules = [f"--map {shlex.quote(f'{old}={new}')}" for old, new in self.guesses.items()]
        lines = [f"{file} lacks {len(self.missing)} of the tensors of {name}:", *reasons[:MAX_LISTED], *rest]
        if rules:
            more = f" and {len(rules) - MAX_LISTED} rules more" if len(rules) > MAX_LISTED else ""
            lines.append(f"perhaps they have other names there: {' '.join(rules[:MAX_LISTED])}{more}")
        lines.append("--partial gives them initial weights")
        return "\n".join(lines)


def fitted(model: Autoencoder, tensors: Mapping[str, Tensor], rules: Mapping[str, str]) -> Fit:
    """Hold the tensors of a file against those of a model.

    Raises:
        ZooError: a rule fits no tensor, or two tensors get one name.
    """
    own = model.state_dict()
    names = renamed(tensors, rules)
    there = {new: old for old, new in names.items() if new}
    prior = {f"prior.{name}" for name in model.prior.state_dict()} if model.prior.fitted else set()
    fits_prior = bool(prior) and not prior & there.keys()
    taken, cast, missing = {}, {}, {}
    for name, tensor in own.items():
        if name not in there:
            if not (fits_prior and name in prior):
                missing[name] = f"{_shape(tensor)} is missing"
            continue
        found = tensors[there[name]]
        alike = found.dtype == tensor.dtype or (found.is_floating_point() and tensor.is_floating_point())
        if found.shape != tensor.shape or not alike:
            kinds = (f"{_kind(part.dtype)} {_shape(part)}" for part in (tensor, found))
            missing[name] = "expected {}, found {}".format(*kinds)
            continue
        taken[name] = found.to(tensor.dtype)
        if found.dtype != tensor.dtype:
            cast[name] = _kind(found.dtype)
    left_over = {old: tensors[old] for new, old in there.items() if new not in own}
    wanted = {name: tuple(own[name].shape) for name in missing if name not in there}
    guesses = guessed_rules(wanted, {name: tuple(tensor.shape) for name, tensor in left_over.items()})
    return Fit(taken, missing, left_over, cast, fits_prior, guesses)


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{', '.join(names[:MAX_LISTED])}{rest}"
