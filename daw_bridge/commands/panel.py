"""`daw-bridge panel`: open the daemon's page in the browser."""

from __future__ import annotations

import argparse
import html
import webbrowser
from pathlib import Path

from daw_bridge.commands.console import Console
from daw_bridge.config import Config
from daw_bridge.owners import write_private
from daw_bridge.registration import find_server, page_address
from engine.spec import BridgeError

LEADS_THERE = "panel.html"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>daw-bridge</title>
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}">
<p><a href="{address}">Open the panel</a></p></html>
"""


def run(options: argparse.Namespace, config: Config, console: Console) -> None:
    """Open the page; print its address for a browser that does not open by itself.

    A command's arguments can be read by every user of the machine, so the browser is not given
    the address with the token but a file of its owner's that leads there.

    Raises:
        BridgeError: `unavailable` when no daemon runs.
    """
    info = find_server(config.data_dir)
    if info is None:
        problem = f"no daemon runs on {config.data_dir}"
        raise BridgeError("unavailable", problem, "start one: daw-bridge serve")
    address = page_address(info)
    opened = not options.no_open and _open(config.data_dir / LEADS_THERE, address)
    # One that is confined, such as a snap, may not read hidden folders, and says so.
    line = "the panel opens in your browser; if it does not, or may not read the file, open"
    line = line if opened else "open"
    warning = "the address carries the token: keep it to yourself"
    console.result({"url": address, "opened": opened}, [f"{line} {address}", warning])


def _open(path: Path, address: str) -> bool:
    write_private(path, _PAGE.format(address=html.escape(address)))
    try:
        return webbrowser.open(path.as_uri())
    except webbrowser.Error:
        return False
