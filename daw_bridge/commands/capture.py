"""`daw-bridge capture`: record a melody from a MIDI port in the host's time."""

from __future__ import annotations

import argparse
import secrets
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from daw_bridge.commands.arguments import build_parser
from daw_bridge.commands.console import Console
from daw_bridge.commands.local import cancelled_by_interrupt
from daw_bridge.commands.result import check_outputs, publish
from daw_bridge.midi.files import midi_bytes
from daw_bridge.midi.ports import choose, input_names, listening
from daw_bridge.midi.session import Plan, Recording, Session
from engine.spec import FIELD_BY_NAME, BridgeError, Field, cast_field
from engine.units import Metre

_COUNT_IN = Field("count-in", "integer", "bars before the first one", 1, "bars", 0, 16)
_BARS = Field("bars", "integer", "length", None, "bars", 1, 512)
WAIT = Field("wait", "number", "how long to wait for the host", 60.0, "s", 0.1, 3600.0)
_NOTE_VALUES = (1, 2, 4, 8, 16, 32, 3, 6, 12, 24, 48)

Accompany = Callable[[list[str]], None]


def run(options: argparse.Namespace, console: Console, accompany: Accompany) -> None:
    """Record, write the file, and hand it to `melody` where its flags were given.

    Args:
        accompany: runs a command line that begins with `melody`.

    Raises:
        BridgeError: what is wrong with a flag, the ports or the recording.
    """
    if options.list:
        names = input_names()
        console.result({"ports": names}, names or ["no MIDI inputs"])
        return
    plan = plan_of(options)
    out = _target(options)
    if options.accompany:  # a mistake is told before anybody has played
        check_outputs(build_parser().parse_args(["melody", str(out), *options.accompany]))
    port = choose(input_names(), options.port)
    console.note(f"listening to {port}")
    with cancelled_by_interrupt() as stopped:
        session = Session(plan, stopped=stopped, say=console.note)
        recording = session.run(lambda handle: listening(port, handle))
    write(recording, out, force=options.force)
    if options.accompany:
        accompany(["melody", str(out), *_melody_flags(options.accompany, recording)])
    else:
        console.result(told(recording, out, port), as_lines(recording, out))


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the flags ask for.

    Raises:
        BridgeError: `bad_request`, naming the flag.
    """
    bpm = None if options.bpm is None else cast_field(FIELD_BY_NAME["bpm"], options.bpm)
    return Plan(
        bpm=bpm,
        metre=one_metre(options.metre),
        bars=None if options.bars is None else cast_field(_BARS, options.bars),
        count_in_bars=cast_field(_COUNT_IN, options.count_in),
        step_beats=None if options.quantise is None else step_of(options.quantise),
        wait_s=cast_field(WAIT, options.wait),
    )


def one_metre(text: str) -> Metre:
    """A metre that was typed.

    Raises:
        BridgeError: `bad_request`.
    """
    try:
        return Metre.parse(text)
    except ValueError as error:
        raise BridgeError("bad_request", f"metre is {text[:80]!r}", str(error)) from None


def step_of(text: str) -> Fraction:
    """A note value such as 1/16 in quarter notes; 1/12 are the eighths of a triplet.

    Raises:
        BridgeError: `bad_request`.
    """
    upper, slash, lower = text.strip().partition("/")
    if upper != "1" or not slash or not lower.isdigit() or int(lower) not in _NOTE_VALUES:
        listed = ", ".join(f"1/{value}" for value in sorted(_NOTE_VALUES))
        raise BridgeError(
            "bad_request", f"quantise is {text[:80]!r}", f"it must be one of {listed}"
        )
    return Fraction(4, int(lower))


def write(recording: Recording, out: Path, *, force: bool) -> None:
    """Write the melody, whole or not at all; what was played is kept in either case.

    Raises:
        BridgeError: `bad_request` for a file that has come into being, `unavailable` when it
            cannot be written; its hint says where the melody is.
    """
    data = midi_bytes(
        recording.notes,
        bpm=recording.bpm,
        metre=recording.metre,
        length_beats=recording.length_beats,
    )
    try:
        publish(out, force, lambda path: path.write_bytes(data))
    except (OSError, BridgeError) as error:
        rescued = Path(tempfile.gettempdir()) / f"melody-{secrets.token_hex(4)}.mid"
        rescued.write_bytes(data)
        hint = f"the melody is kept: {rescued}"
        if isinstance(error, BridgeError):
            raise BridgeError(error.code, error.message, hint) from error
        raise BridgeError("unavailable", f"{out}: {error.strerror}", hint) from error


def told(recording: Recording, out: Path, port: str) -> dict[str, Any]:
    """The object for `--json`."""
    return {
        "path": str(out),
        "port": port,
        "notes": len(recording.notes),
        "bpm": recording.bpm,
        "metre": str(recording.metre),
        "bars": recording.bars,
        "length_beats": recording.length_beats,
        "position_beats": recording.position_beats,
        "lost_ticks": recording.lost_ticks,
    }


def as_lines(recording: Recording, out: Path) -> list[str]:
    """What people want to know of it."""
    bars = f"{recording.bars} bars of {recording.metre} at {recording.bpm:g} bpm"
    return [f"{out}", f"  {len(recording.notes)} notes, {bars}"]


def _target(options: argparse.Namespace) -> Path:
    out: Path | None = options.out
    if out is None or out.suffix.lower() not in (".mid", ".midi"):
        given = "missing" if out is None else repr(str(out))
        raise BridgeError("bad_request", f"--out is {given}", "it must end in .mid")
    if not out.parent.is_dir():
        raise BridgeError("bad_request", f"there is no folder {str(out.parent)!r}")
    if out.is_dir() or (out.exists() and not options.force):
        raise BridgeError(
            "bad_request", f"{str(out)!r} exists", "name another file, or add --force"
        )
    return out


def _melody_flags(given: list[str], recording: Recording) -> list[str]:
    """The flags of `melody`, with the recording's length and place in the song, unless given.

    A place needs the song's tempo and bars: they are the recording's where no flag says them.
    """
    named = {flag.partition("=")[0] for flag in given}
    flags = list(given)
    if named.isdisjoint(("--bars", "--seconds")):
        flags += ["--bars", str(recording.bars)]
    if recording.position_beats is not None and "--position-beats" not in named:
        flags += ["--position-beats", repr(recording.position_beats)]
        if named.isdisjoint(("--bpm", "--tempo-map", "--tempo-from")):
            flags += ["--bpm", repr(recording.bpm)]
        # A file of the song's tempo may have metre changes, which a metre would take away.
        if named.isdisjoint(("--metre", "--tempo-from")):
            flags += ["--metre", str(recording.metre)]
    return flags
