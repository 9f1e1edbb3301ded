from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.config import Config
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.panel import telling_engine
from tests.daw_bridge.panel.driver import (
    ConnectedPanel,
    OpenPanel,
    Panel,
    address_of,
    chromium,
    panels,
)
from tests.daw_bridge.served import served


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def open_panel(browser: Any) -> Iterator[OpenPanel]:
    with panels(browser) as opener:
        yield opener


@pytest.fixture
def connected_panel(open_panel: OpenPanel) -> ConnectedPanel:
    def connect(app: App, **settings: Any) -> Panel:
        panel = open_panel(address_of(app), **settings)
        panel.connected()
        return panel

    return connect


@pytest.fixture
def make_telling(make_config: MakeConfig) -> MakeConfig:
    """Settings of a daemon whose engine tells all that the real one tells."""

    def make(*positional: Any, **settings: Any) -> Any:
        factory = f"{telling_engine.__name__}:create_engine"
        return make_config(*positional, **{"engine_factory": factory, **settings})

    return make


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One such daemon for the tests of a module, whose jobs and takes pile up."""
    folder = tmp_path_factory.mktemp("shared")
    values = {
        "port": 0,
        "osc_port": 0,
        "data_dir": folder / "data",
        "roots": [folder.parent],
        "engine_factory": f"{telling_engine.__name__}:create_engine",
        "cancel_grace_s": 0.2,
    }
    with served(Config.load(values, environment={})) as app:
        yield app


@pytest.fixture
def telling(make_telling: MakeConfig) -> Iterator[App]:
    with served(make_telling()) as app:
        yield app
