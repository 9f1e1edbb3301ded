"""A file through the codec and back, as `scripts/roundtrip` does it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from roundtrip_run import main


def _write(path: Path, samples: int, rate_hz: int, channels: int) -> None:
    time_s = np.arange(samples) / rate_hz
    tone = 0.3 * np.sin(2 * np.pi * 440 * time_s)
    pan = np.linspace(1.0, 0.2, channels)
    soundfile.write(path, tone[:, None] * pan, rate_hz, subtype="PCM_24")


@pytest.mark.parametrize(
    ("samples", "rate_hz", "channels"),
    [(4_411, 44_100, 2), (20_001, 44_100, 2), (30_011, 48_000, 1), (9_999, 22_050, 2)],
)
def test_any_file_comes_back_as_long(
    tmp_path: Path, samples: int, rate_hz: int, channels: int
) -> None:
    _write(tmp_path / "in.wav", samples, rate_hz, channels)
    assert main([str(tmp_path / "in.wav"), str(tmp_path / "out.wav")]) == 0
    info = soundfile.info(tmp_path / "out.wav")
    assert (info.frames, info.samplerate, info.channels) == (samples, rate_hz, channels)


def test_the_image_is_kept(tmp_path: Path) -> None:
    _write(tmp_path / "in.wav", 40_000, 44_100, 2)
    main([str(tmp_path / "in.wav"), str(tmp_path / "out.wav")])
    before, after = (soundfile.read(tmp_path / name)[0] for name in ("in.wav", "out.wav"))
    levels_db = [20 * np.log10(wave.std(axis=0)) for wave in (before, after)]
    assert np.abs(levels_db[0] - levels_db[1]).max() < 1.5


def test_what_it_cannot_do_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path / "in.wav", 100, 44_100, 2)
    assert main([str(tmp_path / "no.wav"), str(tmp_path / "out.wav")]) == 2
    assert main([str(tmp_path / "in.wav"), str(tmp_path / "out.wav"), "--model", "none"]) == 2
    assert "no model 'none'" in capsys.readouterr().err
