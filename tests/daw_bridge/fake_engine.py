"""An engine without a model, told what to do through the prompt of a request.

Words of the prompt, in any order:
    sleep=S      work for S seconds, looking at the cancel flag
    eta=S        say that so many seconds are left
    previews=N   emit N previews before the end
    bits=16|24|32|float
    stems=a,b    further files beside the mix
    settle=S     work for S seconds after the result, looking at the flag
    dumb         and without looking at it, so that nobody hears that it gets on
    die_after=P  die while it does so, unless the file P exists; creates it
    stubborn     do not look at the cancel flag
    repeat       say the same progress again and again
    stop         stop the whole process (SIGSTOP), as a hang would
    exit         die at once, every time
    exit_once=P  die at once, unless the file P exists; creates it
    refuse_seed=N  refuse the request of this seed
    raise, refuse, oom, silent, nan, unsaid, print
"""

from __future__ import annotations

import math
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.opening import open_named
from engine.spec import (
    ROLES,
    BridgeError,
    Cancelled,
    Done,
    Event,
    Preview,
    Progress,
    RenderRequest,
    Stem,
)

SAMPLE_RATE_HZ = 48_000
CHANNELS = 2
_POLL_S = 0.005


class FakeEngine:
    _left: Mapping[str, str] = {}  # orders of the last render

    def warm_up(self) -> None:
        pass

    def info(self) -> dict[str, Any]:
        return {"device": "fake", "models": [{"name": "house", "digest": "abc"}]}

    def unload(self) -> None:
        pass

    def settle(self, stopped: Callable[[], bool]) -> None:
        orders, self._left = self._left, {}
        end_s = time.monotonic() + float(orders.get("settle", 0))
        while time.monotonic() < end_s and ("dumb" in orders or not stopped()):
            _die_once(orders.get("die_after"))
            time.sleep(_POLL_S)

    def estimate(self, request: RenderRequest) -> dict[str, Any]:
        _misbehave(_orders(request))
        return {
            "cached": False,
            "policy": "full",
            "needed_bytes": 5 << 30,
            "free_bytes": None,
            "evaluations_least": request.steps or 4,
            "evaluations_most": 9,
            "seconds": request.seconds,
        }

    def render(
        self,
        request: RenderRequest,
        spool_dir: Path,
        cancelled: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> Iterator[Event]:
        orders = _orders(request)
        yield Progress("draft", 0.25, step=1, steps=4, eta_s=float(orders.get("eta", 1.5)))
        _misbehave(orders)
        for revision in range(int(orders.get("previews", 0))):
            pcm = struct.pack("<4f", 0.0, 0.25, -0.5, float(revision))
            yield Preview(revision, 2 * revision, SAMPLE_RATE_HZ, CHANNELS, pcm)
        end_s = time.monotonic() + float(orders.get("sleep", 0))
        while time.monotonic() < end_s:
            if "repeat" in orders:
                yield Progress("draft", 0.25, step=1, steps=4, eta_s=1.5)
            if cancelled() and "stubborn" not in orders:
                yield Cancelled()
                return
            time.sleep(_POLL_S)
        yield Progress("refine", 0.75, eta_s=0.1)
        if "silent" in orders:
            return
        length = 0
        for name, data, length in results_of(request):
            path = spool_dir / f"{name}.wav"
            path.write_bytes(data)
            with open_named(path) as file:  # as the real one reads its results to report on them
                assert file.read(4) == b"RIFF"
            yield Stem(name, str(path), SAMPLE_RATE_HZ, CHANNELS, length)
        loss: Any = math.nan if "nan" in orders else object() if "unsaid" in orders else 0.5
        report = {"loss": loss, "length_samples": length} | ({"sparing": True} if sparing else {})
        self._left = orders
        yield Done(report, {"request": request.to_mapping()})


def results_of(request: RenderRequest) -> Iterator[tuple[str, bytes, int]]:
    """Name, bytes and length in samples of every file that a request makes, the mix last."""
    orders = _orders(request)
    length = round((request.seconds or 0.1) * SAMPLE_RATE_HZ)
    stems = list(filter(None, orders.get("stems", "").split(",")))
    stems += (request.roles or ROLES) if request.stems else ()
    for number, name in enumerate((*stems, "mix")):
        seed = request.seed + 1000 * (len(stems) - number)  # the mix is the seed's own
        yield name, wav_bytes(length, seed, orders.get("bits", "float")), length


def _orders(request: RenderRequest) -> dict[str, str]:
    orders = dict(word.partition("=")[::2] for word in request.prompt.split())
    if orders.get("refuse_seed") == str(request.seed):
        orders["refuse"] = ""
    return orders


def _misbehave(orders: dict[str, str]) -> None:
    if "print" in orders:
        print("this must not reach the wire")
        os.write(1, b"nor this\n")
    if "stop" in orders:
        os.kill(os.getpid(), signal.SIGSTOP)
    if "exit" in orders:
        os._exit(7)
    _die_once(orders.get("exit_once"))
    if "raise" in orders:
        raise RuntimeError("something broke")
    if "refuse" in orders:
        raise BridgeError("bad_audio", "the clip is empty", "choose another")
    if "oom" in orders:
        raise MemoryError


def _die_once(marker: str | None) -> None:
    if marker is None:
        return
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def wav_bytes(length: int, seed: int, bits: str) -> bytes:
    """A stereo WAV that differs with its seed."""
    values = [
        ((seed * 31 + index * 7919) % 60_001 - 30_000) / 32_768 for index in range(2 * length)
    ]
    match bits:
        case "16":
            code, width, data = (
                1,
                2,
                struct.pack(f"<{len(values)}h", *(round(v * 2**15) for v in values)),
            )
        case "24":
            wide = (round(v * 2**23).to_bytes(3, "little", signed=True) for v in values)
            code, width, data = 1, 3, b"".join(wide)
        case "32":
            code, width, data = (
                1,
                4,
                struct.pack(f"<{len(values)}i", *(round(v * 2**31) for v in values)),
            )
        case _:
            code, width, data = 3, 4, struct.pack(f"<{len(values)}f", *values)
    frame_bytes = CHANNELS * width
    fmt = struct.pack(
        "<HHIIHH",
        code,
        CHANNELS,
        SAMPLE_RATE_HZ,
        SAMPLE_RATE_HZ * frame_bytes,
        frame_bytes,
        8 * width,
    )
    body = (
        b"WAVE"
        + b"fmt "
        + struct.pack("<I", len(fmt))
        + fmt
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def create_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    return FakeEngine()


class _SleepyEngine(FakeEngine):
    def warm_up(self) -> None:
        time.sleep(60)


def create_sleepy_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    """An engine that never becomes ready."""
    return _SleepyEngine()


def create_broken_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    """An engine that cannot start, and says why."""
    raise BridgeError("out_of_memory", "the model does not fit", "close other programs")


def create_late_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    """An engine that finds its memory at the third start."""
    assert cache_dir is not None
    starts = cache_dir / "starts"
    before = starts.stat().st_size if starts.exists() else 0
    starts.write_bytes(bytes(before + 1))
    if before < 2:
        raise BridgeError("out_of_memory", "the model does not fit", "close other programs")
    return create_engine(cache_dir, models_file)


def create_dying_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    """An engine that dies when it starts, without a word on the wire."""
    print("a library is missing", file=sys.stderr, flush=True)
    os._exit(3)


class _ReadingEngine(FakeEngine):
    def render(self, request: RenderRequest, *rest: Any, **how: Any) -> Iterator[Event]:
        if request.source is not None:
            open_named(request.source).close()
        yield from super().render(request, *rest, **how)


def create_reading_engine(cache_dir: Path | None, models_file: Path | None = None) -> FakeEngine:
    """An engine that opens its source, as the real one does."""
    return _ReadingEngine()
