"""Talks to a daemon: finds it, renders with it, asks it for lists."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from daw_bridge.client import Client
from daw_bridge.commands.local import OnProgress
from daw_bridge.commands.result import Finished
from daw_bridge.config import Config
from daw_bridge.protocol.table import WEBSOCKET_PATH
from daw_bridge.registration import TOKEN_FILE, find_server, token_of
from engine.spec import FIELDS, BridgeError, Progress, RenderRequest

ENGINE_START_TIMEOUT_S = 120.0
_POLL_S = 0.2


def find_daemon(options: argparse.Namespace, config: Config) -> Client | None:
    """A client of the daemon that was named, else of the one running, else None.

    Raises:
        BridgeError: `bad_request` for an address that cannot be one, `forbidden` without a token.
    """
    running = find_server(config.data_dir)
    if options.server is None and running is None:
        return None
    url = websocket_url(options.server or (running.url if running else ""))
    token = config.token or (running.token if running else _kept_token(config.data_dir))
    return Client(url, token, previews=False)


def _kept_token(data_dir: Path) -> str:
    if not (data_dir / TOKEN_FILE).exists():
        raise BridgeError("forbidden", "no token for that daemon", "give --token or --data-dir")
    return token_of(data_dir)


def websocket_url(address: str) -> str:
    """The WebSocket address meant by `ws://host:port/ws`, `http://host:port` or `host:port`.

    Raises:
        BridgeError: `bad_request`.
    """
    parts = urlsplit(address if "://" in address else f"ws://{address}")
    try:
        complete = parts.hostname and parts.port
    except ValueError:
        complete = None
    if parts.scheme not in ("ws", "http") or not complete:
        raise BridgeError(
            "bad_request", f"--server is {address!r}", "write it like ws://127.0.0.1:8787"
        )
    path = parts.path if parts.path not in ("", "/") else WEBSOCKET_PATH
    return urlunsplit(("ws", parts.netloc, path, "", ""))


def ask(client: Client, command: str, **fields: Any) -> dict[str, Any]:
    """One command and its answer.

    Raises:
        BridgeError: as the daemon refuses, `unavailable` when it cannot be reached.
    """

    async def conversation() -> dict[str, Any]:
        async with client:
            if command == "models":
                await _engine_ready(client)
            return await client.request(command, **fields)

    return asyncio.run(conversation())


async def _engine_ready(client: Client) -> None:
    """Wait while the engine starts: it knows its models only then."""
    deadline_s = asyncio.get_running_loop().time() + ENGINE_START_TIMEOUT_S
    while (await client.request("status"))["engine"] == "starting":
        if asyncio.get_running_loop().time() > deadline_s:
            return
        await asyncio.sleep(_POLL_S)


def render(client: Client, request: RenderRequest, on_progress: OnProgress) -> Finished:
    """Render with the daemon. Ctrl-C cancels the job.

    Raises:
        BridgeError: as the daemon refuses or the job fails.
    """

    async def submit() -> str:
        try:
            return await client.submit(request.to_mapping())
        except BridgeError as error:
            if error.code != "forbidden":
                raise
            # The clip lies outside the folders the daemon may read: bring it the bytes.
            return await client.submit(await _uploaded(client, request))

    return asyncio.run(_conversation(client, submit, on_progress))


def rerender(
    client: Client, take: str, changes: Mapping[str, Any], on_progress: OnProgress
) -> Finished:
    """Render a take again with the daemon. Ctrl-C cancels the job.

    Raises:
        BridgeError: as the daemon refuses or the job fails.
    """
    return asyncio.run(_conversation(client, lambda: client.rerender(take, **changes), on_progress))


async def _uploaded(client: Client, request: RenderRequest) -> dict[str, Any]:
    values = request.to_mapping()
    for item in FIELDS:
        if item.kind == "path" and item.name in values:
            values[item.name] = await client.upload(Path(values[item.name]))
    return values


async def _conversation(
    client: Client, submit: Callable[[], Awaitable[str]], on_progress: OnProgress
) -> Finished:
    async with client:
        job = await submit()
        try:
            return await _follow(client, job, on_progress)
        except asyncio.CancelledError:
            await client.cancel(job)
            raise BridgeError("unavailable", f"{job} was cancelled") from None


async def _follow(client: Client, job: str, on_progress: OnProgress) -> Finished:
    async for event in client.events(job):
        match event["event"]:
            case "progress":
                on_progress(progress_of(event))
            case "done":
                return Finished(
                    take=event["take"],
                    path=Path(event["path"]),
                    files=event["files"],
                    report=event["report"],
                    recipe=event["recipe"],
                )
            case "failed":
                raise BridgeError(event["code"], event["message"], event.get("hint", ""))
            case "cancelled":
                raise BridgeError("unavailable", f"{job} was cancelled")
    raise BridgeError("unavailable", f"the daemon said no more about {job}")


def progress_of(event: Mapping[str, Any]) -> Progress:
    """The progress that a message of the daemon tells of."""
    return Progress(
        stage=event["stage"],
        fraction=event["fraction"],
        step=event["step"],
        steps=event["steps"],
        eta_s=event["eta_s"],
        loss=event["loss"],
        best=event["best"],
    )
