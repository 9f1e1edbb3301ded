"""The abstractions in a real Pure Data, without sound or screen, against a real daemon."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.commands.surroundings import clients
from daw_bridge.config import Config
from daw_bridge.protocol.table import COMMAND_BY_NAME
from daw_bridge.registration import ServerInfo, announce
from daw_bridge.takes.store import TakeStore
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import ROOT, served
from tests.plugins.lines import Lines, saying

PLUGIN = ROOT / "plugins" / "puredata"
pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(not shutil.which("pd"), reason="Pure Data is not installed"),
]

# What a musician would patch around the two abstractions, and a socket in place of a hand.
_PATCH = """#N canvas 0 0 450 300 12;
#X declare -path {plugin};
#X obj 300 10 declare -path {plugin};
#X obj 10 10 netreceive {port};
#X obj 10 40 dawbridge;
#X obj 10 80 t s s;
#X obj 10 110 dawbridge-play~;
#X obj 80 110 print PATH;
#X obj 180 80 print FRACTION;
#X obj 280 80 print ANSWER;
#X obj 60 150 print LENGTH;
#X obj 300 110 loadbang;
#X obj 300 140 print READY;
#X connect 1 0 2 0;
#X connect 2 0 3 0;
#X connect 2 1 6 0;
#X connect 2 2 7 0;
#X connect 3 0 4 0;
#X connect 3 1 5 0;
#X connect 4 2 8 0;
#X connect 9 0 10 0;
"""


class Pd:
    """A running Pd: messages go in as a musician would click them, prints come out."""

    def __init__(self, lines: Lines, to_patch: socket.socket) -> None:
        self.lines = lines
        self._to_patch = to_patch

    def say(self, message: str) -> None:
        self._to_patch.sendall(f"{message};\n".encode())

    def until(self, words: str) -> str:
        return self.lines.until(words)


@contextmanager
def pure_data(tmp_path: Path, home: Path) -> Iterator[Pd]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    patch = tmp_path / "test.pd"
    patch.write_text(_PATCH.format(plugin=PLUGIN, port=port))
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", "-nrt", "-open", str(patch)]
    with saying(command, {**os.environ, "HOME": str(home)}) as lines:
        lines.until("READY: bang")
        with socket.create_connection(("127.0.0.1", port)) as to_patch:
            yield Pd(lines, to_patch)


def pd_text(path: Path | str) -> str:
    return str(path).replace(" ", "\\ ")


@pytest.fixture
def pd(tmp_path: Path) -> Iterator[Pd]:
    """Pd whose home is where the data folder of `make_config` is not."""
    (tmp_path / "home").mkdir()
    with pure_data(tmp_path, tmp_path / "home") as running:
        yield running


def test_an_extension_end_to_end_with_the_embedded_engine(tmp_path: Path, groove: Path) -> None:
    """The data folder is found in the home folder, and the file that comes out is the take."""
    data_dir = tmp_path / "home" / ".local" / "share" / "daw-bridge"
    values = {"port": 0, "osc_port": 0, "data_dir": data_dir, "roots": [tmp_path]}
    config = Config.load(values, environment={})
    with (
        served(config),
        pure_data(tmp_path, tmp_path / "home") as pd,
    ):
        pd.say(f"extend source {pd_text(groove)} bars 1 bpm 120 refine 0 steps 2 seed 3")
        assert pd.until("ANSWER: accepted").split()[-1] == "j-0001"
        pd.until("FRACTION: 1")
        path = Path(pd.until("PATH: symbol").removeprefix("PATH: symbol ").replace("\\ ", " "))
        length = float(pd.until("LENGTH: ").split()[-1])
        assert "Pure Data" in [check.found for check in clients(config)]
        (take,) = TakeStore(data_dir / "takes").list(9)
        assert (str(path), take.task) == (take.main.path, "extend")
        assert TakeStore(data_dir / "takes").recipe(take.id)["request"]["seed"] == 3
    made, _ = soundfile.read(path, dtype="int16")
    source, rate_hz = soundfile.read(groove, dtype="int16")
    assert length == len(made) == len(source) + round(2.0 * rate_hz)
    kept = len(source) - rate_hz // 10
    assert np.array_equal(made[:kept], source[:kept])


def test_tasks_progress_cancel_and_refusals(
    pd: Pd, make_config: MakeConfig, tmp_path: Path, clip: str
) -> None:
    config = make_config()
    with served(config) as app:
        pd.say(f"server {pd_text(config.data_dir / 'server.json')}")
        takes = []
        for task in ("loop source {} bars 2 bpm 97.5", "inpaint source {} start 0.5 end 1.25"):
            pd.say(task.format(pd_text(clip)))
            assert "accepted" in pd.until("ANSWER: ")
            assert pd.until("FRACTION: ") == "FRACTION: 0.25"
            takes.append(pd.until("PATH: symbol"))
        pd.say("generate seconds 0.1 prompt stems=drums\\,bass stems 0")
        pd.until("ANSWER: stem j-0003 drums")
        pd.until("PATH: ")
        pd.say(f"melody melody {pd_text(clip)} seconds 0.1 roles drums\\,bass")
        pd.until("PATH: ")
        pd.say("generate seconds 0.1 prompt sleep=60")
        pd.until("FRACTION: 0.25")
        pd.say("cancel")
        pd.until("ANSWER: cancelled")
        pd.say("extend bars 4")
        assert pd.until("dawbridge: error:") == (
            "dawbridge: error: bad_request: extend needs source ()"
        )
        pd.say("generate")
        assert "give either seconds or bars" in pd.until("dawbridge: error:")
        pd.say("cancel j-0999")
        assert "not_found" in pd.until("dawbridge: error:")
        pd.say("ping")
        pd.until("ANSWER: pong")
        recipes = TakeStore(app.config.data_dir / "takes")
        made = {take.task: recipes.recipe(take.id)["request"] for take in recipes.list(9)}
    assert made["loop"]["bpm"] == 97.5
    assert made["inpaint"]["source"] == clip
    assert made["melody"]["roles"] == ["drums", "bass"]


def test_a_daemon_that_comes_goes_and_comes_back(
    pd: Pd, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Another port and another token each time; what Pd is told to read is read anew."""
    pd.say("ping")
    assert "no daemon is running (start it with daw-bridge serve)" in pd.until("dawbridge: error")
    for name in ("one", "two"):
        config = make_config(data_dir=tmp_path / name)
        pd.say(f"server {config.data_dir / 'server.json'}")
        pd.say("ping")
        pd.until("no daemon is running")
        with served(config):
            pd.say("ping")
            pd.until("ANSWER: pong")


@pytest.mark.slow
def test_a_daemon_that_is_silent_is_told(pd: Pd, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        announce(tmp_path, ServerInfo("ws://127.0.0.1:1/ws", port, 1, "a-token", port))
        pd.say(f"server {tmp_path / 'server.json'}")
        pd.say("ping")
        assert "does daw-bridge serve run?" in pd.until("no answer yet")
        assert b"a-token" in deaf.recv(2000)


def test_the_help_patch_says_what_the_protocol_knows() -> None:
    said = set()
    for line in (PLUGIN / "dawbridge-help.pd").read_text(encoding="utf-8").splitlines():
        words = re.sub(r"\\ ", "_", line.removesuffix(";")).split()
        if words[:2] != ["#X", "msg"] or len(words) < 6 or words[4] not in COMMAND_BY_NAME:
            continue
        known = {field.name for field in COMMAND_BY_NAME[words[4]].fields}
        assert set(words[5::2]) <= known, line
        assert len(words[5:]) % 2 == 0, line
        said.add(words[4])
    assert said == {"extend", "loop", "inpaint", "melody", "generate"}


def test_the_help_patch_opens_without_a_complaint(tmp_path: Path) -> None:
    patch = tmp_path / "open.pd"
    patch.write_text(
        "#N canvas 0 0 200 200 12;\n#X obj 10 10 loadbang;\n#X obj 10 40 print READY;\n"
        "#X connect 0 0 1 0;\n"
    )
    files = [part for name in sorted(PLUGIN.glob("*.pd")) for part in ("-open", str(name))]
    command = ["pd", "-nogui", "-noaudio", "-nomidi", "-stderr", "-nrt", *files]
    with saying([*command, "-open", str(patch)], {**os.environ, "HOME": str(tmp_path)}) as lines:
        lines.until("READY")
    assert lines.heard == ["READY: bang"]


_ROUNDS = """#N canvas 0 0 450 300 12;
#X declare -path {plugin};
#X obj 300 10 declare -path {plugin};
#X obj 10 10 loadbang;
#X obj 10 40 t b b b b;
#X msg 10 70 symbol {take};
#X msg 10 100 loop;
#X obj 10 130 dawbridge-play~;
#X obj 10 160 writesf~ 2;
#X msg 200 70 open -bytes 4 {out} \\, start;
#X obj 300 40 delay {ms};
#X obj 300 70 t b b;
#X msg 300 100 stop;
#X obj 350 100 delay 60000;
#X msg 350 130 \\; pd quit;
#X connect 1 0 2 0;
#X connect 2 3 3 0;
#X connect 2 2 7 0;
#X connect 2 1 4 0;
#X connect 2 0 8 0;
#X connect 3 0 5 0;
#X connect 4 0 5 0;
#X connect 5 0 6 0;
#X connect 5 1 6 1;
#X connect 7 0 6 0;
#X connect 8 0 9 0;
#X connect 9 1 10 0;
#X connect 9 0 11 0;
#X connect 10 0 6 0;
#X connect 11 0 12 0;
"""


@pytest.mark.parametrize("channels", [1, 2])
def test_rounds_of_a_loop_follow_each_other_to_the_sample(tmp_path: Path, channels: int) -> None:
    """Also where a round is no whole number of Pd's blocks of 64 samples."""
    length, seconds = 10_007, 2
    rng = np.random.default_rng(0)
    take, out = tmp_path / "take.wav", tmp_path / "out.wav"
    wave = rng.uniform(-0.5, 0.5, (length, channels)).astype(np.float32)
    soundfile.write(take, wave, 44_100, subtype="FLOAT")
    patch = tmp_path / "rounds.pd"
    patch.write_text(_ROUNDS.format(plugin=PLUGIN, take=take, out=out, ms=1000 * seconds))
    command = ["pd", "-nogui", "-batch", "-r", "44100", "-stderr", "-send", "pd dsp 1"]
    subprocess.run([*command, "-open", str(patch)], timeout=60, check=True, capture_output=True)
    heard, _ = soundfile.read(out, dtype="float32", always_2d=True)
    assert len(heard) > 0.9 * seconds * 44_100
    expected = wave[np.arange(len(heard)) % length]
    assert np.array_equal(heard, np.broadcast_to(expected, heard.shape))
