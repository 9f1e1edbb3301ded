"""Melodies that are recordings: which files they are, and in which beats they are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.analysis.continuation import Segment
from engine.spec import RenderRequest
from engine.tasks.layouts import prior_facts
from engine.tasks.sketches import melody_scene
from engine.tasks.tune import counted_at, is_recording, read_tune
from tests.engine.fake_model import fake_model

RATE_HZ = 44_100


@pytest.fixture
def hum(tmp_path: Path) -> Path:
    """Three notes of a second, the last from the fourth second on; nothing of it keeps a beat."""
    t = np.arange(round(5.3 * RATE_HZ)) / RATE_HZ
    wave = np.zeros_like(t)
    for start, pitch in ((0.31, 60), (1.87, 64), (4.0, 67)):
        hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
        inside = (t >= start) & (t < start + 1.0)
        tone = np.sin(2 * np.pi * hz * t) + 0.4 * np.sin(4 * np.pi * hz * t)
        wave += inside * 0.3 * tone * np.minimum(1.0, 20.0 * np.clip(t - start, 0.0, 1.0))
    soundfile.write(tmp_path / "hum.wav", wave, RATE_HZ)
    return tmp_path / "hum.wav"


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Four bars of a beat at 96 bpm."""
    t = np.arange(round(10.0 * RATE_HZ)) / RATE_HZ
    beat = np.mod(t, 60.0 / 96.0)
    rng = np.random.default_rng(3)
    wave = 0.5 * np.exp(-30.0 * beat) * np.sin(2 * np.pi * 90.0 * t)
    wave += 0.2 * np.exp(-80.0 * np.mod(t, 30.0 / 96.0)) * rng.standard_normal(len(t))
    soundfile.write(tmp_path / "loop.wav", wave, RATE_HZ)
    return tmp_path / "loop.wav"


@pytest.mark.parametrize(
    ("start", "recording"),
    [
        (b"\xff\xfb\x90\x00", True),
        (b"\xff\xfa\x90\x00", True),
        (b"\xff\xf3\x48\xc4", True),
        (b"\xff\xf2\x48\xc4", True),
        (b"RIFX\x00\x00\x00\x00WAVE", True),
        (b"RIFF\x00\x00\x00\x00RMID", False),
        (b"MThd\x00\x00\x00\x06", False),
    ],
)
def test_what_is_a_recording(tmp_path: Path, start: bytes, recording: bool) -> None:
    path = tmp_path / "melody"
    path.write_bytes(start + bytes(64))
    assert is_recording(str(path)) is recording


def test_in_other_beats_a_recording_sounds_when_it_did(hum: Path) -> None:
    heard = read_tune(str(hum), None, None)
    other = counted_at(heard, 96.0)
    assert other.bpm == pytest.approx(96.0)
    assert other.seconds == pytest.approx(heard.seconds)
    for one, same in zip(heard.notes, other.notes, strict=True):
        assert same.start_beats * 60.0 / 96.0 == pytest.approx(one.start_beats * 60.0 / heard.bpm)


def test_a_hum_over_a_clip_stays_where_it_was_sung(hum: Path, loop: Path) -> None:
    """The clip's tempo counts the beats, and moves no note."""
    request = RenderRequest.from_mapping(
        {"task": "melody", "melody": str(hum), "context": str(loop), "seconds": 6, "refine": 0}
    )
    scene = melody_scene(request, fake_model()[1])
    assert scene.melody is not None
    assert scene.melody.bpm == pytest.approx(96.0, rel=0.01)
    last = scene.melody.notes[-1]
    assert last.start_beats * 60.0 / scene.melody.bpm == pytest.approx(4.0, abs=0.06)


def test_a_prior_is_told_in_seconds_of_the_clip() -> None:
    segments = (Segment(0, 100, 50, 1.0), Segment(50, 950, 50, 1.0))
    first, second = prior_facts(segments, 100, 0, origin=200)
    assert (first["from_s"], second["from_s"]) == (3.0, 11.5)
    _, second = prior_facts(segments, 100, 0, period=900)
    assert second["from_s"] == 0.5
