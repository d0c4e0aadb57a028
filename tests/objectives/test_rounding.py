"""Every objective under bfloat16 autocast, as it is and compiled: near what float32 gives, as near as bfloat16 is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.objectives.test_limits import SHAPE, SHIPPED, model_for, objective
from zoo.models import Autoencoder
from zoo.objectives import Terms
from zoo.registry import POSTERIORS, PRIORS
from zoo.system.randomness import isolated_randomness

CPU = torch.device("cpu")
EPSILON = 2.0**-8
"""The largest error of a number that is rounded to bfloat16, relative to the number."""

OF_ALL_CODES = ("mmd", "sliced_wasserstein", "covariance", "variance")
"""The terms that are made of the differences of codes."""

SQUARED_LENGTH = 36.0
"""The squared length of the codes below: four dimensions around 3."""

OF_CODES = ("wae_mmd", "swae", "info_vae", "beta_tc", "dip")
"""The objectives with products over all codes of a batch, whose differences rounding would swallow."""


def images() -> Tensor:
    return torch.rand(32, *SHAPE, generator=torch.Generator().manual_seed(1))


def spread(model: Autoencoder) -> Autoencoder:
    """Codes of a trained model's size: their parts in a product are much larger than the differences."""
    heads = [module for name, module in model.encoder.named_modules() if name.endswith(("mu", "code"))]
    with torch.no_grad():
        for head in heads:
            assert isinstance(head, torch.nn.Linear)
            head.weight.mul_(4)
            head.bias.add_(3)
    return model


def measured(run: Callable[..., Terms], model: Autoencoder, half: bool) -> dict[str, Tensor]:
    with isolated_randomness(1, CPU), torch.autocast("cpu", torch.bfloat16, enabled=half):
        return {name: value.detach() for name, value in run(model, images(), torch.tensor(1.0)).items()}


def assert_near(half: dict[str, Tensor], full: dict[str, Tensor]) -> None:
    assert half.keys() == full.keys()
    for name, value in half.items():
        assert value.dtype == torch.float32, name
        least = 1e-3 if name.split()[-1] in OF_ALL_CODES else EPSILON * SQUARED_LENGTH  # nats are z² / 2
        torch.testing.assert_close(
            value, full[name], rtol=4 * EPSILON, atol=least, msg=f"{name}: {value}, {full[name]}"
        )


@pytest.mark.parametrize("name", SHIPPED)
def test_a_loss_in_bfloat16_is_near_that_in_float32(name: str) -> None:
    model = model_for(name) if name == "vq" else spread(model_for(name))
    made = objective(name, model)
    assert_near(measured(made, model, True), measured(made, model, False))


@pytest.mark.parametrize("axis", ["posterior", "prior"])
def test_densities_in_bfloat16_are_near_those_in_float32(axis: str) -> None:
    names = {"posterior": POSTERIORS, "prior": PRIORS}[axis].names()
    for name in [name for name in names if name not in {"point", "top_k", "fitted_gaussian"}]:
        model = model_for("elbo", **{axis: {"name": name}})
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        made = objective("elbo", model)
        assert_near(measured(made, model, True), measured(made, model, False))


@pytest.mark.slow
def test_compiled_objectives_of_a_batch_in_bfloat16_are_near_float32() -> None:
    model = spread(model_for("elbo"))
    made: dict[str, Any] = {name: objective(name, model) for name in OF_CODES}

    def together(model: Autoencoder, x: Tensor, epoch: Tensor) -> Terms:
        return {f"{of} {term}": value for of, each in made.items() for term, value in each(model, x, epoch).items()}

    compiled = torch.compile(together, fullgraph=True, dynamic=False, options={"fallback_random": True})  # same noise
    losses = measured(compiled, model, True)
    assert_near(losses, measured(together, model, True))
    assert_near(losses, measured(together, model, False))
