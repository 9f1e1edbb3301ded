"""Every task on every architecture through a daemon: tiny checkpoints, real steps, real formats."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import mido
import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.config import Config
from engine.models.public.registry import Registry
from engine.spec import BridgeError
from tests.daw_bridge.served import served

RATE_HZ, SECONDS = 48_000, 1.5
MODELS = ("sa3", "sa3-base", "sao", "small", "ace", "ldm2", "mldm")
T = TypeVar("T")
QUICK = {"steps": 2, "refine": 1, "seed": 5}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip, a tune, and a registry of checkpoints whose steps are as long as the real ones'."""
    pytest.importorskip("diffusers", reason="the extra `models` is not installed")
    from tests.engine.models.public import checkpoints, tools_checkpoints

    folder = tmp_path_factory.mktemp("work")
    makers = {
        "sa3": checkpoints.stable_audio_3,
        "sao": checkpoints.stable_audio_open,
        "ace": checkpoints.ace_step,
        "ldm2": checkpoints.audioldm_2,
        "mldm": checkpoints.musicldm,
    }
    registry = Registry(folder / "data" / "models.json")
    (folder / "data").mkdir()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*weight_norm", FutureWarning)  # theirs
        for name, make in makers.items():
            registry.add(make(folder / name, real_steps=True), name)
        base = checkpoints.stable_audio_3(folder / "base", distilled=False, real_steps=True)
        registry.add(base, "sa3-base")
        table = tools_checkpoints.settings(real_steps=True)
        registry.add(tools_checkpoints.write(folder / "small", table)[0], "small")
    time_s = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    beats = np.exp(-8.0 * np.mod(time_s, 0.5)) * np.sin(2 * np.pi * 330 * time_s)
    soundfile.write(folder / "clip.wav", 0.4 * np.stack([beats, 0.7 * beats], axis=1), RATE_HZ)
    tune = mido.MidiFile()
    track = mido.MidiTrack()
    tune.tracks.append(track)
    for pitch in (72, 76, 79):
        track.append(mido.Message("note_on", note=pitch, velocity=100, time=0))
        track.append(mido.Message("note_off", note=pitch, time=480))
    tune.save(folder / "tune.mid")
    return folder


@pytest.fixture(scope="module")
def app(work: Path) -> Iterator[App]:
    settings = {"port": 0, "osc_port": 0, "data_dir": work / "data", "roots": [work]}
    with served(Config.load(settings)) as app:
        yield app


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


async def _made(app: App, request: dict[str, Any]) -> dict[str, Any]:
    async with Client(app.url, app.token) as client:
        return await client.result(await client.submit(QUICK | request))


def made(app: App, **request: Any) -> dict[str, Any]:
    """What `done` says of a request."""
    return run(_made(app, request))


def audio_of(done: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.int16]]:
    return soundfile.read(done["path"], dtype="int16", always_2d=True)[0]


CLIP_TASKS: dict[str, dict[str, Any]] = {
    "extend": {"task": "extend", "seconds": 0.7, "bpm": 120},
    "extend the start": {"task": "extend", "seconds": 0.7, "side": "start", "bpm": 120},
    "inpaint": {"task": "inpaint", "start": 0.6, "end": 1.0, "bpm": 120},
    "loop": {"task": "loop", "bars": 1, "bpm": 120},
}
LENGTHS = {"extend": 2.2, "extend the start": 2.2, "inpaint": 1.5, "loop": 2.0}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("task", CLIP_TASKS)
def test_the_source_is_kept_bit_for_bit(work: Path, app: App, name: str, task: str) -> None:
    done = made(app, **CLIP_TASKS[task], source=str(work / "clip.wav"), model=name)
    report = done["report"]
    assert report["source_samples_identical"] is True
    assert (report["sample_rate_hz"], report["channels"]) == (RATE_HZ, 2)
    found, source = audio_of(done), audio_of({"path": work / "clip.wav"})
    assert len(found) == report["length_samples"] == round(LENGTHS[task] * RATE_HZ)
    fade = round(0.06 * RATE_HZ)
    if task == "extend the start":
        assert np.array_equal(found[-len(source) + fade :], source[fade:])
    else:
        kept = round((0.6 if task == "inpaint" else 1.0) * RATE_HZ) - fade
        assert np.array_equal(found[fade:kept], source[fade:kept])
    first, last = report["new_samples"]
    assert np.abs(found[first:last].astype(float)).max() > 10  # something was made
    assert (report["model"]["name"], report["losses"]["refined"].keys()) == (name, {"overlap"})


NEW_TASKS: dict[str, dict[str, Any]] = {
    "melody": {"task": "melody", "bpm": 120},
    "intensity": {"task": "generate", "prompt": "warm piano", "intensity": "0:-30,1:-12"},
    "structure": {"task": "generate", "prompt": "slow house", "structure": "AB"},
    "generate": {"task": "generate", "prompt": "fast drums", "seamless": True},
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("task", NEW_TASKS)
def test_new_music_is_as_long_as_asked_for(work: Path, app: App, name: str, task: str) -> None:
    melody = {"melody": str(work / "tune.mid")} if task == "melody" else {}
    done = made(app, **NEW_TASKS[task], **melody, seconds=1.4, sample_rate_hz=RATE_HZ, model=name)
    report = done["report"]
    assert len(audio_of(done)) == report["length_samples"] == round(1.4 * RATE_HZ)
    assert report["unknown_words"] == []  # they are the model's own to know
    wished = {"generate": "loop"}.get(task, task)
    losses = report["losses"]
    assert losses["refined"].keys() == losses["draft"].keys() == {wished}
    assert losses["refined"][wished] <= losses["draft"][wished]


@pytest.mark.parametrize("name", MODELS)
def test_what_was_made_once_is_there_at_once(work: Path, app: App, name: str) -> None:
    request = {**CLIP_TASKS["extend"], "source": str(work / "clip.wav"), "model": name}
    first, again = made(app, **request), made(app, **request)
    assert again["report"]["cache"] == "hit"
    assert np.array_equal(audio_of(first), audio_of(again))

    async def rerendered() -> dict[str, Any]:
        async with Client(app.url, app.token) as client:
            job = await client.request("rerender", take=first["take"], prompt="warm")
            return await client.result(job["job"])

    other = run(rerendered())
    assert other["report"]["model"]["name"] == name
    assert other["report"]["cache"] == "near"
    assert not np.array_equal(audio_of(first), audio_of(other))


@pytest.mark.parametrize("task", ["vary", "accompany"])
@pytest.mark.parametrize("name", ["sa3", "mldm"])
def test_clips_are_varied_and_accompanied(work: Path, app: App, name: str, task: str) -> None:
    done = made(app, task=task, source=str(work / "clip.wav"), model=name)
    assert len(audio_of(done)) == round(SECONDS * RATE_HZ)


@pytest.mark.parametrize(("name", "unused"), [("sa3", ["context"]), ("house", None)])
def test_a_clip_beside_that_the_model_cannot_hear_is_reported(
    work: Path, app: App, name: str, unused: list[str] | None
) -> None:
    clip = str(work / "clip.wav")
    tune = {"melody": str(work / "tune.mid"), "seconds": 1.0}
    for request in (
        {"task": "accompany", "source": clip},
        {"task": "melody", "context": clip} | tune,
    ):
        assert made(app, **request, model=name)["report"].get("unused_wishes") == unused
    without = made(app, task="melody", **tune, model=name)
    assert "unused_wishes" not in without["report"]


def test_models_stand_side_by_side_and_are_never_mixed_up(work: Path, app: App) -> None:
    request = {**CLIP_TASKS["extend"], "source": str(work / "clip.wav"), "seed": 77}
    made_by = {name: made(app, **request, model=name) for name in ("sa3", "house", "ace")}
    again = {name: made(app, **request, model=name) for name in reversed(made_by)}
    digests = {done["report"]["model"]["digest"] for done in made_by.values()}
    assert len(digests) == 3
    for name, done in again.items():
        assert done["report"]["cache"] == "hit"
        assert np.array_equal(audio_of(done), audio_of(made_by[name]))
    assert not np.array_equal(audio_of(again["sa3"]), audio_of(again["house"]))


def test_models_are_listed_and_unknown_ones_refused(work: Path, app: App) -> None:
    async def listed() -> list[dict[str, Any]]:
        async with Client(app.url, app.token) as client:
            models: list[dict[str, Any]] = (await client.request("models"))["models"]
            return models

    found = {model["name"]: model for model in run(listed())}
    assert {"house", *MODELS} <= found.keys()
    assert found["sa3"]["architecture"] == "StableAudio3"
    with pytest.raises(BridgeError, match="there is no model 'zorgle'"):
        made(app, task="generate", prompt="house", seconds=1, model="zorgle")
    late = Registry(work / "data" / "models.json").add(work / "sa3", "late")
    assert "late" in {model["name"] for model in run(listed())}
    assert made(app, task="generate", seconds=0.5, model="late")["report"]["model"]["digest"] == (
        late.digest
    )
