"""What can be asked of the engine, and what it answers: requests, events and the error.

Everything here is plain data without torch or numpy, so the daemon, the command line and a remote
worker share one vocabulary. The parameters of a request are those of the table `FIELDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from engine.errors import ERROR_CODES, BridgeError
from engine.fields import (
    FIELD_BY_NAME,
    FIELDS,
    PATH_FIELDS,
    ROLES,
    TASKS,
    WITH_LENGTH,
    Field,
    Kind,
    cast_field,
)
from engine.musical_time import MetreMap, MusicalTime, TempoMap

__all__ = [
    "ERROR_CODES",
    "EVENTS",
    "FIELDS",
    "FIELD_BY_NAME",
    "PATH_FIELDS",
    "ROLES",
    "TASKS",
    "BridgeError",
    "Cancelled",
    "Done",
    "Event",
    "Failed",
    "Field",
    "Kind",
    "Preview",
    "Progress",
    "RenderRequest",
    "Stem",
    "cast_field",
    "event_from_message",
    "event_to_message",
]


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """One request, validated. Fields and units are those of `FIELDS`."""

    task: str
    source: str | None = None
    melody: str | None = None
    context: str | None = None
    seconds: float | None = None
    bars: float | None = None
    side: str = "end"
    start: float | None = None
    end: float | None = None
    bpm: float | None = None
    tempo_map: str | None = None
    tempo_from: str | None = None
    metre: str | None = None
    position_beats: float | None = None
    key: str | None = None
    prompt: str = ""
    roles: tuple[str, ...] | None = None
    stems: bool = False
    sample_rate_hz: int | None = None
    channels: int | None = None
    sample_format: str | None = None
    seamless: bool = False
    variation: float | None = None
    fresh: float = 0.5
    intensity: str | None = None
    intensity_from: str | None = None
    intensity_match: str = "level"
    structure: str | None = None
    structure_from: str | None = None
    balance: bool = False
    method: str = "fast"
    candidates: int = 1
    noise: str | None = None
    steps: int | None = None
    refine: int | None = None
    overlap: float = 1.5
    crossfade_ms: float = 30.0
    seed: int = 0
    model: str = "house"

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> RenderRequest:
        """Validate a mapping (JSON object, OSC pairs or parsed flags); `None` means absent.

        Raises:
            BridgeError: `bad_request`, naming the field, its value and what it must be.
        """
        values = {name: value for name, value in data.items() if value is not None}
        task = values.pop("task", None)
        if task not in TASKS:
            raise BridgeError(
                "bad_request", f"task is {task!r}", f"ask for one of {', '.join(TASKS)}"
            )
        cast: dict[str, Any] = {}
        for name, value in values.items():
            item = FIELD_BY_NAME.get(name)
            if item is None or not item.applies_to(task):
                known = ", ".join(f.name for f in FIELDS if f.applies_to(task))
                raise BridgeError("bad_request", f"{task} has no field {name!r}", f"known: {known}")
            cast[name] = cast_field(item, value)
        request = cls(task=task, **cast)
        request._check_together()
        return request

    def _check_together(self) -> None:
        missing = [
            f.name
            for f in FIELDS
            if self.task in f.required
            and not getattr(self, f.name)
            and getattr(self, f.name) != 0.0
        ]
        if missing:
            raise BridgeError("bad_request", f"{self.task} needs {' and '.join(missing)}")
        if self.task in WITH_LENGTH and (self.seconds is None) == (self.bars is None):
            raise BridgeError(
                "bad_request", f"{self.task} needs a length", "give either seconds or bars"
            )
        if self.task == "loop" and self.bars is None:
            raise BridgeError("bad_request", "loop needs bars", "give the number of bars")
        for drawn, heard in (("intensity", "intensity_from"), ("structure", "structure_from")):
            if getattr(self, drawn) is not None and getattr(self, heard) is not None:
                raise BridgeError(
                    "bad_request", f"both {drawn} and {heard} are given", "give one of them"
                )
        self._check_time()
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise BridgeError(
                "bad_request",
                f"the region ends at {self.end:g} s, before its start {self.start:g} s",
            )

    def _check_time(self) -> None:
        told = [
            name for name in ("bpm", "tempo_map", "tempo_from") if getattr(self, name) is not None
        ]
        if len(told) > 1:
            raise BridgeError("bad_request", f"both {' and '.join(told)} are given", "give one")
        if self.position_beats is not None and not told:
            raise BridgeError(
                "bad_request",
                "position_beats is given without the song's tempo",
                "give bpm, tempo_map or tempo_from",
            )

    def new_seconds(self) -> float | None:
        """Length of new audio in seconds; None where the request alone does not say it.

        Bars are counted from the clip's or melody's start, in 4/4 where no metre is given.
        """
        if self.bars is not None:
            if self.tempo_map is not None:
                tempo = TempoMap.parse(self.tempo_map)
            elif self.bpm is not None:
                tempo = TempoMap.constant(self.bpm)
            else:
                return None
            metres = MetreMap.parse(self.metre or "4/4")
            time = MusicalTime.in_song(tempo, metres, self.position_beats or 0)
            return float(time.bars_s(self.bars))
        if self.start is not None and self.end is not None:
            return self.end - self.start
        return self.seconds

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON object with every field of the task that is set; round-trips."""
        known = {f.name for f in FIELDS if f.applies_to(self.task)}
        values = {
            name: value
            for name, value in asdict(self).items()
            if name in known and value is not None
        }
        if "roles" in values:
            values["roles"] = list(values["roles"])
        return {"task": self.task, **values}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. `fraction` never falls; `eta_s` is the estimated time left in seconds."""

    kind: ClassVar[str] = "progress"
    stage: str
    fraction: float
    step: int = 0
    steps: int = 0
    eta_s: float | None = None
    loss: float | None = None
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """Audio of the result so far, in the host's rate and channel count.

    Attributes:
        offset_samples: where the audio belongs in the finished file.
        revision: rises each time the whole preview is rendered anew.
        pcm: interleaved little-endian float32.
    """

    kind: ClassVar[str] = "preview"
    revision: int
    offset_samples: int
    sample_rate_hz: int
    channels: int
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stem:
    """A finished file in the spool folder; the receiver moves it into the take store."""

    kind: ClassVar[str] = "stem"
    name: str
    path: str
    sample_rate_hz: int
    channels: int
    length_samples: int


@dataclass(frozen=True, slots=True)
class Done:
    """The job is finished: its report (figures) and recipe (how to make it again)."""

    kind: ClassVar[str] = "done"
    report: dict[str, Any]
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job stopped because it was asked to; not an error."""

    kind: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True)
class Failed:
    """The job cannot be finished; the fields are those of `BridgeError`."""

    kind: ClassVar[str] = "failed"
    code: str
    message: str
    hint: str = ""


Event = Progress | Preview | Stem | Done | Cancelled | Failed
EVENTS: Mapping[str, type[Event]] = {
    cls.kind: cls for cls in (Progress, Preview, Stem, Done, Cancelled, Failed)
}


def event_to_message(event: Event) -> tuple[dict[str, Any], bytes]:
    """Split an event into a JSON object and its binary payload (empty but for previews)."""
    values = {f.name: getattr(event, f.name) for f in fields(event) if f.name != "pcm"}
    return {"event": event.kind, **values}, getattr(event, "pcm", b"")


def event_from_message(message: Mapping[str, Any], payload: bytes = b"") -> Event:
    """Inverse of `event_to_message`.

    Raises:
        BridgeError: `bad_message` for anything that is not an event.
    """
    values = dict(message)
    cls = EVENTS.get(str(values.pop("event", "")))
    if cls is None:
        raise BridgeError("bad_message", f"unknown event {message.get('event')!r}")
    if cls is Preview:
        values["pcm"] = payload
    try:
        return cls(**values)
    except TypeError as error:
        raise BridgeError("bad_message", f"not a {cls.kind} event: {error}") from None
