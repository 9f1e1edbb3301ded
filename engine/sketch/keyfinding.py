"""The key of a melody, from how long it stays on each pitch class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.sketch.score import Key, Note

# Probe-tone ratings, tonic first: Krumhansl and Kessler, "Tracing the dynamic changes in
# perceived tonal organization in a spatial representation of musical keys", 1982.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
# Melodies end at home far more often than the profiles alone can tell, and often begin on the
# tonic triad; both break the ties between a key and its neighbours.
_LAST_BONUS, _FIRST_BONUS = 0.25, 0.04
_FOREIGN_COST = 1.5


def duration_profile(notes: Sequence[Note]) -> NDArray[np.float64]:
    """How many beats each pitch class sounds, [12]."""
    profile = np.zeros(12)
    for note in notes:
        profile[note.pitch % 12] += note.duration_beats
    return profile


def key_scores(notes: Sequence[Note]) -> dict[Key, float]:
    """Every major and minor key with its correlation to the melody, in -1..1 and a little over."""
    profile = duration_profile(notes)
    ordered = sorted(notes, key=lambda note: (note.start_beats, note.pitch))
    first, last = ordered[0].pitch % 12, max(ordered, key=lambda note: note.end_beats).pitch % 12
    total = float(profile.sum())
    scores = {}
    for mode, ratings in _PROFILES.items():
        third = 4 if mode == "major" else 3
        # Harmonic and melodic minor belong to the key: sixth and seventh may be raised.
        scale = (0, 2, 4, 5, 7, 9, 11) if mode == "major" else (0, 2, 3, 5, 7, 8, 9, 10, 11)
        for tonic in range(12):
            turned = np.roll(np.array(ratings), tonic)
            deviation = profile.std() * turned.std()
            fit = float(np.mean((profile - profile.mean()) * (turned - turned.mean())))
            score = fit / float(deviation) if deviation > 0.0 else 0.0
            inside = sum(float(profile[(tonic + step) % 12]) for step in scale)
            score -= _FOREIGN_COST * (1.0 - inside / total)
            score += _LAST_BONUS * (last == tonic)
            score += _FIRST_BONUS * (first in {tonic, (tonic + third) % 12, (tonic + 7) % 12})
            scores[Key(tonic, mode)] = score
    return scores


def estimate_key(notes: Sequence[Note]) -> Key:
    """The likeliest key. Raises `ValueError` for a melody without notes.

    The profiles know major and minor only; a minor tune that raises its sixth but not its
    seventh is called dorian, a major one that flattens its seventh mixolydian.
    """
    if not notes:
        raise ValueError("cannot tell the key of a melody without notes; give one")
    scores = key_scores(notes)
    key = max(scores, key=lambda key: (scores[key], -key.tonic, key.mode))
    degree = np.roll(duration_profile(notes), -key.tonic)
    flat_seventh = degree[10] > degree[11]
    if key.mode == "minor" and flat_seventh and degree[9] > degree[8]:
        return Key(key.tonic, "dorian")
    if key.mode == "major" and flat_seventh and degree[10] >= 0.04 * degree.sum():
        return Key(key.tonic, "mixolydian")
    return key
