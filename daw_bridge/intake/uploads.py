"""Uploads: bytes that arrive in order, are hashed, and become `<digest>/<name>` in a folder.

The same clip sent twice is kept once. Uploads stay, because a take made from one can only be
rendered again while it is there; the least recently used go when all together are too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path, PurePosixPath, PureWindowsPath

from engine.spec import BridgeError

PREFIX = "upload:"
ID_LENGTH = 16
_ID_FORM = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_PARTIAL = ".part-"
_SUFFIXES = frozenset(
    {".wav", ".flac", ".aif", ".aiff", ".ogg", ".opus", ".mp3", ".caf", ".w64", ".mid", ".midi"}
)


class Upload:
    """One upload on its way. Methods block on the disk."""

    def __init__(self, folder: Path, stem: str, suffix: str, size_bytes: int, sha256: str) -> None:
        self._folder = folder
        self._stem = stem
        self._suffix = suffix
        self._size_bytes = size_bytes
        self._sha256 = sha256.lower()
        self._partial = folder / f"{_PARTIAL}{secrets.token_hex(6)}"
        self._file = self._partial.open("xb")
        self._hash = hashlib.sha256()
        self._received_bytes = 0

    def write(self, offset_bytes: int, data: bytes) -> None:
        """Add the next bytes.

        Raises:
            BridgeError: `bad_message` when they are not the next ones, `too_large` when they are
                more than was announced.
        """
        if offset_bytes != self._received_bytes:
            raise BridgeError(
                "bad_message", f"bytes at {offset_bytes}, but {self._received_bytes} come next"
            )
        if self._received_bytes + len(data) > self._size_bytes:
            raise BridgeError("too_large", f"more than the {self._size_bytes} bytes announced")
        self._file.write(data)
        self._hash.update(data)
        self._received_bytes += len(data)

    def finish(self) -> tuple[str, Path]:
        """Close it; its id and its file.

        Raises:
            BridgeError: `bad_message` when bytes are missing or the digest differs.
        """
        self._file.close()
        digest = self._hash.hexdigest()
        if self._received_bytes != self._size_bytes:
            self.discard()
            raise BridgeError(
                "bad_message", f"{self._received_bytes} of {self._size_bytes} bytes arrived"
            )
        if self._sha256 and digest != self._sha256:
            self.discard()
            raise BridgeError("bad_message", "the digest of the upload differs", "send it again")
        upload_id = digest[:ID_LENGTH]
        path = find_upload(self._folder, upload_id)
        if path is None:
            path = self._folder / upload_id / f"{self._stem}{self._suffix}"
            path.parent.mkdir(exist_ok=True)
            os.replace(self._partial, path)
        else:
            self.discard()
            os.utime(path)
        return upload_id, path

    def discard(self) -> None:
        """Remove what has arrived."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._partial.unlink()


class UploadStore:
    """Finished uploads in a folder."""

    def __init__(self, folder: Path, max_upload_bytes: int, max_total_bytes: int) -> None:
        self._folder = folder
        self._max_upload_bytes = max_upload_bytes
        self._max_total_bytes = max_total_bytes
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, name: str, size_bytes: int, sha256: str = "") -> Upload:
        """Start an upload; of the name only a harmless part is used.

        Raises:
            BridgeError: `too_large` when it announces more than the limit.
        """
        if size_bytes > self._max_upload_bytes:
            raise BridgeError(
                "too_large",
                f"an upload of {size_bytes} bytes",
                f"the limit is {self._max_upload_bytes}",
            )
        # The client may run on the other kind of system.
        bare = PureWindowsPath(PurePosixPath(name).name).name
        stem, suffix = os.path.splitext(bare)
        stem = "".join(char if char.isalnum() else "-" for char in stem).strip("-")[:48] or "clip"
        suffix = suffix.lower() if suffix.lower() in _SUFFIXES else ""
        return Upload(self._folder, stem, suffix, size_bytes, sha256)

    def path_of(self, upload_id: str) -> Path:
        """The file of a finished upload.

        Raises:
            BridgeError: `not_found`.
        """
        path = find_upload(self._folder, upload_id)
        if path is None:
            raise BridgeError("not_found", f"no upload {upload_id[:40]!r}", "send it again")
        with contextlib.suppress(OSError):
            os.utime(path)
        return path

    def make_room(self) -> None:
        """Remove the least recently used uploads while all together are too large."""
        found = [(path.stat(), path) for path in self._folder.glob("*/*") if path.is_file()]
        total_bytes = sum(status.st_size for status, _ in found)
        for status, path in sorted(found, key=lambda item: item[0].st_mtime_ns)[:-1]:
            if total_bytes <= self._max_total_bytes:
                break
            path.unlink(missing_ok=True)
            path.parent.rmdir()
            total_bytes -= status.st_size

    def sweep(self) -> None:
        """Remove what a daemon that died had half received."""
        for path in self._folder.glob(f"{_PARTIAL}*"):
            path.unlink(missing_ok=True)


def find_upload(folder: Path, upload_id: str) -> Path | None:
    """The file of an upload id, or None."""
    # The form is checked first: an id is no path.
    if not _ID_FORM.fullmatch(upload_id) or not (folder / upload_id).is_dir():
        return None
    return next((path for path in (folder / upload_id).iterdir() if path.is_file()), None)
