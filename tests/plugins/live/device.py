"""The device's generator, as the plugin has it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.plugins.live.fake_live import PLUGIN


@contextmanager
def generator() -> Iterator[Any]:
    """`make_device.py`, for as long as the block lasts."""
    before, path = set(sys.modules), list(sys.path)
    spec = importlib.util.spec_from_file_location("make_device", PLUGIN / "make_device.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if name.split(".")[0] == "DawBridge":
                del sys.modules[name]


def parameters() -> list[Any]:
    """The controls of the device."""
    with generator() as module:
        return list(module.parameters())
