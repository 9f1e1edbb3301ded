"""Commands about takes that are there: list, rate, export, remove, restore.

Part of the composition root, as `service.py` is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daw_bridge.config import Config
from daw_bridge.exports import export_request, exports_folder, run_export
from daw_bridge.intake.paths import resolve_folder
from daw_bridge.intake.room import check_room
from daw_bridge.protocol.messages import Call, Peer, failed, reply
from daw_bridge.protocol.table import COMMAND_BY_NAME
from daw_bridge.takes.keeping import Keeper, Usage
from daw_bridge.takes.store import Take, TakeStore
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

MAX_EXPORTS = 32  # that wait or run
_AT_A_TIME = 2
_PAUSE_TIMES = 20
_TIDY_EVERY_S = 3600.0


class TakeCommands:
    """The commands, and the room that takes have.

    Attributes:
        usage: what takes and trash take, when it was last looked at.
    """

    def __init__(self, config: Config, takes: TakeStore) -> None:
        self._config = config
        self._takes = takes
        self._keeper = Keeper(takes, config.max_takes_bytes, config.trash_days)
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._exports: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.usage = Usage()

    async def list(self, call: Call, peer: Peer) -> None:
        """Answer `takes`."""
        wanted, limit = call.get("take"), call.get("limit")
        if call.get("trash"):
            removed = await asyncio.to_thread(self._takes.removed, limit)
            entries = [{**take.summary(), "removed": when} for take, when in removed]
            peer.send(reply(call.id, "takes", takes=entries))
            return
        if wanted is None:
            takes = await asyncio.to_thread(self._takes.list, limit)
            peer.send(reply(call.id, "takes", takes=[take.summary() for take in takes]))
            return
        take = await asyncio.to_thread(self._takes.get, wanted)
        fields = await asyncio.to_thread(done_fields, self._takes, take)
        peer.send(reply(call.id, "takes", takes=[{**take.summary(), **fields}]))

    async def rate(self, call: Call, peer: Peer) -> None:
        """Answer `rate`."""
        take = call.get("take")
        rating = await asyncio.to_thread(self._takes.rate, take, call.values)
        peer.send(reply(call.id, "rated", take=take, **rating.to_mapping()))

    async def remove(self, call: Call, peer: Peer) -> None:
        """Answer `remove`."""
        take = call.get("take")
        await asyncio.to_thread(self._takes.remove, take)
        _log.info("%s is in the trash", take)
        self.usage = await asyncio.to_thread(self._keeper.tidy)
        peer.send(reply(call.id, "removed", take=take, **asdict(self.usage)))

    async def restore(self, call: Call, peer: Peer) -> None:
        """Answer `restore`."""
        take = await asyncio.to_thread(self._takes.restore, call.get("take"))
        _log.info("%s is back from the trash", take.id)
        self.usage = await asyncio.to_thread(self._keeper.usage)
        told = {"take": take.id, "path": take.main.path, **asdict(self.usage)}
        peer.send(reply(call.id, "restored", **told))

    async def export(self, call: Call, peer: Peer) -> None:
        """Begin an export; it is answered when the file is there, and nobody waits for it here.

        Raises:
            BridgeError: `not_found`, `bad_request`, `forbidden`, `too_large` with too many at a
                time, `unavailable` on a full disk.
        """
        if len(self._exports) >= MAX_EXPORTS:
            raise BridgeError("too_large", f"{MAX_EXPORTS} exports wait", "wait for one of them")
        request = await asyncio.to_thread(self._export_request, call)
        task = asyncio.create_task(self._export(call.id, request, peer), name="export")
        self._exports.add(task)
        task.add_done_callback(self._exports.discard)

    def _export_request(self, call: Call) -> dict[str, Any]:
        values = {f.name: call.get(f.name) for f in COMMAND_BY_NAME[call.command].fields}
        item = self._takes.get(values["take"]).file(values["stem"])
        folder = self._folder(values["folder"])
        try:
            size_bytes = Path(item.path).stat().st_size
        except OSError as error:
            problem = f"{item.path} cannot be read: {error.strerror}"
            raise BridgeError("not_found", problem, "render the take again") from None
        check_room(folder, size_bytes, self._config.min_free_disk_bytes)
        return export_request(item, values, folder)

    def _folder(self, named: str | None) -> Path:
        """Where an export goes, links resolved; the daemon's own folders are not for it."""
        data_dir = self._config.data_dir
        exports = exports_folder(data_dir)
        if named is None:
            return exports
        folder = resolve_folder(named, self._config.allowed_roots)
        if folder.is_relative_to(data_dir.resolve()) and not folder.is_relative_to(exports):
            problem = f"{folder} is the daemon's own"
            raise BridgeError("forbidden", problem, f"{exports} is for exports")
        return folder

    async def _export(self, call_id: str, request: dict[str, Any], peer: Peer) -> None:
        try:
            async with self._turns:
                told = await run_export(request, self._config.allowed_roots)
        except BridgeError as error:
            peer.send(failed(call_id, error))
        except asyncio.CancelledError:
            stopped = BridgeError("unavailable", "the daemon stops", "export again")
            peer.send(failed(call_id, stopped))
            raise
        else:
            _log.info("exported %s", told["path"])
            peer.send(reply(call_id, "exported", **told))

    async def keep_tidy(self) -> None:
        """Tidy at the start, after each new take and every hour, until cancelled."""
        while True:
            self._changed.clear()
            begun_s = time.monotonic()
            try:
                self.usage = await asyncio.to_thread(self._keeper.tidy)
            except OSError as error:  # the folder of takes may have been moved away
                _log.warning("the takes cannot be tidied: %s", error)
            # Thousands of takes are looked through for a while: not again and again.
            await asyncio.sleep(_PAUSE_TIMES * (time.monotonic() - begun_s))
            try:
                async with asyncio.timeout(_TIDY_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def changed(self) -> None:
        """There is a new take."""
        self._changed.set()

    async def close(self) -> None:
        """End the exports that run; their files are there whole, or not at all."""
        tasks = list(self._exports)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def done_fields(takes: TakeStore, take: Take) -> dict[str, Any]:
    """What the event `done` says of a take."""
    return {
        "take": take.id,
        "path": take.main.path,
        "files": [asdict(item) for item in take.files],
        **take.place,
        "report": takes.report(take.id),
        "recipe": takes.recipe(take.id),
    }
