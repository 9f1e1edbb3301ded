"""A hub on this machine: what the library asks of one, over repositories that are folders."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """A folder, and how it is handed out.

    Attributes:
        gated: its files need a licence that nobody but `token` has accepted.
        token: of the account that may have the files.
        pretended_bytes: size of a file as it is told, by its name.
        garbled: files that come otherwise than they are told.
    """

    folder: Path
    gated: bool = False
    token: str | None = None
    pretended_bytes: dict[str, int] = field(default_factory=dict)
    garbled: set[str] = field(default_factory=set)

    def entries(self) -> list[dict[str, object]]:
        """Every file: name, size, and for weights the checksum."""
        found: list[dict[str, object]] = []
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            name = path.relative_to(self.folder).as_posix()
            content = path.read_bytes()
            size_bytes = self.pretended_bytes.get(name, len(content))
            entry: dict[str, object] = {"name": name, "size": size_bytes}
            entry["oid"] = hashlib.sha1(content).hexdigest()
            if path.suffix in (".safetensors", ".bin"):
                sha256 = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha256, "oid": sha256, "size": size_bytes}
                entry["lfs"] |= {"pointerSize": 135}  # type: ignore[operator]
            found.append(entry)
        return found


@dataclass
class Hub:
    """What runs.

    Attributes:
        asked: files that were handed out, as `owner/name/file`.
    """

    url: str
    repositories: dict[str, Repository]
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """A hub with these repositories, by `owner/name`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

        def _answer(self, *, with_body: bool) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self._answer_api("/".join(parts[2:4]), parts[4:], with_body)
            elif len(parts) > 4 and parts[2] == "resolve":
                self._answer_file("/".join(parts[:2]), "/".join(parts[4:]), with_body)
            else:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)

        def _answer_api(self, name: str, rest: list[str], with_body: bool) -> None:
            repository = hub.repositories.get(name)
            if repository is None:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)
                return
            entries = repository.entries()
            if rest[:1] == ["tree"]:
                said: object = [
                    {"type": "file", "path": entry["name"], **_without_name(entry)}
                    for entry in entries
                ]
            else:
                siblings = [
                    {"rfilename": entry["name"], "blobId": entry["oid"], **_without_name(entry)}
                    for entry in entries
                ]
                said = {"id": name, "sha": COMMIT, "siblings": siblings}
            headers = {"Content-Type": "application/json"}
            self._send(200, json.dumps(said).encode(), headers, with_body)

        def _answer_file(self, name: str, file: str, with_body: bool) -> None:
            repository = hub.repositories.get(name)
            path = None if repository is None else repository.folder / file
            if repository is None or path is None or not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
                return
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if repository.gated and bearer != repository.token:
                self._send(403, b"", {"X-Error-Code": "GatedRepo"}, with_body)
                return
            content = path.read_bytes()
            if file in repository.garbled:
                content = content[:-1] + bytes([content[-1] ^ 1])
            if with_body:
                hub.asked.append(f"{name}/{file}")
            etag = hashlib.sha256(path.read_bytes()).hexdigest()
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'}
            self._send(200, content, headers, with_body)

        def _send(
            self, status: int, content: bytes, headers: dict[str, str], with_body: bool
        ) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}", repositories)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _without_name(entry: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key != "name"}
