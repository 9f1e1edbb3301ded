"""The music to evaluate with: stretches of held-out pieces, and real recordings.

Pieces are numbers (`scripts/training_pieces.py`). Training takes numbers below 7,000,000, the
analyses of this evaluation learn from those of 7,000,000 and are tried on those of 8,000,000, and
everything on the page is measured on those from 9,000,000.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import mido
import numpy as np
from training_pieces import compose_training_piece, render_training_piece

from engine.files.audio import read_clip
from engine.render.finish import to_model
from engine.sketch.score import ROLES, Note, Piece
from evaluation.measures import Audio, level_db

RATE_HZ = 44_100
HELD_OUT_SEEDS = 9_000_000
RECORDINGS = Path("/usr/share/sonic-pi/samples")
_PATTERN = "loop_*.flac"
_HEARD_DB, _UNHEARD_DB = -32.0, -50.0  # of a role's second, below the mix
_HEARD_SHARE = 0.7
_TICKS_PER_BEAT = 480
_LONGEST_SEARCH = 40  # pieces looked through for each one that is wanted


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of a held-out piece that begins on a bar line.

    Attributes:
        start_beats: where in the piece it begins.
        stems: float64 `[2, samples]` at 44.1 kHz, by role.
        roles: those that are heard in most seconds.
    """

    seed: int
    piece: Piece
    start_beats: float
    stems: dict[str, Audio] = field(repr=False)
    roles: tuple[str, ...]

    @property
    def mix(self) -> Audio:
        """All stems together."""
        return np.asarray(np.sum(list(self.stems.values()), axis=0))

    @property
    def bar_samples(self) -> int:
        """Length of a bar at 44.1 kHz."""
        return round(self.piece.bar_beats * 60.0 / self.piece.tempo_bpm * RATE_HZ)

    @property
    def melody(self) -> tuple[Note, ...]:
        """Notes of the lead in this stretch, in beats from its start."""
        part = self.piece.part("lead")
        samples = next(iter(self.stems.values())).shape[1]
        length_beats = samples / RATE_HZ * self.piece.tempo_bpm / 60.0
        inside = [] if part is None else part.notes
        return tuple(
            replace(note, start_beats=note.start_beats - self.start_beats)
            for note in inside
            if self.start_beats <= note.start_beats < self.start_beats + length_beats
        )


def second_levels_db(audio: Audio) -> list[float]:
    """Level of every second begun."""
    return [level_db(audio[:, at : at + RATE_HZ]) for at in range(0, audio.shape[1], RATE_HZ)]


def roles_heard(stems: dict[str, Audio]) -> tuple[tuple[str, ...], int]:
    """The roles heard in most seconds, and how many come and go and are neither heard nor not."""
    mix = level_db(np.asarray(np.sum(list(stems.values()), axis=0)))
    heard, unsure = [], 0
    for role in ROLES:
        if role not in stems:
            continue
        apart = np.array(second_levels_db(stems[role])) - mix
        if float(np.mean(apart > _HEARD_DB)) >= _HEARD_SHARE:
            heard.append(role)
        elif float(apart.max()) > _UNHEARD_DB:
            unsure += 1
    return tuple(heard), unsure


def excerpt_of(seed: int, seconds: float) -> Excerpt | None:
    """The stretch of a piece with the clearest line-up: fewest roles that come and go, then most
    roles, then the earliest. None where the piece is too short or nothing is heard.
    """
    piece = compose_training_piece(seed)
    if piece.length_s < seconds:
        return None
    audio = render_training_piece(piece, seed)
    stems = {role: wave.astype(np.float64) for role, wave in audio.items() if role != "mix"}
    length, best, found = round(seconds * RATE_HZ), (0, 0), None
    for bar in range(int(piece.length_beats / piece.bar_beats)):
        start_beats = bar * piece.bar_beats
        start = round(start_beats * 60.0 / piece.tempo_bpm * RATE_HZ)
        if start + length > piece.length_samples(RATE_HZ):
            break
        cut = {role: wave[:, start : start + length] for role, wave in stems.items()}
        heard, unsure = roles_heard(cut)
        if heard and (found is None or (-unsure, len(heard)) > best):
            best, found = (-unsure, len(heard)), Excerpt(seed, piece, start_beats, cut, heard)
    if found is None:
        return None
    # Copied, or every excerpt would keep its whole piece in memory.
    return replace(found, stems={role: wave.copy() for role, wave in found.stems.items()})


def excerpts(
    first_seed: int,
    count: int,
    seconds: float,
    wanted: Callable[[Excerpt], bool] = lambda _: True,
) -> list[Excerpt]:
    """The first `count` pieces from a number upwards that are long enough and `wanted`."""
    found: list[Excerpt] = []
    for seed in range(first_seed, first_seed + _LONGEST_SEARCH * count):
        excerpt = excerpt_of(seed, seconds)
        if excerpt is not None and wanted(excerpt):
            found.append(excerpt)
        if len(found) == count:
            return found
    raise RuntimeError(f"{_LONGEST_SEARCH * count} pieces hold only {len(found)} that are wanted")


def write_melody(excerpt: Excerpt, path: Path) -> Path:
    """The lead of an excerpt as a MIDI file with its tempo and metre."""
    events = []
    for note in excerpt.melody:
        start, end = (round(t * _TICKS_PER_BEAT) for t in (note.start_beats, note.end_beats))
        events.append((start, 1, mido.Message("note_on", note=note.pitch, velocity=note.velocity)))
        events.append((end, 0, mido.Message("note_off", note=note.pitch)))
    events.sort(key=lambda event: event[:2])  # releases first, so that repeated notes sound
    beats, unit = excerpt.piece.metre
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(excerpt.piece.tempo_bpm)))
    track.append(mido.MetaMessage("time_signature", numerator=beats, denominator=unit))
    now = 0
    for at, _, message in events:
        track.append(message.copy(time=at - now))
        now = at
    mido.MidiFile(type=0, ticks_per_beat=_TICKS_PER_BEAT, tracks=[track]).save(path)
    return path


def recordings(folder: Path, count: int) -> list[Path]:
    """The longest loops of the folder, chosen by length and name alone; empty where it has none."""
    found = [(-read_clip(path).seconds, path.name, path) for path in folder.glob(_PATTERN)]
    return [path for _, _, path in sorted(found)[:count]]


def recording_audio(path: Path) -> Audio:
    """A recording as the model hears it: float64 `[2, samples]` at 44.1 kHz."""
    clip = read_clip(path)
    return to_model(clip.samples, clip.sample_rate_hz).astype(np.float64)
