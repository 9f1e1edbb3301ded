"""A stream of the daemon, played through PipeWire's JACK, recorded by Ardour in an armed track."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.client import Client
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.served import ROOT, served

_HERE = Path(__file__).parent
_PROGRAMS = ("ardour7-lua", "pipewire", "pw-jack", "pw-metadata")
_MISSING = [name for name in _PROGRAMS if shutil.which(name) is None]
_PATIENCE_S = 60.0
_JACK = ["pw-jack", "-s", "48000", "-p", "1024"]

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
    pytest.mark.skipif(find_spec("jack") is None, reason="the wheel JACK-Client is not installed"),
]


@pytest.fixture
def sound_server() -> Iterator[dict[str, str]]:
    """A PipeWire of our own without a sound card; the environment of its clients."""
    # Its socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "HOME": folder}
        with subprocess.Popen(
            ["pipewire"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _wait_for(Path(folder) / "pipewire-0", process)
                for name, value in (("rate", 48_000), ("quantum", 1024)):
                    subprocess.run(
                        ["pw-metadata", "-n", "settings", "0", f"clock.force-{name}", str(value)],
                        env=environment,
                        check=True,
                        capture_output=True,
                        timeout=_PATIENCE_S,
                    )
                yield environment
            finally:
                process.kill()


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not path.exists():
        assert process.poll() is None, f"{process.args!r} has ended"
        assert time.monotonic() < end_s, f"{path} is not there"
        time.sleep(0.02)


async def _made(url: str, token: str) -> str:
    async with Client(url, token) as client:
        job = await client.submit({"task": "generate", "seconds": 3.0, "seed": 5})
        return str((await client.result(job))["take"])


def test_a_stream_is_recorded_to_the_sample(
    make_config: MakeConfig, sound_server: dict[str, str], tmp_path: Path
) -> None:
    with (
        served(make_config()) as app,
        (tmp_path / "ardour.log").open("wb+") as log,
        subprocess.Popen(
            [*_JACK, "ardour7-lua", _HERE / "record.lua"],
            env={**sound_server, "WORK": str(tmp_path)},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as ardour,
    ):
        try:
            take = asyncio.run(_made(app.url, app.token))
            _wait_for(tmp_path / "rolling", ardour)
            told = subprocess.run(
                [*_JACK, sys.executable, _HERE / "stream_to_jack.py", app.url, app.token, take],
                env={**sound_server, "PYTHONPATH": str(ROOT)},
                check=False,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
            )
            assert told.stdout == "UNDERRUNS 0\n", told.stdout + told.stderr
            (tmp_path / "done").touch()
            assert ardour.wait(_PATIENCE_S) == 0
        finally:
            ardour.kill()
            log.seek(0)
            said = log.read().decode()
        (path,) = (tmp_path / "data" / "takes" / take).glob("*.wav")
    ((_, *recorded),) = (
        line.split("\t") for line in said.splitlines() if line.startswith("REGION\t")
    )
    sent, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert len(recorded) == sent.shape[1]
    for channel, name in enumerate(recorded):
        heard, rate_hz = soundfile.read(name, dtype="float32")
        assert rate_hz == 48_000
        first, wanted = int(np.flatnonzero(heard)[0]), sent[:, channel]
        begun = int(np.flatnonzero(wanted)[0])
        same = heard[first : first + len(wanted) - begun]
        assert np.array_equal(same, wanted[begun:])
