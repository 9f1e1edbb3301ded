"""Exports of takes: each by a process of its own, so that none waits for a render.

Nothing is decoded here; `engine/exporting.py` does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daw_bridge.config import EXPORTS
from daw_bridge.engine_process import describe_status, export_command, spawn
from daw_bridge.takes.naming import slug
from daw_bridge.takes.store import TakeFile
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

TIMEOUT_S = 300.0
MAX_NAME_LENGTH = 120
_BITS = {"PCM_16": "16bit", "PCM_24": "24bit", "FLOAT": "float"}
_CHOICES = ("container", "sample_format", "sample_rate_hz", "gain_db", "over")


def exports_folder(data_dir: Path) -> Path:
    """Where exports go that name no folder; it is made when it is missing.

    Raises:
        BridgeError: `unavailable` when it cannot be made.
    """
    folder = data_dir / EXPORTS
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        problem = f"{folder} cannot be made: {error.strerror}"
        raise BridgeError("unavailable", problem, "name another folder") from None
    return folder.resolve()


def export_request(item: TakeFile, values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What the export process is told.

    Args:
        item: the file of the take.
        values: every field of the command `export`, defaults included.
        folder: where the new file goes, links resolved.

    Raises:
        BridgeError: `bad_request` for a name without a letter or digit.
    """
    name = slug(values["name"] or _name_of(item, values), MAX_NAME_LENGTH)
    if not name:
        raise BridgeError("bad_request", f"{values['name']!r} is no file name", "use letters")
    chosen = {key: values[key] for key in _CHOICES}
    return {"source": item.path, "folder": str(folder), "name": name, **chosen}


def _name_of(item: TakeFile, values: Mapping[str, Any]) -> str:
    """The take's own name with what is new: `groove-loop-seed7-44100Hz-16bit`."""
    rate_hz = values["sample_rate_hz"]
    rate = f"-{rate_hz}Hz" if rate_hz not in (None, item.sample_rate_hz) else ""
    return f"{Path(item.path).stem}{rate}-{_BITS[values['sample_format']]}"


async def run_export(
    request: Mapping[str, Any], roots: Sequence[Path], timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """Export in a new process; what was written, as the reply `exported` has it.

    Args:
        roots: folders under which the process may read and write.

    Raises:
        BridgeError: as the export refuses; `engine_crashed` when its process dies, `unavailable`
            when it cannot start or takes longer than `timeout_s`.
    """
    try:
        process = await spawn(export_command(roots))
    except OSError as error:
        problem = f"the export cannot start: {error.strerror}"
        raise BridgeError("unavailable", problem, "close other programs") from None
    try:
        async with asyncio.timeout(timeout_s):
            out, said = await process.communicate(json.dumps(request).encode())
    except TimeoutError:
        problem = f"the export takes longer than {timeout_s:g} s"
        raise BridgeError("unavailable", problem, "is the machine busy?") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.returncode != 0:
            _remove_part(request, process.pid)
    for line in said.decode(errors="replace").splitlines():
        _log.info("export: %s", line)
    return _answer(out, process.returncode)


def _remove_part(request: Mapping[str, Any], pid: int) -> None:
    """Remove what a process that was killed had written under a hidden name."""
    for path in Path(request["folder"]).glob(f".*.{pid}.*.part"):
        if path.name.startswith(f".{request['name']}"):
            path.unlink(missing_ok=True)


def _answer(out: bytes, status: int | None) -> dict[str, Any]:
    try:
        told = json.loads(out)
    except ValueError:
        problem = f"the export process ended with {describe_status(status)}"
        raise BridgeError("engine_crashed", problem, "is the memory short?") from None
    if (error := told.get("error")) is not None:
        raise BridgeError(**error)
    return dict(told)
