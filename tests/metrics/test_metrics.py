"""Every metric against a case whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.gaussians import LinearGaussian, Pixels, drawn
from tests.helpers import tiny_model, tiny_recipe
from zoo.datasets import ImageSet, load_images
from zoo.errors import NotApplicable, UnknownNameError, ZooError
from zoo.likelihoods.gaussian import GaussianConfig
from zoo.metrics import (
    EvalContext,
    Metric,
    all_metrics,
    evaluate,
    families,
    fid,
    measure_on_glyphs,
    metric_of,
    register_metrics,
    samples,
)
from zoo.metrics.disentanglement import (
    dci,
    factor_vae_score,
    mutual_information_gap,
    separated_attribute_predictability,
)
from zoo.metrics.samples import frechet_distance, gaussian, share_covered
from zoo.models.autoencoder import Autoencoder
from zoo.models.bounds import log_likelihood
from zoo.models.build import build
from zoo.models.classifier import Classifier
from zoo.models.posteriors import Deterministic, DiagonalGaussian
from zoo.models.priors import StandardNormal
from zoo.registry import METRICS

DATA = Pixels()


def measured(model: Autoencoder, images: ImageSet, *names: str, **settings: object) -> dict[str, float]:
    found = evaluate(EvalContext(model, images, DATA, **settings), names)  # type: ignore[arg-type]
    assert not found.lacking
    return found.metrics


def lacking(model: Autoencoder, images: ImageSet, family: str, samples: int = 0) -> str:
    found = evaluate(EvalContext(model, images, DATA), [family], samples=samples)
    assert not found.metrics
    return found.lacking[family]


@pytest.fixture
def wide() -> LinearGaussian:
    """Its encoder is 1.5 times too wide and a little off."""
    return LinearGaussian(blur=1.5, shift=0.3)


class Codes(Autoencoder):
    """Encodes an image as what a test says: the first pixel's value is the index of the code."""

    def __init__(self, mu: Tensor, logvar: float = -20.0, *, noisy: bool = True) -> None:
        decoder = nn.Unflatten(1, (1, 1, -1))
        super().__init__((1, 1, 3), nn.Identity(), decoder, StandardNormal(mu.shape[1]), GaussianConfig())
        self.mu, self.logvar, self.noisy = nn.Parameter(mu), logvar, noisy

    def encode(self, x: Tensor, labels: Tensor | None = None) -> DiagonalGaussian | Deterministic:  # type: ignore[override]
        digits = (x.flatten(1) * 255).round().long()  # three base-256 digits
        mu = self.mu[digits[:, 0] * 256 + digits[:, 1]]
        return DiagonalGaussian(mu, torch.full_like(mu, self.logvar)) if self.noisy else Deterministic(mu)

    @staticmethod
    def images(n: int, labels: Tensor | None = None, **factors: Tensor) -> ImageSet:
        index = torch.arange(n)
        pixels = torch.stack([index // 256, index % 256, torch.zeros(n)], dim=1).to(torch.uint8)
        return ImageSet(pixels[:, None, None, :], labels, factors)


# --- the bound and the likelihood ---------------------------------------------------------------------------------


def test_the_elbo_is_its_closed_form(wide: LinearGaussian) -> None:
    images = drawn(wide, 4000)
    x = images.images.float() / 255
    posterior = wide.encode(x)
    # E|x - W z - b|^2 with z ~ q: the squared error of the mean, plus the variance that W carries over.
    error = (x - wide.decode(posterior.mean).mean).square().flatten(1).sum(1)
    error = error + (posterior.logvar.exp() * wide.W.square().sum(0)).sum(1)
    reconstruction = 0.5 * (error / wide.s2 + 16 * math.log(2 * math.pi * wide.s2))
    kl = posterior.kl_per_dimension(wide.prior).sum(dim=1)
    found = measured(wide, images, "elbo")
    assert found["reconstruction"] == pytest.approx(reconstruction.mean().item(), abs=0.05)
    assert found["kl"] == pytest.approx(kl.mean().item(), abs=1e-3)
    assert found["negative_elbo"] == pytest.approx((reconstruction + kl).mean().item(), abs=0.05)


def test_the_likelihood_with_1000_samples_is_the_exact_one(wide: LinearGaussian) -> None:
    images = drawn(wide, 500)
    exact = -wide.log_likelihood(images.images.float() / 255).mean().item()
    found = measured(wide, images, "nll_1000", "elbo")
    assert found["nll_1000"] == pytest.approx(exact, abs=0.02)
    assert found["negative_elbo"] > exact + 0.1  # the encoder is not the true posterior


def test_with_the_true_posterior_one_sample_is_enough() -> None:
    model = LinearGaussian()
    x = torch.rand(6, 1, 4, 4)
    torch.testing.assert_close(log_likelihood(model, x, 1).float(), model.log_likelihood(x), atol=1e-3, rtol=1e-4)


def test_more_samples_bring_the_bound_down_to_the_likelihood() -> None:
    model = LinearGaussian(blur=3.0, shift=1.0)
    images = drawn(model, 400)
    found = [measured(model, images, f"nll_{k}")[f"nll_{k}"] for k in (1, 10, 100, 3000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(measured(model, images, "elbo")["negative_elbo"], abs=0.4)
    assert found[-1] == pytest.approx(-model.log_likelihood(images.images.float() / 255).mean().item(), abs=0.02)


def test_weights_far_below_what_a_float_can_hold_are_summed(wide: LinearGaussian) -> None:
    model = LinearGaussian(s2=1e-5, blur=1.5)  # log-weights of thousands of nats
    x = torch.rand(4, 1, 4, 4)
    torch.testing.assert_close(log_likelihood(model, x, 3000).float(), model.log_likelihood(x), rtol=1e-3, atol=0.1)


def test_the_likelihood_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch, wide: LinearGaussian) -> None:
    images = drawn(wide, 300)
    whole = measured(wide, images, "nll_500")["nll_500"]
    monkeypatch.setattr("zoo.models.bounds.MAX_DECODED_PIXELS", 16 * 300 * 7)
    assert measured(wide, images, "nll_500")["nll_500"] == pytest.approx(whole, abs=0.02)


def test_a_conditional_model_has_a_likelihood() -> None:
    recipe = tiny_recipe(model={"variant": "conditional_vae", "classes": 10, "hidden": [16], "latent_dim": 3})
    images = load_images(recipe.data, "test").first(20)
    model = build(recipe)
    found = evaluate(EvalContext(model, images, recipe.data), ["nll_64", "elbo"]).metrics
    assert 0 < found["nll_64"] < found["negative_elbo"]
    # With the labels of other images it is another model.
    assert images.labels is not None
    turned = replace(images, labels=images.labels.roll(1))
    assert evaluate(EvalContext(model, turned, recipe.data), ["nll_64"]).metrics != {"nll_64": found["nll_64"]}


def test_a_codebook_has_the_likelihood_of_its_one_code() -> None:
    recipe = tiny_recipe(model={"variant": "vq_vae", "channels": 8, "codebook_size": 16})
    images = load_images(recipe.data, "test").first(10)
    found = evaluate(EvalContext(build(recipe), images, recipe.data), ["nll_3", "elbo"]).metrics
    assert found["nll_3"] == pytest.approx(found["negative_elbo"], rel=1e-4)


# --- pictures -------------------------------------------------------------------------------------------------------


class Offset(Codes):
    """Reconstructs every image with a constant error."""

    def __init__(self, error: float) -> None:
        super().__init__(torch.zeros(1, 2))
        self.image_shape, self.error = (1, 16, 16), error

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Deterministic:
        return Deterministic(x.flatten(1))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> object:  # type: ignore[override]
        from zoo.likelihoods.gaussian import Gaussian

        return Gaussian(z.unflatten(1, self.image_shape) + self.error, 1.0)


def test_mse_psnr_and_ssim_of_a_known_error() -> None:
    images = ImageSet(torch.randint(0, 229, (20, 1, 16, 16), dtype=torch.uint8))  # 0.1 brighter is not white
    found = measured(Offset(0.1), images, "pixels")
    assert found["mse"] == pytest.approx(0.01, rel=1e-4)
    assert found["psnr"] == pytest.approx(20, abs=1e-3)
    assert measured(Offset(0.0), images, "ssim")["ssim"] == pytest.approx(1, abs=1e-5)
    assert measured(Offset(0.0), images, "pixels")["psnr"] == pytest.approx(120)
    # A flat image is known: (2 a b + C1) / (a^2 + b^2 + C1), C1 = 0.01^2.
    flat = ImageSet(torch.full((3, 1, 16, 16), 51, dtype=torch.uint8))
    expected = (2 * 0.2 * 0.5 + 1e-4) / (0.2**2 + 0.5**2 + 1e-4)
    assert measured(Offset(0.3), flat, "ssim")["ssim"] == pytest.approx(expected, abs=1e-4)


def test_ssim_needs_room_for_its_window(wide: LinearGaussian) -> None:
    assert "11x11" in lacking(wide, drawn(wide, 4), "ssim")


# --- codes ----------------------------------------------------------------------------------------------------------


def test_active_units_are_the_dimensions_that_vary() -> None:
    mu = torch.zeros(100, 4)
    mu[:, 0], mu[:, 2] = torch.randn(100), torch.linspace(0, 0.3, 100)  # variances 1 and 0.0075
    assert measured(Codes(mu), Codes.images(100), "usage") == {"active_units": 1}


def test_codes_far_apart_tell_which_image_it_is() -> None:
    n = 300
    mu = torch.randn(n, 4, generator=torch.Generator().manual_seed(0)) * 100
    found = measured(Codes(mu), Codes.images(n), "information")
    assert found["mutual_information"] == pytest.approx(math.log(n), abs=1e-3)


def test_codes_that_are_all_alike_tell_nothing() -> None:
    found = measured(Codes(torch.zeros(300, 4), logvar=0.0), Codes.images(300), "information")
    assert found["mutual_information"] == pytest.approx(0, abs=1e-4)
    assert found["aggregate_kl"] == pytest.approx(0, abs=1e-4)


def test_mutual_information_and_aggregate_kl_add_up_to_the_kl() -> None:
    model = LinearGaussian()
    found = measured(model, drawn(model, 2000), "information", "elbo")
    assert found["mutual_information"] + found["aggregate_kl"] == pytest.approx(found["kl"], abs=0.1)
    # Images of the model itself: all codes together are the prior.
    assert found["aggregate_kl"] == pytest.approx(0, abs=0.3)


def test_a_shifted_aggregate_has_the_closed_forms_kl() -> None:
    mu = torch.full((500, 2), 1.5)
    found = measured(Codes(mu, logvar=0.0), Codes.images(500), "information")
    assert found["aggregate_kl"] == pytest.approx(1.5**2, abs=0.2)  # |m|^2 / 2 of two dimensions


def test_classes_that_lie_apart_are_told_and_random_ones_are_not() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 10
    centres = torch.randn(10, 8, generator=generator) * 10
    model = Codes(centres[labels] + torch.randn(2000, 8, generator=generator), noisy=False)
    whole = Codes.images(2000, labels)
    test = replace(whole, images=whole.images[1000:], labels=labels[1000:])
    found = measured(model, test, "representation", reference=lambda: whole.first(1000))
    assert found == {"knn_accuracy": pytest.approx(1), "probe_accuracy": pytest.approx(1)}
    shuffled = replace(whole, labels=torch.randint(0, 10, (2000,), generator=generator))
    test = replace(test, labels=shuffled.labels[1000:])
    found = measured(model, test, "representation", reference=lambda: shuffled.first(1000))
    assert max(found.values()) < 0.16


def test_what_cannot_be_told_says_why() -> None:
    model, images = Codes(torch.randn(50, 4), noisy=False), Codes.images(50)
    assert "deterministic" in lacking(model, images, "elbo")
    assert "deterministic" in lacking(model, images, "nll", samples=3)
    assert "--samples" in lacking(model, images, "nll")
    assert "point mass" in lacking(model, images, "information")
    assert "no classes" in lacking(model, images, "representation")
    assert "no measure" in lacking(model, images, "usage")
    assert "factors" in lacking(model, images, "disentanglement")
    assert "`zoo classifier pixels`" in lacking(model, images, "samples")
    labelled = replace(images, labels=torch.zeros(50, dtype=torch.int64))
    assert "training images" in lacking(model, labelled, "representation")


# --- samples --------------------------------------------------------------------------------------------------------


def test_the_frechet_distance_of_two_gaussians_is_its_closed_form() -> None:
    mean, variance = torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor([1.0, 4.0, 0.25]).double()
    other_mean, other_variance = torch.tensor([0.0, 1.0, 0.5]).double(), torch.tensor([9.0, 1.0, 0.25]).double()
    expected = (1 + 9 + 0) + ((1 - 3) ** 2 + (2 - 1) ** 2 + 0)  # of diagonal ones: |m1 - m2|^2 + sum (s1 - s2)^2
    found = frechet_distance(mean, variance.diag(), other_mean, other_variance.diag())
    assert found == pytest.approx(expected, abs=1e-9)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)).double()).Q
    turned = frechet_distance(
        turn @ mean, turn @ variance.diag() @ turn.T, turn @ other_mean, turn @ other_variance.diag() @ turn.T
    )
    assert turned == pytest.approx(expected, abs=1e-9)
    assert frechet_distance(mean, variance.diag(), mean, variance.diag()) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_is_that_of_samples_of_them() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(200_000, 2) * 2 + 1, torch.randn(200_000, 2)
    assert frechet_distance(*gaussian(first), *gaussian(second)) == pytest.approx(2 + 2, rel=0.02)


def test_precision_and_recall_tell_poor_samples_from_few_kinds() -> None:
    torch.manual_seed(0)
    left, right = torch.randn(600, 3), torch.randn(600, 3) + 50
    images, everything = torch.cat([left, right]), torch.cat([torch.randn(600, 3), torch.randn(600, 3) + 50])
    assert share_covered(everything, images) > 0.9
    assert share_covered(images, everything) > 0.9
    one_kind = torch.randn(1200, 3)
    assert share_covered(one_kind, images) > 0.9  # every sample is like some image…
    assert share_covered(images, one_kind) == pytest.approx(0.5, abs=0.06)  # …but half of the images are like none
    nonsense = torch.randn(1200, 3) + 500
    assert share_covered(nonsense, images) == 0


def test_samples_as_good_as_the_images_are_near_them(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    classifier = Classifier((1, 4, 4), 3).eval()
    monkeypatch.setattr(samples, "classifier_of", lambda data: classifier)
    images = ImageSet(torch.randint(0, 256, (1200, 1, 4, 4), dtype=torch.uint8))

    class Honest(LinearGaussian):
        def sample(self, n: int, generator: torch.Generator | None = None, labels: Tensor | None = None) -> Tensor:
            return torch.randint(0, 256, (n, 1, 4, 4), generator=generator).float() / 255

    class Grey(LinearGaussian):
        def sample(self, n: int, generator: torch.Generator | None = None, labels: Tensor | None = None) -> Tensor:
            return torch.full((n, 1, 4, 4), 0.5)

    good, bad = measured(Honest(), images, "samples"), measured(Grey(), images, "samples")
    assert good["frechet_distance"] < 0.05 * bad["frechet_distance"]
    assert good["precision"] > 0.8
    assert good["recall"] > 0.8
    assert bad["recall"] < 0.1


def test_true_fid_is_torchmetrics_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Means(nn.Module):  # stands for the Inception network, which would have to be downloaded
        num_features = 6

        def forward(self, x: Tensor) -> Tensor:
            x = x.float() / 255
            return torch.cat([x.mean(dim=(2, 3)), x.std(dim=(2, 3))], dim=1)

    def stand_in() -> FrechetInceptionDistance:
        return FrechetInceptionDistance(feature=Means(), input_img_size=(3, 4, 4))

    monkeypatch.setattr(fid, "inception", stand_in)
    model = LinearGaussian()
    found = measured(model, drawn(model, 300), "fid")["fid"]
    expected = stand_in()
    context = EvalContext(model, drawn(model, 300), DATA)
    expected.update(context.images.images.expand(-1, 3, -1, -1), real=True)
    expected.update(context.samples_drawn.expand(-1, 3, -1, -1), real=False)
    assert found == pytest.approx(float(expected.compute()), rel=1e-3)


def test_samples_of_a_conditional_model_have_each_class_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(model=tiny_model("conditional_vae"))
    model, images = build(recipe).eval(), load_images(recipe.data, "test").first(25)
    monkeypatch.setattr("zoo.metrics._base.eval_batch_size", lambda shape: 7)
    found = EvalContext(model, images, recipe.data, seed=3).samples_drawn
    x = model.sample(7, torch.Generator().manual_seed(3), torch.arange(7) % model.classes)
    assert torch.equal(found[:7], (x * 255).round().to(torch.uint8))
    labels: list[int] = []
    monkeypatch.setattr(model, "sample", lambda n, generator, y: labels.extend(y.tolist()) or torch.zeros(n, 1, 28, 28))
    EvalContext(model, images, recipe.data).samples_drawn  # noqa: B018 - it is drawn when it is asked for
    assert labels == [number % model.classes for number in range(25)]


def test_the_seed_binarises_the_images_of_codes_too() -> None:
    recipe = tiny_recipe(model=tiny_model("ae"), objective={"name": "reconstruction"})
    data = recipe.data.model_copy(update={"binarization": "dynamic"})
    model, images = build(recipe).eval(), load_images(data, "test").first(20)
    grey = images.chosen(torch.arange(20))
    first, second, again = (EvalContext(model, grey, data, seed=seed).codes for seed in (0, 5, 5))
    assert torch.equal(second, again) and not torch.equal(first, second)


def test_fid_without_its_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchmetrics.image.fid

    def unreachable() -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torchmetrics.image.fid, "FrechetInceptionDistance", unreachable)
    model = LinearGaussian()
    assert "no route to host" in lacking(model, drawn(model, 4), "fid")


# --- disentanglement ------------------------------------------------------------------------------------------------


def factors(n: int = 6000) -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    return {
        "kind": random.randint(0, 5, n),
        "angle": random.random_sample(n).astype(np.float32),
        "size": random.random_sample(n).astype(np.float32),
    }


def perfect(known: dict[str, np.ndarray]) -> np.ndarray:
    """A dimension for each factor, in another order and scale."""
    return np.stack([-3.0 * known["size"], 0.5 * known["kind"] - 1, 2.0 * known["angle"]], axis=1)


def test_a_perfect_code_has_the_highest_scores() -> None:
    known = factors()
    codes = perfect(known)
    assert mutual_information_gap(codes, known) > 0.95
    disentanglement, completeness, informativeness = dci(codes, known)
    assert min(disentanglement, completeness, informativeness) > 0.95
    assert separated_attribute_predictability(codes, known) > 0.9
    assert factor_vae_score(codes, known) > 0.99


def test_a_random_code_has_the_lowest() -> None:
    known = factors()
    codes = np.random.RandomState(1).standard_normal((6000, 3))
    assert mutual_information_gap(codes, known) < 0.01
    disentanglement, completeness, informativeness = dci(codes, known)
    assert disentanglement < 0.1
    assert completeness < 0.1
    assert informativeness < 0.1
    assert separated_attribute_predictability(codes, known) < 0.02
    assert factor_vae_score(codes, known) == pytest.approx(1 / 3, abs=0.06)  # chance


def test_a_turned_code_tells_as_much_and_is_not_disentangled() -> None:
    known = factors()
    codes = perfect(known)
    codes = (codes - codes.mean(0)) / codes.std(0)
    turn = np.linalg.qr(np.random.RandomState(3).standard_normal((3, 3)))[0]
    mixed = codes @ turn
    assert mutual_information_gap(mixed, known) < 0.3
    disentanglement, completeness, informativeness = dci(mixed, known)
    assert disentanglement < 0.6
    assert informativeness > 0.8
    assert separated_attribute_predictability(mixed, known) < 0.5


def test_a_factor_in_two_dimensions_is_no_gap_but_still_disentangled() -> None:
    known = factors()
    codes = perfect(known)
    twice = np.concatenate([codes, codes[:, :1] + 1e-3], axis=1)
    assert mutual_information_gap(twice, known) < 0.75
    assert dci(twice, known)[0] > 0.95
    assert dci(twice, known)[1] < 0.95


def test_a_dimension_without_use_changes_little() -> None:
    known = factors()
    codes = np.concatenate([perfect(known), np.full((6000, 2), 0.3)], axis=1)
    codes[:, 3] += 1e-3 * np.random.RandomState(0).standard_normal(6000)
    assert mutual_information_gap(codes, known) > 0.95
    assert dci(codes, known)[0] > 0.95
    assert separated_attribute_predictability(codes, known) > 0.9
    assert factor_vae_score(codes, known) > 0.99


def test_disentanglement_is_measured_where_the_factors_are_known() -> None:
    known = {name: torch.from_numpy(values) for name, values in factors(2000).items()}
    codes = perfect({name: values.numpy() for name, values in known.items()})
    model = Codes(torch.from_numpy(codes).float(), noisy=False)
    found = measured(model, Codes.images(2000, **known), "disentanglement")
    assert min(found.values()) > 0.9


# --- speed, and all of them -----------------------------------------------------------------------------------------


def test_speeds_are_positive_and_marked_as_the_machines_own(wide: LinearGaussian) -> None:
    found = measured(wide, drawn(wide, 30), "speed")
    assert set(found) == {f"{what}_{kind}" for what in ("encode", "decode") for kind in ("throughput", "latency")}
    assert min(found.values()) > 0
    assert not any(metric_of(name).repeatable for name in found)


def test_every_metric_says_what_it_is() -> None:
    for metric in all_metrics().values():
        assert metric.definition.endswith("."), metric.name
        assert metric.source
        assert metric.heading
        assert metric.better in ("lower", "higher", "")
        assert metric.allowed(100.0) > 0


def test_a_number_of_samples_is_part_of_the_name() -> None:
    found = metric_of("nll_5000")
    assert (found.name, found.base, found.samples) == ("nll_5000", "nll", 5000)
    assert "5,000" in found.heading
    for wrong in ("nll", "nll_0", "nll_x", "mse_5", "msee"):
        with pytest.raises(UnknownNameError, match="mse|nll_K"):
            metric_of(wrong)


def test_the_same_seed_gives_the_same_figures_and_another_one_others(wide: LinearGaussian) -> None:
    images = drawn(wide, 200)
    names = ("elbo", "nll_20", "information", "pixels")
    first, again = (measured(wide, images, *names) for _ in range(2))
    assert first == again
    other = measured(wide, images, *names, seed=1)
    assert other != first
    assert other["mse"] == first["mse"]


def test_every_family_leaves_mode_weights_and_random_numbers_alone() -> None:
    recipe = tiny_recipe(model={"variant": "bn_vae"})
    model = build(recipe).train()
    images = load_images(recipe.data, "test").first(40)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    evaluate(EvalContext(model, images, recipe.data, lambda: images), samples=2)
    assert torch.equal(torch.rand(2), expected)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_families_can_be_chosen_and_each_is_measured_once(wide: LinearGaussian) -> None:
    measured_now: list[str] = []
    context = EvalContext(wide, drawn(wide, 20), DATA)
    found = evaluate(context, ["kl", "elbo", "mse", "nll_2", "nll_4"], on_family=measured_now.append)
    assert measured_now == ["elbo", "pixels", "nll", "nll"]
    assert list(found.metrics) == ["negative_elbo", "reconstruction", "kl", "nll_2", "nll_4", "mse", "psnr"]


@pytest.fixture
def family() -> Iterator[str]:
    yield "brightness"
    METRICS._registered.pop("brightness", None)


def test_a_metric_of_ones_own(family: str, wide: LinearGaussian) -> None:
    @register_metrics(family, Metric("mean_grey", "grey", "", "The mean intensity.", "here"))
    def measure(context: EvalContext) -> dict[str, float]:
        return context.mean(lambda model, x: {"mean_grey": x.mean()})

    assert measured(wide, drawn(wide, 30), "mean_grey")["mean_grey"] == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ZooError, match="already registered"):
        register_metrics(family)(measure)
    with pytest.raises(ZooError, match="already registered"):
        register_metrics("another", Metric("mse", "", "", "", ""))(measure)


def test_the_shipped_families_are_the_files() -> None:
    assert set(families()) >= {"elbo", "nll", "samples", "disentanglement"}
    with pytest.raises(NotApplicable):
        families()["nll"].build(EvalContext(LinearGaussian(), drawn(LinearGaussian(), 4), DATA), 0)


# --- what few images, or odd ones, do ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_images_are_no_traceback(n: int) -> None:
    recipe = tiny_recipe(data={"name": "glyphs"})
    test = load_images(recipe.data, "test")
    images = replace(test.first(n), factors={name: values[:n] for name, values in test.factors.items()})
    context = EvalContext(build(recipe), images, recipe.data, lambda: load_images(recipe.data, "train").first(n))
    found = evaluate(context)
    assert found.metrics["mse"] > 0
    assert {"samples", "representation", "disentanglement"} <= set(found.lacking)


@pytest.mark.parametrize("prior", ["standard_normal", "mixture"])
def test_figures_that_every_device_must_repeat_have_no_noise_in_them(prior: str) -> None:
    network = {"name": "mlp", "hidden": [8]}
    model = zoo.create_model("vae", image_shape=(1, 28, 28), latent_dim=2, network=network, prior={"name": prior})
    figures = measure_on_glyphs(model)
    assert figures.keys() >= {"mse", "active_units"}
    assert ("kl" in figures) == (prior == "standard_normal")


def test_the_prior_s_density_is_measured_in_eval_mode_without_gradients() -> None:
    class Watched(StandardNormal):
        def log_prob(self, z: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled()))
            return super().log_prob(z)

    modes: list[tuple[bool, bool]] = []
    recipe = tiny_recipe(data={"name": "glyphs"})
    model = build(recipe).train()
    model.prior = Watched(model.prior.latent_dim)
    evaluate(EvalContext(model, load_images(recipe.data, "test").first(50), recipe.data), ["information"])
    assert set(modes) == {(False, False)}


def test_collapsed_codes_and_constant_factors_are_no_traceback() -> None:
    known = {name: torch.from_numpy(values) for name, values in factors(300).items()}
    assert "all the same" in lacking(Codes(torch.zeros(300, 3)), Codes.images(300, **known), "disentanglement")
    constant = {name: torch.zeros(300) for name in known}
    assert "vary" in lacking(Codes(torch.randn(300, 3)), Codes.images(300, **constant), "disentanglement")
    broken = Codes(torch.full((300, 3), math.nan))
    assert "finite" in lacking(broken, Codes.images(300, **known), "disentanglement")
    assert "not a finite number" in lacking(broken, Codes.images(300), "elbo")


def test_images_in_the_order_of_their_classes_give_the_same_figures() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3000) * 2 // 3000  # all of the first class, then all of the second
    mu = torch.randn(3000, 2, generator=generator) + 20 * labels[:, None]
    whole = Codes.images(3000, labels)
    found = measured(Codes(mu, logvar=0.0), whole, "information")
    assert found["aggregate_kl"] > 50  # half of the codes lie at 20
    test = replace(whole, images=whole.images[::2], labels=labels[::2])
    accuracy = measured(Codes(mu, noisy=False), test, "representation", reference=lambda: whole)
    assert accuracy["knn_accuracy"] == 1
    grid = {"a": np.repeat(np.arange(40), 50) / 40.0, "b": np.tile(np.arange(50), 40) / 50.0}
    known = {name: torch.from_numpy(values) for name, values in grid.items()}
    codes = torch.from_numpy(np.stack(list(grid.values()), axis=1)).float()
    found = measured(Codes(codes, noisy=False), Codes.images(2000, **known), "disentanglement")
    assert found["dci_informativeness"] > 0.95


def test_samples_and_speed_are_measured_in_eval_mode() -> None:
    recipe = tiny_recipe(
        model={"variant": "bn_vae"}, data={"name": "glyphs", "binarization": "dynamic", "test_images": 60}
    )
    images = load_images(recipe.data, "test")
    model = build(recipe).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    found = evaluate(EvalContext(model, images, recipe.data), ["samples", "speed"])
    assert set(found.families) == {"samples", "speed"}
    assert torch.equal(torch.rand(2), expected)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_model_in_training_mode_that_lacks_something_stays_in_it() -> None:
    model = Codes(torch.randn(50, 4), noisy=False).train()
    assert lacking(model, Codes.images(50), "elbo")
    assert model.training


def test_a_number_of_samples_asked_for_once_is_not_asked_for_again(wide: LinearGaussian) -> None:
    context = EvalContext(wide, drawn(wide, 20), DATA)
    assert list(evaluate(context, ["nll_3"]).metrics) == ["nll_3"]
    assert not [name for name in evaluate(context).metrics if name.startswith("nll")]
    assert "--samples" in evaluate(context, ["nll"]).lacking["nll"]


def test_binarisation_while_measuring_does_not_depend_on_the_noise() -> None:
    recipe = tiny_recipe(data={"name": "tiny", "binarization": "dynamic"})
    images = load_images(recipe.data, "test")
    seen: list[Tensor] = []

    def noisy(model: object, x: Tensor) -> dict[str, Tensor]:
        seen.append(x)
        torch.rand(len(seen))
        return {}

    context = EvalContext(build(recipe), images, recipe.data)
    for _ in range(2):
        context.mean(noisy)
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    assert set(torch.cat(seen).unique().tolist()) == {0.0, 1.0}
