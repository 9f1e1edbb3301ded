"""The commands that render: with the daemon when there is one, else in this process."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from daw_bridge.commands.arguments import RERENDER, given_values
from daw_bridge.commands.console import Console
from daw_bridge.commands.local import EngineFactory, open_store
from daw_bridge.commands.local import render as render_locally
from daw_bridge.commands.plot import draw
from daw_bridge.commands.remote import find_daemon
from daw_bridge.commands.remote import render as render_remotely
from daw_bridge.commands.remote import rerender as rerender_remotely
from daw_bridge.commands.result import Finished, as_lines, check_outputs, deliver
from daw_bridge.config import Config
from daw_bridge.takes.recipes import changed_request
from engine.spec import FIELDS, BridgeError, RenderRequest, cast_field


def run(
    options: argparse.Namespace, config: Config, console: Console, make_engine: EngineFactory
) -> None:
    """Render, keep the take and write what was asked for.

    Raises:
        BridgeError: what is wrong with the request or its files, or how the render failed.
    """
    check_outputs(options)
    if options.command == RERENDER:
        finished = _rerender(options, config, console, make_engine)
    else:
        request = request_of(options)
        client = find_daemon(options, config)
        if client is None:
            finished = render_locally(request, config, make_engine, console.progress)
        else:
            finished = render_remotely(client, request, console.progress)
    result = deliver(options, finished, draw)
    console.result(result, as_lines(finished, result))


def request_of(options: argparse.Namespace) -> RenderRequest:
    """The request that was typed, its files named by absolute paths.

    Raises:
        BridgeError: `bad_request`, or `not_found` for a file that is not there.
    """
    request = RenderRequest.from_mapping({"task": options.command, **given_values(options)})
    paths = {}
    for item in FIELDS:
        named = getattr(request, item.name)
        if item.kind == "path" and named is not None:
            # A recipe has to be good from any folder.
            paths[item.name] = str(_existing(named))
    return replace(request, **paths)  # type: ignore[arg-type]  # the path fields are text


def _existing(named: str) -> Path:
    try:
        path = Path(named).expanduser().absolute()
        if path.exists():
            return path
    except (OSError, RuntimeError) as error:  # a name too long, a folder not ours, no such ~user
        raise BridgeError("bad_request", f"{named[:200]!r} is no path: {error}"[:400]) from None
    raise BridgeError("not_found", f"there is no file {named!r}")


def _rerender(
    options: argparse.Namespace, config: Config, console: Console, make_engine: EngineFactory
) -> Finished:
    changes = given_values(options)
    client = find_daemon(options, config)
    if client is None:
        request = changed_request(open_store(config).recipe(options.take), changes)
        return render_locally(request, config, make_engine, console.progress)
    by_name = {item.name: item for item in FIELDS}
    typed = {name: cast_field(by_name[name], value) for name, value in changes.items()}
    return rerender_remotely(client, options.take, typed, console.progress)
