"""The patch against a table of Max's objects, its script against a stand-in and a daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from daw_bridge.protocol.table import COMMAND_BY_NAME
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import ROOT, served
from tests.plugins.lines import PATIENCE_S, Lines

PLUGIN = ROOT / "plugins" / "max"
PATCH = json.loads((PLUGIN / "daw-bridge.maxpat").read_text(encoding="utf-8"))["patcher"]
BOXES = {item["box"]["id"]: item["box"] for item in PATCH["boxes"]}
LOCAL = ("cancel", "server")  # messages of the script itself

# Inlets and outlets of what the patch uses, as Max's reference pages give them.
OBJECTS = {
    "button": (1, 1),
    "buffer~": (1, 2),
    "comment": (1, 0),
    "ezdac~": (2, 0),
    "groove~": (3, 3),  # with two channels
    "js": (1, 5),  # as the script says
    "message": (2, 1),
    "opendialog": (1, 2),
    "prepend": (1, 1),
    "print": (1, 0),
    "sig~": (1, 1),
    "slider": (1, 1),
    "t": (1, 3),
    "toggle": (1, 1),
    "udpreceive": (1, 1),
    "udpsend": (1, 0),
    "zl": (2, 2),
}


def name_of(box: dict[str, Any]) -> str:
    return str(box["text"].split()[0] if box["maxclass"] == "newobj" else box["maxclass"])


def test_every_object_and_every_cord_is_possible() -> None:
    for box in BOXES.values():
        assert (box["numinlets"], box["numoutlets"]) == OBJECTS[name_of(box)], box
        assert len(box.get("outlettype", ())) == box["numoutlets"]
    for line in PATCH["lines"]:
        (source, outlet), (target, inlet) = (
            line["patchline"][end] for end in ("source", "destination")
        )
        assert outlet < BOXES[source]["numoutlets"], line
        assert inlet < BOXES[target]["numinlets"], line
    corded = {end[0] for line in PATCH["lines"] for end in line["patchline"].values()}
    assert {i for i, box in BOXES.items() if box["maxclass"] != "comment"} == corded


def test_the_messages_are_those_of_the_protocol() -> None:
    said = set()
    js = next(i for i, box in BOXES.items() if box.get("text", "").startswith("js "))
    cords = [line["patchline"] for line in PATCH["lines"]]
    to_js = [BOXES[cord["source"][0]] for cord in cords if cord["destination"][0] == js]
    for box in to_js:
        words = re.findall(r'"[^"]*"|\S+', box.get("text", ""))
        if box["maxclass"] != "message" or words[0] in LOCAL:
            continue
        known = {field.name for field in COMMAND_BY_NAME[words[0]].fields}
        assert set(words[1::2]) <= known, words
        assert len(words) % 2 == 1, words
        said.add(words[0])
    assert said == {"extend", "loop", "inpaint", "melody", "generate"}


def test_ports_and_file_fields_agree() -> None:
    texts = [box.get("text", "") for box in BOXES.values()]
    assert {"js daw-bridge.js 7410", "udpreceive 7410", "udpsend 127.0.0.1 9787"} <= set(texts)
    script = (PLUGIN / "daw-bridge.js").read_text(encoding="utf-8")
    listed = set(json.loads(re.search(r"FILES = (\[.*?\])", script)[1]))  # type: ignore[index]
    paths = {
        field.name
        for command in COMMAND_BY_NAME.values()
        for field in command.fields
        if field.kind == "path"
    }
    assert paths <= listed


class Script:
    """The script in its stand-in, with sockets where `udpsend` and `udpreceive` would be."""

    def __init__(self, process: subprocess.Popen[str], lines: Lines, wire: socket.socket) -> None:
        assert process.stdin is not None
        self._stdin, self._lines, self._wire = process.stdin, lines, wire
        self._port = 0
        self.errors: list[str] = []

    def say(self, *message: object) -> None:
        self._stdin.write(json.dumps(message) + "\n")
        self._stdin.flush()

    def until(self, outlet: int) -> list[Any]:
        """The next thing said at an outlet; OSC goes to and fro meanwhile."""
        while True:
            kind, *values = json.loads(self._lines.until("["))
            if kind == "error":
                self.errors.append(values[0])
            elif values[0] == 0 and values[1] == "port":
                self._port = values[2]
                continue
            elif values[0] == 0:
                self._send(values[1], values[2:])
            if kind == "outlet" and values[0] == outlet:
                return values[1:]

    def hear(self) -> str:
        """What `udpreceive` would say, handed to the script."""
        message = OscMessage(self._wire.recv(65_536))
        self.say(message.address, *message.params)
        return str(message.address)

    def _send(self, address: str, values: list[Any]) -> None:
        builder = OscMessageBuilder(address)
        for value in values:
            builder.add_arg(value)  # whole numbers as i, others as f, words as s, as udpsend does
        self._wire.sendto(builder.build().dgram, ("127.0.0.1", self._port))


@contextmanager
def script(patch: Path) -> Iterator[Script]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.settimeout(PATIENCE_S)
        stand_in = Path(__file__).with_name("stand_in.js")
        process = subprocess.Popen(
            ["node", str(stand_in), str(PLUGIN / "daw-bridge.js"), str(patch)],
            env={**os.environ, "REPLY_PORT": str(wire.getsockname()[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        lines = Lines(process.stdout)
        try:
            running = Script(process, lines, wire)
            assert running.until(4) == ["port", wire.getsockname()[1]]
            yield running
        finally:
            process.kill()
            process.communicate()
            lines.close()


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_the_script_drives_a_daemon(make_config: MakeConfig, tmp_path: Path, clip: str) -> None:
    """The home folder is known by where the patch lies."""
    home = tmp_path / "Users" / "me"
    config = make_config(data_dir=home / "Library" / "Application Support" / "daw-bridge")
    patch = home / "Documents" / "Max 9" / "Library" / "daw-bridge" / "daw-bridge.maxpat"
    with served(config) as app, script(patch) as js:
        js.say("extend", "source", clip, "bars", 4, "bpm", 97.5, "refine", 0)
        assert js.until(0)[0] == "/dawbridge/hello"
        assert js.until(0)[0] == "/dawbridge/extend"
        while js.hear() != "/dawbridge/reply/done":
            pass
        assert js.until(3)[0] == "accepted"
        assert js.until(2) == [0.25]
        (path,) = js.until(1)
        assert (Path(path).is_file(), Path(path).parents[2]) == (True, app.config.data_dir)
        js.say("generate", "seconds", 1, "prompt", "sleep=60")
        js.until(0)
        while js.hear() != "/dawbridge/reply/progress":
            pass
        while js.until(3)[0] != "progress":  # of the second job
            pass
        js.say("cancel")
        js.until(0)
        while js.hear() != "/dawbridge/reply/cancelled":
            pass
        js.say("extend", "bars", 4)
        js.until(0)
        while js.hear() != "/dawbridge/reply/failed":
            pass
        while js.until(3)[0] != "failed":
            pass
        assert js.errors == ["daw-bridge: bad_request: extend needs source\n"]


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_no_daemon_and_a_path_as_max_writes_it(tmp_path: Path) -> None:
    with script(tmp_path / "daw-bridge.maxpat") as js:
        js.say("ping")
        answer = js.until(3)
        assert answer[:3] == ["failed", "unavailable", "no daemon is running"]
        js.say("cancel")
        (tmp_path / "server.json").write_text('{"osc_port": 9, "token": "a-token"}')
        js.say("server", str(tmp_path / "server.json"))
        for written, meant in (
            ("Macintosh HD:/Users/me/a b.wav", "/Volumes/Macintosh HD/Users/me/a b.wav"),
            ("C:/Users/me/a.wav", "C:/Users/me/a.wav"),
        ):
            js.say("loop", "source", written, "bars", 2)
            said = js.until(0)
            said = said if said[0] != "/dawbridge/hello" else js.until(0)
            assert said[said.index("source") + 1] == meant
        assert "no job to cancel" in js.errors[-1]
