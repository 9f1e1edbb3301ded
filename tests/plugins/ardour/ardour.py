"""Ardour's GUI on a screen that nobody sees, with our scripts installed, driven like by hand."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PLUGIN = Path(__file__).resolve().parents[3] / "plugins" / "ardour"
MISSING = [name for name in ("ardour", "ardour7-lua", "Xvfb") if shutil.which(name) is None]
PATIENCE_S = 40.0
_POLL_S = 0.02
_TIMER_BIT = 47  # of LuaTimerDS among the signals of Ardour 7, counted from the right
_SIGNALS = 49
_CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour><Config><Option name="try-autostart-engine" value="1"/>
<Option name="hide-dummy-backend" value="0"/><Option name="discover-plugins-on-start" value="0"/>
</Config><Extra><AudioMIDISetup><EngineStates><State backend="None (Dummy)" driver="Normal Speed"
 device="Silence" input-device="" output-device="" sample-rate="44100" buffer-size="1024"
 n-periods="0" input-latency="0" output-latency="0" lm-input="" lm-output="" active="1"
 use-buffered-io="0" midi-option="1 in, 1 out, Silence" lru="{now_s}"><MIDIDevices/></State>
</EngineStates></AudioMIDISetup></Extra></Ardour>
"""


@dataclass(frozen=True, slots=True)
class Region:
    """A region of a track; times in samples."""

    track: str
    name: str
    position: int
    length: int
    start: int
    paths: tuple[str, ...]


def lua(script: Path, environment: Mapping[str, str]) -> str:
    """What a script of `ardour7-lua` prints."""
    done = subprocess.run(
        ["ardour7-lua", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _install(home: Path, work: Path, actions: Sequence[Mapping[str, str]]) -> None:
    """What adding the scripts in Window > Scripting leaves behind."""
    driver = work / "driver.lua"
    driver.write_text((HERE / "driver.lua").read_text().replace("@FOLDER@", str(work)))
    packs = [
        (PLUGIN / "daw_bridge_takes.lua", "takes", "hook", "daw-bridge takes", ""),
        (driver, "driver", "hook", "test driver", ""),
    ]
    for number, given in enumerate(actions):
        arguments = ";".join(f"{key}={value}" for key, value in given.items())
        action = PLUGIN / "daw_bridge_action.lua"
        packs.append((action, f"action{number}", str(number + 1), f"action {number}", arguments))
    lines = [f"{a}\t{work / b}\t{c}\t{d}\t{e}" for a, b, c, d, e in packs]
    lua(HERE / "pack.lua", {"PACK": "\n".join(lines), "HOME": str(home)})
    bits = "".join("1" if bit == _TIMER_BIT else "0" for bit in reversed(range(_SIGNALS)))
    hooks = ""
    for number, name in enumerate(("takes", "driver")):
        code = base64.b64encode((work / name).read_bytes()).decode()
        hooks += (
            f'<LuaCallback lua="Lua 5.3" id="{4711 + number}" name="{name}" signals="{bits}">'
            f"{code}</LuaCallback>"
        )
    kept = b"scripts = {} " + b"".join(
        (work / f"action{number}").read_bytes() for number in range(len(actions))
    )
    script = base64.b64encode(kept).decode()
    folder = home / ".config" / "ardour7"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ui_scripts").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<UIScripts><ActionScript lua="Lua 5.3">{script}'
        f"</ActionScript><ActionHooks>{hooks}</ActionHooks></UIScripts>\n"
    )
    (folder / ".a7").touch()
    (folder / "config").write_text(_CONFIG.format(now_s=int(time.time())))
    (folder / "instant.xml").write_text(
        '<?xml version="1.0"?><instant><no-memory-warning/></instant>'
    )


class Ardour:
    """A running Ardour.

    Attributes:
        log: the file that it writes to.
        display: its X screen, such as `:99`.
    """

    def __init__(
        self, work: Path, process: subprocess.Popen[bytes], log: Path, display: str
    ) -> None:
        self._work = work
        self._process = process
        self.log = log
        self.display = display
        self._number = 0

    def order(self, *words: str) -> int:
        """Give an order to the driver; its number. It may wait for a dialog."""
        self._number += 1
        new = self._work / "order.new"
        new.write_text("\t".join((str(self._number), *words)) + "\n")
        new.rename(self._work / "order")
        return self._number

    def done(self, number: int) -> list[Region]:
        """The regions, once that order is done."""
        said = self._work / "said"
        end_s = time.monotonic() + PATIENCE_S
        while True:
            lines = said.read_text().splitlines() if said.exists() else []
            if lines and lines[0].startswith(f"{number}\t"):
                break
            assert self._process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < end_s, (
                f"no answer to {number}: {self.log.read_text()[-2000:]}"
            )
            time.sleep(_POLL_S)
        assert lines[0] == f"{number}\t", lines[0]
        return [read_region(line) for line in lines[1:]]

    def do(self, *words: str) -> list[Region]:
        """Give an order to the driver; the regions afterwards."""
        return self.done(self.order(*words))

    def regions_after(self, count: int) -> list[Region]:
        """The regions, once there are so many."""
        end_s = time.monotonic() + PATIENCE_S
        while len(found := self.do("report")) != count:
            assert time.monotonic() < end_s, (found, self.log.read_text()[-2000:])
            time.sleep(_POLL_S)
        return found


def read_region(line: str) -> Region:
    """A region as the driver tells it."""
    track, name, position, length, start, paths = line.split("\t")
    return Region(track, name, int(position), int(length), int(start), tuple(paths.split("|")))


@contextmanager
def running_ardour(
    work: Path, session: Path, data_dir: Path, actions: Sequence[Mapping[str, str]]
) -> Iterator[Ardour]:
    """Ardour with a session open; it and its screen end with the block."""
    home = work / "home"
    home.mkdir()
    _install(home, work, actions)
    read_end, write_end = os.pipe()
    # Of several screens at once each takes a number of its own.
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1400x900x24", "-nolisten", "tcp"],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    log = work / "ardour.log"
    try:
        with os.fdopen(read_end) as told:
            display = f":{told.readline().strip()}"
        environment = {
            **os.environ,
            "DISPLAY": display,
            "HOME": str(home),
            "ARDOUR_TRY_AUTOSTART_ENGINE": "1",
            "DAW_BRIDGE_DATA_DIR": str(data_dir),
        }
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["ardour", "-a", "-n", "-d", session],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Ardour(work, process, log, display)
        finally:
            process.kill()
            process.wait(PATIENCE_S)
    finally:
        screen.terminate()
        screen.wait(PATIENCE_S)
