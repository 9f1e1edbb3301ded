"""Every command said to a working daemon by programs that are not ours: liblo and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.protocol.binary import BinaryFrame
from daw_bridge.protocol.messages import Call, Message
from daw_bridge.protocol.table import COMMAND_BY_NAME, COMMANDS, REPLY_BY_NAME
from engine.spec import TASKS
from tests.daw_bridge.browser import CHROMIUM, browser_wire
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.liblo import LIBLO, liblo_wires
from tests.daw_bridge.served import served
from tests.daw_bridge.wires import Wire

_LONG: dict[str, Any] = {"seconds": 0.05, "prompt": "sleep=60"}
_NO_LIBLO = pytest.mark.skipif(not LIBLO, reason="liblo is not installed")
_NO_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def _wire(app: App, name: str) -> Iterator[Wire]:
    if name == "browser":
        with browser_wire(app) as page:
            yield page
    else:
        with liblo_wires(app) as found:
            yield found[name]


class Asker:
    """Says commands, and holds what is answered against the table."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.said: set[str] = set()

    def ask(self, command: str, until: str = "", **values: Any) -> Message:
        """Say a command; the answer that was waited for, else the first that ends or promises."""
        row = COMMAND_BY_NAME[command]
        self.said.add(command)
        self._wire.say(Call(command, command, values))
        until = until or row.replies[0]
        allowed = {*row.replies, *(REPLY_BY_NAME[name].items for name in row.replies)}
        while True:
            told = self._wire.hear()
            if isinstance(told, BinaryFrame):
                continue
            name = told.get("reply") or told["event"]
            if told["id"] == command:
                assert name in allowed, told
                assert name == until or name != "failed", told
                if name == until:
                    return told


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("liblo-udp", marks=_NO_LIBLO),
        pytest.param("liblo-tcp", marks=_NO_LIBLO),
        pytest.param("browser", marks=_NO_BROWSER),
    ],
)
def test_every_command_is_answered_as_the_table_says(
    make_config: MakeConfig, clip: str, name: str
) -> None:
    with served(make_config()) as app, _wire(app, name) as wire:
        client = Asker(wire)
        client.ask("hello")
        client.ask("subscribe")
        client.ask("unsubscribe")
        client.ask("ping")
        _render_everything(client, clip)
        client.ask("models")  # the engine has started by now
        client.ask("status")
        client.ask("estimate", task="generate", seconds=1.0)
        take = client.ask("generate", "done", seconds=0.05, prompt="previews=2")["take"]
        assert client.ask("rerender", "done", take=take, seed=9)["take"] != take
        job = client.ask("generate", **_LONG)["job"]
        assert client.ask("watch", job=job)["job"] == job
        assert client.ask("cancel", job=job)["job"] == job
        client.ask("jobs")
        client.ask("rate", take=take, verdict="keep", stars=4)
        exported = client.ask("export", take=take, container="flac", sample_format="PCM_16")
        assert Path(exported["path"]).read_bytes().startswith(b"fLaC")
        assert client.ask("remove", take=take)["take"] == take
        assert Path(client.ask("restore", take=take)["path"]).is_file()
        client.ask("takes")
        if wire.transport == "websocket":
            client.ask("stream", take=take)
            client.ask("upload", name="a.wav", size_bytes=4)
        client.ask("unload")
        client.ask("shutdown")
        assert client.said == {row.name for row in COMMANDS if wire.transport in row.transports}


def _render_everything(client: Asker, clip: str) -> None:
    needs: dict[str, dict[str, Any]] = {
        "extend": {"source": clip, "seconds": 0.1},
        "loop": {"source": clip, "bars": 1},
        "inpaint": {"source": clip, "start": 0.0, "end": 0.1},
        "melody": {"melody": clip, "seconds": 0.1},
        "accompany": {"source": clip},
        "vary": {"source": clip},
        "generate": {"seconds": 0.1},
    }
    for task in TASKS:
        assert client.ask(task, "done", **needs[task])["take"]
