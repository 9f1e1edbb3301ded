"""The synthesiser is exact in length and onsets, in time, band-limited and never too loud."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.sketch.compose import compose
from engine.sketch.drumkit import drum_wave
from engine.sketch.patterns import DRUM_PITCHES
from engine.sketch.score import ROLES, Key, Note, Part, Piece
from engine.sketch.styles import STYLES
from engine.sketch.synth import mix, synthesise
from engine.sketch.timbre import frequency_hz, timbre_of, tone

RATE_HZ = 44100


def piece_of(*parts: Part, tempo_bpm: float = 120.0, length_beats: float = 8.0) -> Piece:
    key = Key(0, "major")
    return Piece("pop", "calm", tempo_bpm, (4, 4), key, (), parts, length_beats)


@pytest.mark.parametrize("metre", [(4, 4), (7, 8)])
@pytest.mark.parametrize("rate_hz", [22050, 44100, 48000])
@pytest.mark.parametrize("tempo_bpm", [61.7, 120.0, 233.3])
def test_lengths_are_exact(metre: tuple[int, int], rate_hz: int, tempo_bpm: float) -> None:
    piece = compose(np.random.default_rng(1), metre=metre, tempo_bpm=tempo_bpm, bars=2, roles=ROLES)
    expected = round(piece.length_beats * 60.0 / tempo_bpm * rate_hz)
    for wave in synthesise(piece, rate_hz).values():
        assert wave.shape == (2, expected)
        assert wave.dtype == np.float32


@pytest.mark.parametrize("program", [0, 11, 16, 24, 33, 40, 48, 56, 65, 73, 81, 89, 98, 105, 114])
@pytest.mark.parametrize("tempo_bpm", [83.1, 171.7])
def test_pitched_onsets_fall_on_their_sample(program: int, tempo_bpm: float) -> None:
    starts = [0.0, 2.37, 5.011, 8.77]
    notes = tuple(Note(start, 0.25, 64, 100) for start in starts)
    piece = piece_of(Part("lead", program, notes, 0.3, 0.0), tempo_bpm=tempo_bpm, length_beats=11.0)
    loud = np.abs(synthesise(piece, RATE_HZ)["lead"]).max(axis=0) > 0.0
    for start in starts:
        sample = round(start * 60.0 * RATE_HZ / tempo_bpm)
        heard = sample + int(np.argmax(loud[sample:]))
        assert abs(heard - sample) <= 2
        assert not loud[max(0, sample - 200) : sample].any()


@pytest.mark.parametrize("pitch", sorted(DRUM_PITCHES.values()))
def test_drum_onsets_fall_on_their_sample(pitch: int) -> None:
    piece = piece_of(Part("drums", 0, (Note(1.3, 0.2, pitch, 100),), 0.0, 0.0), tempo_bpm=97.3)
    wave = synthesise(piece, RATE_HZ)["drums"]
    sample = round(1.3 * 60.0 * RATE_HZ / 97.3)
    assert not wave[:, :sample].any()
    onset = np.abs(wave[:, sample : sample + 5]).max()
    assert onset > 0.0


def onset_envelope(wave: NDArray[np.float32], hop: int) -> NDArray[np.float64]:
    """Positive changes of the log energy in frames of `hop` samples, from the audio alone."""
    frames = wave.shape[1] // hop
    energy = np.sum(wave[:, : frames * hop].reshape(2, frames, hop) ** 2, axis=(0, 2))
    return np.maximum(0.0, np.diff(np.log(energy + 1e-4)))


@pytest.mark.parametrize("tempo_bpm", [96.0, 118.37, 140.0])
def test_the_tempo_can_be_heard(tempo_bpm: float) -> None:
    piece = compose(
        np.random.default_rng(6), style="house", tempo_bpm=tempo_bpm, metre=(4, 4), bars=12,
        roles=("drums",),
    )  # fmt: skip
    hop = 128
    envelope = onset_envelope(synthesise(piece, RATE_HZ)["drums"], hop)
    seconds = np.arange(len(envelope)) * hop / RATE_HZ
    # The beat's own frequency may be weak, its double is always played: the hats.
    tempos = np.arange(0.9 * tempo_bpm, 1.1 * tempo_bpm, 0.1)
    strength = [
        abs(np.sum(np.exp(-4j * np.pi * bpm / 60.0 * seconds) * envelope)) for bpm in tempos
    ]
    assert tempos[int(np.argmax(strength))] == pytest.approx(tempo_bpm, rel=0.003)


@pytest.mark.parametrize("style", STYLES)
def test_no_clipping_and_no_silence(style: str) -> None:
    piece = compose(np.random.default_rng(8), style=style, bars=2, roles=ROLES, steady=True)
    stems = synthesise(piece, RATE_HZ)
    assert set(stems) == set(ROLES)
    for wave in (*stems.values(), mix(stems)):
        assert np.isfinite(wave).all()
        assert 0.01 < np.abs(wave).max() <= 0.9
        tiny = np.abs(wave[wave != 0.0])
        assert tiny.min() > np.finfo(np.float32).tiny


def test_empty_parts_and_pieces() -> None:
    stems = synthesise(piece_of(Part("lead", 0, (), 0.0, 0.0)), RATE_HZ)
    assert stems["lead"].shape == (2, 4 * RATE_HZ)
    assert not stems["lead"].any()
    assert synthesise(piece_of(), RATE_HZ) == {}
    with pytest.raises(ValueError, match="nothing to mix"):
        mix({})
    with pytest.raises(ValueError, match="8000"):
        synthesise(piece_of(), 4000)


def test_a_centred_part_is_the_same_on_both_sides_and_a_panned_one_is_not() -> None:
    notes = (Note(0.0, 4.0, 60, 100),)
    centred = synthesise(piece_of(Part("bass", 33, notes, 0.0, 0.0)), RATE_HZ)["bass"]
    np.testing.assert_allclose(centred[0], centred[1], atol=1e-6)
    left = synthesise(piece_of(Part("bass", 33, notes, -1.0, 0.0)), RATE_HZ)["bass"]
    assert np.abs(left[1]).max() < 1e-6 < np.abs(left[0]).max()


@pytest.mark.parametrize("program", [0, 16, 40, 73, 81])
@pytest.mark.parametrize("pitch", [40, 69, 93])
def test_tones_are_in_tune_and_do_not_alias(program: int, pitch: int) -> None:
    wave = tone(timbre_of(program), pitch, RATE_HZ // 8, RATE_HZ)[0].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 17))
    hz = np.fft.rfftfreq(1 << 17, 1.0 / RATE_HZ)
    base = frequency_hz(pitch)
    near = (hz > 0.94 * base) & (hz < 1.06 * base)
    assert hz[near][int(np.argmax(spectrum[near]))] == pytest.approx(base, rel=0.01)
    below = spectrum[(hz > 30.0) & (hz < 0.6 * base)] if base > 200.0 else np.zeros(1)
    # What folded back would lie between the harmonics, below the fundamental among others.
    assert below.max() < 0.02 * spectrum.max()


def test_a_closed_hat_silences_the_open_one() -> None:
    def ringing(*notes: Note) -> float:
        part = Part("drums", 0, notes, 0.0, 0.0)
        wave = synthesise(piece_of(part), RATE_HZ)["drums"]
        return float(np.abs(wave[:, 15000:18000]).max() / np.abs(wave).max())

    opened, closed = Note(0.0, 0.2, 46, 100), Note(0.3, 0.2, 42, 100)
    assert ringing(opened) > 5.0 * ringing(opened, closed)


def test_drum_waves_are_shared_and_cannot_be_changed() -> None:
    wave = drum_wave(36, 0, RATE_HZ)
    assert wave is drum_wave(36, 0, RATE_HZ)
    with pytest.raises(ValueError, match="read-only"):
        wave[0] = 1.0


def test_what_rings_out_is_the_same_music_and_its_end() -> None:
    notes = tuple(Note(float(beat), 1.0, pitch, 100) for beat, pitch in ((0, 36), (3, 36), (3, 49)))
    piece = piece_of(Part("drums", 0, notes, 0.0, 0.0))
    short, long = (synthesise(piece, RATE_HZ, repeats=out)["drums"] for out in (False, True))
    end = short.shape[1]
    assert np.array_equal(long[:, :end], short)
    steps = np.abs(np.diff(long, axis=1)).max(axis=0)
    assert steps[end - 1] < 2.0 * steps[end - 200 : end - 1].max(), "nothing is cut at the end"
    assert np.abs(long[:, end : end + RATE_HZ // 10]).max() > 1e-3
    assert not long[:, -RATE_HZ // 100 :].any(), "it has rung out"


def test_the_next_round_of_a_loop_chokes_what_rings_over_its_end() -> None:
    def hats(*strokes: tuple[float, int]) -> NDArray[np.float32]:
        notes = tuple(Note(beat, 0.1, pitch, 100) for beat, pitch in strokes)
        piece = piece_of(Part("drums", 0, notes, 0.0, 0.0))
        return synthesise(piece, RATE_HZ, repeats=True)["drums"][:, round(8.0 * 0.5 * RATE_HZ) :]

    choked, free = hats((0.25, 42), (7.9, 46)), hats((2.0, 38), (7.9, 46))
    later = round(0.25 * 0.5 * RATE_HZ) + round(0.01 * RATE_HZ)
    assert np.abs(choked[:, : later // 2]).max() > 1e-4, "it rings on until then"
    assert not choked[:, later:].any()
    assert np.abs(free[:, later:]).max() > 1e-4
