"""The class in a real sclang, against a real daemon; the server reads what came back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.config import Config
from daw_bridge.registration import ServerInfo, announce
from daw_bridge.takes.store import TakeStore
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import ROOT, served
from tests.plugins.lines import Lines, saying

PLUGIN = ROOT / "plugins" / "supercollider"
pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(not shutil.which("sclang"), reason="SuperCollider is not installed"),
]
_OVER = '{ |job| ("OVER" + job.state + job.take + job.path).postln; %s }'


@contextmanager
def sclang(tmp_path: Path, code: str, **variables: object) -> Iterator[Lines]:
    """The language with our class, running this code."""
    settings = tmp_path / "sclang.yaml"
    settings.write_text(f"includePaths: [{PLUGIN}]\nexcludePaths: []\npostInlineWarnings: false\n")
    script = tmp_path / "test.scd"
    script.write_text(f"(\n{code}\n)\n")
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(runtime),
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",
        **{name: str(value) for name, value in variables.items()},
    }
    with saying(["sclang", "-l", str(settings), str(script)], environment) as lines:
        yield lines


def test_an_extension_end_to_end_with_the_embedded_engine(tmp_path: Path, groove: Path) -> None:
    """The data folder is found by the environment, and the file that comes out is the take."""
    data_dir = tmp_path / "share" / "daw-bridge"
    values = {"port": 0, "osc_port": 0, "data_dir": data_dir, "roots": [tmp_path]}
    code = f"""
        var bridge = DawBridge.new;
        bridge.extend("{groove}", [bars: 1, bpm: 120, refine: 0, steps: 2, seed: 3], {{ |job|
            var file = SoundFile.openRead(job.path);
            ("OVER" + job.state + file.numFrames + job.path).postln;
        }}, {{ |job| ("PROGRESS" + job.stage + job.fraction).postln }});
    """
    with (
        served(Config.load(values, environment={})),
        sclang(tmp_path, code, XDG_DATA_HOME=tmp_path / "share") as said,
    ):
        said.until("PROGRESS draft")
        _, state, frames, path = said.until("OVER ").split(" ", 3)
        (take,) = TakeStore(data_dir / "takes").list(9)
    assert (state, path, take.task) == ("done", take.main.path, "extend")
    made, _ = soundfile.read(path, dtype="int16")
    source, rate_hz = soundfile.read(groove, dtype="int16")
    assert int(frames) == len(made) == len(source) + round(2.0 * rate_hz)
    kept = len(source) - rate_hz // 10
    assert np.array_equal(made[:kept], source[:kept])


def test_tasks_cancel_and_refusals(make_config: MakeConfig, tmp_path: Path, clip: str) -> None:
    config = make_config()
    code = f"""
        var bridge = DawBridge("{config.data_dir / "server.json"}");
        Routine {{
            var job, tell = {_OVER % ""};
            job = bridge.loop("{clip}", [bars: 2, bpm: 97.5], tell);
            job.wait;
            job.rerender([seed: 5], tell).wait;
            bridge.inpaint("{clip}", 0.5, 1.25, [], tell).wait;
            job = bridge.melody("{clip}",
                [seconds: 0.1, roles: ["drums", "bass"], stems: true], tell);
            job.wait;
            ("STEMS" + job.stems.keys.asArray.sort).postln;
            bridge.accompany("{clip}", [], tell).wait;
            bridge.vary("{clip}", [fresh: 0.25], tell).wait;
            job = bridge.generate("sleep=60", [seconds: 1], tell, {{ |job| job.cancel }});
            job.wait;
            bridge.extend("{clip}", [], tell).wait;
            bridge.ask(\\cancel, [job: "j-0999"]);
            bridge.ask(\\ping, [], {{ |reply| ("HEARD" + reply).postln }});
        }}.play;
    """
    with served(config) as app, sclang(tmp_path, code) as said:
        for _ in range(3):
            said.until("OVER done")
        assert said.until("STEMS") == "STEMS [ bass, drums, mix ]"
        for _ in range(2):
            said.until("OVER done")
        said.until("OVER cancelled nil nil")
        refusal = said.until("ERROR: DawBridge")
        assert refusal.startswith("ERROR: DawBridge: bad_request: extend needs a length")
        assert refusal.endswith("(give either seconds or bars)")
        said.until("OVER failed")
        said.until("ERROR: DawBridge: not_found")
        said.until("HEARD pong")
        takes = TakeStore(app.config.data_dir / "takes")
        made = [(take.task, takes.recipe(take.id)["request"]) for take in takes.list(9)]
    requests = dict(made)
    assert [task for task, _ in made] == ["vary", "accompany", "melody", "inpaint", "loop", "loop"]
    assert (requests["inpaint"]["start"], requests["inpaint"]["end"]) == (0.5, 1.25)
    assert requests["melody"]["roles"] == ["drums", "bass"]
    assert made[-1][1]["bpm"] == 97.5
    assert [request["seed"] for task, request in made if task == "loop"] == [5, 0]


def test_no_daemon_and_a_silent_one(tmp_path: Path) -> None:
    announce(tmp_path, ServerInfo("ws://127.0.0.1:1/ws", 9, 1, "a-token", 9))
    code = f"""
        DawBridge.answerTimeoutS = 0.2;
        Routine {{
            DawBridge("{tmp_path}/none.json").generate("house", [bars: 1], {_OVER % ""}).wait;
            d = DawBridge("{tmp_path}/server.json");
            d.generate("house", [bars: 1], {_OVER % '("LEFT" + d.jobs.size).postln'});
        }}.play;
    """
    with sclang(tmp_path, code) as said:
        assert "no daemon is running (start daw-bridge serve)" in said.until("ERROR: DawBridge")
        said.until("OVER failed nil nil")
        assert "the daemon does not answer" in said.until("ERROR: DawBridge")
        said.until("OVER failed nil nil")
        said.until("LEFT 0")  # an answer that comes too late finds nobody


@contextmanager
def jack(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A JACK server without a sound card, and the environment of its clients."""
    name = f"daw-bridge-test-{os.getpid()}"
    environment = {"JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1"}
    command = ["jackd", "--no-realtime", "-n", name, "-d", "dummy", "-r", "44100", "-p", "1024"]
    with saying(command, {**os.environ, **environment}) as said:
        said.until("JACK server starting")
        yield environment


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("scsynth") and shutil.which("jackd")), reason="scsynth or jackd is missing"
)
def test_a_buffer_of_the_server_holds_the_take(
    make_config: MakeConfig, tmp_path: Path, clip: str
) -> None:
    config = make_config()
    code = f"""
        Server.default.waitForBoot({{
            var bridge = DawBridge("{config.data_dir / "server.json"}");
            bridge.generate("house", [seconds: 0.1], {{ |job|
                job.buffer.loadToFloatArray(action: {{ |samples|
                    ("FIRST" + samples.keep(8).join(" ")).postln;
                    // It holds our pipe open otherwise.
                    Server.default.quit;
                    ("OVER" + job.buffer.numFrames + job.path).postln;
                }});
            }});
        }});
    """
    with (
        served(config),
        jack(tmp_path) as environment,
        sclang(tmp_path, code, **environment) as said,
    ):
        first = [float(word) for word in said.until("FIRST ").split()[1:]]
        _, frames, path = said.until("OVER ").split(" ", 2)
    audio, _ = soundfile.read(path)
    assert int(frames) == len(audio) == 4800
    assert np.allclose(first, audio.ravel()[:8], atol=1e-6)
