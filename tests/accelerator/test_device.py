"""The make-believe accelerator refuses what CUDA refuses and waits where CUDA waits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.accelerator.device import DEVICE, DeviceTensor, MixedDevices, Waited, accelerator
from zoo.models import StandardNormal

WAITS: dict[str, Callable[[Tensor], Any]] = {
    "item": lambda x: x[0].item(),
    "float": lambda x: float(x[0]),
    "if": lambda x: bool(x[0] > 0),
    "list": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "copy to the CPU": lambda x: torch.zeros(3).copy_(x),
    "copy from the CPU": lambda x: x.copy_(torch.zeros(3)),
    "a new tensor of numbers": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "new_tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "to the device": lambda x: torch.zeros(3).to(x.device),
    "print": lambda x: f"{x!r}",
    "format": lambda x: f"{x[0]:.3f}",
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "nonzero": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 1],
    "values for a mask": lambda x: x.__setitem__(x > 1, torch.ones(2, device=x.device)),
    "CPU indices": lambda x: x[torch.tensor([0, 1])],
    "masked_select": lambda x: x.masked_select(x > 1),
    "unique": lambda x: x.unique(),
    "bincount": lambda x: x.long().bincount(),
    "repeats": lambda x: x.repeat_interleave(x.long()),
    "cholesky": lambda x: torch.linalg.cholesky(torch.eye(2, device=x.device)),
    "eigenvalues": lambda x: torch.linalg.eigh(torch.eye(2, device=x.device)),
    "a distribution that checks": lambda x: torch.distributions.Normal(x, x, validate_args=True),
}

NO_WAITS: dict[str, Callable[[Tensor], Any]] = {
    "arithmetic": lambda x: (2 * x + torch.ones_like(x) / x).sum().sqrt_(),
    "a number on the CPU": lambda x: torch.tensor(2.0) * x,
    "where": lambda x: torch.where(x > 1, 0.0, x),
    "indices": lambda x: x[torch.tensor([0, 1]).to(x.device, non_blocking=True)],
    "a copy that does not block": lambda x: x.copy_(torch.zeros(3), non_blocking=True),
    "numbers by fill_": lambda x: x.fill_(3.0),
    "views": lambda x: x.view(3, 1).T[0, 1:].zero_(),
    "one_hot": lambda x: nn.functional.one_hot(torch.arange(3, device=x.device), 4),
    "noise": lambda x: torch.randn_like(x) + torch.rand(3, device=x.device),
    "gradients": lambda x: torch.autograd.grad(nn.Linear(3, 2).to(DEVICE, non_blocking=True)(x).sum(), x),
}

MIXED: dict[str, Callable[[Tensor], Any]] = {
    "sum": lambda x: x + torch.ones(3),
    "one number with a dimension": lambda x: x * torch.ones(1),
    "product": lambda x: torch.ones(2, 3) @ x,
    "stack": lambda x: torch.stack([x[0], torch.tensor(1.0)]),
    "cat": lambda x: torch.cat([x, torch.ones(1)]),
    "into the CPU": lambda x: torch.zeros(()).add_(x[0]),
    "out": lambda x: torch.exp(x, out=torch.zeros(3)),
    "device indices": lambda x: torch.ones(3)[x.long()],
    "index_select": lambda x: x.index_select(0, torch.tensor([0])),
    "values for indices": lambda x: x.__setitem__(torch.tensor([0, 1], device=DEVICE), torch.ones(2)),
    "a layer on the CPU": lambda x: nn.Linear(3, 2)(x),
    "a buffer on the CPU": lambda x: nn.functional.batch_norm(x[None], torch.zeros(3), torch.ones(3)),
    "a CPU generator": lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
    "a CPU generator in place": lambda x: x.normal_(generator=torch.Generator()),
    "a device generator": lambda x: torch.rand(3, generator=torch.Generator(DEVICE)),
}


def example() -> Tensor:
    return torch.tensor([1.0, 2.0, 3.0]).to(DEVICE).requires_grad_()


@pytest.mark.parametrize("what", WAITS)
def test_a_wait_is_noticed_where_it_happens(what: str) -> None:
    with accelerator() as device:
        x = example().detach()
        before = len(device.waits)
        WAITS[what](x)
        assert len(device.waits) > before
        assert f"{__file__}:" in device.waits[-1]
        with pytest.raises(Waited), device.without_waits():
            WAITS[what](x)


@pytest.mark.parametrize("what", NO_WAITS)
def test_what_stays_on_the_device_is_no_wait(what: str) -> None:
    with accelerator() as device:
        x = example()
        if what != "gradients":
            x = x.detach()
        with device.without_waits():
            result = NO_WAITS[what](x)
        assert all(isinstance(part, DeviceTensor) for part in (result if isinstance(result, tuple) else [result]))


@pytest.mark.parametrize("what", MIXED)
def test_the_cpu_cannot_be_mixed_in(what: str) -> None:
    with accelerator(), pytest.raises(MixedDevices):
        MIXED[what](example().detach())


def test_it_computes_what_the_cpu_computes() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    x = torch.rand(5, 1, 8, 8)

    def trained(layers: Any, x: Tensor) -> list[Tensor]:
        loss = layers(x).square().mean()
        (gradient,) = torch.autograd.grad(loss, layers[0].weight)
        return [loss.detach().cpu(), gradient.cpu(), layers[1].running_mean.cpu()]

    with accelerator():
        there = copy.deepcopy(layers).to(DEVICE)
        assert all(isinstance(value, DeviceTensor) and value.device == DEVICE for value in there.state_dict().values())
        found = trained(copy.deepcopy(there), x.to(DEVICE))
        assert torch.equal(there[1].running_mean.cpu(), torch.zeros(4))  # a copy of it was trained
        assert type(there.cpu()[1].running_mean) is Tensor
    torch.testing.assert_close(found, trained(layers, x))


def test_no_way_leads_to_numpy_but_through_the_cpu() -> None:
    with accelerator():
        x = example().detach()
        for convert in (lambda: x.numpy(), lambda: np.asarray(x)):
            with pytest.raises(TypeError, match="use Tensor.cpu"):
                convert()
        assert x.cpu().numpy().tolist() == [1, 2, 3]


def test_a_generator_of_the_device_draws_there() -> None:
    with accelerator():
        drawn = StandardNormal(3).sample(2, torch.Generator(DEVICE).manual_seed(0))
        assert drawn.device == DEVICE
        assert torch.equal(drawn.cpu(), StandardNormal(3).sample(2, torch.Generator().manual_seed(0)))


def test_nothing_of_it_stays() -> None:
    before = torch.Generator
    with accelerator():
        assert torch.Generator is not before
    assert torch.Generator is before
    assert not hasattr(torch, DEVICE.type)
    with pytest.raises((ModuleNotFoundError, NotImplementedError)):
        torch.zeros(3, device=DEVICE)
