"""Finished renders on disk: the noise that made them, their audio, recipe and report.

An entry is one folder, written under a temporary name and published with a single rename, so a
crash leaves either the whole entry or none of it:

    <folder>/index.sqlite3
    <folder>/entries/<digest>/entry.json, latents.safetensors, mix.wav, drums.wav ...

`entry.json` holds the SHA-256 of the others. Whatever does not match on reading counts as a
miss; it is removed and reported. Tensors that were found after the render are in one file more,
`later.safetensors`, which counts once an `entry.json` that names it has replaced the first one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cache.index import Index
from engine.cache.key import CacheKey

if TYPE_CHECKING:
    import torch

_LATENTS = "latents.safetensors"
_LATER = "later.safetensors"
_ENTRY = "entry.json"
_LATER_SHA256 = "later_sha256"  # of what was added, in `entry.json`
_PARTIAL = ".partial-"
# Another process may be writing a partial entry at this moment; one this old was abandoned.
_ABANDONED_AFTER_S = 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One verified render.

    Attributes:
        audio_paths: the finished audio by name, in the order in which it was put; copy it at once,
            a later `put` may evict it.
        recipe, report: as they were stored.
    """

    digest: str
    audio_paths: dict[str, Path]
    recipe: dict[str, Any]
    report: dict[str, Any]
    _latents: tuple[bytes, ...]

    def load_tensors(self) -> dict[str, torch.Tensor]:
        """The stored tensors, on the CPU. They were read and verified with the entry."""
        from safetensors.torch import load

        tensors: dict[str, torch.Tensor] = {}
        for content in self._latents:
            tensors |= load(content)
        return tensors


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the cache is."""

    entries: int
    size_bytes: int
    limit_bytes: int


class _DamagedEntryError(Exception):
    """An entry on disk is incomplete or does not match its checksums."""


class LatentCache:
    """Renders by key, least recently used out first. Safe for several threads and processes."""

    def __init__(
        self, folder: Path, limit_bytes: int, report_problem: Callable[[str], None] | None = None
    ) -> None:
        """Open the cache, making the folder when it is missing.

        Args:
            limit_bytes: all entries together stay at or under this size.
            report_problem: told about every damaged entry; the default logs a warning.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self._entries = folder / "entries"
        self._entries.mkdir(parents=True, exist_ok=True)
        self._limit_bytes = limit_bytes
        self._report_problem = report_problem or logging.getLogger(__name__).warning
        self._lock = threading.Lock()
        self._index = Index(folder / "index.sqlite3")
        if self._index.rebuilt:
            self._report_problem("the cache index was damaged and has been built anew")
        with self._lock, self._index.transaction():
            self._reconcile()
            self._evict()

    def get(self, key: CacheKey) -> Entry | None:
        """The render with exactly this key, verified, or None. Damage counts as a miss."""
        return self.named(key.digest)

    def named(self, digest: str) -> Entry | None:
        """Like `get` by the key's digest, which may come from anywhere."""
        if not _DIGEST.fullmatch(digest):
            return None
        try:
            with self._lock:
                return self._read(digest)
        except sqlite3.Error as error:
            self._report_problem(f"the cache index cannot be used: {error}")
            return None

    def put(
        self,
        key: CacheKey,
        tensors: Mapping[str, torch.Tensor],
        audio_paths: Mapping[str, Path],
        recipe: Mapping[str, Any],
        report: Mapping[str, Any],
    ) -> bool:
        """Keep a copy of a render, then evict what no longer fits.

        Args:
            audio_paths: its files by name; they are kept under their own file names.

        Returns:
            False when it was not kept: it is larger than the limit alone, or the disk refused. A
            render is worth more than its copy, so that is reported and nothing more.
        """
        partial = self._entries / f"{_PARTIAL}{uuid.uuid4().hex}"
        try:
            partial.mkdir(parents=True)
            size_bytes = _write_entry(partial, key, tensors, audio_paths, recipe, report)
            if size_bytes > self._limit_bytes:
                return False
            with self._lock, self._index.transaction():
                final = self._entries / key.digest
                # A folder cannot be renamed over another; the lock keeps the gap private.
                shutil.rmtree(final, ignore_errors=True)
                partial.rename(final)
                self._index.add(
                    key.digest, key.source_digest, key.model_digest, key.task, size_bytes
                )
                self._evict()
            return True
        except (OSError, sqlite3.Error) as error:
            self._report_problem(f"the render is not kept in the cache: {error}")
            return False
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def amend(self, digest: str, tensors: Mapping[str, torch.Tensor]) -> bool:
        """Add tensors to an entry that lacks them, once; whoever reads it sees all of them or none.

        Returns:
            False where there is nothing to amend: the entry was evicted, it has been amended
            already, or the disk refused, which is reported.
        """
        content = _saved(tensors)
        try:
            with self._lock, self._index.transaction():
                folder = self._entries / digest
                if not folder.is_dir() or _LATER_SHA256 in (about := _read_about(folder)):
                    return False
                self._index.grow(digest, _add_to_entry(folder, about, content))
                self._evict()
            return True
        except (_DamagedEntryError, OSError, sqlite3.Error) as error:
            self._report_problem(f"cache entry {digest[:12]} is not amended: {error}")
            return False

    def usage(self) -> Usage:
        """Entries and bytes in use."""
        with self._lock:
            entries, size_bytes = self._index.total()
        return Usage(entries, size_bytes, self._limit_bytes)

    def close(self) -> None:
        """Release the index. The cache is not usable afterwards."""
        with self._lock:
            self._index.close()

    def _read(self, digest: str) -> Entry | None:
        folder = self._entries / digest
        if not folder.is_dir():
            return None
        try:
            entry = _load_entry(folder)
        except _DamagedEntryError as error:
            # Seen without the lock, the damage may be another process replacing the entry.
            with self._index.transaction():
                return self._read_or_drop(folder, error)
        self._index.touch(digest)
        return entry

    def _read_or_drop(self, folder: Path, error: Exception) -> Entry | None:
        if folder.is_dir():
            try:
                return _load_entry(folder)
            except _DamagedEntryError as again:
                error = again
        self._drop(folder.name)
        self._report_problem(f"cache entry {folder.name[:12]} was removed: {error}")
        return None

    def _drop(self, digest: str) -> None:
        self._index.remove(digest)
        shutil.rmtree(self._entries / digest, ignore_errors=True)

    def _evict(self) -> None:
        while self._index.total()[1] > self._limit_bytes:
            digest = self._index.oldest()
            if digest is None:
                return
            self._drop(digest)

    def _reconcile(self) -> None:
        """Make the index say what the folder holds; a crash can leave them apart."""
        known = self._index.digests()
        present: set[str] = set()
        for folder in sorted(self._entries.iterdir(), key=_modified_s):
            if folder.name.startswith(_PARTIAL):
                if time.time() - _modified_s(folder) > _ABANDONED_AFTER_S:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            present.add(folder.name)
            if folder.name not in known:
                self._adopt(folder)
        for digest in known - present:
            self._index.remove(digest)

    def _adopt(self, folder: Path) -> None:
        try:
            about = _read_about(folder)
            source, model, task = (
                str(about[name]) for name in ("source_digest", "model_digest", "task")
            )
            size_bytes = sum(file.stat().st_size for file in folder.iterdir())
        except (_DamagedEntryError, KeyError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._report_problem(f"cache entry {folder.name[:12]} was removed: {error}")
            return
        self._index.add(folder.name, source, model, task, size_bytes)


def _modified_s(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process removed it after the listing
        return time.time()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_to_disk(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _saved(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The content of a safetensors file."""
    from safetensors.torch import save

    # It stores neither views nor device memory.
    return save({name: item.detach().cpu().contiguous() for name, item in tensors.items()})


def _add_to_entry(folder: Path, about: Mapping[str, Any], content: bytes) -> int:
    """Write what is added, then name it in the entry with one rename; by how many bytes it grew."""
    later, entry, partial = (folder / name for name in (_LATER, _ENTRY, f"{_PARTIAL}{_ENTRY}"))
    before = entry.stat().st_size
    named = {**about, _LATER_SHA256: hashlib.sha256(content).hexdigest()}
    try:
        later.write_bytes(content)
        partial.write_text(json.dumps(named, ensure_ascii=False), encoding="utf-8")
        for file in (later, partial):
            _flush_to_disk(file)
        grown = len(content) + partial.stat().st_size - before
        partial.replace(entry)
    except OSError:
        for file in (later, partial):
            file.unlink(missing_ok=True)
        raise
    return grown


def _write_entry(
    folder: Path,
    key: CacheKey,
    tensors: Mapping[str, torch.Tensor],
    audio_paths: Mapping[str, Path],
    recipe: Mapping[str, Any],
    report: Mapping[str, Any],
) -> int:
    """Write one entry's files; returns their bytes."""
    latents = _saved(tensors)
    (folder / _LATENTS).write_bytes(latents)
    audio = {}
    for name, path in audio_paths.items():
        shutil.copyfile(path, folder / path.name)
        audio[name] = {"file": path.name, "sha256": _sha256(folder / path.name)}
    about = {
        "source_digest": key.source_digest,
        "model_digest": key.model_digest,
        "task": key.task,
        "latents_sha256": hashlib.sha256(latents).hexdigest(),
        "audio": audio,
        "recipe": dict(recipe),
        "report": dict(report),
    }
    (folder / _ENTRY).write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    files = list(folder.iterdir())
    for file in files:
        _flush_to_disk(file)
    return sum(file.stat().st_size for file in files)


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ENTRY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _DamagedEntryError(f"{_ENTRY}: {error}") from error
    if not isinstance(about, dict):
        raise _DamagedEntryError(f"{_ENTRY} is not an object")
    return about


def _load_entry(folder: Path) -> Entry:
    """Read and verify one entry.

    Raises:
        _DamagedEntryError: a file is missing, unreadable or not what was written.
    """
    about = _read_about(folder)
    try:
        # The name alone: an entry must not be able to point outside its folder.
        audio = {name: folder / Path(row["file"]).name for name, row in about["audio"].items()}
        latents = [_content(folder / _LATENTS, about["latents_sha256"])]
        if _LATER_SHA256 in about:
            latents.append(_content(folder / _LATER, about[_LATER_SHA256]))
        for name, path in audio.items():
            if _sha256(path) != about["audio"][name]["sha256"]:
                raise _DamagedEntryError(f"{path.name} does not match its checksum")
        recipe, report = dict(about["recipe"]), dict(about["report"])
        return Entry(folder.name, audio, recipe, report, tuple(latents))
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise _DamagedEntryError(f"{type(error).__name__}: {error}") from error


def _content(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _DamagedEntryError(f"{path.name} does not match its checksum")
    return content
