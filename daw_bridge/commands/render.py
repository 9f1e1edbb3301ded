"""The commands that render: with the daemon when there is one, else in this process."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from daw_bridge.commands.arguments import (
    ESTIMATE,
    PLACEMENT_FIELDS,
    RERENDER,
    flag_name,
    given_values,
)
from daw_bridge.commands.console import Console
from daw_bridge.commands.local import EngineFactory, open_store
from daw_bridge.commands.local import render as render_locally
from daw_bridge.commands.plot import draw
from daw_bridge.commands.progress_file import ProgressFile
from daw_bridge.commands.remote import find_daemon
from daw_bridge.commands.remote import render as render_remotely
from daw_bridge.commands.remote import rerender as rerender_remotely
from daw_bridge.commands.result import (
    Finished,
    as_lines,
    check_outputs,
    deliver,
    for_each_take,
)
from daw_bridge.config import Config
from daw_bridge.takes.recipes import changed_requests, takes_of
from engine.spec import FIELDS, BridgeError, Progress, RenderRequest, cast_field


def run(
    options: argparse.Namespace, config: Config, console: Console, make_engine: EngineFactory
) -> None:
    """Render, keep the take and write what was asked for.

    Raises:
        BridgeError: what is wrong with the request or its files, or how the render failed.
    """
    placement = _placement_of(options)
    count = placement.get("takes", 1)
    deliveries = _Deliveries(for_each_take(options, count), console)
    if options.command == RERENDER:
        _rerender(options, placement, config, deliveries, make_engine)
    else:
        request = request_of(options)
        client = find_daemon(options, config)
        if client is None:
            _refuse_place(placement)
            _render_here(takes_of(request, count), config, deliveries, make_engine)
        else:
            told = deliveries.begin, deliveries.progress, deliveries.take
            render_remotely(client, request, placement, *told)


class _Deliveries:
    """Writes and tells of each take as it comes, and how far it is.

    Args:
        options: of each take.

    Raises:
        BridgeError: `bad_request` for a file that cannot be written.
    """

    def __init__(self, options: Sequence[argparse.Namespace], console: Console) -> None:
        for each in options:
            check_outputs(each)
        self._options = options
        self._results: list[dict[str, Any]] = []
        self._jobs = 0
        self._progress_file = ProgressFile(options[0].progress_file)
        self.console = console

    def begin(self, job: str | None) -> None:
        """The job that is followed from now on; None for a render without a daemon."""
        self._jobs += 1
        self._progress_file.begin(job)

    def progress(self, event: Progress) -> None:
        """Tell how far it is, whoever listens."""
        self._progress_file.progress(event)
        self.console.progress(event)

    def take(self, finished: Finished) -> None:
        """Write the files that were asked for. People are told of each, programs of all in one
        object, as soon as the last one is there, or beside the error where one fails."""
        # A job that failed keeps its number; without a daemon nothing comes after a failure.
        options = self._options[max(self._jobs - 1, len(self._results))]
        self._results.append(result := deliver(options, finished, draw))
        told = {"takes": self._results} if len(self._options) > 1 else result
        if not self.console.as_json:
            self.console.result(result, as_lines(finished, result))
        elif len(self._results) == len(self._options):
            self.console.result(told, [])
        else:
            self.console.keep(told)


def _render_here(
    requests: Sequence[RenderRequest],
    config: Config,
    deliveries: _Deliveries,
    make_engine: EngineFactory,
) -> None:
    deliveries.begin(None)
    render_locally(requests, config, make_engine, deliveries.progress, deliveries.take)


def _placement_of(options: argparse.Namespace) -> dict[str, Any]:
    given = given_values(options, PLACEMENT_FIELDS)
    return {
        item.name: cast_field(item, given[item.name])
        for item in PLACEMENT_FIELDS
        if item.name in given
    }


def _refuse_place(placement: Mapping[str, Any]) -> None:
    """Without a daemon there is no other request that this one could stand among."""
    for name in ("slot", "priority"):
        if name in placement:
            raise BridgeError(
                "bad_request",
                f"{flag_name(name)} says where a job stands among others, and no daemon runs",
                "start daw-bridge serve, or leave it out",
            )


def request_of(options: argparse.Namespace) -> RenderRequest:
    """The request that was typed, its files named by absolute paths.

    Raises:
        BridgeError: `bad_request`, or `not_found` for a file that is not there.
    """
    task = options.task if options.command == ESTIMATE else options.command
    request = RenderRequest.from_mapping({"task": task, **given_values(options)})
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
    options: argparse.Namespace,
    placement: Mapping[str, Any],
    config: Config,
    deliveries: _Deliveries,
    make_engine: EngineFactory,
) -> None:
    changes = given_values(options)
    client = find_daemon(options, config)
    if client is None:
        _refuse_place(placement)
        recipe = open_store(config).recipe(options.take)
        requests = changed_requests(recipe, changes, placement.get("takes", 1))
        _render_here(requests, config, deliveries, make_engine)
        return
    by_name = {item.name: item for item in FIELDS}
    typed = {name: cast_field(by_name[name], value) for name, value in changes.items()}
    told = deliveries.begin, deliveries.progress, deliveries.take
    rerender_remotely(client, options.take, {**typed, **placement}, *told)
