"""What can be asked of the engine, and what it answers: requests, events and the error.

Everything here is plain data without torch or numpy, so the daemon, the command line and a remote
worker share one vocabulary. One table, `FIELDS`, describes every parameter of a request; the
command line, both transports and the protocol document read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from engine.units import Metre

TASKS: tuple[str, ...] = ("extend", "loop", "inpaint", "melody", "generate")
ROLES: tuple[str, ...] = ("drums", "bass", "chords", "lead")

Kind = Literal["text", "path", "number", "integer", "flag", "choice", "metre", "roles"]


class BridgeError(Exception):
    """Any refusal or failure a user meets: a code for programs, a message and a hint for people.

    Attributes:
        code: one of `ERROR_CODES`.
        message: what is wrong, with the offending value.
        hint: what to do about it.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        assert code in ERROR_CODES, code
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def to_mapping(self) -> dict[str, str]:
        """The one wire shape of an error."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


ERROR_CODES: frozenset[str] = frozenset(
    {
        "bad_request",  # a field is missing, unknown or out of range
        "bad_audio",  # the clip cannot be read or used
        "bad_midi",  # the melody cannot be read or used
        "bad_message",  # a packet or frame that is not the protocol
        "forbidden",  # wrong token, origin or host, or a path outside the allowed roots
        "not_found",  # no such job, take, upload or model
        "too_large",  # over a size, length or queue limit
        "engine_crashed",  # the engine process died while it worked on the job
        "engine_failed",  # an unexpected failure inside the engine
        "out_of_memory",
        "unavailable",  # the daemon is not running, or it is shutting down
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a request.

    Attributes:
        low, high: inclusive range of a number or integer, in `unit`.
        tasks: tasks that know the field; empty means all of them.
        required: tasks that cannot do without it.
    """

    name: str
    kind: Kind
    doc: str
    default: Any = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    def applies_to(self, task: str) -> bool:
        """Whether a request of this task may carry the field."""
        return not self.tasks or task in self.tasks


_ON_CLIP = ("extend", "loop", "inpaint")
_WITH_LENGTH = ("extend", "melody", "generate")
_GRID = ("extend", "loop", "inpaint", "melody", "generate")

FIELDS: tuple[Field, ...] = (
    Field("source", "path", "audio clip to work on", tasks=_ON_CLIP, required=_ON_CLIP),
    Field("melody", "path", "MIDI file with the melody", tasks=("melody",), required=("melody",)),
    Field("seconds", "number", "length of new audio", None, "s", 0.05, 600.0, tasks=_WITH_LENGTH),
    Field("bars", "number", "length in bars", None, "bars", 0.25, 512.0,
          tasks=(*_WITH_LENGTH, "loop")),
    Field("side", "choice", "which end to extend", "end", choices=("end", "start"),
          tasks=("extend",)),
    Field("start", "number", "start of the region to replace", None, "s", 0.0, 3600.0,
          tasks=("inpaint",), required=("inpaint",)),
    Field("end", "number", "end of the region to replace", None, "s", 0.0, 3600.0,
          tasks=("inpaint",), required=("inpaint",)),
    Field("bpm", "number", "tempo in quarter notes a minute; estimated from the clip when absent",
          None, "bpm", 20.0, 400.0, tasks=_GRID),
    Field("metre", "metre", "time signature", "4/4", tasks=_GRID),
    Field("key", "text", "key such as 'A minor'; estimated when absent", None),
    Field("prompt", "text", "words for style, mood and instruments", ""),
    Field("roles", "roles", "parts that play", ROLES, tasks=("melody", "generate")),
    Field("variation", "number", "0 keeps the prior, 1 is newly generated", None, "", 0.0, 1.0),
    Field("steps", "integer", "sampler steps of the draft", None, "steps", 1, 200),
    Field("refine", "integer", "optimisation steps; 0 gives the draft only", None, "steps", 0, 500),
    Field("overlap", "number", "audio beside the seam that conditions and is matched", 1.5, "s",
          0.1, 4.0, tasks=_ON_CLIP),
    Field("crossfade_ms", "number", "crossfade at a seam, inside the declared source edge", 30.0,
          "ms", 0.0, 500.0, tasks=_ON_CLIP),
    Field("seed", "integer", "seed of the initial noise", 0, "", 0, 2**53 - 1),
    Field("model", "text", "model to render with", "house"),
)  # fmt: skip

FIELD_BY_NAME: Mapping[str, Field] = {item.name: item for item in FIELDS}
MAX_TEXT_LENGTH = 2000


def _as_number(item: Field, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond every float
        number = math.inf
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    too_low = item.low is not None and number < item.low
    if too_low or (item.high is not None and number > item.high):
        unit = f" {item.unit}" if item.unit else ""
        raise ValueError(f"must be {item.low:g} to {item.high:g}{unit}")
    return number


def _as_roles(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    names = [str(name).strip() for name in listed] if isinstance(listed, list | tuple) else []
    names = [name for name in names if name]
    unknown = [name for name in names if name not in ROLES]
    if unknown or not names:
        raise ValueError(f"must name some of {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in names)


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if len(value) > MAX_TEXT_LENGTH or "\0" in value:
        raise ValueError(f"must be at most {MAX_TEXT_LENGTH} characters of plain text")
    return value


def _as_metre(text: str) -> str:
    try:
        return str(Metre.parse(text))
    except ValueError as error:
        raise ValueError(f"must be a time signature: {error}") from None


def _as_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1):
        return bool(value)
    raise ValueError("must be true or false")


def _cast(item: Field, value: Any) -> Any:
    """Cast one value to its field's type; ValueError says what it must be."""
    match item.kind:
        case "number":
            return _as_number(item, value)
        case "integer":
            number = _as_number(item, value)
            if number != int(number):
                raise ValueError("must be a whole number")
            return int(number)
        case "flag":
            return _as_flag(value)
        case "choice":
            if value not in item.choices:
                raise ValueError(f"must be one of {', '.join(item.choices)}")
            return value
        case "metre":
            return _as_metre(_as_text(value))
        case "roles":
            return _as_roles(value)
        case _:
            return _as_text(value)


def cast_field(item: Field, value: Any) -> Any:
    """Cast one value to its field's type and check its range.

    Raises:
        BridgeError: `bad_request`, naming the field, its value and what it must be.
    """
    try:
        return _cast(item, value)
    except (ValueError, TypeError) as error:
        raise BridgeError(
            "bad_request", f"{item.name} is {str(value)[:80]!r}", f"it {error}"
        ) from None


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """One request, validated. Fields and units are those of `FIELDS`."""

    task: str
    source: str | None = None
    melody: str | None = None
    seconds: float | None = None
    bars: float | None = None
    side: str = "end"
    start: float | None = None
    end: float | None = None
    bpm: float | None = None
    metre: str = "4/4"
    key: str | None = None
    prompt: str = ""
    roles: tuple[str, ...] = ROLES
    variation: float | None = None
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
        if self.task in _WITH_LENGTH and (self.seconds is None) == (self.bars is None):
            raise BridgeError(
                "bad_request", f"{self.task} needs a length", "give either seconds or bars"
            )
        if self.task == "loop" and self.bars is None:
            raise BridgeError("bad_request", "loop needs bars", "give the number of bars")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise BridgeError(
                "bad_request",
                f"the region ends at {self.end:g} s, before its start {self.start:g} s",
            )

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
