from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.daw_bridge.audition.fakes import FakePortAudio


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakePortAudio]:
    def install(rates_hz: tuple[int, ...] = (44_100, 48_000), channels: int = 2) -> FakePortAudio:
        library = FakePortAudio(rates_hz, channels)
        monkeypatch.setitem(sys.modules, "sounddevice", library)
        return library

    return install
