"""A clip that the embedded engine can read, and the fixtures of the daemon's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.daw_bridge.conftest import clip, make_config

__all__ = ["clip", "groove", "make_config"]

RATE_HZ = 44_100
BPM = 120.0


@pytest.fixture
def groove(tmp_path: Path) -> Path:
    """One bar of tones at 120 bpm, a blank in its name, where a daemon may read."""
    folder = tmp_path / "clips"
    folder.mkdir(exist_ok=True)
    path = folder / "my groove.wav"
    beat_samples = round(60 / BPM * RATE_HZ)
    time_s = np.arange(beat_samples) / RATE_HZ
    beat = 0.4 * np.exp(-20 * time_s) * np.sin(2 * np.pi * 220 * time_s)
    soundfile.write(path, np.tile(beat, 4)[:, None].repeat(2, axis=1), RATE_HZ, subtype="PCM_16")
    return path
