"""Puts our part of a host where the host looks for it, and takes it away again.

A manifest in the data folder names what was written, with digests. What is not in it, or was
changed since, belongs to the musician: it is neither written over nor removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import daw_bridge
from daw_bridge.hosts.finding import existing, expanded
from daw_bridge.hosts.table import Host
from daw_bridge.owners import write_private
from engine.spec import BridgeError

_LEFT_OUT = ("__pycache__", ".build")
_HOSTS_OWN = "/./"  # ends the part of a place that the host makes itself


@dataclass(slots=True)
class Outcome:
    """What an installation or its removal did: files by what became of them."""

    written: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def plugins_folder() -> Path:
    """`plugins/` of a checkout, or the one that came with the installed package.

    Raises:
        BridgeError: `not_found` where neither is.
    """
    package = Path(daw_bridge.__file__).resolve().parent
    for folder in (package / "plugins", package.parent / "plugins"):
        if (folder / "protocol.json").is_file():
            return folder
    raise BridgeError("not_found", "the plugins are not there", "install daw-bridge again")


class Installer:
    """Installs for one host.

    Args:
        plugins: folder of `plugins_folder`.
    """

    def __init__(
        self,
        host: Host,
        plugins: Path,
        data_dir: Path,
        platform: str,
        environment: Mapping[str, str],
    ) -> None:
        self._host = host
        self._plugins = plugins
        self._manifest_path = data_dir / "hosts" / f"{host.name}.json"
        self._platform = platform
        self._environment = environment

    def state(self) -> str:
        """`no part`, `not installed`, `installed`, `older` or `changed`, which a musician did."""
        manifest = self._manifest()
        if not manifest["files"]:
            return "not installed" if self._sources() else "no part"
        digests = {Path(name): digest for name, digest in manifest["files"].items()}
        if any(_digest(path) != digest for path, digest in digests.items()):
            return "changed"
        copies = dict(self._copies()) if self._sources() else {}
        newest = {path: _digest(origin) for path, origin in copies.items()}
        there = {path: _digest(path) for path in {*newest, *digests}}
        return "installed" if newest == there else "older"

    def install(self) -> Outcome:
        """Copy what is new or has become newer.

        Raises:
            BridgeError: `not_found` without a part of ours or without the host's own folder,
                `unavailable` when a file cannot be written.
        """
        if not self._sources():
            raise BridgeError(
                "not_found",
                f"there is nothing of ours for {self._host.title} here",
                self._host.way or f"plugins/{self._host.name} of this version has none",
            )
        copies = dict(self._copies())
        if not copies:
            raise BridgeError("not_found", *self._no_place())
        manifest, outcome = self._manifest(), Outcome()
        try:
            for target, origin in copies.items():
                self._copy(origin, target, manifest, outcome)
            for name in [name for name in manifest["files"] if Path(name) not in copies]:
                self._take_away(Path(name), manifest, outcome)
        except OSError as error:
            raise BridgeError("unavailable", f"{error.filename}: {error.strerror}") from None
        finally:
            self._keep(manifest)
        return outcome

    def uninstall(self) -> Outcome:
        """Remove exactly what was installed and is as it was.

        Raises:
            BridgeError: `not_found` where nothing was installed, `unavailable` as `install`.
        """
        manifest, outcome = self._manifest(), Outcome()
        if not manifest["files"]:
            raise BridgeError("not_found", f"nothing is installed for {self._host.title}")
        try:
            for name in list(manifest["files"]):
                self._take_away(Path(name), manifest, outcome)
            for name in sorted(manifest["folders"], key=len, reverse=True):
                _remove_if_empty(Path(name))
            self._manifest_path.unlink(missing_ok=True)
        except OSError as error:
            self._keep(manifest)
            raise BridgeError("unavailable", f"{error.filename}: {error.strerror}") from None
        return outcome

    def _no_place(self) -> tuple[str, str]:
        targets = [part.targets.get(self._platform) for part in self._host.parts]
        if not any(targets):
            return f"{self._host.title} has no place for it on {self._platform}", ""
        return (
            f"{self._host.title} has no folder {str(targets[0]).partition(_HOSTS_OWN)[0]}",
            "start it once, so that it makes its folders; where it keeps them elsewhere, copy the "
            f"files there by hand, as plugins/{self._host.name}/README.md says",
        )

    def _sources(self) -> list[Path]:
        # What lies beside the folders serves several hosts, and is no part by itself.
        own = (part.source for part in self._host.parts if "/" in part.source)
        return [path for source in own for path in existing(self._plugins / source)]

    def _copies(self) -> Iterator[tuple[Path, Path]]:
        """Where each file goes, and whence."""
        for part in self._host.parts:
            written = part.targets.get(self._platform)
            if written is None:
                continue
            for folder in self._folders(written):
                for origin in existing(self._plugins / part.source):
                    for file in _files_of(origin):
                        yield folder / file.relative_to(origin.parent), file

    def _folders(self, written: str) -> list[Path]:
        own, mark, _ = written.partition(_HOSTS_OWN)
        if mark and not expanded(own, self._environment).is_dir():
            return []
        path = expanded(written, self._environment)
        at = next((n for n, part in enumerate(path.parts) if "*" in part), None)
        if at is None:
            return [path]
        rest = path.parts[at + 1 :]
        return [found.joinpath(*rest) for found in existing(Path(*path.parts[: at + 1]))]

    def _copy(self, origin: Path, target: Path, manifest: dict[str, Any], outcome: Outcome) -> None:
        files: dict[str, str] = manifest["files"]
        new, there = _digest(origin), _digest(target)
        ours = files.get(str(target))
        if there == new:
            if ours is not None:  # a newer one that came another way
                files[str(target)] = new or ""
            outcome.unchanged.append(target)
        elif there is None or there == ours:
            for folder in reversed(list(_missing(target.parent))):
                folder.mkdir()
                manifest["folders"].append(str(folder))
            partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            try:
                shutil.copy(origin, partial)  # with its mode: a plugin is executable
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)
            files[str(target)] = new or ""
            self._keep(manifest)  # now: what no manifest names is not taken away again
            outcome.written.append(target)
        else:
            outcome.kept.append(target)

    def _take_away(self, path: Path, manifest: dict[str, Any], outcome: Outcome) -> None:
        there = _digest(path)
        if there == manifest["files"][str(path)]:
            path.unlink()
            outcome.removed.append(path)
        elif there is not None:
            outcome.kept.append(path)
        # Not before: a host that runs may hold its file, and it is taken away the next time.
        del manifest["files"][str(path)]

    def _manifest(self) -> dict[str, Any]:
        try:
            found = json.loads(self._manifest_path.read_text(encoding="utf-8"))
            return {"files": dict(found["files"]), "folders": list(found["folders"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {"files": {}, "folders": []}

    def _keep(self, manifest: dict[str, Any]) -> None:
        self._manifest_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._manifest_path, json.dumps(manifest, indent=1) + "\n")


def _files_of(origin: Path) -> list[Path]:
    if origin.is_file():
        return [origin]
    inside = (path for path in sorted(origin.rglob("*")) if path.is_file())
    return [path for path in inside if not {*path.relative_to(origin).parts} & {*_LEFT_OUT}]


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, None where there is nothing; `other` for what cannot be ours."""
    if path.is_symlink() or path.is_dir():
        return "other"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return "other"


def _missing(folder: Path) -> Iterator[Path]:
    for path in (folder, *folder.parents):
        if path.exists():
            return
        yield path


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
