from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from daw_bridge.app import App
from daw_bridge.config import Config

# Other work on the machine makes an example slow; that is no fault of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

FACTORY = "tests.daw_bridge.fake_engine"

MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """Settings of a daemon on free ports that is impatient, so that tests are quick."""

    def make(engine: str = "create_engine", **overrides: Any) -> Config:
        values: dict[str, Any] = {
            "port": 0,
            "osc_port": 0,
            "data_dir": tmp_path / "data",
            "roots": [tmp_path / "clips"],
            "engine_factory": f"{FACTORY}:{engine}",
            "restart_delay_s": 0.02,
            "heartbeat_interval_s": 0.05,
            "cancel_grace_s": 0.2,
            **overrides,
        }
        (tmp_path / "clips").mkdir(exist_ok=True)
        return Config.load(values, environment={})

    return make


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """A path under the allowed root; the fake engine never opens it."""
    path = tmp_path / "clips" / "My groove.wav"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"RIFF")
    return str(path)


@pytest_asyncio.fixture
async def app(make_config: MakeConfig) -> AsyncIterator[App]:
    async with App(make_config()) as running:
        yield running
