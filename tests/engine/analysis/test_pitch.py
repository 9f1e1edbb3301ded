"""Constant-Q, key and melody accuracy against tones that are known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analysis.constant_q import C1_HZ, chroma, constant_q
from engine.analysis.key import estimate_key, key_of_profile
from engine.analysis.melody import melody_accuracy
from tests.engine.analysis.signals import notes

RATE = 22_050
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 11)


@pytest.mark.parametrize("pitch", [36, 47, 60, 69, 74])
def test_a_tone_has_its_amplitude_in_its_bin(pitch: int) -> None:
    time = np.arange(2 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
    spectrum = constant_q(tone, RATE, low_octave=2, octaves=5, hop=1024)
    middle = spectrum[len(spectrum) // 2]
    assert middle.argmax() == 3 * (pitch - 36) + 1
    assert middle.max() == pytest.approx(0.5, rel=0.05)
    # Two semitones away the Hann window's lobe is over.
    far = np.abs(np.arange(len(middle)) - middle.argmax()) > 6
    assert middle[far].max() < 0.01


def test_middle_c_is_where_midi_has_it() -> None:
    middle_c = C1_HZ * 8
    assert middle_c == pytest.approx(261.6256, abs=1e-3)


@pytest.mark.parametrize("cents", [-30, 0, 30])
def test_chroma_follows_the_tuning(cents: float) -> None:
    time = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * 2 ** (cents / 1200) * time)
    found = chroma(constant_q(tone, RATE, low_octave=2, octaves=5, hop=1024))
    assert (found[5:-5].argmax(axis=1) == 9).all()


@pytest.mark.parametrize("tonic", range(12))
def test_scales_and_cadences(tonic: int) -> None:
    for mode, scale in (("major", MAJOR), ("minor", MINOR)):
        third = scale[2]
        melody = [60 + tonic + d for d in (*scale, 12, 7, third, 0)]
        key = estimate_key(notes(melody), 44_100)
        assert (key.tonic, key.mode) == (tonic, mode)
        chords = [(0, third, 7), (5, 5 + third, 12), (7, 11, 14), (0, third, 7)]
        voices = [notes([48 + tonic + chord[i] for chord in chords]) for i in range(3)]
        key = estimate_key(sum(voices), 44_100)
        assert (key.tonic, key.mode) == (tonic, mode)
        assert key.confidence > 0.3


def test_names_and_doubts() -> None:
    assert str(estimate_key(notes([69, 72, 76, 69, 71, 68, 69]), 44_100)) == "A minor"
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 132_300))
    assert estimate_key(noise, 44_100).confidence < 0.15
    assert estimate_key(np.zeros((2, 44_100)), 44_100).confidence == 0.0
    assert estimate_key(np.zeros((2, 100)), 44_100).confidence == 0.0
    assert key_of_profile(np.ones(12)).confidence == 0.0


PITCHES = [60, 64, 67, 71, 74, 69]


def tune(times: np.ndarray) -> np.ndarray:
    """The pitches of PITCHES, 0.4 s each, then nothing."""
    index = np.floor(times / 0.4).astype(int)
    return np.where(index < len(PITCHES), np.array([*PITCHES, 0])[np.minimum(index, 6)], -1)


def test_melody_accuracy_of_the_melody_itself() -> None:
    samples = notes(PITCHES)
    assert melody_accuracy(samples, 44_100, tune) > 0.9
    bass = 2 * notes([36] * 6)  # below middle C it does not count
    assert melody_accuracy(samples + bass, 44_100, tune) > 0.8


def test_melody_accuracy_of_other_sounds() -> None:
    shifted = notes([p + 1 for p in PITCHES])
    assert melody_accuracy(shifted, 44_100, tune) < 0.1
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 44_100 * 10))
    assert melody_accuracy(noise, 44_100, lambda t: 60 + (t * 2).astype(int) % 12) < 0.2
    assert melody_accuracy(np.zeros((1, 44_100)), 44_100, tune) == 0.0
    assert melody_accuracy(samples := notes(PITCHES), 44_100, lambda t: np.full(len(t), -1)) is None
    assert samples.shape[0] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_librosa_hears_the_same_chroma() -> None:
    librosa = pytest.importorskip("librosa")
    mono = notes(PITCHES, rate=RATE)[0]
    own = chroma(constant_q(mono, RATE, low_octave=2, octaves=6, hop=512)).argmax(axis=1)
    other = librosa.feature.chroma_cqt(y=mono, sr=RATE, hop_length=512, tuning=0.0).argmax(axis=0)
    assert np.mean(own == other[: len(own)]) > 0.9
