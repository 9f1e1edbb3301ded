"""Stems and accompaniments through the whole engine, as plain sketches (variation 0)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from engine.files.audio import read_clip
from engine.pipeline import Engine, create_engine
from engine.spec import BridgeError, Done, Event, Preview, RenderRequest, Stem

CLIPS = Path(__file__).parents[2] / "scripts" / "clips"
ROLES = ["drums", "bass", "chords", "lead"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return create_engine(tmp_path_factory.mktemp("cache"))


class Rendered:
    """What a job gave back: its files by name, its report and its events."""

    def __init__(self, events: list[Event]) -> None:
        done = events[-1]
        assert isinstance(done, Done)
        self.events, self.report, self.recipe = events, done.report, done.recipe
        self.files = {event.name: Path(event.path) for event in events if isinstance(event, Stem)}

    def audio(self, name: str = "mix") -> np.ndarray[Any, np.dtype[np.float64]]:
        """Samples of a file `[channels, samples]`."""
        return soundfile.read(self.files[name], always_2d=True)[0].T


Render = Callable[..., Rendered]


@pytest.fixture
def render(engine: Engine, tmp_path: Path) -> Render:
    def run(**fields: Any) -> Rendered:
        spool = tmp_path / f"spool{len(list(tmp_path.iterdir()))}"
        spool.mkdir()
        request = RenderRequest.from_mapping({"variation": 0, "refine": 0, **fields})
        return Rendered(list(engine.render(request, spool, lambda: False)))

    return run


def _tune(path: Path, bpm: float = 100.0, metre: tuple[int, int] = (4, 4)) -> str:
    file = mido.MidiFile()
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
    track.append(
        mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1], time=0)
    )
    for pitch in (72, 74, 76, 79, 77, 76, 74, 72):
        track.append(mido.Message("note_on", note=pitch, velocity=100, time=0))
        track.append(mido.Message("note_off", note=pitch, time=480))
    file.save(path)
    return str(path)


def _clicks(
    path: Path, rate: int, channels: int, seconds: float = 4.0, first_s: float = 0.0, **how: Any
) -> str:
    """Bursts of noise on the beats of 120 bpm."""
    since = np.mod(np.arange(round(seconds * rate)) / rate - first_s, 0.5)
    noise = np.random.default_rng(1).normal(size=(len(since), 1))
    wave = 0.2 * noise * np.exp(-40 * since)[:, None] * np.linspace(1.0, 0.6, channels)
    soundfile.write(path, wave, rate, **how)
    return str(path)


def test_the_files_of_the_stems_sum_to_the_mix(render: Render, tmp_path: Path) -> None:
    fields = {"task": "melody", "melody": _tune(tmp_path / "tune.mid"), "bars": 2, "stems": True}
    result = render(**fields)
    assert list(result.files) == [*ROLES, "mix"]
    mix = result.audio()
    total = sum(result.audio(role) for role in ROLES)
    assert np.abs(total - mix).max() < 1e-6
    assert result.report["stem_sum_error_db"] < -60
    assert soundfile.info(result.files["drums"]).subtype == "PCM_24"
    assert mix.shape[1] == round(8 * 0.6 * 44_100)
    told = result.report["stems"]
    assert [item["name"] for item in told] == ROLES
    for item in told:
        level = 10 * np.log10(np.mean(result.audio(item["name"]) ** 2))
        assert item["level_dbfs"] == pytest.approx(level, abs=0.01)
        content = result.files[item["name"]].read_bytes()
        assert item["sha256"] == hashlib.sha256(content).hexdigest()
    assert result.report["melody_accuracy"] is not None


def test_a_repeat_brings_the_stems_back(render: Render, tmp_path: Path) -> None:
    context = _clicks(tmp_path / "clip.wav", 44_100, 2)
    fields = {"task": "melody", "melody": _tune(tmp_path / "tune.mid"), "seconds": 2,
              "stems": True, "context": context, "roles": "drums,lead"}  # fmt: skip
    first, again = render(**fields), render(**fields)
    assert (first.report["cache"], again.report["cache"]) == ("miss", "hit")
    assert list(again.files) == list(first.files) == ["drums", "lead", "mix"]
    for name, path in first.files.items():
        assert again.files[name] != path
        assert again.files[name].read_bytes() == path.read_bytes()
    assert again.report["stems"] == first.report["stems"]
    whole = render(**fields | {"stems": False})
    assert list(whole.files) == ["mix"]
    assert "stems" not in whole.report
    # The clip beside counts by what is in it, not by its name.
    moved = Path(context).rename(tmp_path / "moved.wav")
    assert render(**fields | {"context": str(moved)}).report["cache"] == "hit"
    _clicks(moved, 44_100, 2, first_s=0.1)
    assert render(**fields | {"context": str(moved)}).report["cache"] == "miss"


def test_one_limiter_for_all_stems(render: Render, tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    noise = np.random.default_rng(1).normal(0.0, 0.5, 4 * 44_100)
    soundfile.write(path, np.clip(noise, -1.0, 1.0), 44_100, subtype="PCM_24")
    result = render(task="accompany", source=str(path), bpm=120, stems=True)
    assert result.report["headroom_db"] < -1.0
    total = sum(result.audio(name) for name in result.files if name != "mix")
    assert np.abs(total - result.audio()).max() < 1e-6
    assert max(np.abs(result.audio(name)).max() for name in result.files) <= 1.0


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "given"),
    [(44_100, 2, "PCM_16", "PCM_24"), (37_800, 1, "PCM_U8", "PCM_24"),
     (48_000, 1, "FLOAT", "FLOAT"), (96_000, 3, "PCM_24", "PCM_24"),
     (22_050, 2, "DOUBLE", "FLOAT")],
)  # fmt: skip
def test_an_accompaniment_fits_its_clip_to_the_sample(
    render: Render, tmp_path: Path, rate: int, channels: int, subtype: str, given: str
) -> None:
    path = _clicks(tmp_path / "clip.wav", rate, channels, 3.777, subtype=subtype)
    result = render(task="accompany", source=path, bpm=120, roles="drums,bass", stems=True)
    assert list(result.files) == ["drums", "bass", "mix"]
    for file in result.files.values():
        info = soundfile.info(file)
        assert (info.samplerate, info.channels, info.subtype) == (rate, channels, given)
        assert info.frames == soundfile.info(path).frames
    assert result.report["length_error_samples"] == 0
    total = result.audio("drums") + result.audio("bass")
    assert np.abs(total - result.audio()).max() < 1e-6


@pytest.mark.parametrize("first_s", [0.0, 0.2, 0.4])
def test_an_accompaniment_keeps_the_beats_of_its_clip(
    render: Render, tmp_path: Path, first_s: float
) -> None:
    path = _clicks(tmp_path / "clip.wav", 48_000, 2, 6.0, first_s)
    result = render(task="accompany", source=path, roles="drums", prompt="house")
    grid = result.report["grid"]
    assert grid["bpm"] == pytest.approx(120.0, abs=0.2)
    assert not grid["given"]
    assert grid["first_beat_s"] % 0.5 == pytest.approx(first_s, abs=0.01)
    assert grid["onset_deviation_ms_median"] < 12.0


def test_the_clip_itself_is_never_heard(render: Render, tmp_path: Path) -> None:
    path = _clicks(tmp_path / "clip.wav", 44_100, 2)
    clip = read_clip(path).samples
    result = render(task="accompany", source=path, roles="bass,chords", prompt="in C")
    heard = result.audio()
    assert np.abs(heard).max() > 0.01
    likeness = np.sum(heard * clip) / np.sqrt(np.sum(heard**2) * np.sum(clip**2))
    assert abs(likeness) < 0.05


def test_a_quiet_clip_gets_a_quiet_band(render: Render, tmp_path: Path) -> None:
    path = _clicks(tmp_path / "clip.wav", 44_100, 2)
    loud = render(task="accompany", source=path, bpm=120, roles="bass")
    samples, rate = soundfile.read(path)
    soundfile.write(path, 0.5 * samples, rate, subtype="FLOAT")
    quiet = render(task="accompany", source=path, bpm=120, roles="bass")
    drop_db = quiet.report["loudness_lufs"] - loud.report["loudness_lufs"]
    assert drop_db == pytest.approx(20 * np.log10(0.5), abs=0.1)


def test_the_last_preview_is_the_mix(render: Render, tmp_path: Path) -> None:
    path = _clicks(tmp_path / "clip.wav", 22_050, 1)
    result = render(task="accompany", source=path)
    previews = [event for event in result.events if isinstance(event, Preview)]
    assert [event.revision for event in previews] == [0, 1, 2]
    heard = np.frombuffer(previews[-1].pcm, "<f4").reshape(-1, 1).T
    assert np.array_equal(heard, result.audio().astype(np.float32))


def test_a_backing_is_not_judged_by_the_melody(render: Render, tmp_path: Path) -> None:
    fields = {"task": "melody", "melody": _tune(tmp_path / "tune.mid"), "seconds": 2}
    assert "melody_accuracy" in render(**fields).report
    backing = render(**fields, roles="drums,bass,chords", stems=True)
    assert "melody_accuracy" not in backing.report
    assert list(backing.files) == ["drums", "bass", "chords", "mix"]


@pytest.mark.parametrize(("said", "quarters"), [(None, 6), ("4/4", 8), ("6/8", 6)])
def test_a_metre_that_is_said_outranks_the_melody(
    render: Render, tmp_path: Path, said: str | None, quarters: int
) -> None:
    melody = _tune(tmp_path / "waltz.mid", metre=(3, 4))
    result = render(task="melody", melody=melody, bars=2, metre=said, roles="drums")
    assert result.report["length_samples"] == round(quarters * 0.6 * 44_100)
    assert result.report["grid"]["metre"] == (said or "3/4")


@pytest.mark.parametrize(
    ("file_bpm", "asked", "bpm"),
    [(90.0, None, 120.0), (120.3, None, 120.3), (60.0, None, 60.0), (90.0, 100, 100.0)],
)
def test_a_melody_takes_the_tempo_of_what_plays_beside_it(
    render: Render, tmp_path: Path, file_bpm: float, asked: float | None, bpm: float
) -> None:
    context = _clicks(tmp_path / "clip.wav", 44_100, 2, 6.0)
    result = render(
        task="melody", melody=_tune(tmp_path / "tune.mid", file_bpm), seconds=2, context=context,
        bpm=asked, roles="drums",
    )  # fmt: skip
    grid = result.report["grid"]
    assert grid["bpm"] == pytest.approx(bpm, abs=0.05)
    assert grid["given"] == (bpm in (asked, file_bpm))


def test_the_key_of_what_plays_beside_counts(render: Render, tmp_path: Path) -> None:
    time = np.arange(4 * 44_100) / 44_100
    bars = [(0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)]
    wave = np.zeros_like(time)
    for place, chord in enumerate(bars):  # I IV V I in A flat
        inside = (time >= place) & (time < place + 1)
        for step in chord:
            hz = 207.65 * 2 ** (step / 12)
            wave += inside * 0.1 * np.sin(2 * np.pi * hz * time)
    path = tmp_path / "chords.wav"
    soundfile.write(path, wave, 44_100)
    fields = {"task": "melody", "melody": _tune(tmp_path / "tune.mid"), "seconds": 2}
    assert render(**fields).report["key"] == "C major"
    assert render(**fields, context=str(path)).report["key"] == "Ab major"
    assert render(**fields, context=str(path), key="F minor").report["key"] == "F minor"
    longer = render(task="extend", source=str(path), seconds=1)
    assert longer.report["heard_key"] == "Ab major"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"task": "accompany", "source": "missing.wav"}, "bad_audio"),
        ({"task": "accompany", "source": __file__}, "bad_audio"),
        ({"task": "accompany", "source": str(CLIPS / "drums.flac"), "key": "H"}, "bad_request"),
        ({"task": "melody", "context": "missing.wav", "seconds": 2}, "bad_audio"),
        ({"task": "melody", "context": __file__, "seconds": 2}, "bad_audio"),
        ({"task": "melody", "context": "", "seconds": 2}, "bad_audio"),
    ],
)
def test_bad_input_is_refused(
    render: Render, tmp_path: Path, fields: dict[str, Any], code: str
) -> None:
    if fields["task"] == "melody":
        fields = fields | {"melody": _tune(tmp_path / "tune.mid")}
    with pytest.raises(BridgeError) as caught:
        render(**fields)
    assert caught.value.code == code
    assert caught.value.message


def test_a_clip_too_long_is_refused(render: Render, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 301 * 8000), 8000)
    with pytest.raises(BridgeError) as caught:
        render(task="accompany", source=str(path))
    assert caught.value.code == "too_large"
