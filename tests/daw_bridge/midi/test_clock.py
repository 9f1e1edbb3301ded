"""MIDI clock against the tempo that it was made with, through jitter, loss and changes."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from daw_bridge.midi.clock import TICKS_PER_BEAT, MidiClock, fit


def ticks(bpm: float, beats: float, start_s: float = 100.0) -> list[float]:
    period_s = 60.0 / bpm / TICKS_PER_BEAT
    return [start_s + number * period_s for number in range(round(beats * TICKS_PER_BEAT))]


def late(times_s: Iterable[float], seed: int, spread_s: float = 0.001) -> list[float]:
    """Jitter as drivers have it: never early, mostly a little late, now and then much."""
    noise = random.Random(seed)
    late_s = [noise.expovariate(1 / spread_s) + 0.02 * (noise.random() < 0.03) for _ in range(9999)]
    arrived = [at + extra for at, extra in zip(times_s, late_s, strict=False)]
    for place in range(1, len(arrived)):  # messages do not overtake each other
        arrived[place] = max(arrived[place], arrived[place - 1])
    return arrived


def following(times_s: Iterable[float]) -> MidiClock:
    clock = MidiClock()
    for at in times_s:
        clock.tick(at)
    return clock


@pytest.mark.parametrize("bpm", [20.0, 61.3, 120.0, 123.4, 240.0, 400.0])
def test_an_exact_clock_is_exact(bpm: float) -> None:
    clock = following(ticks(bpm, 8))
    assert clock.bpm == pytest.approx(bpm, rel=1e-9)
    assert clock.mean_bpm == pytest.approx(bpm, rel=1e-9)
    for beats in (0.0, 1.0, 3.37, 7.9):
        assert clock.beats_at(100.0 + beats * 60.0 / bpm) == pytest.approx(beats, abs=1e-6)
    at_s = clock.next_at(16.0)
    assert at_s == pytest.approx(100.0 + 16 * 60.0 / bpm, abs=1e-6)
    assert clock.lost_ticks == 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bpm", [74.0, 120.0, 174.5])
def test_a_jittering_clock_is_followed(bpm: float, seed: int) -> None:
    """1 ms of mean delay, 3 ticks in 100 another 20 ms late."""
    clock = following(late(ticks(bpm, 16), seed))
    assert clock.bpm is not None
    assert clock.bpm == pytest.approx(bpm, rel=2e-3)
    assert clock.mean_bpm == pytest.approx(bpm, rel=2e-4)
    assert clock.lost_ticks == 0
    for beats in (1.0, 5.25, 12.5):
        found = clock.beats_at(100.0 + beats * 60.0 / bpm)
        assert abs(found - beats) * 60.0 / bpm < 0.003  # seconds


def test_the_line_is_not_moved_by_single_late_ticks() -> None:
    times_s = ticks(120.0, 4)
    times_s[40] += 0.5
    line = fit(range(len(times_s)), times_s)
    assert line is not None
    assert line.bpm == pytest.approx(120.0, rel=1e-6)


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_lost_ticks_are_counted(lost: int) -> None:
    times_s = ticks(120.0, 12)
    clock = following(times_s[:100] + times_s[100 + lost :])
    assert clock.lost_ticks == lost
    assert clock.bpm == pytest.approx(120.0, rel=1e-6)
    assert clock.beats_at(times_s[240]) == pytest.approx(10.0, abs=1e-6)


@pytest.mark.parametrize("after", [60.0, 100.0, 132.0, 200.0])
def test_a_tempo_change_is_followed_and_no_tick_is_lost(after: float) -> None:
    first = ticks(120.0, 8)
    second = ticks(after, 8, start_s=100.0 + 4.0)
    clock = following([*first, *second])
    assert clock.lost_ticks == 0
    assert clock.bpm == pytest.approx(after, rel=0.01)
    assert clock.beats_at(100.0 + 4.0 + 4 * 60.0 / after) == pytest.approx(12.0, abs=0.02)


def test_bursts_of_a_busy_driver_lose_nothing() -> None:
    """Four ticks at once, then a gap: as from a driver that is polled every 80 ms."""
    times_s = ticks(120.0, 12)
    burst = [times_s[min(place // 4 * 4 + 3, len(times_s) - 1)] for place in range(len(times_s))]
    clock = following(burst)
    assert clock.lost_ticks == 0
    assert clock.bpm == pytest.approx(120.0, rel=0.02)


def test_a_clock_that_has_not_ticked_says_nothing() -> None:
    clock = MidiClock()
    assert (clock.bpm, clock.mean_bpm, clock.running, clock.next_at(1.0)) == (
        None,
        None,
        False,
        None,
    )
    with pytest.raises(ValueError, match="not begun"):
        clock.beats_at(1.0)
    clock.tick(1.0)
    clock.tick(1.0)  # a driver may hand over several at once
    assert clock.bpm is None
