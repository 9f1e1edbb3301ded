"""Windows cover every unknown step once and always see something known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.house.model import WINDOW_STEPS
from engine.timeline import plan_windows


@given(
    head=st.integers(0, 300),
    gap=st.integers(1, 1500),
    tail=st.integers(0, 300),
    backwards=st.booleans(),
)
def test_windows_cover_the_unknown_part(head: int, gap: int, tail: int, backwards: bool) -> None:
    known = [True] * head + [False] * gap + [True] * tail
    done = list(known)
    windows = plan_windows(known, backwards=backwards)
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
    last = plan_windows(known)[-1]
    assert last.stop > 64 + gap + 16


def test_nothing_unknown_needs_no_window() -> None:
    assert plan_windows([True] * 400) == ()
