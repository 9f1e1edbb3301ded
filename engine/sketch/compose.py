"""Composition: a style, a form, chords, and a part for every role that plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from engine.sketch import form
from engine.sketch.bass import bass_notes
from engine.sketch.comping import chord_notes
from engine.sketch.drums import drum_notes
from engine.sketch.form import Section, Setting
from engine.sketch.melody import lead_notes
from engine.sketch.score import ROLES, Key, Note, Part, Piece, bar_beats, check_metre
from engine.sketch.styles import MOODS, ROLE_SETS, STYLES, WILD_PROGRAMS, Style

_DARK = ("sad", "dark")
_WILD_CHANCE = {"drums": 0.12, "bass": 0.12, "chords": 0.18, "lead": 0.2}
_MOOD_LEVEL = {"calm": 0.82, "dreamy": 0.85, "sad": 0.88, "energetic": 1.08, "dark": 0.97}
# Now and then a style is played at a pace that is not its own, so that one does not predict the
# other.
_STRAY_TEMPO_CHANCE = 0.12
_MAX_SHIFT_MS = 18.0


def compose(
    rng: np.random.Generator,
    *,
    style: str | None = None,
    mood: str | None = None,
    tempo_bpm: float | None = None,
    metre: tuple[int, int] | None = None,
    key: Key | None = None,
    bars: int = 16,
    roles: Sequence[str] | None = None,
    programs: dict[str, int] | None = None,
    steady: bool = False,
    sections: Sequence[tuple[str, int]] | None = None,
) -> Piece:
    """Compose a piece of `bars` bars; whatever is None is chosen.

    `programs` fixes General MIDI programs by role. With `steady` every role plays in every
    section, otherwise parts enter and leave. `sections` gives the form as letters with the bars
    they begin with, rising from 0; the same letter is the same material, and who plays tells
    letters apart. The same generator state gives the same piece.
    Raises `ValueError` for a style, mood, role, tempo, metre or length that does not exist.
    """
    if bars < 1:
        raise ValueError(f"a piece needs at least one bar, not {bars}")
    setting, name = choose_setting(rng, style, mood, tempo_bpm, metre, key, bars, sections)
    wanted = choose_roles(rng) if roles is None else check_roles(roles)
    if sections is not None:
        entries = form.entries_by_letter(wanted, [letter for letter, _ in sections])
    else:
        entries = form.plan_entries(rng, wanted, setting.sections, steady)
    parts = []
    for role in wanted:
        program = (programs or {}).get(role)
        if program is None:
            program = choose_program(rng, setting.style, role)
        parts.append(write_part(rng, setting, role, program, entries[role]))
    return assemble(rng, setting, name, parts)


def check_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """The roles in score order. Raises `ValueError` for an unknown one or for none."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise ValueError(f"cannot use roles {list(roles)}; choose from {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in roles)


def check_style(name: str) -> str:
    """The name itself; raises `ValueError` for a style that is not in the table."""
    if name not in STYLES:
        raise ValueError(f"unknown style {name!r}; choose one of {', '.join(STYLES)}")
    return name


def check_mood(name: str) -> str:
    """The name itself; raises `ValueError` for an unknown mood."""
    if name not in MOODS:
        raise ValueError(f"unknown mood {name!r}; choose one of {', '.join(MOODS)}")
    return name


def choose_roles(rng: np.random.Generator) -> tuple[str, ...]:
    """A line-up, from a lone instrument to everybody."""
    weights = np.array([weight for _, weight in ROLE_SETS])
    return ROLE_SETS[int(rng.choice(len(ROLE_SETS), p=weights / weights.sum()))][0]


def choose_program(rng: np.random.Generator, style: Style, role: str, *, wild: bool = True) -> int:
    """An instrument of the style, with `wild` now and then one from outside it."""
    if wild and rng.random() < _WILD_CHANCE[role]:
        options = WILD_PROGRAMS[role]
    else:
        options = {
            "drums": style.kits,
            "bass": style.bass_programs,
            "chords": style.chord_programs,
            "lead": style.lead_programs,
        }[role]
    return int(options[int(rng.integers(len(options)))])


def choose_style(rng: np.random.Generator, tempo_bpm: float, metre: tuple[int, int]) -> str:
    """A style at home in this tempo and metre, or the nearest in tempo."""
    name = f"{metre[0]}/{metre[1]}"
    weights: dict[str, float] = {}
    for style, row in STYLES.items():
        low, high = row.tempo_bpm
        outside = max(0.0, np.log2(low / tempo_bpm), np.log2(tempo_bpm / high))
        weights[style] = (row.metres.get(name, 0.0) + 0.01) * float(np.exp(-12.0 * outside))
    return form.weighted(rng, weights)


def usual_tempo_bpm(style: Style, metre: tuple[int, int]) -> tuple[float, float]:
    """Slowest and fastest quarter notes a minute that are usual for a style in a metre."""
    low, high = style.tempo_bpm
    if metre[1] == 8 and metre[0] % 3 == 0:
        # The pulse of 6/8 is a dotted quarter; the same walking pace counts faster in quarters.
        return max(84.0, 1.1 * low), min(190.0, 1.4 * high)
    return low, high


def choose_setting(
    rng: np.random.Generator,
    style: str | None,
    mood: str | None,
    tempo_bpm: float | None,
    metre: tuple[int, int] | None,
    key: Key | None,
    bars: int,
    sections: Sequence[tuple[str, int]] | None = None,
) -> tuple[Setting, str]:
    """Fill in what is left open, consistently: a style knows its tempos, metres and modes."""
    name = style if style is not None else form.pick(rng, tuple(STYLES))
    row = STYLES[check_style(name)]
    mood = mood if mood is None else check_mood(mood)
    if metre is None:
        beats, unit = form.weighted(rng, row.metres).split("/")
        metre = (int(beats), int(unit))
    check_metre(metre)
    if key is None:
        key = Key(int(rng.integers(12)), _choose_mode(rng, row, mood))
    if tempo_bpm is None:
        tempo_bpm = _choose_tempo(rng, row, metre, mood)
    if mood is None:
        mood = _choose_mood(rng, row, key, tempo_bpm)
    planned = level_sections(form.plan_sections(rng, bars, sections), mood)
    chords = form.plan_chords(rng, row, metre, key, planned)
    swing = float(rng.uniform(*row.swing))
    swing = swing if can_swing(metre, row.swing_unit_beats) else 0.5
    length = bars * bar_beats(metre)
    return Setting(row, mood, metre, key, tempo_bpm, planned, chords, length, swing), name


def level_sections(sections: Sequence[Section], mood: str) -> tuple[Section, ...]:
    """The sections played as softly or as strongly as the mood wants."""
    level = _MOOD_LEVEL.get(mood, 1.0)
    return tuple(
        replace(section, intensity=min(1.0, section.intensity * level)) for section in sections
    )


def _choose_mode(rng: np.random.Generator, row: Style, mood: str | None) -> str:
    weights = dict(row.modes)
    if mood in _DARK:
        weights = {m: w for m, w in weights.items() if m in ("minor", "dorian")} or {"minor": 1.0}
    elif mood == "happy":
        weights = {m: w for m, w in weights.items() if m in ("major", "mixolydian")} or {
            "major": 1.0
        }
    return form.weighted(rng, weights)


def _choose_tempo(
    rng: np.random.Generator, row: Style, metre: tuple[int, int], mood: str | None
) -> float:
    low, high = usual_tempo_bpm(row, metre)
    place = float(rng.random())
    place = 0.5 * place if mood in ("calm", "sad", "dreamy") else place
    place = 0.5 + 0.5 * place if mood == "energetic" else place
    tempo = low + (high - low) * place
    if rng.random() < _STRAY_TEMPO_CHANCE:
        tempo *= float(rng.uniform(0.8, 1.25))
    return float(round(tempo)) if rng.random() < 0.7 else round(tempo, 2)


def _choose_mood(rng: np.random.Generator, row: Style, key: Key, tempo_bpm: float) -> str:
    low, high = row.tempo_bpm
    weights = dict.fromkeys(MOODS, 0.5)
    bright = key.mode in ("major", "mixolydian")
    weights["happy"] = 2.0 if bright else 0.0
    weights["sad"] = 0.0 if bright else 1.5
    weights["dark"] = 0.0 if bright else 1.5
    weights["energetic"] += 2.0 * (tempo_bpm > 110)
    weights["calm"] += 1.5 * (tempo_bpm < 95)
    weights["dreamy"] += 1.5 * (tempo_bpm < (low + high) / 2 and row.colour >= 0.3)
    return form.weighted(rng, weights)


def write_part(
    rng: np.random.Generator,
    setting: Setting,
    role: str,
    program: int,
    active: tuple[bool, ...],
) -> Part:
    """One role's part, with its swing, its human timing and its place in the mix."""
    if role == "drums":
        notes = drum_notes(rng, setting, active)
    elif role == "bass":
        notes = perform_voice(bass_notes(rng, setting, active, program))
    elif role == "chords":
        notes = chord_notes(rng, setting, active, program)
    else:
        notes = perform_voice(lead_notes(rng, setting, active, program))
    timed = perform(rng, notes, setting, 0.5 if role == "drums" else 1.0)
    pan = float(rng.uniform(-0.15, 0.15) if role in ("drums", "bass") else rng.uniform(-0.6, 0.6))
    gain_db = float(np.clip(rng.normal(0.0, 2.0), -5.0, 5.0))
    chorus = float(rng.uniform(0.2, 0.7)) if role == "chords" and rng.random() < 0.25 else 0.0
    return Part(role, program, timed, pan, gain_db, chorus)


def perform_voice(notes: Sequence[Note]) -> list[Note]:
    """Cut each note where the next begins: one voice never overlaps itself."""
    ordered = sorted(notes, key=lambda note: note.start_beats)
    out = []
    for note, after in zip_longest(ordered, ordered[1:]):
        length = note.duration_beats
        if after is not None:
            length = min(length, after.start_beats - note.start_beats)
        if length > 0.0:
            out.append(replace(note, duration_beats=length))
    return out


def can_swing(metre: tuple[int, int], unit_beats: float) -> bool:
    """Whether pairs of `unit_beats` fill the bars: quarters do not in 7/8, nor suit 6/8."""
    compound = metre[1] >= 8 and metre[0] % 3 == 0
    return bar_beats(metre) % unit_beats == 0.0 and not (compound and unit_beats >= 1.0)


def swing_time(beats: float, swing: float, unit_beats: float) -> float:
    """Where a straight grid time falls when the off-beat of each unit moves to `swing`."""
    whole, phase = divmod(beats / unit_beats, 1.0)
    warped = 2.0 * swing * phase if phase < 0.5 else swing + 2.0 * (1.0 - swing) * (phase - 0.5)
    return (whole + warped) * unit_beats


def perform(
    rng: np.random.Generator, notes: Sequence[Note], setting: Setting, tightness: float
) -> tuple[Note, ...]:
    """Swing and human timing; every note ends by the piece's end."""
    spread = setting.style.timing_ms * tightness
    unit = setting.style.swing_unit_beats
    per_ms = setting.tempo_bpm / 60000.0
    limit = setting.length_beats
    out = []
    for note in notes:
        start = swing_time(note.start_beats, setting.swing, unit)
        end = swing_time(note.end_beats, setting.swing, unit)
        shift = float(np.clip(rng.normal(0.0, spread), -_MAX_SHIFT_MS, _MAX_SHIFT_MS)) * per_ms
        start = max(0.0, start + shift)
        end = min(limit, end + shift)
        if start < limit - 1e-3 and end - start > 0.01:
            out.append(replace(note, start_beats=start, duration_beats=end - start))
    return tuple(sorted(out, key=lambda note: (note.start_beats, note.pitch)))


def assemble(
    rng: np.random.Generator, setting: Setting, style: str, parts: Sequence[Part]
) -> Piece:
    """The piece of these parts."""
    return Piece(
        style=style,
        mood=setting.mood,
        tempo_bpm=setting.tempo_bpm,
        metre=setting.metre,
        key=setting.key,
        chords=setting.chords,
        parts=tuple(parts),
        length_beats=setting.length_beats,
        swing=setting.swing,
        swing_unit_beats=setting.style.swing_unit_beats,
        space=float(rng.beta(1.6, 3.0)),
    )


def cut_notes(notes: Sequence[Note], length_beats: float) -> tuple[Note, ...]:
    """The notes that begin before `length_beats`, none sounding beyond it."""
    return tuple(
        replace(note, duration_beats=min(note.duration_beats, length_beats - note.start_beats))
        for note in notes
        if note.start_beats < length_beats
    )


def cut_piece(piece: Piece, length_beats: float) -> Piece:
    """The first `length_beats` of a piece; raises `ValueError` where it is not that long."""
    if not 0.0 < length_beats <= piece.length_beats + 1e-9:
        raise ValueError(f"cannot cut {piece.length_beats} beats to {length_beats}")
    chords = tuple(
        replace(chord, duration_beats=min(chord.duration_beats, length_beats - chord.start_beats))
        for chord in piece.chords
        if chord.start_beats < length_beats
    )
    parts = tuple(replace(part, notes=cut_notes(part.notes, length_beats)) for part in piece.parts)
    return replace(piece, chords=chords, parts=parts, length_beats=length_beats)
