"""Chords for a melody: the Viterbi path through the chords of a key.

States are the key's chords, one per half-bar. The emission cost of a chord is the share of the
melody it does not hold, weighted by metric place and duration; the transition cost is functional
(tonic, subdominant, dominant). Costs add up along the path, as negative log-probabilities do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.sketch import grid, theory
from engine.sketch.form import merge_chords
from engine.sketch.score import ChordSpan, Key, Note, bar_beats

# Numeral, function and how unusual the chord is in its mode.
_CHORDS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "major": (
        ("I", "T", 0.0), ("vi", "T", 0.25), ("iii", "T", 0.7), ("IV", "S", 0.1), ("ii", "S", 0.25),
        ("V", "D", 0.1), ("V7", "D", 0.25), ("viio", "D", 1.2), ("II7", "DD", 1.4),
        ("VI7", "Dii", 1.7), ("III7", "Dvi", 1.7), ("I7", "DIV", 1.6), ("iv", "S", 1.2),
        ("bVII", "S", 1.2),
    ),
    "minor": (
        ("i", "T", 0.0), ("bVI", "T", 0.25), ("bIII", "T", 0.3), ("iv", "S", 0.15),
        ("iio", "S", 0.8), ("iih", "S", 0.9), ("bVII", "S", 0.3), ("V", "D", 0.2),
        ("V7", "D", 0.3), ("v", "D", 0.7), ("IV", "S", 0.9), ("viio", "D", 1.2),
        ("I7", "Div", 1.6),
    ),
    "dorian": (
        ("i", "T", 0.0), ("bIII", "T", 0.35), ("IV", "S", 0.1), ("ii", "S", 0.4),
        ("bVII", "S", 0.2), ("v", "D", 0.35), ("V", "D", 1.0),
    ),
    "mixolydian": (
        ("I", "T", 0.0), ("bVII", "S", 0.1), ("IV", "S", 0.1), ("v", "D", 0.4), ("vi", "T", 0.4),
        ("ii", "S", 0.4), ("V", "D", 0.8),
    ),
}  # fmt: skip

# Moves between functions; a secondary dominant wants the chord it leads to.
_MOVES = {
    "TT": 0.3, "TS": 0.0, "TD": 0.1, "SS": 0.3, "SD": 0.0, "ST": 0.25, "DT": 0.0, "DD": 0.3,
    "DS": 0.7,
}  # fmt: skip
_TARGETS = {"DD": "V", "Dii": "ii", "Dvi": "vi", "DIV": "IV", "Div": "iv"}
_STRAY_COST = 2.0
_STAY_COST = {True: 0.0, False: 0.35}  # inside a bar, over a bar line
_CHANGE_COST = {True: 0.75, False: 0.0}
# How much a note says about its chord, by metric weight: passing notes fall between the strong
# places, and must not outvote them.
_METRIC, _SAY = (0.15, 0.4, 0.7, 0.8, 1.0), (0.1, 0.2, 0.45, 0.9, 1.0)
_FIT_COST = 6.0
_END_COST = 1.2
# What one melody note costs against a chord: a tone of the triad, its seventh, a sixth or ninth
# over it, or a note that grinds against it.
_SEVENTH, _COLOUR, _FOREIGN, _CLASH = 0.2, 0.75, 0.9, 1.0


@dataclass(frozen=True, slots=True)
class _State:
    name: str
    function: str
    cost: float
    root: int
    quality: str
    tones: tuple[int, ...]


def harmonise_chords(
    notes: Sequence[Note], key: Key, metre: tuple[int, int], bars: int
) -> tuple[ChordSpan, ...]:
    """One chord or two for each of `bars` bars under a melody. Costs O(bars * chords^2)."""
    states = [_state(key, *row) for row in _CHORDS[key.mode]]
    edges = _segments(metre, bars)
    emission = np.array(
        [[_FIT_COST * w for w in _misfit(notes, metre, begin, end, states)] for begin, end in edges]
    )
    path = _viterbi(states, emission, [begin % bar_beats(metre) > 1e-6 for begin, _ in edges])
    spans = [
        ChordSpan(begin, end - begin, states[s].root, states[s].quality, states[s].tones)
        for (begin, end), s in zip(edges, path, strict=True)
    ]
    return merge_chords(spans)


def _state(key: Key, name: str, function: str, cost: float) -> _State:
    offset, quality = theory.numeral(name)
    root = (key.tonic + offset) % 12
    return _State(name, function, cost, root, quality, theory.pitch_classes(root, quality))


def _segments(metre: tuple[int, int], bars: int) -> list[tuple[float, float]]:
    """Half-bars, or whole bars where a bar cannot be halved."""
    length = bar_beats(metre)
    split = grid.split_steps(metre) * grid.STEP_BEATS
    edges = []
    for bar in range(bars):
        begin = bar * length
        halves = ((begin, begin + split), (begin + split, begin + length))
        edges += list(halves) if split > 0.0 else [(begin, begin + length)]
    return edges


def metric_weight(beats: float, metre: tuple[int, int]) -> float:
    """The metric weight of a time, 0.15..1, at the nearest sixteenth."""
    weights = grid.step_weights(metre)
    step = round(beats % bar_beats(metre) / grid.STEP_BEATS)
    return weights[step % len(weights)]


def _misfit(
    notes: Sequence[Note],
    metre: tuple[int, int],
    begin: float,
    end: float,
    states: Sequence[_State],
) -> NDArray[np.float64]:
    """The weighted share of the melody in begin..end that each chord does not hold, [states]."""
    costs = np.zeros(len(states))
    total = 0.0
    for note in notes:
        overlap = min(note.end_beats, end) - max(note.start_beats, begin)
        # A note played a hair early belongs to the segment it is meant for.
        if overlap <= 0.05:
            continue
        onset = max(note.start_beats, begin)
        weight = min(overlap, 2.0) * float(np.interp(metric_weight(onset, metre), _METRIC, _SAY))
        total += weight
        costs += weight * np.array([_note_cost(note.pitch % 12, state) for state in states])
    # A passing note alone says less than a long one: its say grows to a full one with time.
    say = min(1.0, total / 0.5)
    return costs / total * say if total > 0.0 else costs


def _note_cost(pitch_class: int, state: _State) -> float:
    interval = (pitch_class - state.root) % 12
    if pitch_class in state.tones[:3]:
        return 0.0
    if pitch_class in state.tones[3:]:
        return _SEVENTH
    if any((pitch_class - tone) % 12 == 1 for tone in state.tones[:3]):
        return _CLASH
    return _COLOUR if interval in (2, 9, 10, 11) else _FOREIGN


def _move_cost(before: _State, after: _State, inside_bar: bool) -> float:
    if before.name == after.name:
        return _STAY_COST[inside_bar]
    cost = after.cost + _CHANGE_COST[inside_bar]
    if before.function in _TARGETS:
        reached = after.name.rstrip("7") == _TARGETS[before.function]
        return cost + (0.0 if reached else _STRAY_COST)
    # A secondary dominant is heard as a dominant's preparation.
    arrival = "S" if after.function in _TARGETS else after.function
    # V to V7 is hardly a move; a root falling by a fifth is the strongest there is.
    fall = -0.15 if (before.root - after.root) % 12 == 7 else 0.0
    return cost + _MOVES[before.function + arrival] + fall


def _viterbi(
    states: Sequence[_State], emission: NDArray[np.float64], inside_bar: Sequence[bool]
) -> list[int]:
    """The cheapest path: emission [segments, states], chord changes free only on bar lines."""
    moves = {
        inside: np.array([[_move_cost(a, b, inside) for b in states] for a in states])
        for inside in (False, True)
    }
    home = np.array([_END_COST * (index > 0) for index in range(len(states))])
    cost = emission[0] + 0.5 * home + np.array([state.cost for state in states])
    choices = []
    for row, inside in zip(emission[1:], inside_bar[1:], strict=True):
        reach = cost[:, None] + moves[inside]
        choices.append(reach.argmin(axis=0))
        cost = reach.min(axis=0) + row
    path = [int((cost + home).argmin())]
    for choice in reversed(choices):
        path.append(int(choice[path[-1]]))
    return path[::-1]
