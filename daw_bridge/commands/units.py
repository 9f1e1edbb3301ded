"""The service files of the user's own service managers: systemd and launchd. Text only, no I/O.

Both start the daemon with the session, start it again when it dies, and take away what it does not
need. Left as it is: write and execute rights of memory, which the engine's libraries compile into,
and the folders that are seen, because clips may lie anywhere under the allowed roots.
"""

from __future__ import annotations

import plistlib
from collections.abc import Sequence

NAME = "daw-bridge"
MARK = "Written by `daw-bridge service install`."
STOP_TIMEOUT_S = 20
_NICE = 5  # the DAW goes first
_UMASK = 0o077

_UNIT = """\
# {mark}
[Unit]
Description=daw-bridge, a companion for your DAW

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=2
TimeoutStopSec={stop_timeout_s}
Nice={nice}
UMask={umask:04o}
NoNewPrivileges=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""


def systemd_unit(command: Sequence[str]) -> str:
    """A unit for `systemd --user`."""
    return _UNIT.format(
        mark=MARK,
        command=" ".join(map(_systemd_word, command)),
        stop_timeout_s=STOP_TIMEOUT_S,
        nice=_NICE,
        umask=_UMASK,
    )


def launchd_plist(command: Sequence[str]) -> str:
    """A property list for launchd, as an agent of the user."""
    values = {
        "Label": NAME,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": STOP_TIMEOUT_S,
        "ProcessType": "Adaptive",
        "Nice": _NICE,
        "Umask": _UMASK,
    }
    head, _, rest = plistlib.dumps(values, sort_keys=False).decode().partition("\n")
    return f"{head}\n<!-- {MARK} -->\n{rest}"


def _systemd_word(word: str) -> str:
    """One argument as systemd reads it: quoted, specifiers and variables taken literally."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'
