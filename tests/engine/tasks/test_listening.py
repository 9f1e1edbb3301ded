"""What is heard in a clip, and how it is brought beside what is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.analysis.tempo import Grid
from engine.files.audio import Clip
from engine.sketch.compose import compose
from engine.sketch.score import ROLES, Key
from engine.sketch.synth import synthesise
from engine.tasks.beside import Beside, listen
from engine.tasks.listening import heard_chroma, is_pitched, key_name, loud_passages_db
from engine.tasks.sketches import melody_scene
from tests.engine.tasks.test_host_format import scene_of, tune

RATE_HZ = 44_100


def _clip(samples: np.ndarray, rate: int = RATE_HZ) -> Clip:  # type: ignore[type-arg]
    return Clip(samples, rate, "PCM_16", "WAV", "", "clip.wav")


def _beside(samples: np.ndarray, rate: int = RATE_HZ) -> Beside:  # type: ignore[type-arg]
    grid, loud_db = Grid(120.0, 1.0, 0.0, True), loud_passages_db(samples, rate)
    return Beside(_clip(samples, rate), grid, None, 0.0, None, loud_db)


def test_keys_are_named_as_people_write_them() -> None:
    assert key_name(Key(6, "dorian")) == "F# dorian"


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_drums_have_no_pitch_and_chords_have(seed: int) -> None:
    piece = compose(np.random.default_rng(seed), style="rock", bars=4, roles=ROLES, steady=True)
    stems = {r: s.astype(np.float64) for r, s in synthesise(piece, RATE_HZ).items()}
    pitched = {role: is_pitched(heard_chroma(stem, RATE_HZ)) for role, stem in stems.items()}
    assert pitched == {"drums": False, "bass": True, "chords": True, "lead": True}


def test_silence_has_no_pitch() -> None:
    assert not is_pitched(heard_chroma(np.zeros((2, RATE_HZ)), RATE_HZ))


def test_levels_are_those_of_the_loud_passages() -> None:
    samples = np.zeros((2, 10 * RATE_HZ))
    samples[:, : 2 * RATE_HZ] = 0.1
    assert loud_passages_db(samples, RATE_HZ) == pytest.approx(-20.0, abs=0.01)


def test_the_band_is_as_loud_as_suits_the_clip() -> None:
    lead = np.full((2, RATE_HZ), 10 ** (-20.5 / 20))  # a lead at its usual level
    assert _beside(lead).gain(("drums", "bass", "chords")) == pytest.approx(1.0, abs=1e-3)
    assert _beside(0.5 * lead).gain(("drums", "bass", "chords")) == pytest.approx(0.5, abs=1e-3)
    assert _beside(lead).gain(ROLES) == pytest.approx(1.0, abs=1e-3)
    # Beside drums, bass and chords the same clip would be a quiet mix, so its lead is quiet, too.
    assert _beside(lead).gain(("lead",)) < 0.7
    assert _beside(1e-6 * lead).gain(ROLES) == pytest.approx(10 ** (-24 / 20))


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (48_000, 2), (22_050, 3)])
def test_the_clip_beside_is_brought_to_the_model(rate: int, channels: int) -> None:
    clip = np.full((channels, rate), 0.1)
    heard = _beside(clip, rate).audio(2 * RATE_HZ, 0.5, 1024)
    assert heard.shape == (2, -(-2 * RATE_HZ // 1024) * 1024)
    assert heard[:, : RATE_HZ - 50].numpy() == pytest.approx(0.2, abs=1e-3)
    assert not bool(heard[:, RATE_HZ : 2 * RATE_HZ].any())
    assert _beside(clip, rate).audio(RATE_HZ // 2, 1.0, 1024).shape[1] == -(-RATE_HZ // 2048) * 1024


def test_only_what_is_accompanied_is_listened_to() -> None:
    time = np.arange(40 * RATE_HZ) / RATE_HZ
    hz = np.where(time < 20.0, 261.63, 311.13)
    clip = _clip(0.1 * np.sin(2 * np.pi * hz * time)[None].repeat(2, axis=0))
    near = listen(clip, bpm=120, metre=None, seconds=5.0)
    assert near.chroma is not None
    assert len(near.chroma) == pytest.approx(10 * 11_025 / 512, abs=2)
    assert near.chroma.sum(axis=0).argmax() == 0
    heard = near.heard(120.0, -1.0)
    assert heard is not None
    assert heard.beats[0] == pytest.approx(2.0)


def test_what_is_accompanied_is_what_sets_the_level() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.1, (2, 40 * RATE_HZ))
    noise[:, : 16 * RATE_HZ] *= 10 ** (-20 / 20)
    near, whole = (
        listen(_clip(noise), bpm=120, metre=None, seconds=seconds).gain(("lead",))
        for seconds in (16.0, 40.0)
    )
    assert 20 * np.log10(near / whole) == pytest.approx(-20.0, abs=0.5)


def test_bars_are_listened_to_as_seconds_are(tmp_path: Path) -> None:
    """C for as long as the melody lasts, then much longer and louder F sharp."""
    time = np.arange(60 * RATE_HZ) / RATE_HZ
    chords = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time) for pitch in pitches)
        for pitches in ((60, 64, 67), (66, 70, 73))
    ]
    wave = np.where(time < 12.0, 0.02 * chords[0], 0.2 * chords[1])
    context = str(tmp_path / "context.wav")
    soundfile.write(context, wave, RATE_HZ, subtype="PCM_24")
    melody = tune(tmp_path / "tune.mid")
    told = [
        scene_of(melody_scene, task="melody", melody=melody, context=context, bpm=120, **length)
        for length in ({"seconds": 12}, {"bars": 6}, {"bars": 6, "position_beats": 0})
    ]
    facts = [scene.facts["beside"] for scene in told]
    assert facts[0]["key"].startswith("C ")
    assert [fact["key"] for fact in facts] == [facts[0]["key"]] * 3
    levels = [float(scene.beside.square().mean()) for scene in told if scene.beside is not None]
    assert levels == pytest.approx([levels[0]] * 3)
