"""`daw-bridge serve`: run the daemon in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os

from daw_bridge import __version__
from daw_bridge.app import App, serve
from daw_bridge.commands.console import Console
from daw_bridge.commands.settings import load_given


def run(options: argparse.Namespace, console: Console) -> None:
    """Serve until stopped; says where to connect once that is possible.

    Raises:
        BridgeError: `bad_request` for a setting, `unavailable` for a port or folder in use.
    """
    # What is written from here on, logs and takes and the engine's cache, is the user's alone.
    os.umask(0o077)
    config, _ = load_given(options)

    def say_where(app: App) -> None:
        told = {
            "url": app.url,
            "http_url": app.http_url,
            "osc_port": app.osc_port,
            "osc_tcp_port": app.osc_tcp_port,
            "data_dir": str(config.data_dir),
        }
        lines = [
            f"daw-bridge {__version__} listens on {app.http_url}, stop it with Ctrl-C",
            f"  WebSocket  {app.url}",
            f"  OSC        UDP port {app.osc_port}, TCP port {app.osc_tcp_port}",
            f"  takes      {config.data_dir / 'takes'}",
        ]
        console.result(told, lines)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(config, say_where))
