"""Damaged WAV, FLAC and MIDI files, and reading them in a process of their own."""

from __future__ import annotations

import io
import multiprocessing
import struct
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutate import damaged
from fuzzing.watch import Tally, memory_bytes

FILE_KINDS = ("wav", "flac", "midi")
_ANSWER_TIMEOUT_S = 120.0
_RATES_HZ = (8000, 8000, 8000, 44_100)
_SECONDS = 0.11  # just long enough to be taken


def make_file(kind: str, random: Random) -> bytes:
    """A file of this kind, damaged most of the time."""
    data = _BASES[kind](random)
    return damaged(random, data) if random.random() < 0.95 else data


def _wav(random: Random) -> bytes:
    return _audio(random, "WAV", ("PCM_16", "PCM_24", "FLOAT", "DOUBLE", "PCM_U8", "ULAW"))


def _flac(random: Random) -> bytes:
    return _audio(random, "FLAC", ("PCM_16", "PCM_24", "PCM_S8"))


def _audio(random: Random, container: str, subtypes: tuple[str, ...]) -> bytes:
    import numpy as np
    import soundfile

    channels = random.choice((1, 2, 2, 5))
    rate_hz = random.choice(_RATES_HZ)
    shape = (int(_SECONDS * rate_hz), channels)
    noise = np.random.default_rng(random.randrange(2**32)).uniform(-0.5, 0.5, shape)
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, rate_hz, random.choice(subtypes), format=container)
    return buffer.getvalue()


def _midi(random: Random) -> bytes:
    tracks = [_track(random) for _ in range(random.choice((1, 1, 2, 5)))]
    form = random.choice((0, 1, 2))
    division = random.choice((1, 96, 480, 32767, -25 * 256 + 40, 0))
    head = b"MThd" + struct.pack(">IHHh", 6, form, len(tracks), division)
    return head + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


def _track(random: Random) -> bytes:
    events = [
        b"\x00\xff\x51\x03\x07\xa1\x20", b"\x00\xff\x58\x04\x04\x02\x18\x08", b"\x00\xff\x01\x02hi",
        b"\x10\x90\x3c\x40", b"\x83\x60\x80\x3c\x00", b"\x20\x3c\x30", b"\x00\xf0\x03\x01\x02\xf7",
        b"\x81\x00\x99\x24\x40", b"\x00\xb0\x07\x64", b"\xff\xff\xff\x7f\x90\x40\x40",
        b"\x00\xe0\x00\x40", b"\x00\xff\x59\x02\xfb\x01", b"\x00\xff\x7f\x04abcd",
    ]  # fmt: skip
    chosen = [random.choice(events) for _ in range(random.choice((2, 10, 60)))]
    return b"".join(chosen) + b"\x00\xff\x2f\x00"


_BASES: dict[str, Callable[[Random], bytes]] = {"wav": _wav, "flac": _flac, "midi": _midi}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of one file.

    Attributes:
        code: empty when it was read, else the code of the refusal.
        problem: a traceback where it was no documented refusal.
        rss_bytes: of the reading process.
    """

    code: str
    problem: str
    rss_bytes: int


def _serve(pipe: Connection, folder: str) -> None:
    """Read every file that is sent, until None."""
    from engine.files.audio import read_clip
    from engine.files.midi import read_melody
    from engine.opening import confine
    from engine.spec import BridgeError

    confine([Path(folder)])
    while (job := pipe.recv()) is not None:
        kind, data = job
        path = Path(folder) / f"case.{kind}"
        path.write_bytes(data)
        code = problem = ""
        try:
            (read_melody if kind == "midi" else read_clip)(path)
        except BridgeError as error:
            code = error.code
        except BaseException:
            problem = traceback.format_exc()
        pipe.send(_Verdict(code, problem, memory_bytes()))


class FileReader:
    """A process that reads files; started anew after a crash. A context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="daw-bridge-fuzz-")
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> FileReader:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._pipe is not None:
            self._pipe.send(None)
        self._process.join(10)
        self._folder.cleanup()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._folder.name))
        self._process.start()
        theirs.close()

    def read(self, kind: str, data: bytes, tally: Tally) -> str:
        """Let it read one file; what is wrong about how it took it, else empty."""
        assert self._pipe is not None
        try:
            self._pipe.send((kind, data))
            if not self._pipe.poll(_ANSWER_TIMEOUT_S):
                self._process.kill()
                raise EOFError
            verdict: _Verdict = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            status = self._process.exitcode
            self._start()
            return f"the reading process ended with {status}"
        tally.note(verdict.code or "read")
        tally.memory(verdict.rss_bytes)
        return verdict.problem
