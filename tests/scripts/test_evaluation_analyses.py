"""The analyses that learn: each on made-up music whose truth is plain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import evaluation.material as material
import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from evaluation.baselines import shuffled
from evaluation.corpus import (
    ABSENT,
    BANDS,
    PATCH_FRAMES,
    PRESENT,
    RANGE_DB,
    UNSURE,
    Lineup,
    patches,
    picture,
)
from evaluation.embedding import PLAIN, fit_basis, order_of, sound_of
from evaluation.material import (
    RATE_HZ,
    Excerpt,
    recordings,
    roles_heard,
    write_melody,
)
from evaluation.measures import Audio, mean_auc, tempo_is_usual
from evaluation.tagger import Tagger, role_scores, train_tagger
from evaluation.tempo import (
    CHANNELS,
    PLACES,
    Heard,
    TempoNetwork,
    chosen_bpm,
    listen,
    right_candidates,
    train_tempo,
)
from evaluation.tempo_lessons import TempoLesson, tempo_trial

from engine.files.midi import read_melody
from engine.sketch.score import Key, Note, Part, Piece


def tone(seconds: float, frequency_hz: float = 440.0, amplitude: float = 0.3) -> Audio:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.stack([amplitude * np.sin(2 * np.pi * frequency_hz * time_s)] * 2)


def test_patches_are_whole_and_short_sounds_are_repeated() -> None:
    cut = patches(tone(5.5), 1.0)
    assert [patch.shape for patch in cut] == [(2, 3 * RATE_HZ)] * 3
    (short,) = patches(tone(1.0))
    assert np.array_equal(short[:, RATE_HZ : 2 * RATE_HZ], tone(1.0))


def test_picture_is_free_of_level() -> None:
    loud, soft = picture(tone(3.0)), picture(0.01 * tone(3.0))
    assert loud.shape == (BANDS, PATCH_FRAMES)
    assert loud.max() == 0.0
    assert np.allclose(loud, soft, atol=1e-3)
    assert np.all(picture(np.zeros((2, 3 * RATE_HZ))) == -RANGE_DB)


def test_presence_is_what_is_heard() -> None:
    stems = {"drums": tone(1.0), "bass": 0.01 * tone(1.0), "lead": 1e-5 * tone(1.0)}
    mix = np.asarray(np.sum(list(stems.values()), axis=0))
    lineup = Lineup(100.0, (4, 4), "pop", mix, stems, True)
    assert lineup.presence(0, RATE_HZ) == [PRESENT, UNSURE, ABSENT, ABSENT]


def excerpt(start_beats: float = 4.0) -> Excerpt:
    """Four beats from the second bar of a little piece, half a second each."""
    notes = tuple(Note(float(k), 0.5, 60 + k, 90) for k in range(12))
    parts = (Part("chords", 0, notes, 0.0, 0.0), Part("lead", 0, notes, 0.0, 0.0))
    piece = Piece("pop", "happy", 120.0, (4, 4), Key(0, "major"), (), parts, 12.0)
    stems = {"chords": tone(2.0, 220.0), "lead": tone(2.0)}
    return Excerpt(1, piece, start_beats, stems, ("chords", "lead"))


def test_melody_of_an_excerpt_survives_as_midi(tmp_path: Path) -> None:
    cut = excerpt()
    assert [(note.start_beats, note.pitch) for note in cut.melody] == [
        (0.0, 64), (1.0, 65), (2.0, 66), (3.0, 67),
    ]  # fmt: skip
    melody = read_melody(write_melody(cut, tmp_path / "tune.mid"))
    assert melody.bpm == pytest.approx(120.0)
    assert [(n.start_beats, n.duration_beats, n.pitch) for n in melody.notes] == [
        (n.start_beats, n.duration_beats, n.pitch) for n in cut.melody
    ]
    assert cut.bar_samples == 2 * RATE_HZ
    assert np.array_equal(cut.mix, cut.stems["chords"] + cut.stems["lead"])


def test_roles_that_come_and_go_are_unsure() -> None:
    coming = tone(4.0)
    coming[:, : 2 * RATE_HZ] = 0.0
    stems = {"drums": tone(4.0), "bass": coming, "lead": np.zeros((2, 4 * RATE_HZ))}
    assert roles_heard(stems) == (("drums",), 1)


def test_an_excerpt_is_where_the_lineup_is_clearest(monkeypatch: pytest.MonkeyPatch) -> None:
    piece = replace(excerpt().piece, length_beats=24.0)  # six bars of two seconds
    lead = tone(12.0)
    lead[:, : 6 * RATE_HZ] = 0.0  # enters with the fourth bar
    played = {"chords": tone(12.0, 220.0).astype(np.float32), "lead": lead.astype(np.float32)}
    monkeypatch.setattr(material, "compose_training_piece", lambda _: piece)
    monkeypatch.setattr(material, "render_training_piece", lambda *_: {**played, "mix": lead})
    found = material.excerpt_of(7, 4.0)
    assert found is not None
    assert (found.start_beats, found.roles) == (12.0, ("chords", "lead"))
    assert np.allclose(found.stems["lead"], lead[:, 6 * RATE_HZ : 10 * RATE_HZ], atol=1e-6)
    assert all(wave.base is None for wave in found.stems.values()), "the piece is let go"
    assert material.excerpt_of(7, 12.5) is None, "the piece is too short"


def test_recordings_are_the_longest_by_length_and_name(tmp_path: Path) -> None:
    for name, seconds in (("loop_b", 1.0), ("loop_a", 1.0), ("loop_long", 2.0), ("other", 3.0)):
        soundfile.write(tmp_path / f"{name}.flac", tone(seconds).T, RATE_HZ)
    assert [path.stem for path in recordings(tmp_path, 2)] == ["loop_long", "loop_a"]
    assert recordings(tmp_path / "nowhere", 2) == []


def banded(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures in which each role is a band of its own that is loud where the role plays."""
    generator = torch.Generator().manual_seed(seed)
    presence = torch.randint(0, 2, (count, 4), generator=generator)
    pictures = -RANGE_DB + 10.0 * torch.rand(count, BANDS, PATCH_FRAMES, generator=generator)
    for role in range(4):
        rows = slice(16 * role + 4, 16 * role + 10)
        pictures[:, rows] += 45.0 * presence[:, role, None, None]
    return pictures.clamp(-RANGE_DB, 0.0), presence


def test_tagger_learns_who_plays_and_ignores_what_is_unsure() -> None:
    pictures, presence = banded(128, 0)
    presence[::4, 0] = UNSURE
    tagger = train_tagger(pictures, presence, epochs=6)
    fresh, truth = banded(40, 1)
    with torch.no_grad():
        scores = tagger(fresh).numpy()
    area = mean_auc(scores, truth.numpy().astype(bool))
    assert area is not None
    assert area > 0.97


def test_training_the_tagger_again_gives_the_same() -> None:
    first, second = (train_tagger(*banded(8, 2), epochs=1) for _ in range(2))
    assert torch.equal(first.decision.weight, second.decision.weight)


def test_scores_of_a_sound_are_probabilities_of_each_role() -> None:
    scores = role_scores(Tagger().eval(), tone(4.0))
    assert len(scores) == 4
    assert all(0.0 < value < 1.0 for value in scores)


def beats(tempo_bpm: float, seconds: float = 8.0) -> Audio:
    """A kick on every other beat and a snare between, hats on eighths, all noise of their bands."""
    rng = np.random.default_rng(round(10.0 * tempo_bpm))
    noise = rng.standard_normal(round(seconds * RATE_HZ))
    bands = {"kick": (40.0, 120.0), "snare": (1500.0, 4000.0), "hat": (6000.0, 9000.0)}
    sounds = {
        name: scipy.signal.sosfilt(
            scipy.signal.butter(4, band, "bandpass", fs=RATE_HZ, output="sos"), noise
        )
        for name, band in bands.items()
    }
    mix = 1e-4 * noise
    time_s = np.arange(len(noise)) / RATE_HZ
    for eighth in range(int(seconds * tempo_bpm / 30.0)):
        since = time_s - eighth * 30.0 / tempo_bpm
        ring = np.where(since >= 0.0, np.exp(-np.maximum(since, 0.0) / 0.04), 0.0)
        played = ["hat", *{0: ["kick"], 2: ["snare"]}.get(eighth % 4, [])]
        mix += ring * np.sum([sounds[name] for name in played], axis=0)
    return np.stack([mix, mix])


def heard_beats(tempo_bpm: float) -> Heard:
    return listen(beats(tempo_bpm), RATE_HZ, (4, 4))


def test_the_true_tempo_is_among_the_candidates() -> None:
    for bpm in (52.0, 90.3, 127.0, 171.5):
        heard = heard_beats(bpm)
        assert right_candidates(heard, bpm).any()
        assert heard.patterns.shape == (len(heard.bpm), CHANNELS, PLACES)


def test_the_bar_is_seen_in_the_music_folded_at_its_tempo() -> None:
    heard = heard_beats(100.0)
    bar = heard.patterns[right_candidates(heard, 100.0)][0].reshape(4, 2, 8, PLACES)[2, 0]
    low, high = bar[0], bar[7]  # rises of the lowest and the highest band
    places = range(0, PLACES, PLACES // 8)  # the eighths
    struck = [[float(np.roll(band, 2 - place)[:5].max()) for place in places]
              for band in (low, high)]  # fmt: skip
    assert np.argsort(struck[0])[-2:].tolist() in ([0, 4], [4, 0]), "kicks on one and three"
    assert min(struck[1]) > 0.5 * max(struck[1]), "a hat on every eighth"


def test_tempo_learns_which_pulse_is_the_beat() -> None:
    taught = np.linspace(64.0, 150.0, 32)
    networks = train_tempo([heard_beats(bpm) for bpm in taught], list(taught), epochs=12)
    fresh = np.linspace(67.0, 147.0, 11)
    found = np.array([chosen_bpm(networks, heard_beats(bpm)) for bpm in fresh])
    assert np.mean(np.abs(found / fresh - 1.0) < 0.02) > 0.9


def test_silence_has_some_tempo() -> None:
    heard = listen(np.zeros((2, RATE_HZ)), RATE_HZ, (7, 8))
    assert chosen_bpm(torch.nn.ModuleList([TempoNetwork().eval()]), heard) == 110.0


def test_tempo_counts_on_whole_mixes_and_apart_where_it_is_usual() -> None:
    heard = Heard(np.array([100.0]), np.zeros((1, CHANNELS, PLACES), np.float16), (4, 4))
    lessons = [
        TempoLesson(heard, 100.0, usual, whole, pulse)
        for usual, whole, pulse in (
            (True, True, 100.0), (False, True, 50.0), (True, True, 50.0), (True, False, 50.0),
        )
    ]  # fmt: skip
    assert tempo_trial(lessons, [101.0, 50.0, 100.0, 33.0]) == {
        "tempo_right": pytest.approx(2 / 3), "usual_right": 1.0, "usual_sounds": 2,
        "pulse_right": pytest.approx(1 / 3), "sounds": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("style", "metre", "bpm", "usual"),
    [
        ("house", (4, 4), 124.0, True),
        ("house", (4, 4), 60.0, False),
        ("house", (6, 8), 165.0, True),
    ],
)
def test_which_tempos_are_usual(
    style: str, metre: tuple[int, int], bpm: float, usual: bool
) -> None:
    assert tempo_is_usual(style, metre, bpm) is usual


def test_basis_brings_music_to_a_variance_of_one() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 12)) * np.geomspace(30.0, 0.1, 12) + 5.0
    basis = fit_basis(rows, 6)
    projected = basis.project(rows)
    assert projected.shape == (400, 6)
    assert np.allclose(projected.mean(axis=0), 0.0, atol=1e-9)
    assert float(projected.var(axis=0, ddof=1).sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("part", PLAIN)
def test_plain_figures_are_free_of_level_and_finite(part: str) -> None:
    even = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * RATE_HZ))
    assert np.allclose(PLAIN[part](even), PLAIN[part](0.1 * even), atol=1e-3)
    assert np.isfinite(PLAIN[part](np.zeros((2, 3 * RATE_HZ)))).all()


def test_sound_hears_a_rhythm() -> None:
    even = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * RATE_HZ))
    beaten = even * (np.arange(even.shape[1]) % (RATE_HZ // 2) < RATE_HZ // 10)
    assert float(np.abs(sound_of(even) - sound_of(beaten)).max()) > 1.0


def test_order_tells_a_melody_from_the_same_notes_shuffled() -> None:
    """A tune held for a second a note: near moments are alike until the grains are shuffled."""
    notes = np.concatenate([tone(1.0, hz) for hz in (220.0, 330.0, 495.0)], axis=1)
    mixed = shuffled(notes, notes.shape[1], RATE_HZ, np.random.default_rng(1))
    near = slice(8, 12)  # unlikeness of the chroma at 0.1 to 1 s
    assert np.all(order_of(mixed)[near][1:3] > 1.4 * order_of(notes)[near][1:3])
