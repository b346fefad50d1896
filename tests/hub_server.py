"""A small Hub: the part of huggingface.co that the `huggingface_hub` client calls to push and pull, in memory.

    with HubServer(tokens={"hf_alice": "alice"}) as hub:
        subprocess.run(..., env={**os.environ, **hub.env(token="hf_alice"), "HF_HOME": fresh_folder})

It keeps what makes the real one interesting: content-addressed commits, branches and tags; private and gated
repositories; big and binary files as LFS objects whose sha256 is checked, served by a redirect to another origin that
must not see the token; resumable downloads; error codes in headers. `break_next` cuts a connection half way.
"""

import base64
import hashlib
import json
import re
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".png", ".gz")
LFS_SIZE = 10 * 1024 * 1024


@dataclass(frozen=True)
class Blob:
    """One version of a file. A regular one is known by its git blob id, an LFS one by its sha256."""

    data: bytes
    lfs: bool

    @property
    def git_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest() if self.lfs else self.git_id


@dataclass(frozen=True)
class Commit:
    """A whole tree and where it came from; its sha is a hash of both."""

    message: str
    files: dict[str, Blob]
    parent: str = ""

    @property
    def sha(self) -> str:
        parts = [self.message, self.parent, *(f"{path} {blob.git_id}" for path, blob in sorted(self.files.items()))]
        return hashlib.sha1("\n".join(parts).encode()).hexdigest()


@dataclass
class Repo:
    id: str
    kind: str  # "model", "dataset" or "space"
    private: bool = False
    gated: bool = False
    readers: set[str] = field(default_factory=set)  # who has been let into a gated or private one, besides the owner
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.id.partition("/")[0]

    def find(self, revision: str) -> Commit | None:
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(sha)

    def add(self, commit: Commit, branch: str) -> str:
        self.commits[commit.sha] = commit
        self.branches[branch] = commit.sha
        return commit.sha


@dataclass(frozen=True)
class Request:
    """A line of the log."""

    method: str
    path: str
    user: str | None
    authorized: bool  # whether a token came along at all
    range: str | None


@dataclass
class Fault:
    """The next `times` requests that match go wrong: cut after the share `at` of the body, answered with `status`, or
    (`silent`) not answered at all."""

    method: str
    part: str
    times: float = 1
    at: float = 0.5
    status: int = 0
    silent: bool = False


class HubServer(ThreadingHTTPServer):
    """`tokens` maps each token to its user. Use as a context manager, or call `start` and `stop`."""

    daemon_threads = True

    def __init__(self, tokens: dict[str, str] | None = None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tokens = tokens or {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}  # LFS objects by sha256
        self.log: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def store(self) -> str:
        """The same server under another origin: plays the storage behind the Hub, which takes no token."""
        return f"http://localhost:{self.server_port}"

    def env(self, token: str | None = None) -> dict[str, str]:
        """What a client process needs to talk to this server (and no other)."""
        return {
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token or "",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is part of the game; anything else is a fault of this file: print it."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def create(self, repo_id: str, kind: str = "model", **facts) -> Repo:
        """A repository as a user creates it: with its first commit on `main`."""
        repo = self.repos[kind, repo_id] = Repo(repo_id, kind, **facts)
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        repo.add(Commit("initial commit", {".gitattributes": Blob(attributes.encode(), lfs=False)}), "main")
        return repo

    def commit(self, repo_id: str, files: dict[str, bytes], message: str = "commit", branch: str = "main") -> str:
        """Put files there without a client; the sha."""
        repo = self.repos["model", repo_id]
        parent = repo.commits[repo.branches[branch]]
        blobs = {path: self.blob(path, data) for path, data in files.items()}
        return repo.add(Commit(message, {**parent.files, **blobs}, parent.sha), branch)

    def blob(self, path: str, data: bytes) -> Blob:
        lfs = is_lfs(path, len(data))
        if lfs:
            self.objects[hashlib.sha256(data).hexdigest()] = data
        return Blob(data, lfs)

    def break_next(self, method: str, part: str, **how) -> None:
        """Break the next requests of `method` whose path contains `part`; see Fault. `heal` ends it."""
        self.faults.append(Fault(method, part, **how))

    def heal(self) -> None:
        self.faults.clear()

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and fault.part in path:
                    fault.times -= 1
                    return fault
        return None


def is_lfs(path: str, size: int) -> bool:
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > LFS_SIZE)


class _Refusal(Exception):
    """An answer other than success: status, the Hub's error code, words for the user."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Broken(Exception):
    """The connection is to be cut, as a network would."""


_ROUTES: list[tuple[str, re.Pattern, str]] = []
_ID = r"(?P<id>[\w.-]+(?:/[\w.-]+)?)"
_API = rf"/api/(?P<kind>model|dataset|space)s/{_ID}"


def _route(method: str, pattern: str):
    """Register a handler method; named groups of the pattern become its arguments."""

    def register(function):
        _ROUTES.append((method, re.compile(pattern), function.__name__))
        return function

    return register


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body leave in two writes; waiting for the ack costs 40 ms a request

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.handle_request()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.user = self.server.tokens.get(token)
        self.server.log.append(Request(self.command, url.path, self.user, bool(token), self.headers.get("Range")))
        self.fault = self.server.fault_for(self.command, url.path)
        try:
            if self.fault and self.fault.silent:
                time.sleep(30)
                raise _Broken
            self.body = self.read_body()
            if self.fault and self.fault.status:
                raise _Refusal(self.fault.status, "", "out of order")
            if token and self.user is None:
                raise _Refusal(401, "", "Invalid credentials in Authorization header")
            for method, pattern, name in _ROUTES:
                match = pattern.fullmatch(url.path)
                if match and method in (self.command, self.command.replace("HEAD", "GET")):
                    groups = {key: unquote(value or "") for key, value in match.groupdict().items()}
                    return getattr(self, name)(**groups)
            raise _Refusal(404, "", f"no such route: {self.command} {url.path}")
        except _Refusal as refusal:
            headers = {"X-Error-Message": refusal.message} | ({"X-Error-Code": refusal.code} if refusal.code else {})
            self.answer(json.dumps({"error": refusal.message}).encode(), refusal.status, **headers)
        except _Broken:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(2)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                if self.fault and not self.fault.status:
                    raise _Broken  # within the first chunk
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        size = int(self.headers.get("Content-Length", 0))
        if self.fault and not self.fault.status and size:
            self.rfile.read(int(size * self.fault.at))
            raise _Broken
        return self.rfile.read(size)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.fault and not self.fault.status:
            self.wfile.write(body[: int(len(body) * self.fault.at)])
            raise _Broken
        self.wfile.write(body)

    def answer_json(self, value, status: int = 200) -> None:
        self.answer(json.dumps(value).encode(), status, **{"Content-Type": "application/json"})

    def json(self):
        return json.loads(self.body)

    # -- who may do what ---------------------------------------------------------------------------------------------

    def repo(self, kind: str, id: str) -> Repo:
        """The repository, if the caller may know of it. Strangers cannot tell a private one from a missing one."""
        repo = self.server.repos.get((kind or "model", id))
        if repo is None or (repo.private and self.user != repo.owner and self.user not in repo.readers):
            raise _Refusal(404 if self.user else 401, "RepoNotFound", "Repository not found")
        return repo

    def readable(self, kind: str, id: str) -> Repo:
        """The repository, if the caller may read its files."""
        repo = self.repo(kind, id)
        if repo.gated and self.user != repo.owner and self.user not in repo.readers:
            where = f"Access to model {id} is restricted. Visit {self.server.url}/{id} to ask for access."
            raise _Refusal(403 if self.user else 401, "GatedRepo", where)
        return repo

    def writable(self, kind: str, id: str) -> Repo:
        repo = self.repo(kind, id)
        if self.user is None:
            raise _Refusal(401, "", "Invalid username or password.")
        if self.user != repo.owner:
            raise _Refusal(403, "", "You don't have the right to write to this repository")
        return repo

    def revision(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # -- repositories ------------------------------------------------------------------------------------------------

    @_route("POST", "/api/repos/create")
    def create_repo(self):
        asked = self.json()
        if self.user is None:
            raise _Refusal(401, "", "Invalid username or password.")
        owner = asked.get("organization") or self.user
        if owner != self.user:
            raise _Refusal(403, "", f"You don't have the right to create a model under the namespace {owner}")
        kind, name = asked.get("type") or "model", f"{owner}/{asked['name']}"
        url = f"{self.server.url}/{'' if kind == 'model' else kind + 's/'}{name}"
        with self.server.lock:
            if (kind, name) in self.server.repos:
                return self.answer_json({"url": url, "error": "You already created this model repo"}, 409)
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.server.create(name, kind, private=private)
        return self.answer_json({"url": url, "name": name, "id": name})

    @_route("GET", "/api/whoami-v2")
    def whoami(self):
        if self.user is None:
            raise _Refusal(401, "", "Invalid username or password.")
        self.answer_json({"type": "user", "name": self.user, "orgs": [], "auth": {"type": "access_token"}})

    @_route("POST", f"{_API}/branch/(?P<branch>[^/]+)")
    def create_branch(self, kind, id, branch):
        repo = self.writable(kind, id)
        if branch in repo.branches:
            raise _Refusal(409, "", f"Reference already exists: {branch}")
        start = (self.json() if self.body else {}).get("startingPoint") or "main"
        repo.branches[branch] = self.revision(repo, start).sha
        self.answer_json({}, 201)

    @_route("POST", f"{_API}/tag/(?P<revision>[^/]+)")
    def create_tag(self, kind, id, revision):
        repo = self.writable(kind, id)
        repo.tags[self.json()["tag"]] = self.revision(repo, revision).sha
        self.answer_json({}, 201)

    @_route("GET", f"{_API}/refs")
    def refs(self, kind, id):
        repo = self.repo(kind, id)

        def listed(refs: dict[str, str], where: str) -> list[dict]:
            return [{"name": name, "ref": f"refs/{where}/{name}", "targetCommit": sha} for name, sha in refs.items()]

        branches, tags = listed(repo.branches, "heads"), listed(repo.tags, "tags")
        self.answer_json({"branches": branches, "tags": tags, "converts": []})

    @_route("GET", f"{_API}(?:/revision/(?P<revision>[^/]+))?")
    def info(self, kind, id, revision):
        repo = self.repo(kind, id)
        commit = self.revision(repo, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(commit.files)]
        facts = {"private": repo.private, "gated": "manual" if repo.gated else False, "author": repo.owner}
        self.answer_json({"id": id, "modelId": id, "sha": commit.sha, "siblings": siblings, "tags": [], **facts})

    @_route("GET", f"{_API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.*))?")
    def tree(self, kind, id, revision, folder):
        files = self.revision(self.repo(kind, id), revision).files
        entries = []
        for path, blob in sorted(files.items()):
            if folder and not path.startswith(folder.rstrip("/") + "/"):
                continue
            entry = {"type": "file", "path": path, "size": len(blob.data), "oid": blob.git_id}
            if blob.lfs:
                entry["lfs"] = {"oid": blob.etag, "size": len(blob.data), "pointerSize": 134}
            entries.append(entry)
        self.answer_json(entries)

    # -- pulling -----------------------------------------------------------------------------------------------------

    @_route("GET", rf"/(?:(?P<kind>dataset|space)s/)?{_ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
    def resolve(self, kind, id, revision, path):
        commit = self.revision(self.readable(kind, id), revision)
        blob = commit.files.get(path)
        if blob is None:
            raise _Refusal(404, "EntryNotFound", "Entry not found")
        if not blob.lfs:
            return self.send_file(blob.data, {"X-Repo-Commit": commit.sha, "ETag": f'"{blob.etag}"'})
        linked = {"X-Linked-ETag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.data))}
        location = f"{self.server.store}/lfs/{blob.etag}/{path}"
        return self.answer(b"", 302, Location=location, **{"X-Repo-Commit": commit.sha}, **linked)

    @_route("GET", "/lfs/(?P<oid>[0-9a-f]{64})(?:/.*)?")
    def get_object(self, oid):
        self.send_file(self.server.objects[oid], {"ETag": f'"{oid}"'})

    def send_file(self, data: bytes, headers: dict[str, str]) -> None:
        """The file, or the tail that a Range asks for (a client that resumes)."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        headers = {**headers, "Accept-Ranges": "bytes"}
        if not wanted:
            return self.answer(data, **headers)
        start = int(wanted[1])
        if start >= len(data):
            return self.answer(b"", 416, **{"Content-Range": f"bytes */{len(data)}"})
        return self.answer(
            data[start:], 206, **headers, **{"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        )

    # -- pushing -----------------------------------------------------------------------------------------------------

    @_route("POST", "/api/validate-yaml")
    def validate_yaml(self):
        """The Hub refuses a card whose front matter does not open and close."""
        content = self.json()["content"]
        closed = not content.startswith("---") or re.match(r"---\n.*?\n---\s", content, re.S)
        self.answer_json({"errors": [] if closed else [{"message": "front matter is not closed"}], "warnings": []})

    @_route("POST", f"{_API}/preupload/(?P<revision>[^/]+)")
    def preupload(self, kind, id, revision):
        files = self.revision(self.writable(kind, id), revision).files

        def plan(path: str, size: int) -> dict:
            mode = "lfs" if is_lfs(path, size) else "regular"
            known = {"oid": files[path].etag} if path in files else {}
            return {"path": path, "uploadMode": mode, "shouldIgnore": False, **known}

        self.answer_json({"files": [plan(file["path"], file["size"]) for file in self.json()["files"]]})

    @_route("POST", rf"/(?:(?P<kind>dataset|space)s/)?{_ID}\.git/info/lfs/objects/batch")
    def lfs_batch(self, kind, id):
        self.writable(kind, id)

        def plan(oid: str, size: int) -> dict:
            if oid in self.server.objects:
                return {"oid": oid, "size": size}
            return {"oid": oid, "size": size, "actions": {"upload": {"href": f"{self.server.store}/lfs/{oid}"}}}

        objects = [plan(o["oid"], o["size"]) for o in self.json()["objects"]]
        self.answer_json({"transfer": "basic", "objects": objects})

    @_route("PUT", "/lfs/(?P<oid>[0-9a-f]{64})")
    def put_object(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _Refusal(400, "", "sha256 of the content does not match")
        self.server.objects[oid] = self.body
        self.answer(b"")

    @_route("POST", f"{_API}/commit/(?P<revision>[^/]+)")
    def make_commit(self, kind, id, revision):
        """All of a commit's operations, or none."""
        repo = self.writable(kind, id)
        with self.server.lock:
            if revision not in repo.branches:
                raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            parent = repo.commits[repo.branches[revision]]
            files, message = dict(parent.files), ""
            for line in self.body.splitlines():
                item = json.loads(line)
                value = item["value"]
                match item["key"]:
                    case "header":
                        message = value["summary"]
                        if value.get("parentCommit", parent.sha) != parent.sha:
                            raise _Refusal(412, "", "A commit has happened since. Please refresh and try again.")
                    case "file":
                        files[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
                    case "lfsFile":
                        if value["oid"] not in self.server.objects:
                            raise _Refusal(400, "", f"LFS pointer to an object that was not uploaded: {value['path']}")
                        files[value["path"]] = Blob(self.server.objects[value["oid"]], lfs=True)
                    case "deletedFile":
                        del files[value["path"]]
                    case "deletedFolder":
                        files = {path: blob for path, blob in files.items() if not path.startswith(value["path"])}
            sha = repo.add(Commit(message, files, parent.sha), revision)
        prefix = "" if kind == "model" else f"{kind}s/"
        url = f"{self.server.url}/{prefix}{id}/commit/{sha}"
        self.answer_json({"success": True, "commitOid": sha, "commitUrl": url})
