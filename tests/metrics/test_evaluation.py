"""Metrics: in eval mode, without touching the random numbers, the same for every cut into batches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import SHIPPED_VARIANTS, tiny_recipe, tiny_recipe_of, trainer
from zoo.datasets import load_images
from zoo.errors import ZooError
from zoo.inference.loops import codes, running_terms
from zoo.metrics import EvalContext, evaluate, measure
from zoo.models.autoencoder import Model
from zoo.models.bounds import elbo_terms
from zoo.models.build import build

RECIPE = tiny_recipe(model={"variant": "bn_vae"})
TEST = load_images(RECIPE.data, "test")


def test_the_metrics_are_those_of_a_plain_computation() -> None:
    torch.manual_seed(0)
    model = build(RECIPE).eval()
    found = measure(model, TEST, RECIPE.data)
    x = TEST.images.float() / 255
    with torch.no_grad():
        posterior = model.encode(x)
        assert found["mse"] == pytest.approx((x - model.reconstruct(x)).square().mean().item(), rel=1e-5)
        assert found["kl"] == pytest.approx(posterior.kl_per_dimension(model.prior).sum(dim=1).mean().item(), rel=1e-5)
        noisy = torch.stack([-model.decode(posterior.rsample()).log_prob(x).mean() for _ in range(20)])
    assert found["reconstruction"] == pytest.approx(noisy.mean().item(), rel=0.02)
    assert found["negative_elbo"] == pytest.approx(found["reconstruction"] + found["kl"], rel=1e-6)
    assert list(found) == ["negative_elbo", "reconstruction", "kl", "mse", "psnr", "active_units"]


def test_measuring_is_repeatable_and_leaves_mode_weights_and_random_numbers_alone() -> None:
    model = build(RECIPE).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    first = measure(model, TEST, RECIPE.data)
    assert torch.equal(torch.rand(2), expected)
    assert measure(model, TEST, RECIPE.data) == first
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_a_metric_does_not_depend_on_how_the_set_is_cut_into_batches(batch_size: int) -> None:
    model = build(RECIPE).eval()

    def terms(model: Model, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "mse": (x - model.reconstruct(x)).square().mean(),
            "rate": elbo_terms(model, x)[1].mean(),
        }

    whole = running_terms(TEST, RECIPE.data, model, terms).read().means()
    parts = running_terms(TEST, RECIPE.data, model, terms, batch_size).read().means()
    assert parts == pytest.approx(whole, rel=1e-5)


def test_a_deterministic_model_has_no_elbo() -> None:
    recipe = tiny_recipe(model={"variant": "ae"}, objective={"name": "reconstruction"})
    assert set(measure(build(recipe), TEST, recipe.data)) == {"mse", "psnr"}


def test_a_posterior_of_ones_own_needs_no_measure_of_use() -> None:
    @dataclass
    class Mine:
        stochastic = False
        mean: torch.Tensor

        def rsample(self) -> torch.Tensor:
            return self.mean

    model = build(tiny_recipe())
    model.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))
    plain = model.encoder.forward
    model.encoder.forward = lambda x: Mine(plain(x))  # type: ignore[method-assign]
    assert set(measure(model, TEST, tiny_recipe().data)) == {"mse", "psnr"}


def test_labels_beyond_the_classes_are_not_measured() -> None:
    recipe = tiny_recipe(model={"variant": "conditional_vae", "classes": 10})
    assert TEST.labels is not None
    with pytest.raises(ZooError, match="from 0 to 9"):
        measure(build(recipe), replace(TEST, labels=TEST.labels + 37), recipe.data)


def test_an_objective_is_measured_at_its_epoch() -> None:
    fresh = trainer(tiny_recipe(objective={"name": "elbo", "annealing": {"name": "linear", "epochs": 10}}))
    early, late = (fresh.evaluation.run(epoch).read().means() for epoch in (0, 10))
    assert early["loss"] == pytest.approx(early["reconstruction"])
    assert late["loss"] == pytest.approx(late["reconstruction"] + late["kl"])


def test_codes_are_the_posterior_means() -> None:
    model = build(RECIPE).eval()
    found = codes(model, TEST, RECIPE.data)
    torch.testing.assert_close(found, model.encode(TEST.images.float() / 255).mean)
    assert not found.requires_grad


@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_families_share_posteriors_and_measure_what_each_measures_alone(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe_of(variant)
    model, passes = build(recipe), list[int]()
    images, data = load_images(recipe.data, "test"), recipe.data
    original = type(model).encode

    def encode(self: Any, x: torch.Tensor, *labels: Any) -> Any:
        passes.append(len(x))
        return original(self, x, *labels)

    monkeypatch.setattr(type(model), "encode", encode)
    alone = {}
    for family in ("elbo", "pixels", "usage"):
        alone |= evaluate(EvalContext(model, images, data), [family]).metrics
    separate = len(passes)
    passes.clear()
    assert evaluate(EvalContext(model, images, data), ["elbo", "pixels", "usage"]).metrics == alone
    assert len(passes) == 1 < separate
    passes.clear()
    monkeypatch.setattr("zoo.metrics._posteriors.KEPT_BYTES", 1)
    assert evaluate(EvalContext(model, images, data), ["elbo", "pixels", "usage"]).metrics == alone
    assert len(passes) == separate
