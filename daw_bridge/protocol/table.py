"""The protocol as one table: commands here, `replies` and the `header` of binary frames beside.

The OSC codec, the JSON codec, validation, `plugins/protocol.json` and `docs/protocol.md` all read
it, so that whatever one transport can say the other can say too, with the same names.
"""

from __future__ import annotations

from collections.abc import Mapping

from daw_bridge.protocol.header import (
    AUDIO_FORMATS,
    BINARY_FORMATS,
    BINARY_HEADER,
    BINARY_KINDS,
    BINARY_MAGIC,
    FLAG_LAST,
    HeaderPart,
)
from daw_bridge.protocol.replies import REPLIES
from daw_bridge.protocol.rows import WEBSOCKET_ONLY, Arg, Command, Reply, Transport
from engine.spec import FIELDS, TASKS, Field

__all__ = [
    "AUDIO_FORMATS",
    "BINARY_FORMATS",
    "BINARY_HEADER",
    "BINARY_KINDS",
    "BINARY_MAGIC",
    "COMMANDS",
    "COMMAND_BY_NAME",
    "FLAG_LAST",
    "JOB_EVENTS",
    "MAX_ID_LENGTH",
    "MAX_OSC_PACKET_BYTES",
    "OSC_PAIRS",
    "OSC_PREFIX",
    "OSC_REPLY_PREFIX",
    "PLACEMENT",
    "REPLIES",
    "REPLY_BY_NAME",
    "VERSION",
    "WEBSOCKET_PATH",
    "Arg",
    "Command",
    "HeaderPart",
    "Reply",
    "Transport",
]

VERSION = 1
WEBSOCKET_PATH = "/ws"
OSC_PREFIX = "/dawbridge/"
OSC_REPLY_PREFIX = "/dawbridge/reply/"
MAX_OSC_PACKET_BYTES = 1400
MAX_ID_LENGTH = 64

JOB_EVENTS = ("progress", "preview", "done", "failed", "cancelled")

_ESTIMATED_FIELDS = (
    Field("task", "choice", "what would be asked for", required=("estimate",), choices=TASKS),
    *(Field(f.name, f.kind, f.doc, f.default, f.unit, f.low, f.high, f.choices) for f in FIELDS),
)

# Without defaults: what is not given stays as it is in the take.
_RERENDER_FIELDS = tuple(
    Field(f.name, f.kind, f.doc, None, f.unit, f.low, f.high, f.choices)
    for f in FIELDS
    if f.kind != "path"
)

# Where a request stands among the others, and how many results it is to give.
_PLACEMENT = (
    Field("takes", "integer", "results to choose from by ear, each a job and a take of its own: "
          "the first of this seed, the next of the seeds that follow", 1, "takes", 1, 16),
    Field("slot", "text", "place in the client that the result is for, such as a track and a bar; "
          "a newer request for the same slot supersedes this one", ""),
    Field("priority", "choice", "interactive jobs come first and interrupt a batch job, which goes "
          "on later", "interactive", choices=("interactive", "batch")),
)  # fmt: skip
PLACEMENT: tuple[str, ...] = tuple(field.name for field in _PLACEMENT)

# How often a client wants what may be left out. What is not given stays as it was.
_WISHES = (
    Field("previews", "flag", "whether this client wants previews; it does until it says no"),
    Field("progress_hz", "number", "at most so many `progress` of a job a second, the newest; 0 "
          "for none, all until said", None, "Hz", 0.0, 1000.0),
    Field("preview_hz", "number", "at most so many revisions of a job's preview a second, the "
          "newest; 0 for none, all until said", None, "Hz", 0.0, 1000.0),
    Field("preview_format", "choice", "format of preview frames on a WebSocket; float32 until said",
          choices=AUDIO_FORMATS),
)  # fmt: skip


# Of a file for other programs. What a format cannot hold is said in its refusal.
_EXPORT_FIELDS = (
    Field("take", "text", "take id", required=("export",)),
    Field("stem", "text", "name of the stem; else the take's main file"),
    Field("container", "choice", "kind of file", "wav", choices=("wav", "aiff", "flac")),
    Field("sample_format", "choice", "how samples are written; a FLAC has no FLOAT. Integers that "
          "cannot hold the take exactly are dithered (TPDF), the same take always alike", "PCM_24",
          choices=("PCM_16", "PCM_24", "FLOAT")),
    Field("sample_rate_hz", "integer", "sample rate; the take's own when absent", None, "Hz", 8_000,
          192_000),
    Field("gain_db", "number", "change of level", 0.0, "dB", -120.0, 60.0),
    Field("over", "choice", "what becomes of integers over full scale: the export is refused and "
          "says the peak, or they are cut off and counted", "refuse", choices=("refuse", "clip")),
    Field("folder", "text", "where the file goes, under the allowed folders; `exports` in the data "
          "folder when absent"),
    Field("name", "text", "its name without the suffix; the take's own with the format when "
          "absent. A number is added where there is such a file: nothing is overwritten"),
)  # fmt: skip


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
    known += _PLACEMENT
    return Command(task, docs[task], known, ("accepted", *JOB_EVENTS), asynchronous=True)


COMMANDS: tuple[Command, ...] = (
    Command(
        "hello",
        "introduce a client; the first message of a WebSocket without an Authorization header",
        (
            Field("token", "text", "the token of the data folder"),
            Field("client", "text", "name and version of the client, for the log", ""),
            *_WISHES,
        ),
        ("hello",),
    ),
    Command(
        "subscribe",
        "receive the events of all jobs with this id; a job that the client asked for itself is "
        "told once, with the id of its own call",
        (
            *_WISHES,
            Field("expires_s", "number", "UDP only: subscribe again within this time, or it ends",
                  60.0, "s", 1.0, 3600.0),
        ),
        ("subscribed", *JOB_EVENTS),
        asynchronous=True,
    ),
    Command("unsubscribe", "receive only the events of jobs asked for", (), ("unsubscribed",)),
    Command("ping", "ask whether the daemon lives", (), ("pong",)),
    *(_render_command(task) for task in TASKS),
    Command(
        "rerender",
        "render a take again, changed where fields are given",
        (
            Field("take", "text", "take id", required=("rerender",)),
            *_RERENDER_FIELDS,
            *_PLACEMENT,
        ),
        ("accepted", *JOB_EVENTS),
        asynchronous=True,
    ),
    Command(
        "estimate",
        "ask what a render would need; it is answered before the next job begins, and after the "
        "one that runs",
        _ESTIMATED_FIELDS,
        ("estimate",),
        asynchronous=False,
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
            Field("trash", "flag", "those that were removed and can be restored instead"),
        ),
        ("takes",),
    ),
    Command(
        "rate",
        "say what a take is worth; what is not given stays as it was. A discarded take stays, too, "
        "unless takes need room: then it goes to the trash first",
        (
            Field("take", "text", "take id", required=("rate",)),
            Field("verdict", "choice", "whether it is one to keep", choices=("keep", "discard")),
            Field("stars", "integer", "how good it is", None, "stars", 1, 5),
            Field("note", "text", "in words; an empty one removes the note"),
        ),
        ("rated",),
    ),
    Command(
        "export",
        "write a take or one of its stems as a file for other programs; other commands are "
        "answered meanwhile",
        _EXPORT_FIELDS,
        ("exported",),
    ),
    Command(
        "remove",
        "move a take to the trash, which keeps it for a time",
        (Field("take", "text", "take id", required=("remove",)),),
        ("removed",),
    ),
    Command(
        "restore",
        "bring a take back from the trash",
        (Field("take", "text", "take id", required=("restore",)),),
        ("restored",),
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
            Field("sha256", "text", "digest in hexadecimal, checked when given; such an upload "
                  "may be cut off and begun again, and goes on where it was"),
        ),
        ("upload", "uploaded"),
        asynchronous=True,
        transports=WEBSOCKET_ONLY,
    ),
    Command(
        "stream",
        "receive a take's audio as binary frames of kind `stream`, the last one flagged; one that "
        "goes on at the end of a frame is the same from there on, byte for byte",
        (
            Field("take", "text", "take id", required=("stream",)),
            Field("stem", "text", "name of the stem; else the take's main file"),
            Field("offset_samples", "integer", "where to begin, to resume", 0, "samples", 0, 2**53),
            Field("format", "choice", "format of the frames: integers are rounded and not "
                  "dithered, a FLAC has the bits of its file up to 24", "float32",
                  choices=AUDIO_FORMATS),
        ),
        ("stream",),
        transports=WEBSOCKET_ONLY,
    ),
    Command("models", "list the models of the engine", (), ("models",)),
    Command("unload", "give the memory of the models back, after the render that runs; the next "
            "render loads them again", (), ("unloading",)),
    Command("shutdown", "stop the daemon; unfinished jobs go on at its next start", (),
            ("stopping",)),
)  # fmt: skip

COMMAND_BY_NAME: Mapping[str, Command] = {command.name: command for command in COMMANDS}
REPLY_BY_NAME: Mapping[str, Reply] = {reply.name: reply for reply in REPLIES}

# Pairs that belong to OSC itself, because UDP has no connection to remember them.
OSC_PAIRS: tuple[Field, ...] = (
    Field("token", "text", "the token of the data folder"),
    Field("reply_port", "integer", "UDP only: port on the sender's host that gets the replies "
          "instead of the sender's own", None, "", 1, 65535),
    Field("reply_file", "flag", "UDP only: the newest reply is also written to "
          "`replies/<id>.json` in the data folder, for clients that cannot receive; the id is "
          "then at most 64 letters, digits, - and _, progress and previews are left out, and the "
          "files do not outlive the daemon"),
)  # fmt: skip
