"""Export, remove and restore over the wires and on the command line."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from daw_bridge import exports
from daw_bridge.app import App
from daw_bridge.cli import main
from daw_bridge.client import Client
from daw_bridge.exports import export_request, run_export
from daw_bridge.protocol.messages import Call
from daw_bridge.take_commands import MAX_EXPORTS
from daw_bridge.takes.store import TakeFile, TakeStore
from engine.files.audio import write_audio
from engine.spec import BridgeError, Done, RenderRequest, Stem
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import served
from tests.daw_bridge.wires import wires

RATE_HZ = 48_000


def put_take(data_dir: Path, folder: Path, length_samples: int = 4800, peak: float = 0.5) -> str:
    """A take with a mix and drums of real audio; its id."""
    rng = np.random.default_rng(1)
    stems = []
    for name in ("mix", "drums"):
        samples = rng.uniform(-peak, peak, (2, length_samples))
        path = write_audio(folder / f"{name}.wav", samples, RATE_HZ, "FLOAT", overwrite=True)
        stems.append(Stem(name, str(path), RATE_HZ, 2, length_samples))
    data_dir.mkdir(exist_ok=True)
    request = RenderRequest("generate", seconds=1.0, prompt="slow groove")
    return TakeStore(data_dir / "takes").adopt(request, stems, Done({}, {})).id


@pytest_asyncio.fixture
async def client(app: App) -> AsyncIterator[Client]:
    async with Client(app.url, app.token) as connected:
        yield connected


async def test_a_take_is_exported(app: App, client: Client, tmp_path: Path) -> None:
    take = put_take(app.config.data_dir, tmp_path)
    told = await client.request("export", take=take)
    path = Path(told["path"])
    assert path == app.config.data_dir / "exports" / "slow-groove-generate-seed0-24bit.wav"
    assert soundfile.info(path).subtype == "PCM_24"
    assert told["dithered"] is True
    again = await client.request("export", take=take)
    assert Path(again["path"]).name == "slow-groove-generate-seed0-24bit-2.wav"
    assert again["sha256"] == told["sha256"]
    told = await client.request(
        "export",
        take=take,
        stem="drums",
        container="flac",
        sample_format="PCM_16",
        sample_rate_hz=44_100,
        folder=str(tmp_path / "clips"),
        name="../My drums",
    )
    assert Path(told["path"]) == tmp_path / "clips" / "My-drums.flac"
    assert soundfile.info(told["path"]).frames == 4410 == told["length_samples"]


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"stem": "violin"}, "not_found", "it has mix, drums"),
        ({"take": "t-0009"}, "not_found", "no take"),
        ({"folder": "/"}, "forbidden", "not in an allowed folder"),
        ({"folder": "clips"}, "bad_request", "absolute"),
        ({"folder": "{clips}/none"}, "not_found", "make it first"),
        ({"folder": "{clips}/../.."}, "forbidden", "not in an allowed folder"),
        ({"folder": "{clips}/out"}, "forbidden", "not in an allowed folder"),
        ({"folder": "{clips}/../data/takes/t-0001"}, "forbidden", "daemon's own"),
        ({"container": "flac", "sample_format": "FLOAT"}, "bad_request", "FLAC cannot hold"),
        ({"gain_db": 20.0}, "bad_request", "over full scale"),
        ({"container": "mp3"}, "bad_request", "wav, aiff, flac"),
        ({"name": "///"}, "bad_request", "no file name"),
    ],
)
async def test_refusals(
    app: App, client: Client, tmp_path: Path, fields: dict[str, Any], code: str, says: str
) -> None:
    take = put_take(app.config.data_dir, tmp_path)
    clips = tmp_path / "clips"
    (clips / "out").symlink_to("/")
    fields = {
        name: value.format(clips=clips) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    with pytest.raises(BridgeError, match=says) as caught:
        await client.request("export", **{"take": take, **fields})
    assert caught.value.code == code
    assert list(clips.iterdir()) == [clips / "out"]


async def test_a_take_whose_audio_is_gone_is_said_to_be(
    app: App, client: Client, tmp_path: Path
) -> None:
    take = put_take(app.config.data_dir, tmp_path)
    for path in (app.config.data_dir / "takes" / take).glob("*.wav"):
        path.unlink()
    with pytest.raises(BridgeError, match="cannot be read") as caught:
        await client.request("export", take=take)
    assert caught.value.code == "not_found"


async def test_no_command_waits_for_an_export_nor_an_export_for_a_render(
    app: App, client: Client, tmp_path: Path
) -> None:
    take = put_take(app.config.data_dir, tmp_path, 48_000 * 20)
    job = await client.submit({"task": "generate", "seconds": 0.05, "prompt": "sleep=60"})
    how = {"take": take, "sample_rate_hz": 44_100, "container": "flac"}
    exporting = asyncio.create_task(client.request("export", **how))
    for _ in range(5):
        assert (await client.request("ping"))["reply"] == "pong"
    assert not exporting.done()
    assert (await exporting)["length_samples"] == 44_100 * 20
    assert (await client.request("status"))["running"] == job
    await client.cancel(job)


async def test_too_many_exports_are_refused(
    app: App, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def wait(*_: Any) -> dict[str, Any]:
        await go_on.wait()
        return {"path": "x"}

    monkeypatch.setattr("daw_bridge.take_commands.run_export", wait)
    take = put_take(app.config.data_dir, tmp_path)
    calls = [asyncio.create_task(client.request("export", take=take)) for _ in range(MAX_EXPORTS)]
    await asyncio.sleep(0.2)
    with pytest.raises(BridgeError, match=f"{MAX_EXPORTS} exports wait"):
        await client.request("export", take=take)
    go_on.set()
    await asyncio.gather(*calls)


async def test_a_dead_or_endless_export_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / ".take.wav.1.aa.part"
    theirs.touch()
    part = "open(f'.take-16bit.wav.{os.getpid()}.aa.part', 'w').close()"
    for program, timeout_s, code in (
        (f"import os; {part}; os.kill(os.getpid(), 9)", 60.0, "engine_crashed"),
        ("import time; time.sleep(60)", 0.3, "unavailable"),
    ):
        command = ["python3", "-c", program]
        monkeypatch.setattr(exports, "export_command", lambda roots, command=command: command)
        with pytest.raises(BridgeError) as caught:
            await run_export({"folder": str(tmp_path), "name": "take"}, [tmp_path], timeout_s)
        assert caught.value.code == code
        assert list(tmp_path.iterdir()) == [theirs]


def test_names_say_what_an_export_is(tmp_path: Path) -> None:
    item = TakeFile("mix", str(tmp_path / "groove-loop-seed7.wav"), 48_000, 2, 10)
    values = {"container": "wav", "gain_db": 0.0, "over": "refuse", "name": None}

    def name(sample_format: str, sample_rate_hz: int | None) -> Any:
        given = {**values, "sample_format": sample_format, "sample_rate_hz": sample_rate_hz}
        return export_request(item, given, tmp_path)["name"]

    assert name("PCM_16", None) == "groove-loop-seed7-16bit"
    assert name("PCM_24", 48_000) == "groove-loop-seed7-24bit"
    assert name("FLOAT", 44_100) == "groove-loop-seed7-44100Hz-float"


async def test_removed_takes_are_listed_and_come_back(
    app: App, client: Client, tmp_path: Path
) -> None:
    job = await client.submit({"task": "generate", "seconds": 0.05})
    take = (await client.result(job))["take"]
    told = await client.request("remove", take=take)
    assert told["trash_bytes"] > 0
    assert (told["take"], told["takes_bytes"], told["warning"]) == (take, 0, "")
    assert (await client.request("takes"))["takes"] == []
    (entry,) = (await client.request("takes", trash=True))["takes"]
    assert entry["take"] == take
    assert entry["removed"]
    with pytest.raises(BridgeError, match="restore brings it back"):
        await client.request("stream", take=take)
    told = await client.request("restore", take=take)
    assert Path(told["path"]).exists()
    assert (await client.request("status"))["takes_bytes"] == told["takes_bytes"] > 0


async def test_the_limit_is_told(make_config: MakeConfig) -> None:
    async with (
        App(make_config(max_takes_bytes=10)) as app,
        Client(app.url, app.token) as client,
    ):
        first = await client.result(await client.submit({"task": "generate", "seconds": 0.05}))
        await client.result(await client.submit({"task": "generate", "seconds": 0.05}))
        async with asyncio.timeout(5):
            while not (status := await client.request("status"))["warning"]:
                await asyncio.sleep(0.02)
        assert "over max_takes_bytes" in status["warning"]
        assert len((await client.request("takes"))["takes"]) == 2, "new takes are kept"
        told = await client.request("remove", take=first["take"])
        assert "over max_takes_bytes" in told["warning"]
        log = app.config.data_dir / "logs" / "daemon.log"
        assert "over max_takes_bytes" in log.read_text()


def test_all_wires_export_remove_and_restore(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config()
    take = put_take(config.data_dir, tmp_path)
    with served(config) as app, wires(app) as all_wires:
        for wire in all_wires.values():
            for command, said in (
                ("export", "exported"),
                ("remove", "removed"),
                ("restore", "restored"),
            ):
                wire.say(Call("7", command, {"take": take}))
                heard: Any = wire.hear()
                assert (heard["reply"], heard["id"]) == (said, "7")
                if command == "export":
                    assert Path(heard["path"]).exists()
                    assert heard["peak_db"] == pytest.approx(-6.02, abs=0.01)
    assert len(list((config.data_dir / "exports").iterdir())) == len(all_wires)


@pytest.fixture
def command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    for name in [name for name in os.environ if name.startswith("DAW_BRIDGE_")]:
        pytest.fail(f"{name} is set")

    def run(*typed: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = main([*typed, "--json", "--data-dir", str(tmp_path / "data")])
        return status, json.loads(capsys.readouterr().out)

    return run


def test_the_command_line_without_a_daemon(command_line: Any, tmp_path: Path) -> None:
    take = put_take(tmp_path / "data", tmp_path)
    (tmp_path / "anywhere").mkdir()
    flags = ("--folder", str(tmp_path / "anywhere"), "--container", "aiff", "--stem", "drums")
    status, told = command_line("export", take, *flags, "--sample-format", "PCM_16")
    assert status == 0
    assert Path(told["path"]).parent == tmp_path / "anywhere"
    assert soundfile.info(told["path"]).format == "AIFF"
    status, told = command_line("export", take, "--gain-db", "20")
    assert (status, told["error"]["code"]) == (2, "bad_request")
    assert command_line("export", take, "--folder", "/nowhere")[1]["error"]["code"] == "not_found"
    assert command_line("remove", take)[1]["take"] == take
    assert command_line("takes")[1]["takes"] == []
    assert command_line("takes", "--trash")[1]["takes"][0]["take"] == take
    assert command_line("export", take)[0] == 2
    assert command_line("restore", take)[1]["take"] == take
    assert command_line("takes")[1]["takes"][0]["take"] == take


def test_the_command_line_with_a_daemon(
    command_line: Any, make_config: MakeConfig, tmp_path: Path
) -> None:
    take = put_take(tmp_path / "data", tmp_path)
    with served(make_config()) as app:
        server = ("--server", app.url)
        told = command_line("export", take, *server)[1]
        assert Path(told["path"]).parent == tmp_path / "data" / "exports"
        told = command_line("export", take, *server, "--folder", str(tmp_path / "takes"))[1]
        assert told["error"]["code"] == "forbidden"
        assert command_line("remove", take)[1]["takes_bytes"] == 0
        assert command_line("restore", take)[1]["take"] == take
