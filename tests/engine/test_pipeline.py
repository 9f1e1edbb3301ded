"""Requests through the whole engine: exact lengths, untouched source, cache, cancel, refinement."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from engine.files.audio import read_clip
from engine.pipeline import Engine, create_engine
from engine.spec import (
    BridgeError,
    Cancelled,
    Done,
    Event,
    Preview,
    Progress,
    RenderRequest,
    Stem,
)
from engine.units import Metre, bars_to_samples

CLIPS = Path(__file__).parents[2] / "scripts" / "clips"


@dataclass(frozen=True)
class Rendered:
    """What a job gave back."""

    path: Path
    report: dict[str, Any]
    recipe: dict[str, Any]
    events: list[Event]

    @property
    def files(self) -> dict[str, Path]:
        """Every file by name, in the order in which they were told."""
        return {event.name: Path(event.path) for event in self.events if isinstance(event, Stem)}


Render = Callable[..., Rendered]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return create_engine(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def render(engine: Engine, tmp_path: Path) -> Render:
    def run(*, cache: bool = True, **fields: Any) -> Rendered:
        spool = tmp_path / f"spool{len(list(tmp_path.iterdir()))}"
        spool.mkdir()
        request = RenderRequest.from_mapping(fields)
        worker = engine if cache else create_engine(None)
        events = list(worker.render(request, spool, lambda: False))
        stem, done = events[-2:]
        assert isinstance(stem, Stem)
        assert isinstance(done, Done)
        return Rendered(Path(stem.path), done.report, done.recipe, events)

    return run


def _groove(seconds: float, rate: int, channels: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Clicks and a tone at 120 bpm."""
    time = np.arange(round(seconds * rate)) / rate
    since = np.mod(time, 0.5)
    wave = 0.4 * np.sin(2 * np.pi * 180 * since) * np.exp(-25 * since)
    wave += 0.2 * np.sin(2 * np.pi * 330 * time) * np.exp(-3 * np.mod(time, 1.0))
    gains = np.linspace(1.0, 0.5, channels)
    return np.asarray(wave[:, None] * gains)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(44_100, 2, "PCM_16"), (8_000, 1, "PCM_U8"), (48_000, 1, "PCM_24"), (192_000, 8, "PCM_24"),
     (96_000, 2, "PCM_32"), (22_050, 2, "FLOAT"), (44_100, 2, "DOUBLE")],
)  # fmt: skip
@pytest.mark.parametrize("side", ["end", "start"])
def test_extend_keeps_the_source_in_every_format(
    render: Render, tmp_path: Path, rate: int, channels: int, subtype: str, side: str
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, _groove(2.0, rate, channels), rate, subtype=subtype)
    result = render(task="extend", source=str(path), seconds=1.37, side=side, refine=0, steps=1)
    source, back = read_clip(path), read_clip(result.path)
    new = round(1.37 * rate)
    assert (back.sample_rate_hz, back.channels) == (rate, channels)
    assert back.length_samples == source.length_samples + new
    fade = round(0.03 * rate)
    if side == "end":
        kept = source.samples[:, : source.length_samples - fade]
        returned = back.samples[:, : kept.shape[1]]
    else:
        kept = source.samples[:, fade:]
        returned = back.samples[:, new + fade :]
    assert np.array_equal(kept, returned)
    assert result.report["source_samples_identical"] is True
    assert result.report["length_error_samples"] == 0
    fresh = back.samples[:, -new:] if side == "end" else back.samples[:, :new]
    assert fresh.std() > 0.2 * source.samples.std(), "the new audio collapsed"


def test_variation_zero_continues_a_loop_with_its_own_start(render: Render, tmp_path: Path) -> None:
    path = tmp_path / "loop.wav"
    soundfile.write(path, _groove(4.0, 44_100, 2), 44_100, subtype="FLOAT")
    result = render(task="extend", source=str(path), seconds=1.0, variation=0, bpm=120)
    back = read_clip(result.path).samples
    start = 4 * 44_100
    assert np.allclose(back[:, start + 2000 : start + 40_000], back[:, 2000:40_000], atol=1e-4)


def test_loop_is_exact_in_an_odd_metre(render: Render) -> None:
    result = render(
        task="loop", source=str(CLIPS / "drums.flac"), bars=4, bpm=123.4, metre="7/8", refine=0
    )
    expected = bars_to_samples(4, "123.4", Metre(7, 8), 44_100)
    assert read_clip(result.path).length_samples == expected
    wrap = next(seam for seam in result.report["seams"] if seam["at_sample"] == 0)
    assert wrap["step_ratio"] < 1.0


def test_inpaint_touches_nothing_else(render: Render) -> None:
    path = CLIPS / "harmonic.flac"
    result = render(task="inpaint", source=str(path), start=2.0, end=2.8, refine=0)
    source, back = read_clip(path), read_clip(result.path)
    changed = np.flatnonzero(np.any(source.samples != back.samples, axis=0))
    fade = round(0.03 * source.sample_rate_hz)
    assert back.length_samples == source.length_samples
    assert changed.min() >= round(2.0 * source.sample_rate_hz) - fade
    assert changed.max() < round(2.8 * source.sample_rate_hz) + fade


def _write_tune(path: Path) -> None:
    file = mido.MidiFile()
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(100)))
    for pitch in (72, 74, 76, 79, 77, 76, 74, 72):
        track.append(mido.Message("note_on", note=pitch, velocity=100, time=0))
        track.append(mido.Message("note_off", note=pitch, time=480))
    file.save(path)


def test_melody_is_heard_in_its_accompaniment(render: Render, tmp_path: Path) -> None:
    _write_tune(tmp_path / "tune.mid")
    result = render(task="melody", melody=str(tmp_path / "tune.mid"), seconds=4, refine=6)
    assert read_clip(result.path).length_samples == 4 * 44_100
    assert result.report["melody_accuracy"] > 0.6
    losses = result.report["losses"]
    assert losses["refined"]["melody"] < losses["draft"]["melody"]


@pytest.mark.parametrize("clip", ["drums.flac", "harmonic.flac"])
def test_refining_halves_the_overlap_loss(render: Render, clip: str) -> None:
    result = render(task="extend", source=str(CLIPS / clip), seconds=3)
    losses = result.report["losses"]
    assert losses["refined"]["overlap"] < 0.5 * losses["draft"]["overlap"]
    previews = [event for event in result.events if isinstance(event, Preview)]
    assert [event.revision for event in previews] == [0, 1]


def test_unknown_words_of_a_prompt_come_back(render: Render) -> None:
    result = render(task="generate", prompt="slow funk with zorgle", seconds=2, refine=0)
    assert result.report["unknown_words"] == ["zorgle"]


def test_same_request_same_bytes_and_a_repeat_comes_from_the_cache(render: Render) -> None:
    fields = {"task": "extend", "source": str(CLIPS / "drums.flac"), "seconds": 2, "refine": 1,
              "seed": 11}  # fmt: skip
    first, again = render(**fields), render(**fields)
    assert first.report["cache"] == "miss"
    assert again.report["cache"] == "hit"
    assert again.recipe == first.recipe
    digests = {hashlib.sha256(item.path.read_bytes()).hexdigest() for item in (first, again)}
    anew = render(cache=False, **fields)
    digests.add(hashlib.sha256(anew.path.read_bytes()).hexdigest())
    assert len(digests) == 1
    other = render(**{**fields, "seed": 12})
    assert other.report["cache"] == "miss"
    assert other.path.read_bytes() != first.path.read_bytes()


def test_progress_never_falls_and_previews_are_the_file(render: Render) -> None:
    result = render(task="extend", source=str(CLIPS / "drums.flac"), seconds=2, refine=2, seed=3)
    fractions = [event.fraction for event in result.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    last = [event for event in result.events if isinstance(event, Preview)][-1]
    heard = np.frombuffer(last.pcm, "<f4").reshape(-1, last.channels).T
    back = read_clip(result.path).samples
    span = slice(last.offset_samples, last.offset_samples + heard.shape[1])
    assert np.array_equal(heard.astype(np.float64), back[:, span])


def test_cancel_stops_at_the_next_step(engine: Engine, tmp_path: Path) -> None:
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": str(CLIPS / "drums.flac"), "seconds": 4, "seed": 99}
    )
    events: list[Event] = []
    for event in engine.render(request, tmp_path, lambda: len(events) > 2):
        events.append(event)
    assert isinstance(events[-1], Cancelled)
    assert not any(isinstance(event, Done) for event in events)
    assert list(tmp_path.iterdir()) == []


def test_a_consumer_that_leaves_stops_the_work(engine: Engine, tmp_path: Path) -> None:
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": str(CLIPS / "drums.flac"), "seconds": 4, "seed": 98}
    )
    stream = engine.render(request, tmp_path, lambda: False)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"task": "extend", "source": "missing.wav", "seconds": 1}, "bad_audio"),
        ({"task": "inpaint", "source": str(CLIPS / "drums.flac"), "start": 1, "end": 99},
         "bad_request"),
        ({"task": "inpaint", "source": str(CLIPS / "drums.flac"), "start": 0, "end": 0.05,
          "model": "nothing"}, "not_found"),
        ({"task": "inpaint", "source": str(CLIPS / "drums.flac"), "start": 0.02, "end": 7.59},
         "bad_request"),
        ({"task": "melody", "melody": str(CLIPS / "drums.flac"), "seconds": 1}, "bad_midi"),
        ({"task": "generate", "prompt": "", "bars": 4}, "bad_request"),
        ({"task": "generate", "prompt": "", "seconds": 600}, "too_large"),
        ({"task": "generate", "prompt": "", "seconds": 1, "key": "H moll"}, "bad_request"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(
    engine: Engine, tmp_path: Path, fields: dict[str, Any], code: str
) -> None:
    request = RenderRequest.from_mapping(fields)
    with pytest.raises(BridgeError) as caught:
        list(engine.render(request, tmp_path, lambda: False))
    assert caught.value.code == code
    assert caught.value.message


@pytest.mark.parametrize("span", [(0.0, 1.2), (3.0, None)])
def test_inpaint_reaches_either_end(render: Render, span: tuple[float, float | None]) -> None:
    path = CLIPS / "drums.flac"
    source = read_clip(path)
    end = source.length_samples / source.sample_rate_hz if span[1] is None else span[1]
    result = render(task="inpaint", source=str(path), start=span[0], end=end, refine=0, steps=1)
    assert result.report["source_samples_identical"] is True
    assert result.report["length_error_samples"] == 0
    assert len(result.report["seams"]) == 1


@pytest.mark.parametrize(
    ("fields", "quarters", "bpm"),
    [({"prompt": "waltz at 120 bpm", "bars": 2}, 6, "120"),
     ({"prompt": "3/4 at 90 bpm", "bars": 1}, 3, "90"),
     ({"prompt": "", "bpm": 97.3, "metre": "7/8", "bars": 2}, 7, "97.3")],
)  # fmt: skip
def test_bars_count_in_the_metre_that_is_played(
    render: Render, fields: dict[str, Any], quarters: int, bpm: str
) -> None:
    result = render(task="generate", refine=0, steps=1, **fields)
    expected = round(Fraction(quarters) * 60 * 44_100 / Fraction(bpm))
    assert result.report["length_samples"] == expected


def test_a_crossfade_longer_than_the_overlap_works(render: Render, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, _groove(12.0, 8_000, 1), 8_000)
    for end in (9.0, 12.0):
        result = render(
            task="inpaint", source=str(path), start=2, end=end, overlap=0.1, crossfade_ms=300,
            refine=0, steps=1,
        )  # fmt: skip
        assert result.report["source_samples_identical"] is True


def test_without_an_objective_nothing_is_rendered_twice(render: Render) -> None:
    result = render(task="generate", prompt="house", seconds=1, refine=3)
    assert sum(isinstance(event, Preview) for event in result.events) == 1


def test_wishes_a_clip_cannot_grant_come_back(render: Render) -> None:
    result = render(
        task="extend", source=str(CLIPS / "drums.flac"), seconds=0.5, refine=0, steps=1,
        prompt="sad rhodes at 90 bpm with zorgle",
    )  # fmt: skip
    assert result.report["unknown_words"] == ["zorgle"]
    assert result.report["unused_wishes"] == ["tempo_bpm"]


@pytest.mark.parametrize(("bpm", "lead_in_s"), [(120.0, 0.0), (120.0, 0.2), (200.0, 0.0)])
def test_a_loop_is_closed_from_just_before_a_beat(
    render: Render, tmp_path: Path, bpm: float, lead_in_s: float
) -> None:
    path, rate = tmp_path / "clip.wav", 44_100
    since = np.mod(np.arange(4 * rate) / rate - lead_in_s, 60 / bpm)
    wave = 0.5 * np.sin(2 * np.pi * 180 * since) * np.exp(-30 * since)
    soundfile.write(path, wave, rate)
    result = render(task="loop", source=str(path), bars=2, bpm=bpm, refine=0, steps=1)
    seam_s = result.report["kept_samples"] / rate
    until_beat_s = (lead_in_s - seam_s) % (60 / bpm)
    assert until_beat_s == pytest.approx(0.06, abs=0.015)
