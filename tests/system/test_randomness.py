"""What runs beside others gives what it gives alone, and leaves alone what others draw."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo
from tests.helpers import costly_variants, dataset, tiny_recipe_of, trainer, weights
from zoo.datasets import as_float, load_images
from zoo.metrics import EvalContext
from zoo.metrics.elbo import elbo
from zoo.models import Autoencoder
from zoo.models.bounds import elbo_terms
from zoo.models.layers import Dropout
from zoo.system.lock import warnings_ignored
from zoo.system.randomness import CPU, Generators, drawing_from, draws_by_default, own_randomness
from zoo.training import train
from zoo.training.trainer import Trainer

GLYPHS = {"name": "glyphs", "train_images": 200, "test_images": 50}


@contextmanager
def beside(task: Callable[[], object]) -> Iterator[None]:
    """Repeat a task in another thread while the context is active."""
    over, started = threading.Event(), threading.Event()

    def repeat() -> None:
        while not over.is_set():
            task()
            started.set()

    with ThreadPoolExecutor(1) as pool:
        repeating = pool.submit(repeat)
        started.wait(30)
        try:
            yield
        finally:
            over.set()
        repeating.result()


def measured(model: Autoencoder) -> dict[str, float]:
    # By the zoo's own code: a function of this file might draw from torch's default generators, which would be set.
    data = dataset("glyphs", binarization="dynamic")
    return elbo(EvalContext(model, load_images(data, "test").first(300), data))


class Noisy(nn.Module):
    """A user's own layer, which draws from torch's default generator."""

    def forward(self, h: Tensor) -> Tensor:
        return h + torch.randn(h.shape)


@pytest.fixture
def noisy() -> Autoencoder:
    """A model with a layer of a user's own."""
    model = zoo.load("beta_vae_1_glyphs")
    model.encoder.insert(1, Noisy())
    return model


def test_no_two_samples_are_the_same_while_others_measure(model: Autoencoder, noisy: Autoencoder) -> None:
    for passing in (model, noisy):
        with beside(lambda passing=passing: measured(passing)):  # type: ignore[misc]
            samples = {model.sample(1).numpy().tobytes() for _ in range(100)}
            codes = {model.encode(torch.zeros(1, 1, 28, 28)).rsample().detach().numpy().tobytes() for _ in range(100)}
        assert len(samples) == len(codes) == 100


def test_a_pass_gives_beside_others_what_it_gives_alone(model: Autoencoder, noisy: Autoencoder) -> None:
    for passing in (model, noisy):
        alone = measured(passing)
        with beside(lambda: (measured(model), measured(noisy), model.sample(2))), ThreadPoolExecutor(2) as pool:
            assert [*pool.map(measured, [passing] * 4)] == [alone] * 4


def test_a_pass_a_load_and_a_training_leave_alone_what_others_draw(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = [float(torch.rand(())) for _ in range(2000)]
    model = zoo.load("beta_vae_1_glyphs")
    found = trainer(tiny_recipe_of("linear_vae", data=GLYPHS))
    found.prepare()
    torch.manual_seed(3)
    with beside(lambda: (measured(model), found.run_epoch())):
        assert [float(torch.rand(())) for _ in range(2000)] == expected


def all_weights(recipe: zoo.schema.Recipe, out: Path) -> bytes:
    return weights(train(recipe, out, CPU))


@pytest.mark.parametrize("variant", costly_variants())
def test_trainings_in_several_threads_give_the_weights_of_trainings_alone(
    variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Autoencoder
) -> None:
    # The bits depend on the number of threads, which would be that of the cores that are free at each start.
    recipe = tiny_recipe_of(variant, data=GLYPHS | {"binarization": "dynamic"}, execution={"threads": 1})
    alone = all_weights(recipe, tmp_path / "alone")
    for own in (True, False):  # with a generator of its own; with torch's, as users' modules need it
        if not own:
            monkeypatch.setattr(Trainer, "may_draw_from_own", False)
        outs = [tmp_path / f"{own}{number}" for number in range(2)]
        with beside(lambda: (model.sample(1), measured(model), zoo.load("beta_vae_1_glyphs"))):
            with ThreadPoolExecutor(2) as pool:
                assert [*pool.map(all_weights, [recipe] * 2, outs)] == [alone] * 2


def test_what_a_run_draws_from_changes_no_number() -> None:
    found = [trainer(tiny_recipe_of("bn_vae", data=GLYPHS | {"binarization": "dynamic"})) for _ in range(3)]
    for number, one in enumerate(found):
        one.prepare()
        assert one.context.own is not None
        if number:
            one.context.draw_from_own(False)
        one.run_epoch()
        if number == 2:
            one.context.draw_from_own(True)
        one.run_epoch()
    first, *others = ([part.clone() for part in one.model.state_dict().values()] for one in found)
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_dropout_draws_the_bits_of_torch() -> None:
    x = torch.rand(64, 300, requires_grad=True)
    for p in (0.0, 0.2, 0.5):
        with own_randomness(5, CPU, nn.Dropout()):
            expected = nn.Dropout(p)(x)
        with own_randomness(5, CPU):
            found = Dropout(p)(x)
        assert torch.equal(found, expected)
        (gradient,), (other) = torch.autograd.grad(found.sum(), x), torch.autograd.grad(expected.sum(), x)[0]
        assert torch.equal(gradient, other)
        assert torch.equal(Dropout(p).eval()(x), x)


def test_generators_of_ones_own_start_like_the_default_ones() -> None:
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    dynamic = dataset("glyphs", binarization="dynamic")
    with own_randomness(4, CPU, print):
        expected = as_float(images, dynamic), torch.rand(2)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with drawing_from(Generators.seeded(4)):
        assert torch.equal(as_float(images, dynamic), expected[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_known_what_draws_by_itself(model: Autoencoder) -> None:
    def of_a_user() -> None: ...

    dropout = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    assert draws_by_default(dropout)
    assert not draws_by_default(dropout.eval())
    for part in (Noisy(), of_a_user, print, None, nn.FractionalMaxPool2d(2, 1).eval(), nn.Sequential(Noisy())):
        assert draws_by_default(part)
    for part in (nn.Linear(2, 2), Dropout(), model, elbo_terms, zoo.create_model("bn_vae", image_shape=(1, 28, 28))):
        assert not draws_by_default(part)


def test_filters_of_warnings_are_put_back_whatever_threads_do() -> None:
    import warnings

    before = list(warnings.filters)

    def ignore() -> None:
        with warnings_ignored():
            pass

    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda _: [ignore() for _ in range(300)], range(8))]
    assert warnings.filters == before
