from __future__ import annotations

import json
from pathlib import Path

import pytest

from daw_bridge.cli import main
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.folders.watchers import CountingEngine, Once


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "clips" / "drop"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
def once(
    folder: Path,
    make_config: MakeConfig,
    engine: CountingEngine,
    capsys: pytest.CaptureFixture[str],
) -> Once:
    """Watch until nothing is left to do; what came of each file."""

    def run() -> list[dict[str, str]]:
        capsys.readouterr()
        typed = ["watch", str(folder), "--once", "--settle", "0", "--json"]
        typed += ["--data-dir", str(make_config().data_dir)]
        assert main(typed, engine_factory=lambda *_: engine) == 0
        results: list[dict[str, str]] = json.loads(capsys.readouterr().out)["results"]
        return results

    return run
