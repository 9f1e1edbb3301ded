"""What the embedded model learns from: composed and arranged pieces, and their sound.

Every piece is a number: `compose_training_piece(seed)` writes it, `render_training_piece` plays it
on one of two General MIDI soundfonts in a room and through effects. Both give the same result from
the same numbers, soundfonts and tunes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from _effects import (  # noqa: E402
    Band,
    auto_pan,
    compression,
    ducking,
    equalise,
    impulse_response,
    reverberate,
    saturate,
    widen,
)
from _fluidsynth import DEFAULT_SOUNDFONT, render  # noqa: E402
from _tunes import Tune, load_tunes  # noqa: E402

from engine.sketch import grid  # noqa: E402
from engine.sketch.compose import check_style, choose_program, compose  # noqa: E402
from engine.sketch.harmonise import harmonise  # noqa: E402
from engine.sketch.score import ROLES, Key, Note, Part, Piece, bar_beats  # noqa: E402
from engine.sketch.styles import MOODS, ROLE_SETS, STYLES  # noqa: E402

Wave = NDArray[np.float32]
# MuseScore General by S. Christian Collins, MIT (parts public domain or CC0), as the copyright
# file of the Debian package musescore-general-soundfont says; FluidR3 is MIT too.
SECOND_SOUNDFONT = Path("/usr/share/sounds/sf3/MuseScore_General_Full.sf3")
_SECOND_CHANCE = 0.35
_METRES = {"4/4": 0.72, "3/4": 0.1, "6/8": 0.1, "7/8": 0.04, "5/4": 0.04}
_BARS = (8, 12, 16)
# Of the pieces in metres that have tunes, so that a fifth of all pieces are tunes.
_TUNE_CHANCE = 0.22
_FREE_TEMPO_CHANCE = 0.3
_TEMPO_BPM = (50.0, 190.0)
_FASTEST_NOTE_S = 0.11
_CLEAN_CHANCE = 0.5
_SUBSONIC = Band("high-pass", 18.0)


def compose_training_piece(
    seed: int, *, style: str | None = None, bars: int | None = None
) -> Piece:
    """The training piece with this number, or one in a given style or of a given length.

    About a fifth have a traditional tune as their lead where `.training/tunes.json` is there (see
    `_tunes`), composed ones take their place where it is not; one in thirteen counts 7/8 or 5/4.
    """
    rng = np.random.default_rng([20_250_000, seed])
    metre = _choose_metre(rng)
    chosen_style, chosen_bars = _choose_style(rng, metre), int(rng.choice(_BARS))
    style, bars = style or chosen_style, bars or chosen_bars
    tempo_bpm = None
    if rng.random() < _FREE_TEMPO_CHANCE:
        low, high = np.log(_TEMPO_BPM)
        tempo_bpm = round(float(np.exp(rng.uniform(low, high))), 2)
    tune = _choose_tune(rng, metre) if rng.random() < _TUNE_CHANCE else None
    if tune is not None:
        return _arrange(rng, tune, check_style(style), tempo_bpm, bars)
    return compose(rng, style=style, metre=metre, tempo_bpm=tempo_bpm, bars=bars)


def _choose_metre(rng: np.random.Generator) -> tuple[int, int]:
    name = str(rng.choice(list(_METRES), p=list(_METRES.values())))
    beats, unit = name.split("/")
    return int(beats), int(unit)


def _choose_style(rng: np.random.Generator, metre: tuple[int, int]) -> str:
    """A style that counts so, or now and then one that does not: neither predicts the other."""
    name = f"{metre[0]}/{metre[1]}"
    weights = np.array([row.metres.get(name, 0.0) + 0.03 for row in STYLES.values()])
    return list(STYLES)[int(rng.choice(len(STYLES), p=weights / weights.sum()))]


def _choose_tune(rng: np.random.Generator, metre: tuple[int, int]) -> Tune | None:
    fitting = [tune for tune in load_tunes() if tune.metre == metre]
    return fitting[int(rng.integers(len(fitting)))] if fitting else None


def _arrange(
    rng: np.random.Generator, tune: Tune, style: str, tempo_bpm: float | None, bars: int
) -> Piece:
    """A stretch of the tune in another key, with a band that plays the style around it."""
    row = STYLES[style]
    melody, key = _excerpt(rng, tune, bars)
    if tempo_bpm is None:
        low, high = row.tempo_bpm
        tempo_bpm = float(np.clip(rng.uniform(0.85 * low, 1.15 * high), *_TEMPO_BPM))
    short = float(np.percentile([note.duration_beats for note in melody], 20.0))
    tempo_bpm = round(max(_TEMPO_BPM[0], min(tempo_bpm, 60.0 * short / _FASTEST_NOTE_S)), 2)
    sets = [(roles, weight) for roles, weight in ROLE_SETS if "lead" in roles]
    weights = np.array([weight for _, weight in sets])
    roles = sets[int(rng.choice(len(sets), p=weights / weights.sum()))][0]
    bright = key.mode in ("major", "mixolydian")
    moods = [mood for mood in MOODS if mood not in (("sad", "dark") if bright else ("happy",))]
    piece = harmonise(
        _played(rng, melody, tune.metre, tempo_bpm, row.timing_ms),
        tempo_bpm=tempo_bpm,
        metre=tune.metre,
        key=key,
        style=style,
        mood=str(rng.choice(moods)),
        length_beats=bars * bar_beats(tune.metre),
        roles=roles,
        programs={role: choose_program(rng, row, role) for role in roles},
        rng=rng,
    )
    return replace(piece, parts=tuple(_placed(rng, part, piece, bars) for part in piece.parts))


def _excerpt(rng: np.random.Generator, tune: Tune, bars: int) -> tuple[list[Note], Key]:
    """`bars` bars of the tune from one of its phrases on, from the beginning again at its end."""
    shift = int(rng.integers(-5, 7))
    length = tune.bars * bar_beats(tune.metre)
    first = 4 * int(rng.integers(0, max(1, tune.bars // 4))) * bar_beats(tune.metre)
    wanted = bars * bar_beats(tune.metre)
    octave = 12 * round((69 - float(np.median([n.pitch for n in tune.notes])) - shift) / 12.0)
    notes = []
    for turn in range(-(-int(wanted + first) // max(1, int(length))) + 1):
        for note in tune.notes:
            start = note.start_beats + turn * length - first
            if 0.0 <= start < wanted:
                notes.append(replace(note, start_beats=start, pitch=note.pitch + shift + octave))
    return notes, Key((tune.key.tonic + shift) % 12, tune.key.mode)


def _played(
    rng: np.random.Generator,
    melody: list[Note],
    metre: tuple[int, int],
    tempo_bpm: float,
    timing_ms: float,
) -> list[Note]:
    """A written melody as somebody plays it: accents, phrasing, a little freedom in time."""
    weights = grid.step_weights(metre)
    level, legato = float(rng.uniform(70.0, 96.0)), float(rng.uniform(0.82, 1.0))
    out = []
    for note in melody:
        step = round(note.start_beats % bar_beats(metre) / grid.STEP_BEATS) % len(weights)
        velocity = int(np.clip(level + 16.0 * weights[step] + rng.normal(0.0, 4.0), 15, 127))
        late = float(np.clip(rng.normal(0.0, timing_ms), -18.0, 18.0)) * tempo_bpm / 60000.0
        start = max(0.0, note.start_beats + late)
        out.append(Note(start, max(0.04, note.duration_beats * legato), note.pitch, velocity))
    return out


def _placed(rng: np.random.Generator, part: Part, piece: Piece, bars: int) -> Part:
    """The lead placed in the mix; now and then another part that enters after four bars."""
    if part.role == "lead":
        gain_db = float(np.clip(rng.normal(0.0, 2.0), -5.0, 5.0))
        return replace(part, pan=float(rng.uniform(-0.5, 0.5)), gain_db=gain_db)
    if bars > 4 and rng.random() < 0.25:
        enters = 4 * piece.bar_beats - 0.05
        late = tuple(note for note in part.notes if note.start_beats >= enters)
        return replace(part, notes=late or part.notes)
    return part


@lru_cache(maxsize=1)
def _has_second() -> bool:
    return SECOND_SOUNDFONT.is_file()


def render_training_piece(
    piece: Piece, seed: int, sample_rate_hz: int = 44100, *, soundfont: Path | None = None
) -> dict[str, Wave]:
    """The piece as it might be produced: its stems by role and "mix", each float32 `[2, n]`.

    n is the piece's exact length, and "mix" the exact float32 sum of the stems in the order of
    `ROLES`. Half of the pieces come as the soundfont plays them, the others through effects. The
    mix peaks between -1 and -12 dBFS. The seed chooses the soundfont where none is given. Raises
    `RuntimeError` where libfluidsynth or FluidR3 is missing.
    """
    rng = np.random.default_rng([20_250_001, seed])
    second, room = rng.random() < _SECOND_CHANCE, bool(rng.random() < 0.7)
    clean, peak_db = rng.random() < _CLEAN_CHANCE, float(rng.uniform(-12.0, -1.0))
    if soundfont is None:
        soundfont = SECOND_SOUNDFONT if second and _has_second() else DEFAULT_SOUNDFONT
    audio = render(piece, sample_rate_hz, stems=True, reverb=room, soundfont=soundfont)
    # Some presets carry an offset that would cost headroom.
    stems = {
        role: equalise(audio[role], (_SUBSONIC,), sample_rate_hz) for role in ROLES if role in audio
    }
    if not clean:
        stems = {
            role: _treated(rng, stem, role, piece.tempo_bpm, sample_rate_hz)
            for role, stem in stems.items()
        }
        stems = _bus(rng, stems, sample_rate_hz)
    peak = float(np.abs(_total(stems)).max(initial=0.0))
    scale = np.float32(10.0 ** (peak_db / 20.0) / peak if peak > 0.0 else 1.0)
    stems = {role: stem * scale for role, stem in stems.items()}
    return {**stems, "mix": _total(stems)}


def _total(stems: dict[str, Wave]) -> Wave:
    mix = np.zeros_like(next(iter(stems.values())))
    for stem in stems.values():
        mix += stem
    return mix


def _equaliser(rng: np.random.Generator, reach_db: float) -> tuple[Band, ...]:
    """Two shelves and a bell of up to `reach_db`, each there as often as not."""
    bands = (
        Band("low", float(rng.uniform(80.0, 300.0)), float(rng.uniform(-reach_db, reach_db))),
        Band("high", float(rng.uniform(2500.0, 9000.0)), float(rng.uniform(-reach_db, reach_db))),
        Band(
            "peak",
            float(np.exp(rng.uniform(np.log(200.0), np.log(6000.0)))),
            float(rng.uniform(-reach_db, reach_db)),
            float(rng.uniform(0.5, 2.0)),
        ),
    )
    return tuple(band for band in bands if rng.random() < 0.5)


def _treated(
    rng: np.random.Generator, stem: Wave, role: str, tempo_bpm: float, sample_rate_hz: int
) -> Wave:
    """One stem through filter, drive, stereo and room, each only sometimes there."""
    bands = _equaliser(rng, 7.0)
    if rng.random() < 0.15:
        bands += (
            Band("low-pass", float(rng.uniform(900.0, 6000.0)), q=float(rng.uniform(0.6, 2))),
        )
    elif role in ("chords", "lead") and rng.random() < 0.15:
        bands += (Band("high-pass", float(rng.uniform(120.0, 600.0))),)
    stem = equalise(stem, bands, sample_rate_hz)
    if rng.random() < 0.3:
        stem = saturate(stem, float(rng.uniform(0.0, 18.0)))
    if role != "bass" and rng.random() < 0.35:
        stem = widen(stem, float(rng.uniform(0.0, 1.8)))
    if role in ("chords", "lead") and rng.random() < 0.12:
        rate_hz = tempo_bpm / 60.0 * float(rng.choice([0.125, 0.25, 0.5, 1.0, 2.0]))
        depth, phase = float(rng.uniform(0.3, 0.9)), float(rng.random())
        stem = auto_pan(stem, rate_hz, depth, phase, sample_rate_hz)
    if rng.random() < (0.08 if role == "bass" else 0.25):
        room = impulse_response(
            rng, float(rng.uniform(0.15, 0.9)), float(rng.uniform(1500.0, 9000.0)), sample_rate_hz
        )
        stem = reverberate(stem, room, float(rng.uniform(0.1, 0.5)))
    return stem


def _bus(rng: np.random.Generator, stems: dict[str, Wave], sample_rate_hz: int) -> dict[str, Wave]:
    """Every stem through the same filters, room and gains, so that their sum is the mix's own."""
    bands = _equaliser(rng, 4.0) if rng.random() < 0.5 else ()
    stems = {role: equalise(stem, bands, sample_rate_hz) for role, stem in stems.items()}
    if rng.random() < 0.15:
        room = impulse_response(
            rng, float(rng.uniform(0.2, 1.5)), float(rng.uniform(1500.0, 9000.0)), sample_rate_hz
        )
        wet = float(rng.uniform(0.08, 0.3))
        stems = {role: reverberate(stem, room, wet) for role, stem in stems.items()}
    if "drums" in stems and rng.random() < 0.12:
        gain = ducking(
            stems["drums"], float(rng.uniform(3.0, 10.0)), float(rng.uniform(60.0, 250.0)),
            sample_rate_hz,
        )  # fmt: skip
        stems = {role: stem if role == "drums" else stem * gain for role, stem in stems.items()}
    if rng.random() < 0.6:
        gain = compression(
            _total(stems), float(rng.uniform(-24.0, -4.0)), float(rng.uniform(1.5, 8.0)),
            float(rng.uniform(40.0, 300.0)), sample_rate_hz,
        )  # fmt: skip
        stems = {role: stem * gain for role, stem in stems.items()}
    return stems
