"""Sounds whose tempo, key and period are known, and real loops where they are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

LOOPS = Path("/usr/share/sonic-pi/samples")


def clicks(
    bpm: float, seconds: float, rate: int = 44_100, first_s: float = 0.0, channels: int = 1
) -> np.ndarray:
    """A noise burst on every beat, the same each time, `[channels, samples]`."""
    samples = np.zeros(round(seconds * rate))
    burst = np.random.default_rng(1).standard_normal(round(0.03 * rate))
    burst *= 0.3 * np.exp(-np.arange(len(burst)) / (0.006 * rate))
    for beat in range(int(seconds * bpm / 60) + 2):
        at = round((first_s + beat * 60 / bpm) * rate)
        fits = min(len(burst), len(samples) - at)
        if fits > 0:
            samples[at : at + fits] += burst[:fits]
    return np.repeat(samples[None], channels, axis=0)


def notes(pitches: list[int], seconds_each: float = 0.4, rate: int = 44_100) -> np.ndarray:
    """Decaying tones of four harmonics one after the other, `[1, samples]`."""
    time = np.arange(round(seconds_each * rate)) / rate
    tones = []
    for pitch in pitches:
        hz = 440.0 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * h * hz * time) / h for h in range(1, 5))
        tones.append(0.15 * tone * np.exp(-3 * time) * np.minimum(1, time / 0.005))
    return np.concatenate(tones)[None]


def groove(
    bars: int, bpm: float = 120.0, rate: int = 44_100, seed: int = 3, same: bool = True
) -> np.ndarray:
    """Drums and a bass line in 4/4, stereo; every bar alike, or each with its own bass notes."""
    beat = round(60 / bpm * rate)
    generator = np.random.default_rng(seed)
    time = np.arange(beat) / rate
    kick = np.sin(2 * np.pi * 50 * time + 8 * np.exp(-time * 40)) * np.exp(-time * 12)
    snare = generator.standard_normal(beat) * np.exp(-time * 25)
    hat = np.diff(generator.standard_normal(beat), prepend=0.0) * np.exp(-time * 60)
    out = np.zeros((2, bars * 4 * beat))
    for bar in range(bars):
        pitches = [36, 39, 43, 41] if same else generator.integers(36, 60, 4)
        for step in range(4):
            at = (bar * 4 + step) * beat
            hz = 440.0 * 2 ** ((pitches[step] - 69) / 12)
            bass = 0.2 * np.sin(2 * np.pi * hz * time) * np.minimum(1, time / 0.01)
            bass *= np.minimum(1, (time[-1] - time) / 0.01)
            drum = 0.5 * (kick if step % 2 == 0 else 0.4 * snare) + 0.1 * hat
            half = np.roll(0.1 * hat, beat // 2) * (np.arange(beat) >= beat // 2)
            out[:, at : at + beat] += bass + drum + half
    out[1] *= 0.8
    return out


def real_loop(name: str) -> tuple[np.ndarray, int]:
    """A loop of the CC0 `sonic-pi-samples`, `[channels, samples]` and its rate; skips without."""
    path = LOOPS / f"{name}.flac"
    if not path.exists():
        pytest.skip("sonic-pi-samples is not installed")
    samples, rate = soundfile.read(path, always_2d=True)
    return np.ascontiguousarray(samples.T), rate
