from __future__ import annotations

from tests.daw_bridge.conftest import make_config

__all__ = ["make_config"]
