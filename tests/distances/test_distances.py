"""Distances against closed forms, limits and another library; as a word or a section of a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
import torch
from torch import Tensor

from tests.helpers import tiny_recipe, trainer
from zoo.distances import Distance, build_distance
from zoo.distances.ms_ssim import MSSSIM, MSSSIMConfig
from zoo.errors import ZooError
from zoo.likelihoods.bernoulli import Bernoulli
from zoo.likelihoods.gaussian import Gaussian
from zoo.models.classifier import CLASSIFIERS, read_classifier
from zoo.objectives import unit_of
from zoo.registry import DISTANCES
from zoo.schema.recipe import recipe_schema


def distance(name: str, **settings: Any) -> Distance:
    return build_distance(DISTANCES.get(name).config(**settings))


@dataclass
class Shown:
    """A likelihood of which only the mean is known."""

    mean: Tensor

    @property
    def location(self) -> Tensor:
        return self.mean


def images(count: int = 3, channels: int = 2, side: int = 28, seed: int = 0) -> Tensor:
    """Smooth images, so that windows have structure."""
    noise = torch.rand(count, channels, side // 4, side // 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(side, side), mode="bilinear").double()


@pytest.mark.parametrize("name", [name for name in DISTANCES.names() if name not in ("nll", "perceptual")])
def test_it_is_a_value_per_image_that_is_0_for_the_image_itself_and_has_a_gradient(name: str) -> None:
    x, found = images(), distance(name)
    found.setup((2, 28, 28))
    y = (0.8 * images(seed=1)).requires_grad_()
    values = found(x, Shown(y))
    assert values.shape == (3,) and (values > 0).all()
    torch.testing.assert_close(found(x, Shown(x)), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    alone = [found(x[[index]], Shown(y[[index]])) for index in range(3)]
    torch.testing.assert_close(torch.cat(alone), values)  # a value does not depend on the batch
    (gradient,) = torch.autograd.grad(values.sum(), y)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


@pytest.mark.known_answer("distance/squared_error", "distance/absolute_error", says="Errors are summed over pixels.")
def test_errors_are_summed_over_pixels() -> None:
    x, y = images(), images(seed=1)
    torch.testing.assert_close(distance("squared_error")(x, Shown(y)), ((x - y) ** 2).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(distance("absolute_error")(x, Shown(y)), (x - y).abs().sum(dim=(1, 2, 3)))
    nll = distance("nll")(x, Gaussian(y, 0.5))
    torch.testing.assert_close(nll, ((x - y) ** 2).sum(dim=(1, 2, 3)) + 0.5 * 1568 * math.log(math.pi))
    torch.testing.assert_close(distance("nll")(x, Bernoulli(y)), -Bernoulli(y).log_prob(x))


@pytest.mark.known_answer("distance/log_cosh", says="The error is a t² / 2 near 0 and |t| far away.")
def test_log_cosh_is_squared_for_small_errors_and_absolute_for_large_ones() -> None:
    x, y = images(), images(seed=1)
    t = (x - y).flatten(1)
    torch.testing.assert_close(distance("log_cosh")(x, Shown(y)), (t * 10).cosh().log().sum(dim=1) / 10)
    torch.testing.assert_close(
        distance("log_cosh", a=1e-4)(x, Shown(y)), 1e-4 / 2 * (t**2).sum(dim=1), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(distance("log_cosh", a=1e6)(x, Shown(y)), t.abs().sum(dim=1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("t", [-1e3, 1e3])
def test_log_cosh_does_not_overflow(t: float) -> None:
    y = torch.full((1, 1, 1, 1), -t, requires_grad=True)
    value = distance("log_cosh")(torch.zeros(1, 1, 1, 1), Shown(y))
    assert value.item() == pytest.approx(1e3 - math.log(2) / 10, rel=1e-6)
    assert torch.autograd.grad(value.sum(), y)[0].item() == pytest.approx(-math.copysign(1, t))


# --- MS-SSIM ----------------------------------------------------------------------------------------------------------


def ms_ssim(**settings: Any) -> MSSSIM:
    return MSSSIM(MSSSIMConfig(**settings))


@pytest.mark.known_answer(
    "distance/ms_ssim", says="MS-SSIM of five scales on images of 192x192 is that of pytorch-msssim."
)
@pytest.mark.parametrize("channels", [1, 3])
def test_ms_ssim_of_five_scales_is_that_of_pytorch_msssim(channels: int) -> None:
    library = pytest.importorskip("pytorch_msssim")
    x = images(2, channels, 192)
    y = (0.7 * x + 0.3 * images(2, channels, 192, seed=1)).float()
    found = ms_ssim().similarity(x.float(), y)
    assert (found < 0.95).all()
    torch.testing.assert_close(
        found, library.ms_ssim(x.float(), y, data_range=1.0, size_average=False), rtol=1e-4, atol=1e-5
    )


@pytest.mark.known_answer("distance/ms_ssim", says="The window is symmetric and largest in the middle.")
def test_the_window_is_symmetric_and_largest_in_the_middle() -> None:
    window = ms_ssim().window
    torch.testing.assert_close(window, window.flip(0))
    assert window.argmax() == 5 and window.sum().item() == pytest.approx(1)
    assert (window[5] / window[4]).item() == pytest.approx(math.exp(1 / (2 * 1.5**2)))


@pytest.mark.known_answer("distance/ms_ssim", says="Opposite images, where cs is negative, give numbers and gradients.")
def test_opposite_images_give_numbers_and_gradients() -> None:
    # Where contrasts are opposite, cs is negative; a power of it would be NaN, and so would the gradient of 0^w.
    x = images()
    y = (1 - x).requires_grad_()
    values = ms_ssim().similarity(x, y)
    assert ((values >= 0) & (values < 0.1)).all()
    assert torch.autograd.grad(values.sum(), y)[0].isfinite().all()


def test_digits_have_two_scales_with_the_usual_window_and_three_with_a_smaller_one() -> None:
    x, y = images(), images(seed=1)
    for side, scales in ((11, 2), (7, 3), (3, 4)):
        assert ms_ssim(window=side).fitting((2, 28, 28)) == scales
        torch.testing.assert_close(
            ms_ssim(window=side).similarity(x, y), ms_ssim(window=side, scales=scales).similarity(x, y)
        )
    first, second = (ms_ssim(scales=1).compared(a, b) for a, b in ((x, y), (half(x), half(y))))
    contrast, structure = first[1].mean(dim=(2, 3)), (second[0] * second[1]).mean(dim=(2, 3))
    w = [0.0448 / (0.0448 + 0.2856), 0.2856 / (0.0448 + 0.2856)]
    expected = (contrast.clamp(1e-6) ** w[0] * structure.clamp(1e-6) ** w[1]).mean(dim=1)
    torch.testing.assert_close(ms_ssim().similarity(x, y), expected)


def half(x: Tensor) -> Tensor:
    return x.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))


@pytest.mark.parametrize("name", [name for name in DISTANCES.names() if name != "perceptual"])
def test_a_location_outside_of_the_range_has_a_gradient(name: str) -> None:
    x = images()
    mu = (0.8 * x - 0.3).requires_grad_()  # what is below 0 would be black if it were clipped
    (gradient,) = torch.autograd.grad(distance(name)(x, Gaussian(mu, 1.0)).sum(), mu)
    outside = mu < 0
    assert outside.any()
    assert (gradient[outside] != 0).all()


def test_the_weight_is_the_number_of_values_where_none_is_given() -> None:
    x, y = images(), images(seed=1)
    torch.testing.assert_close(ms_ssim()(x, Shown(y)), ms_ssim(weight=1568.0)(x, Shown(y)))
    torch.testing.assert_close(ms_ssim()(x, Shown(y)), 1568 * (1 - ms_ssim().similarity(x, y)))


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(ZooError, match="1x28x28 have no room for 3 scales .* window of 11; choose at most 2 scales"):
        ms_ssim(scales=3).setup((1, 28, 28))
    with pytest.raises(ZooError, match="1x8x8 have no room .* choose a smaller window"):
        ms_ssim().setup((1, 8, 8))
    ms_ssim(window=3).setup((1, 8, 8))


# --- in the features of a classifier ----------------------------------------------------------------------------------


@pytest.mark.known_answer("distance/perceptual", says="It is the error in the maps of the classifier.")
def test_perceptual_is_the_error_in_the_maps_of_the_classifier() -> None:
    classifier = read_classifier(CLASSIFIERS / "mnist.safetensors")
    seen: list[Tensor] = []
    for layer in classifier.body:
        if isinstance(layer, torch.nn.ReLU):
            layer.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    x, y = images(3, 1).float(), images(3, 1, seed=1).float().requires_grad_()
    found = distance("perceptual", classifier="mnist")
    values = found(x, Shown(y))
    classifier(x)
    classifier(y)
    expected = sum(0.5 * (a - b).square().mean(dim=(1, 2, 3)) for a, b in zip(seen[:3], seen[4:7], strict=True))
    torch.testing.assert_close(values, 784 * expected)
    assert found(x, Shown(x)).abs().max() == 0
    (gradient,) = torch.autograd.grad(values.sum(), y)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_the_classifier_is_a_constant_that_no_training_changes() -> None:
    recipe = tiny_recipe(
        objective={"name": "reconstruction", "distance": {"name": "perceptual", "classifier": "mnist"}}
    )
    run = trainer(recipe)
    before = [buffer.clone() for buffer in run.objective.buffers()]
    run.run_epoch()
    assert len(before) == 6 and all(map(torch.equal, before, run.objective.buffers()))
    assert not list(run.objective.parameters()) and not run.objective.state_dict()


def test_a_classifier_is_named_and_takes_images_of_its_shape() -> None:
    for section in ("perceptual", {"name": "perceptual"}):
        with pytest.raises(ZooError, match="objective.distance.classifier: field required"):
            tiny_recipe(**fields(section))
    with pytest.raises(ZooError, match="'mnist' takes images of 1x28x28, not of 3x32x32"):
        distance("perceptual", classifier="mnist").setup((3, 32, 32))


# --- in recipes -------------------------------------------------------------------------------------------------------


def fields(distance: Any) -> dict[str, Any]:
    return {"objective": {"name": "reconstruction", "distance": distance}}


def test_a_distance_without_settings_is_written_as_the_word_that_it_was_before_it_had_a_section() -> None:
    word, section = tiny_recipe(**fields("nll")), tiny_recipe(**fields({"name": "nll"}))
    assert word.to_dict()["objective"] == {"name": "reconstruction", "distance": "nll"}
    assert word == section and word.digest() == section.digest()
    left_out = tiny_recipe(objective={"name": "reconstruction"})
    assert left_out.to_dict()["objective"] == {"name": "reconstruction", "distance": "squared_error"}
    assert left_out.digest() == tiny_recipe(**fields("squared_error")).digest() != word.digest()


def test_a_distance_with_settings_is_written_with_all_of_them() -> None:
    found = tiny_recipe(**fields("log_cosh"))
    assert found.to_dict()["objective"]["distance"] == {"name": "log_cosh", "a": 10.0}
    assert found.digest() == tiny_recipe(**fields({"name": "log_cosh", "a": 10.0})).digest()
    assert unit_of(found) == "log-cosh error per image"


def test_words_and_sections_fit_the_schema() -> None:
    schema = recipe_schema()
    for good in ("nll", {"name": "nll"}, {"name": "log_cosh", "a": 2.0}):
        jsonschema.validate(tiny_recipe(**fields(good)).to_dict(), schema)
    recipe = tiny_recipe().to_dict()
    for bad in ("nl", "perceptual", {"name": "perceptual"}, {"name": "log_cosh", "b": 2.0}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(recipe | fields(bad), schema)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("squared", "objective.distance.name: unknown distance 'squared'; did you mean 'squared_error'"),
        (3, "objective.distance.name: required, the name of the distance"),
        ({"name": "log_cosh", "a": 0}, "objective.distance.a: input should be greater than 0"),
        ({"name": "nll", "a": 1}, "objective.distance.a: unknown field"),
    ],
)
def test_a_wrong_distance_is_refused_where_it_stands(wrong: Any, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        tiny_recipe(**fields(wrong))


def test_a_config_takes_the_word_in_python_too() -> None:
    config = DISTANCES.get("log_cosh").config
    from zoo.objectives.reconstruction import Reconstruction, ReconstructionConfig

    assert isinstance(ReconstructionConfig.model_validate({"distance": "log_cosh"}).distance, config)
    assert Reconstruction(ReconstructionConfig()).unit == "squared error per image"
