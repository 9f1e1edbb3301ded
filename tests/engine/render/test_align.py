"""Alignment: a shifted rendition is found to the sample, and the length stays exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.render.align import align_extension, seam_shift
from engine.render.splice import splice_extend

FADE, MARGIN, NEW = 1323, 220, 5_000


def music(seed: int = 0) -> np.ndarray:
    """A bass note, a chord and noise, `[2, 20000]`."""
    time = np.arange(20_000) / 44_100
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in (55, 440, 554.4, 659.3))
    return 0.1 * tones + np.random.default_rng(seed).normal(0, 0.02, (2, 20_000))


@settings(max_examples=40, deadline=None)
@given(st.integers(-MARGIN, MARGIN), st.sampled_from(["end", "start"]))
def test_a_shifted_rendition_is_put_back(shift: int, side: str) -> None:
    whole = music()
    if side == "end":
        source, at = whole[:, :9_000], 9_000 - FADE
        truth = whole[:, at : at + FADE + NEW]
    else:
        source, at = whole[:, 9_000:], 9_000 - NEW
        truth = whole[:, at : at + FADE + NEW]
    padded = np.roll(whole, shift, axis=1)[:, at - MARGIN : at + FADE + NEW + MARGIN]
    cut, found = align_extension(source, padded, side, FADE, MARGIN)
    assert cut.shape == (2, FADE + NEW)
    assert found == shift
    np.testing.assert_array_equal(cut, truth)
    assert splice_extend(source, cut, side, FADE).shape[1] == source.shape[1] + NEW


@pytest.mark.parametrize("kind", ["noise", "silence", "inverted"])
def test_what_does_not_fit_stays(kind: str) -> None:
    edge = music()[:, :FADE]
    other = np.random.default_rng(9).normal(0, 0.1, (2, FADE + 2 * MARGIN))
    if kind == "silence":
        other[:] = 0.0
    if kind == "inverted":
        edge = np.zeros_like(edge)
    assert seam_shift(edge, other) == 0


def test_no_margin_no_shift() -> None:
    edge = music()[:, :FADE]
    assert seam_shift(edge, edge) == 0
    cut, shift = align_extension(music(), music()[:, :6_323], "end", FADE, 0)
    assert shift == 0
    assert cut.shape == (2, 6_323)
    assert seam_shift(edge[:, :5], edge[:, :9]) == 0
