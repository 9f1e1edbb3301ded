"""The protocol as one table: commands, replies and the header of binary frames.

The OSC codec, the JSON codec, validation, `plugins/protocol.json` and `docs/protocol.md` all read
it, so that whatever one transport can say the other can say too, with the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.spec import FIELDS, TASKS, Field

VERSION = 1
WEBSOCKET_PATH = "/ws"
OSC_PREFIX = "/dawbridge/"
OSC_REPLY_PREFIX = "/dawbridge/reply/"
MAX_OSC_PACKET_BYTES = 1400
MAX_ID_LENGTH = 64

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


JOB_EVENTS = ("progress", "preview", "done", "failed", "cancelled")

_JOB = Arg("job", "s", "job id")
# Without defaults: what is not given stays as it is in the take.
_RERENDER_FIELDS = tuple(
    Field(f.name, f.kind, f.doc, None, f.unit, f.low, f.high, f.choices)
    for f in FIELDS
    if f.kind != "path"
)


def _render_command(task: str) -> Command:
    docs = {
        "extend": "make a clip longer at its end or start",
        "loop": "make a seamless loop of so many bars from a clip",
        "inpaint": "replace a region of a clip",
        "melody": "accompany a MIDI melody",
        "accompany": "make the parts that are missing to a clip, without the clip itself",
        "vary": "make a variation of a clip, as long as the clip",
        "generate": "make new audio from words",
    }
    known = tuple(f for f in FIELDS if f.applies_to(task))
    return Command(task, docs[task], known, ("accepted", *JOB_EVENTS), asynchronous=True)


COMMANDS: tuple[Command, ...] = (
    Command(
        "hello",
        "introduce a client; the first message of a WebSocket without an Authorization header",
        (
            Field("token", "text", "the token of the data folder"),
            Field("client", "text", "name and version of the client, for the log", ""),
            Field("previews", "flag", "whether this WebSocket wants preview audio", True),
        ),
        ("hello",),
    ),
    Command("ping", "ask whether the daemon lives", (), ("pong",)),
    *(_render_command(task) for task in TASKS),
    Command(
        "rerender",
        "render a take again, changed where fields are given",
        (
            Field("take", "text", "take id", required=("rerender",)),
            *_RERENDER_FIELDS,
        ),
        ("accepted", *JOB_EVENTS),
        asynchronous=True,
    ),
    Command("status", "what the daemon is doing", (), ("status",)),
    Command(
        "cancel",
        "stop a job; the job's own clients are told when it has stopped",
        (Field("job", "text", "job id", required=("cancel",)),),
        ("cancelling",),
    ),
    Command(
        "watch",
        "receive the events of a job that another client may have asked for",
        (Field("job", "text", "job id", required=("watch",)),),
        ("watching", *JOB_EVENTS),
        asynchronous=True,
    ),
    Command(
        "jobs",
        "list jobs, newest first",
        (Field("limit", "integer", "most entries", 20, "jobs", 1, 500),),
        ("jobs",),
    ),
    Command(
        "takes",
        "list takes, newest first, or tell all about one",
        (
            Field("limit", "integer", "most entries", 20, "takes", 1, 500),
            Field("take", "text", "only this take, with its recipe and report"),
        ),
        ("takes",),
    ),
    Command(
        "upload",
        "begin an upload; binary frames of kind `upload` follow; the id it ends with can stand "
        "as `upload:ID` where a path can",
        (
            Field("name", "text", "file name, for its type and the names of takes",
                  required=("upload",)),
            Field("size_bytes", "integer", "exact size", None, "bytes", 1, 2**40,
                  required=("upload",)),
            Field("sha256", "text", "digest in hexadecimal, checked when given"),
        ),
        ("upload", "uploaded"),
        asynchronous=True,
        transports=WEBSOCKET_ONLY,
    ),
    Command(
        "stream",
        "receive a take's audio as binary frames of kind `stream`, float32, the last one flagged",
        (
            Field("take", "text", "take id", required=("stream",)),
            Field("stem", "text", "name of the stem; else the take's main file"),
            Field("offset_samples", "integer", "where to begin, to resume", 0, "samples", 0, 2**53),
        ),
        ("stream",),
        transports=WEBSOCKET_ONLY,
    ),
    Command("models", "list the models of the engine", (), ("models",)),
    Command("shutdown", "stop the daemon; unfinished jobs go on at its next start", (),
            ("stopping",)),
)  # fmt: skip

REPLIES: tuple[Reply, ...] = (
    Reply(
        "hello",
        "who the daemon is and what it can do",
        (
            Arg("version", "s", "version of the daemon"),
            Arg("protocol", "i", "version of this table"),
            Arg("commands", "", "names of all commands"),
            Arg("limits", "", "limits in bytes, seconds and jobs"),
        ),
    ),
    Reply("pong", "the daemon lives"),
    Reply("accepted", "the job is queued and will survive a restart", (_JOB,), last=False),
    Reply(
        "progress",
        "how far a job is",
        (
            _JOB,
            Arg("stage", "s", "name of the stage", clip=True),
            Arg("fraction", "f", "0 to 1, never falls"),
            Arg("eta_s", "f", "estimated time left; -1 in OSC when unknown", "s", absent=-1.0),
            Arg("step", "i", "step of the stage"),
            Arg("steps", "i", "steps of the stage, 0 when unknown"),
            Arg("loss", "", "objective of the current step"),
            Arg("best", "", "lowest objective so far"),
        ),
        event=True,
        last=False,
    ),
    Reply(
        "preview",
        "a part of the result can be heard; WebSocket sends it as binary frames instead",
        (
            _JOB,
            Arg("revision", "i", "rises each time the preview is rendered anew"),
            Arg("offset_samples", "i", "place in the finished file", "samples"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length of the part", "samples"),
        ),
        event=True,
        last=False,
    ),
    Reply(
        "stem",
        "a file of a finished job that has several, told before `done`; in JSON an entry of its "
        "`files`",
        (
            _JOB,
            Arg("name", "s", "mix, drums, bass, chords or lead"),
            Arg("path", "s", "the file"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length", "samples"),
        ),
        last=False,
    ),
    Reply(
        "done",
        "the job is finished and its take is kept",
        (
            _JOB,
            Arg("take", "s", "take id"),
            Arg("path", "s", "the take's main file"),
            Arg("files", "", "every stem: name, path, sample_rate_hz, channels, length_samples"),
            Arg("report", "", "figures of the render"),
            Arg("recipe", "", "how to make it again"),
        ),
        event=True,
        items="stem",
        items_in="files",
        items_from=2,
    ),
    Reply("cancelled", "the job stopped because it was asked to", (_JOB,), event=True),
    Reply(
        "failed",
        "the request or the job failed; in JSON an `event` with `job` when a job failed",
        (
            Arg("code", "s", "error code"),
            Arg("message", "s", "what is wrong", clip=True),
            Arg("hint", "s", "what to do about it", clip=True),
            Arg("job", "", "job id, when a job failed"),
        ),
        event=True,
    ),
    Reply("cancelling", "the job stops as soon as the engine has seen it", (_JOB,)),
    Reply(
        "watching",
        "events of the job follow",
        (_JOB, Arg("state", "s", "queued, running, done, failed or cancelled")),
        last=False,
    ),
    Reply(
        "status",
        "what the daemon is doing",
        (
            Arg("version", "s", "version of the daemon"),
            Arg("engine", "s", "starting, ready, broken or stopped"),
            Arg("running", "s", "id of the running job, else empty"),
            Arg("queued", "i", "jobs waiting", "jobs"),
            Arg("clients", "i", "WebSocket clients", "clients"),
            Arg("uptime_s", "f", "time since the daemon started", "s"),
            Arg("engine_info", "", "device and models, once the engine is ready"),
            Arg("engine_error", "", "why the engine is broken"),
        ),
    ),
    Reply(
        "job",
        "one entry of `jobs`",
        (
            _JOB,
            Arg("task", "s", "task"),
            Arg("state", "s", "queued, running, done, failed or cancelled"),
            Arg("fraction", "f", "0 to 1"),
            Arg("eta_s", "f", "estimated time left; -1 in OSC when unknown", "s", absent=-1.0),
            Arg("take", "s", "take id once done", absent=""),
            Arg("request", "", "the request"),
            Arg("error", "", "code, message and hint once failed"),
        ),
        last=False,
    ),
    Reply("jobs", "the jobs; OSC sends one `job` for each before it",
          (Arg("count", "i", "entries"),), items="job"),
    Reply(
        "take",
        "one entry of `takes`",
        (
            Arg("take", "s", "take id"),
            Arg("task", "s", "task"),
            Arg("path", "s", "the take's main file"),
            Arg("sample_rate_hz", "i", "sample rate", "Hz"),
            Arg("channels", "i", "channels"),
            Arg("length_samples", "i", "length", "samples"),
            Arg("created", "", "time it was kept, UTC"),
            Arg("files", "", "every stem"),
            Arg("report", "", "figures, when one take was asked for"),
            Arg("recipe", "", "how to make it again, when one take was asked for"),
        ),
        last=False,
    ),
    Reply("takes", "the takes; OSC sends one `take` for each before it",
          (Arg("count", "i", "entries"),), items="take"),
    Reply(
        "model",
        "one entry of `models`",
        (Arg("name", "s", "name"), Arg("digest", "s", "digest of the weights", absent="")),
        last=False,
    ),
    Reply("models", "the models; OSC sends one `model` for each before it",
          (Arg("count", "i", "entries"),), items="model"),
    Reply("upload", "send the bytes", (Arg("upload", "", "number for the frames' `stream`"),),
          last=False),
    Reply("uploaded", "the upload is complete",
          (Arg("source", "", "value for `source`, `melody` or `context`: upload:ID"),
           Arg("size_bytes", "", "size", "bytes"))),
    Reply(
        "stream",
        "the audio follows",
        (
            Arg("stream", "", "number in the frames' `stream`"),
            Arg("sample_rate_hz", "", "sample rate", "Hz"),
            Arg("channels", "", "channels"),
            Arg("length_samples", "", "length of the whole file", "samples"),
            Arg("offset_samples", "", "where the stream begins", "samples"),
        ),
    ),
    Reply("stopping", "the daemon stops"),
)  # fmt: skip

COMMAND_BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}
REPLY_BY_NAME: Mapping[str, Reply] = {reply.name: reply for reply in REPLIES}

# Pairs that belong to OSC itself, because UDP has no connection to remember them.
OSC_PAIRS: tuple[Field, ...] = (
    Field("token", "text", "the token of the data folder"),
    Field("reply_port", "integer", "UDP port on the sender's host that gets the replies instead "
          "of the sender's own", None, "", 1, 65535),
)  # fmt: skip

BINARY_MAGIC = b"DAWB"
BINARY_KINDS: Mapping[str, int] = {"preview": 1, "stream": 2, "upload": 3}
BINARY_FORMATS: Mapping[str, int] = {"float32": 1, "bytes": 2}
FLAG_LAST = 1


@dataclass(frozen=True, slots=True)
class HeaderPart:
    """One field of the header of binary frames, with its `struct` code (little-endian)."""

    name: str
    code: str
    doc: str


BINARY_HEADER: tuple[HeaderPart, ...] = (
    HeaderPart("magic", "4s", "`DAWB`"),
    HeaderPart("version", "B", "version of this table"),
    HeaderPart("kind", "B", "1 preview, 2 stream, 3 upload"),
    HeaderPart("format", "B", "1 interleaved float32 little-endian, 2 bytes of a file"),
    HeaderPart("flags", "B", "bit 0: last frame of this preview part, stream or upload"),
    HeaderPart("revision", "I", "revision of a preview, else 0"),
    HeaderPart("stream", "I", "number of the job (7 for `j-0007`), the stream or the upload"),
    HeaderPart("offset", "Q", "where the data belongs: samples of the file, or bytes of an upload"),
    HeaderPart("sample_rate_hz", "I", "sample rate, 0 for an upload"),
    HeaderPart("channels", "H", "channels, 0 for an upload"),
    HeaderPart("reserved", "H", "0"),
)
