"""Scenes that start from a sketch: accompany a melody, or play what a prompt says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.analysis.tempo import Grid
from engine.controls.control import Control
from engine.controls.intensity import Intensity
from engine.controls.loop import OVERLAP_S, Loop
from engine.curves import Form
from engine.files.audio import read_clip
from engine.files.midi import Melody
from engine.models.studio import STUDIO_RATE_HZ, Model, StudioCodec
from engine.musical_time import MetreMap, MusicalTime, TempoMap
from engine.render.finish import resample, resample_loop, spread
from engine.render.splice import close_loop
from engine.sketch.accompany import accompany
from engine.sketch.harmonise import harmonise
from engine.sketch.keyfinding import estimate_key
from engine.sketch.prompt import Reading, read_prompt, sketch_from_prompt, usual_metre
from engine.sketch.score import ROLES, Note, Piece
from engine.sketch.synth import synthesise
from engine.spec import BridgeError, RenderRequest
from engine.tasks.beside import Beside, listen
from engine.tasks.listening import key_name
from engine.tasks.pulse import LONGEST_RESULT_S, Pulse, pulse_of
from engine.tasks.scene import Finished, Samples, Scene, Stereo
from engine.tasks.song_time import asked_metre, asked_metres, check_tempo, song_time
from engine.tasks.stems import Tune, parts_of, placed, summed, wrapped
from engine.tasks.tune import counted_at, is_recording, read_tune
from engine.tasks.wishes import Axis, wishes_of
from engine.tasks.words import read_key
from engine.units import Metre, bars_to_seconds, seconds_to_samples

SUBTYPE = "PCM_24"
_WRAP_FADE = round(0.06 * STUDIO_RATE_HZ)
_SAME_TEMPO = 0.02  # an estimate this close to the file's tempo means the file's


@dataclass(frozen=True, slots=True)
class Sketch:
    """A piece, and where it lies in the result.

    Attributes:
        starts_at: sample of the sketch, at 44.1 kHz, with which the result begins.
        length: samples of the result at 44.1 kHz.
        grid: the piece's beats on the result's time axis.
        unknown_words: of the prompt.
    """

    piece: Piece
    length: int
    grid: Grid
    unknown_words: list[str]
    starts_at: int = 0

    @classmethod
    def of(cls, piece: Piece, pulse: Pulse, unknown_words: list[str]) -> Sketch:
        """A piece written in a pulse from its first bar line on."""
        timed = pulse.timed(piece)
        starts_at = timed.samples_at(float(pulse.lead_beats), STUDIO_RATE_HZ)
        return cls(timed, pulse.length, pulse.grid, unknown_words, starts_at)


@dataclass(frozen=True, slots=True)
class Format:
    """The result's own format.

    Attributes:
        convert: audio of the model at 44.1 kHz, whole steps, to the result's rate, channels and
            exact length, closed where it is a loop.
    """

    sample_rate_hz: int
    subtype: str
    length_samples: int
    convert: Callable[[Stereo], Samples] = field(repr=False)


def melody_scene(request: RenderRequest, model: Model) -> Scene:
    """An accompaniment to a MIDI melody: harmonised, arranged, plainly played, then rendered."""
    assert request.melody is not None
    song, asked = song_time(request), asked_metres(request)
    counted = request.bpm if song is None else song.tempo
    melody = read_tune(request.melody, counted, asked.first if asked else None)
    metre = asked.first if asked else melody.metre
    if song is not None:
        song = _counted_as(request, melody, song)
    beside = None
    if request.context is not None:
        beside = listen(
            read_clip(request.context),
            bpm=request.bpm,
            metre=metre,
            seconds=_asked_seconds(request, melody.bpm, metre, song),
            time=song,
        )
    bpm = request.bpm or melody_tempo(melody, beside)
    if counted is None and is_recording(request.melody):
        melody = counted_at(melody, bpm)
    fixed = request.bpm is not None or bpm != melody.bpm
    own = TempoMap.constant(bpm) if fixed else melody.tempo_map
    time = song or changing_time(own, asked or melody.metres)
    check_tempo(own if time is None else time.tempo, "the melody", "bad_midi")
    pulse = pulse_of(request, bpm, metre, time)
    tune = Tune.of(melody, pulse.length, model.codec.step_samples, pulse.tempo)
    if not bool(tune.chroma.any()):
        raise BridgeError(
            "bad_midi",
            "no note of the melody falls into the length asked for",
            "ask for more seconds or bars, or move the notes to the start",
        )
    reading = read_prompt(request.prompt)
    piece = _melody_piece(request, reading, melody, beside, pulse)
    sketch = Sketch.of(piece, pulse, reading.unknown)
    if time is None and beside is not None and bpm == beside.grid.bpm:
        grid = replace(beside.grid, first_beat_s=0.0)  # as sure as the analysis is
        sketch = replace(sketch, grid=grid)
    scene = sketch_scene(request, model, sketch, _format(request, pulse), tune=tune, beside=beside)
    # A backing is not judged by a tune that is left out of it.
    return replace(scene, melody=melody if piece.part("lead") else None, digest=melody.digest)


def generate_scene(request: RenderRequest, model: Model) -> Scene:
    """A piece from words alone."""
    reading = read_prompt(request.prompt)
    usual = Metre(*(reading.metre or usual_metre(reading.style)))
    song = song_time(request, usual)
    metre = usual if song else asked_metre(request, usual)
    tempo = request.bpm or reading.tempo_bpm
    if request.bars is not None and tempo is None and song is None:
        raise BridgeError(
            "bad_request",
            "generate needs a tempo for a length in bars",
            "give bpm, or write it into the prompt, or give seconds",
        )
    pulse = pulse_of(request, float(tempo or 0.0), metre, song)
    if pulse.stretches:
        raise BridgeError(
            "bad_request",
            "the metre changes within what is to be made from words",
            "make each stretch on its own, or give a melody",
        )
    piece, unknown = sketch_from_prompt(
        request.prompt,
        rng=np.random.default_rng(request.seed),
        length_s=pulse.length / STUDIO_RATE_HZ if song is None else None,
        length_beats=None if song is None else pulse.length_beats,
        tempo_bpm=tempo if song is None else pulse.bpm,
        metre=pulse.counted,
        key=read_key(request.key),
        roles=request.roles,
        structure=None if request.structure is None else Form.parse(request.structure),
    )
    pulse = replace(pulse, bpm=piece.tempo_bpm)
    return sketch_scene(request, model, Sketch.of(piece, pulse, unknown), _format(request, pulse))


def _asked_seconds(
    request: RenderRequest, bpm: float, metre: Metre, song: MusicalTime | None
) -> float:
    """Length of the result; an estimate where its bars are counted in a tempo yet to be chosen."""
    if request.seconds is not None:
        return request.seconds
    bars = request.bars or 0
    counted = bars_to_seconds(bars, request.bpm or bpm, metre)
    return min(float(counted if song is None else song.bars_s(bars)), LONGEST_RESULT_S)


def _counted_as(request: RenderRequest, melody: Melody, song: MusicalTime) -> MusicalTime:
    """The song's time in the melody's own metre where nobody else says one.

    One that changes counts from the melody's start on, as in its file.
    """
    if request.metre is not None:
        return song
    if not melody.metres.is_constant and request.tempo_from is None:
        return replace(song, metres=melody.metres)
    return song_time(request, melody.metre) or song


def melody_tempo(melody: Melody, beside: Beside | None) -> float:
    """The tempo in which a melody is played where none is asked for, in quarter notes a minute.

    That of the clip it has to go with, where the clip has a beat to be trusted. The file's own
    counts where it is the same but for the estimate's error, or where one is a double of the other:
    an analysis knows no octave of tempo. A file whose tempo changes is a song's own, and counts.
    """
    if beside is None or not beside.grid.trusted or not melody.tempo_map.is_constant:
        return melody.bpm
    octaves = math.log2(beside.grid.bpm / melody.bpm)
    if abs(octaves - round(octaves)) < math.log2(1.0 + _SAME_TEMPO):
        return melody.bpm
    return beside.grid.bpm


def changing_time(tempo: TempoMap, metres: MetreMap) -> MusicalTime | None:
    """A melody's own time, where tempo or metre change; None where a steady beat says it all."""
    time = MusicalTime(tempo, metres)
    return None if time.is_steady else time


def _melody_piece(
    request: RenderRequest,
    reading: Reading,
    melody: Melody,
    beside: Beside | None,
    pulse: Pulse,
) -> Piece:
    """The melody with a band around it that agrees with what plays beside it."""
    lead = float(pulse.lead_beats)
    notes = [
        Note(n.start_beats + lead, n.duration_beats, n.pitch, n.velocity) for n in melody.notes
    ]
    key = read_key(request.key) or reading.key
    rng = np.random.default_rng(request.seed)
    common: dict[str, Any] = {
        "tempo_bpm": pulse.bpm,
        "metre": pulse.counted,
        "style": reading.style,
        "mood": reading.mood,
        "length_beats": pulse.length_beats,
        "roles": request.roles or reading.roles or ROLES,
        "programs": reading.programs,
        "rng": rng,
    }
    heard = None if beside is None else beside.heard(pulse.tempo, lead_beats=lead)
    stretches = pulse.stretches
    if (heard is None or beside is None) and not stretches:
        return harmonise(notes, key=key, **common)
    if beside is not None:
        key = key or beside.sure_key
    return accompany(
        heard, melody=notes, key=key or estimate_key(notes), stretches=stretches, **common
    )


def sketch_scene(
    request: RenderRequest,
    model: Model,
    sketch: Sketch,
    form: Format,
    *,
    tune: Tune | None = None,
    beside: Beside | None = None,
    by_stems: bool = False,
) -> Scene:
    """The sketch as prior, nothing known.

    Args:
        tune: what the lead is to play.
        beside: what already plays; the result is as loud as suits it.
        by_stems: render one part after the other, even where they are not given apart.
    """
    piece = sketch.piece
    wrap = round(OVERLAP_S * STUDIO_RATE_HZ) if request.seamless else 0
    stems = _played(sketch, wrap, request.seamless)
    controls, tune = _wishes(request, model.codec, sketch, form, tune, wrap)
    apart = by_stems or request.stems
    parts = parts_of(
        piece,
        stems,
        model,
        sketch.grid,
        tune,
        controls,
        apart=apart,
        prompt=request.prompt,
        round_samples=sketch.length if request.seamless else None,
    )
    gain = 1.0 if beside is None else beside.gain(tuple(stems))

    def finish(rendered: Sequence[Stereo]) -> Finished:
        names = [part.name for part in parts[: len(rendered)]]
        heard = [gain * form.convert(audio) for audio in rendered]
        done = summed(names, heard, form.sample_rate_hz, form.subtype, apart=request.stems)
        return replace(done, seams=(0,)) if request.seamless else done

    return Scene(
        parts,
        finish,
        form.sample_rate_hz,
        form.subtype,
        "",
        request.task,
        form.length_samples,
        beside=None
        if beside is None
        else beside.audio(sketch.length + wrap, gain, model.codec.step_samples),
        grid=sketch.grid,
        facts=_facts(sketch, list(stems), model, beside, gain),
        controls=controls if tune is None or not piece.part("lead") else (*controls, tune.control),
    )


def _facts(
    sketch: Sketch, roles: list[str], model: Model, beside: Beside | None, gain: float
) -> dict[str, Any]:
    """What the report says of the sketch, and of what it is heard beside."""
    facts: dict[str, Any] = {
        "style": sketch.piece.style,
        "mood": sketch.piece.mood,
        "key": key_name(sketch.piece.key),
        "roles": roles,
        "unknown_words": [] if model.reads_text else sketch.unknown_words,
    }
    if beside is not None:
        facts["beside"] = beside.facts() | {"gain_db": round(20 * math.log10(gain), 2)}
        if not model.hears_context:
            facts["unused_wishes"] = ["context"]  # the sketch goes by the clip, the model does not
    return facts


def _played(sketch: Sketch, wrap: int, seamless: bool) -> dict[str, Stereo]:
    """The sketch as sound by role; with `wrap` samples of the next round where it is a loop."""
    stems = synthesise(sketch.piece, STUDIO_RATE_HZ, repeats=seamless)
    if seamless:
        begun = {role: stem[:, sketch.starts_at :] for role, stem in stems.items()}
        return wrapped(begun, sketch.length, wrap)
    return placed(stems, sketch.starts_at, sketch.length)


def _wishes(
    request: RenderRequest,
    codec: StudioCodec,
    sketch: Sketch,
    form: Format,
    tune: Tune | None,
    wrap: int,
) -> tuple[tuple[Control, ...], Tune | None]:
    """What is wished beside the sketch, and its tune; in a loop both begin again at its end."""
    length_s = form.length_samples / form.sample_rate_hz
    axis = Axis.of(codec, -(-(sketch.length + wrap) // codec.step_samples), 0.0)
    grid = sketch.grid
    controls = wishes_of(request, axis, length_s, grid.bar_s, grid.time)
    if not request.seamless:
        return controls, tune
    period = sketch.length / codec.step_samples
    frames = period * codec.frames_per_step
    controls = tuple(
        each.repeated(frames) if isinstance(each, Intensity) else each for each in controls
    )
    repeated = None if tune is None else tune.repeated(period, axis.steps)
    return (*controls, Loop(period, max(1, wrap // codec.step_samples))), repeated


def _closed(length: int) -> Callable[[Stereo], Samples]:
    """A loop of so many samples: what was rendered beyond its end fades into its beginning."""

    def close(audio: Stereo) -> Samples:
        exact = audio.astype(np.float64)
        fade = min(_WRAP_FADE, length // 4, exact.shape[1] - length)
        return close_loop(exact[:, :length], exact[:, length : length + fade], length, fade)

    return close


def _format(request: RenderRequest, pulse: Pulse) -> Format:
    """The host's format where the request gives it, else the model's own."""
    rate = request.sample_rate_hz or STUDIO_RATE_HZ
    channels = request.channels or 2
    length = seconds_to_samples(pulse.seconds, rate)
    closed = _closed(pulse.length) if request.seamless else None

    def convert(audio: Stereo) -> Samples:
        if closed is None:
            exact = resample(audio.astype(np.float64), STUDIO_RATE_HZ, rate, length)
        else:
            exact = resample_loop(closed(audio), STUDIO_RATE_HZ, rate, length)
        return spread(exact, channels)

    return Format(rate, request.sample_format or SUBTYPE, length, convert)
