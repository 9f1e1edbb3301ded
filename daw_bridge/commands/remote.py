"""Talks to a daemon: finds it, renders with it, asks it for lists."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from daw_bridge.client import Client
from daw_bridge.commands.arguments import ESTIMATE
from daw_bridge.commands.local import JobCancelledError, OnFinished, OnProgress
from daw_bridge.commands.result import Finished
from daw_bridge.config import Config
from daw_bridge.protocol.table import WEBSOCKET_PATH
from daw_bridge.registration import TOKEN_FILE, find_server, token_of
from engine.spec import FIELDS, BridgeError, Progress, RenderRequest

REPLY_TIMEOUT_S = 30.0
ENGINE_START_TIMEOUT_S = 120.0
_POLL_S = 0.2
_LAST_WORD_S = 2.0  # for the daemon's answer to a request that was interrupted
_Answer = TypeVar("_Answer")
OnJob = Callable[[str], None]


class _JobFailedError(BridgeError):
    """A job is over; without this class the daemon could not be reached, or knows no such job."""


def find_daemon(
    options: argparse.Namespace, config: Config, *, reply_timeout_s: float = REPLY_TIMEOUT_S
) -> Client | None:
    """A client of the daemon that was named, else of the one running, else None.

    Args:
        reply_timeout_s: how long the answer to a command may take.

    Raises:
        BridgeError: `bad_request` for an address that cannot be one, `forbidden` without a token.
    """
    running = find_server(config.data_dir)
    if options.server is None and running is None:
        return None
    url = websocket_url(options.server or (running.url if running else ""))
    token = config.token or (running.token if running else _kept_token(config.data_dir))
    return Client(url, token, previews=False, reply_timeout_s=reply_timeout_s)


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


def estimate(client: Client, request: RenderRequest) -> dict[str, Any]:
    """What a request would need, as the daemon's engine says.

    Raises:
        BridgeError: as the daemon refuses, `unavailable` when it cannot be reached.
    """

    async def conversation() -> dict[str, Any]:
        async with client:
            await _engine_ready(client)
            return await _with_files(
                client, request, lambda asked: client.request(ESTIMATE, **asked)
            )

    return asyncio.run(conversation())


async def _with_files(
    client: Client, request: RenderRequest, send: Callable[[dict[str, Any]], Awaitable[_Answer]]
) -> _Answer:
    """Send a request; a clip outside the folders that the daemon may read is brought to it."""
    try:
        return await send(request.to_mapping())
    except BridgeError as error:
        if error.code != "forbidden":
            raise
        return await send(await _uploaded(client, request))


async def _engine_ready(client: Client) -> None:
    """Wait while the engine starts: it knows its models only then."""
    deadline_s = asyncio.get_running_loop().time() + ENGINE_START_TIMEOUT_S
    while (await client.request("status"))["engine"] == "starting":
        if asyncio.get_running_loop().time() > deadline_s:
            return
        await asyncio.sleep(_POLL_S)


def render(
    client: Client,
    request: RenderRequest,
    placement: Mapping[str, Any],
    on_job: OnJob,
    on_progress: OnProgress,
    on_finished: OnFinished,
) -> None:
    """Render with the daemon. Ctrl-C cancels the jobs.

    Args:
        placement: how many takes, and where they stand among other requests.
        on_job: is told each job before its progress.

    Raises:
        BridgeError: as the daemon refuses or a job fails; the others are seen to their end before.
        JobCancelledError: a job was stopped, by Ctrl-C or by another client.
    """

    async def submit() -> list[str]:
        return await _with_files(
            client, request, lambda asked: client.submit_takes({**asked, **placement})
        )

    asyncio.run(_conversation(client, submit, on_job, on_progress, on_finished))


def render_or_follow(
    client: Client,
    request: RenderRequest,
    placement: Mapping[str, Any],
    begun: str | None,
    on_job: OnJob,
    on_progress: OnProgress,
) -> Finished:
    """Render one take with the daemon, or go on with a job that was begun before.

    Ctrl-C leaves the job to the daemon.

    Args:
        begun: a job of before. One that the daemon no longer knows is asked for anew, and so is one
            that failed because the engine was not there then.
        on_job: is told the job as soon as it is accepted.

    Raises:
        BridgeError: as the daemon refuses or the job fails.
        JobCancelledError: somebody stopped the job.
    """

    async def conversation() -> Finished:
        async with client:
            if begun is not None:
                try:
                    return await _follow(client, begun, on_progress)
                except _JobFailedError as error:
                    if error.code != "unavailable":
                        raise
                except BridgeError as error:
                    if error.code != "not_found":
                        raise
            job = await _with_files(
                client, request, lambda asked: client.submit({**asked, **placement})
            )
            on_job(job)
            return await _follow(client, job, on_progress)

    return asyncio.run(conversation())


def rerender(
    client: Client,
    take: str,
    changes: Mapping[str, Any],
    on_job: OnJob,
    on_progress: OnProgress,
    on_finished: OnFinished,
) -> None:
    """Render a take again with the daemon. Ctrl-C cancels the jobs.

    Args:
        changes: other values, and the placement as with `render`.
        on_job: as with `render`.

    Raises:
        BridgeError: as `render`.
    """
    asked = {"task": "rerender", "take": take, **changes}
    submit = lambda: client.submit_takes(asked)  # noqa: E731 - a coroutine that is not begun
    asyncio.run(_conversation(client, submit, on_job, on_progress, on_finished))


async def _uploaded(client: Client, request: RenderRequest) -> dict[str, Any]:
    values = request.to_mapping()
    for item in FIELDS:
        if item.kind == "path" and item.name in values:
            values[item.name] = await client.upload(Path(values[item.name]))
    return values


async def _conversation(
    client: Client,
    submit: Callable[[], Awaitable[list[str]]],
    on_job: OnJob,
    on_progress: OnProgress,
    on_finished: OnFinished,
) -> None:
    failure: BridgeError | None = None
    async with client:
        left = await _accepted(client, submit)
        while left:
            try:
                on_job(left[0])
                on_finished(await _follow(client, left[0], on_progress))
            except BridgeError as error:
                failure = failure or error
            except asyncio.CancelledError:
                raise await _cancelled(client, left) from None
            del left[0]
    if failure is not None:
        raise failure


async def _accepted(client: Client, submit: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """The jobs of a request. Ctrl-C before the daemon has said which cancels them when it does,
    and does not wait long for it: an upload may be under way."""
    submitting = asyncio.ensure_future(submit())
    try:
        return await asyncio.shield(submitting)
    except asyncio.CancelledError:
        done, _ = await asyncio.wait([submitting], timeout=_LAST_WORD_S)
        if not done or submitting.cancelled() or submitting.exception() is not None:
            submitting.cancel()
            raise
        raise await _cancelled(client, submitting.result()) from None


async def _cancelled(client: Client, jobs: list[str]) -> JobCancelledError:
    """Cancel jobs; what to say of it."""
    for job in jobs:
        with contextlib.suppress(BridgeError):  # one may have ended meanwhile
            await client.cancel(job)
    were = "was" if len(jobs) == 1 else "were"
    return JobCancelledError(f"{' and '.join(jobs)} {were} cancelled")


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
                raise _JobFailedError(event["code"], event["message"], event.get("hint", ""))
            case "cancelled":
                raise JobCancelledError(f"{job} was cancelled")
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
