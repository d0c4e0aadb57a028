"""A stand-in for the Hugging Face Hub, for tests: the part of its protocol that pushing and pulling models uses, over
real HTTP on this machine, with trouble on request.

Commits are kept whole in memory. What is asked for with ``Trouble`` happens to the next requests that it fits.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin")
"""Endings of files that go by LFS, as on the Hub."""


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commit → path → content."""
    parents: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """File → an ETag to give it, whatever it holds."""

    def commit(self, files: dict[str, bytes], parent: str = "") -> str:
        held = {name: sha256(content) for name, content in files.items()}
        sha = hashlib.sha1(json.dumps([parent, time.time_ns(), held]).encode()).hexdigest()
        self.commits[sha], self.parents[sha] = files, parent
        return sha

    def resolve(self, revision: str) -> str | None:
        if revision in self.commits:
            return revision
        return {**self.tags, **self.branches, **self.pulls}.get(revision)


@dataclass
class Trouble:
    """What happens to the next ``times`` requests whose method and path fit the pattern.

    ``drop``: the connection is closed without an answer; ``drop-after``: after the request was carried out;
    ``truncate``: half of the body is sent; ``endless``: the body never ends; ``stale``: of the branch, the commit
    before is told; ``pass``: nothing; a number: that status.
    """

    pattern: str
    kind: str | int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class StandInHub:
    """The server's state; ``url`` is the endpoint."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.tokens = {"token-of-me": "me", "token-of-you": "you"}
        self.troubles: list[Trouble] = []
        self.requests: list[str] = []
        self.lock = threading.RLock()
        self.url = ""
        self.private_by_default = False
        self.bare_listings = False
        """True: names alone are listed, without sizes and digests, as some mirrors do."""

    def trouble(self, pattern: str, kind: str | int, times: int = 1, **more: Any) -> None:
        self.troubles.append(Trouble(pattern, kind, times, **more))

    def repository(self, name: str, files: dict[str, bytes], **more: Any) -> str:
        """A repository that is there; returns its commit."""
        repository = self.repositories[name] = Repository(**more)
        repository.branches["main"] = repository.commit({".gitattributes": b"", **files})
        return repository.branches["main"]

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        repository = self.repositories[name]
        sha = repository.resolve(revision)
        assert sha is not None
        return repository.commits[sha]

    def due(self, request: str) -> Trouble | None:
        with self.lock:
            for trouble in self.troubles:
                if trouble.times and re.search(trouble.pattern, request):
                    trouble.times -= 1
                    return trouble
        return None


class Handler(BaseHTTPRequestHandler):
    hub: StandInHub
    protocol_version = "HTTP/1.1"
    trouble: Trouble | None = None

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def answer(self, status: int, content: Any = None, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if self.trouble and self.trouble.kind == "drop-after":
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.trouble and self.trouble.kind == "endless":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if self.command != "HEAD":
                for _ in range(4096):
                    self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            self.close_connection = True
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.trouble and self.trouble.kind == "truncate":
            body, self.close_connection = body[: len(body) // 2], True
        self.wfile.write(body)

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        headers = {"X_Error_Code": code, "X_Error_Message": message}
        self.answer(status, {"error": message or code}, **{name: value for name, value in headers.items() if value})

    @property
    def user(self) -> str | None:
        return self.hub.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def serve(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.query = parse_qs(urlsplit(self.path).query)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        request = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.requests.append(request)
        self.trouble = self.hub.due(request)
        if self.trouble and self.trouble.kind == "drop":
            self.close_connection = True
            return
        if self.trouble and isinstance(self.trouble.kind, int):
            self.answer(self.trouble.kind, self.trouble.body, **self.trouble.headers)
            return
        if self.headers.get("Authorization") and self.user is None:
            self.refuse(401, message="Invalid credentials in Authorization header")
            return
        for method, pattern, handle in ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command.replace("HEAD", "GET") and match:
                with self.hub.lock:
                    handle(self, *match.groups(), body=body)
                return
        self.refuse(404, message=f"the stand-in has no {request}")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def visible(self, name: str) -> Repository | None:
        """The repository, or None after saying that there is none that this user may see."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and self.user != name.split("/")[0]):
            self.refuse(404 if self.user else 401, "RepoNotFound", "Repository not found")
            return None
        return repository

    def writable(self, name: str) -> Repository | None:
        repository = self.visible(name)
        if repository and self.user != name.split("/")[0]:
            self.refuse(403 if self.user else 401, message="you may not write here")
            return None
        return repository

    def create(self, *, body: bytes) -> None:
        wanted = json.loads(body)
        if not self.user:
            return self.refuse(401, message="Invalid username or password.")
        name = f"{wanted.get('organization') or self.user}/{wanted['name']}"
        url = {"url": f"{self.hub.url}/{name}", "name": name}
        if not name.startswith(f"{self.user}/"):
            return self.refuse(403, message=f"you may not create a repository under {name.split('/')[0]}")
        if name in self.hub.repositories:
            return self.answer(409, {**url, "error": "You already created this model repo"})
        visibility = wanted.get("visibility") or ("private" if wanted.get("private") else None)
        private = self.hub.private_by_default if visibility is None else visibility == "private"
        self.hub.repository(name, {}, private=private)
        self.answer(200, url)

    def info(self, name: str, revision: str | None = None, *, body: bytes) -> None:
        repository = self.visible(name)
        if repository is None:
            return
        sha = repository.resolve(revision or "main")
        if sha is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if self.trouble and self.trouble.kind == "stale":
            sha = repository.parents[sha]
        siblings = [
            {"rfilename": path, "size": len(content), "blobId": blob_id(content)}
            | ({"lfs": {"sha256": sha256(content), "size": len(content), "pointerSize": 134}} if large(path) else {})
            for path, content in repository.commits[sha].items()
        ]
        if self.hub.bare_listings:
            siblings = [{"rfilename": file["rfilename"]} for file in siblings]
        self.answer(200, {"id": name, "modelId": name, "sha": sha, "private": repository.private, "siblings": siblings})

    def tree(self, name: str, revision: str, *, body: bytes) -> None:
        repository = self.visible(name)
        sha = repository.resolve(revision) if repository else None
        if repository is None or sha is None:
            return None if repository is None else self.refuse(404, "RevisionNotFound")
        self.answer(
            200,
            [
                {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
                | ({"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 134}} if large(path) else {})
                for path, content in repository.commits[sha].items()
            ],
        )

    def refs(self, name: str, *, body: bytes) -> None:
        repository = self.visible(name)
        if repository is None:
            return

        def listed(kind: str, refs: dict[str, str]) -> list[dict[str, str]]:
            return [{"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": sha} for ref, sha in refs.items()]

        self.answer(
            200,
            {"branches": listed("heads", repository.branches), "tags": listed("tags", repository.tags), "converts": []},
        )

    def validate_yaml(self, *, body: bytes) -> None:
        text = json.loads(body)["content"]
        errors = [] if text.startswith("---\n") else [{"message": "no front matter"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, name: str, revision: str, *, body: bytes) -> None:
        proposed = "create_pr" in self.query
        repository = (self.visible if proposed and self.user else self.writable)(name)
        sha = repository.resolve(revision) if repository else None
        if repository is None or sha is None:
            return None if repository is None else self.refuse(404, "RevisionNotFound")
        there = repository.commits[sha]

        def oid(path: str) -> str | None:
            content = there.get(path)
            return None if content is None else (sha256 if large(path) else blob_id)(content)

        paths = [file["path"] for file in json.loads(body)["files"]]
        modes = [
            {"path": path, "uploadMode": "lfs" if large(path) else "regular", "shouldIgnore": False, "oid": oid(path)}
            for path in paths
        ]
        self.answer(200, {"files": modes})

    def lfs_batch(self, name: str, *, body: bytes) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.objects:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/objects/{wanted['oid']}"}}
            objects.append(entry)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put_object(self, oid: str, *, body: bytes) -> None:
        if sha256(body) != oid:
            return self.refuse(400, message="the content is not what was announced")
        self.hub.objects[oid] = body
        self.answer(200, {})

    def commit(self, name: str, revision: str, *, body: bytes) -> None:
        proposed = "create_pr" in self.query
        repository = (self.visible if proposed and self.user else self.writable)(name)
        if repository is None:
            return
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        head = repository.resolve(revision)
        if head is None:
            return self.refuse(404, "RevisionNotFound")
        if not proposed and header.get("parentCommit") not in (None, head):
            return self.refuse(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(repository.commits[header.get("parentCommit") or head])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(files, head)
        found = {"commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"}
        if proposed:
            number = len(repository.pulls) + 1
            repository.pulls[f"refs/pr/{number}"] = sha
            found["pullRequestUrl"] = f"{self.hub.url}/{name}/discussions/{number}"
        else:
            repository.branches[revision] = sha
        self.answer(200, found)

    def add_ref(self, name: str, kind: str, ref: str, *, body: bytes) -> None:
        repository = self.writable(name)
        if repository is None:
            return
        wanted = json.loads(body or b"{}")
        refs, start = (repository.branches, wanted.get("startingPoint")) if kind == "branch" else (repository.tags, ref)
        name_of_ref = ref if kind == "branch" else wanted["tag"]
        sha = repository.resolve(start or "main")
        if sha is None:
            return self.refuse(404, "RevisionNotFound")
        if name_of_ref in refs:
            return self.refuse(409, message=f"Reference already exists: {name_of_ref}")
        refs[name_of_ref] = sha
        self.answer(200, {})

    def resolve(self, name: str, revision: str, path: str, *, body: bytes) -> None:
        repository = self.visible(name)
        if repository is None:
            return
        # A branch may hold slashes: the longest revision that there is.
        sha = repository.resolve(revision)
        if sha is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        content = repository.commits[sha].get(path)
        if content is None:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=sha)
        etag = repository.links.get(path) or (sha256(content) if large(path) else blob_id(content))
        headers = {"X_Repo_Commit": sha, "ETag": f'"{etag}"', "Accept_Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and int(wanted[1]) < len(content):
            first = int(wanted[1])
            headers["Content_Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return self.answer(206, content[first:], **headers)
        self.answer(200, content, **headers)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def large(path: str) -> bool:
    return path.endswith(LARGE)


NAME = r"([^/]+/[^/]+)"
ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/api/repos/create", Handler.create),
    ("POST", "/api/validate-yaml", Handler.validate_yaml),
    ("GET", f"/api/models/{NAME}", Handler.info),
    ("GET", f"/api/models/{NAME}/revision/(.+)", Handler.info),
    ("GET", f"/api/models/{NAME}/tree/([^/]+|refs/pr/\\d+)", Handler.tree),
    ("GET", f"/api/models/{NAME}/refs", Handler.refs),
    ("POST", f"/api/models/{NAME}/preupload/(.+)", Handler.preupload),
    ("POST", f"/api/models/{NAME}/commit/(.+)", Handler.commit),
    ("POST", f"/api/models/{NAME}/(branch|tag)/(.+)", Handler.add_ref),
    ("POST", f"/{NAME}.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", r"/objects/([0-9a-f]{64})", Handler.put_object),
    ("GET", f"/{NAME}/resolve/(refs/pr/\\d+|.+?)/([^/]+)", Handler.resolve),
]


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # clients that connect at the same moment wait for nothing


@contextmanager
def stand_in_hub() -> Iterator[StandInHub]:
    """The server, for as long as the block runs."""
    hub = StandInHub()
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
