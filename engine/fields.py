"""Every parameter of a request in one table, and how a value is cast to its type.

The command line, both transports and the protocol document read the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.curves import Form, Lane
from engine.errors import BridgeError
from engine.musical_time import LAST_BEAT, MetreMap, TempoMap

TASKS: tuple[str, ...] = (
    "extend", "loop", "inpaint", "melody", "accompany", "vary", "generate",
)  # fmt: skip
ROLES: tuple[str, ...] = ("drums", "bass", "chords", "lead")

METHODS: tuple[str, ...] = (
    "fast", "ditto", "ditto-published", "ditto-2", "doodl", "freedom", "guidance-gradients",
    "flowchef", "naive", "multidiffusion", "multidiffusion-half",
)  # fmt: skip

Kind = Literal[
    "text", "path", "number", "integer", "flag", "choice", "tempo", "metre", "roles", "lane", "form"
]


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
_SKETCHED = ("melody", "accompany", "generate")
WITH_LENGTH = ("extend", "melody", "generate")
_NEW = ("melody", "generate")  # nothing of a clip in the result, whose format it would have

FIELDS: tuple[Field, ...] = (
    Field("source", "path", "audio clip to work on", tasks=(*_ON_CLIP, "accompany", "vary"),
          required=(*_ON_CLIP, "accompany", "vary")),
    Field("melody", "path", "MIDI file with the melody, or a recording of it: one voice that hums, "
          "sings or plays", tasks=("melody",), required=("melody",)),
    Field("context", "path", "audio clip that already plays from the same place on; it is listened "
          "to and never in the result", tasks=("melody",)),
    Field("seconds", "number", "length of new audio; for melody and generate at most 300 s", None,
          "s", 0.05, 600.0, tasks=WITH_LENGTH),
    Field("bars", "number", "length in bars", None, "bars", 0.25, 512.0,
          tasks=(*WITH_LENGTH, "loop")),
    Field("side", "choice", "which end to extend", "end", choices=("end", "start"),
          tasks=("extend",)),
    Field("start", "number", "start of the region to replace", None, "s", 0.0, 3600.0,
          tasks=("inpaint",), required=("inpaint",)),
    Field("end", "number", "end of the region to replace", None, "s", 0.0, 3600.0,
          tasks=("inpaint",), required=("inpaint",)),
    Field("bpm", "number", "tempo in quarter notes a minute; when absent the clip's as it is "
          "heard, the melody's own, the prompt's or the style's; bars from words alone need one",
          None, "bpm", 20.0, 400.0),
    Field("tempo_map", "tempo", "the song's tempo where it changes, as points beat:bpm such as "
          "0:120,16:90, counted in quarter notes from the song's start"),
    Field("tempo_from", "path", "MIDI file with the song's tempo and metre changes"),
    Field("metre", "metre", "time signature; the melody's own, the style's or 4/4 when absent; "
          "changes are points such as 0:4/4,16:7/8 in quarter notes from the song's start"),
    Field("position_beats", "number", "where the clip or the melody begins in the song, in quarter "
          "notes; needs the song's tempo", None, "beats", -LAST_BEAT, LAST_BEAT),
    Field("key", "text", "key such as 'A minor'; when absent the clip's or the melody's as it is "
          "heard, the prompt's or the style's", None),
    Field("prompt", "text", "words for style, mood and instruments", ""),
    Field("roles", "roles", "parts that play; a melody without lead among them is left out, which "
          "gives a backing; when absent what the prompt says, else all, for a clip all but lead",
          tasks=_SKETCHED),
    Field("stems", "flag", "render one part after the other, each hearing those before, and give "
          "them apart as well as together", False, tasks=_SKETCHED),
    Field("sample_rate_hz", "integer", "the host's sample rate, in which the result comes; "
          "44100 when absent", None, "Hz", 8_000, 192_000, tasks=_NEW),
    Field("channels", "integer", "channels of the result; of more than two, even ones are left and "
          "odd ones right; 2 when absent", None, "", 1, 64, tasks=_NEW),
    Field("sample_format", "choice", "how the result's samples are written; PCM_24 when "
          "absent", choices=("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"), tasks=_NEW),
    Field("seamless", "flag", "the result repeats without a seam: its end leads into its own "
          "beginning", False, tasks=("melody", "generate")),
    Field("variation", "number", "0 keeps the prior, 1 is newly generated; when absent what suits "
          "the model, with the embedded one 0.4 to extend, loop and inpaint and else 0.6",
          None, "", 0.0, 1.0),
    Field("fresh", "number", "new noise on the way: 0 gives the clip back but for what words and "
          "wishes change, 1 keeps its outline only", 0.5, "", 0.0, 1.0, tasks=("vary",)),
    Field("intensity", "lane", "level the result is to have over time, as points seconds:dB RMS "
          "such as 0:-30,3:-12 from the result's start on; straight lines between them"),
    Field("intensity_from", "path", "the same as a JSON file of [seconds, dB] points, or a clip "
          "whose own level is to be followed"),
    Field("intensity_match", "choice", "whether the level itself counts or only its shape", "level",
          choices=("level", "shape")),
    Field("structure", "form", "which parts are to sound alike: letters with bars such as "
          "'A4 B4 A4', equal parts such as ABBA, or markers in seconds such as '0:A,8:B'"),
    Field("structure_from", "path", "recording whose own structure is to be followed"),
    Field("balance", "flag", "several wishes pull equally, whatever their units", False),
    Field("method", "choice", "how the refinement works: fast guides runs towards the wish, ditto "
          "optimises the noise of one; the others are there to compare", "fast", choices=METHODS),
    Field("candidates", "integer", "initial noises to refine; the best by an independent measure "
          "is kept; to vary a clip there is its own alone", 1, "", 1, 16),
    Field("noise", "text", "latent key of an earlier render whose refined noise is the start"),
    Field("steps", "integer", "sampler steps of the draft; when absent what suits the model, 4 "
          "with the embedded one", None, "steps", 1, 200),
    Field("refine", "integer", "optimisation steps; 0 gives the draft only; when absent 8, with "
          "other methods than fast 32", None, "steps", 0, 500),
    Field("overlap", "number", "audio beside the seam that conditions and is matched", 1.5, "s",
          0.1, 4.0, tasks=_ON_CLIP),
    Field("crossfade_ms", "number", "crossfade at a seam, inside the declared source edge", 30.0,
          "ms", 0.0, 500.0, tasks=_ON_CLIP),
    Field("seed", "integer", "seed of the initial noise", 0, "", 0, 2**53 - 1),
    Field("model", "text", "model to render with", "house"),
)  # fmt: skip

FIELD_BY_NAME: Mapping[str, Field] = {item.name: item for item in FIELDS}
PATH_FIELDS: tuple[str, ...] = tuple(item.name for item in FIELDS if item.kind == "path")
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


def _as_lane(value: Any) -> str:
    return str(Lane.parse(value))


def _as_form(value: Any) -> str:
    return str(Form.parse(_as_text(value)))


def _as_metre(value: Any) -> str:
    if not isinstance(value, str | list | tuple):
        raise ValueError("must be text")
    try:
        return str(MetreMap.parse(value))
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
            return _as_metre(value)
        case "tempo":
            return str(TempoMap.parse(value))
        case "roles":
            return _as_roles(value)
        case "lane":
            return _as_lane(value)
        case "form":
            return _as_form(value)
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
