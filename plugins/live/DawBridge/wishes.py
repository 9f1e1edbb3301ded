"""What the musician wants: a verb, fields of the protocol and words, from a name or from knobs."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from .protocol import Protocol
from .refusal import Refusal

VERBS = ("extend", "loop", "inpaint", "melody", "accompany", "vary")
CANCEL = "cancel"
MARK = ">"  # begins a command in a clip's name
_ARROWS = ("-", "=")  # before the mark: `A -> B` is a name
_HELP = "write for example `> extend 4 variation 0.6: dusty drums`"
DEFAULT_BARS = 4.0
# Where a bare number in a command, or the knob, says how long the result is to be.
_TAKES_BARS = ("extend", "loop")


_OF_A_TAKE = re.compile(r" (?:{})(?: draft)? t-\d+$".format("|".join(VERBS)))


class Wish(NamedTuple):
    """What is wanted of a clip.

    Attributes:
        fields: names and values as the protocol has them.
    """

    verb: str
    fields: dict[str, Any]


class Knob(NamedTuple):
    """A control of the Max for Live device.

    Attributes:
        name: of the parameter in Live.
        field: of the protocol; a role for a switch.
        initial: as the device comes.
        verbs: those that the knob counts for; all that have the field where there are none.
    """

    name: str
    field: str
    initial: float
    verbs: tuple[str, ...] = ()


KNOBS = (
    Knob("Bars", "bars", DEFAULT_BARS, _TAKES_BARS),
    Knob("Variation", "variation", 0.4),
    Knob("Fresh", "fresh", 0.5),
    Knob("Refine", "refine", 8),
    Knob("Candidates", "candidates", 1),
    Knob("Takes", "takes", 1),
    Knob("Overlap", "overlap", 1.5),
    Knob("Crossfade", "crossfade_ms", 30.0),
)
MENUS = (Knob("Side", "side", 0),)
DRAFT = Knob("Draft", "refine", 1)  # a switch: the draft comes first, the refined take after it
ROLES = (
    Knob("Drums", "drums", 0),
    Knob("Bass", "bass", 0),
    Knob("Chords", "chords", 0),
    Knob("Lead", "lead", 0),
)


def read_command(name: str, protocol: Protocol) -> Wish | None:
    """The command in a clip's name, `drums > extend 4 side start: warm`; None where there is none.

    Raises:
        Refusal: what is behind a mark is no command, or one that cannot be understood.
    """
    text = _split(name)[1]
    if not text:
        if MARK not in name:
            return None
        known = ", ".join((*VERBS, CANCEL))
        word = _verb(name.rpartition(MARK)[2])
        raise Refusal(f"no command {word!r}", f"there are {known}; {_HELP}")
    command, colon, prompt = text.partition(":")
    verb, rest = _verb(text), command.split()[1:]
    if verb == CANCEL:
        if rest or colon:
            raise Refusal("cancel stops everything", "write `> cancel` and nothing more")
        return Wish(CANCEL, {})
    fields: dict[str, Any] = {}
    if rest and _is_number(rest[0]):
        fields["bars"] = protocol.cast(verb, "bars", rest.pop(0))
    if len(rest) % 2:
        raise Refusal(f"{rest[-1]} has no value", _HELP)
    for field, value in zip(rest[::2], rest[1::2]):
        fields[field] = protocol.cast(verb, field, value)
    if colon and prompt.strip():
        fields["prompt"] = prompt.strip()
    return Wish(verb, fields)


def without_command(name: str) -> str:
    """A clip's name as it was before the command."""
    return _split(name)[0]


def _split(name: str) -> tuple[str, str]:
    """A name, and the command that begins with a verb behind the first mark that has one.

    Other marks are the musician's: `A > B > extend 4` is a command for the clip `A > B`.
    """
    for place, letter in enumerate(name):
        if letter != MARK:
            continue
        before, text = name[:place], name[place + 1 :]
        if _verb(text) in (*VERBS, CANCEL) and not before.endswith(_ARROWS):
            return before.strip(), text
    return name.strip(), ""


def _verb(text: str) -> str:
    """The first word of a command."""
    words = text.partition(":")[0].split()
    return words[0].lower() if words else ""


def title_of(name: str) -> str:
    """What a clip is called, without a command and without what it owes to being a take."""
    return _OF_A_TAKE.sub("", without_command(name))


def read_knobs(values: dict[str, float], verb: str, protocol: Protocol) -> dict[str, Any]:
    """The fields that a device's controls ask for.

    Args:
        values: of the parameters, by their names.
    """
    fields: dict[str, Any] = {}
    for knob in KNOBS:
        if knob.name in values and _counts(knob, verb, protocol):
            fields[knob.field] = protocol.cast(verb, knob.field, round(values[knob.name], 6))
    for menu in MENUS:
        row = protocol.field(verb, menu.field)
        if menu.name in values and row is not None:
            index = round(values[menu.name])
            fields[menu.field] = row["choices"][min(max(index, 0), len(row["choices"]) - 1)]
    if protocol.field(verb, "roles") is not None:
        roles = [knob.field for knob in ROLES if values.get(knob.name, 0.0) >= 0.5]
        if roles:
            fields["roles"] = ",".join(roles)
    return fields


def wants_draft(values: dict[str, float], fields: dict[str, Any]) -> bool:
    """Whether a draft is to come before the refined take of a request."""
    if "refine" in fields and not fields["refine"]:
        return False  # it is one
    return values.get(DRAFT.name, 0.0) >= 0.5 and fields.get("takes", 1) == 1


def read_prompt(device_name: str) -> str:
    """The words behind the colon of a device's name, `daw-bridge: warm tape`."""
    return device_name.partition(":")[2].strip()


def _counts(knob: Knob, verb: str, protocol: Protocol) -> bool:
    if protocol.field(verb, knob.field) is None:
        return False
    return not knob.verbs or verb in knob.verbs


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
