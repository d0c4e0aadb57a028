"""The cross-entropy on a CPU: torch's values and derivatives of every order and direction, at every logit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.models.cross_entropy import binary_cross_entropy, cross_entropy_traced

LOGITS = torch.tensor([-1e30, -200.0, -30.0, -15.0, -3.0, -1e-6, 0.0, 1e-6, 0.7, 5.0, 16.0, 90.0, 200.0, 1e30])


def reference(logits: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none")


@pytest.mark.parametrize(("cross_entropy", "rounding"), [(binary_cross_entropy, 0), (cross_entropy_traced, 1e-7)])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_values_and_gradients_are_those_in_double_precision(target: float, cross_entropy: Any, rounding: float) -> None:
    logits, x = LOGITS.clone().requires_grad_(), torch.full_like(LOGITS, target)
    found = cross_entropy(logits, x)
    error = (found.double() - reference(LOGITS.double(), x.double())).abs()
    assert (error <= 1.2e-7 * (1 + LOGITS.abs())).all()
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    torch.testing.assert_close(gradient, torch.sigmoid(LOGITS) - target, rtol=1e-6, atol=rounding)


def test_derivatives_of_both_orders_and_directions_are_right() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(3, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    x = torch.rand(3, 5, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(binary_cross_entropy, (logits, x), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(binary_cross_entropy, (logits, x))


def test_it_can_be_mapped_and_differentiated_by_function_transforms() -> None:
    logits, x = torch.randn(4, 6), torch.rand(4, 6)
    mapped = torch.vmap(torch.func.grad(lambda row, target: binary_cross_entropy(row, target).sum()))(logits, x)
    torch.testing.assert_close(mapped, torch.sigmoid(logits) - x)
    jacobian = torch.func.jacrev(binary_cross_entropy)(logits[0], x[0])
    torch.testing.assert_close(jacobian, torch.diag(torch.sigmoid(logits[0]) - x[0]))


def test_it_can_be_compiled_without_its_own_derivatives() -> None:
    logits, x = torch.randn(4, 6), torch.rand(4, 6)
    compiled = torch.compile(binary_cross_entropy, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits, x), reference(logits, x), rtol=1e-6, atol=1e-7)
