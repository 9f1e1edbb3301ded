"""The engine process: `python -m engine.worker --factory MODULE:FUNCTION --cache-dir DIR`.

Two threads share the work. The reader answers pings and sets cancel flags at once, whatever the
renderer is doing; the main thread owns the engine and takes renders from a queue, one at a time.
After a `done` the engine settles what the result did not wait for: it says `settling` as it gets on
and `settled` at the end, and only a shutdown ends it before.
The process ends by itself when its standard input closes, because then the daemon is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from engine.opening import confine
from engine.shortage import is_shortage
from engine.spec import (
    BridgeError,
    Cancelled,
    Done,
    Event,
    Failed,
    Preview,
    RenderRequest,
    event_to_message,
)
from engine.wire import FrameDecoder, encode_frame

_READ_BYTES = 65536
_NICENESS = 5  # streams, and the DAW, come before a render
_ENDINGS = (Done, Cancelled, Failed)


class Engine(Protocol):
    """What a factory returns: the owner of the models and the device."""

    def warm_up(self) -> None:
        """Load what a first render needs."""

    def info(self) -> dict[str, Any]:
        """Describe the device and the models, with their digests."""

    def render(
        self,
        request: RenderRequest,
        spool_dir: Path,
        cancelled: Callable[[], bool],
        *,
        sparing: bool = False,
    ) -> Iterator[Event]:
        """Render, yielding events and at last Done, or Cancelled once `cancelled()` is true.

        Args:
            sparing: take as little memory as can be: the last attempt ended for want of it.

        Raises:
            BridgeError: the request cannot be rendered.
        """

    def settle(self, stopped: Callable[[], bool]) -> None:
        """Do what the last render has left for after its result; nothing of it can fail that.

        Args:
            stopped: asked again and again; once true, what is left is done without.
        """

    def estimate(self, request: RenderRequest) -> dict[str, Any]:
        """What a request will need, as the fields of the reply `estimate`.

        Raises:
            BridgeError: the request cannot be rendered.
        """

    def unload(self) -> None:
        """Give the device's memory back; the next render loads again."""


Factory = Callable[[Path | None, Path | None], Engine]  # cache folder, registry of models


class _FrameWriter:
    """Writes whole frames to a descriptor, from either thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], payload: bytes = b"") -> None:
        view = memoryview(encode_frame(message, payload))
        with self._lock:
            while view:
                try:
                    view = view[os.write(self._descriptor, view) :]
                except OSError:
                    # The daemon is gone and nobody is left to tell.
                    os._exit(0)


class Worker:
    """Renders queued requests with one engine and reports on them in frames.

    Args:
        read_fd, write_fd: descriptors of the frames from and to the daemon.
        idle_unload_s: the engine unloads after so long without work; 0 for never.
    """

    def __init__(self, read_fd: int, write_fd: int, idle_unload_s: float = 0.0) -> None:
        self._idle_unload_s = self._patience_s = idle_unload_s or None
        self._read_fd = read_fd
        self._out = _FrameWriter(write_fd)
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: dict[str, threading.Event] = {}
        self._closing = threading.Event()

    def run(self, make_engine: Callable[[], Engine]) -> int:
        """Serve until told to shut down; the process exit status."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            engine = make_engine()
            engine.warm_up()
            self._out.send({"op": "ready", "info": engine.info()})
        except Exception as error:
            traceback.print_exc()
            self._out.send({"op": "broken", "error": _as_bridge_error(error).to_mapping()})
            return 1
        while (message := self._next()) is not None:
            if message["op"] == "unload":
                engine.unload()
                self._out.send({"op": "unloaded"})
            elif message["op"] == "estimate":
                self._estimate(engine, message)
            else:
                self._render(engine, message)
        engine.unload()
        return 0

    def _next(self) -> dict[str, Any] | None:
        """What to do next, None at the end; an unload when there has been nothing for long."""
        # After an unload there is nothing left to give back, so only then it waits for ever.
        timeout_s, self._patience_s = self._patience_s, self._idle_unload_s
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            self._patience_s = None
            return {"op": "unload"}

    def _read(self) -> None:
        decoder = FrameDecoder()
        try:
            while data := os.read(self._read_fd, _READ_BYTES):
                for message, _payload in decoder.feed(data):
                    self._take(message)
        except BaseException:
            traceback.print_exc()
        # The renderer may be deep inside a native call, so it is not asked but ended.
        os._exit(0)

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("op"):
            case "ping":
                self._out.send({"op": "pong", "count": message.get("count")})
            case "cancel":
                if flag := self._cancelled.get(str(message.get("job"))):
                    flag.set()
            case "render":
                self._cancelled[str(message["job"])] = threading.Event()
                self._queue.put(message)
            case "unload" | "estimate":
                self._queue.put(message)
            case "shutdown":
                self._closing.set()
                for flag in list(self._cancelled.values()):
                    flag.set()
                self._queue.put(None)
            case op:
                raise BridgeError("bad_message", f"unknown op {op!r}")

    def _estimate(self, engine: Engine, message: dict[str, Any]) -> None:
        """Answered between two renders: the model and the device are those of the renders."""
        answer: dict[str, Any]
        try:
            answer = {"estimate": engine.estimate(RenderRequest.from_mapping(message["request"]))}
        except Exception as error:
            if not isinstance(error, BridgeError):
                traceback.print_exc()
            answer = {"error": _as_bridge_error(error).to_mapping()}
        self._out.send({"op": "estimated", "question": message["question"], **answer})

    def _render(self, engine: Engine, message: dict[str, Any]) -> None:
        job = str(message["job"])
        cancelled = self._cancelled[job].is_set
        ending: Event | None = None
        try:
            if cancelled():
                ending = Cancelled()
            else:
                ending = self._relay_events(engine, job, message, cancelled)
        except Exception as error:
            if not isinstance(error, BridgeError):
                traceback.print_exc()
            ending = Failed(**_as_bridge_error(error).to_mapping())
        finally:
            del self._cancelled[job]
        self._send_event(job, ending)
        if isinstance(ending, Done):
            self._settle(engine)

    def _settle(self, engine: Engine) -> None:
        def stopped() -> bool:
            self._out.send({"op": "settling"})  # the daemon sees that it gets on
            return self._closing.is_set()

        engine.settle(stopped)
        self._out.send({"op": "settled"})

    def _relay_events(
        self, engine: Engine, job: str, message: dict[str, Any], cancelled: Callable[[], bool]
    ) -> Event:
        request = RenderRequest.from_mapping(message["request"])
        spool, sparing = Path(message["spool"]), bool(message.get("sparing"))
        events = engine.render(request, spool, cancelled, sparing=sparing)
        try:
            for event in events:
                if isinstance(event, _ENDINGS):
                    return event
                self._send_event(job, event)
        finally:
            if close := getattr(events, "close", None):
                close()
        raise BridgeError("engine_failed", "the engine ended without a result")

    def _send_event(self, job: str, event: Event) -> None:
        message, payload = event_to_message(event)
        try:
            self._out.send({"op": "event", "job": job, **message}, payload)
        except BridgeError as error:
            if isinstance(event, Preview):
                # Too long for a frame, as minutes in many channels are: the take still comes.
                traceback.print_exc()
                return
            # A result that cannot be said must still end the job.
            if not isinstance(event, _ENDINGS):
                raise
            self._send_event(job, Failed("engine_failed", f"{event.kind}: {error.message}"))


def _as_bridge_error(error: Exception) -> BridgeError:
    if isinstance(error, BridgeError):
        return error
    text = f"{type(error).__name__}: {error}"[:500]
    if is_shortage(error):
        return BridgeError("out_of_memory", text, "ask for a shorter clip or close other programs")
    return BridgeError("engine_failed", text, "the engine's log has the traceback")


def _load_factory(name: str) -> Factory:
    module, _, attribute = name.partition(":")
    factory: Factory = getattr(importlib.import_module(module), attribute)
    return factory


def _claim_standard_streams() -> tuple[int, int]:
    """Move the frames off descriptors 0 and 1, so that no library can read or print into them."""
    read_fd, write_fd = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return read_fd, write_fd


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the engine process; the exit status."""
    parser = argparse.ArgumentParser(prog="engine.worker", description=__doc__)
    parser.add_argument("--factory", required=True, help="MODULE:FUNCTION that makes the engine")
    parser.add_argument("--cache-dir", type=Path, help="folder of the latent cache")
    parser.add_argument("--models-file", type=Path, help="registry of installed models")
    parser.add_argument(
        "--root",
        type=Path,
        action="append",
        help="folder whose files may be read; may be given again; without it every one may",
    )
    parser.add_argument(
        "--idle-unload-s", type=float, default=0.0, help="unload after so long without work"
    )
    options = parser.parse_args(arguments)
    own = [options.cache_dir] if options.cache_dir else []
    confine([*options.root, *own] if options.root else None)
    # Ctrl-C in a terminal reaches the whole process group; the daemon decides what it means.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    read_fd, write_fd = _claim_standard_streams()
    worker = Worker(read_fd, write_fd, options.idle_unload_s)
    return worker.run(
        lambda: _load_factory(options.factory)(options.cache_dir, options.models_file)
    )


if __name__ == "__main__":
    sys.exit(main())
