"""The script in a strict stand-in for Bitwig Studio, against real daemons over UDP."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message_builder import OscMessageBuilder

from daw_bridge.app import App
from daw_bridge.protocol.table import COMMAND_BY_NAME
from daw_bridge.registration import find_server
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import ROOT, served, start_daemon
from tests.plugins.lines import Lines

SCRIPT = ROOT / "plugins" / "bitwig" / "daw-bridge.control.js"
MAKE, CANCEL, AGAIN = "Make a take", "Cancel", "Insert the last take"
TOKEN, PORT = "Token", "Port of the daemon"
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        return int(wire.getsockname()[1])


class Bitwig:
    """The stand-in: what the musician does, and what Bitwig shows."""

    def __init__(self, process: subprocess.Popen[str], lines: Lines) -> None:
        assert process.stdin is not None
        self._stdin, self._lines = process.stdin, lines

    def do(self, *act: object) -> None:
        self._stdin.write(json.dumps(act) + "\n")
        self._stdin.flush()

    def set(self, **settings: object) -> None:
        for label, value in settings.items():
            self.do("set", label.replace("_", " "), value)

    def until(self, words: str) -> list[Any]:
        """The next line that has the words in it, as JSON."""
        return list(json.loads(self._lines.until(words)))

    def popup(self, words: str) -> str:
        """The next notification that has the words in it."""
        kind, text = self.until(words)
        assert kind == "popup"
        return str(text)

    @property
    def heard(self) -> list[str]:
        return self._lines.heard


def track(name: str = "Drums", slots: int = 3, audio: bool = True) -> dict[str, Any]:
    return {"name": name, "audio": audio, "slots": [""] * slots}


@contextmanager
def bitwig(settings: dict[str, object], *tracks: dict[str, Any]) -> Iterator[Bitwig]:
    kept = {"Port for replies": str(free_port()), **settings}
    fake = Path(__file__).with_name("fake_bitwig.js")
    words = (json.dumps(kept), json.dumps(tracks or [track()]))
    process = subprocess.Popen(
        ["node", fake, SCRIPT, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = Lines(process.stdout)
    try:
        yield Bitwig(process, lines)
    finally:
        process.kill()
        process.communicate()
        lines.close()


def address(data_dir: Path) -> dict[str, object]:
    """What a musician types once."""
    info = find_server(data_dir)
    assert info is not None
    return {TOKEN: info.token, PORT: str(info.osc_port)}


def last_request(data_dir: Path) -> dict[str, Any]:
    """The newest take's request, as the daemon understood it."""
    (newest,) = sorted((data_dir / "takes").iterdir())[-1:]
    recipe = json.loads((newest / "recipe.json").read_text(encoding="utf-8"))
    return dict(recipe.get("request", recipe))


@pytest.fixture
def app(make_config: MakeConfig) -> Iterator[App]:
    with served(make_config()) as running:
        yield running


@pytest.fixture
def host(app: App) -> Iterator[Bitwig]:
    """A Bitwig with one track of three empty slots, which knows the daemon's address."""
    with bitwig(address(app.config.data_dir)) as running:
        running.until("listening")
        yield running


@needs_node
def test_a_take_lands_in_the_first_empty_slot(app: App, host: Bitwig) -> None:
    host.do("slots", 0, ["/kick.wav", "", ""])
    host.set(Prompt="warm house", Bars=2, Seed=7)
    host.do("press", MAKE)
    host.popup("generate for the track Drums")
    _, name, slot, path = host.until("inserted")
    assert (name, slot) == ("Drums", 2)
    assert Path(path).is_file()
    assert Path(path).parents[2] == app.config.data_dir
    host.popup("the take is in slot 2 of Drums")
    asked = last_request(app.config.data_dir)
    assert (asked["task"], asked["prompt"], asked["seed"]) == ("generate", "warm house", 7)
    assert (asked["bpm"], asked["metre"], asked["bars"]) == (97.5, "7/8", 2)
    host.do("press", AGAIN)
    assert host.until("inserted")[2:] == [3, path]


@needs_node
@pytest.mark.parametrize("task", ["extend", "loop", "inpaint", "vary", "accompany", "melody"])
def test_every_task_with_a_source(
    app: App, host: Bitwig, clip: str, tmp_path: Path, task: str
) -> None:
    melody = tmp_path / "clips" / "tune.mid"
    melody.write_bytes(bytes.fromhex(
        "4d546864000000060000000101e04d54726b0000000d00903c6483 60803c0000ff2f00".replace(" ", "")
    ))  # fmt: skip
    source = str(melody) if task == "melody" else clip
    host.set(Task=task)
    host.do("press", MAKE)
    host.popup(f"{task} needs a source file")
    host.set(Source_file=source, Tempo_of_the_source="estimate", Region_start=0.1)
    host.do("press", MAKE)
    host.popup("the take is in slot 1")
    asked = last_request(app.config.data_dir)
    assert asked["task"] == task
    assert asked.get("bpm") == (97.5 if task == "melody" else None)


@needs_node
def test_the_take_is_for_the_track_that_was_selected(make_config: MakeConfig) -> None:
    tracks = (track("Drums"), track("Bass"), track("Lead", audio=False))
    with served(make_config()) as app, bitwig(address(app.config.data_dir), *tracks) as host:
        host.until("listening")
        host.set(Prompt="sleep=1")
        host.do("press", MAKE)
        host.popup("draft 25 %")
        host.do("select", 1)
        host.do("press", MAKE)
        host.popup("a take is being made")
        assert host.until("inserted")[1] == "Drums"
        host.popup("slot 1 of Drums")
        host.do("select", 2)
        host.do("press", MAKE)
        host.popup("select an audio track")


@needs_node
def test_a_take_is_cancelled(host: Bitwig) -> None:
    host.do("press", CANCEL)
    host.popup("there is no take to cancel")
    host.set(Prompt="sleep=60")
    host.do("press", MAKE)
    host.popup("draft 25 %")
    host.do("press", CANCEL)
    host.popup("cancelled")


@needs_node
def test_what_the_daemon_refuses_is_told(host: Bitwig) -> None:
    host.set(Prompt="refuse")
    host.do("press", MAKE)
    host.popup("the clip is empty: choose another")
    host.set(Task="extend", Source_file="/nowhere/a.wav")
    host.do("press", MAKE)
    host.popup("/nowhere/a.wav")


@needs_node
def test_a_take_waits_for_a_free_slot(host: Bitwig) -> None:
    host.do("press", AGAIN)
    host.popup("there is no take yet")
    host.do("slots", 0, ["/kick.wav"])
    host.do("press", MAKE)
    host.popup("no free slot on an audio track")
    host.do("slots", 0, ["/kick.wav", ""])
    host.do("press", AGAIN)
    host.popup("the take is in slot 2 of Drums")


@needs_node
def test_a_file_that_bitwig_does_not_take_is_told(host: Bitwig) -> None:
    host.do("press", MAKE)
    path = Path(host.until("inserted")[3])
    host.popup("slot 1")
    path.unlink()
    host.do("press", AGAIN)
    host.popup(f"drag it onto the track. {path}")


@needs_node
def test_the_token_is_asked_for_and_has_to_be_right(make_config: MakeConfig) -> None:
    with served(make_config()) as app:
        settings = {**address(app.config.data_dir), TOKEN: ""}
        with bitwig(settings) as host:
            host.until("listening")
            host.do("press", MAKE)
            host.popup("the token is missing")
            host.set(Token="another-token")
            host.do("press", MAKE)
            host.popup("the token is not that of the daemon")
            host.set(**{TOKEN: app.token})
            host.do("press", MAKE)
            host.popup("slot 1")


@needs_node
def test_no_daemon_is_told_and_another_port_is_taken_at_once(make_config: MakeConfig) -> None:
    settings: dict[str, object] = {TOKEN: "a-token-of-before", PORT: str(free_port())}
    with bitwig(settings, track("Drums"), track("Bass")) as host:
        host.until("listening")
        host.do("press", MAKE)
        host.popup("no answer: start daw-bridge serve")
        host.do("select", 1)
        host.do("press", CANCEL)
        host.popup("waited for no longer")
        host.do("press", MAKE)
        host.popup("generate for the track Bass")
        with served(make_config()) as app:
            for label, text in address(app.config.data_dir).items():
                host.do("set", label, text)
            host.until("restart")
            host.until("listening")
            host.do("press", MAKE)
            host.popup("slot 1")


@needs_node
def test_a_port_that_is_none_is_told(make_config: MakeConfig) -> None:
    with served(make_config()) as app:
        right = address(app.config.data_dir)
        with bitwig({**right, PORT: "99999"}) as host:
            host.popup("a port is a number from 1 to 65535")
            host.do("press", MAKE)
            host.popup("there is no connection")
            host.do("set", PORT, right[PORT])
            host.until("listening")
            host.do("press", MAKE)
            host.popup("slot 1 of Drums")


@needs_node
def test_the_take_arrives_though_the_daemon_was_started_anew(tmp_path: Path) -> None:
    port = free_port()
    first = start_daemon(tmp_path, osc_port=port)
    try:
        with bitwig(address(tmp_path)) as host:
            host.until("listening")
            host.set(Prompt="sleep=3")
            host.do("press", MAKE)
            host.popup("draft 25 %")
            first.kill()
            first.wait()
            host.popup("the daemon is gone: start daw-bridge serve")
            second = start_daemon(tmp_path, osc_port=port)
            try:
                host.popup("the take is in slot 1 of Drums")
            finally:
                second.terminate()
                second.communicate()
    finally:
        first.kill()
        first.communicate()


@needs_node
def test_strangers_on_the_reply_port_are_not_heard(make_config: MakeConfig, clip: str) -> None:
    port = free_port()
    with served(make_config()) as app:
        settings = {**address(app.config.data_dir), "Port for replies": str(port)}
        with bitwig(settings) as host, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            host.until("listening")
            host.set(Prompt="sleep=0.5")
            host.do("press", MAKE)
            host.popup("draft 25 %")
            forged = OscMessageBuilder("/dawbridge/reply/done")
            for value in ("bitwig-1-0123456789ab", "j-0001", "t-0001", clip):
                forged.add_arg(value)
            empty = OscMessageBuilder("/dawbridge/reply/done")
            for message in (forged, empty, OscMessageBuilder("/other")):
                wire.sendto(message.build().dgram, ("127.0.0.1", port))
            assert host.until("inserted")[3] != clip


def test_the_script_says_what_the_protocol_has() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    block = script[script.index("var TASKS = {") : script.index("};")]
    tasks = {
        line.split(":")[0].strip(): json.loads(line.split(":")[1].strip().rstrip(","))
        for line in block.splitlines()[1:]
        if ":" in line
    }
    assert len(tasks) == 7
    for task, fields in tasks.items():
        command = COMMAND_BY_NAME[task]
        known = {field.name for field in command.fields}
        assert {*fields, "seed", "bpm", "metre"} <= known, task
        assert {field.name for field in command.fields if field.required} <= set(fields), task
