"""One step of several models that differ in their seeds, as one model with stacked parameters.

Parameters, buffers, the optimizer's state, the loss sums and the orders of the images of all S models are tensors with
a first dimension S. Each model's own tensors become views of them: whatever reads, measures, saves or restores one of
the models does so as if it were trained alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from zoo.datasets import as_float
from zoo.inference.running_means import RunningMeans
from zoo.models.autoencoder import Autoencoder
from zoo.objectives import Objective, Terms
from zoo.system.randomness import handed_while_traced
from zoo.training.accumulation import Gradients, accumulated
from zoo.training.batches import Batch, DeviceLoader
from zoo.training.hand_noise import Draw, HandedNoise, NotedDraws
from zoo.training.optimizer import Optimizer
from zoo.training.step import Step
from zoo.training.trainer import Trainer

STREAMS = 8
"""The streams of a GPU on which the models of a stack draw their random numbers."""


class ModelAndObjective(nn.Module):
    """Both as one module, so that the parameters and buffers of both can be exchanged."""

    def __init__(self, model: Autoencoder, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, x: Tensor, labels: Tensor | None, epoch: Tensor) -> Terms:
        """Return the loss terms of images (B, C, H, W)."""
        terms: Terms = self.objective(self.model.given(labels), x, epoch)
        return terms


class StackedLoader(DeviceLoader):
    """Gathers a batch of each of S models, each in its own order."""

    def __init__(self, loaders: Sequence[DeviceLoader]) -> None:
        super().__init__(loaders[0].data, loaders[0].size)
        self.order = torch.stack([loader.order for loader in loaders])  # (S, N + 2B)

    def batch(self, position: Tensor, images: int) -> Batch:
        """Return images (S, B, C, H, W) and labels (S, B); see :meth:`DeviceLoader.batch`."""
        chosen = self.order[:, position * self.size + self.offsets[:images]]
        return self.data.images[chosen], None if self.data.labels is None else self.data.labels[chosen]


class StackedStep(Step):
    """Takes a step of S trainers at once, with tensors of its own until :meth:`bind` makes the trainers' views of them.

    Args:
        trainers: the trainers, all at the same step; their recipes differ in the seed, their images are on the device.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first, own = trainers[0], trainers[0].take_step
        self.trainers = trainers
        self.model, self.objective, self.data = own.model, own.objective, own.data
        self.steps_per_epoch, self.half, self.group = own.steps_per_epoch, own.half, own.group
        self.accumulate, self.augment = own.accumulate, own.augment
        self.done = own.done.clone()
        modules = [ModelAndObjective(trainer.model, trainer.objective) for trainer in trainers]
        self.module = modules[0]
        loaders = [trainer.loader for trainer in trainers if isinstance(trainer.loader, DeviceLoader)]
        self.loader = StackedLoader(loaders)
        self.draws = {size: self.note_draws(size) for size in dict.fromkeys(first.sizes)}
        self.noise = {
            size: [[draw().new_empty((len(trainers), *draw().shape)) for draw in draws] for draws in parts]
            for size, parts in self.draws.items()
        }
        drawn = self.augment or self.data.binarization == "dynamic"
        self.drawn_images = {
            size: torch.zeros(len(trainers), size, *first.train_set.images.shape[1:], device=first.device)
            for size in (first.sizes if drawn else ())
        }
        """The images as numbers (S, B, C, H, W) by the size of the batch, where they depend on random numbers."""
        parameters = [dict(module.named_parameters()) for module in modules]
        buffers = [dict(module.named_buffers()) for module in modules]
        self.parameters = {
            name: nn.Parameter(torch.stack([own[name].detach() for own in parameters]), parameter.requires_grad)
            for name, parameter in parameters[0].items()
        }
        self.buffers = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}
        self.optimizer = Optimizer(
            first.recipe.optimizer,
            [(name.removeprefix("model."), parameter) for name, parameter in self.parameters.items()],
            self.steps_per_epoch,
            stacked=True,
        )
        self.names += self.optimizer.logs
        self.means = RunningMeans(self.done.device, len(trainers))
        self.means.name_terms(self.names)
        for trainer in trainers:
            if not trainer.means.names:
                trainer.means.name_terms(self.names)
        optimizers, means = [trainer.optimizer for trainer in trainers], [trainer.means for trainer in trainers]
        states = [
            (tensor, [optimizer.state[name][index] for optimizer in optimizers])
            for name, tensors in self.optimizer.state.items()
            for index, tensor in enumerate(tensors)
            if name != "step"
        ]
        self.parts: list[tuple[Tensor, Sequence[Tensor]]] = [
            *((whole, [own[name] for own in parameters]) for name, whole in self.parameters.items()),
            *((whole, [own[name] for own in buffers]) for name, whole in self.buffers.items()),
            *states,
            (self.means.sums.T, [own.sums for own in means]),
            (self.means.finite.T, [own.finite for own in means]),
            (self.loader.order, [loader.order for loader in loaders]),
        ]
        """Each stacked tensor (S, ...) with the tensors of the trainers that it is made of."""

    def note_draws(self, size: int) -> list[list[Draw]]:
        """Return what each part of a step on ``size`` images draws besides the images, and name the terms."""
        data = self.loader.data.first(size)
        x = as_float(data.images, self.data)
        draws: list[list[Draw]] = []
        for part in self.batch_parts(size):
            labels = None if data.labels is None else data.labels[part]
            with torch.no_grad(), self.precision(), NotedDraws() as noted:
                self.names = list(self.module(x[part], labels, self.done / self.steps_per_epoch))
            draws.append(noted.draws)
        return draws

    @torch.no_grad()
    def load(self) -> None:
        """Copy the state of all trainers into the stacked tensors."""
        first = self.trainers[0]
        for whole, parts in self.parts:
            whole.copy_(torch.stack([part.detach() for part in parts]))
        for step, own in zip(self.optimizer.state.get("step", []), first.optimizer.state.get("step", []), strict=True):
            step.copy_(own)
        self.optimizer.rate.copy_(first.optimizer.rate)
        self.done.copy_(first.take_step.done)

    def bind(self) -> None:
        """Make every tensor of the trainers a view of the stacked one; what is the same for all, the same tensor."""
        self.load()
        for whole, parts in self.parts:
            for own, part in zip(whole.detach(), parts, strict=True):
                part.data = own
        for trainer in self.trainers:
            trainer.take_step.done = self.done
            trainer.optimizer.rate = self.optimizer.rate
            if "step" in self.optimizer.state:
                trainer.optimizer.state["step"] = self.optimizer.state["step"]

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators of a GPU that the step draws from."""
        return [trainer.context.generator for trainer in self.trainers] if self.on_cuda else []

    @cached_property
    def streams(self) -> Sequence[torch.cuda.Stream]:
        """The streams of a GPU that draw beside each other; none elsewhere."""
        return [torch.cuda.Stream(self.done.device) for _ in self.trainers[:STREAMS]] if self.on_cuda else []

    def draw(self, images: int) -> None:
        """Draw the random numbers of the next step, those of each model as when it is trained alone."""
        if not (any(self.draws[images]) or self.drawn_images):
            return
        # Of the orders that the step owns: a captured graph goes on reading what it has read.
        batch = self.loader.batch(self.done % self.steps_per_epoch, images)[0] if self.drawn_images else None
        for index, trainer in enumerate(self.trainers):
            with trainer.context.active(), self.beside(index):
                if batch is not None:
                    self.drawn_images[images][index].copy_(self.as_numbers(batch[index]))
                for parts in zip(self.noise[images], self.draws[images], strict=True):
                    for noise, draw in zip(*parts, strict=True):
                        draw.into(noise[index])
        for stream in self.streams:
            torch.cuda.current_stream().wait_stream(stream)

    def beside(self, index: int) -> AbstractContextManager[object]:
        """Return the context in which what a model draws is computed beside what others draw: it leaves a GPU idle."""
        if not self.streams:
            return nullcontext()
        stream = self.streams[index % len(self.streams)]
        if index < len(self.streams):
            stream.wait_stream(torch.cuda.current_stream())
        return torch.cuda.stream(stream)

    def update(self, images: int) -> None:
        """Take the next step of every model, with the numbers that :meth:`draw` has drawn."""
        batch, labels = self.loader.batch(self.done % self.steps_per_epoch, images)
        x = self.drawn_images[images] if self.drawn_images else as_float(batch, self.data)
        tensors = {**self.parameters, **self.buffers}
        each = vmap(self.terms, in_dims=(0, 0, None if labels is None else 0, 0, None), randomness="error")

        def backward(index: int, part: slice) -> tuple[Terms, Gradients]:
            own, noise = None if labels is None else labels[:, part], tuple(self.noise[images][index])
            with self.precision():
                terms = each(tensors, x[:, part], own, noise, self.done / self.steps_per_epoch)
            return terms, torch.autograd.grad(terms["loss"].sum(), self.optimizer.parameters, allow_unused=True)

        terms, gradients = accumulated(self.batch_parts(images), backward)
        logged = self.optimizer.update(gradients, self.done)
        self.done.add_(1)
        self.means.add(terms | logged, images)

    def terms(
        self, tensors: dict[str, Tensor], x: Tensor, labels: Tensor | None, noise: Sequence[Tensor], epoch: Tensor
    ) -> Terms:
        """Return the loss terms of one of the models, whose parameters and buffers are given."""
        # The compiler does not see what a function mode changes; it sees what the zoo's code is handed.
        with handed_while_traced(noise) if torch.compiler.is_compiling() else HandedNoise(noise):
            terms: Terms = functional_call(self.module, tensors, (x, labels, epoch))
        return terms
