from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from daw_bridge.sources import environment_name
from tests.daw_bridge.conftest import MakeConfig, make_config
from tests.daw_bridge.served import served
from tests.plugins.live.fake_live import Host, running
from tests.plugins.live.fake_song import Song

__all__ = ["make_config"]

RATE_HZ = 48_000
OpenLive = Callable[[Song], Host]
MakeSound = Callable[..., str]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, where the script looks for the daemon."""
    folder = tmp_path / "data"
    monkeypatch.setenv(environment_name("data_dir"), str(folder))
    return folder


@pytest.fixture
def daemon(make_config: MakeConfig, data_dir: Path) -> Iterator[App]:
    with served(make_config()) as app:
        yield app


@pytest.fixture
def open_live(data_dir: Path) -> Iterator[OpenLive]:
    """Opens a set in Live, with the script."""
    with ExitStack() as stack:
        yield lambda song: stack.enter_context(running(song))


@pytest.fixture
def make_sound(tmp_path: Path) -> MakeSound:
    """Writes noise that is the same each time."""

    def make(seconds: float = 4.0, name: str = "groove.wav", subtype: str = "PCM_24") -> str:
        path = tmp_path / "clips" / name
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(7).uniform(-0.5, 0.5, (round(seconds * RATE_HZ), 2))
        soundfile.write(path, noise, RATE_HZ, subtype=subtype)
        return str(path)

    return make


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
