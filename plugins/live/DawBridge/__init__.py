"""daw-bridge inside Ableton Live: a control surface without hardware.

Live imports this package from the folder of Remote Scripts and calls `create_instance`.
"""

from __future__ import annotations

from typing import Any


def create_instance(c_instance: Any) -> Any:
    """The control surface; Live calls this when somebody chooses it in its settings."""
    from .surface import DawBridge  # here, so that the parts can be read outside of Live

    return DawBridge(c_instance)
