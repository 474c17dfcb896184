"""A hub on loopback: what huggingface_hub asks of one, over folders, with faults to order.

A repository is a folder as its git repository would be. Files of `LARGE` endings are in large file
storage: their SHA-256 is announced, and the hub redirects to another origin that serves them.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".h5", ".msgpack")


@dataclass(frozen=True)
class Request:
    """One request, as it arrived."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    origin: str  # "hub" or "storage"

    @property
    def file(self) -> str | None:
        """The file of a repository that was asked for."""
        marker = "/resolve/"
        if marker not in self.path:
            return None
        return unquote(urlsplit(self.path).path.partition(marker)[2].partition("/")[2])


@dataclass
class Published:
    """A repository at a commit."""

    folder: Path
    revision: str
    license: str | None = None
    gated: bool = False  # wants a token, and one that is in `members`
    members: tuple[str, ...] = ()


@dataclass
class Faults:
    """What goes wrong, by file (or "" for the listing of a repository)."""

    answers: dict[str, list[int]] = field(default_factory=dict)  # status codes, one a request
    message: str = "as ordered"  # sent with each of those answers, as are
    retry_after: int | None = None  # seconds
    ratelimit: str | None = None  # the hub's own header
    cut: dict[str, list[int]] = field(default_factory=dict)  # bytes after which to hang up
    stall: dict[str, int] = field(default_factory=dict)  # bytes after which nothing comes any more
    instead: dict[str, bytes] = field(default_factory=dict)  # other bytes than those announced
    no_ranges: bool = False


@dataclass
class Hub:
    """A running server: its addresses, what it serves and what it was asked."""

    endpoint: str = ""
    storage: str = ""
    repositories: dict[str, Published] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)

    def publish(self, name: str, folder: Path, revision: str, **more: Any) -> None:
        """Serve a folder as a repository: `owner/name`, or `datasets/owner/name`."""
        self.repositories[name] = Published(folder, revision, **more)

    def files(self) -> list[str]:
        """Files that were asked for, in order, each request to the hub once."""
        found = [entry.file for entry in self.requests if entry.origin == "hub"]
        return [name for name in found if name is not None]

    def ranges(self, name: str) -> list[str | None]:
        """The Range header of each request that a file's bytes were to come from."""
        return [
            entry.headers.get("range")
            for entry in self.requests
            if entry.file == name and (entry.origin == "storage") == name.endswith(LARGE)
        ]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub on free ports of the loopback interface, until the block ends."""
    hub = Hub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, o)) for o in _ORIGINS]
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{s.server_address[1]}" for s in servers)
    threads = [threading.Thread(target=s.serve_forever, args=(0.02,)) for s in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


_ORIGINS = ("hub", "storage")


def git_id(content: bytes) -> str:
    """Git's id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _listing(name: str, published: Published) -> dict[str, Any]:
    siblings = []
    for path in sorted(published.folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        entry = {
            "rfilename": path.relative_to(published.folder).as_posix(),
            "size": len(content),
            "blobId": git_id(content),
        }
        if path.name.endswith(LARGE):
            digest = hashlib.sha256(content).hexdigest()
            pointer = (
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\n"
                f"size {len(content)}\n"
            )
            entry["blobId"] = git_id(pointer.encode())
            entry["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": len(pointer)}
        siblings.append(entry)
    card = {"license": published.license} if published.license else {}
    repository = name.removeprefix("datasets/")
    return {
        "_id": "0" * 24,
        "id": repository,
        "sha": published.revision,
        "private": False,
        "gated": "auto" if published.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": card,
        "siblings": siblings,
    }


def _handler(hub: Hub, origin: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            hub.requests.append(Request(self.command, self.path, headers, origin))
            path = unquote(urlsplit(self.path).path).strip("/")
            if path.startswith("api/"):
                kind, _, rest = path.removeprefix("api/").partition("/")
                name, _, revision = rest.partition("/revision/")
                name = f"datasets/{name}" if kind == "datasets" else name
                file = None
            else:
                name, _, rest = path.partition("/resolve/")
                revision, _, file = rest.partition("/")
            published = hub.repositories.get(name)
            if self._fault(file or ""):
                return
            if published is None:
                # As the hub does, which does not tell strangers what is private.
                known = "authorization" in headers
                self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
            elif revision != published.revision:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            elif file is None:
                self._send(json.dumps(_listing(name, published)).encode(), "application/json")
            elif published.gated and self._stranger(published, headers):
                status = 403 if "authorization" in headers else 401
                self._refuse(status, "GatedRepo", f"Access to model {name} is restricted.")
            elif not (published.folder / file).is_file():
                self._refuse(404, "EntryNotFound", "Entry not found")
            else:
                self._file(published, file)

        def _stranger(self, published: Published, headers: dict[str, str]) -> bool:
            token = headers.get("authorization", "").removeprefix("Bearer ")
            return origin == "hub" and token not in published.members

        def _fault(self, file: str) -> bool:
            if origin == "storage" or not hub.faults.answers.get(file):
                return False
            more = {}
            if hub.faults.retry_after is not None:
                more["Retry-After"] = str(hub.faults.retry_after)
            if hub.faults.ratelimit is not None:
                more["RateLimit"] = hub.faults.ratelimit
            self._refuse(hub.faults.answers[file].pop(0), None, hub.faults.message, more)
            return True

        def _refuse(
            self, status: int, code: str | None, message: str, more: dict[str, str] | None = None
        ) -> None:
            headers = {**(more or {}), "X-Error-Message": message}
            if code:
                headers["X-Error-Code"] = code
            self._send(json.dumps({"error": message}).encode(), "application/json", status, headers)

        def _file(self, published: Published, file: str) -> None:
            content = (published.folder / file).read_bytes()
            headers = {
                "X-Repo-Commit": published.revision,
                "Accept-Ranges": "bytes",
                "ETag": f'"{git_id(content)}"',
            }
            if file.endswith(LARGE):
                digest = hashlib.sha256(content).hexdigest()
                headers["ETag"] = f'"{digest}"'
                if origin == "hub":
                    headers |= {
                        "X-Linked-ETag": f'"{digest}"',
                        "X-Linked-Size": str(len(content)),
                        "Location": f"{hub.storage}{self.path}?signature=0",
                    }
                    self._send(b"", "text/plain", 302, headers)
                    return
            content = hub.faults.instead.get(file, content)
            asked = self.headers.get("Range")
            status, start = 200, 0
            if asked and not hub.faults.no_ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    headers["Content-Range"] = f"bytes */{len(content)}"
                    self._send(b"", "text/plain", 416, headers)
                    return
                status = 206
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(content[start:], "application/octet-stream", status, headers, file)

        def _send(
            self,
            content: bytes,
            kind: str,
            status: int = 200,
            headers: dict[str, str] | None = None,
            file: str = "",
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if hub.faults.cut.get(file):
                self.wfile.write(content[: hub.faults.cut[file].pop(0)])
                self.close_connection = True
            elif file in hub.faults.stall:
                self.wfile.write(content[: hub.faults.stall.pop(file)])
                hub.stalled.set()
                hub.closing.wait(60)
                self.close_connection = True
            else:
                self.wfile.write(content)

    return Handler
