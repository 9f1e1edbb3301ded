"""Studio effects for training pieces, in numpy and scipy.

Waves are `[2, samples]` float32 and keep their length. `equalise`, `reverberate` and a gain curve
are linear, so a bus that treats every stem alike with them still is the sum of its stems;
`saturate`, `widen` and `auto_pan` belong on single stems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

Wave = NDArray[np.float32]
_CONTROL_SAMPLES = 128  # a gain curve is computed on blocks of this many samples
_SILENT = 1e-6


@dataclass(frozen=True, slots=True)
class Band:
    """One filter: "low" and "high" shelves and a "peak" of gain_db, or a low- or high-pass."""

    kind: str
    corner_hz: float
    gain_db: float = 0.0
    q: float = 0.707


def _section(band: Band, sample_rate_hz: int) -> list[float]:
    """The band as one second-order section, after Bristow-Johnson's cookbook."""
    turn = 2.0 * np.pi * min(band.corner_hz, 0.45 * sample_rate_hz) / sample_rate_hz
    cos, alpha = float(np.cos(turn)), float(np.sin(turn)) / (2.0 * band.q)
    amp = 10.0 ** (band.gain_db / 40.0)
    if band.kind == "peak":
        b = (1.0 + alpha * amp, -2.0 * cos, 1.0 - alpha * amp)
        a = (1.0 + alpha / amp, -2.0 * cos, 1.0 - alpha / amp)
    elif band.kind in ("low", "high"):
        side = 1.0 if band.kind == "low" else -1.0
        root = 2.0 * float(np.sqrt(amp)) * alpha
        up, down = amp + 1.0, amp - 1.0
        b = (
            amp * (up - side * down * cos + root),
            2.0 * side * amp * (down - side * up * cos),
            amp * (up - side * down * cos - root),
        )
        a = (
            up + side * down * cos + root,
            -2.0 * side * (down + side * up * cos),
            up + side * down * cos - root,
        )
    elif band.kind in ("low-pass", "high-pass"):
        side = 1.0 if band.kind == "low-pass" else -1.0
        edge = 1.0 - side * cos
        b = (edge / 2.0, side * edge, edge / 2.0)
        a = (1.0 + alpha, -2.0 * cos, 1.0 - alpha)
    else:
        raise ValueError(f"unknown filter {band.kind!r}")
    return [value / a[0] for value in (*b, *a)]


def equalise(wave: Wave, bands: tuple[Band, ...], sample_rate_hz: int) -> Wave:
    """The wave through the bands, one after another. Linear."""
    if not bands:
        return wave
    sections = np.array([_section(band, sample_rate_hz) for band in bands])
    out: Wave = signal.sosfilt(sections, wave, axis=1).astype(np.float32)
    return out


def impulse_response(
    rng: np.random.Generator, decay_s: float, damping_hz: float, sample_rate_hz: int
) -> Wave:
    """A synthetic room `[2, samples]` of unit energy: noise that fades by 60 dB in `decay_s`.

    It starts after a few milliseconds and loses what lies above `damping_hz`, as air and walls
    take it.
    """
    length = max(2, round(decay_s * sample_rate_hz))
    fade = np.exp(-6.9 * np.arange(length) / length)
    noise = rng.standard_normal((2, length)) * fade
    pole = float(np.exp(-2.0 * np.pi * damping_hz / sample_rate_hz))
    noise = signal.lfilter([1.0 - pole], [1.0, -pole], noise, axis=1)
    delay = round(rng.uniform(0.002, 0.018) * sample_rate_hz)
    noise = np.concatenate((np.zeros((2, delay)), noise), axis=1)
    out: Wave = (noise / np.sqrt(np.square(noise).sum(axis=1, keepdims=True))).astype(np.float32)
    return out


def reverberate(wave: Wave, room: Wave, wet: float) -> Wave:
    """The wave plus `wet` times the same in the room `[2, taps]`. Linear; tails are cut off."""
    size = int(fft.next_fast_len(wave.shape[1] + room.shape[1] - 1, real=True))
    spectrum = fft.rfft(wave, size, axis=1) * fft.rfft(room, size, axis=1)
    echo: Wave = fft.irfft(spectrum, size, axis=1)[:, : wave.shape[1]].astype(np.float32)
    return wave + np.float32(wet) * echo


def saturate(wave: Wave, drive_db: float) -> Wave:
    """Soft clipping of a stem driven `drive_db` above its peak, at the level it had."""
    peak = float(np.abs(wave).max(initial=0.0))
    if peak < _SILENT:
        return wave
    driven: Wave = np.tanh(wave * np.float32(10.0 ** (drive_db / 20.0) / peak))
    level = float(np.sqrt(np.mean(np.square(wave)) / np.mean(np.square(driven))))
    return driven * np.float32(level)


def widen(wave: Wave, width: float) -> Wave:
    """The stereo sides times `width`: 0 is mono, 1 as it was, 2 twice as wide."""
    middle = np.float32(0.5) * (wave[0] + wave[1])
    side = np.float32(0.5 * width) * (wave[0] - wave[1])
    return np.stack((middle + side, middle - side))


def auto_pan(wave: Wave, rate_hz: float, depth: float, phase: float, sample_rate_hz: int) -> Wave:
    """The stem moving from side to side by `depth` (0..1), at constant power."""
    points = np.arange(0, wave.shape[1] + _CONTROL_SAMPLES, _CONTROL_SAMPLES)
    swing = depth * np.sin(2.0 * np.pi * (rate_hz * points / sample_rate_hz + phase))
    angle = 0.25 * np.pi * (1.0 + swing)
    gains = np.sqrt(2.0) * np.stack((np.cos(angle), np.sin(angle)))
    place = np.arange(wave.shape[1])
    return wave * np.stack([np.interp(place, points, gain) for gain in gains]).astype(np.float32)


def _block_peaks(wave: Wave) -> NDArray[np.float64]:
    """The largest magnitude in each control block of the wave, [blocks]."""
    blocks = -(-wave.shape[1] // _CONTROL_SAMPLES)
    padded = np.zeros(blocks * _CONTROL_SAMPLES, dtype=np.float32)
    padded[: wave.shape[1]] = np.abs(wave).max(axis=0)
    peaks: NDArray[np.float64] = padded.reshape(blocks, -1).max(axis=1).astype(np.float64)
    return peaks


def _curve(gain: NDArray[np.float64], samples: int) -> NDArray[np.float32]:
    centres = (np.arange(gain.shape[0]) + 0.5) * _CONTROL_SAMPLES
    return np.interp(np.arange(samples), centres, gain).astype(np.float32)


def _smoothed(
    reduction_db: NDArray[np.float64], attack_ms: float, release_ms: float, sample_rate_hz: int
) -> NDArray[np.float64]:
    """A reduction that sets in within the attack and is let go over the release, [blocks]."""
    block_ms = 1000.0 * _CONTROL_SAMPLES / sample_rate_hz
    reach = max(1, round(attack_ms / block_ms))
    # Looking ahead by the attack, then averaging over it: no overshoot, no lag.
    held: NDArray[np.float64] = ndimage.minimum_filter1d(
        reduction_db, 2 * reach + 1, mode="nearest"
    )
    held = ndimage.uniform_filter1d(held, reach, mode="nearest")
    keep = float(np.exp(-block_ms / release_ms))
    out = np.empty_like(held)
    level = 0.0
    for index, wanted in enumerate(held.tolist()):
        level = wanted if wanted < level else keep * level + (1.0 - keep) * wanted
        out[index] = level
    return out


def compression(
    mix: Wave, threshold_db: float, ratio: float, release_ms: float, sample_rate_hz: int
) -> NDArray[np.float32]:
    """The gain `[samples]` a bus compressor would give this mix; apply it to every stem.

    The threshold is relative to the mix's own peak, the attack is 5 ms.
    """
    peaks = _block_peaks(mix)
    level_db = 20.0 * np.log10(np.maximum(peaks / max(float(peaks.max()), _SILENT), 1e-5))
    reduction_db = np.minimum(0.0, (threshold_db - level_db) * (1.0 - 1.0 / ratio))
    smooth = _smoothed(reduction_db, 5.0, release_ms, sample_rate_hz)
    return _curve(10.0 ** (smooth / 20.0), mix.shape[1])


def ducking(
    trigger: Wave, depth_db: float, release_ms: float, sample_rate_hz: int
) -> NDArray[np.float32]:
    """The gain `[samples]` that makes other stems give way to each strong hit of the trigger."""
    peaks = _block_peaks(trigger)
    strong = peaks > 0.5 * max(float(peaks.max()), _SILENT)
    smooth = _smoothed(np.where(strong, -depth_db, 0.0), 3.0, release_ms, sample_rate_hz)
    return _curve(10.0 ** (smooth / 20.0), trigger.shape[1])
