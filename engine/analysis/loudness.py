"""Loudness (ITU-R BS.1770-4) and true peak."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.signal

from engine.analysis.spectra import Samples

FLOOR_DB = -120.0
_BLOCK_S, _OVERLAP = 0.4, 0.75
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
_FINER = 4  # times the rate, as BS.1770 wants at least
_PEAK_BLOCK, _PEAK_MARGIN = 1 << 18, 64  # samples; the filter reaches over ten


def _k_weighting(rate_hz: int) -> npt.NDArray[np.float64]:
    """Second-order sections of the K filter at any rate.

    BS.1770 tabulates it at 48 kHz only; these are the analogue prototypes behind the table (De
    Man 2018, as used in libebur128), which give the tabulated coefficients at 48 kHz.
    """
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    norm = 1 + k / q + k * k
    shelf = [
        (high + band * k / q + k * k) / norm,
        2 * (k * k - high) / norm,
        (high - band * k / q + k * k) / norm,
        1.0,
        2 * (k * k - 1) / norm,
        (1 - k / q + k * k) / norm,
    ]
    k = np.tan(np.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    norm = 1 + k / q + k * k
    cut = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]
    return np.array([shelf, cut])


def _channel_weights(channels: int) -> npt.NDArray[np.float64]:
    """Of six channels (L R C LFE Ls Rs) the LFE is left out and the surrounds count 1.5 dB more."""
    if channels == 6:
        return np.array([1.0, 1.0, 1.0, 0.0, 1.41, 1.41])
    return np.ones(channels)


def loudness_lufs(samples: Samples, sample_rate_hz: int) -> float:
    """Integrated loudness of `[channels, samples]`, gated; -120 for silence.

    Audio shorter than a block of 400 ms is measured as one block.
    """
    weighted = scipy.signal.sosfilt(_k_weighting(sample_rate_hz), samples, axis=1) ** 2
    power = _channel_weights(samples.shape[0]) @ weighted
    block = min(round(_BLOCK_S * sample_rate_hz), len(power))
    step = max(1, round(block * (1 - _OVERLAP)))
    sums = np.concatenate([[0.0], np.cumsum(power)])
    starts = np.arange(0, len(power) - block + 1, step)
    blocks = np.maximum(0.0, (sums[starts + block] - sums[starts]) / block)

    def lufs(mean_power: npt.NDArray[np.floating] | float) -> npt.NDArray[np.float64]:
        return np.asarray(-0.691 + 10 * np.log10(np.maximum(mean_power, 1e-12)))

    kept = blocks[lufs(blocks) >= _ABSOLUTE_GATE_LUFS]
    if not len(kept):
        return FLOOR_DB
    kept = kept[lufs(kept) >= lufs(float(kept.mean())) + _RELATIVE_GATE_LU]
    return round(float(lufs(float(kept.mean()))), 2)


def true_peak_dbfs(samples: Samples) -> float:
    """Peak between the samples, found at four times the rate; -120 for silence."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    # In blocks, because long clips would need gigabytes.
    for start in range(0, samples.shape[1], _PEAK_BLOCK):
        first = max(0, start - _PEAK_MARGIN)
        part = samples[:, first : start + _PEAK_BLOCK + _PEAK_MARGIN]
        finer = scipy.signal.resample_poly(part, _FINER, 1, axis=1)
        # The margins' outer ends are cuts of ours, and ring as no clip does.
        own = finer[:, _FINER * (start - first) : _FINER * (start - first + _PEAK_BLOCK)]
        peak = max(peak, float(np.max(np.abs(own))))
    return round(max(FLOOR_DB, float(20 * np.log10(max(peak, 1e-12)))), 2)
