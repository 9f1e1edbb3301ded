"""From the model's 44.1 kHz stereo to the host's rate, channels and level, and the other way.

Channel mapping. The model hears and plays stereo. One channel is played to both sides, and both
sides are averaged back. Of more than two channels, even ones (0, 2, ...) form the left side and odd
ones the right; the way back gives every channel the share of each side that explains it best in the
source (least squares), so that a silent LFE stays silent and a rear channel stays as quiet as it
was, whatever the layout.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr
from scipy.ndimage import minimum_filter1d
from scipy.signal import oaconvolve

Samples = npt.NDArray[np.float64]

MODEL_RATE_HZ = 44_100
_PAD, _LOOP_PAD = 256, 4096
_TINY = 1e-12
_LIMITER_REACH_S = 0.005


def to_stereo(samples: Samples) -> Samples:
    """Mix `[channels, samples]` down or up to `[2, samples]`."""
    channels = samples.shape[0]
    if channels == 1:
        return np.repeat(samples, 2, axis=0)
    if channels == 2:
        return samples
    return np.stack([samples[0::2].mean(axis=0), samples[1::2].mean(axis=0)])


def from_stereo(stereo: Samples, like: Samples) -> Samples:
    """Spread `[2, samples]` over as many channels as `like` `[channels, any]` has.

    Args:
        like: the source; for more than two channels its image is learned from it.
    """
    channels = like.shape[0]
    if channels <= 2:
        return spread(stereo, channels)
    heard = to_stereo(like)
    both = heard @ heard.T
    ridge = 1e-6 * np.trace(both) + _TINY
    shares = like @ heard.T @ np.linalg.inv(both + ridge * np.eye(2))
    # Least squares gives the part that is explained; keep each channel's level in the source.
    explained = np.sqrt(np.sum((shares @ heard) ** 2, axis=1))
    wanted = np.sqrt(np.sum(like**2, axis=1))
    gain = np.where(explained > 1e-9 * (wanted + _TINY), wanted / (explained + _TINY), 0.0)
    return np.asarray((shares * np.minimum(gain, 4.0)[:, None]) @ stereo)


def resample(samples: Samples, from_hz: int, to_hz: int, length_samples: int) -> Samples:
    """Resample `[channels, samples]` to exactly `length_samples` (soxr VHQ).

    The ends are mirrored before filtering, so that the first and last samples are not faded by the
    filter. Missing audio of up to a millisecond is taken from the mirror.

    Raises:
        ValueError: more than a millisecond of audio is missing.
    """
    available = samples.shape[1] * to_hz / from_hz
    if length_samples > available + to_hz / 1000 + 1:
        raise ValueError(f"{length_samples} samples wanted of {available:.0f}")
    if from_hz == to_hz and samples.shape[1] >= length_samples:
        return samples[:, :length_samples]
    # A pad that is a whole number of samples at both rates keeps the result on the sample.
    pad = from_hz // int(np.gcd(from_hz, to_hz))
    pad *= max(1, _PAD // pad)
    padded = np.pad(samples, ((0, 0), (pad, pad)), mode="symmetric")
    output = soxr.resample(padded.T, from_hz, to_hz, quality="VHQ").T
    start = pad * to_hz // from_hz
    return np.ascontiguousarray(output[:, start : start + length_samples], dtype=np.float64)


def resample_loop(samples: Samples, from_hz: int, to_hz: int, length_samples: int) -> Samples:
    """Resample a loop `[channels, samples]` to exactly `length_samples`: its end leads into its
    start at the new rate, too, because each is filtered with the other beside it.
    """
    if from_hz == to_hz:
        return samples[:, :length_samples]
    pad = from_hz // int(np.gcd(from_hz, to_hz))
    pad *= max(1, _LOOP_PAD // pad)
    around = np.take(samples, np.arange(-pad, samples.shape[1] + pad) % samples.shape[1], axis=1)
    start = pad * to_hz // from_hz
    output = resample(around, from_hz, to_hz, start + length_samples)
    return np.ascontiguousarray(output[:, start:])


def spread(stereo: Samples, channels: int) -> Samples:
    """`[2, samples]` over so many channels: even ones are the left side and odd ones the right."""
    if channels == 1:
        return np.asarray(stereo.mean(axis=0, keepdims=True))
    return stereo if channels == 2 else stereo[np.arange(channels) % 2]


def to_model(samples: Samples, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """The clip as the model hears it: float32 `[2, round(samples * 44100 / rate)]`."""
    length = round(samples.shape[1] * MODEL_RATE_HZ / sample_rate_hz)
    return resample(to_stereo(samples), sample_rate_hz, MODEL_RATE_HZ, length).astype(np.float32)


def from_model(
    generated: npt.NDArray[np.float32] | Samples,
    sample_rate_hz: int,
    length_samples: int,
    like: Samples,
) -> Samples:
    """The model's audio at the host's rate and channel count, exactly `length_samples` long.

    Args:
        generated: `[2, samples]` at 44.1 kHz.
        like: float64 `[channels, any]`, the source.

    Raises:
        ValueError: too little audio was generated.
    """
    stereo = np.asarray(generated, dtype=np.float64)
    return from_stereo(resample(stereo, MODEL_RATE_HZ, sample_rate_hz, length_samples), like)


def ceiling(subtype: str) -> float | None:
    """Largest sample an integer format holds on both sides; None for float formats."""
    bits = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}.get(subtype)
    return None if bits is None else 1.0 - 2.0 ** (1 - bits)


def fit_new_audio(generated: Samples, sample_rate_hz: int, subtype: str) -> tuple[Samples, float]:
    """Limit new audio that would clip in the format; returns it and the deepest gain in dB.

    Loud masters leave no headroom, and a rebuilt waveform has the same spectrum but other peaks:
    each of them is dipped around (5 ms), and the level of everything else stays the music's own.
    """
    limit = ceiling(subtype)
    peak = float(np.max(np.abs(generated), initial=0.0))
    if limit is None or peak <= limit:
        return generated, 0.0
    dip = _limiting_gain(generated, limit, sample_rate_hz)
    return generated * dip, float(20 * np.log10(dip.min()))


def _needed_gain(samples: Samples, limit: float) -> Samples:
    """For each sample the gain under which no channel exceeds `limit` `[samples]`."""
    loudest = np.max(np.abs(samples), axis=0)
    return np.asarray(np.minimum(1.0, limit / np.maximum(loudest, _TINY)))


def _limiting_gain(samples: Samples, limit: float, sample_rate_hz: int) -> Samples:
    """A smooth gain `[samples]` under which no channel exceeds `limit`.

    The smallest gain needed within ±5 ms, smoothed by a window of the same reach: a mean of values
    none of which is above what the sample itself needs.
    """
    needed = _needed_gain(samples, limit)
    reach = max(1, round(_LIMITER_REACH_S * sample_rate_hz))
    held = minimum_filter1d(needed, 2 * reach + 1, mode="nearest")
    window = np.hanning(2 * reach + 3)[1:-1]
    padded = np.pad(held, reach, mode="edge")
    smooth = oaconvolve(padded, window / window.sum(), mode="valid")
    smooth[smooth > 1.0 - 1e-9] = 1.0  # the transform's rounding; untouched audio stays untouched
    return np.asarray(np.minimum(smooth, needed))


def fit_crossfade(
    result: Samples, start: int, end: int, sample_rate_hz: int, subtype: str
) -> float:
    """Keep the mix inside a crossfade below full scale, in place; returns the deepest gain in dB.

    Two signals at full scale can exceed it together. Only `[start, end)` is touched: the gain dips
    smoothly around each peak (5 ms), and the samples outside are the source's, or already fit.
    """
    limit = ceiling(subtype)
    part = result[:, start:end]
    if limit is None or not part.size or float(np.max(np.abs(part))) <= limit:
        return 0.0
    dip = _limiting_gain(part, limit, sample_rate_hz)
    # At either end it begins with what is left alone; there hardly anything is mixed in yet.
    into = np.arange(1, part.shape[1] + 1) / max(1, round(_LIMITER_REACH_S * sample_rate_hz))
    inside = 0.5 - 0.5 * np.cos(np.pi * np.minimum(1.0, np.minimum(into, into[::-1])))
    dip = np.minimum(1.0 - inside * (1.0 - dip), _needed_gain(part, limit))
    result[:, start:end] = np.clip(part * dip, -limit, limit)  # of the rounding alone
    return float(20 * np.log10(dip.min()))
