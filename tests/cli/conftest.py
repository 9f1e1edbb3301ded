"""What commands are tried with: a folder of data, a clip, a daemon, and the command itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.cli import main
from daw_bridge.config import Config
from tests.daw_bridge.fake_engine import create_engine
from tests.daw_bridge.served import served as running

ROOT = Path(__file__).resolve().parents[2]
FACTORY = "tests.daw_bridge.fake_engine:create_engine"


class Ran:
    """One command that ran: its status, its JSON and what it said to people."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DAW_BRIDGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clips" / "My groove.wav"
    path.parent.mkdir()
    path.write_bytes(b"RIFF")
    return path


@pytest.fixture
def run(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object, engine: Callable[[Path | None], Any] = create_engine) -> Ran:
        typed = [*map(str, arguments), "--data-dir", str(data_dir)]
        capsys.readouterr()
        status = main(typed, engine_factory=engine)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@contextmanager
def daemon(data_dir: Path, roots: list[Path]) -> Iterator[App]:
    """A daemon with the fake engine."""
    ports = {"port": 0, "osc_port": 0}
    settings = {**ports, "data_dir": data_dir, "roots": roots, "engine_factory": FACTORY}
    with running(Config.load(settings)) as app:
        yield app


@pytest.fixture
def served(data_dir: Path, clip: Path) -> Iterator[App]:
    with daemon(data_dir, [clip.parent]) as app:
        yield app


def no_engine(_: Path | None) -> Any:
    """An engine nobody may ask for."""
    raise AssertionError("the daemon should have rendered")
