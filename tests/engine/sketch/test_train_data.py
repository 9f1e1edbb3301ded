"""The truth given with a training piece agrees with its notes, and the audio with the truth."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from engine.sketch.compose import compose
from engine.sketch.score import ROLES, Key, Note, Part, Piece
from tests.engine.sketch.scripts import load

_FRAME_RATE_HZ = 44100 / 1024


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("train_data")


@pytest.fixture(scope="module")
def rendering(script: ModuleType) -> ModuleType:
    """The script, where FluidSynth and the soundfont are installed."""
    try:
        script.render(compose(np.random.default_rng(0), bars=1))
    except RuntimeError as error:
        pytest.skip(str(error))
    return script


@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (7, 8), (6, 8)])
def test_phases_count_beats_and_bars(script: ModuleType, metre: tuple[int, int]) -> None:
    piece = compose(np.random.default_rng(1), metre=metre, tempo_bpm=120.0, bars=4)
    # At 120 beats a minute and 8 frames a second every fourth frame is on a beat.
    truth = script.frame_truth(piece, 64, 8.0)
    beats = np.arange(64) / 4.0
    bar = beats % piece.bar_beats
    np.testing.assert_allclose(truth["beat_phase"], bar % 1.0, atol=1e-6)
    np.testing.assert_allclose(truth["bar_phase"], bar / piece.bar_beats, atol=1e-6)
    for name in ("beat_phase", "bar_phase"):
        assert truth[name].dtype == np.float32
        assert (truth[name] >= 0.0).all()
        assert (truth[name] < 1.0).all()


@pytest.mark.parametrize("seed", range(6))
def test_truth_agrees_with_the_notes(script: ModuleType, seed: int) -> None:
    piece = compose(np.random.default_rng(seed), bars=8)
    frames = 300
    truth = script.frame_truth(piece, frames, _FRAME_RATE_HZ)
    for frame in range(0, frames, 7):
        beats = frame / _FRAME_RATE_HZ * piece.tempo_bpm / 60.0
        chroma = np.zeros(12)
        roles = np.zeros(4, dtype=bool)
        for part in piece.parts:
            for note in part.notes:
                if note.start_beats - 1.0 <= beats < note.end_beats + 1.0:
                    roles[ROLES.index(part.role)] = True
                if part.role == "lead" and note.start_beats <= beats < note.end_beats:
                    chroma[note.pitch % 12] = 1.0
        np.testing.assert_array_equal(truth["melody_chroma"][frame], chroma)
        np.testing.assert_array_equal(truth["roles"][frame], roles)


@pytest.mark.parametrize("seed", range(4))
def test_every_start_of_the_lead_is_marked_once(script: ModuleType, seed: int) -> None:
    piece = compose(np.random.default_rng(seed), bars=4, roles=("lead",), tempo_bpm=100.0)
    frames = int(piece.length_s * _FRAME_RATE_HZ) + 1
    truth = script.frame_truth(piece, frames, _FRAME_RATE_HZ)
    expected = np.zeros((frames, 12), dtype=np.float32)
    for note in piece.parts[0].notes:
        expected[math.ceil(note.start_beats * 0.6 * _FRAME_RATE_HZ - 1e-9), note.pitch % 12] = 1.0
    np.testing.assert_array_equal(truth["melody_onsets"], expected)
    # What starts is sounding.
    assert (truth["melody_chroma"] >= truth["melody_onsets"]).all()


def test_what_began_before_a_window_does_not_begin_in_it(script: ModuleType) -> None:
    notes = (Note(0.0, 2.0, 60, 90), Note(2.0, 2.0, 64, 90))
    piece = Piece("pop", "calm", 60.0, (4, 4), Key(0, "major"), (), (_lead(notes),), 4.0)
    onsets = script.frame_truth(piece, 20, 10.0, offset_s=0.5)["melody_onsets"]
    assert [tuple(place) for place in np.argwhere(onsets)] == [(15, 4)]


def _lead(notes: tuple[Note, ...]) -> Part:
    return Part("lead", 73, notes, 0.0, 0.0)


def test_tags_name_what_holds_for_the_whole_piece(script: ModuleType) -> None:
    piece = compose(
        np.random.default_rng(0), style="funk", mood="dark", tempo_bpm=101.5, metre=(7, 8),
        key=Key(3, "dorian"), bars=2, roles=("drums", "lead"), programs={"drums": 8, "lead": 56},
    )  # fmt: skip
    tags = json.loads(json.dumps(script.piece_tags(piece)))
    assert tags.pop("length_s") == pytest.approx(7.0 * 60.0 / 101.5)
    assert tags == {
        "style": "funk",
        "mood": "dark",
        "tempo_bpm": 101.5,
        "metre": "7/8",
        "key": 3,
        "mode": "dorian",
        "programs": {"drums": 8, "lead": 56},
        "swing": piece.swing,
    }


def test_an_offset_moves_the_truth(script: ModuleType) -> None:
    piece = compose(np.random.default_rng(2), bars=4)
    whole = script.frame_truth(piece, 200, _FRAME_RATE_HZ)
    later = script.frame_truth(piece, 100, _FRAME_RATE_HZ, offset_s=100 / _FRAME_RATE_HZ)
    for name, values in later.items():
        np.testing.assert_allclose(values, whole[name][100:], atol=1e-5)


def test_rendering_is_exact_repeatable_and_below_full_scale(rendering: ModuleType) -> None:
    piece = compose(np.random.default_rng(3), bars=2, roles=ROLES, steady=True)
    stems = rendering.render(piece, stems=True)
    assert set(stems) == {*ROLES, "mix"}
    for wave in stems.values():
        assert wave.shape == (2, piece.length_samples(44100))
        assert 0.001 < np.abs(wave).max() <= 0.951
    total = np.sum([stems[role] for role in ROLES], axis=0)
    np.testing.assert_allclose(stems["mix"], total, atol=1e-6)
    rendering.render(compose(np.random.default_rng(4), bars=1))
    np.testing.assert_array_equal(rendering.render(piece), rendering.render(piece))
    tailed = rendering.render(piece, tail_s=0.5)
    assert tailed.shape[1] == piece.length_samples(44100) + 22050


def test_rendered_onsets_are_within_a_block_of_the_score(rendering: ModuleType) -> None:
    starts = [0.5, 1.37, 2.011, 3.3, 4.77]
    notes = tuple(Note(start, 0.2, 42, 110) for start in starts)
    drums = Part("drums", 0, notes, 0.0, 0.0)
    piece = Piece("pop", "calm", 97.3, (4, 4), Key(0, "major"), (), (drums,), 6.0, space=0.0)
    level = np.abs(rendering.render(piece, reverb=False)).max(axis=0)
    for start in starts:
        sample = round(start * 60.0 * 44100 / 97.3)
        window = level[sample - 400 : sample + 800]
        heard = int(np.argmax(window > 0.15 * window.max())) - 400
        # Half a block of rounding either way, and the attack of the recorded hat.
        assert -64 <= heard <= 192


def test_the_command_writes_audio_and_truth(rendering: ModuleType, tmp_path: Path) -> None:
    assert rendering.main(["--count", "1", "--bars", "1", "--out", str(tmp_path), "--stems"]) == 0
    (truth,) = tmp_path.glob("*.json")
    written = json.loads(truth.read_text(encoding="utf-8"))
    assert [part["role"] for part in written["parts"]] == list(written["tags"]["programs"])
    assert len(list(tmp_path.glob("*.flac"))) == len(written["parts"]) + 1


def test_a_missing_soundfont_names_the_packages(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.sf2")
    assert script.main(["--count", "1", "--out", str(tmp_path), "--soundfont", missing]) == 1
    assert "fluid-soundfont-gm" in capsys.readouterr().err
