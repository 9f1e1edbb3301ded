"""The page that compares codecs; every figure on it is measured by `scripts/compare_codecs.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A way from audio to audio and how far off it is.

    Attributes:
        real, renders: mean absolute difference of log10 mel amplitudes, in decades.
        spent_ms: processor time of encoding, decoding and measuring a clip of 256 steps.
    """

    title: str
    real: float
    renders: float
    spent_ms: float


_TEMPLATE = """# The codec, measured

*Written by `scripts/compare_codecs.py`; do not edit.*

What 128 values, 43 times a second, keep of music, decoded without a guide: the mean absolute
difference of log10 mel amplitudes, in decades (128 bands, STFT 2048/512, floor 80 dB below
amplitude 1, each channel by itself; a difference of 0.05 is 1 dB). Clips: the first 6 seconds of
{real} real loops (CC0), which nothing was fitted on, and of {renders} held-out renders from their
middle. The targets are 0.05 on real loops and 0.04 on renders; {verdict}. Whole loops and other
renders, as [model.md](model.md) measures the codec that ships, give figures a little apart.

## What ships

{shipped}

The latent is the first codec's: 112 principal components of two frames of the middle's log-mel
spectrum, and the balance of left and right in 16 bands. A refiner adds what neighbouring steps tell
of the components that were left out; the inverse holds the mel bands in its last iterations.
Processor time is of one thread, for encoding, decoding and measuring 256 steps.

## The inverse by itself

{parts}

These keep everything that the latent drops; what the shipped codec loses beyond them is lost in the
latent. The last table has that loss by itself, in its first line.

## Other latents of the same size

All through the same inverse, fitted or trained on the same windows of renders as the refiner.

{rivals}

{lesson}

## Wrong latents

A flow model's latents are never quite right. Error of the codec's own 192 log-mel bands, no
audio made, with noise of this deviation on the latent (its channels have deviations near 1), on
all clips:

| deviation | linear | refined |
|---:|---:|---:|
{noise}
"""


def page(
    counts: tuple[int, int],
    shipped: Sequence[Row],
    parts: Sequence[Row],
    rivals: Sequence[Row],
    noise: Sequence[tuple[float, float, float]],
) -> str:
    """The page as text."""
    last = shipped[-1]
    met = [last.real <= 0.05, last.renders <= 0.04]
    verdict = "both are met" if all(met) else "one is met" if any(met) else "neither is met"
    best = min(rivals, key=lambda row: row.real + row.renders)
    gain = 100 * (1 - (best.real + best.renders) / (last.real + last.renders))
    better = f"{gain:.0f} % below what ships" if gain > 0 else "no better than what ships"
    return _TEMPLATE.format(
        real=counts[0],
        renders=counts[1],
        verdict=verdict,
        shipped=_table(shipped),
        parts=_table(parts),
        rivals=_table(rivals),
        lesson=f"The best of them is “{best.title}”, {better}.\n"
        "Another latent has a price that stands in no table: the flow model would have to learn\n"
        "it from the beginning.",
        noise="\n".join(f"| {d:.1f} | {a:.4f} | {b:.4f} |" for d, a, b in noise),
    )


def _table(rows: Sequence[Row]) -> str:
    lines = ["| | real loops | renders | processor ms |", "|---|---:|---:|---:|"]
    lines += [f"| {r.title} | {r.real:.4f} | {r.renders:.4f} | {r.spent_ms:.0f} |" for r in rows]
    return "\n".join(lines)
