"""`takes --verify`: are the takes on this disk still what was written?"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from daw_bridge.commands.console import EXIT_FAILED, EXIT_OK, Console, table
from daw_bridge.config import Config
from daw_bridge.takes.store import TakeStore
from daw_bridge.takes.verify import Verified, verify_takes


def run(options: argparse.Namespace, config: Config, console: Console) -> int:
    """Check every take, or the one of `--take`, with or without a daemon; the exit status.

    Raises:
        BridgeError: `not_found` when there is no take of that id.
    """
    folder = config.data_dir / "takes"
    found: list[Verified] = []
    if folder.is_dir() or options.take is not None:
        found = list(verify_takes(TakeStore(folder), options.take))
    ok = not any(item.damaged for item in found)
    rows = [[item.take, _verdict(item)] for item in found]
    result = {"ok": ok, "takes": [asdict(item) for item in found]}
    console.result(result, table(rows) if rows else ["no takes yet"])
    return EXIT_OK if ok else EXIT_FAILED


def _verdict(item: Verified) -> str:
    if item.damaged:
        return "damaged: " + "; ".join(item.damaged)
    if item.unchecked:
        return "no checksum: " + ", ".join(item.unchecked)
    return "as written"
