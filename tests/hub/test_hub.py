"""Pushing to a Hub and pulling from it, with the real client, over HTTP, against a stand-in."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from torchvision.transforms.functional import to_pil_image

import zoo
from tests.helpers import CPU, PLUGIN, ROOT, command, dataset, python, tiny_recipe, weights
from tests.hub.server import StandInHub
from zoo.cli.push import figures_for
from zoo.datasets import load_images
from zoo.entries.catalog import recipe_paths, weights_folder
from zoo.errors import ZooError
from zoo.hub import Plan, Pushed, pull, push
from zoo.hub.client import Conflict
from zoo.runs.card import is_generated, write_card
from zoo.runs.folder import FIGURE_FILES, RUN_FILES, read_config
from zoo.schema.hub_address import Address
from zoo.system.files import sha256
from zoo.training.run import train


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of a run folder, to be changed, with files beside it that must not go anywhere."""
    copy = Path(shutil.copytree(trained, tmp_path / "run"))
    for stray in (".env", "checkpoint.safetensors", "notes.txt", "weights.pt"):
        (copy / stray).write_text("secret")
    return copy


@pytest.fixture(scope="session")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the same recipe with another seed."""
    fields = {"training": {"epochs": 1, "batch_size": 50, "seed": 7}}
    return train(tiny_recipe(**fields), tmp_path_factory.mktemp("runs") / "tiny_vae", CPU)


def plan(folder: Path, repository: str) -> Plan:
    """Return what a push would do."""
    return push(folder, repository, dry_run=True).plan


def change(folder: Path, **fields: Any) -> None:
    """Another config.json, and with it another card."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("hf-hub:owner/name", "owner/name", "main"),
        ("hf-hub:owner/name@v1.0", "owner/name", "v1.0"),
        ("hf-hub:o_1/n-2.x@refs/pr/1", "o_1/n-2.x", "refs/pr/1"),
    ],
)
def test_an_address_is_read_and_written_the_same_way(text: str, repository: str, revision: str) -> None:
    address = Address.parse(text)
    assert (address.repository, address.revision, str(address)) == (repository, revision, text)
    assert not address.pinned
    assert address.at("0" * 40).pinned


@pytest.mark.parametrize(
    "text",
    [
        "hf-hub:name", "hf-hub:", "hf-hub:a/b/c", "hf-hub:../b", "hf-hub:a/..", "hf-hub:a/b@", "hf-hub:a/b@../../x",
        "hf-hub:a/b@-x", "hf-hub:a/b c", "hf-hub:/etc/passwd", "hf-hub:a/b.git", "hf-hub:a--b/c", "hf-hub:\u0430/b",
        "hf-hub:a/b@\u202e", "hf-hub:" + "a" * 60 + "/" + "b" * 60, "hf-hub:a/b\n", "hf-hub:a/b@x//y", "hf-hub:a/b@@x",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ZooError, match="is not a repository|is not a revision"):
        zoo.load(text)


@pytest.mark.slow
def test_a_pushed_model_is_the_same_in_another_process_and_cache(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    pushed = push(folder, "me/tiny")
    code = f"""
import json, runpy, torch, zoo, hashlib
runpy.run_path({str(PLUGIN)!r})
model = zoo.load({str(pushed.address)!r})
found = zoo.hub.pull({str(pushed.address)!r}).folder
z = torch.linspace(-1, 1, 8).reshape(2, 4)
print(json.dumps([model.origin, hashlib.sha256((found / "model.safetensors").read_bytes()).hexdigest(),
                  model.decode(z).mean.flatten().tolist()]))
"""
    done = python("-c", code, HF_HOME=str(tmp_path / "another"), HF_TOKEN="")
    assert done.returncode == 0, done.stderr
    origin, digest, decoded = json.loads(done.stdout)
    assert origin == str(pushed.address)
    assert digest == sha256(weights(folder)) == pushed.pin.sha256
    z = torch.linspace(-1, 1, 8).reshape(2, 4)
    assert torch.equal(torch.tensor(decoded), zoo.load(folder).decode(z).mean.flatten())


def test_one_commit_of_the_known_files_and_nothing_else(hub: StandInHub, folder: Path) -> None:
    pushed = push(folder, "me/tiny", message="The first")
    assert hub.files("me/tiny").keys() == RUN_FILES | {".gitattributes"}
    for name in RUN_FILES - {"README.md"}:
        assert hub.files("me/tiny")[name] == (folder / name).read_bytes()
    repository = hub.repositories["me/tiny"]
    assert len(repository.commits) == 2  # the empty one, and ours
    assert pushed.address.revision == repository.branches["main"]
    assert pushed.commit_url == f"{hub.url}/me/tiny/commit/{pushed.address.revision}"
    assert pushed.plan.new
    assert pushed.changed


def test_what_is_there_already_makes_no_commit(hub: StandInHub, folder: Path) -> None:
    first = push(folder, "me/tiny")
    hub.requests.clear()
    again = push(folder, "me/tiny")
    assert again.address == first.address
    assert not again.changed
    assert not [request for request in hub.requests if request.startswith("POST")]


def test_a_later_run_replaces_its_files_and_removes_those_that_it_lacks(hub: StandInHub, folder: Path) -> None:
    push(folder, "me/tiny")
    repository = hub.repositories["me/tiny"]
    repository.branches["main"] = repository.commit({**hub.files("me/tiny"), "LICENSE": b"mine"})
    (folder / "snapshots.safetensors").unlink()
    change(folder, training_seconds=12345.0)
    pushed = push(folder, "me/tiny")
    assert pushed.plan.removed == ("snapshots.safetensors",)
    assert set(pushed.plan.unchanged) >= {"model.safetensors", "samples.png"}
    assert pushed.plan.files.keys() == {"config.json", "README.md"}
    assert hub.files("me/tiny").keys() == RUN_FILES - {"snapshots.safetensors"} | {".gitattributes", "LICENSE"}
    assert b"12,345 s" in hub.files("me/tiny")["README.md"]


def test_a_card_that_was_edited_on_the_hub_survives(hub: StandInHub, folder: Path) -> None:
    push(folder, "me/tiny")
    repository = hub.repositories["me/tiny"]
    edited = hub.files("me/tiny")["README.md"] + b"\nMy own words.\n"
    repository.branches["main"] = repository.commit({**hub.files("me/tiny"), "README.md": edited})
    change(folder, training_seconds=12345.0)
    pushed = push(folder, "me/tiny")
    assert hub.files("me/tiny")["README.md"] == edited
    assert b"12345" in hub.files("me/tiny")["config.json"]
    assert any("edited by hand and stays" in note for note in pushed.plan.notes)
    push(folder, "me/tiny", replace_card=True)
    assert b"My own words" not in hub.files("me/tiny")["README.md"]


def test_a_card_that_was_edited_in_the_folder_goes_as_it_is(hub: StandInHub, folder: Path) -> None:
    words = (folder / "README.md").read_text() + "\nSeen from here.\n"
    (folder / "README.md").write_text(words)
    push(folder, "me/tiny")
    here = hub.files("me/tiny")["README.md"].decode()
    assert here == words.replace('zoo.load("./tiny_vae")', 'zoo.load("hf-hub:me/tiny")')
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(ZooError, match="the front matter of .*README.md cannot be read"):
        push(folder, "me/tiny")
    (folder / "README.md").write_bytes(b"\xff")
    with pytest.raises(ZooError, match="is not UTF-8 text"):
        push(folder, "me/tiny")


def test_a_card_knows_whether_it_was_edited(trained: Path) -> None:
    card = write_card(read_config(trained))
    assert is_generated(card)
    for other in ("", card[1:], card + "x", card.replace("seed", "sead"), card.replace("sha256 of the above ", "")):
        assert not is_generated(other)


def test_the_card_says_what_the_hub_and_a_reader_want(
    hub: StandInHub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(folder, "me/tiny")
    text = hub.files("me/tiny")["README.md"].decode()
    data = ModelCard(text).data
    assert data.library_name == "autoencoder-zoo"
    assert data.pipeline_tag == "unconditional-image-generation"
    assert data.datasets == ["tiny"]
    assert {"autoencoder", "linear_vae", "elbo"} <= set(data.tags)
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values["negative_elbo"] == pytest.approx(read_config(folder).metrics["test"]["negative_elbo"])
    assert "![Samples](samples.png)" in text
    assert '"variant": "linear_vae"' in text  # the recipe
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert f'zoo.load("{pushed.address.at("main")}")' in code
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "another"))
    names: dict[str, Any] = {}
    with pytest.warns(UserWarning, match="is not pinned"):
        exec(code, names)
    assert names["reconstructions"].shape == (16, 1, 28, 28)


def test_a_tag_that_is_there_already_is_no_mistake(hub: StandInHub, folder: Path) -> None:
    first = push(folder, "me/tiny", tag="v1")
    again = push(folder, "me/tiny", tag="v1")
    assert again.address == first.address
    assert hub.repositories["me/tiny"].tags == {"v1": first.address.revision}


def test_a_card_edited_by_hand_about_other_weights_is_told(hub: StandInHub, folder: Path, another: Path) -> None:
    push(folder, "me/tiny")
    repository = hub.repositories["me/tiny"]
    edited = hub.files("me/tiny")["README.md"] + b"\nMy own words.\n"
    repository.branches["main"] = repository.commit({**hub.files("me/tiny"), "README.md": edited})
    assert not any("not about these weights" in note for note in plan(folder, "me/tiny").notes)
    assert any("not about these weights" in note for note in plan(another, "me/tiny").notes)


def test_figures_of_a_folder_without_any_are_drawn_for_the_push(hub: StandInHub, folder: Path) -> None:
    for name in FIGURE_FILES:
        (folder / name).unlink()

    def pushed(*options: object) -> dict[str, Any]:
        done = command("push", folder, "me/x", "--dry-run", "--json", "--import", PLUGIN, *options)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    found = pushed()
    assert found["files"].keys() >= set(FIGURE_FILES)
    assert any(note.startswith("loss_curves.png, reconstructions.png, samples.png: drawn") for note in found["notes"])
    assert found["files"].keys() - pushed("--without-test-images")["files"].keys() == {
        "reconstructions.png", "snapshots.safetensors",
    }  # fmt: skip
    assert not list(folder.glob("*.png"))  # the folder is the user's
    (folder / "samples.png").write_bytes(b"\x89PNG\r\n\x1a\nmine")
    assert pushed()["files"].keys() & set(FIGURE_FILES) == {"samples.png"}  # chosen by the user
    assert pushed()["files"]["README.md"] < found["files"]["README.md"]


def test_images_of_the_users_own_are_pointed_out_and_can_stay_here(hub: StandInHub, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, image in enumerate(load_images(dataset("glyphs"), "test").images[:20]):
        to_pil_image(image).save(tmp_path / "images" / f"{number}.png")
    data = {"name": "image_folder", "path": str(tmp_path / "images"), "size": 16, "channels": 1}
    run = train(tiny_recipe(data=data), tmp_path / "mine", CPU)
    (note,) = [note for note in plan(run, "me/mine").notes if "your images" in note]
    assert f"name the folder '{tmp_path / 'images'}'" in note
    push(run, "me/mine", without_test_images=True)
    assert hub.files("me/mine").keys() & {"reconstructions.png", "snapshots.safetensors"} == set()
    assert b"reconstructions.png" not in hub.files("me/mine")["README.md"]
    for name in FIGURE_FILES:
        (run / name).unlink()
    assert figures_for(run) == {}  # nobody has asked to draw one's own images
    assert zoo.load("hf-hub:me/mine@main").image_shape == (1, 16, 16)

    pull("hf-hub:me/mine", tmp_path / "pulled")  # its config names a folder here, which nobody asked to read
    for source in ("hf-hub:me/mine", str(tmp_path / "pulled")):
        again = ["--retrain", "--out", tmp_path / "again"]
        for verb in (["evaluate"], ["verify"], ["verify", *again], ["compare", "--out", tmp_path / "c.png"]):
            done = command(verb[0], source, *verb[1:])
            assert "a config from elsewhere chooses no folder here" in done.stdout + done.stderr
    assert not (tmp_path / "again").exists()
    done = command("verify", tmp_path / "pulled", "--data", tmp_path / "images")
    assert "ok     train images" in done.stdout and "ok     test images" in done.stdout
    done = command("compare", tmp_path / "pulled", "--data", tmp_path / "images", "--out", tmp_path / "c.png")
    assert done.returncode == 0
    assert "no reconstructions" not in done.stdout
    assert command("evaluate", run, "--images", "2", "--metrics", "mse").returncode == 0


def test_a_repository_that_leaves_files_out_is_refused(hub: StandInHub, folder: Path) -> None:
    hub.repository("me/tiny", {".gitignore": b"*.safetensors"})
    with pytest.raises(ZooError, match="has a .gitignore, by which the Hub leaves out files"):
        push(folder, "me/tiny")


def test_a_new_repository_is_as_visible_as_its_owner_has_it(hub: StandInHub, folder: Path) -> None:
    hub.private_by_default = True
    push(folder, "me/tiny")
    assert hub.repositories["me/tiny"].private


def test_no_licence_is_said_and_a_licence_is_in_the_card(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    assert "no licence" in plan(folder, "me/tiny").notes[0]
    licensed = train(tiny_recipe(source={"license": "mit"}), tmp_path / "licensed", CPU)
    pushed = push(licensed, "me/licensed")
    assert pushed.plan.notes == ()
    assert ModelCard(hub.files("me/licensed")["README.md"].decode()).data.license == "mit"


def test_private_branch_tag_and_pull_request(hub: StandInHub, folder: Path) -> None:
    push(folder, "me/tiny", private=True, tag="v1")
    repository = hub.repositories["me/tiny"]
    assert repository.private
    assert repository.tags == {"v1": repository.branches["main"]}
    first = repository.branches["main"]

    change(folder, training_seconds=1.0)
    push(folder, "me/tiny", branch="trial")
    assert repository.branches["main"] == first
    assert repository.parents[repository.branches["trial"]] == first
    assert zoo.load("hf-hub:me/tiny@trial").config.training_seconds == 1.0  # type: ignore[union-attr]

    change(folder, training_seconds=2.0)
    proposed = push(folder, "me/tiny", pull_request=True)
    assert proposed.pull_request == f"{hub.url}/me/tiny/discussions/1"
    assert repository.branches["main"] == first
    assert zoo.load(str(proposed.address)).config.training_seconds == 2.0  # type: ignore[union-attr]
    assert zoo.load("hf-hub:me/tiny@refs/pr/1").config.training_seconds == 2.0  # type: ignore[union-attr]

    with pytest.raises(ZooError, match=f"has the tag 'v1' already, at {first}"):
        push(folder, "me/tiny", tag="v1")
    for more in ({"branch": "v1"}, {"tag": "trial"}, {"tag": "main"}, {"branch": "x", "tag": "x"}):
        with pytest.raises(ZooError, match="one name cannot be a branch and a tag"):
            push(folder, "me/tiny", **more)  # type: ignore[arg-type]
    for more in ({"branch": first}, {"tag": "0" * 40}, {"branch": "refs/pr/1"}):
        with pytest.raises(ZooError, match="cannot be taken for a commit or a pull request"):
            push(folder, "me/tiny", **more)  # type: ignore[arg-type]
    with pytest.raises(ZooError, match="drop --branch and --tag"):
        push(folder, "me/tiny", pull_request=True, tag="v2")
    with pytest.raises(ZooError, match="a pull request needs a repository"):
        push(folder, "me/none", pull_request=True)


def test_others_may_propose_but_not_write(
    hub: StandInHub, folder: Path, another: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(folder, "me/tiny")
    monkeypatch.setenv("HF_TOKEN", "token-of-you")
    with pytest.raises(ZooError, match="your token may not do that; a push needs write access"):
        push(another, "me/tiny")
    assert push(another, "me/tiny", pull_request=True).pull_request
    with pytest.raises(ZooError, match="may not create a repository under me"):
        push(another, "me/new")


def test_a_new_model_never_lands_in_public_by_mistake(hub: StandInHub, folder: Path, another: Path) -> None:
    push(folder, "me/tiny")
    with pytest.raises(ZooError, match="me/tiny is public already"):
        push(another, "me/tiny", private=True)


def test_a_taken_name(hub: StandInHub, folder: Path, trained: Path, tmp_path: Path) -> None:
    hub.repository("me/bert", {"config.json": b'{"architectures": ["Bert"]}', "pytorch_model.bin": b"x"})
    hub.repository("me/empty", {"README.md": b"---\nlicense: mit\n---\n", "LICENSE": b"mit"})
    hub.repository("you/secret", {"a": b"b"}, private=True)
    for replace in (False, True):
        with pytest.raises(ZooError, match="me/bert is taken by something else than a model of the zoo"):
            push(folder, "me/bert", replace=replace)
    assert push(folder, "me/empty").changed
    with pytest.raises(ZooError, match="may not create a repository under you"):
        push(folder, "you/secret")

    other = train(tiny_recipe(name="other_vae"), tmp_path / "other_vae", CPU)
    push(folder, "me/tiny")
    with pytest.raises(ZooError, match="holds the model 'tiny_vae', not 'other_vae'.*--replace"):
        push(other, "me/tiny")
    assert push(other, "me/tiny", replace=True).changed


def test_a_dry_run_writes_nothing(hub: StandInHub, folder: Path) -> None:
    done = command("push", folder, "me/tiny", "--dry-run", "--private", "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    assert "me/tiny on http://127.0.0.1" in done.stdout
    assert "(new, private), branch main" in done.stdout
    assert re.search(rf"model.safetensors +{(folder / 'model.safetensors').stat().st_size:,} bytes", done.stdout)
    assert "notes.txt" not in done.stdout
    assert not hub.repositories
    assert all(request.startswith(("GET", "HEAD")) for request in hub.requests)


def test_the_folder_that_one_is_in_is_pushed_when_it_is_finished(hub: StandInHub, folder: Path) -> None:
    words = "push", ".", "me/tiny", "--dry-run", "--import", PLUGIN
    assert command(*words, cwd=folder).returncode == 0
    partial = folder.parent / f"{folder.name}.partial"
    partial.mkdir()
    for place in (folder, partial):
        done = command(*words, cwd=place)
        assert (done.returncode, done.stderr) == (2, "error: the training into . is not finished; push it when it is\n")


def test_the_commands(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    done = command("push", folder, "me/tiny", "--tag", "v1", "--import", PLUGIN)
    assert done.returncode == 0, done.stderr
    commit = hub.repositories["me/tiny"].branches["main"]
    assert done.stdout.splitlines() == [
        f"pushed: {hub.url}/me/tiny/commit/{commit}",
        "tag: v1",
        f'load it: zoo.load("hf-hub:me/tiny@{commit}")',
        f'pin it, in a recipe: "hub": {{"repo":"me/tiny","revision":"{commit}","sha256":"{sha256(weights(folder))}"}}',
    ]
    assert "note: no licence" in done.stderr

    done = command("pull", "hf-hub:me/tiny@v1", "--to", tmp_path / "mine", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["address"] == f"hf-hub:me/tiny@{commit}"
    assert (
        done.stderr.count(f"warning: hf-hub:me/tiny@v1 is not pinned and can change; write hf-hub:me/tiny@{commit}")
        == 1
    )
    assert {path.name for path in (tmp_path / "mine").iterdir()} == RUN_FILES | {"hub.json"}
    assert json.loads((tmp_path / "mine" / "hub.json").read_text())["revision"] == commit
    assert zoo.load(tmp_path / "mine").image_shape == (1, 28, 28)

    done = command("push", folder, "me/tiny", "--json", "--import", PLUGIN)
    assert json.loads(done.stdout)["pin"]["revision"] == commit
    assert not json.loads(done.stdout)["changed"]
    done = command("evaluate", f"hf-hub:me/tiny@{commit}", "--update", "--import", PLUGIN)
    assert done.returncode == 2
    assert "the cache keeps hf-hub:me/tiny" in done.stderr

    done = command("verify", f"hf-hub:me/tiny@{commit}", "--import", PLUGIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"origin: the cache: hf-hub:me/tiny@{commit}" in done.stdout
    assert "ok     card" in done.stdout


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_mistakes_on_the_command_line_are_one_message(hub: StandInHub, folder: Path, verb: str) -> None:
    cases = {
        "push": [(folder / "nowhere", "me/x"), (folder, "x"), (folder, "me/x", "--endpoint", "ftp://x")],
        "pull": [("me/x",), ("hf-hub:me/none",), ("hf-hub:me/none", "--to", folder)],
    }
    for arguments in cases[verb]:
        done = command(verb, *arguments, *(("--import", PLUGIN) if verb == "push" else ()))
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_pulling_into_a_folder_destroys_nothing(hub: StandInHub, folder: Path, another: Path, tmp_path: Path) -> None:
    first = push(another, "me/tiny")
    with pytest.raises(ZooError, match="holds files that no run has written"):
        pull(str(first.address), folder, overwrite=True)
    to = tmp_path / "there"
    pull(str(first.address), to)
    with pytest.raises(ZooError, match="is there already; --overwrite"):
        pull(str(first.address), to)
    change(to, training_seconds=5.0)
    pull(str(first.address), to, overwrite=True)
    assert (to / "config.json").read_bytes() == (another / "config.json").read_bytes()
    assert (folder / "notes.txt").read_text() == "secret"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_run_that_could_be_taken_for_an_entry_is_pointed_out(hub: StandInHub, tmp_path: Path) -> None:
    words = "the zoo's own conv_vae_mnist has another recipe"
    mistaken = train(tiny_recipe(name="conv_vae_mnist"), tmp_path / "mine", CPU)
    assert words in command("push", mistaken, "me/x", "--dry-run", "--import", PLUGIN).stdout
    shipped = weights_folder("conv_vae_mnist")
    assert words not in command("push", shipped, "me/x", "--dry-run").stdout


def test_a_pulled_folder_can_be_pushed_again(hub: StandInHub, trained: Path, tmp_path: Path) -> None:
    first = push(trained, "me/tiny")
    pull(str(first.address), tmp_path / "mine")
    assert not push(tmp_path / "mine", "me/tiny").changed
    assert "hub.json" not in hub.files("me/tiny")


def test_links_and_files_that_are_not_what_they_are_called_stay_here(
    hub: StandInHub, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    for name, expected in (("samples.png", "is a link"), ("README.md", "is a link")):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
        with pytest.raises(ZooError, match=expected):
            push(folder, "me/tiny")
        (folder / name).unlink()
        (folder / name).write_bytes(content)
    for name, expected in (("samples.png", "is not a PNG"), ("metrics.jsonl", "not valid JSON")):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(b"secret")
        with pytest.raises(ZooError, match=expected):
            push(folder, "me/tiny")
        (folder / name).write_bytes(content)
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ZooError, match="its sha256 differs"):
        push(folder, "me/tiny")
    assert not hub.repositories


def test_twenty_pushes_on_one_commit_have_one_winner(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    push(folder, "me/tiny")
    repository = hub.repositories["me/tiny"]
    base, before = repository.branches["main"], len(repository.commits)
    winners, losers = at_once(copies(folder, tmp_path, 20))
    assert len(winners) == 1
    assert repository.branches["main"] == winners[0].address.revision
    assert repository.parents[winners[0].address.revision] == base
    assert len(repository.commits) == before + 1
    assert all(isinstance(error, Conflict) and "nothing of this one was written" in str(error) for error in losers)
    assert len(losers) == 19


def test_twenty_first_pushes_have_one_winner(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    winners, losers = at_once(copies(folder, tmp_path, 20))
    assert len(winners) == 1
    assert len(hub.repositories["me/tiny"].commits) == 2
    assert len(losers) == 19
    assert all(isinstance(error, Conflict) for error in losers)


@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_pushes_that_try_again_all_land_one_after_another(
    hub: StandInHub, folder: Path, tmp_path: Path, count: int
) -> None:
    push(folder, "me/tiny")
    repository = hub.repositories["me/tiny"]
    base = repository.branches["main"]
    runs = copies(folder, tmp_path, count)

    def persist(run: Path) -> str:
        while True:
            try:
                return push(run, "me/tiny").address.revision
            except Conflict:
                continue

    with ThreadPoolExecutor(count) as pool:
        landed = list(pool.map(persist, runs))
    line = [repository.branches["main"]]
    while line[-1] != base:
        line.append(repository.parents[line[-1]])
    assert sorted(line[:-1]) == sorted(landed)
    assert len(set(landed)) == count


def at_once(runs: list[Path]) -> tuple[list[Pushed], list[ZooError]]:
    """Push all of them after each has looked at the same commit: who has won, and who was refused."""
    together = threading.Barrier(len(runs))

    def one(run: Path) -> Pushed | ZooError:
        try:
            return push(run, "me/tiny", on_plan=lambda plan: together.wait(60))
        except ZooError as error:
            return error

    with ThreadPoolExecutor(len(runs)) as pool:
        outcomes = list(pool.map(one, runs))
    won = [outcome for outcome in outcomes if isinstance(outcome, Pushed)]
    return won, [outcome for outcome in outcomes if isinstance(outcome, ZooError)]


def copies(folder: Path, tmp_path: Path, count: int) -> list[Path]:
    runs = [Path(shutil.copytree(folder, tmp_path / f"run-{number}")) for number in range(count)]
    for number, run in enumerate(runs):
        change(run, training_seconds=1000.0 + number)
    return runs


def test_an_entry_with_a_pin_comes_from_the_package_the_cache_or_the_hub(
    hub: StandInHub, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = push(trained, "me/tiny").pin.model_dump()
    recipes, shipped = tmp_path / "recipes", tmp_path / "weights"
    recipes.mkdir()

    def publish(**fields: Any) -> None:
        recipe = {**read_config(trained).recipe, "hub": {**pin, **fields}}
        (recipes / "tiny.json").write_text(json.dumps(recipe))

    monkeypatch.setattr("zoo.entries.catalog.recipe_folder", lambda: recipes)
    monkeypatch.setattr("zoo.entries.catalog.WEIGHTS", shipped)
    recipe_paths.cache_clear()
    try:
        publish()
        assert zoo.list_models(weights=True) == ["tiny_vae"]
        assert zoo.load("tiny_vae").origin == f"hf-hub:me/tiny@{pin['revision']}"
        hub.requests.clear()
        assert zoo.load("tiny_vae").origin == f"the cache: hf-hub:me/tiny@{pin['revision']}"
        assert hub.requests == []
        publish(sha256="0" * 64)
        with pytest.raises(ZooError, match="are not those that the pin names"):
            zoo.load("tiny_vae")
        shutil.copytree(trained, shipped / "tiny_vae")
        assert zoo.load("tiny_vae").origin == "shipped with the zoo"
        publish(revision="main")
        with pytest.raises(ZooError, match="hub.revision: string should match pattern"):
            zoo.recipe("tiny_vae")
    finally:
        monkeypatch.undo()
        recipe_paths.cache_clear()


def test_the_pin_is_no_part_of_what_determines_the_weights(trained: Path) -> None:
    pin = {"repo": "me/tiny", "revision": "0" * 40, "sha256": "0" * 64}
    pinned = tiny_recipe(hub=pin)
    assert pinned.digest() == tiny_recipe().digest()
    assert "hub" not in pinned.to_dict()


def test_what_hf_download_leaves_is_a_run_folder(hub: StandInHub, folder: Path, tmp_path: Path) -> None:
    push(folder, "me/tiny")
    code = "from huggingface_hub.cli.hf import main; main()"
    for extra in (["--local-dir", str(tmp_path / "by-hf")], []):
        done = python("-c", code, "download", "me/tiny", *extra, HF_HOME=str(tmp_path / "home"))
        assert done.returncode == 0, done.stderr
        found = re.search(rf"{tmp_path}\S+", done.stdout)
        assert found, done.stdout
        model = zoo.load(found[0])
        assert model.image_shape == (1, 28, 28)


def test_torch_hub_takes_the_repository() -> None:
    model = torch.hub.load(str(ROOT), "conv_vae_mnist", source="local")
    assert model.origin == "shipped with the zoo"
    offered = {name for name, found in runpy.run_path(str(ROOT / "hubconf.py")).items() if callable(found)}
    assert offered >= set(zoo.list_models(weights=True))
    fresh = torch.hub.load(str(ROOT), "ae_mnist", source="local", pretrained=False, device="auto")
    assert fresh.training
    assert fresh.config is None
