"""`daw-bridge play`: audition a take through an audio device, in time with the host."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daw_bridge.audition.devices import Output, choose, outputs, rate_for, streaming
from daw_bridge.audition.player import Player, StartsAt
from daw_bridge.commands.capture import WAIT, one_metre
from daw_bridge.commands.console import Console, table
from daw_bridge.commands.local import cancelled_by_interrupt
from daw_bridge.config import Config
from daw_bridge.midi import ports
from daw_bridge.midi.session import Follower
from daw_bridge.takes.store import TakeStore
from engine.spec import FIELD_BY_NAME, BridgeError, Field, cast_field
from engine.units import beats_to_seconds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ROUNDS = Field("rounds", "integer", "how often", None, "", 1, 10_000)
_GAIN = Field("gain-db", "number", "level", 0.0, "dB", -80.0, 12.0)
_SECOND = Field("second", "number", "moment of the system's clock", None, "s", 0.0, 1e11)
_BEAT = Field("at-beat", "number", "beat of the song", None, "beats", 0.0, 1e6)
_LEAD_S = 0.25  # a stream takes so long to start
_LONGEST_WAIT_S = 3600.0
_POLL_S = 0.02


def run(options: argparse.Namespace, config: Config, console: Console) -> None:
    """Play a take or a file.

    Raises:
        BridgeError: what is wrong with a flag, the file or the device; `unavailable` where the
            moment to begin passed before a device could be had, by more than all rounds last.
    """
    if options.list:
        _list(console)
        return
    path = _path(options, config)
    rounds = _rounds(options)
    gain_db = cast_field(_GAIN, options.gain_db)
    wait_s = cast_field(WAIT, options.wait)
    waiting = _moment(options)
    output = choose(outputs(), options.device)
    audio, rate = _prepared(path, output, looped=rounds != 1)
    with cancelled_by_interrupt() as stopped, waiting as starts_at:
        console.note(f"playing {path.name} on {output.name}")
        player = _play(
            audio * 10 ** (gain_db / 20), rate, output, rounds, starts_at, stopped, wait_s
        )
    if player.is_over:
        raise _over(options)
    told = {
        "path": str(path),
        "device": output.name,
        "sample_rate_hz": rate,
        "channels": int(audio.shape[1]),
        "heard_from_s": player.heard_from_s,
        "played_samples": player.played_frames,
        "skipped_samples": player.skipped_frames,
        "underruns": player.underruns,
    }
    console.result(told, [f"played {player.played_frames / rate:.2f} s"])


def _over(options: argparse.Namespace) -> BridgeError:
    """The refusal of a moment that passed longer ago than all rounds last."""
    what, later = ("beat", "--at-beat") if options.at_beat is not None else ("moment", "moment")
    return BridgeError(
        "unavailable",
        f"the {what} to begin at passed so long ago that the take is over",
        f"give a later {later}, or --loop",
    )


def _list(console: Console) -> None:
    found = outputs()
    rows = [
        [str(each.number), each.name, f"{each.channels} channels", f"{each.usual_rate_hz} Hz"]
        for each in found
    ]
    listed = [asdict(each) for each in found]
    console.result({"outputs": listed}, table(rows) if rows else ["no audio outputs"])


def _path(options: argparse.Namespace, config: Config) -> Path:
    if options.take is None:
        raise BridgeError("bad_request", "nothing to play", "name a take or an audio file")
    file = Path(options.take).expanduser()
    if file.suffix and file.is_file():
        return file
    folder = config.data_dir / "takes"
    if not folder.is_dir():
        raise BridgeError("not_found", f"no take {options.take[:40]!r}", "takes lists them")
    return Path(TakeStore(folder).get(options.take).file(options.stem).path)


def _rounds(options: argparse.Namespace) -> int | None:
    if options.rounds is not None:
        return int(cast_field(_ROUNDS, options.rounds))
    return None if options.loop else 1


def _prepared(path: Path, output: Output, *, looped: bool) -> tuple[npt.NDArray[np.float32], int]:
    """The audio as the device takes it, float32 `[frames, channels]`, and its rate.

    One channel is played on both sides; more than the device has are mixed to two, or to one.
    """
    import numpy as np

    from engine.files.audio import read_clip
    from engine.render.finish import resample, resample_loop, spread, to_stereo

    clip = read_clip(path)
    samples = clip.samples
    if clip.channels == 1 or clip.channels > output.channels:
        samples = spread(to_stereo(samples), min(2, output.channels))
    rate = rate_for(output, int(samples.shape[0]), clip.sample_rate_hz)
    if rate != clip.sample_rate_hz:
        convert = resample_loop if looped else resample
        length = round(clip.length_samples * rate / clip.sample_rate_hz)
        samples = convert(samples, clip.sample_rate_hz, rate, length)
    return np.ascontiguousarray(samples.T, dtype=np.float32), rate


def _play(
    audio: npt.NDArray[np.float32],
    rate: int,
    output: Output,
    rounds: int | None,
    starts_at: StartsAt | None,
    stopped: Callable[[], bool],
    wait_s: float,
) -> Player:
    def make(latency_s: float) -> Player:
        return Player(audio, rate, rounds=rounds, starts_at=starts_at, latency_s=latency_s)

    deadline_s = time.monotonic() + wait_s
    with streaming(output, int(audio.shape[1]), rate, make) as player:
        while not player.finished.wait(_POLL_S):
            known = player.begun or (starts_at is not None and starts_at() is not None)
            if not known and time.monotonic() > deadline_s:
                player.stop()
                raise BridgeError(
                    "unavailable",
                    "the host has not reached the beat",
                    "let the DAW send MIDI clock to this port and press play",
                )
            if stopped():
                player.stop()
    return player


@contextmanager
def _by_clock(port: str, beat: float) -> Iterator[StartsAt]:
    """The moment at which a host's MIDI clock will have come to a beat of its song."""
    follower = Follower()
    with ports.listening(port, follower.handle):

        def starts_at() -> float | None:
            at_s = follower.reaches_at(beat)
            return None if at_s is None else at_s + time.time() - time.monotonic()

        yield starts_at


@contextmanager
def _by_bars(options: argparse.Namespace) -> Iterator[StartsAt]:
    """The next bar line of a tempo, from when the context is entered on."""
    at_s = next_bar_s(options, time.time() + _LEAD_S)
    yield lambda: at_s


def _moment(options: argparse.Namespace) -> Any:
    """A context that gives the moment to begin at; None in it for at once.

    It is entered when the audio is ready, which takes a while: a bar line of now would have passed.

    Raises:
        BridgeError: `bad_request` for flags that do not go together or a moment that is over.
    """
    given = [name for name in ("start_at", "bpm", "at_beat") if getattr(options, name) is not None]
    if len(given) > 1:
        raise BridgeError("bad_request", f"both {' and '.join(given)} are given", "give one")
    if options.at_beat is not None:
        port = ports.choose(ports.input_names(), options.port)
        return _by_clock(port, cast_field(_BEAT, options.at_beat))
    if options.start_at is not None:
        at_s = cast_field(_SECOND, options.start_at)
        wait_s = at_s - time.time()
        if not 0.0 <= wait_s <= _LONGEST_WAIT_S:
            raise BridgeError(
                "bad_request",
                f"start-at is {-wait_s:.3f} s ago" if wait_s < 0 else "start-at is too far away",
                f"it must lie within the next {_LONGEST_WAIT_S:g} s",
            )
        return nullcontext(lambda: at_s)
    if options.bpm is not None:
        next_bar_s(options, time.time())  # a mistake is told before the audio is read
        return _by_bars(options)
    return nullcontext(None)


def next_bar_s(options: argparse.Namespace, from_s: float) -> float:
    """The first bar line from a moment on, by the system's clock.

    Raises:
        BridgeError: `bad_request`, naming the flag.
    """
    if options.since is None:
        raise BridgeError(
            "bad_request", "bpm is given without a bar to count from", "give --since, too"
        )
    bpm = cast_field(FIELD_BY_NAME["bpm"], options.bpm)
    since_s = cast_field(_SECOND, options.since)
    bar_s = float(beats_to_seconds(one_metre(options.metre).bar_beats, bpm))
    return float(since_s + math.ceil((from_s - since_s) / bar_s) * bar_s)
