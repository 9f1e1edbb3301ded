"""The engine process on its own, spoken to in frames."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.wire import FrameDecoder, encode_frame
from engine.worker import Worker
from tests.daw_bridge.fake_engine import FakeEngine

_ENDINGS = ("done", "failed", "cancelled")


class Process:
    def __init__(
        self, tmp_path: Path, factory: str = "create_engine", options: Sequence[str] = ()
    ) -> None:
        self.spool = tmp_path / "spool"
        self.spool.mkdir()
        self.popen = subprocess.Popen(
            [
                *(sys.executable, "-m", "engine.worker"),
                *("--factory", f"tests.daw_bridge.fake_engine:{factory}"),
                *("--cache-dir", str(tmp_path / "cache")),
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._decoder = FrameDecoder()
        self._frames = self._read()

    def send(self, **message: Any) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(encode_frame(message))
        self.popen.stdin.flush()

    def render(self, job: str, prompt: str) -> None:
        request = {"task": "generate", "seconds": 0.05, "prompt": prompt}
        self.send(op="render", job=job, request=request, spool=str(self.spool))

    def receive(self) -> dict[str, Any]:
        return next(self._frames)[0]

    def ending(self, job: str) -> dict[str, Any]:
        while True:
            message = self.receive()
            if message.get("job") == job and message["event"] in _ENDINGS:
                return message

    def _read(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        assert self.popen.stdout is not None
        while data := self.popen.stdout.read1(65536):  # type: ignore[attr-defined]
            yield from self._decoder.feed(data)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    running = Process(tmp_path)
    with running.popen:
        yield running
        if running.popen.poll() is None:
            running.popen.kill()


def test_prints_go_to_the_log_and_not_onto_the_wire(process: Process) -> None:
    assert process.receive()["op"] == "ready"
    process.render("j-1", "print")
    assert process.ending("j-1")["event"] == "done"
    process.send(op="shutdown")
    _, log = process.popen.communicate(timeout=10)
    assert b"this must not reach the wire" in log
    assert b"nor this" in log
    assert process.popen.returncode == 0


def test_pings_are_answered_and_cancels_obeyed_while_it_renders(process: Process) -> None:
    process.receive()
    process.render("j-1", "sleep=60")
    process.render("j-2", "sleep=60")
    assert process.receive()["event"] == "progress"
    process.send(op="ping", count=3)
    assert process.receive() == {"op": "pong", "count": 3}
    process.send(op="cancel", job="j-2")
    process.send(op="cancel", job="j-1")
    assert process.ending("j-1")["event"] == "cancelled"
    # The one in the queue ends without having been started.
    assert process.receive() == {"op": "event", "job": "j-2", "event": "cancelled"}


def test_it_ends_when_the_daemon_is_gone(process: Process) -> None:
    process.receive()
    process.render("j-1", "sleep=60 stubborn")
    process.receive()
    assert process.popen.stdin is not None
    process.popen.stdin.close()
    assert process.popen.wait(timeout=10) == 0


def test_it_ends_on_bytes_that_are_no_frames(process: Process) -> None:
    process.receive()
    assert process.popen.stdin is not None
    process.popen.stdin.write(b"\xff" * 64)
    process.popen.stdin.flush()
    process.popen.wait(timeout=10)


@pytest.mark.parametrize(
    ("prompt", "code", "text"),
    [
        ("refuse", "bad_audio", "the clip is empty"),
        ("raise", "engine_failed", "RuntimeError: something broke"),
        ("oom", "out_of_memory", "MemoryError"),
        ("silent", "engine_failed", "without a result"),
        ("unsaid", "engine_failed", "done: not a JSON object"),
    ],
)
def test_every_failure_has_a_code_and_the_engine_goes_on(
    process: Process, prompt: str, code: str, text: str
) -> None:
    process.receive()
    process.render("j-1", prompt)
    ending = process.ending("j-1")
    assert (ending["event"], ending["code"]) == ("failed", code)
    assert text in ending["message"]
    process.render("j-2", "")
    assert process.ending("j-2")["event"] == "done"


def test_preview_too_long_for_a_frame_does_not_cost_the_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.wire.MAX_PAYLOAD_BYTES", 8)  # the fake's previews have 16
    daemon_out, worker_in = os.pipe()
    worker_out, daemon_in = os.pipe()
    request = {"task": "generate", "seconds": 0.05, "prompt": "previews=1"}
    worker = Worker(daemon_out, daemon_in)
    worker._take({"op": "render", "job": "j-1", "request": request, "spool": str(tmp_path)})
    worker._render(FakeEngine(), worker._queue.get_nowait() or {})
    frames = [message for message, _ in FrameDecoder().feed(os.read(worker_out, 65536))]
    told = [message.get("event", message["op"]) for message in frames]
    assert told == ["progress", "progress", "stem", "done", "settled"]
    for descriptor in (daemon_out, worker_in, worker_out, daemon_in):
        os.close(descriptor)


def test_request_that_is_no_request_fails(process: Process) -> None:
    process.receive()
    process.send(op="render", job="j-1", request={"task": "nonsense"}, spool=str(process.spool))
    assert process.ending("j-1")["code"] == "bad_request"


def test_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    process = Process(tmp_path, "create_broken_engine")
    with process.popen:
        message = process.receive()
        assert message["op"] == "broken"
        assert message["error"]["message"] == "the model does not fit"
        assert process.popen.wait(timeout=10) == 1


def test_it_unloads_once_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    process = Process(tmp_path, options=("--idle-unload-s", "0.1"))
    with process.popen:
        assert process.receive()["op"] == "ready"
        assert process.receive() == {"op": "unloaded"}
        process.send(op="ping", count=1)
        assert process.receive() == {"op": "pong", "count": 1}, "once is enough"
        process.render("j-1", "")
        assert process.ending("j-1")["event"] == "done"
        assert process.receive() == {"op": "settled"}
        assert process.receive() == {"op": "unloaded"}
        process.send(op="shutdown")
        assert process.popen.wait(timeout=10) == 0


def test_what_comes_after_a_result_is_told_and_heeds_neither_a_cancel_nor_a_job(
    process: Process,
) -> None:
    process.receive()
    process.render("j-1", "settle=0.3")
    process.render("j-2", "")
    assert process.ending("j-1")["event"] == "done"
    process.send(op="cancel", job="j-1")
    frames = []
    while (frame := process.receive()) != {"op": "settled"}:
        frames.append(frame)
    assert len(frames) > 1, "it was not worked on for as long as was asked for"
    assert {frame["op"] for frame in frames} == {"settling"}, "the next job has begun before"
    assert process.ending("j-2")["event"] == "done"


def test_a_shutdown_ends_what_comes_after_a_result(process: Process) -> None:
    process.receive()
    process.render("j-1", "settle=60")
    assert process.ending("j-1")["event"] == "done"
    assert process.receive() == {"op": "settling"}
    process.send(op="shutdown")
    assert process.popen.wait(timeout=10) == 0


def test_an_unload_comes_after_what_comes_after_a_result(process: Process) -> None:
    process.receive()
    process.render("j-1", "settle=0.1")
    process.send(op="unload")
    assert process.ending("j-1")["event"] == "done"
    told = [process.receive()["op"]]
    while told[-1] != "unloaded":
        told.append(process.receive()["op"])
    assert told[-2:] == ["settled", "unloaded"]
    assert set(told[:-2]) == {"settling"}
