"""Voices whose notes are known: plain, with vibrato, out of tune, in noise."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.pitch_track import track_notes

RATE_HZ = 44_100
TUNE = ((0.10, 0.60, 60), (0.60, 1.10, 62), (1.10, 1.60, 64), (1.80, 2.30, 64), (2.30, 3.10, 57))


def _voice(
    cents: float = 0.0, vibrato_cents: float = 0.0, noise_db: float = -90.0, harmonics: int = 6
) -> np.ndarray:
    """The tune in a voice of several harmonics, `[1, samples]`."""
    t = np.arange(round(3.4 * RATE_HZ)) / RATE_HZ
    pitch, gain = np.full_like(t, 60.0), np.zeros_like(t)
    for start, end, note in TUNE:
        inside = (t >= start) & (t < end)
        pitch[inside] = note
        edge = np.minimum(t[inside] - start, end - t[inside])
        gain[inside] = np.clip(edge / 0.02, 0.0, 1.0)
    pitch = pitch + (cents + vibrato_cents * np.sin(2 * np.pi * 5.5 * t)) / 100.0
    phase = 2 * np.pi * np.cumsum(440.0 * 2 ** ((pitch - 69) / 12)) / RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, harmonics + 1))
    noise = 10 ** (noise_db / 20) * np.random.default_rng(0).standard_normal(len(t))
    return (0.2 * gain * voice + noise)[None]


@pytest.mark.parametrize(
    "voice",
    [{}, {"vibrato_cents": 35.0}, {"cents": 38.0}, {"cents": -30.0, "noise_db": -45.0},
     {"harmonics": 1}],
)  # fmt: skip
def test_the_notes_of_a_voice(voice: dict[str, float]) -> None:
    notes = track_notes(_voice(**voice), RATE_HZ)  # type: ignore[arg-type]
    assert [note.pitch for note in notes] == [pitch for _, _, pitch in TUNE]
    for note, (start, end, _) in zip(notes, TUNE, strict=True):
        assert note.start_s == pytest.approx(start, abs=0.06)
        assert note.end_s == pytest.approx(end, abs=0.08)
        assert -40.0 < note.level_db <= 0.0


def test_another_rate_and_two_channels_give_the_same_notes() -> None:
    import soxr

    stereo = np.tile(soxr.resample(_voice()[0], RATE_HZ, 48_000), (2, 1))
    assert [n.pitch for n in track_notes(stereo, 48_000)] == [pitch for _, _, pitch in TUNE]


@pytest.mark.parametrize(
    "samples",
    [np.zeros((1, RATE_HZ)), np.zeros((2, 100)),
     0.1 * np.random.default_rng(1).standard_normal((1, RATE_HZ))],
)  # fmt: skip
def test_where_there_is_no_voice_there_are_no_notes(samples: np.ndarray) -> None:
    assert track_notes(samples, RATE_HZ) == ()
