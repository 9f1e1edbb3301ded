"""Put generated audio beside the musician's, sample by sample.

Outside the crossfades every source sample is copied, never computed, so it comes back bit-identical
in the source's own sample format. Crossfades keep the power whatever the two signals have in common
(`engine.analysis.crossfade`). Audio is float64 `[channels, samples]`, all of one rate and channel
count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.analysis.crossfade import crossfade

Samples = npt.NDArray[np.float64]
Side = Literal["end", "start"]
Range = tuple[int, int]  # from the first sample up to, not including, the second


def splice_extend(
    source: Samples, generated: Samples, side: Side, crossfade_samples: int
) -> Samples:
    """The source with new audio after (or before) it.

    Args:
        generated: `[channels, crossfade_samples + new]` for the end side: its first
            `crossfade_samples` lie over the source's last ones. For the start side the overlap
            comes last and lies over the source's first samples.

    Returns:
        `[channels, source + new]`; the kept range is `kept_extend(...)`.

    Raises:
        ValueError: shapes do not fit, or the crossfade is longer than the source.
    """
    _check(source, generated, crossfade_samples)
    if side == "start":
        mirrored = splice_extend(source[:, ::-1], generated[:, ::-1], "end", crossfade_samples)
        return np.ascontiguousarray(mirrored[:, ::-1])
    seam = source.shape[1] - crossfade_samples
    faded = crossfade(source[:, seam:], generated[:, :crossfade_samples])
    return np.concatenate([source[:, :seam], faded, generated[:, crossfade_samples:]], axis=1)


def kept_extend(source_length: int, new_length: int, side: Side, crossfade_samples: int) -> Range:
    """Where in the result of `splice_extend` the source lies untouched."""
    if side == "end":
        return 0, source_length - crossfade_samples
    return new_length + crossfade_samples, new_length + source_length


def splice_inpaint(
    source: Samples, generated: Samples, start: int, end: int, crossfade_samples: int
) -> Samples:
    """The source with samples `[start, end)` replaced; the length stays.

    Args:
        generated: `[channels, left + (end - start) + right]`, where left and right are
            `crossfade_samples`, or as much of the source as there is on that side: the crossfades
            lie just outside the region, over kept audio.

    Raises:
        ValueError: shapes do not fit.
    """
    left, right = inpaint_overlaps(source.shape[1], start, end, crossfade_samples)
    _check(source, generated, 0)
    if generated.shape[1] != left + (end - start) + right or not 0 <= start < end:
        raise ValueError(
            f"{generated.shape[1]} generated samples for a region of {end - start} "
            f"with overlaps of {left} and {right}"
        )
    result = source.copy()
    result[:, start - left : end + right] = generated
    if left:
        result[:, start - left : start] = crossfade(
            source[:, start - left : start], generated[:, :left]
        )
    if right:
        result[:, end : end + right] = crossfade(
            generated[:, -right:], source[:, end : end + right]
        )
    return result


def inpaint_overlaps(source_length: int, start: int, end: int, crossfade_samples: int) -> Range:
    """Samples of kept audio on the left and on the right that `splice_inpaint` fades over."""
    return min(crossfade_samples, start), min(crossfade_samples, source_length - end)


def kept_inpaint(source_length: int, start: int, end: int, crossfade_samples: int) -> list[Range]:
    """Where in the result of `splice_inpaint` the source lies untouched."""
    left, right = inpaint_overlaps(source_length, start, end, crossfade_samples)
    return [(0, start - left), (end + right, source_length)]


def close_loop(
    source_part: Samples, generated: Samples, total_samples: int, crossfade_samples: int
) -> Samples:
    """Exactly `total_samples` that repeat without a seam.

    The generated audio follows the source part and runs on past the loop's end: its tail lies over
    the loop's own beginning. So there are two crossfades: one over the source part's last samples
    (as in `splice_extend`), and the wrap, which lies in the *first* `crossfade_samples` of the
    file: there the generated tail fades out while the source's start fades in. Sample 0 follows
    the file's last sample as the generated audio has it, so the repeat has no step.

    Args:
        source_part: `[channels, kept]`, kept <= total_samples.
        generated: `[channels, crossfade_samples + (total_samples - kept) + crossfade_samples]`.
            When nothing is missing (kept == total_samples) only the wrap is faded and
            `generated` may be the tail alone, `[channels, crossfade_samples]`.

    Raises:
        ValueError: shapes do not fit, or the crossfades would meet.
    """
    kept = source_part.shape[1]
    missing = total_samples - kept
    if missing < 0 or 2 * crossfade_samples > kept:
        raise ValueError(
            f"{kept} source samples for a loop of {total_samples} "
            f"with crossfades of {crossfade_samples}"
        )
    if missing == 0 and generated.shape[1] == crossfade_samples:
        body, tail = source_part, generated
    else:
        if generated.shape[1] != missing + 2 * crossfade_samples:
            raise ValueError(
                f"{generated.shape[1]} generated samples where "
                f"{missing + 2 * crossfade_samples} are needed"
            )
        joined = splice_extend(source_part, generated, "end", crossfade_samples)
        body, tail = joined[:, :total_samples], joined[:, total_samples:]
    result = body.copy()
    if crossfade_samples:
        result[:, :crossfade_samples] = crossfade(tail, body[:, :crossfade_samples])
    return result


def kept_loop(kept_samples: int, total_samples: int, crossfade_samples: int) -> Range:
    """Where in the result of `close_loop` the source part lies untouched."""
    tail = crossfade_samples if kept_samples < total_samples else 0
    return crossfade_samples, kept_samples - tail


def source_samples_identical(
    source: Samples, result: Samples, kept: Iterable[tuple[Range, int]]
) -> bool:
    """Whether every kept source sample came back to the bit.

    Args:
        kept: ranges of the result, each with the source sample that its first one must equal.
    """
    for (start, end), source_start in kept:
        original = source[:, source_start : source_start + max(0, end - start)]
        returned = result[:, start : max(start, end)]
        if original.shape != returned.shape or not np.array_equal(original, returned):
            return False
    return True


def _check(source: Samples, generated: Samples, crossfade_samples: int) -> None:
    if source.shape[0] != generated.shape[0]:
        raise ValueError(f"{generated.shape[0]} channels beside {source.shape[0]}")
    if not 0 <= crossfade_samples <= min(source.shape[1], generated.shape[1]):
        raise ValueError(
            f"a crossfade of {crossfade_samples} samples over {source.shape[1]} source "
            f"and {generated.shape[1]} generated ones"
        )
