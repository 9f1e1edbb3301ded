"""The built-in synthesiser: a piece to stems, plainly, fast and exactly on the sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.sketch.drumkit import choked_by, drum_wave, pan_of
from engine.sketch.levels import level_gain
from engine.sketch.score import Note, Part, Piece
from engine.sketch.timbre import Timbre, timbre_of, tone

_PEAK = 0.9
_CHOKE_S = 0.006
_RINGS_S = 7.0  # the longest cymbal needs 6.4 s
_VELOCITY_EXPONENT = 1.5


def synthesise(
    piece: Piece, sample_rate_hz: int, *, repeats: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Every part of a piece as stereo [2, n] by role, n = `piece.length_samples(rate)`.

    Note onsets fall on `piece.samples_at(start_beats, rate)`. No stem and no sum of them all
    exceeds 0.9. Raises `ValueError` for a sample rate below 8000 Hz.

    Args:
        repeats: the piece begins again at its end. The stems are longer by 7 s, in which what
            sounds at the end rings out; strokes of the next round silence it, and are not heard.
    """
    if sample_rate_hz < 8000:
        raise ValueError(f"the sample rate must be at least 8000 Hz, not {sample_rate_hz}")
    length = piece.length_samples(sample_rate_hz)
    ringing = round(_RINGS_S * sample_rate_hz) if repeats else 0
    stems: dict[str, NDArray[np.float32]] = {}
    for part in piece.parts:
        play = _drums if part.role == "drums" else _pitched
        wave = play(part, piece, length + ringing, sample_rate_hz)
        # The piece itself says how loud it is, however long its end rings.
        gain = level_gain(wave[:, :length], part.role, part.gain_db, sample_rate_hz)
        wave = wave * np.float32(gain)
        stems[part.role] = stems[part.role] + wave if part.role in stems else wave
    if not stems:
        return stems
    peak = max(float(np.abs(wave).max(initial=0.0)) for wave in (mix(stems), *stems.values()))
    if peak > _PEAK:
        # A hair below, so that rounding of the scaled sum stays under the limit too.
        scale = np.float32(_PEAK / peak * (1.0 - 1e-5))
        stems = {role: wave * scale for role, wave in stems.items()}
    return stems


def mix(stems: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The sum of stems of equal length [2, n]. Raises `ValueError` where there are none."""
    if not stems:
        raise ValueError("there is nothing to mix: the piece has no parts")
    total = np.zeros_like(next(iter(stems.values())))
    for wave in stems.values():
        total += wave
    return total


def _strength(note: Note) -> np.float32:
    return np.float32((note.velocity / 127.0) ** _VELOCITY_EXPONENT)


def _pan(pan: float) -> tuple[np.float32, np.float32]:
    """Equal-power gains of left and right; the centre is 1, 1."""
    angle = (float(np.clip(pan, -1.0, 1.0)) + 1.0) * np.pi / 4.0
    return np.float32(np.cos(angle) * np.sqrt(2.0)), np.float32(np.sin(angle) * np.sqrt(2.0))


def _pitched(part: Part, piece: Piece, length: int, sample_rate_hz: int) -> NDArray[np.float32]:
    """A tone per pitch is computed once, as long as its longest note, and cut for each note."""
    timbre = timbre_of(part.program)
    release = max(1, round(timbre.release_s * sample_rate_hz))
    ramp = (0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, release))).astype(np.float32)
    tones = _tones(part, piece, timbre, release, sample_rate_hz)
    lanes = 2 if timbre.detune_cents else 1
    out = np.zeros((lanes, length), dtype=np.float32)
    for note in part.notes:
        begin = piece.samples_at(note.start_beats, sample_rate_hz)
        held = max(1, piece.samples_at(note.end_beats, sample_rate_hz) - begin)
        wave = tones[note.pitch][:, : min(held + release, length - begin)]
        if begin >= length or wave.shape[1] == 0:
            continue
        strength = _strength(note)
        body = wave[:, :held]
        out[:, begin : begin + body.shape[1]] += body * strength
        tail = wave[:, held:]
        if tail.shape[1]:
            begin += held
            out[:, begin : begin + tail.shape[1]] += tail * (ramp[: tail.shape[1]] * strength)
    left, right = _pan(part.pan)
    return np.stack([out[0] * left, out[-1] * right])


def _tones(
    part: Part, piece: Piece, timbre: Timbre, release: int, sample_rate_hz: int
) -> dict[int, NDArray[np.float32]]:
    longest: dict[int, int] = {}
    for note in part.notes:
        held = piece.samples_at(note.end_beats, sample_rate_hz) - piece.samples_at(
            note.start_beats, sample_rate_hz
        )
        longest[note.pitch] = max(longest.get(note.pitch, 1), held)
    return {
        pitch: tone(timbre, pitch, held + release, sample_rate_hz)
        for pitch, held in longest.items()
    }


def _drums(part: Part, piece: Piece, length: int, sample_rate_hz: int) -> NDArray[np.float32]:
    """Strokes ring out, unless a later one silences them, of the next round also."""
    out = np.zeros((2, length), dtype=np.float32)
    onsets: dict[int, list[int]] = defaultdict(list)
    for note in part.notes:
        begin = piece.samples_at(note.start_beats, sample_rate_hz)
        onsets[note.pitch] += [begin, begin + piece.length_samples(sample_rate_hz)]
    stops = {
        pitch: np.sort(np.concatenate([onsets.get(other, []) for other in choked_by(pitch)]))
        for pitch in list(onsets)
        if choked_by(pitch)
    }
    fade = max(1, round(_CHOKE_S * sample_rate_hz))
    for note in part.notes:
        begin = piece.samples_at(note.start_beats, sample_rate_hz)
        wave = drum_wave(note.pitch, part.program, sample_rate_hz)
        if note.pitch in stops:
            wave = _choked(wave, stops[note.pitch], begin, fade)
        wave = wave[: max(0, length - begin)]
        left, right = _pan(np.clip(part.pan + 0.8 * pan_of(note.pitch), -1.0, 1.0))
        strength = _strength(note)
        out[0, begin : begin + wave.shape[0]] += wave * (left * strength)
        out[1, begin : begin + wave.shape[0]] += wave * (right * strength)
    return out


def _choked(
    wave: NDArray[np.float32], stops: NDArray[np.float64], begin: int, fade: int
) -> NDArray[np.float32]:
    """A stroke at sample `begin`, faded out from the first of the sorted `stops` after it."""
    place = int(np.searchsorted(stops, begin, side="right"))
    if place == len(stops) or stops[place] - begin + fade >= wave.shape[0]:
        return wave
    cut = wave[: int(stops[place]) - begin + fade].copy()
    cut[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return cut
