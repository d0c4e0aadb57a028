"""The benchmark compares equals and computes its figures right. Nothing here depends on how fast anything is."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.benchmarks import beyond_memory, digits, train_speed
from tests.benchmarks.bounds import step_cost
from tests.benchmarks.contestants import Absent, Entrant, comparable, ours, reference
from tests.benchmarks.experiments import render_experiments
from tests.benchmarks.memory import CudaMemory
from tests.benchmarks.ours import Ours
from tests.benchmarks.race import race
from tests.benchmarks.records import Race, Results, Timing, read_results
from tests.benchmarks.reference_loop import ImageStream, ReferenceLoop
from tests.benchmarks.report import render, section
from tests.benchmarks.tasks.codecs import at_distortion
from tests.benchmarks.tasks.detection import blank, scores
from tests.benchmarks.tasks.filling import nearest_image, nearest_pixel
from tests.benchmarks.tasks.tables import TABLES, page
from tests.benchmarks.tasks.throughput import SCORING
from tests.helpers import CPU, ROOT, dataset, needs_mnist, python, tiny_model, tiny_recipe, tiny_recipe_of
from zoo.datasets import as_float, load_images
from zoo.errors import ZooError
from zoo.models.autoencoder import Autoencoder
from zoo.models.build import build
from zoo.objectives import build_objective
from zoo.schema.recipe import Recipe

DOCS = ROOT / "docs"
AE = {
    "model": tiny_model("ae") | {"network": {"name": "mlp", "hidden": [16]}, "latent_dim": 4},
    "objective": {"name": "reconstruction"},
}
needs_jax = pytest.mark.skipif(not (find_spec("jax") and find_spec("optax")), reason="jax and optax are not installed")
needs_pythae = pytest.mark.skipif(find_spec("pythae") is None, reason="pythae is not installed")

# --- equals are compared ----------------------------------------------------------------------------------------------


def test_the_reference_loop_sees_the_same_images() -> None:
    recipe = tiny_recipe()
    images = load_images(recipe.data, "train")
    stream = ImageStream(images)
    assert len(stream) == len(images)
    seen = torch.stack([stream[index][0] for index in range(len(images))])
    assert torch.equal(seen, as_float(images.images, recipe.data))


def test_one_batch_gives_the_reference_loop_and_ours_the_same_loss_gradients_and_weights() -> None:
    # Without noise in the code, and with all images in one batch, their order does not matter.
    recipe = tiny_recipe(**AE, training={"epochs": 1, "batch_size": 230})
    train, test = load_images(recipe.data, "train"), load_images(recipe.data, "test")
    loop = ReferenceLoop(recipe, train, CPU, workers=0)
    loop.train_epoch()
    mine = Ours(recipe, train, test, CPU, models=1)
    mine.train_epoch()
    row = mine.trainers[0].end_epoch()
    assert loop.mean_loss == pytest.approx(row["train"]["loss"], rel=1e-5)

    torch.manual_seed(recipe.training.seed)
    model = build(recipe)
    loss = build_objective(recipe, model, len(train))(model, as_float(train.images, recipe.data), torch.zeros(()))[
        "loss"
    ]
    loss.backward()
    trained = zip(model.parameters(), loop.model.parameters(), mine.models[0].parameters(), strict=True)
    for fresh, theirs, ours_ in trained:
        torch.testing.assert_close(theirs.grad, fresh.grad)
        torch.testing.assert_close(theirs, ours_, rtol=0, atol=recipe.optimizer.learning_rate / 50)
        assert not torch.equal(theirs, fresh)


@needs_pythae
@pytest.mark.parametrize("sections", [{}, AE], ids=["vae", "ae"])
def test_pythae_computes_the_same_loss(sections: dict[str, Any]) -> None:
    from tests.benchmarks.pythae_loop import wrap

    recipe = tiny_recipe(**sections)
    model = build(recipe)
    x = as_float(load_images(recipe.data, "train").images[:50], recipe.data)
    torch.manual_seed(0)
    expected = build_objective(recipe, model, 230)(model, x, torch.zeros(()))["loss"]
    torch.manual_seed(0)
    torch.testing.assert_close(wrap(recipe, model)({"data": x}).loss, expected)


@needs_pythae
def test_what_pythae_has_no_model_for_is_absent_rather_than_wrong() -> None:
    from tests.benchmarks.pythae_loop import wrap

    recipe = tiny_recipe(model={"variant": "linear_vae", "likelihood": {"family": "gaussian"}})
    with pytest.raises(Absent, match="no counterpart"):
        wrap(recipe, build(recipe))


@needs_jax
@pytest.mark.parametrize("variant", ["linear_vae", "conv_vae"])
def test_jax_computes_the_same_loss_and_gradients(variant: str) -> None:
    import jax
    import jax.numpy as jnp

    from tests.benchmarks.jax_loop import loss_of

    recipe = tiny_recipe_of(variant)
    model = build(recipe)
    x = as_float(load_images(recipe.data, "train").images[:50], recipe.data)
    epsilon = torch.randn(50, model.prior.latent_dim)
    posterior = model.encode(x)
    codes = posterior.mean + (posterior.logvar / 2).exp() * epsilon  # type: ignore[attr-defined]
    expected = (posterior.kl_per_dimension(model.prior).sum(dim=1) - model.decode(codes).log_prob(x)).mean()
    expected.backward()
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    loss, gradients = jax.value_and_grad(loss_of(model))(params, jnp.asarray(x.numpy()), jnp.asarray(epsilon.numpy()))
    assert float(loss) == pytest.approx(expected.item(), rel=1e-5)
    for name, value in model.named_parameters():
        assert value.grad is not None
        torch.testing.assert_close(torch.tensor(gradients[name]), value.grad, rtol=1e-3, atol=1e-4)


@needs_jax
def test_jax_learns_as_much_as_ours_and_each_image_counts_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.benchmarks.jax_loop import JaxLoop, epoch_of

    monkeypatch.setattr("tests.benchmarks.race.peak_bytes", lambda entrant: 1)
    recipe = tiny_recipe(training={"epochs": 6, "batch_size": 50})
    jax = Entrant(label="JAX", kind="jax", recipe=recipe.to_dict())
    found = race(recipe, [reference(recipe)[0], jax, ours(recipe)], CPU, repetitions=5)
    assert [timing.absent for timing in found.timings] == [None] * 3
    assert found.timings[1].losses[0] == pytest.approx(found.timings[2].losses[0], rel=0.03)

    class Count:
        def update(self, gradients: Any, state: Any) -> Any:
            return gradients, state

    loop = JaxLoop(recipe, load_images(recipe.data, "train"), CPU)
    total = epoch_of(lambda params, x, epsilon: params["sum"] * x.sum(), Count(), 50, 1)
    (params, *_) = total(({"sum": 0.0}, None, loop.state[2]), loop.images)
    brightness = load_images(recipe.data, "train").images.double().sum().item() / 255
    assert float(params["sum"]) == pytest.approx(brightness, rel=1e-5)


@needs_jax
@pytest.mark.parametrize(
    ("sections", "words"),
    [(AE, "written for a VAE"), ({"model": tiny_model("bn_vae")}, "the layer LeakyReLU is not written")],
)
def test_what_is_not_written_in_jax_is_absent(sections: dict[str, Any], words: str) -> None:
    recipe = tiny_recipe(**sections)
    images = load_images(recipe.data, "train")
    with pytest.raises(Absent, match=words):
        Entrant(label="JAX", kind="jax", recipe=recipe.to_dict()).build(images, images, CPU)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"name": "tiny", "channels": 3}}, "not grey"),
        ({"data": {"name": "tiny", "binarization": "dynamic"}}, "binarised"),
        ({"objective": {"name": "elbo", "beta": 2.0}}, "objective"),
        ({"optimizer": {"name": "adamw"}}, "Adam"),
        ({"optimizer": {"name": "adam", "schedule": {"name": "cosine"}}}, "Adam"),
        ({"optimizer": {"name": "adam", "betas": [0.5, 0.9]}}, "Adam"),
    ],
)
def test_a_recipe_that_the_published_loops_cannot_train_alike_is_refused(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ZooError, match=words):
        comparable(tiny_recipe(**sections))


def test_ours_may_differ_in_its_execution_only() -> None:
    recipe = tiny_recipe()
    assert ours(tiny_recipe(execution={"compile": "off"}), like=recipe).kind == "ours"
    with pytest.raises(ZooError, match="execution"):
        ours(tiny_recipe(training={"epochs": 2, "batch_size": 64}), like=recipe)


def test_several_models_at_once_have_seeds_of_their_own() -> None:
    recipe = tiny_recipe()
    found = Ours(recipe, load_images(recipe.data, "train"), load_images(recipe.data, "test"), CPU, models=2)
    first, second = (next(model.parameters()) for model in found.models)
    assert not torch.equal(first, second)
    assert [trainer.recipe.training.seed for trainer in found.trainers] == [0, 1]


def test_a_race_takes_every_contestant_through_the_same_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.benchmarks.race.peak_bytes", lambda entrant: 1)
    recipe = tiny_recipe(training={"epochs": 3, "batch_size": 50})
    pythae = Entrant(label="pythae", kind="pythae", recipe=recipe.to_dict())
    entrants = [reference(recipe)[0], pythae, ours(tiny_recipe(training=recipe.training.model_dump()), like=recipe)]
    found = race(recipe, entrants, CPU, repetitions=2)
    assert (found.epochs, found.images, found.side) == (3, 230, 28)
    for timing in found.timings:
        if timing.absent:
            assert timing.label == "pythae" and "not installed" in timing.absent and not timing.seconds
        else:
            assert len(timing.seconds) == 2 and len(timing.losses) == 1 and timing.peak_bytes == 1
            assert timing.losses[0] == pytest.approx(found.reference.losses[0], rel=0.1)


def test_a_contestant_that_breaks_loses_its_row_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(**AE, training={"epochs": 3, "batch_size": 50})
    first, second = (ours(recipe, label=label) for label in ("breaks later", "goes on"))
    broken = Entrant(label="breaks", kind="ours", recipe=recipe.to_dict() | {"optimizer": {"name": "adamw"}})
    epochs = []

    def out_of_memory(self: Ours) -> None:
        epochs.append(self)
        if self is epochs[0] and epochs.count(self) == 2:
            raise RuntimeError("CUDA error: out of memory\nhints")
        for _ in self.trainers[0].train_steps():
            pass

    monkeypatch.setattr(Ours, "train_epoch", out_of_memory)
    found = race(recipe, [broken, first, second], CPU, repetitions=2, speed_only=True)
    reasons = {timing.label: timing.absent for timing in found.timings}
    assert "cannot be compared" in (reasons["breaks"] or "")
    assert reasons["breaks later"] == "RuntimeError: CUDA error: out of memory"
    assert reasons["goes on"] is None and len(found.timings[2].seconds) == 2
    # Without a reference there are times, and nothing to compare them with.
    assert found.reference is None
    (row,) = [line for line in "\n".join(section(results(races=(found,)))).split("\n") if "| goes on |" in line]
    assert row.split("|")[7].strip() == "" and row.split("|")[3].strip()


def test_a_race_that_is_stopped_keeps_the_epochs_that_all_have_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(**AE, training={"epochs": 5, "batch_size": 50})
    original, turns = Ours.train_epoch, []

    def interrupted(self: Ours) -> None:
        turns.append(self)
        if len(turns) == stop:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(Ours, "train_epoch", interrupted)
    entrants = [ours(recipe, label=label) for label in ("first", "second")]
    stop = 2 + 4 + 2  # the second one's turn, after an epoch that is not timed and two that are
    found = race(recipe, entrants, CPU, repetitions=4)
    assert found.epochs == 3 and [len(timing.seconds) for timing in found.timings] == [2, 2]
    assert not any(timing.losses for timing in found.timings)  # the first has trained an epoch more
    turns.clear()
    stop = 4  # nothing is known yet
    with pytest.raises(KeyboardInterrupt):
        race(recipe, entrants, CPU, repetitions=4, speed_only=True)


def test_a_race_that_is_stopped_while_it_measures_keeps_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.benchmarks.race.measure", interrupted)
    recipe = tiny_recipe(**AE, training={"epochs": 2, "batch_size": 50})
    found = race(recipe, [ours(recipe, label=label) for label in ("first", "second")], CPU, repetitions=1)
    assert found.epochs == 2 and [len(timing.seconds) for timing in found.timings] == [1, 1]


def test_a_stopped_race_ends_the_run_and_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("peak_flops", "peak_bandwidth"):
        monkeypatch.setattr(train_speed, name, lambda device: 1e9)
    monkeypatch.setattr(train_speed, "load_average", lambda: 0.0)
    monkeypatch.setattr(train_speed, "race", lambda recipe, *_: hand_made())  # of three epochs
    monkeypatch.setattr(train_speed, "growth", lambda *_: pytest.fail("goes on"))
    out = tmp_path / "found.json"
    options = ["--device", "cpu", "--out", str(out), "--repetitions", "5", "--growth", "batch"]
    train_speed.main([*options, "--entries", "linear_vae_mnist", "conv_vae_mnist"])
    found = Results.model_validate_json(out.read_text())
    assert found.races == (hand_made(),) and found.repetitions == 5
    assert "3 timed epochs each" in "\n".join(section(found))


def test_the_races_that_are_over_are_kept_when_a_later_one_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_race(recipe: Recipe, *arguments: Any, **options: Any) -> Race:
        if recipe.name == "conv_vae_mnist":
            raise KeyboardInterrupt
        return hand_made()

    for name in ("peak_flops", "peak_bandwidth"):
        monkeypatch.setattr(train_speed, name, lambda device: 1e9)
    monkeypatch.setattr(train_speed, "load_average", lambda: 0.0)
    monkeypatch.setattr(train_speed, "race", one_race)
    monkeypatch.setattr("tests.benchmarks.growth.race", one_race)
    out = tmp_path / "found.json"
    options = ["--device", "cpu", "--out", str(out), "--repetitions", "3", "--entries", "linear_vae_mnist"]
    with pytest.raises(KeyboardInterrupt):
        train_speed.main([*options, "conv_vae_mnist"])
    assert not out.exists()
    kept = Results.model_validate_json(out.with_name("found.json.partial").read_text())
    assert kept.races == (hand_made(),)
    train_speed.main([*options, "--growth", "at_once"])
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
    (whole,) = read_results(tmp_path)
    assert whole.races == whole.growth["at_once"] == (hand_made(),)


@pytest.mark.slow
@pytest.mark.alone
@needs_mnist
def test_the_command_measures_and_writes_what_it_has_measured(tmp_path: Path) -> None:
    options = ["--quick", "--repetitions", "1", "--entries", "linear_vae_mnist", "--device", "cpu"]
    done = python("-m", "tests.benchmarks.train_speed", *options, "--out", tmp_path / "x.json")
    assert done.returncode == 0, done.stderr
    (found,) = read_results(tmp_path)
    assert [race.entry for race in found.races] == ["linear_vae_mnist"]
    assert {timing.kind for timing in found.races[0].timings} == {"reference", "pythae", "ours"}
    assert all(timing.absent or timing.peak_bytes for timing in found.races[0].timings)
    wrong = python("-m", "tests.benchmarks.train_speed", "--quick", "--device", "cpu")
    assert wrong.returncode != 0 and "error: figures in the documentation" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_digits_come_in_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_images(dataset("tiny", train_images=3), "train")
    monkeypatch.setattr(digits, "load_images", lambda data, split: small)
    images = digits.digits_of_side(digits.DigitsConfig(side=64), "train").images
    assert images.shape == (3, 1, 64, 64) and images.dtype == torch.uint8
    assert images.float().mean().item() == pytest.approx(small.images.float().mean().item(), rel=0.05)


# --- figures ----------------------------------------------------------------------------------------------------------


def hand_made(**timings: Any) -> Race:
    """Two reference loops, and what else is given: label → the fields of its timing."""
    known = {
        "slow": {"kind": "reference", "seconds": (9.0, 9.0, 9.0), "losses": (100.0,)},
        "fast": {"kind": "reference", "seconds": (4.0, 6.0, 5.0), "losses": (100.0,)},
    }
    return Race(
        entry="linear_vae_mnist", side=28, images=60_000, batch_size=100, epochs=4,
        metric="negative_elbo", tolerance=0.015, flops=1_000_000, bytes=500_000,
        timings=tuple(Timing(label=label, **fields) for label, fields in (known | timings).items()),
    )  # fmt: skip


def test_figures_come_from_the_raw_times() -> None:
    found = hand_made(mine={"kind": "ours", "seconds": (4.0, 8.0, 2.0), "models": 2, "losses": (101.0, 99.0)})
    mine = found.timings[-1]
    assert found.reference.label == "fast"
    assert mine.typical == 2.0  # of (2, 4, 1): seconds per model
    assert found.ratios(mine) == (4.0 / 2.0, 6.0 / 4.0, 5.0 / 1.0)
    assert found.speedup(mine) == 2.0  # the median of the ratios, not the ratio of the medians
    assert found.speedup(found.reference) == 1.0
    assert found.images_per_second(mine) == 30_000
    # 600 steps of 1e6 operations at 1e9 a second take 0.6 s of the 2 s.
    assert found.of_bound(mine, found.flops, 1e9) == pytest.approx(0.3)
    assert not found.void(mine)


@pytest.mark.parametrize("losses", [(101.6,), (98.4,), (100.0, 103.0), (float("nan"),)])
def test_a_row_that_has_not_learnt_the_same_is_void(losses: tuple[float, ...]) -> None:
    found = hand_made(mine={"kind": "ours", "seconds": (1.0, 1.0, 1.0), "losses": losses, "models": len(losses)})
    assert found.void(found.timings[-1]).startswith("void: its test loss differs from the reference's by ")
    assert not any(found.void(timing) for timing in found.timings[:-1])


def test_operations_and_bytes_of_a_known_model() -> None:
    batch, pixels, hidden, code = 50, 784, 16, 4
    recipe = tiny_recipe(**AE, training={"epochs": 1, "batch_size": batch})
    flops, moved = step_cost(recipe)
    weights = 2 * (pixels * hidden + hidden * code)
    # Forward, gradient of the weights, gradient of the input: the last is not needed at the first layer.
    assert flops == 2 * batch * (3 * weights - pixels * hidden)
    parameters = 4 * (weights + hidden + code + hidden + pixels)
    assert moved > 10 * parameters + batch * pixels
    # Kept for the backward pass: x, both hidden layers, the code, the sigmoid's output, the difference.
    activations = 4 * batch * (pixels + 2 * hidden + code + pixels + pixels)
    assert moved == 10 * parameters + 2 * activations + batch * pixels


# --- files ------------------------------------------------------------------------------------------------------------


def results(**fields: Any) -> Results:
    mine = {"kind": "ours", "seconds": (2.0, 3.0, 2.5), "losses": (100.5,), "peak_bytes": 123 * 2**20}
    void = {"kind": "ours", "seconds": (0.123, 0.123, 0.123), "losses": (150.0,)}
    missing = {"kind": "pythae", "absent": "pythae is not installed"}
    known: dict[str, Any] = {
        "device": "Some CPU, 2 threads", "kind": "cpu", "cores": 2, "load": 0.04, "date": "1 May",
        "command": "python -m tests.benchmarks.train_speed", "repetitions": 3, "versions": {"torch": "2.11"},
        "peak_flops": 50e9, "peak_bandwidth": 9.4e9, "races": (hand_made(mine=mine, hasty=void, pythae=missing),),
        "growth": {"batch": (hand_made(mine=mine),), "at_once": (hand_made(mine=mine | {"models": 2}),)},
    }  # fmt: skip
    return Results(**known | fields)


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(results().to_json())
    assert read_results(tmp_path) == [results()]
    diverged = results(races=(hand_made(mine={"kind": "ours", "seconds": (1.0,) * 3, "losses": (float("nan"),)}),))
    (tmp_path / "a.json").write_text(diverged.to_json())
    assert "differs from the reference's by +nan%" in render(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps({"device": "x"}))
    with pytest.raises(ZooError, match="b.json"):
        read_results(tmp_path)


def test_the_page_shows_the_figures_of_every_file_and_nothing_else(tmp_path: Path) -> None:
    assert render(tmp_path) == "No measurements yet."
    (tmp_path / "b.json").write_text(results().to_json())
    (tmp_path / "a.json").write_text(results(device="Another", load=1.7, growth={}).to_json())
    text = render(tmp_path)
    assert text == render(tmp_path)
    assert text.index("### Another") < text.index("### Some CPU, 2 threads")
    row = "| `linear_vae_mnist` | mine | 2.50 | 2.00 – 3.00 | 24,000 | 2.00 (2.00 – 2.00) | 123 MiB |"
    assert text.count(row) == 2
    assert "50 GFLOP/s, 9.4 GB/s" in text and "torch 2.11" in text and "1 May" in text
    assert "pythae is not installed" in text and "void: its test loss differs" in text and "0.123" not in text
    assert text.count("busy") == 1
    assert "| `linear_vae_mnist` | 2 | 2.50 | 1.25 | 48,000 | 4.00 |" in text  # two at once


def test_the_page_in_the_documentation_is_rendered_from_its_files() -> None:
    page = train_speed.PAGE.read_text(encoding="utf-8")
    assert f"<!-- measurements -->\n{render(train_speed.RECORDS)}\n<!-- /measurements -->" in page
    tried = render_experiments(train_speed.RECORDS / "experiments")
    assert f"<!-- experiments -->\n{tried}\n<!-- /experiments -->" in page


def test_the_table_of_images_beyond_memory_is_what_was_measured() -> None:
    page = beyond_memory.PAGE.read_text(encoding="utf-8")
    assert f"<!-- beyond memory -->\n{beyond_memory.render()}\n<!-- /beyond memory -->" in page


def test_an_experiment_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = next((train_speed.RECORDS / "experiments").glob("*.json"))
    (tmp_path / "mine.json").write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}))
    with pytest.raises(ZooError, match="mine.json: more: unknown field"):
        render_experiments(tmp_path)


@pytest.mark.parametrize(
    "options", [["--quick"], ["--repetitions", "2"], ["--quick", "--out", "docs/benchmarks/x.json"]]
)
def test_hasty_figures_stay_out_of_the_documentation(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(train_speed.DOCS.parent)
    with pytest.raises(ZooError, match="--out FILE.json"):
        train_speed.main([*options, "--device", "cpu"])


def test_the_command_lines_up_variants_and_refuses_equal_labels() -> None:
    eager = "eager=execution.compile=off,execution.graph=off"
    options = train_speed.parse(["--variant", eager, "--packed", "8", "--jax"])
    recipe, entrants = train_speed.lineup("linear_vae_mnist", ["data.train_images=100"], options)
    assert recipe.data.train_images == 100 and recipe == comparable(recipe)
    kinds = [(entrant.kind, entrant.models) for entrant in entrants]
    assert kinds == [("reference", 1)] * 2 + [("pythae", 1), ("jax", 1), ("ours", 1), ("ours", 1), ("ours", 8)]
    assert entrants[5].recipe["execution"]["compile"] == "off"
    for variant, words in [("ours=execution.graph=off", "same label"), ("eager", "expected a label")]:
        with pytest.raises(ZooError, match=words):
            train_speed.lineup("linear_vae_mnist", [], train_speed.parse(["--variant", variant]))


def test_the_command_on_the_page_names_no_place_of_this_machine() -> None:
    expected = "python -m tests.benchmarks.train_speed --device cuda --date '1 May'"
    assert train_speed.spelled(["--device", "cuda", "--out", "/somewhere/x.json", "--date", "1 May"]) == expected
    assert train_speed.spelled(["--out=/somewhere/x.json", "--device", "cuda", "--date", "1 May"]) == expected


def test_memory_on_cuda_is_counted_apart_from_what_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"memory_allocated": 100, "max_memory_allocated": 0}
    for name in now:
        monkeypatch.setattr(torch.cuda, name, lambda device, name=name: now[name])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    memory = CudaMemory(torch.device("cuda:0"))
    with memory.counted():  # 100 are others'; it comes to hold 30, and takes 80 at the highest
        now |= {"memory_allocated": 130, "max_memory_allocated": 180}
    assert (memory.held, memory.peak) == (30, 80)
    now["memory_allocated"] = 1130  # another one has come
    with memory.counted():
        now["max_memory_allocated"] = 1220
    assert (memory.held, memory.peak) == (30, 120)


# --- the page on the tasks --------------------------------------------------------------------------------------------


def test_the_page_on_the_tasks_shows_what_was_measured() -> None:
    record = json.loads((DOCS / "tasks.json").read_text())
    text = (DOCS / "tasks.md").read_text(encoding="utf-8")
    assert set(record) == set(TABLES)
    assert page(text, record) == text


def test_a_black_image_gets_every_score(model: Autoencoder) -> None:
    found = scores(model, blank(model))
    assert list(found) == ["mse", "negative_elbo", "nll_10"]
    assert all(len(values) == 1 for values in found.values())


@pytest.mark.slow
@pytest.mark.alone
def test_the_memory_of_scoring_a_folder_is_measured(folder: Path) -> None:
    done = python("-c", SCORING, folder)
    assert done.returncode == 0, done.stderr
    count, peak = map(int, done.stdout.split())
    assert count == 11 and peak > 10_000


def test_a_codec_between_two_qualities() -> None:
    curve = [{"mse": 1e-2, "bits": 100.0}, {"mse": 1e-4, "bits": 10_000.0}]
    assert at_distortion(1e-3, curve) == pytest.approx(1000)
    assert at_distortion(1e-4, curve) == pytest.approx(10_000)
    assert at_distortion(2e-2, curve) is None
    assert at_distortion(1e-5, curve) is None


def test_missing_pixels_are_filled_from_what_is_nearest() -> None:
    x = torch.tensor([[0.1, 0.2], [0.8, 0.9]]).reshape(1, 1, 2, 2)
    observed = torch.tensor([[True, True], [True, False]]).reshape(1, 1, 2, 2)
    filled = nearest_pixel(x, observed)
    assert filled[0, 0, 1, 1] in x[observed][1:]  # one of the two beside it
    assert torch.equal(filled[observed], x[observed])
    train = torch.tensor([[[[0.1, 0.2], [0.8, 0.5]]], [[[0.9, 0.9], [0.9, 0.9]]]])
    assert float(nearest_image(x, observed, train)[0, 0, 1, 1]) == pytest.approx(0.5)
