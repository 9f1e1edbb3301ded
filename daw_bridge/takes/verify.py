"""Whether takes are still what was written: their files against their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daw_bridge.takes.files import file_digest, read_json
from daw_bridge.takes.store import TakeStore
from engine.spec import BridgeError


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one take.

    Attributes:
        damaged: what is wrong, file by file; empty where all is well.
        unchecked: files without a checksum, which is how takes were kept at first.
    """

    take: str
    damaged: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def verify_takes(store: TakeStore, take_id: str | None = None) -> Iterator[Verified]:
    """Check one take, or all of them, oldest first; damaged ones are told and not raised.

    Raises:
        BridgeError: `not_found` when there is no take of that id.
    """
    for folder in store.folders() if take_id is None else [store.folder(take_id)]:
        yield _verified(store, folder)


def _verified(store: TakeStore, folder: Path) -> Verified:
    damaged: list[str] = []
    unchecked: list[str] = []
    try:
        files = store.get(folder.name).files
    except BridgeError as error:
        return Verified(folder.name, (error.message,))
    for name in ("recipe.json", "report.json"):
        try:
            read_json(folder / name)
        except BridgeError as error:
            damaged.append(error.message)
    for item in files:
        path = Path(item.path)
        try:
            digest = file_digest(path)
        except OSError as error:
            damaged.append(f"{path.name} cannot be read: {error.strerror}")
            continue
        if not item.sha256:
            unchecked.append(path.name)
        elif digest != item.sha256:
            damaged.append(f"{path.name} does not match its checksum")
    return Verified(folder.name, tuple(damaged), tuple(unchecked))
