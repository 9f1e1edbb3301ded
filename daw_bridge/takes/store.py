"""The take store: one folder for each take, written whole or not at all.

    takes/t-0007/groove-extend-120bpm-seed0.wav     the audio; stems beside it end in -<stem>.wav
    takes/t-0007/recipe.json                        how to make it again
    takes/t-0007/report.json                        the figures of its seams and grid
    takes/t-0007/take.json                          what this folder holds
    takes/t-0007/rating.json                        what the musician thinks of it, once said

A take is put together in a hidden folder and then renamed, so a folder `t-...` is always
complete, and nothing but a rating is ever overwritten. A removed take lies in `takes/.trash` until
that is emptied. The store may be shared by a daemon and by command lines that render without one.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from heapq import nlargest
from pathlib import Path
from typing import Any

from daw_bridge.ids import job_number
from daw_bridge.takes.files import file_digest, read_json, sync, write_json
from daw_bridge.takes.naming import slug, take_slug
from daw_bridge.takes.ratings import Rating, read_rating, write_rating
from daw_bridge.takes.trash import Trash
from engine.spec import BridgeError, Done, RenderRequest, Stem

MAIN_STEM = "mix"
PLACE = ("offset_samples", "position_samples", "position_beats", "length_beats")
_FOLDER_FORM = re.compile(r"t-(\d{4}|[1-9]\d{4,8})")  # as `_id_of` writes it
_INCOMING = ".incoming-"
SPOOL = ".spool-"  # beside the takes: where a command line renders without a daemon
# A command line may be at work in these at this moment; those so old were abandoned.
_ABANDONED_AFTER_S = {_INCOMING: 3600.0, SPOOL: 86_400.0}
_RECENT = 50  # takes among which that of a job is looked for


@dataclass(frozen=True, slots=True)
class TakeFile:
    """One audio file of a take.

    Attributes:
        sha256: of its bytes, in hexadecimal; empty in takes from before it was kept.
    """

    name: str
    path: str
    sample_rate_hz: int
    channels: int
    length_samples: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """One take.

    Attributes:
        files: the main file first, then the stems.
        place: where it belongs beside its source and in the song, as in its report.
        rating: what the musician thinks of it.
        created: UTC, ISO 8601.
        job: id of the job that made it, empty without a daemon.
    """

    id: str
    task: str
    created: str
    job: str
    files: tuple[TakeFile, ...]
    place: dict[str, Any] = field(default_factory=dict)
    rating: Rating = field(default_factory=Rating)

    @property
    def main(self) -> TakeFile:
        """The file a musician means by "the take"."""
        return self.files[0]

    def file(self, stem: str | None) -> TakeFile:
        """The file of a stem; the main one for None.

        Raises:
            BridgeError: `not_found`.
        """
        for item in self.files:
            if stem is None or item.name == stem:
                return item
        names = ", ".join(item.name for item in self.files)
        raise BridgeError("not_found", f"{self.id} has no stem {stem!r}", f"it has {names}")

    def summary(self) -> dict[str, Any]:
        """What a list of takes says of it."""
        main = self.main
        return {
            "take": self.id,
            "task": self.task,
            "path": main.path,
            "sample_rate_hz": main.sample_rate_hz,
            "channels": main.channels,
            "length_samples": main.length_samples,
            **self.place,
            **self.rating.to_mapping(),
            "created": self.created,
            "files": [asdict(item) for item in self.files],
        }


class TakeStore:
    """Takes in a folder. Methods block on the disk; a daemon calls them in a thread.

    Attributes:
        path: the folder of the takes.
        trash: what was removed and can be restored.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.trash = Trash(folder)
        folder.mkdir(parents=True, exist_ok=True)

    def adopt(
        self,
        request: RenderRequest,
        stems: Sequence[Stem],
        done: Done,
        *,
        spool_dir: Path | None = None,
        job: str = "",
    ) -> Take:
        """Make a take of finished files: moved out of the spool, copied from anywhere else.

        Raises:
            BridgeError: `engine_failed` when there is no audio or it cannot be moved.
        """
        if not stems:
            raise BridgeError("engine_failed", "the engine finished without audio")
        incoming = self.path / f"{_INCOMING}{secrets.token_hex(6)}"
        try:
            # With its parents: the folder of takes may have been moved away while we run.
            incoming.mkdir(parents=True)
            names = _file_names(take_slug(request, done.report), _main_first(stems))
            for name, stem in names.items():
                _bring(Path(stem.path), incoming / name, spool_dir)
            return self._complete(incoming, request, names, done, job)
        except OSError as error:
            raise BridgeError(
                "engine_failed", f"the take cannot be kept: {error}", "is the disk full?"
            ) from None
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _complete(
        self,
        incoming: Path,
        request: RenderRequest,
        names: dict[str, Stem],
        done: Done,
        job: str,
    ) -> Take:
        recipe = {"request": request.to_mapping(), **done.recipe}
        write_json(incoming / "recipe.json", recipe)
        write_json(incoming / "report.json", done.report)
        record = {
            "task": request.task,
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "job": job,
            "place": {name: done.report.get(name) for name in PLACE},
            "files": [
                {
                    "name": stem.name,
                    "file": name,
                    "sample_rate_hz": stem.sample_rate_hz,
                    "channels": stem.channels,
                    "length_samples": stem.length_samples,
                    "sha256": file_digest(incoming / name),
                }
                for name, stem in names.items()
            ],
        }
        write_json(incoming / "take.json", record)
        sync(incoming)
        folder = self._publish(incoming)
        with contextlib.suppress(OSError):
            sync(self.path)  # the take is there already, and to be told so
        return _take_of(folder, record)

    def _publish(self, incoming: Path) -> Path:
        """Rename to the next free number; another process may take it first."""
        number = max(self.numbers(), default=0)
        # In this order: a take that is removed in between is seen in one place or in both.
        number = max(number, self.trash.highest_number()) + 1
        while True:
            folder = self.folder_of(number)
            if not folder.exists():
                try:
                    incoming.rename(folder)
                except OSError:
                    # Renaming onto a folder with files fails: it appeared in between.
                    if not folder.exists():
                        raise
                else:
                    return folder
            number += 1

    def list(self, limit: int) -> list[Take]:
        """The newest takes, newest first; folders that are damaged are left out."""
        # Nearly always the newest are whole; sorting thousands for them would cost megabytes.
        newest = nlargest(limit, self.numbers())
        takes = _whole(map(self.folder_of, newest), limit)
        if len(takes) < len(newest):
            takes = _whole(reversed([*self.folders()]), limit)
        return takes

    def get(self, take_id: str) -> Take:
        """A take by its id.

        Raises:
            BridgeError: `not_found`.
        """
        return _read_take(self.folder(take_id))

    def folder(self, take_id: str) -> Path:
        """Where a take lies, damaged or not.

        Raises:
            BridgeError: `not_found`.
        """
        # The form is checked first: an id is no path.
        if not _FOLDER_FORM.fullmatch(take_id) or not (self.path / take_id).is_dir():
            in_trash = _FOLDER_FORM.fullmatch(take_id) and self.trash.find(take_id) is not None
            hint = "it is in the trash: restore brings it back" if in_trash else "takes lists them"
            raise BridgeError("not_found", f"no take {take_id[:40]!r}", hint)
        return self.path / take_id

    def numbers(self) -> Iterator[int]:
        """Numbers of all takes, damaged or not, in no order, and never all in memory."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                if form := _FOLDER_FORM.fullmatch(entry.name):
                    yield int(form[1])

    def folders(self) -> Iterator[Path]:
        """Every take's folder at this moment, damaged or not, oldest first."""
        return (self.folder_of(number) for number in sorted(self.numbers()))

    def folder_of(self, number: int) -> Path:
        """Where the take of a number lies, or would lie."""
        return self.path / _id_of(number)

    def recipe(self, take_id: str) -> dict[str, Any]:
        """How to make a take again; `request` holds what was asked.

        Raises:
            BridgeError: `not_found`.
        """
        self.get(take_id)
        return read_json(self.path / take_id / "recipe.json")

    def report(self, take_id: str) -> dict[str, Any]:
        """The figures of a take.

        Raises:
            BridgeError: `not_found`.
        """
        self.get(take_id)
        return read_json(self.path / take_id / "report.json")

    def rate(self, take_id: str, changes: Mapping[str, Any]) -> Rating:
        """Rate a take by `verdict`, `stars` and `note`; what is not said stays.

        Raises:
            BridgeError: `not_found`; `bad_request` and `unavailable` as `write_rating`.
        """
        self.get(take_id)
        return write_rating(self.path / take_id, changes)

    def remove(self, take_id: str) -> None:
        """Move a take to the trash, damaged or not.

        Raises:
            BridgeError: `not_found`; `unavailable` when the disk refuses.
        """
        self.trash.put(self.folder(take_id).name)

    def restore(self, take_id: str) -> Take:
        """Bring a take back out of the trash.

        Raises:
            BridgeError: as `Trash.restore`; `not_found` when it is damaged, which restores it, too.
        """
        self.trash.restore(take_id)
        return self.get(take_id)

    def removed(self, limit: int) -> Sequence[tuple[Take, str]]:
        """Takes in the trash with the time of their removal (UTC, ISO 8601), newest first."""
        takes: list[tuple[Take, str]] = []
        for entry in reversed(self.trash.entries()):
            if len(takes) == limit:
                break
            with contextlib.suppress(BridgeError, ValueError, OverflowError):
                removed = datetime.fromtimestamp(entry.removed_s, UTC)
                take = replace(_read_take(entry.folder), id=entry.take)
                takes.append((take, removed.isoformat(timespec="milliseconds")))
        return takes

    def take_of_job(self, job_id: str, among: int = _RECENT) -> str | None:
        """Id of the take that a job made, looked for among the newest."""
        return next((take.id for take in self.list(among) if take.job == job_id), None)

    def last_job_number(self, among: int = _RECENT) -> int:
        """The highest number of a job that made one of the newest takes, 0 without one."""
        numbers = [0]
        for take in self.list(among):
            with contextlib.suppress(ValueError):  # made without a daemon, or edited
                numbers.append(job_number(take.job))
        return max(numbers)

    def sweep(self) -> None:
        """Remove what a process that died left half put together or half rendered."""
        for place, prefix in ((self.path, _INCOMING), (self.path.parent, SPOOL)):
            for folder in place.glob(f"{prefix}*"):
                with contextlib.suppress(FileNotFoundError):  # it has just become a take
                    if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S[prefix]:
                        shutil.rmtree(folder, ignore_errors=True)


def _id_of(number: int) -> str:
    return f"t-{number:04d}"


def _main_first(stems: Sequence[Stem]) -> list[Stem]:
    return sorted(stems, key=lambda stem: stem.name != MAIN_STEM)


def _file_names(base: str, stems: Sequence[Stem]) -> dict[str, Stem]:
    names: dict[str, Stem] = {}
    for index, stem in enumerate(stems):
        suffix = Path(stem.path).suffix.lower() or ".wav"
        part = "" if index == 0 else f"-{slug(stem.name) or index}"
        name = f"{base}{part}{suffix}"
        if name in names:
            name = f"{base}{part}-{index}{suffix}"
        names[name] = stem
    return names


def _bring(origin: Path, target: Path, spool_dir: Path | None) -> None:
    if spool_dir is not None and origin.resolve().is_relative_to(spool_dir.resolve()):
        shutil.move(origin, target)  # which copies where the spool lies on another disk
    else:
        shutil.copyfile(origin, target)
    sync(target)


def _whole(folders: Iterable[Path], limit: int) -> list[Take]:
    """The first takes of these folders that can be read."""
    takes: list[Take] = []
    for folder in folders:
        if len(takes) == limit:
            break
        with contextlib.suppress(BridgeError):
            takes.append(_read_take(folder))
    return takes


def _read_take(folder: Path) -> Take:
    return _take_of(folder, read_json(folder / "take.json"))


def _take_of(folder: Path, record: dict[str, Any]) -> Take:
    try:
        files = tuple(
            TakeFile(
                item["name"],
                # Only a name: an edited take.json must not lead out of the folder.
                str(folder / Path(item["file"]).name),
                item["sample_rate_hz"],
                item["channels"],
                item["length_samples"],
                item.get("sha256", ""),
            )
            for item in record["files"]
        )
        place = {name: record.get("place", {}).get(name) for name in PLACE}
        about = (record["task"], record["created"], record["job"])
        take = Take(folder.name, *about, files, place, read_rating(folder))
    except (KeyError, TypeError) as error:
        raise BridgeError("not_found", f"{folder.name} is damaged: {error!r}") from None
    if not files:
        raise BridgeError("not_found", f"{folder.name} is damaged: it has no audio")
    return take
