"""A whole daemon with a fake engine, driven over WebSocket."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.takes.wav import WavInfo, read_wav_float32
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig


def generate(prompt: str = "", **fields: Any) -> dict[str, Any]:
    return {"task": "generate", "seconds": 0.05, "prompt": prompt, **fields}


async def until(client: Client, job: str, event: str) -> dict[str, Any]:
    """The first event of a kind."""
    async for message in client.events(job):
        if message["event"] == event:
            return message
    raise AssertionError(f"{job} ended without {event}")


async def refusal(client: Client, command: str, **fields: Any) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        await client.request(command, **fields)
    return caught.value


async def test_events_of_a_job_in_order(app: App, clip: str) -> None:
    async with Client(app.url, app.token) as client:
        assert client.server["protocol"] == 1
        job = await client.submit(
            {"task": "extend", "source": clip, "bars": 2, "bpm": 123.4, "prompt": "previews=2"}
        )
        assert job == "j-0001"
        events = [event async for event in client.events(job)]
    kinds = [event["event"] for event in events]
    assert kinds == ["progress", "preview", "preview", "progress", "done"]
    assert [event["fraction"] for event in events if "fraction" in event] == [0.25, 0.75]
    assert events[0]["eta_s"] == 1.5
    assert [event["offset_samples"] for event in events[1:3]] == [0, 2]
    assert len(events[1]["pcm"]) == 16
    done = events[-1]
    assert done["take"] == "t-0001"
    assert Path(done["path"]).name == "My-groove-extend-123.4bpm-2bars-seed0.wav"
    assert done["recipe"]["request"]["source"] == str(Path(clip).resolve())
    assert not (app.config.data_dir / "spool" / job).exists()


@pytest.mark.parametrize("bits", ["16", "24", "32", "float"])
async def test_streamed_audio_is_that_of_the_file(app: App, bits: str) -> None:
    async with Client(app.url, app.token) as client:
        # More than one chunk: 256 KiB are 32,768 samples of two channels.
        job = await client.submit(generate(f"bits={bits} stems=bass", seconds=1.0, seed=5))
        done = await client.result(job)
        audio, _ = soundfile.read(done["path"], dtype="float32", always_2d=True)
        streamed = np.frombuffer(await client.stream(done["take"]), "<f4").reshape(-1, 2)
        assert np.array_equal(streamed, audio)
        rest = await client.stream(done["take"], stem="bass", offset_samples=40_000)
        bass, _ = soundfile.read(done["files"][1]["path"], dtype="float32", always_2d=True)
        assert np.array_equal(np.frombuffer(rest, "<f4").reshape(-1, 2), bass[40_000:])
        for fields in ({"stem": "violin"}, {"offset_samples": 48_001}, {"take": "t-0009"}):
            error = await refusal(client, "stream", **{"take": done["take"], **fields})
            assert error.code in ("not_found", "bad_request")


def as_floats(frames: list[BinaryFrame]) -> Any:
    """What frames of any format hold, as float32."""
    parts = []
    for frame in frames:
        if frame.format == "flac":
            parts.append(soundfile.read(io.BytesIO(frame.data), dtype="float32")[0].ravel())
        elif frame.format == "int24":
            wide = np.frombuffer(frame.data, "u1").reshape(-1, 3)
            padded = np.pad(wide, ((0, 0), (1, 0))).reshape(-1).view("<i4")
            parts.append((padded / 2**31).astype("f4"))
        elif frame.format == "int16":
            parts.append((np.frombuffer(frame.data, "<i2") / 2**15).astype("f4"))
        else:
            parts.append(np.frombuffer(frame.data, "<f4"))
    return np.concatenate(parts).reshape(-1, 2)


@pytest.mark.parametrize("bits", ["16", "24", "float"])
async def test_stream_in_any_format_goes_on_as_if_it_had_not_been_cut(app: App, bits: str) -> None:
    async with Client(app.url, app.token) as client:
        done = await client.result(await client.submit(generate(f"bits={bits}", seconds=1.0)))
        audio, _ = soundfile.read(done["path"], dtype="float32", always_2d=True)
        for wanted in ("float32", "int24", "int16", "flac"):

            async def listen(offset: int, wanted: str = wanted) -> list[BinaryFrame]:
                frames = client.stream_frames(
                    done["take"], offset_samples=offset, audio_format=wanted
                )
                return [frame async for frame in frames]

            whole = await listen(0)
            assert {frame.format for frame in whole} == {wanted}
            assert [frame.offset for frame in whole] == [0, 32_768]
            # Nothing is lost but below the last bit of the format.
            lost = 2.0**-16 if wanted == "int16" else 2.0**-24 if wanted != "float32" else 0.0
            exact = bits == "16" or (bits == "24" and wanted != "int16")
            assert np.abs(as_floats(whole) - audio).max() <= (0.0 if exact else lost)
            for offset in (1, 12_345, 32_767, 32_768, 40_000, 47_999, 48_000):
                rest = await listen(offset)
                assert rest[0].offset == offset
                assert rest[-1].last
                if offset < 48_000:
                    assert np.array_equal(as_floats(rest), as_floats(whole)[offset:])
                if wanted != "flac":  # byte for byte, wherever it was cut
                    joined = b"".join(frame.data for frame in whole)
                    sample_bytes = len(joined) // 48_000
                    tail = b"".join(frame.data for frame in rest)
                    assert tail == joined[offset * sample_bytes :]
                # From the end of a frame on all frames are the same.
                later = [frame for frame in rest if frame.offset == 32_768]
                assert [frame.data for frame in later] == [
                    frame.data for frame in whole[1:] if offset <= 32_768
                ]


@pytest.mark.parametrize("wanted", ["int24", "int16", "flac"])
async def test_previews_in_the_format_wanted(app: App, wanted: str) -> None:
    async with Client(app.url, app.token) as client:
        await client.request("hello", preview_format=wanted)
        event = await until(client, await client.submit(generate("previews=2")), "preview")
        assert event["format"] == wanted
        frame = BinaryFrame("preview", 1, 0, event["pcm"], format=wanted)
        assert as_floats([frame]).ravel().tolist() == [0.0, 0.25, -0.5, 0.0]


async def test_flac_is_refused_where_it_cannot_be_written(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daw_bridge.sndfile.find_library", lambda: None)
    async with Client(app.url, app.token) as client:
        done = await client.result(await client.submit(generate()))
        assert (await refusal(client, "hello", preview_format="flac")).code == "unavailable"
        error = await refusal(client, "stream", take=done["take"], format="flac")
        assert error.code == "unavailable"


async def test_every_stem_is_delivered_and_streamed(app: App, clip: str) -> None:
    fields = {"task": "melody", "melody": clip, "context": clip, "seconds": 1.0, "stems": True}
    async with Client(app.url, app.token) as client:
        done = await client.result(await client.submit(fields | {"prompt": "bits=24"}))
        names = [item["name"] for item in done["files"]]
        assert names == ["mix", "drums", "bass", "chords", "lead"]
        heard = set()
        for item in done["files"]:
            audio, _ = soundfile.read(item["path"], dtype="float32", always_2d=True)
            pcm = await client.stream(done["take"], stem=item["name"])
            assert np.array_equal(np.frombuffer(pcm, "<f4").reshape(-1, 2), audio)
            heard.add(pcm)
        assert len(heard) == 5
        assert await client.stream(done["take"]) == await client.stream(done["take"], stem="mix")
        again = await client.result(await client.rerender(done["take"]))
        assert [item["name"] for item in again["files"]] == names
        (take,) = (await client.request("takes", limit=1))["takes"]
        assert [item["name"] for item in take["files"]] == names


async def test_context_may_be_an_upload(app: App, tmp_path: Path, clip: str) -> None:
    path = tmp_path / "outside.wav"
    path.write_bytes(os.urandom(1000))
    async with Client(app.url, app.token) as client:
        fields = {"task": "melody", "melody": clip, "seconds": 0.05}
        fields["context"] = await client.upload(path)
        done = await client.result(await client.submit(fields))
        assert Path(done["recipe"]["request"]["context"]).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("error", [BridgeError("not_found", "it is gone"), ValueError("it is odd")])
async def test_stream_that_breaks_off_tells_its_client(
    app: App, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def read(path: Path, info: WavInfo, start_samples: int, count_samples: int) -> bytes:
        if start_samples:
            raise error
        return read_wav_float32(path, info, start_samples, count_samples)

    monkeypatch.setattr("daw_bridge.transfers.read_wav_float32", read)
    async with Client(app.url, app.token) as client:
        done = await client.result(await client.submit(generate("bits=16", seconds=1.0)))
        with pytest.raises(BridgeError, match="it is"):
            await asyncio.wait_for(client.stream(done["take"]), 10)
        assert (await client.request("ping"))["reply"] == "pong"


async def test_upload_then_extend(app: App, tmp_path: Path) -> None:
    path = tmp_path / "outside the roots.wav"
    path.write_bytes(os.urandom(700_000))
    async with Client(app.url, app.token) as client:
        source = await client.upload(path)
        done = await client.result(
            await client.submit({"task": "extend", "source": source, "seconds": 0.05})
        )
        kept = Path(done["recipe"]["request"]["source"])
        assert kept.read_bytes() == path.read_bytes()
        assert Path(done["path"]).name == "outside-the-roots-extend-seed0.wav"
        # The take can be made again although the client's file is gone.
        path.unlink()
        await client.result(await client.rerender(done["take"], seed=3))
        error = await refusal(client, "extend", source="upload:ffff", seconds=1)
        assert error.code == "not_found"


async def test_uploads_that_go_wrong(make_config: MakeConfig) -> None:
    config = make_config(max_upload_bytes=1000)
    async with App(config) as app, Client(app.url, app.token) as client:
        error = await refusal(client, "upload", name="a.wav", size_bytes=1001)
        assert error.code == "too_large"
        call_id = await client._send("upload", {"name": "a.wav", "size_bytes": 8})
        number = (await client._next_reply(call_id))["upload"]
        await client._send_raw(BinaryFrame("upload", number, 4, b"late").encode())
        with pytest.raises(BridgeError, match="0 come next"):
            await client._next_reply(call_id)
        # The rest of a failed upload is ignored, not answered frame by frame.
        await client._send_raw(BinaryFrame("upload", number, 8, b"rest", last=True).encode())
        assert (await client.request("ping"))["reply"] == "pong"
        assert list((config.data_dir / "uploads").iterdir()) == []
        for _ in range(4):
            await client.request("upload", name="a.wav", size_bytes=8)
        assert (await refusal(client, "upload", name="a.wav", size_bytes=8)).code == "too_large"
    assert list((config.data_dir / "uploads").iterdir()) == []


async def test_upload_that_was_cut_off_goes_on(make_config: MakeConfig, tmp_path: Path) -> None:
    """By a client that vanishes, and by a daemon that ends: only the rest is sent again."""
    path = tmp_path / "long.wav"
    path.write_bytes(os.urandom(1_000_000))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    fields = {"name": "long.wav", "size_bytes": 1_000_000, "sha256": digest}
    for _ in range(2):
        async with App(make_config()) as app:
            for _ in range(2):
                async with Client(app.url, app.token) as client:
                    begun = await client.request("upload", **fields)
                    start = begun["offset_bytes"]
                    part = path.read_bytes()[start : start + 100_000]
                    await client._send_raw(
                        BinaryFrame("upload", begun["upload"], start, part).encode()
                    )
                    await client.request("ping")  # so that it has arrived
    async with App(make_config()) as app, Client(app.url, app.token) as client:
        assert (await client.request("upload", **fields))["offset_bytes"] == 400_000
        source = await client.upload(path)
        assert (await client.request("upload", **fields))["offset_bytes"] == 1_000_000
        assert await client.upload(path) == source
        done = await client.result(
            await client.submit({"task": "extend", "source": source, "seconds": 0.05})
        )
        kept = Path(done["recipe"]["request"]["source"])
        assert kept.read_bytes() == path.read_bytes()


async def test_report_with_figures_that_are_no_number_is_kept(app: App) -> None:
    async with Client(app.url, app.token) as client:
        done = await client.result(await client.submit(generate("nan")))
        assert done["report"]["loss"] is None


async def test_rerender_changes_what_is_given(app: App) -> None:
    async with Client(app.url, app.token) as client:
        first = await client.result(await client.submit(generate("bits=16", seed=1)))
        again = await client.result(await client.rerender(first["take"]))
        assert Path(again["path"]).read_bytes() == Path(first["path"]).read_bytes()
        assert again["path"] != first["path"]
        other = await client.result(await client.rerender(first["take"], seed=2, bars=1, bpm=120))
        request = other["recipe"]["request"]
        assert (request["seed"], request["bars"], request["prompt"]) == (2, 1.0, "bits=16")
        assert "seconds" not in request
        assert (await refusal(client, "rerender", take="t-0404")).code == "not_found"
        assert (await refusal(client, "rerender", take="t-0001", side="end")).code == "bad_request"


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("refuse", "bad_audio"),
        ("raise", "engine_failed"),
        ("oom", "out_of_memory"),
        ("silent", "engine_failed"),
        ("exit", "engine_crashed"),
    ],
)
async def test_failures_end_the_job_and_not_the_daemon(app: App, prompt: str, code: str) -> None:
    async with Client(app.url, app.token) as client:
        job = await client.submit(generate(prompt))
        with pytest.raises(BridgeError) as caught:
            await client.result(job)
        assert caught.value.code == code
        await client.result(await client.submit(generate()))
        listed = (await client.request("jobs"))["jobs"]
        assert [(entry["job"], entry["state"]) for entry in listed] == [
            ("j-0002", "done"),
            ("j-0001", "failed"),
        ]
        assert listed[1]["error"]["code"] == code


async def test_job_whose_engine_is_killed_is_tried_again(app: App, tmp_path: Path) -> None:
    async with Client(app.url, app.token) as client:
        job = await client.submit(generate(f"exit_once={tmp_path / 'died'}"))
        events = [event async for event in client.events(job)]
        assert events[-1]["event"] == "done"
        stages = [event["stage"] for event in events[:-1]]
        assert stages == ["draft", "waiting for the engine to restart", "draft", "refine"]
        fractions = [event["fraction"] for event in events[:-1]]
        assert fractions == sorted(fractions)


async def test_engine_killed_from_outside(app: App) -> None:
    async with Client(app.url, app.token) as client:
        first = await client.submit(generate("sleep=0.2"))
        second = await client.submit(generate())
        await until(client, first, "progress")
        pid = app.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await client.result(first)
        await client.result(second)


async def test_cancel_queued_and_running(app: App) -> None:
    async with Client(app.url, app.token) as client:
        running = await client.submit(generate("sleep=60"))
        queued = await client.submit(generate())
        last = await client.submit(generate())
        await until(client, running, "progress")
        await client.cancel(queued)
        assert [event["event"] async for event in client.events(queued)] == ["cancelled"]
        await client.cancel(running)
        assert [event["event"] async for event in client.events(running)][-1] == "cancelled"
        await client.result(last)
        error = await refusal(client, "cancel", job=running)
        assert error.code == "bad_request"
        assert "is cancelled" in error.message
        assert (await refusal(client, "cancel", job="j-0404")).code == "not_found"
        assert (await client.request("takes"))["takes"][0]["take"] == "t-0001"


async def test_cancel_that_the_engine_ignores(app: App) -> None:
    async with Client(app.url, app.token) as client:
        job = await client.submit(generate("sleep=60 stubborn"))
        await until(client, job, "progress")
        await client.cancel(job)
        assert await until(client, job, "cancelled")
        await client.result(await client.submit(generate()))


async def test_client_that_vanishes_does_not_stop_its_job(app: App) -> None:
    async with Client(app.url, app.token) as client:
        job = await client.submit(generate("sleep=0.2"))
    async with Client(app.url, app.token) as client:
        done = await client.result(job)
        assert done["take"] == "t-0001"
        # Whoever asks later is told, too.
        assert (await client.result(job)) == {**done, "id": "3"}


async def test_two_clients_watch_one_job_and_have_their_own(app: App) -> None:
    async with Client(app.url, app.token) as one, Client(app.url, app.token) as two:
        shared = await one.submit(generate("sleep=0.1"))
        own = await two.submit(generate())
        results = await asyncio.gather(one.result(shared), two.result(shared), two.result(own))
        assert [result["take"] for result in results] == ["t-0001", "t-0001", "t-0002"]
        assert (await one.request("status"))["clients"] == 2


async def test_full_queue_refuses_and_recovers(make_config: MakeConfig) -> None:
    async with App(make_config(max_queued_jobs=2)) as app, Client(app.url, app.token) as client:
        running = await client.submit(generate("sleep=60"))
        await until(client, running, "progress")
        jobs = [await client.submit(generate()) for _ in range(2)]
        assert (await refusal(client, "generate", seconds=1)).code == "too_large"
        await client.cancel(running)
        for job in jobs:
            await client.result(job)


async def test_absurd_values_are_refused_by_name(make_config: MakeConfig, clip: str) -> None:
    async with App(make_config(max_new_audio_s=60)) as app, Client(app.url, app.token) as client:
        error = await refusal(client, "loop", source=clip, bars=4, bpm=3159345)
        assert error.code == "bad_request"
        assert "bpm" in error.message
        assert "20 to 400" in error.hint
        assert (await refusal(client, "generate", seconds=61)).code == "too_large"
        assert (await refusal(client, "generate", bars=512, bpm=20)).code == "too_large"
        error = await refusal(client, "inpaint", source=clip, start=1, end=61.5)
        assert (error.code, error.message) == ("too_large", "60.5 s of new audio")
        assert (await refusal(client, "extend", source=clip)).code == "bad_request"
        assert (await refusal(client, "dance")).code == "bad_message"
        assert (await refusal(client, "generate", seconds=float("inf"))).code == "bad_request"


async def test_status_models_and_lists(app: App) -> None:
    async with Client(app.url, app.token) as client:
        done = await client.result(await client.submit(generate()))
        status = await client.request("status")
        assert (status["engine"], status["running"], status["queued"]) == ("ready", "", 0)
        assert status["engine_info"]["device"] == "fake"
        assert (await client.request("models"))["models"] == [
            {"name": "house", "digest": "abc", "architecture": "", "size_bytes": 0}
        ]
        (take,) = (await client.request("takes", take=done["take"]))["takes"]
        assert take["report"] == done["report"]
        assert (await client.request("jobs", limit=1))["jobs"][0]["take"] == done["take"]


async def test_models_before_the_engine_is_ready(make_config: MakeConfig) -> None:
    async with (
        App(make_config("create_sleepy_engine")) as app,
        Client(app.url, app.token) as client,
    ):
        error = await refusal(client, "models")
        assert error.code == "unavailable"
        assert "starting" in error.message


async def test_engine_that_cannot_start_fails_jobs_and_says_why(make_config: MakeConfig) -> None:
    async with (
        App(make_config("create_broken_engine")) as app,
        Client(app.url, app.token) as client,
    ):
        with pytest.raises(BridgeError, match="does not fit") as caught:
            await client.result(await client.submit(generate()))
        assert caught.value.code == "out_of_memory"
        status = await client.request("status")
        assert status["engine"] == "broken"
        assert status["engine_error"]["code"] == "out_of_memory"
    log = (app.config.data_dir / "logs" / "engine.log").read_text()
    assert "Traceback" in log


async def test_client_may_do_without_previews(app: App) -> None:
    async with Client(app.url, app.token, previews=False) as client:
        job = await client.submit(generate("previews=3"))
        assert "preview" not in [event["event"] async for event in client.events(job)]


async def test_subscriber_hears_of_every_job(app: App) -> None:
    async with Client(app.url, app.token) as panel, Client(app.url, app.token) as client:
        events = panel.subscribe()
        hearing = asyncio.ensure_future(anext(events))
        await panel.request("ping")
        done = await client.result(await client.submit(generate("previews=1")))
        told = [await hearing]
        while told[-1]["event"] != "done":
            told.append(await anext(events))
        assert [event["event"] for event in told] == ["progress", "preview", "progress", "done"]
        assert told[-1]["take"] == done["take"]
        await panel.request("unsubscribe")
        await events.aclose()


async def test_previews_no_more_often_than_wanted(app: App) -> None:
    async with Client(app.url, app.token) as client:
        await client.request("hello", preview_hz=0.01, progress_hz=0.01)
        job = await client.submit(generate("previews=20"))
        events = [event async for event in client.events(job)]
    told = [event.get("revision", event["event"]) for event in events]
    # The first at once, the last before the end, each of its kind.
    assert told == ["progress", 0, "progress", 19, "done"]
    assert events[2]["fraction"] == 0.75


async def test_slow_client_gets_every_sample_and_the_end(make_config: MakeConfig) -> None:
    """A client that does not read for a while: the stream waits, `done` is not lost."""
    async with (
        App(make_config(max_outbox_bytes=50_000)) as app,
        Client(app.url, app.token) as client,
    ):
        job = await client.submit(generate("previews=500", seconds=2.0))
        take = (await client.result(job))["take"]
        url = {"additional_headers": {"Authorization": f"Bearer {app.token}"}}
        async with connect(app.url, max_queue=1, proxy=None, **url) as slow:  # type: ignore[arg-type]
            await slow.send(f'{{"id": "s", "command": "stream", "take": "{take}"}}')
            await slow.recv()
            await client.request("ping")  # others are not held up
            received = 0
            while received < 96_000 * 8:
                received += len(await slow.recv()) - 32
        assert received == 96_000 * 8


async def test_shutdown_by_a_client(app: App) -> None:
    async with Client(app.url, app.token) as client:
        assert (await client.request("shutdown"))["reply"] == "stopping"
    await app.stopped()


async def test_client_is_told_when_the_daemon_goes(make_config: MakeConfig) -> None:
    app = App(make_config())
    async with app:
        client = Client(app.url, app.token)
        await client.__aenter__()
        job = await client.submit(generate("sleep=60"))
    with pytest.raises(BridgeError) as caught:
        await client.result(job)
    assert caught.value.code == "unavailable"
    with pytest.raises(BridgeError):
        await client.request("ping")
    await client.__aexit__(None, None, None)
    with pytest.raises(BridgeError, match="no daemon"):
        await Client(app.url, app.token).__aenter__()
