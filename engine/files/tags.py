"""What a file says of itself: the metadata that hosts and archives read.

WAV has chunks for it: `bext` (EBU Tech 3285, version 1) says what it is and where in the song it
lies, `smpl` where it repeats, `acid` its tempo, `LIST INFO` its title in words. No file says when
it was written: the same request gives the same bytes, and a take keeps its date beside its audio.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from engine.units import Metre

ORIGINATOR = "daw-bridge"
_MOST_CHARACTERS = 400
_UNITY_NOTE = 60
_FORWARD, _ENDLESS = 0, 0
_ONE_SHOT, _STRETCHED = 0x01, 0x04
_ROUNDING_BEATS = 1e-3  # half a sample is less at every rate and tempo


@dataclass(frozen=True, slots=True)
class Tags:
    """What is known of a result.

    Attributes:
        title: what people call it.
        comment: how it was made.
        position_samples: from the start of the host's song; None where it lies nowhere.
        bpm: quarter notes a minute at its beginning; None without a grid.
        length_beats: in quarter notes.
        loops: whether it repeats without a seam.
    """

    title: str = ""
    comment: str = ""
    position_samples: int | None = None
    bpm: float | None = None
    length_beats: float | None = None
    metre: Metre = field(default_factory=Metre)
    loops: bool = False

    @property
    def texts(self) -> dict[str, str]:
        """Title, comment and software, as FLAC and AIFF have them; lengths are limited."""
        said = {"title": self.title, "comment": self.comment, "software": ORIGINATOR}
        return {name: _plain(text) for name, text in said.items() if text}


def chunk(name: bytes, body: bytes) -> bytes:
    """A RIFF chunk, padded to an even size."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff_chunks(
    tags: Tags, sample_rate_hz: int, channels: int, length_samples: int, bits: int
) -> bytes:
    """The metadata chunks of a WAV file, each padded to an even size."""
    chunks = chunk(b"bext", _broadcast(tags, sample_rate_hz, channels, bits))
    if tags.loops:
        chunks += chunk(b"smpl", _sampler(sample_rate_hz, length_samples))
    if tags.bpm is not None:
        chunks += chunk(b"acid", _acid(tags, tags.bpm))
    return chunks + chunk(b"LIST", _info(tags))


def _broadcast(tags: Tags, sample_rate_hz: int, channels: int, bits: int) -> bytes:
    """EBU Tech 3285 section 2.3, coding history as in EBU R 98; no date, UMID or reference."""
    mode = {1: ",M=mono", 2: ",M=stereo"}.get(channels, "")
    history = f"A=PCM,F={sample_rate_hz},W={bits}{mode},T={ORIGINATOR}\r\n"
    # What lies before the song's start cannot be said: the field has no sign.
    position = max(0, tags.position_samples or 0)
    description = _ascii(f"{tags.title}: {tags.comment}" if tags.title else tags.comment)
    fixed = struct.pack("<256s32s32s18sQH", description, _ascii(ORIGINATOR), b"", b"", position, 1)
    return fixed.ljust(602, b"\0") + _ascii(history)


def _sampler(sample_rate_hz: int, length_samples: int) -> bytes:
    """One endless loop over the whole file; its end is its last sample."""
    period_ns = round(1e9 / sample_rate_hz)
    head = struct.pack("<9I", 0, 0, period_ns, _UNITY_NOTE, 0, 0, 0, 1, 0)
    return head + struct.pack("<6I", 0, _FORWARD, 0, length_samples - 1, 0, _ENDLESS)


def _acid(tags: Tags, bpm: float) -> bytes:
    """As ACID writes it: flags, root note, two constants, beats, metre, tempo.

    Hosts stretch a file until its beats fit theirs, unless it is a one-shot. What is not whole
    beats long is one and tells none: a bar of 7/8 told as 4 beats would be out by a seventh.
    """
    beats = _whole_beats(tags.length_beats)
    flags = _STRETCHED if tags.loops and beats else _ONE_SHOT
    counted = (beats, tags.metre.unit, tags.metre.beats, bpm)
    return struct.pack("<IHHfIHHf", flags, _UNITY_NOTE, 0x8000, 0.0, *counted)


def _whole_beats(length_beats: float | None) -> int:
    """The length where it is a whole number but for rounding to samples; else 0."""
    if length_beats is None or abs(length_beats - round(length_beats)) > _ROUNDING_BEATS:
        return 0
    return min(max(0, round(length_beats)), 0xFFFFFFFF)


def _info(tags: Tags) -> bytes:
    names = {"title": b"INAM", "comment": b"ICMT", "software": b"ISFT"}
    body = b"INFO"
    for name, text in tags.texts.items():
        body += chunk(names[name], text.encode("utf-8") + b"\0")
    return body


def _plain(text: str) -> str:
    """Text without control characters and what is no Unicode, of a limited length."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else " " for c in whole)[:_MOST_CHARACTERS]


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
