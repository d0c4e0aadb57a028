"""Conditional models: what happens to labels on their way to encoder and decoder, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.helpers import CPU, SHIPPED_VARIANTS, tiny_model, tiny_recipe_of, trainer
from zoo.datasets import ImageSet, load_images
from zoo.entries.loading import load
from zoo.errors import ZooError
from zoo.inference.loops import epoch_permutation
from zoo.metrics import measure
from zoo.models.build import build
from zoo.training.batches import DeviceLoader, StreamingLoader, batch_sizes
from zoo.training.run import train
from zoo.training.trainer import Trainer

CONDITIONAL = [name for name in SHIPPED_VARIANTS if build(tiny_recipe_of(name)).classes]
every_conditional_variant = pytest.mark.parametrize("variant", CONDITIONAL)


def test_some_variant_is_conditional() -> None:
    assert "conditional_vae" in CONDITIONAL


@every_conditional_variant
def test_labels_reach_encoder_and_decoder(variant: str) -> None:
    model = build(tiny_recipe_of(variant)).eval()
    x, zero, one = torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    assert not torch.equal(model.encode(x, zero).mean, model.encode(x, one).mean)
    z = torch.randn(4, model.prior.latent_dim)
    assert not torch.equal(model.decode(z, zero).mean, model.decode(z, one).mean)
    assert torch.equal(model.given(one).reconstruct(x), model.reconstruct(x, one))
    assert torch.equal(model.given(one).decode(z).mean, model.decode(z, one).mean)
    several = model.given(one[:1]).decode(z).mean  # codes of one image
    assert torch.equal(several, model.decode(z, one).mean)
    assert model.given(one[:0]).decode(z[:0]).mean.shape == (0, *model.image_shape)


@every_conditional_variant
def test_samples_are_of_the_labels_asked_for_or_of_each_class_in_turn(variant: str) -> None:
    model = build(tiny_recipe_of(variant)).eval()
    seeded = [torch.Generator().manual_seed(3) for _ in range(3)]
    in_turn = model.sample(12, seeded[0])
    assert torch.equal(in_turn, model.sample(12, seeded[1], torch.arange(12) % model.classes))
    assert not torch.equal(in_turn, model.sample(12, seeded[2], torch.zeros(12, dtype=torch.int64)))


@every_conditional_variant
@pytest.mark.parametrize(
    ("labels", "words"), [(None, "give it the images' labels"), (torch.tensor([3, 10]), "from 0 to 9; got 3 to 10")]
)
def test_missing_and_unknown_labels_are_refused(labels: torch.Tensor | None, words: str, variant: str) -> None:
    with pytest.raises(ZooError, match=words):
        build(tiny_recipe_of(variant)).reconstruct(torch.rand(2, 1, 28, 28), labels)


@every_conditional_variant
def test_a_dataset_without_fitting_labels_is_refused_before_training(variant: str) -> None:
    recipe = tiny_recipe_of(variant)
    images = load_images(recipe.data, "train")
    with pytest.raises(ZooError, match="labels"):
        Trainer(recipe, replace(images, labels=None), images, CPU)
    with pytest.raises(ZooError, match="from 0 to 4; got 0 to 9"):
        trainer(tiny_recipe_of(variant, model=tiny_model(variant) | {"classes": 5}))


def test_every_image_keeps_its_label_whether_resident_or_streamed() -> None:
    images = ImageSet(torch.arange(23, dtype=torch.uint8).reshape(23, 1, 1, 1), torch.arange(23) + 100)
    for loader in (DeviceLoader(images, 5), StreamingLoader(images, 5, CPU)):
        loader.start(epoch_permutation(23, 0, 0), 0)
        for step, size in enumerate(batch_sizes(23, 5)):
            loader.next()
            x, labels = loader.batch(torch.tensor(step), size)
            assert labels is not None
            assert torch.equal(x.flatten() + 100, labels)


@every_conditional_variant
def test_it_trains_is_measured_and_loads_again(variant: str, tmp_path: Path) -> None:
    recipe = tiny_recipe_of(variant)
    model = load(train(recipe, tmp_path / "run", CPU))
    test = load_images(recipe.data, "test")
    assert model.config
    assert measure(model, test, recipe.data) == pytest.approx(model.config.metrics["test"], rel=1e-5)
    wrong = replace(test, labels=(test.labels + 1) % 10) if test.labels is not None else test
    assert measure(model, wrong, recipe.data) != pytest.approx(model.config.metrics["test"], rel=1e-9)


@pytest.mark.parametrize("variant", sorted(set(SHIPPED_VARIANTS) - set(CONDITIONAL)))
def test_labels_change_nothing_for_a_model_that_is_not_conditional(variant: str) -> None:
    model = build(tiny_recipe_of(variant)).eval()
    assert model.given(torch.tensor([1, 2])) is model
    assert model.given(None) is model
