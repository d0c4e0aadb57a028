"""What goes wrong between here and the Hub: each time one message with the remedy, and nothing half made."""

from __future__ import annotations

import pickle
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session

import zoo
from tests.helpers import PLUGIN, command, python
from tests.hub.server import StandInHub
from zoo.errors import ZooError
from zoo.hub import cache as hub_cache
from zoo.hub import pull, push
from zoo.hub.client import Conflict, Hub, Unreachable


@pytest.fixture
def nowhere() -> str:
    """An endpoint where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def cache(tmp_path: Path) -> list[str]:
    """The files in the cache, without its bookkeeping."""
    kept = [path.relative_to(tmp_path) for path in tmp_path.glob("cache*/**/*") if path.is_file()]
    return sorted(str(path) for path in kept if not {".locks", "refs", ".no_exist", "CACHEDIR.TAG"} & set(path.parts))


# --- pushing


def test_no_token(hub: StandInHub, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ZooError, match="needs a token with write access; set HF_TOKEN or run `hf auth login`"):
        push(trained, "me/tiny")
    assert hub.requests == []


def test_a_token_that_is_refused(hub: StandInHub, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "expired")
    with pytest.raises(ZooError, match="the token was refused: it is wrong, expired or revoked; set HF_TOKEN or run"):
        push(trained, "me/tiny")
    assert not hub.repositories


def test_a_token_from_login(hub: StandInHub, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text("token-of-me")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    assert push(trained, "me/tiny").changed


COMMIT = "POST /api/models/me/tiny/commit/main"
UPLOAD = "PUT /objects/"


@pytest.mark.parametrize(
    ("request_", "kind", "more", "expected"),
    [
        ("POST /api/repos/create", 403, {}, "your token may not do that"),
        (
            "POST /api/repos/create",
            409,
            {"body": b'{"url": "https://huggingface.co/me/tiny"}'},
            "the name me/tiny is taken",
        ),
        ("POST /api/repos/create", 429, {"headers": {"Retry-After": "17"}}, "too many requests; wait 17 seconds"),
        ("POST /api/repos/create", "drop", {}, "cannot reach http://127.0.0.1.*check the network and HF_ENDPOINT"),
        (COMMIT, 409, {}, "in conflict with what is there"),
        (COMMIT, 412, {}, "got another commit while this push was made, and nothing of this one was written"),
        (COMMIT, 413, {}, "more than the server takes"),
        (COMMIT, 418, {}, "the server answered 418"),
        (COMMIT, 503, {"times": 99}, r"has trouble \(503\)"),
        (COMMIT, "drop", {"times": 99}, "cannot reach"),
        (COMMIT, 200, {"body": b"<html>a proxy's page</html>"}, "gave no answer that a Hub gives"),
        (UPLOAD, 400, {}, "the server refuses it"),
        (UPLOAD, 503, {"times": 99}, r"has trouble \(503\)"),
        (UPLOAD, "drop", {"times": 99}, "cannot reach"),
        ("POST /api/models/me/tiny/preupload", 500, {"times": 99}, r"has trouble \(500\)"),
        (
            "POST /api/validate-yaml",
            400,
            {"body": b'{"error": "no licence"}'},
            r"correct source.license or README.md \(no licence\)",
        ),
    ],
)
def test_a_push_that_fails_leaves_nothing_visible(
    hub: StandInHub, trained: Path, request_: str, kind: str | int, more: dict[str, Any], expected: str
) -> None:
    hub.trouble(request_, kind, **more)
    with pytest.raises(ZooError, match=expected) as caught:
        push(trained, "me/tiny")
    assert len(str(caught.value).splitlines()) == 1
    if "me/tiny" in hub.repositories:
        assert hub.files("me/tiny").keys() == {".gitattributes"}
    hub.troubles.clear()
    assert push(trained, "me/tiny").changed


@pytest.mark.parametrize("kind", ["drop", 500, 502, 503])
@pytest.mark.parametrize("request_", [COMMIT, UPLOAD])
def test_a_connection_that_drops_once_is_made_again(
    hub: StandInHub, trained: Path, request_: str, kind: str | int
) -> None:
    hub.trouble(request_, kind)
    assert push(trained, "me/tiny").changed
    assert len(hub.repositories["me/tiny"].commits) == 2


def test_a_commit_whose_answer_got_lost_is_not_made_twice(hub: StandInHub, trained: Path) -> None:
    hub.trouble(COMMIT, "drop-after")
    pushed = push(trained, "me/tiny")
    assert pushed.address.revision == hub.repositories["me/tiny"].branches["main"]
    assert len(hub.repositories["me/tiny"].commits) == 2
    assert sum(request == COMMIT for request in hub.requests) == 1


def test_a_lost_answer_and_another_commit_are_told_apart(
    hub: StandInHub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.trouble(COMMIT, "drop")
    repository = None

    def meanwhile(seconds: float) -> None:
        nonlocal repository
        if repository is None and "me/tiny" in hub.repositories:
            repository = hub.repositories["me/tiny"]
            repository.branches["main"] = repository.commit({"README.md": b"of somebody else"})

    monkeypatch.setattr("time.sleep", meanwhile)
    with pytest.raises(Conflict, match="got another commit"):
        push(trained, "me/tiny")
    assert hub.files("me/tiny") == {"README.md": b"of somebody else"}


def test_a_tag_that_fails_is_told_with_the_commit_that_did_not(hub: StandInHub, trained: Path) -> None:
    hub.trouble("POST /api/models/me/tiny/tag", 403)
    with pytest.raises(ZooError, match="pushed as hf-hub:me/tiny@[0-9a-f]{40}, but without the tag 'v1': .*may not"):
        push(trained, "me/tiny", tag="v1")


def test_no_network(trained: Path, nowhere: str, tmp_path: Path, hub: StandInHub) -> None:
    for call in (
        lambda: push(trained, "me/tiny", endpoint=nowhere),
        lambda: pull("hf-hub:me/tiny", endpoint=nowhere),
        lambda: zoo.load("hf-hub:me/tiny", endpoint=nowhere),
    ):
        with pytest.raises(Unreachable, match=f"cannot reach {nowhere} .*; check the network and HF_ENDPOINT"):
            call()
    assert cache(tmp_path) == []


def test_an_explicit_endpoint_is_asked_and_no_other(
    hub: StandInHub, trained: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", nowhere)
    pushed = push(trained, "me/tiny", endpoint=hub.url)
    assert zoo.load(str(pushed.address), endpoint=hub.url).origin == str(pushed.address)
    shutil.rmtree(next(tmp_path.glob("cache*")))
    pull("hf-hub:me/tiny", tmp_path / "mine", endpoint=f"{hub.url}/")
    with pytest.raises(ZooError, match="is not an endpoint of a Hub"):
        Hub("huggingface.co")


# --- pulling


@pytest.fixture
def pushed(hub: StandInHub, trained: Path) -> str:
    """The pinned address of a model."""
    address = str(push(trained, "me/tiny").address)
    hub.requests.clear()
    return address


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf-hub:me/tony", "there is no model repository me/tony on http.*, or your token may not see it"),
        ("hf-hub:me/tiny@mian", "has no revision 'mian'; did you mean 'main'?"),
        (f"hf-hub:me/tiny@{'0' * 40}", "has no revision '0000"),
    ],
)
def test_what_is_not_there(pushed: str, source: str, expected: str) -> None:
    with pytest.raises(ZooError, match=expected):
        zoo.load(source)


def test_a_private_model_needs_a_token(
    hub: StandInHub, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pushed = push(trained, "me/tiny", private=True)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ZooError, match="or it is private: set HF_TOKEN or run `hf auth login`"):
        zoo.load(str(pushed.address))
    assert pull(str(pushed.address), token="token-of-me").downloaded


def test_gated(hub: StandInHub, pushed: str) -> None:
    hub.trouble("GET /api/models/me/tiny", 403, headers={"X-Error-Code": "GatedRepo"})
    with pytest.raises(ZooError, match="is gated: ask for access on http"):
        zoo.load(pushed)


def test_a_repository_with_pickles_only_is_refused_by_name(hub: StandInHub, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "executed"), "w"))

    hub.repository("me/evil", {"pytorch_model.bin": pickle.dumps(Evil()), "config.json": b"{}"})
    with pytest.raises(ZooError, match="has its weights in pytorch_model.bin only: such files can run code"):
        zoo.load("hf-hub:me/evil")
    assert cache(tmp_path) == []
    assert not (tmp_path / "executed").exists()


def test_a_repository_without_a_model(hub: StandInHub, tmp_path: Path) -> None:
    hub.repository("me/notes", {"README.md": b"words"})
    hub.repository("me/half", {"model.safetensors": b"x"})
    with pytest.raises(ZooError, match="holds no model of the zoo: config.json and model.safetensors missing"):
        zoo.load("hf-hub:me/notes")
    with pytest.raises(ZooError, match="holds no model of the zoo: config.json missing"):
        pull("hf-hub:me/half")
    assert cache(tmp_path) == []


def test_what_is_too_large_is_not_downloaded(hub: StandInHub, pushed: str, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"model.safetensors of .* has [\d,]+ bytes, more than 1,000; .*--max-bytes"):
        pull(pushed, max_bytes=1000)
    repository = hub.repositories["me/tiny"]
    repository.branches["main"] = repository.commit({**hub.files("me/tiny"), "config.json": b" " * (5 * 2**20)})
    with pytest.raises(ZooError, match="config.json of .* has 5,242,880 bytes"):
        zoo.load("hf-hub:me/tiny")
    assert not [request for request in hub.requests if "/resolve/" in request]
    assert cache(tmp_path) == []


def test_an_interrupted_download_goes_on_where_it_was(hub: StandInHub, pushed: str, trained: Path) -> None:
    hub.trouble("GET /me/tiny/resolve/.*/model.safetensors", "truncate", times=3)
    found = pull(pushed)
    assert (found.folder / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_download_that_never_arrives_whole_leaves_nothing(hub: StandInHub, pushed: str, tmp_path: Path) -> None:
    hub.trouble("GET /me/tiny/resolve/.*/model.safetensors", 200, body=b"short")
    with pytest.raises(Unreachable, match="model.safetensors arrived incomplete; try again"):
        zoo.load(pushed)
    assert not [name for name in cache(tmp_path) if "model.safetensors" in name or "incomplete" in name]
    assert zoo.load(pushed).origin == pushed


def test_a_server_that_sends_more_than_it_announced_is_cut_off(hub: StandInHub, pushed: str, tmp_path: Path) -> None:
    hub.trouble("GET /me/tiny/resolve/.*/model.safetensors", "endless")
    with pytest.raises(ZooError, match="the server sends more than the .* bytes that it announced; nothing was kept"):
        zoo.load(pushed)
    assert not [name for name in cache(tmp_path) if "model.safetensors" in name or "incomplete" in name]


def test_a_listing_without_sizes_is_not_one_of_empty_files(
    hub: StandInHub, pushed: str, trained: Path, tmp_path: Path
) -> None:
    hub.bare_listings = True
    files = {path.name: path.read_bytes() for path in pull(pushed).folder.iterdir()}
    assert files == {name: content for name, content in hub.files("me/tiny").items() if name in files}
    assert {"model.safetensors", "config.json", "README.md", "samples.png"} <= files.keys()
    assert not push(trained, "me/tiny", dry_run=True).plan.new


@pytest.mark.parametrize(
    ("name", "largest"), [("model.safetensors", 10**6), ("config.json", 2**19), ("README.md", 2**20)]
)
def test_a_file_whose_size_nobody_says_is_cut_off_where_its_kind_ends(
    hub: StandInHub, pushed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, largest: int
) -> None:
    hub.bare_listings = True
    monkeypatch.setattr("zoo.hub.cache.MAX_RECORD_BYTES", 2**20)  # less than the stand-in sends
    hub.trouble(f"GET /me/tiny/resolve/.*/{name}", "endless")
    with pytest.raises(ZooError, match=f"sends more than the {largest:,} bytes that such a file may have; nothing was"):
        pull(pushed, max_bytes=10**6)
    assert not [path for path in cache(tmp_path) if name in path or "incomplete" in path]


def test_damaged_weights_are_dropped_and_fetched_again(hub: StandInHub, pushed: str, trained: Path) -> None:
    content = (trained / "model.safetensors").read_bytes()
    damaged = content[:-1] + bytes([content[-1] ^ 1])
    hub.trouble("GET /me/tiny/resolve/.*/model.safetensors", 200, body=damaged)
    with pytest.raises(ZooError, match="their sha256 differs; both were removed from the cache, so try again"):
        zoo.load(pushed)
    assert zoo.load(pushed).origin == pushed


def test_weights_that_the_config_does_not_name_are_not_downloaded(hub: StandInHub, pushed: str) -> None:
    repository = hub.repositories["me/tiny"]
    repository.branches["main"] = repository.commit({**hub.files("me/tiny"), "model.safetensors": b"other"})
    with pytest.raises(ZooError, match="are not those that its config.json or the pin names"):
        zoo.load("hf-hub:me/tiny")
    assert not [request for request in hub.requests if request.endswith("model.safetensors")]


@pytest.mark.parametrize(
    "endpoint", ["https://huggingface.co:port", "https://\x00", "https://\xe4..com", "ftp://x", "x"]
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ZooError, match="is not an endpoint of a Hub"):
        zoo.load("hf-hub:me/tiny", endpoint=endpoint)


@pytest.mark.parametrize("lost", [False, True], ids=["", "after a lost connection"])
@pytest.mark.parametrize("etag", ["../../../../escaped", "/tmp/escaped", "a/b", "x" * 300, ""])
def test_a_file_cannot_be_named_out_of_the_cache(
    hub: StandInHub, pushed: str, tmp_path: Path, etag: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hub_cache.hf_hub_download

    def after_a_lost_connection(*arguments: Any, **more: Any) -> Any:
        close_session()  # as the client does before it tries again
        return real(*arguments, **more)

    if lost:
        monkeypatch.setattr(hub_cache, "hf_hub_download", after_a_lost_connection)
    hub.repositories["me/tiny"].links["model.safetensors"] = etag or " "
    before = set(tmp_path.glob("[!c]*"))
    with pytest.raises(ZooError, match="gave no answer that a Hub gives|cannot reach"):
        zoo.load(pushed)
    assert set(tmp_path.glob("[!c]*")) == before
    assert not list(tmp_path.rglob("*escaped*"))


def test_what_a_link_out_of_the_cache_leads_to_is_left_alone(hub: StandInHub, pushed: str, tmp_path: Path) -> None:
    path, victim = pull(pushed).folder / "config.json", tmp_path / "victim"
    victim.write_text("precious")
    path.unlink()
    path.symlink_to(victim)
    hub_cache._drop(path)
    assert victim.read_text() == "precious" and not path.is_symlink()
    zoo.load(pushed)


def test_an_etag_that_changes_after_it_was_looked_at_leads_nowhere_either(
    hub: StandInHub, pushed: str, tmp_path: Path
) -> None:
    evil = {"ETag": '"../../../../escaped"', "X-Repo-Commit": pushed.partition("@")[2]}
    for after in range(4):
        for cached in tmp_path.glob("cache*"):
            shutil.rmtree(cached)
        hub.trouble("/me/tiny/resolve/", "pass", times=after)
        hub.trouble("/me/tiny/resolve/", 200, headers=evil, body=b"evil", times=99)
        with pytest.raises(ZooError):
            zoo.load(pushed)
        hub.troubles.clear()
        assert not list(tmp_path.rglob("*escaped*"))
        assert not list(tmp_path.parent.glob("escaped*"))


def test_a_pin_cannot_be_moved_by_a_branch_of_its_name(hub: StandInHub, pushed: str) -> None:
    repository = hub.repositories["me/tiny"]
    repository.branches["a" * 40] = repository.branches["main"]
    with pytest.raises(ZooError, match="another commit than the one that was asked for"):
        zoo.load(f"hf-hub:me/tiny@{'a' * 40}")


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "samples.png"])
def test_a_file_that_is_damaged_in_the_cache_is_fetched_again(hub: StandInHub, pushed: str, name: str) -> None:
    path = pull("hf-hub:me/tiny").folder / name
    content = path.read_bytes()
    path.resolve().write_bytes(content[:-2] + b"\x00\x00")
    assert (pull("hf-hub:me/tiny").folder / name).read_bytes() == content


def test_a_file_that_arrives_damaged_is_not_kept(hub: StandInHub, pushed: str) -> None:
    content = hub.files("me/tiny")["config.json"]
    hub.trouble("GET /me/tiny/resolve/.*/config.json", 200, body=content.replace(b"tiny", b"tony"))
    with pytest.raises(ZooError, match="config.json of .* arrived damaged and was removed again"):
        zoo.load(pushed)
    assert zoo.load(pushed).origin == pushed


def test_what_worked_offline_still_does_after_an_update_that_failed(
    hub: StandInHub, trained: Path, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.load("hf-hub:me/tiny")
    repository = hub.repositories["me/tiny"]
    files = hub.files("me/tiny")
    newer = files["config.json"].replace(b'"training_seconds"', b' "training_seconds"')
    repository.branches["main"] = repository.commit({**files, "config.json": newer, "model.safetensors": b"x" * 999})
    with pytest.raises(ZooError):
        zoo.load("hf-hub:me/tiny")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert zoo.load("hf-hub:me/tiny").origin == f"the cache: {pushed}"


def test_a_commit_that_arrived_late_is_recognised(
    hub: StandInHub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt gets no answer, and lands after the branch was looked at."""
    hub.trouble(COMMIT, "drop-after")
    hub.trouble("GET /api/models/me/tiny/revision/main", "pass", times=2)
    hub.trouble("GET /api/models/me/tiny/revision/main", "stale")
    pushed = push(trained, "me/tiny")
    assert pushed.address.revision == hub.repositories["me/tiny"].branches["main"]
    assert len(hub.repositories["me/tiny"].commits) == 2


def test_a_proposal_whose_answer_got_lost_is_not_made_twice(hub: StandInHub, trained: Path, pushed: str) -> None:
    folder = trained.parent / "other"
    shutil.copytree(trained, folder, dirs_exist_ok=True)
    (folder / "metrics.jsonl").write_text((trained / "metrics.jsonl").read_text().replace('"epoch": 1', '"epoch":  1'))
    hub.trouble(COMMIT, "drop-after")
    with pytest.raises(Unreachable, match="the commit may have arrived, so look at http"):
        push(folder, "me/tiny", pull_request=True)
    assert len(hub.repositories["me/tiny"].pulls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"null",
        b'{"sha": "x"}',
        b'{"id": 1}',
        b"\xff",
        b'{"id": "a", "sha": null, "siblings": 3}',
        b'{"id": "a", "createdAt": 5}',
        b'{"id": "a", "sha": "%s", "siblings": [{"rfilename": 5, "size": 1e999}]}' % (b"0" * 40),
    ],
)
def test_answers_that_no_hub_gives(hub: StandInHub, pushed: str, answer: bytes) -> None:
    hub.trouble("GET /api/models/me/tiny/revision", 200, body=answer)
    with pytest.raises(ZooError, match="gave no answer that a Hub gives"):
        zoo.load(pushed)


def test_without_a_network_what_is_in_the_cache_is_taken(
    hub: StandInHub, trained: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(trained, "me/tiny").address
    with pytest.warns(UserWarning, match=f"hf-hub:me/tiny is not pinned and can change; write {pushed}"):
        zoo.load("hf-hub:me/tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        zoo.load("hf-hub:me/tiny")
        zoo.load(str(pushed))
    hub.requests.clear()
    hub.trouble("GET /api/models/me/tiny", "drop")
    with pytest.warns(UserWarning, match=f"cannot reach .* meanwhile, {pushed} is taken from the cache"):
        assert zoo.load("hf-hub:me/tiny").origin == f"the cache: {pushed}"
    with pytest.raises(Unreachable):  # what another Hub has under this name is another model
        zoo.load("hf-hub:me/tiny", endpoint=nowhere)
    hub.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert zoo.load(str(pushed)).origin == f"the cache: {pushed}"
        assert zoo.load("hf-hub:me/tiny").origin == f"the cache: {pushed}"
    assert pull("hf-hub:me/tiny").address == pushed
    with pytest.raises(ZooError, match="hf-hub:me/other is not in the cache and HF_HUB_OFFLINE is set"):
        zoo.load("hf-hub:me/other")
    with pytest.raises(ZooError, match="HF_HUB_OFFLINE is set"):
        push(trained, "me/tiny")
    assert hub.requests == []


TWO_VERBS = f"""
import sys
from zoo.cli.app import main
for arguments in (["verify", sys.argv[1], "--import", {str(PLUGIN)!r}], ["pull", "hf-hub:me/other"]):
    try:
        main(arguments)
    except SystemExit as exit:
        print(f"{{arguments[0]}}: {{exit.code}}")
"""
"""Runs two verbs and prints their exit codes."""


@pytest.mark.slow
def test_offline_in_a_process_of_its_own(
    hub: StandInHub, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(trained, "me/tiny").address
    home = {"HF_HOME": str(tmp_path / "home")}
    with monkeypatch.context() as patched:
        patched.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
        assert command("pull", pushed).returncode == 0
    hub.requests.clear()
    done = python("-c", TWO_VERBS, pushed, HF_HUB_OFFLINE="1", **home)
    assert done.stdout.splitlines()[-2:] == ["verify: 0", "pull: 2"], done.stdout + done.stderr
    assert f"origin: the cache: {pushed}" in done.stdout
    assert (
        done.stderr
        == "error: hf-hub:me/other is not in the cache and HF_HUB_OFFLINE is set; unset it to fetch or push\n"
    )
    assert hub.requests == []
