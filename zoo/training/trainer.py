"""The training loop: one recipe, one device, from any step to the last.

Within an epoch only a checkpoint waits for the device. A trainer's whole state can be read at any step and restored
later; the run that continues from there ends with the same bits.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator

import torch

from zoo.inference.loops import epoch_permutation
from zoo.inference.running_means import ReadMeans
from zoo.system.randomness import draws_by_default
from zoo.training.batches import equal_batches
from zoo.training.divergence import Divergence, all_finite, check_finite
from zoo.training.execution import choose_runner
from zoo.training.layout_choice import choose_layout
from zoo.training.optimizer import GRADIENT_NORM
from zoo.training.run_state import EpochRecord, RunState
from zoo.training.state import copied


class Trainer(RunState):
    """Trains the model of one recipe; the arguments are those of :class:`~zoo.training.run_state.RunState`."""

    def prepare(self) -> str:
        """Choose how to run the steps, which warms up and may compile, and return a description. No state changes."""
        self.training_mode()
        self.context.draw_from_own(False)  # what is compiled as a trial draws from torch's default generators
        with self.context.active():
            before = copied(self.state())
            self.loader.start(self.order(), 0)
            fresh = self.step == 0
            self.layout = choose_layout(
                self.take_step, self.recipe.execution, self.sizes, self.steps_left, self.layout, fresh, self.compile_key
            )
            self.runner = choose_runner(
                self.take_step,
                self.recipe.execution,
                self.sizes,
                self.steps_left,
                self.was_compiled,
                self.context.reset_generator,
                self.compile_key,
            )
            self.was_compiled = self.runner.compiled
            self.restore(
                before | {"compiled": self.was_compiled, "layout": self.layout, "wall_seconds": self.wall_seconds}
            )
            if self.device.type == "cuda":
                torch.cuda.empty_cache()  # the memory of the runner that was not chosen
        self.context.draw_from_own(self.may_draw_from_own)
        laid_out = f", convolutions with {self.layout} images" if self.layout else ""
        return self.runner.description + laid_out

    @property
    def may_draw_from_own(self) -> bool:
        """True if no step needs torch's default generators: nothing of it is compiled, captured or draws by itself."""
        parts = (
            self.model,
            self.objective,
            self.optimizer.rule.build,
            *self.take_step.augment.functions,
            *self.objective.corrupt.functions,
        )
        compiles = self.recipe.execution.compile == "on" or bool(self.was_compiled)
        return self.device.type == "cpu" and not compiles and not any(map(draws_by_default, parts))

    @property
    def compile_key(self) -> str:
        """Text that is equal for trainers whose steps compile to the same code: they differ in seed and epochs."""
        recipe = self.recipe.to_dict()
        sections = [recipe[name] for name in ("data", "model", "objective", "optimizer")]
        execution = [recipe["execution"][name] for name in ("precision", "convolutions")]
        training = self.recipe.training
        numbers = [training.batch_size, training.accumulate, *training.freeze, len(self.train_set), str(self.device)]
        return json.dumps([*sections, recipe["training"].get("augment"), *execution, *numbers], sort_keys=True)

    def order(self) -> torch.Tensor:
        """Return the order of the images in the current epoch, int64 (N,)."""
        if self.drawn_order is None or self.drawn_order[0] != self.epoch:
            order = epoch_permutation(len(self.train_set), self.recipe.training.seed, self.epoch)
            self.drawn_order = self.epoch, order
        return self.drawn_order[1]

    def train_steps(self) -> Iterator[int]:
        """Enqueue the remaining steps of the epoch on the device, and yield after each portion its number of images.

        The steps may still be running when this ends. It may be left at any point; the next call continues from there.
        """
        if not self.steps_left:
            return
        if not self.runner:
            self.prepare()
        assert self.runner
        self._count_time(from_now=True)
        with self.context.active():
            self.optimizer.set_rate(self.epoch, self.recipe.training.planned(self.epoch))
            self.loader.start(self.order(), self.step % self.steps_per_epoch)
        self.training_mode()
        sizes = self.sizes[self.step % self.steps_per_epoch :][: self.steps_left]
        for steps, images in equal_batches(sizes, self.runner.max_steps):
            with self.context.active():
                self.runner.run(steps, images)
            self.step += steps
            self._count_time()
            yield steps * images
        if self.steps_left:
            self.order()  # of the next epoch, while the device is busy with this one

    def end_epoch(self) -> EpochRecord:
        """Measure test and validation images and wait for the device, once, with everything that is read of the epoch.

        Raises:
            Divergence: a term was NaN or infinite; the message names the step and the term.
        """
        epoch = (self.step - 1) // self.steps_per_epoch
        # Annealing is as in the last step, so that the curves of training and test show the same loss. Validation
        # images are measured with the whole weight of every term, so that epochs can be compared.
        now = (self.step - 1) / self.steps_per_epoch
        with self.context.active():
            own = self.means.sums.clone()
            (sums,) = self.group.summed([own])
            self.means.sums.copy_(sums)
            rate = self.optimizer.set_rate(epoch, self.recipe.training.planned(epoch)) * self.optimizer.warmup(
                self.step - 1
            )
            with self.optimizer.averaged():
                sets = {"train": self.means, "test": self.evaluation.run(now)}
                if self.validation:
                    sets["validation"] = self.validation.run(self.objective.annealed)
            weights_finite = all_finite(self.optimizer.parameters).to(self.means.sums.dtype)
            numbers = torch.cat([*(means.packed() for means in sets.values()), weights_finite[None]]).tolist()
            read: dict[str, ReadMeans] = {}
            for name, means in sets.items():
                size = 2 * len(means.sums)
                read[name], numbers = means.unpacked(numbers[:size]), numbers[size:]
            row: EpochRecord = {"epoch": epoch + 1, "step": self.step, "learning_rate": rate}
            row |= {name: found.means() for name, found in read.items()}
            if GRADIENT_NORM in row["train"]:
                row["gradient_norm"] = row["train"].pop(GRADIENT_NORM)
            self.means.sums.copy_(own)  # of a part of an epoch, which may go on
            check_finite(read["train"], bool(numbers[0]), self.group, self.device, self.step, self.steps_per_epoch)
        for name in [name for name in read if name != "train"]:
            broken = [term for term, value in row[name].items() if not math.isfinite(value)]
            if self.group.largest(len(broken), self.device):  # BatchNorm's averages, say, which training does not use
                what = f"the term {(broken or ['loss'])[-1]!r} of the {name} images was"
                raise Divergence.at(what, self.step, self.steps_per_epoch)
        if self.between_epochs:  # else a part of one was measured, which may go on
            with self.context.active():
                self.means.clear()
                with self.optimizer.averaged():
                    if self.selection:
                        self.selection.consider(self.epoch, row["validation"], self.model.state_dict())
                    self.snapshots.take(self.model, self.epoch, last=not self.steps_left)
        self._count_time()
        row["seconds"] = round(self.seconds, 3)
        self.history.append(row)
        return row

    def run_epoch(self, on_step: Callable[[int], bool] = lambda images: False) -> EpochRecord | None:
        """Train to the end of the epoch and measure the test images.

        Args:
            on_step: called after each portion with its number of images; returning True stops the epoch.

        Returns:
            The epoch's record, or None if it was stopped on the way; another call continues it.

        Raises:
            Divergence: as :meth:`end_epoch`.
        """
        for images in self.train_steps():
            if on_step(images) and self.step % self.steps_per_epoch:
                return None
        return self.end_epoch()

    def check_finite(self) -> None:
        """Check that every term of this epoch's steps and every weight is finite; this waits for the device.

        Raises:
            Divergence: a term or a weight is not finite; the message names the step.
        """
        with self.context.active():
            finite = bool(all_finite(self.optimizer.parameters))
            check_finite(self.means.read(), finite, self.group, self.device, self.step, self.steps_per_epoch)

    def _count_time(self, from_now: bool = False) -> None:
        now = time.perf_counter()
        if not from_now:
            self.seconds += now - self.clock
        self.clock = now
