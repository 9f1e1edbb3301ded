"""Results in the host's rate, channels and sample format."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from engine.files.audio import lossless_subtype, read_clip
from engine.files.quantise import quantise
from engine.spec import RenderRequest
from engine.tasks.accompaniments import accompany_scene
from engine.tasks.clips import extend_scene, inpaint_scene, loop_scene
from engine.tasks.scene import Scene
from engine.tasks.sketches import generate_scene, melody_scene
from engine.units import round_half_up
from tests.engine.fake_model import fake_model

RATES_HZ = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000)


def scene_of(make: Any, **fields: Any) -> Scene:
    made: Scene = make(RenderRequest.from_mapping({"variation": 0, **fields}), fake_model()[1])
    return made


def tune(path: Path) -> str:
    file = mido.MidiFile()
    file.tracks.append(mido.MidiTrack())
    for pitch in (72, 74, 76, 79):
        file.tracks[0].append(mido.Message("note_on", note=pitch, velocity=100))
        file.tracks[0].append(mido.Message("note_off", note=pitch, time=480))
    file.save(path)
    return str(path)


def clip(path: Path, rate: int, channels: int, **how: Any) -> str:
    time = np.arange(2 * rate) / rate
    wave = 0.3 * np.sin(2 * np.pi * 220 * time) * np.exp(-8 * np.mod(time, 0.5))
    shares = np.linspace(1.0, 0.4, channels)
    soundfile.write(path, wave[:, None] * shares, rate, **how)
    return str(path)


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_what_starts_from_a_melody_comes_in_the_hosts_format(
    tmp_path: Path, rate: int, channels: int
) -> None:
    fields = {"task": "melody", "melody": tune(tmp_path / "tune.mid"), "bars": 1, "bpm": 123.4}
    scene = scene_of(
        melody_scene, **fields, sample_rate_hz=rate, channels=channels, sample_format="FLOAT"
    )
    plain = scene_of(melody_scene, **fields)
    rendered = [part.guide.numpy() for part in scene.parts]
    finished, usual = scene.finish(rendered), plain.finish(rendered)
    wanted = round_half_up(Fraction(4 * 60 * 10 * rate, 1234))
    assert finished.samples.shape == (channels, wanted)
    assert (scene.sample_rate_hz, scene.subtype) == (rate, "FLOAT")
    if channels > 1:
        # The same audio: every sample time that both rates share has nearly the same value.
        step = np.gcd(rate, 44_100)
        shared = min(wanted // (rate // step), usual.samples.shape[1] // (44_100 // step))
        ours = finished.samples[:2, :: rate // step][:, :shared]
        theirs = usual.samples[:, :: 44_100 // step][:, :shared]
        assert np.abs(ours - theirs).max() < 0.02


def test_a_loop_closes_at_the_hosts_rate(tmp_path: Path) -> None:
    scene = scene_of(
        generate_scene, task="generate", prompt="calm piano", bars=1, bpm=120, seamless=True,
        sample_rate_hz=96_000, channels=1,
    )  # fmt: skip
    finished = scene.finish([part.guide.numpy() for part in scene.parts])
    assert finished.samples.shape == (1, 192_000)
    step = np.abs(np.diff(finished.samples[0]))
    assert abs(finished.samples[0, 0] - finished.samples[0, -1]) <= step.max()


def test_nothing_is_resampled_where_nothing_is_asked(tmp_path: Path) -> None:
    scene = scene_of(melody_scene, task="melody", melody=tune(tmp_path / "t.mid"), seconds=2)
    assert (scene.sample_rate_hz, scene.subtype, scene.expected_samples) == (
        44_100, "PCM_24", 88_200,
    )  # fmt: skip


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_what_starts_from_a_clip_has_the_clips_format(
    tmp_path: Path, rate: int, channels: int
) -> None:
    source = clip(tmp_path / "clip.wav", rate, channels, subtype="PCM_24")
    extended = scene_of(extend_scene, task="extend", source=source, bars=1, bpm=120)
    finished = extended.finish([part.guide.numpy() for part in extended.parts])
    assert finished.samples.shape == (channels, 4 * rate)
    assert (extended.sample_rate_hz, extended.subtype) == (rate, "PCM_24")
    beside = scene_of(accompany_scene, task="accompany", source=source, bpm=120, roles="drums")
    parts = beside.finish([part.guide.numpy() for part in beside.parts])
    assert parts.samples.shape == (channels, 2 * rate)
    assert beside.sample_rate_hz == rate


def surround(path: Path, channels: int) -> str:
    """Bursts of noise: the same left and right, with two or four more channels beside them.

    Four are unlike one another, of six all but the first two are silent.
    """
    time = np.arange(4 * 44_100) / 44_100
    noise = np.random.default_rng(3).normal(0.0, 0.2, (len(time), 4))
    wave = np.zeros((len(time), channels))
    shown = min(channels, 2 if channels == 6 else 4)
    wave[:, :shown] = (noise * np.exp(-2 * np.mod(time, 0.5))[:, None])[:, :shown]
    soundfile.write(path, wave, 44_100, subtype="PCM_24")
    return str(path)


def level_db(samples: np.ndarray[Any, Any]) -> float:
    return float(10 * np.log10(np.mean(samples**2)))


def test_more_channels_make_nothing_louder(tmp_path: Path) -> None:
    beside_db, wished_db = {}, {}
    for channels in (2, 4, 6):
        source = surround(tmp_path / f"{channels}.wav", channels)
        scene = scene_of(accompany_scene, task="accompany", source=source, bpm=120, roles="drums")
        finished = scene.finish([part.guide.numpy() for part in scene.parts])
        beside_db[channels] = level_db(finished.samples[:2]) - level_db(
            read_clip(source).samples[:2]
        )
        scene = scene_of(
            extend_scene, task="extend", source=source, bars=1, bpm=120, intensity="0:-26"
        )
        finished = scene.finish([part.guide.numpy() for part in scene.parts])
        wished_db[channels] = level_db(finished.samples[:, slice(*finished.new)])
    assert [beside_db[4], beside_db[6]] == pytest.approx([beside_db[2]] * 2, abs=0.3)
    assert [wished_db[4], wished_db[6]] == pytest.approx([wished_db[2]] * 2, abs=0.3)


@pytest.mark.parametrize(("rate", "fade_ms"), [(44_100, 175.0), (88_200, 287.5), (22_050, 350.0)])
@pytest.mark.parametrize(("start", "end"), [(2.0, 8.0), (0.0, 6.0), (4.0, 10.0)])
def test_a_crossfade_that_lies_between_two_lengths_has_one(
    tmp_path: Path, rate: int, fade_ms: float, start: float, end: float
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.random.default_rng(4).normal(0, 0.1, 10 * rate), rate)
    scene = scene_of(
        inpaint_scene, task="inpaint", source=str(path), start=start, end=end, bpm=120,
        overlap=0.1, crossfade_ms=fade_ms,
    )  # fmt: skip
    finished = scene.finish([part.guide.numpy() for part in scene.parts])
    assert finished.samples.shape == (1, 10 * rate)


@pytest.mark.parametrize(
    ("container", "subtype", "kept"),
    [
        ("WAV", "PCM_16", "PCM_16"), ("WAV", "PCM_24", "PCM_24"), ("WAV", "PCM_32", "PCM_32"),
        ("WAV", "FLOAT", "FLOAT"), ("WAV", "DOUBLE", "DOUBLE"), ("RF64", "PCM_24", "PCM_24"),
        ("RF64", "DOUBLE", "DOUBLE"), ("W64", "PCM_24", "PCM_24"), ("W64", "FLOAT", "FLOAT"),
        ("CAF", "PCM_24", "PCM_24"), ("AIFF", "PCM_24", "PCM_24"), ("FLAC", "PCM_24", "PCM_24"),
        ("AU", "DOUBLE", "DOUBLE"),
    ],
)  # fmt: skip
def test_containers_and_formats_of_hosts(
    tmp_path: Path, container: str, subtype: str, kept: str
) -> None:
    source = clip(
        tmp_path / f"clip.{container.lower()}", 48_000, 2, format=container, subtype=subtype
    )
    read = read_clip(source)
    assert (read.subtype, lossless_subtype(read.subtype)) == (subtype, kept)
    scene = scene_of(loop_scene, task="loop", source=source, bars=1, bpm=120)
    finished = scene.finish([part.guide.numpy() for part in scene.parts])
    written = quantise(finished.samples, scene.subtype)
    assert scene.subtype == kept
    ((start, stop), origin), *_ = finished.kept
    np.testing.assert_array_equal(
        written[:, start:stop], read.samples[:, origin : origin + stop - start]
    )


@pytest.mark.parametrize("container", ["W64", "RF64", "CAF"])
def test_a_large_files_container_that_is_cut_off_is_refused(tmp_path: Path, container: str) -> None:
    from engine.spec import BridgeError

    path = tmp_path / f"clip.{container.lower()}"
    clip(path, 48_000, 2, format=container, subtype="PCM_24")
    path.write_bytes(path.read_bytes()[:-6000])
    with pytest.raises(BridgeError, match="truncated") as caught:
        read_clip(path)
    assert caught.value.code == "bad_audio"
