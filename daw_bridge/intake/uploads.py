"""Uploads: bytes that arrive in order, are hashed, and become `<digest>/<name>` in a folder.

The same clip sent twice is kept once. Uploads stay, because a take made from one can only be
rendered again while it is there; the least recently used go when all together are too large. One
whose digest is known beforehand may be cut off: what has arrived waits for the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from daw_bridge.intake.names import harmless_name
from daw_bridge.intake.room import check_room
from engine.spec import BridgeError

PREFIX = "upload:"
ID_LENGTH = 16
_ID_FORM = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_PARTIAL = ".part-"
_DIGEST_FORM = re.compile(r"[0-9a-f]{64}")


class Upload:
    """One upload on its way. Methods block on the disk, and may be called from any thread.

    Args:
        partial: where its bytes lie until all are there; with some already, it goes on from them.
        digest: SHA-256 in hexadecimal when the client has said it, else empty.
        release: called once the upload no longer writes.
        coming: held while a finished file comes, so that none goes at the same time.
    """

    def __init__(
        self,
        partial: Path,
        name: str,
        size_bytes: int,
        digest: str,
        release: Callable[[Upload], None],
        coming: threading.Lock,
    ) -> None:
        self._partial = partial
        self._name = name
        self._size_bytes = size_bytes
        self._digest = digest
        self._release = release
        self._coming = coming
        self._lock = threading.Lock()
        self._is_open = True
        self._file = partial.open("a+b", buffering=0)
        self._hash = hashlib.sha256()
        self._received_bytes = 0

    def catch_up(self) -> None:
        """Read what is there already, as long as that may take.

        Raises:
            BridgeError: `bad_message` when its client has left meanwhile.
        """
        with self._lock:
            self._check_open()
            self._file.seek(0)
            # Also where it goes on after a restart: the digest is that of the bytes on the disk.
            self._hash = hashlib.file_digest(self._file, "sha256")
            self._received_bytes = self._file.tell()

    @property
    def partial(self) -> Path:
        """The file on its way."""
        return self._partial

    @property
    def received_bytes(self) -> int:
        """How many bytes there are; the next ones belong there."""
        return self._received_bytes

    @property
    def size_bytes(self) -> int:
        """What it is to have in the end."""
        return self._size_bytes

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self._received_bytes == self._size_bytes

    def write(self, offset_bytes: int, data: bytes) -> None:
        """Add the next bytes; at 0 it begins anew.

        Raises:
            BridgeError: `bad_message` when they are not the next ones or its client has left,
                `too_large` when they are more than was announced.
        """
        with self._lock:
            self._check_open()
            if offset_bytes == 0 and self._received_bytes:
                self._file.truncate(0)
                self._hash = hashlib.sha256()
                self._received_bytes = 0
            if offset_bytes != self._received_bytes:
                raise BridgeError(
                    "bad_message", f"bytes at {offset_bytes}, but {self._received_bytes} come next"
                )
            if self._received_bytes + len(data) > self._size_bytes:
                raise BridgeError("too_large", f"more than the {self._size_bytes} bytes announced")
            _write_all(self._file, data)
            self._hash.update(data)
            self._received_bytes += len(data)

    def finish(self) -> tuple[str, Path]:
        """Close it; its id and its file.

        Raises:
            BridgeError: `bad_message` when bytes are missing or the digest differs.
        """
        # From its end on it counts as one that waits for its client, which may go for room.
        with self._lock, self._coming:
            self._check_open()
            self._close()
            digest = self._hash.hexdigest()
            try:
                self._check_whole(digest)
                return self._keep(digest[:ID_LENGTH])
            except OSError:
                if not self._can_wait:
                    self._partial.unlink(missing_ok=True)
                raise
            except BridgeError:
                self._partial.unlink(missing_ok=True)
                raise

    def leave(self) -> None:
        """The client is gone: what can be gone on with waits for it to come back."""
        if not self._can_wait:
            self.discard()
            return
        with self._lock:
            if self._is_open:
                self._close()

    def discard(self) -> None:
        """Remove what has arrived, unless it is no longer this one's."""
        with self._lock:
            if self._is_open:
                self._close()
                with contextlib.suppress(OSError):
                    self._partial.unlink()

    @property
    def _can_wait(self) -> bool:
        """Whether a client that comes back finds it: by the digest that it has said."""
        return self._partial.name == f"{_PARTIAL}{self._digest}"

    def _check_open(self) -> None:
        if not self._is_open:
            raise BridgeError("bad_message", "the upload is over", "begin it again")

    def _check_whole(self, digest: str) -> None:
        if not self.is_whole:
            raise BridgeError(
                "bad_message", f"{self._received_bytes} of {self._size_bytes} bytes arrived"
            )
        if self._digest not in ("", digest):
            raise BridgeError("bad_message", "the digest of the upload differs", "send it again")

    def _keep(self, upload_id: str) -> tuple[str, Path]:
        folder = self._partial.parent
        path = find_upload(folder, upload_id)
        if path is not None:
            self._partial.unlink(missing_ok=True)
            os.utime(path)
            return upload_id, path
        path = folder / upload_id / self._name
        path.parent.mkdir(exist_ok=True)
        os.replace(self._partial, path)
        return upload_id, path

    def _close(self) -> None:
        self._is_open = False
        self._file.close()
        self._release(self)


class UploadStore:
    """Uploads in a folder: the finished ones, and those that wait for their client.

    Args:
        keep_unfinished_s: how long an upload waits for its client to come back.
        min_free_bytes: what stays free on the disk.
    """

    def __init__(
        self,
        folder: Path,
        max_upload_bytes: int,
        max_total_bytes: int,
        keep_unfinished_s: float = 86_400.0,
        min_free_bytes: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()  # as paths are compared: whoever uses them has real ones
        self._max_upload_bytes = max_upload_bytes
        self._max_total_bytes = max_total_bytes
        self._keep_unfinished_s = keep_unfinished_s
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        # Held while files come, are found or go: what is found is the last to go, no folder goes
        # while a file comes into it, and none that waits goes while its client comes back.
        self._coming_and_going = threading.Lock()
        self._open: dict[Path, Upload] = {}

    def begin(self, name: str, size_bytes: int, sha256: str = "") -> Upload:
        """Start an upload, or go on with one of the same digest; of the name only a harmless part
        is used.

        Raises:
            BridgeError: `too_large` when it announces more than the limit, or too much is under
                way; `bad_request` for a digest that is none; `unavailable` on a full disk.
        """
        if size_bytes > self._max_upload_bytes:
            raise BridgeError(
                "too_large",
                f"an upload of {size_bytes} bytes",
                f"the limit is {self._max_upload_bytes}",
            )
        digest = sha256.lower()
        if digest and not _DIGEST_FORM.fullmatch(digest):
            raise BridgeError("bad_request", f"sha256 is {sha256[:80]!r}", "give 64 hex digits")
        self._sweep_old()
        with self._coming_and_going:
            partial = self._folder / f"{_PARTIAL}{digest}"
            with self._lock:
                is_taken = partial in self._open
            if is_taken or not digest:
                # Two may send the same clip at a time: each its own, and what comes last is both.
                partial = self._folder / f"{_PARTIAL}{secrets.token_hex(6)}"
            upload = self._opened(partial, harmless_name(name), size_bytes, digest)
        try:
            upload.catch_up()  # nobody else waits for it
        except OSError:
            upload.leave()
            raise
        return upload

    def _opened(self, partial: Path, name: str, size_bytes: int, digest: str) -> Upload:
        with contextlib.suppress(FileNotFoundError):
            if partial.stat().st_size > size_bytes:
                partial.unlink()
        self._reserve(partial, size_bytes)
        coming = self._coming_and_going
        upload = Upload(partial, name, size_bytes, digest, self._release, coming)
        with self._lock:
            self._open[partial] = upload
        return upload

    def _reserve(self, partial: Path, size_bytes: int) -> None:
        """Make sure that all uploads under way would fit, each as large as it said it would be.

        Those whose clients are gone make room first, the oldest first.
        """
        with self._lock:
            under_way = dict(self._open)
        promised_bytes = size_bytes + sum(upload.size_bytes for upload in under_way.values())
        if promised_bytes > self._max_total_bytes:
            hint = "finish one first"
            raise BridgeError("too_large", f"uploads of {promised_bytes} bytes at a time", hint)
        left = _seen(
            path
            for path in self._folder.glob(f"{_PARTIAL}*")
            if path not in under_way and path != partial
        )
        left_bytes = sum(status.st_size for status, _ in left)
        for status, path in sorted(left, key=lambda item: item[0].st_mtime_ns):
            if promised_bytes + left_bytes <= self._max_total_bytes:
                break
            path.unlink(missing_ok=True)
            left_bytes -= status.st_size
        check_room(self._folder, promised_bytes, self._min_free_bytes)

    def find(self, sha256: str, size_bytes: int) -> tuple[str, Path] | None:
        """The finished upload of a digest and size, its id and file, or None."""
        upload_id = sha256.lower()[:ID_LENGTH]
        with self._coming_and_going:
            path = find_upload(self._folder, upload_id)
            if path is None or path.stat().st_size != size_bytes:
                return None
            with contextlib.suppress(OSError):
                os.utime(path)
        return upload_id, path

    def path_of(self, upload_id: str) -> Path:
        """The file of a finished upload.

        Raises:
            BridgeError: `not_found`.
        """
        with self._coming_and_going:
            path = find_upload(self._folder, upload_id)
            if path is None:
                raise BridgeError("not_found", f"no upload {upload_id[:40]!r}", "send it again")
            with contextlib.suppress(OSError):
                os.utime(path)
        return path

    def note_use(self, path: Path) -> None:
        """A file that is used again, by its own path, is not among the first to go."""
        if path.is_relative_to(self._folder):
            with self._coming_and_going, contextlib.suppress(OSError):
                os.utime(path)

    def make_room(self, kept: Collection[str] = ()) -> None:
        """Remove the least recently used uploads while all together are too large.

        Args:
            kept: paths of those that somebody waits for.
        """
        with self._coming_and_going:
            # First without a list: nearly always there is room, and they are thousands.
            total_bytes = sum(status.st_size for status, _ in self._at_rest())
            if total_bytes <= self._max_total_bytes:
                return
            found = sorted(self._at_rest(), key=lambda item: item[0].st_mtime_ns)
            for status, path in found[:-1]:
                if total_bytes <= self._max_total_bytes:
                    break
                if str(path) in kept:
                    continue
                path.unlink(missing_ok=True)
                if path.parent != self._folder:
                    with contextlib.suppress(OSError):  # somebody has put something else there
                        path.parent.rmdir()
                total_bytes -= status.st_size

    def _at_rest(self) -> Iterator[tuple[os.stat_result, Path]]:
        """Files of finished uploads and of those that wait, one at a time."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if _ID_FORM.fullmatch(entry.name) and entry.is_dir():
                    files = (path for path in Path(entry.path).iterdir() if path.is_file())
                    yield from _seen(files)
        yield from _seen(self._waiting())

    def sweep(self) -> None:
        """Remove what a daemon that died had half received, but what can go on."""
        for path in self._waiting():
            if not _DIGEST_FORM.fullmatch(path.name.removeprefix(_PARTIAL)):
                path.unlink(missing_ok=True)
        self._sweep_old()

    def _sweep_old(self) -> None:
        oldest_s = time.time() - self._keep_unfinished_s
        with self._coming_and_going:
            for status, path in _seen(self._waiting()):
                if status.st_mtime < oldest_s:
                    path.unlink(missing_ok=True)

    def _waiting(self) -> list[Path]:
        """Unfinished uploads without a client."""
        with self._lock:
            return [path for path in self._folder.glob(f"{_PARTIAL}*") if path not in self._open]

    def _release(self, upload: Upload) -> None:
        with self._lock:
            if self._open.get(upload.partial) is upload:
                del self._open[upload.partial]


def _seen(paths: Iterable[Path]) -> list[tuple[os.stat_result, Path]]:
    """Files with what is known of them; one that has just gone is left out."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat(), path))
    return found


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def find_upload(folder: Path, upload_id: str) -> Path | None:
    """The file of an upload id, or None."""
    # The form is checked first: an id is no path.
    if not _ID_FORM.fullmatch(upload_id) or not (folder / upload_id).is_dir():
        return None
    return next((path for path in (folder / upload_id).iterdir() if path.is_file()), None)
