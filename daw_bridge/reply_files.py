"""Replies as files, for clients that can send but not receive: the Lua of Ardour has no sockets.

The newest reply to the call `a1` lies in `replies/a1.json`; progress and previews are left out. Who
has read the last one removes the file; of those that nobody does, the newest are kept.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from pathlib import Path

from daw_bridge.owners import write_private
from daw_bridge.protocol.messages import Message
from daw_bridge.registration import make_private_folder
from engine.spec import BridgeError

_log = logging.getLogger(__name__)

MAX_FILES = 256
_NAME_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class ReplyFiles:
    """The folder of replies, readable by its owner only.

    Raises:
        BridgeError: `unavailable` when it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, None] = {}  # in the order of their last replies
        make_private_folder(folder)

    def sweep(self) -> None:
        """Remove what was never fetched; a daemon that starts answers none of those calls."""
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                path.unlink()

    def check(self, call_id: str) -> None:
        """Refuse an id that is no name of a file.

        Raises:
            BridgeError: `bad_request`.
        """
        if not _NAME_FORM.fullmatch(call_id):
            raise BridgeError(
                "bad_request",
                "with reply_file the id names a file",
                "at most 64 letters, digits, - and _",
            )

    def write(self, message: Message) -> None:
        """Replace the reply to a call, whole or not at all; a full disk loses it.

        A call whose id is no name of a file has none: what was not checked before goes nowhere.
        """
        call_id = str(message.get("id", ""))
        if not _NAME_FORM.fullmatch(call_id):
            return
        try:
            text = json.dumps(message, ensure_ascii=False) + "\n"
            write_private(self._path(call_id), text)
        except (OSError, UnicodeError) as error:
            _log.warning("the reply to %s cannot be written: %s", call_id, error)
            return
        self._written.pop(call_id, None)
        self._written[call_id] = None
        if len(self._written) > MAX_FILES:
            oldest = next(iter(self._written))
            del self._written[oldest]
            with contextlib.suppress(OSError):
                self._path(oldest).unlink(missing_ok=True)

    def _path(self, call_id: str) -> Path:
        return self._folder / f"{call_id}.json"
