"""Drum sounds made from sines and filtered noise, one array per sound and sample rate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_ELECTRONIC_KITS = (24, 25)
_FLOOR = 1e-4
_NOISE_SEED = 7421


@dataclass(frozen=True, slots=True)
class Hit:
    """A drum: a tone falling from `start_hz` to `end_hz` and noise between two frequencies.

    `tone`, `noise` and `ring` are amplitudes; decays are time constants in seconds. `ring` adds
    inharmonic metal, `bursts` repeats the noise at the start (hands, brushes).
    """

    tone: float = 0.0
    start_hz: float = 200.0
    end_hz: float = 200.0
    sweep_s: float = 0.03
    tone_decay_s: float = 0.1
    noise: float = 0.0
    low_hz: float = 200.0
    high_hz: float = 16000.0
    noise_decay_s: float = 0.05
    ring: float = 0.0
    bursts: int = 1
    pan: float = 0.0


def _tom(hz: float, pan: float) -> Hit:
    return Hit(0.8, 1.6 * hz, hz, 0.05, 0.16, 0.12, 200, 5000, 0.03, pan=pan)


def _click(hz: float, decay_s: float, pan: float) -> Hit:
    return Hit(0.6, hz, hz, 0.01, decay_s, 0.15, 1500, 9000, 0.008, pan=pan)


def _hat(decay_s: float, pan: float = 0.25) -> Hit:
    return Hit(noise=0.4, low_hz=7000, high_hz=18000, noise_decay_s=decay_s, ring=0.25, pan=pan)


def _skin(hz: float, decay_s: float, pan: float) -> Hit:
    return Hit(0.7, 1.25 * hz, hz, 0.02, decay_s, 0.12, 800, 7000, 0.012, pan=pan)


_KICK = Hit(1.0, 160, 48, 0.025, 0.13, 0.25, 800, 5000, 0.006)
_SNARE = Hit(0.45, 260, 185, 0.02, 0.07, 0.55, 1200, 12000, 0.085, pan=0.05)
_HITS: dict[int, Hit] = {
    35: _KICK, 36: _KICK, 38: _SNARE, 40: _SNARE,
    37: _click(1700, 0.018, 0.1),
    39: Hit(noise=0.7, low_hz=900, high_hz=6000, noise_decay_s=0.07, bursts=3, pan=-0.1),
    42: _hat(0.025), 44: _hat(0.035), 46: _hat(0.22),
    41: _tom(75, 0.4), 43: _tom(90, 0.3), 45: _tom(105, 0.2), 47: _tom(130, 0.0),
    48: _tom(155, -0.2), 50: _tom(180, -0.3),
    49: Hit(noise=0.5, low_hz=3500, high_hz=18000, noise_decay_s=0.65, ring=0.2, pan=-0.3),
    57: Hit(noise=0.5, low_hz=3000, high_hz=18000, noise_decay_s=0.7, ring=0.2, pan=0.3),
    51: Hit(noise=0.2, low_hz=5000, high_hz=16000, noise_decay_s=0.25, ring=0.3, pan=-0.25),
    53: Hit(0.3, 2100, 2100, 0.01, 0.3, 0.1, 5000, 14000, 0.1, 0.3, pan=-0.25),
    54: Hit(noise=0.45, low_hz=8000, high_hz=18000, noise_decay_s=0.06, ring=0.2, pan=0.3),
    56: Hit(0.35, 560, 560, 0.01, 0.12, ring=0.3, pan=0.2),
    62: _skin(330, 0.05, -0.3), 63: _skin(300, 0.14, -0.3), 64: _skin(200, 0.18, -0.2),
    70: Hit(noise=0.35, low_hz=5000, high_hz=15000, noise_decay_s=0.03, pan=-0.35),
    75: _click(2400, 0.03, -0.2), 76: _click(1100, 0.03, 0.2), 77: _click(800, 0.035, 0.2),
}  # fmt: skip
_ELECTRONIC: dict[int, Hit] = {
    35: Hit(1.0, 140, 44, 0.04, 0.28, 0.1, 1500, 8000, 0.004),
    36: Hit(1.0, 140, 44, 0.04, 0.28, 0.1, 1500, 8000, 0.004),
    38: Hit(0.5, 220, 170, 0.02, 0.08, 0.5, 2000, 14000, 0.12),
    42: Hit(noise=0.3, low_hz=8000, high_hz=18000, noise_decay_s=0.03, ring=0.4, pan=0.2),
}
_CHOKED_BY = {46: (42, 44)}


def choked_by(pitch: int) -> tuple[int, ...]:
    """The drums whose stroke silences this one: a closed hi-hat cuts the open one."""
    return _CHOKED_BY.get(pitch, ())


def pan_of(pitch: int) -> float:
    """Where the drum stands, -1 left .. 1 right, seen by the listener."""
    return _HITS.get(pitch, _HITS[76]).pan


@lru_cache(maxsize=128)
def drum_wave(pitch: int, kit: int, sample_rate_hz: int) -> NDArray[np.float32]:
    """One stroke at full strength, [n], read-only; unknown drums sound as a wood block.

    The same noise every time: randomness belongs to the score, not to the sound.
    """
    electronic = _ELECTRONIC.get(pitch) if kit in _ELECTRONIC_KITS else None
    hit = electronic or _HITS.get(pitch, _HITS[76])
    longest = max(hit.tone_decay_s if hit.tone else 0.0, hit.noise_decay_s)
    count = int(-np.log(_FLOOR) * longest * sample_rate_hz) + 1
    time = np.arange(count) / sample_rate_hz
    wave = np.zeros(count)
    if hit.tone:
        wave += hit.tone * _swept(hit, time)
    if hit.noise:
        level = np.exp(-time / hit.noise_decay_s) * _bursts(hit.bursts, time)
        wave += hit.noise * level * _noise(hit, count, sample_rate_hz, pitch)
    if hit.ring:
        decay = hit.noise_decay_s if hit.noise else hit.tone_decay_s
        wave += hit.ring * np.exp(-time / decay) * _metal(hit, time, sample_rate_hz)
    wave *= np.minimum(1.0, (time + 1.0 / sample_rate_hz) / 0.0005)
    fade = min(count, round(0.002 * sample_rate_hz))
    wave[count - fade :] *= np.linspace(1.0, 0.0, fade)
    out = wave.astype(np.float32)
    out.flags.writeable = False
    return out


def _swept(hit: Hit, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """A sine whose frequency falls exponentially; its phase is the frequency's integral."""
    fall = (hit.start_hz - hit.end_hz) * hit.sweep_s * (1.0 - np.exp(-time / hit.sweep_s))
    wave: NDArray[np.float64] = np.sin(2.0 * np.pi * (hit.end_hz * time + fall) + 0.3)
    return wave * np.exp(-time / hit.tone_decay_s)


def _noise(hit: Hit, count: int, sample_rate_hz: int, pitch: int) -> NDArray[np.float64]:
    """Noise between the hit's two frequencies, of unit peak-to-RMS scale."""
    rng = np.random.default_rng([_NOISE_SEED, pitch])
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1.0 / sample_rate_hz)
    gate = 1.0 / (1.0 + (hit.low_hz / np.maximum(hz, 1.0)) ** 4)
    gate /= 1.0 + (hz / hit.high_hz) ** 4
    noise = np.fft.irfft(spectrum * gate, count)
    return noise / max(1e-9, float(np.sqrt(np.mean(noise**2)))) * 0.5


def _metal(hit: Hit, time: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """Six inharmonic partials, those below the Nyquist frequency."""
    base = 560.0 if hit.tone and hit.low_hz < 1000.0 else 3100.0
    ratios = (1.0, 1.342, 1.718, 2.115, 2.593, 3.147)
    audible = [base * r for r in ratios if base * r < 0.45 * sample_rate_hz]
    tones = [np.sin(2.0 * np.pi * hz * time + k) for k, hz in enumerate(audible)]
    out: NDArray[np.float64] = np.sum(tones, axis=0) / 6.0 if tones else np.zeros_like(time)
    return out


def _bursts(count: int, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """A clap's hands: short bursts 11 ms apart, the last one ringing on."""
    gap = 0.011
    index = np.minimum(time // gap, count - 1)
    return np.where(index < count - 1, np.exp(-(time - index * gap) / 0.004), 1.0)
