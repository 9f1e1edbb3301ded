"""A daemon and the command, for scripts of REAPER."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.sources import environment_name
from tests.daw_bridge.served import ROOT, start_daemon
from tests.plugins.reaper.stage import LENGTH_S, RATE_HZ


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project's folder that a daemon may read, and the command `daw-bridge` in it."""
    folder = tmp_path_factory.mktemp("my song")
    soundfile.write(folder / "groove.wav", np.zeros((int(LENGTH_S * RATE_HZ), 2)), RATE_HZ)
    command = folder / "daw-bridge"
    variable = environment_name("data_dir")
    command.write_text(
        f'#!/bin/sh\nexport {variable}="{folder}/data" PYTHONPATH="{ROOT}"\n'
        f'exec "{sys.executable}" -m daw_bridge "$@"\n'
    )
    command.chmod(0o755)
    with start_daemon(folder / "data", roots=folder) as daemon:
        try:
            yield folder
        finally:
            daemon.terminate()
