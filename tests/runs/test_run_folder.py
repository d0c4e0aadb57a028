"""Run folders: whole or not there, never replaced by accident."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from tests.helpers import CPU, PLUGIN, SHIPPED_VARIANTS, command, python, tiny_recipe, weights
from zoo.datasets import load_images
from zoo.entries.loading import load
from zoo.errors import ZooError
from zoo.models import Autoencoder
from zoo.registry import NETWORKS, VARIANTS, register_variant
from zoo.runs.card import load_name_in, load_name_of, write_card
from zoo.schema import ImageShape, VariantConfig
from zoo.training import run
from zoo.training.divergence import Divergence
from zoo.training.run import train


def test_a_run_folder_has_everything_and_nothing_else(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "model.safetensors",
        "config.json",
        "README.md",
        "metrics.jsonl",
        "snapshots.safetensors",
        "loss_curves.png",
        "reconstructions.png",
        "samples.png",
        "checkpoint.safetensors",
    }
    assert not trained.with_name(trained.name + ".partial").exists()
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert set(rows[0]) == {"epoch", "step", "learning_rate", "train", "test", "seconds"}
    assert set(rows[0]["train"]) == {"loss", "reconstruction", "kl"}
    config = json.loads((trained / "config.json").read_text())
    assert config["dataset"]["train"]["images"] == 230
    assert config["dataset"]["test"]["sha256"] == load_images(tiny_recipe().data, "test").digest
    assert config["metrics"]["test"]["negative_elbo"] == pytest.approx(
        config["metrics"]["test"]["reconstruction"] + config["metrics"]["test"]["kl"], rel=1e-6
    )
    card = (trained / "README.md").read_text()
    assert card.startswith("---\n")
    assert "library_name: autoencoder-zoo" in card
    assert "license" not in card.split("---")[1]  # the weights are the user's
    assert config["weights_sha256"] in card


def test_the_card_tells_the_seconds_of_the_run_beside_those_of_its_epochs(trained: Path) -> None:
    config = load(trained).config
    assert config and config.wall_seconds is not None and config.wall_seconds >= config.training_seconds
    known = config.model_copy(update={"training_seconds": 4.0, "wall_seconds": 1234.4})
    assert "\n- Trained in 4 s (1,234 s with preparing and waiting) on " in write_card(known)


def test_a_folder_of_an_older_version_has_no_seconds_of_the_run_and_keeps_its_fields(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    fields = json.loads(path.read_text())
    del fields["wall_seconds"]
    path.write_text(json.dumps(fields))
    config = load(tmp_path / "run").config
    assert config and config.wall_seconds is None
    assert json.loads(config.to_json()) == fields
    assert f"- Trained in {config.training_seconds:,.0f} s on " in write_card(config)


def test_a_run_under_the_home_folder_is_loaded_as_it_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = train(tiny_recipe(training={"epochs": 1, "batch_size": 50}), "~/runs/mine", "cpu")
    assert folder == tmp_path / "runs" / "mine"
    assert load(folder).config


def test_an_existing_run_is_refused_replaced_or_recognised(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    before = weights(out)
    with pytest.raises(ZooError, match="--overwrite replaces it"):
        train(tiny_recipe(), out, CPU)
    other = tiny_recipe(training={"epochs": 1, "batch_size": 50})
    with pytest.raises(ZooError, match="has taken 10 steps already"):
        train(other, out, CPU, resume=True)
    with pytest.raises(ZooError, match="another recipe"):
        train(tiny_recipe(training={"epochs": 1, "batch_size": 20}), out, CPU, resume=True)
    assert weights(out) == before
    assert train(tiny_recipe(), out, CPU, resume=True) == out
    assert weights(out) == before
    train(other, out, CPU, overwrite=True)
    assert weights(out) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_overwriting_keeps_the_old_run_until_the_new_one_is_whole(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    broken = tiny_recipe(optimizer={"name": "sgd", "learning_rate": 1e6})
    with pytest.raises(Divergence):
        train(broken, out, CPU, overwrite=True)
    assert weights(out) == weights(trained)
    load(out)


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ZooError, match="holds files that no run has written"):
        train(tiny_recipe(), tmp_path / "thesis", CPU, overwrite=True)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"


def test_with_nothing_to_resume_a_run_begins_and_says_so(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.partial").mkdir()  # of a run that was killed before its first checkpoint
    train(tiny_recipe(), tmp_path / "run", CPU, resume=True)
    assert "no checkpoint" in capsys.readouterr().out
    assert weights(tmp_path / "run") == weights(trained)
    train(tiny_recipe(), tmp_path / "run", CPU, resume=True)
    assert "finished already" in capsys.readouterr().out


def test_what_a_kill_between_two_renames_leaves_is_tidied_up(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.previous.safetensors").write_text("not yet removed")
    (tmp_path / ".run.replaced-1").mkdir()
    train(tiny_recipe(), tmp_path / "run", CPU, resume=True)
    assert not (tmp_path / "run" / "checkpoint.previous.safetensors").exists()
    (tmp_path / "run" / "checkpoint.safetensors").write_text("not yet removed")
    train(tiny_recipe(), tmp_path / "run", CPU, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_unwritable_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match="cannot create the folder .*; choose another one"):
        train(tiny_recipe(), tmp_path / "file" / "run", CPU)


def test_a_full_disk_leaves_no_half_written_run(tmp_path: Path, recipe_file: Any) -> None:
    # The operating system itself refuses files over 60 kB: the checkpoint, of about 0.6 MB, cannot be written.
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
        "from zoo.cli.app import main; main()"
    )
    out = tmp_path / "run"
    done = python("-c", code, "train", recipe_file(), "--out", out, "--import", PLUGIN)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert {p.name for p in (tmp_path / "run.partial").iterdir()} == {"metrics.jsonl", "snapshots.safetensors"}  # small


def test_a_variant_that_cannot_take_the_images_stops_before_training(tmp_path: Path) -> None:
    recipe = tiny_recipe(data={"name": "tiny", "side": 30}, model={"variant": "conv_vae"})
    with pytest.raises(ZooError, match="multiples of 4"):
        train(recipe, tmp_path / "run", CPU)
    train(tiny_recipe(), tmp_path / "run", CPU)  # what the failed run left behind is not in the way


def test_the_deterministic_prior_is_fitted_to_the_training_codes(tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"variant": "ae", "latent_dim": 3}, objective={"name": "reconstruction"})
    model = load(train(recipe, tmp_path / "run", CPU))
    codes = model.encode(load_images(recipe.data, "train").images.float() / 255).mean.detach()
    state = model.prior.state_dict()
    torch.testing.assert_close(state["mean"], codes.mean(dim=0), atol=1e-4, rtol=1e-4)
    covariance = state["scale_tril"] @ state["scale_tril"].T
    torch.testing.assert_close(covariance, torch.cov(codes.T, correction=0), atol=1e-3, rtol=1e-3)
    assert set(model.config.metrics["test"]) == {"mse", "psnr"} if model.config else False


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", SHIPPED_VARIANTS)
def test_a_gpu_gives_the_same_curve_and_the_same_bits_twice(variant: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(model={"variant": variant}, objective={"name": "reconstruction", "distance": "squared_error"})
    cuda = torch.device("cuda", 0)
    on_gpu, again = (train(recipe, tmp_path / name, cuda) for name in ("a", "b"))
    assert weights(on_gpu) == weights(again)
    on_cpu = load(train(recipe, tmp_path / "c", CPU))
    found = load(on_gpu)
    assert on_cpu.config and found.config
    if variant == "ae":  # no noise: the curves agree to rounding
        assert found.config.metrics["test"]["mse"] == pytest.approx(on_cpu.config.metrics["test"]["mse"], rel=1e-2)
    assert load(on_gpu, "cuda").sample(2).device.type == "cuda"


def test_a_run_with_notes_of_the_users_beside_it_is_never_replaced(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    (out / "notes.txt").write_text("my findings")
    with pytest.raises(ZooError, match="holds files that no run has written"):
        train(tiny_recipe(), out, CPU, overwrite=True)
    assert (out / "notes.txt").exists()


def test_two_runs_into_one_folder_are_kept_apart(tmp_path: Path) -> None:
    with run.reserved(tmp_path / "run", tmp_path / "run.partial", resume=False, overwrite=False):
        with pytest.raises(ZooError, match="another process is training into"):
            train(tiny_recipe(), tmp_path / "run", CPU, overwrite=True)
        assert (tmp_path / "run.partial").is_dir()
    train(tiny_recipe(), tmp_path / "run", CPU)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_failed_swap_leaves_the_old_run_in_its_place(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    original = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(13, "Permission denied")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ZooError, match="cannot rename .*Permission denied; the new run is complete there"):
        train(tiny_recipe(), out, CPU, overwrite=True)
    assert weights(out) == weights(trained)
    assert (tmp_path / "run.partial" / "config.json").exists()


@pytest.mark.parametrize("place", ["/", "."])
def test_places_that_are_no_run_folder(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ZooError, match="name a new folder"):
        train(tiny_recipe(), Path(place), CPU, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


class TiedConfig(VariantConfig):
    """Encoder and decoder share their weights."""

    variant: Literal["tied"] = "tied"


def test_tied_weights_can_be_trained_saved_and_loaded(tmp_path: Path) -> None:
    if "tied" not in VARIANTS.names():

        @register_variant(config=TiedConfig)
        def tied(config: TiedConfig, shape: ImageShape) -> Autoencoder:
            network = NETWORKS.get("mlp").config(hidden=())
            model = VARIANTS.get("ae").build(VARIANTS.get("ae").config(network=network, latent_dim=784), shape)
            model.decoder[0].weight = model.encoder[1].code.weight
            return model  # type: ignore[no-any-return]

    recipe = tiny_recipe(model={"variant": "tied"}, objective={"name": "reconstruction"})
    model = load(train(recipe, tmp_path / "run", CPU))
    assert model.decoder[0].weight is model.encoder[1].code.weight  # type: ignore[index,union-attr]


def test_a_card_names_the_folder_that_it_is_in(trained: Path, tmp_path: Path) -> None:
    run = train(tiny_recipe(training={"epochs": 1, "batch_size": 100}), tmp_path / "elsewhere", CPU)
    assert load_name_in((run / "README.md").read_text()) == "./elsewhere"
    assert load_name_of(Path("runs") / 'a "b"') == "PATH/TO/RUN"
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / "reconstructions.png").unlink()
    done = command("evaluate", copy, "--update", "--metrics", "mse", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    card = (copy / "README.md").read_text()
    assert load_name_in(card) == "./copy"
    assert "reconstructions.png" not in card
