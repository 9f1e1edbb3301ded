"""The kinds of rows of the protocol table: commands, and replies with their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.spec import Field

Transport = Literal["osc", "websocket"]
BOTH: tuple[Transport, ...] = ("osc", "websocket")
WEBSOCKET_ONLY: tuple[Transport, ...] = ("websocket",)


@dataclass(frozen=True, slots=True)
class Command:
    """Something a client asks for.

    Attributes:
        replies: every reply it can lead to besides `failed`, in order.
        asynchronous: whether more than one reply follows.
    """

    name: str
    doc: str
    fields: tuple[Field, ...]
    replies: tuple[str, ...]
    asynchronous: bool = False
    transports: tuple[Transport, ...] = BOTH


@dataclass(frozen=True, slots=True)
class Arg:
    """One value of a reply.

    Attributes:
        osc: OSC type tag of its place in the flat list; empty when it is said in JSON only.
        clip: whether an OSC codec may shorten the text to keep the packet small.
        absent: what OSC, which has no null, says when there is no value.
    """

    name: str
    osc: str
    doc: str
    unit: str = ""
    clip: bool = False
    absent: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Something the daemon answers. Every reply starts with the `id` of its request.

    Attributes:
        event: whether it tells of a job's life (`event` in JSON) or answers at once (`reply`).
        last: whether nothing more follows for this request.
        items: name of the reply that OSC sends for each entry of a JSON list before this one.
        items_in: name of that list, where it is not the reply's own.
        items_from: so many entries there must be; fewer are not told.
    """

    name: str
    doc: str
    args: tuple[Arg, ...] = ()
    event: bool = False
    last: bool = True
    items: str = ""
    items_in: str = ""
    items_from: int = 0


JOB = Arg("job", "s", "job id")
