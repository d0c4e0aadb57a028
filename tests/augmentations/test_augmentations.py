"""Augmentations: torchvision's transforms image by image, the ranges of what is drawn, and trainings with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import RandomResizedCrop
from torchvision.transforms.v2 import functional as tv

import zoo
from tests.helpers import command, tiny_fields, tiny_recipe, trainer
from zoo.augmentations import Augmentations, between
from zoo.augmentations.brightness import BrightnessConfig, brightened
from zoo.augmentations.contrast import ContrastConfig, with_contrast
from zoo.augmentations.crop_resize import CropResizeConfig, rectangles, resized_crop
from zoo.augmentations.flip import FlipConfig
from zoo.augmentations.noise import NoiseConfig
from zoo.augmentations.rotation import RotationConfig, rotated
from zoo.augmentations.shift import ShiftConfig, shifted
from zoo.errors import ZooError
from zoo.registry import AUGMENTATIONS
from zoo.schema.base import AugmentationConfig
from zoo.schema.recipe import parse_recipe
from zoo.system.randomness import Generators, drawing_from
from zoo.training.stack import stacked_runner
from zoo.training.state import copied
from zoo.training.step import Step

ALL: list[dict[str, Any]] = [
    {"name": "flip"},
    {"name": "shift", "horizontal": 0.2},
    {"name": "crop_resize", "scale": [0.5, 1.0]},
    {"name": "rotation", "degrees": 20.0, "probability": 0.7},
    {"name": "brightness"},
    {"name": "contrast"},
    {"name": "noise", "sigma": 0.05},
]
"""Every augmentation of the zoo, one after another."""


def training(**fields: Any) -> dict[str, Any]:
    return {"epochs": 2, "batch_size": 50, "augment": ALL, **fields}


@pytest.fixture(params=[(5, 1, 9, 9), (4, 3, 8, 11)], ids=["grey", "colour"])
def x(request: pytest.FixtureRequest) -> Tensor:
    """Images in [0, 1], square and grey, or neither."""
    return torch.rand(*request.param, generator=torch.Generator().manual_seed(0))


def numbers(count: int, low: float, high: float) -> Tensor:
    return torch.linspace(low, high, count)


def each(x: Tensor, change: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """Change one image after another, by torchvision's functional transforms, with the numbers of that image."""
    rows = zip(x, *(values.tolist() for values in arguments), strict=True)
    return torch.stack([change(image, *values) for image, *values in rows])


def test_flips_are_torchvisions(x: Tensor) -> None:
    for direction, expected in (("horizontal", tv.horizontal_flip), ("vertical", tv.vertical_flip)):
        config = FlipConfig(direction=direction, probability=1.0)  # type: ignore[arg-type]
        assert torch.equal(Augmentations([config])(x), each(x, expected))


def test_shifts_are_torchvisions(x: Tensor) -> None:
    right, down = numbers(len(x), -4, 5).round(), numbers(len(x), 3, -2).round()
    expected = each(
        x, lambda image, a, b: tv.affine(image, angle=0, translate=[a, b], scale=1, shear=[0, 0]), right, down
    )
    torch.testing.assert_close(shifted(x, right, down), expected)


def test_crops_are_torchvisions(x: Tensor) -> None:
    top, left = torch.arange(len(x)) % 3, torch.arange(len(x)) % 2
    height, width = 2 + torch.arange(len(x)) % 5, 1 + torch.arange(len(x))
    expected = each(
        x, lambda image, *box: tv.resized_crop(image, *box, size=list(x.shape[2:])), top, left, height, width
    )
    torch.testing.assert_close(resized_crop(x, *(part.float() for part in (top, left, height, width))), expected)


def test_rotations_are_torchvisions(x: Tensor) -> None:
    degrees = numbers(len(x), -170, 100)
    bilinear = InterpolationMode.BILINEAR
    expected = each(x, lambda image, angle: tv.rotate(image, angle, interpolation=bilinear), degrees)
    torch.testing.assert_close(rotated(x, degrees), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(brightened, tv.adjust_brightness), (with_contrast, tv.adjust_contrast)], ids=["b", "c"]
)
def test_brightness_and_contrast_are_torchvisions(x: Tensor, ours: Any, theirs: Any) -> None:
    factor = numbers(len(x), 0, 2.5)
    torch.testing.assert_close(ours(x, factor), each(x, theirs, factor))


def test_noise_is_torchvisions(x: Tensor) -> None:
    torch.manual_seed(3)
    expected = tv.gaussian_noise(x, sigma=0.3)
    torch.manual_seed(3)
    torch.testing.assert_close(Augmentations([NoiseConfig(sigma=0.3)])(x), expected)


def test_rectangles_are_distributed_as_torchvisions() -> None:
    x = torch.zeros(4000, 1, 24, 16)
    config = CropResizeConfig(scale=(0.3, 0.9), ratio=(0.5, 1.5))
    torch.manual_seed(0)
    found = torch.stack(rectangles(config, x), dim=1)
    transform = RandomResizedCrop(8, scale=config.scale, ratio=config.ratio)
    boxes = [transform.make_params([x[0]]) for _ in range(1500)]
    theirs = torch.tensor([[float(box[name]) for name in ("top", "left", "height", "width")] for box in boxes])
    for ours, expected in zip(found.T, theirs.T, strict=True):
        error = 5 * (ours.var() / len(ours) + expected.var() / len(expected)).sqrt()
        assert abs(ours.mean() - expected.mean()) < error
        assert ours.std() == pytest.approx(expected.std().item(), rel=0.1)
    top, left, height, width = found.T
    assert (top >= 0).all() and (top + height <= 24).all() and (left >= 0).all() and (left + width <= 16).all()


@pytest.mark.parametrize("ratio", [(4.0, 5.0), (0.1, 0.2), (0.9, 1.1)])
def test_where_no_rectangle_fits_it_is_the_one_in_the_middle(ratio: tuple[float, float]) -> None:
    for shape in ((1, 1, 20, 30), (1, 1, 30, 20), (1, 1, 16, 16)):
        transform = RandomResizedCrop(8, scale=(1.0, 1.0), ratio=ratio)
        expected = transform.make_params([torch.zeros(shape)])
        found = rectangles(CropResizeConfig(scale=(1.0, 1.0), ratio=ratio), torch.zeros(shape))
        assert [int(part) for part in found] == [expected[name] for name in ("top", "left", "height", "width")]


def test_what_is_drawn_lies_in_the_stated_range_and_fills_it() -> None:
    x = torch.full((2000, 1, 8, 10), 0.4)
    torch.manual_seed(0)
    drawn = between(-3.0, 5.0, x)
    assert (drawn.min() >= -3, drawn.max() < 5, drawn.min() < -2.9, drawn.max() > 4.9) == (True,) * 4
    rows = Augmentations([ShiftConfig(horizontal=0.2, vertical=0.25)])(x)
    empty_rows, empty_columns = (rows.amax(dim) == 0 for dim in ((1, 3), (1, 2)))
    assert (empty_rows.sum(1).max(), empty_columns.sum(1).max()) == (2, 2)
    bright = Augmentations([BrightnessConfig(strength=0.5)])(x)[:, 0, 0, 0]
    assert 0.2 <= bright.min() < 0.21 and 0.59 < bright.max() <= 0.6
    once = Augmentations([BrightnessConfig(strength=0.5, probability=0.25)])(x)[:, 0, 0, 0]
    assert (once != 0.4).float().mean() == pytest.approx(0.25, abs=0.05)
    assert torch.allclose(Augmentations([ContrastConfig(strength=0.5)])(x), x)  # of one grey
    turned = Augmentations([RotationConfig(degrees=3.0)])(torch.ones(500, 1, 9, 9))
    assert (turned[:, :, 2:7, 2:7] > 0.999).all() and (turned[:, :, 0, 0] < 0.98).any()


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_images_stay_what_they_were_and_in_range_and_the_seed_decides(name: str, x: Tensor) -> None:
    augment, before = Augmentations([AUGMENTATIONS.get(name).config()]), x.clone()
    first, again, other = (augment_from(augment, x, Generators.seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(x, before) and first.shape == x.shape and first.dtype == x.dtype
    assert 0 <= first.min() and first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first, x)


def augment_from(augment: Augmentations, x: Tensor, generators: Generators) -> Tensor:
    with drawing_from(generators):
        return augment(x)


def test_a_recipe_without_augmentations_is_the_recipe_of_before() -> None:
    plain = tiny_recipe()
    assert "augment" not in plain.to_dict()["training"]
    assert plain == tiny_recipe(training={"epochs": 2, "batch_size": 50, "augment": []})
    recipe = tiny_recipe(training=training())
    assert recipe.digest() != plain.digest()
    again = parse_recipe(recipe.to_dict())
    assert again == recipe and again.digest() == recipe.digest()
    assert [item["name"] for item in recipe.to_dict()["training"]["augment"]] == [item["name"] for item in ALL]
    assert recipe.to_dict()["training"]["augment"][0]["probability"] == 0.5  # every default is written out


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ([{"name": "rotatoin"}], "training.augment.0.name: unknown augmentation 'rotatoin'; did you mean 'rotation'"),
        ([{"name": "flip"}, {"name": "rotation", "degree": 3.0}], "training.augment.1.degree: unknown field; did you"),
        ([{"name": "flip", "probability": 0.0}], "training.augment.0.probability: input should be greater than 0"),
        ([{"name": "crop_resize", "scale": [0.9, 0.5]}], "scale: the smallest value, 0.9, is larger than the largest"),
        (["flip"], 'training.augment.0.name: required, the name of the augmentation; write {"name": "flip"}'),
        ({"name": "flip"}, "training.augment: "),
        ([{"name": "flip"}] * 33, "training.augment: "),
    ],
)
def test_mistakes_are_named_with_their_place(augment: Any, message: str) -> None:
    with pytest.raises(ZooError) as error:
        parse_recipe(tiny_fields(training=training(augment=augment)), "r.json")
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_augmentations_are_set_from_the_command_line(recipe_file: Callable[..., Path]) -> None:
    done = command("train", recipe_file(), "--set", 'training.augment=[{"name": "noise"}]', "--print-recipe")
    assert done.returncode == 0, done.stderr
    assert '"sigma": 0.1' in done.stdout
    done = command("train", recipe_file(), "--set", 'training.augment=[{"name": "noise", "sigma": -1}]', "--dry-run")
    assert (done.returncode, "training.augment.0.sigma: input should be greater than 0" in done.stderr) == (2, True)


def test_training_images_are_changed_and_test_images_never(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = Augmentations.__call__

    def call(self: Augmentations, x: Tensor) -> Tensor:
        if self:
            seen.append(len(x))
        return original(self, x)

    monkeypatch.setattr(Augmentations, "__call__", call)
    run = trainer(tiny_recipe(training=training(epochs=1)))
    for _ in run.train_steps():
        pass
    assert sum(seen) == 230
    with_none = trainer(tiny_recipe(training={"epochs": 1, "batch_size": 50}))
    with_none.model.load_state_dict(run.model.state_dict())
    assert run.evaluation.run(0.0).read().means() == with_none.evaluation.run(0.0).read().means()
    assert sum(seen) == 230


def test_a_training_with_augmentations_stopped_on_the_way_goes_on_to_the_same_bits() -> None:
    recipe = tiny_recipe(training=training())
    stopped, again, whole, plain = (trainer(each) for each in (recipe, recipe, recipe, tiny_recipe()))
    steps = stopped.train_steps()
    for _ in range(3):
        next(steps)
    again.restore(copied(stopped.state()))
    for run in (again, whole, plain):
        while not run.done:
            run.run_epoch()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
        assert not torch.equal(tensor, plain.model.state_dict()[name])


def test_seeds_stacked_are_augmented_as_each_alone() -> None:
    recipes = [tiny_recipe(training=training(seed=seed), optimizer={"name": "sgd"}) for seed in (0, 1)]
    together = [trainer(recipe) for recipe in recipes]
    runner = stacked_runner(together)
    for each_run in together:
        each_run.loader.start(each_run.order(), 0)
    for size in together[0].sizes:
        with together[0].context.active():
            runner.run(1, size)
    for recipe, found in zip(recipes, together, strict=True):
        alone = trainer(recipe)
        for _ in alone.train_steps():
            pass
        assert found.means.read().means() == pytest.approx(alone.means.read().means(), rel=1e-4)
        for name, mine in found.context.random_state().items():
            assert torch.equal(mine, alone.context.random_state()[name])


def test_images_are_augmented_before_they_are_binarised() -> None:
    run = trainer(tiny_recipe(data={"name": "tiny", "binarization": "dynamic"}, training=training()))
    step: Step = run.take_step
    values = step.as_numbers(run.train_set.images[:20]).unique()
    assert values.tolist() == [0, 1]


class MineConfig(AugmentationConfig):
    """Images made dark."""

    name: Literal["mine"] = "mine"
    wrong: bool = False


def mine(config: MineConfig, x: Tensor) -> Tensor:
    """Return black images, or, if asked to, something else."""
    return x[:, :, :-1] if config.wrong else torch.zeros_like(x)


def test_an_augmentation_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AUGMENTATIONS, "_registered", dict(AUGMENTATIONS._registered))
    zoo.register_augmentation(config=MineConfig)(mine)
    run = trainer(tiny_recipe(training=training(augment=[{"name": "mine"}])))
    assert not run.may_draw_from_own  # which random numbers it draws is not known
    assert run.take_step.as_numbers(run.train_set.images[:3]).max() == 0
    wrong = trainer(tiny_recipe(training=training(augment=[{"name": "mine", "wrong": True}])))
    with pytest.raises(
        ZooError, match=r"'mine' must return images \(50, 1, 28, 28\), torch.float32; it returned \(50,"
    ):
        wrong.take_step(50)


@pytest.mark.slow
def test_a_compiled_step_augments_alike() -> None:
    whole: dict[str, dict[str, float]] = {}
    for how in ("off", "on"):
        run = trainer(tiny_recipe(training=training(epochs=1), execution={"compile": how}))
        run.prepare()
        assert run.was_compiled == (how == "on")
        row = run.run_epoch()
        assert row
        whole[how] = row["train"]
    assert whole["on"] == pytest.approx(whole["off"], rel=5e-3)
