"""The script in the Pythons that Live brings: 3.7 in Live 11, 3.11 in Live 12."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daw_bridge.app import App
from tests.plugins.live.conftest import MakeSound
from tests.plugins.live.fake_live import PLUGIN

# Everything but Live's own objects: all modules are loaded, a file is cut, a job asked for.
_SCRIPT = """
import os, sys, time, types
sys.path.insert(0, sys.argv[1])
live = types.ModuleType("Live")
sys.modules["Live"] = live
from DawBridge import audio_files, clips, midi_files, surface, timeline
from DawBridge.bridge import Bridge, Reports
from DawBridge.protocol import Protocol
from DawBridge.requests import Request

source, folder = sys.argv[2:]
cutter = audio_files.Cutter(source, audio_files.read_sound(source), 10, 20_010, folder + "/cut.wav")
line = timeline.Timeline.steady(97.5)
assert timeline.shown_bpm(line.bpm(0.0, 8.0)) == 97.5 and len(line.part(0.0, 2.0)) == 2
notes = [midi_files.Note(0.0, 1.0, 60, 100)]
assert midi_files.midi_file(notes, 4.0, 97.5, (7, 8), "t").startswith(b"MThd")

class Told(Reports):
    def __init__(self):
        self.done = []
    def on_done(self, job, values):
        self.done.append(values)
    def on_failed(self, job, refusal):
        raise SystemExit(str(refusal))

told = Told()
bridge = Bridge(Protocol.load(), told, "test")
fields = {"source": cutter.path, "bars": 1.0, "bpm": 97.5, "takes": 2, "prompt": "d\\u00fcster"}
bridge.ask(Request("extend", fields, 0.0, cutter), None)
end = time.monotonic() + 60
while bridge.jobs and time.monotonic() < end:
    bridge.tick()
    time.sleep(0.01)
bridge.close()
assert len(told.done) == 2 and all(os.path.exists(done["path"]) for done in told.done), told.done
print(sys.version_info[:2], told.done[1]["take"])
"""


def old_python() -> str | None:
    """A Python 3.7, where there is one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which("python3.7"), *map(str, pyenv.glob("versions/3.7.*/bin/python"))]
    for path in filter(None, found):
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if told.stdout.startswith("Python 3.7"):
            return path
    return None


PYTHONS = [
    pytest.param(sys.executable, id="this"),
    pytest.param(
        old_python(),
        id="3.7",
        marks=pytest.mark.skipif(old_python() is None, reason="Python 3.7 is not installed"),
    ),
]


@pytest.mark.parametrize("python", PYTHONS)
def test_script_runs(daemon: App, make_sound: MakeSound, python: str) -> None:
    source = make_sound(1.0)
    ran = subprocess.run(
        [python, "-W", "error", "-c", _SCRIPT, str(PLUGIN), source, str(Path(source).parent)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("t-0002\n")


@pytest.mark.parametrize("python", PYTHONS)
def test_device_is_the_same_in_every_python(tmp_path: Path, python: str) -> None:
    made = tmp_path / "made.amxd"
    command = [python, str(PLUGIN / "make_device.py"), "--out", str(made)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ""})
    assert made.read_bytes() == (PLUGIN / "daw-bridge.amxd").read_bytes()
