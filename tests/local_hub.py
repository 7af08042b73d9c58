"""A Hugging Face hub on this machine: what huggingface_hub asks of one, and faults on demand.

Files above a kilobyte are "large": their checksum is the SHA-256, and they are redirected to
another host, as on the real hub. A fault is taken from `faults` when its path is next asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fault: TypeAlias = "Callable[[_Handler], bool]"
Change: TypeAlias = "Callable[[bytes], bytes]"

TOKEN = "hf_good"
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_LARGE = 1024


def checksum(data: bytes) -> str:
    if len(data) >= _LARGE:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.gated: set[str] = set()
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[tuple[str, str, str]] = []  # method, path, range
        self.uploads: dict[str, bytes] = {}  # large files on their way into a commit
        self.large: dict[str, bytes] = {}  # by checksum, in place of what is true

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def cdn(self) -> str:
        """The same server by another name, so another host to a client."""
        return f"http://localhost:{self.server_port}"

    def commit(self, repository: str) -> str:
        files = sorted(self.repositories[repository].items())
        return hashlib.sha1(repr([(n, checksum(d)) for n, d in files]).encode()).hexdigest()

    def sent(self) -> list[str]:
        """The ranges of the large files that were asked for."""
        return [
            asked for method, path, asked in self.asked if (method, path[:5]) == ("GET", "/cdn/")
        ]


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


# ---- faults: each answers a request, or says that it does not


def status(code: int, **headers: str) -> Fault:
    def fault(handler: _Handler) -> bool:
        handler.answer(code, b"", {k.replace("_", "-"): v for k, v in headers.items()})
        return True

    return fault


def says(**headers: str) -> Fault:
    """The usual answer, with other headers."""

    def fault(handler: _Handler) -> bool:
        handler.others = {k.replace("_", "-"): v for k, v in headers.items()}
        return False

    return fault


def cut(after: int) -> Fault:
    """The connection goes after so many bytes of the body."""

    def fault(handler: _Handler) -> bool:
        handler.cut = after
        return False

    return fault


def waits(after: int, reached: threading.Event, until: threading.Event) -> Fault:
    """The body stops after so many bytes, for a while."""

    def fault(handler: _Handler) -> bool:
        handler.cut, handler.reached, handler.until = after, reached, until
        return False

    return fault


def sends(change: Change) -> Fault:
    """Another body, and all of it whatever part was asked for."""

    def fault(handler: _Handler) -> bool:
        handler.change = change
        return False

    return fault


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub
    others: dict[str, str]
    cut: int | None
    reached: threading.Event
    until: threading.Event | None
    change: Change | None

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        stated = {"Content-Length": str(len(body)), **(headers or {}), **self.others}
        self.send_response(code)
        for name, value in stated.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: self.cut])
        if self.until:
            self.reached.set()
            self.until.wait(600)
            self.wfile.write(body[self.cut :])
        elif self.cut is not None:
            self.close_connection = True

    def answer_json(self, value: Any, code: int = 200) -> None:
        self.answer(code, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def handle_one_request(self) -> None:
        self.others, self.cut, self.change, self.until = {}, None, None, None
        with suppress(ConnectionError):  # the client has left
            super().handle_one_request()

    def _asked(self) -> bool:
        """Whether a fault has answered."""
        self.server.asked.append((self.command, self.path, self.headers.get("Range", "")))
        for path, faults in self.server.faults.items():
            if faults and self.path.endswith(path) and faults.pop(0)(self):
                return True
        return False

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self._asked():
            return
        if self.path.startswith("/cdn/"):
            self._send(self.server.large[self.path.removeprefix("/cdn/")])
        elif self.path == "/api/whoami-v2":
            self.answer_json({"type": "user", "name": "someone", "auth": {}})
        elif found := _RESOLVE.fullmatch(self.path):
            self._resolve(*found.groups())
        else:
            self.answer(404, b"")

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        files = self.server.repositories.get(repository)
        token = self.headers.get("Authorization")
        if files is None:
            self.answer(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif repository in self.server.gated and token != f"Bearer {TOKEN}":
            self.answer(403 if token else 401, b"", {"X-Error-Code": "GatedRepo"})
        elif revision not in ("main", self.server.commit(repository)):
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif name not in files:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self._file(repository, files[name])

    def _file(self, repository: str, data: bytes) -> None:
        key = checksum(data)
        headers = {"X-Repo-Commit": self.server.commit(repository), "ETag": f'"{key}"'}
        if len(data) < _LARGE:
            self.answer(200, data, headers)
            return
        self.server.large.setdefault(key, data)
        linked = {"X-Linked-Etag": f'"{key}"', "X-Linked-Size": str(len(data))}
        location = f"{self.server.cdn}/cdn/{key}"
        self.answer(302, b"", {**headers, **linked, "Location": location, "ETag": '"redirect"'})

    def _send(self, data: bytes) -> None:
        if self.change:
            self.answer(200, self.change(data))
            return
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if begin is None:
            self.answer(200, data)
            return
        first = int(begin[1])
        if first >= len(data):
            self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        about = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self.answer(206, data[first:], {"Content-Range": about})

    # ---- uploads

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_PUT(self) -> None:
        self.server.uploads[self.path.removeprefix("/upload/")] = self._body()
        self.answer(200, b"")

    def do_POST(self) -> None:
        body = self._body()
        if self._asked():
            return
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'someone'}/{asked['name']}"
            self.server.repositories[name] = self.server.repositories.get(name, {})
            self.answer_json({"url": f"{self.server.endpoint}/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer_json({"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
            files = json.loads(body)["files"]
            modes = [{"path": file["path"], "shouldIgnore": False,
                      "uploadMode": "lfs" if file["size"] >= _LARGE else "regular"}
                     for file in files]  # fmt: skip
            self.answer_json({"files": modes})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for thing in objects:
                to = f"{self.server.endpoint}/upload/{thing['oid']}"
                thing["actions"] = {"upload": {"href": to}}
            self.answer_json({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        else:
            self.answer(404, b"")

    def _commit(self, repository: str, lines: list[dict[str, Any]]) -> None:
        files = self.server.repositories[repository]
        for line in lines:
            value = line["value"]
            if line["key"] == "lfsFile":
                data = self.server.uploads[value["oid"]]
                assert checksum(data) == value["oid"]
                files[value["path"]] = data
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
        commit = self.server.commit(repository)
        url = f"{self.server.endpoint}/{repository}/commit/{commit}"
        self.answer_json({"success": True, "commitUrl": url, "commitOid": commit,
                          "hookOutput": "", "pullRequestUrl": None})  # fmt: skip
