"""Windows cover every unknown step once and always see something known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.models.contracts import Denoiser
from engine.models.house.model import WINDOW_STEPS
from engine.models.studio import FrameConditions
from engine.timeline import Timeline, led_in
from engine.windows import fade_in, fade_in_s, plan_windows


def _nobody(frames: FrameConditions) -> Denoiser:
    raise AssertionError("nothing is to be made")


@given(
    head=st.integers(0, 300),
    gap=st.integers(1, 1500),
    tail=st.integers(0, 300),
    backwards=st.booleans(),
)
def test_windows_cover_the_unknown_part(head: int, gap: int, tail: int, backwards: bool) -> None:
    known = [True] * head + [False] * gap + [True] * tail
    done = list(known)
    windows = plan_windows(known, WINDOW_STEPS, backwards=backwards)
    assert len(windows) <= gap // 192 + 2
    for number, window in enumerate(windows):
        assert 0 <= window.start < window.stop <= len(known)
        assert window.stop - window.start <= WINDOW_STEPS
        inside = done[window.start : window.stop]
        assert not all(inside), "a window that makes nothing"
        if number > 0 or (tail if backwards else head):
            assert any(inside), "a window without context"
        done[window.start : window.stop] = [True] * (window.stop - window.start)
    assert all(done)


@pytest.mark.parametrize("gap", [100, 200, 300, 511, 640])
def test_the_last_window_sees_the_known_tail(gap: int) -> None:
    known = [True] * 64 + [False] * gap + [True] * 64
    last = plan_windows(known, WINDOW_STEPS)[-1]
    assert last.stop > 64 + gap + 16


def test_nothing_unknown_needs_no_window() -> None:
    assert plan_windows([True] * 400, WINDOW_STEPS) == ()


@given(reach=st.floats(1.0, 60.0), head=st.integers(1, 80), gap=st.integers(1, 300))
def test_a_change_fades_in_from_the_known_audio(reach: float, head: int, gap: int) -> None:
    known = torch.tensor([1.0] * head + [0.0] * gap)
    weight = fade_in(known, reach)
    assert bool((weight[:head] == 0).all())
    assert bool((weight[head:] > 0).all())
    assert bool((weight[1:] >= weight[:-1] - 1e-6).all())
    if gap > reach + 1:
        assert float(weight[-1]) == pytest.approx(1.0)


def test_without_known_audio_or_reach_nothing_is_held_back() -> None:
    assert bool((fade_in(torch.zeros(50), 20.0) == 1.0).all())
    assert bool((fade_in(torch.tensor([1.0, 0.0]), 0.0) == 1.0).all())
    assert fade_in_s(1.0) == 0.0


def test_the_known_audio_passes_through_the_render_untouched() -> None:
    steps = 30
    known = torch.zeros(1, 1, steps)
    known[..., :10] = 1.0
    timeline = Timeline(torch.zeros(1, 128, steps), known, _nobody, 1024 / 44_100)
    guide, decoded = torch.zeros(2, steps * 1024), torch.ones(2, steps * 1024)
    audio = led_in(guide, decoded, timeline, 0.5)
    assert bool((audio[:, : 9 * 1024] == 0).all())
    assert bool((audio[:, 20 * 1024 :] == 1).all())
    assert bool((led_in(guide, decoded, timeline, 1.0) == 1).all())


def test_a_long_known_tail_needs_no_surplus_windows() -> None:
    assert len(plan_windows([True] * 172 + [False] * 258 + [True] * 172, WINDOW_STEPS)) == 2
    assert len(plan_windows([True] * 129 + [False] * 150 + [True] * 129, WINDOW_STEPS)) == 1
