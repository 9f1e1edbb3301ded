"""Stems: who is told what, who hears whom, and what is heard on the way."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile
import torch

from engine.costs import refine_cost
from engine.job import SCENES, settings_for
from engine.meter import Meter
from engine.models.house.network import Globals
from engine.rendering import Rendering
from engine.sketch.score import ROLES
from engine.sketch.styles import MOODS
from engine.spec import Event, Preview, Progress, RenderRequest
from engine.tasks.scene import Finished, at_level_of, near_level_of
from engine.windows import Window
from tests.engine.fake_model import fake_model

SECONDS = 4.0
RATE_HZ = 44_100


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    file = mido.MidiFile()
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(120)))
    for pitch in (72, 76, 79, 76, 72, 71, 72, 72):
        track.append(mido.Message("note_on", note=pitch, velocity=100, time=0))
        track.append(mido.Message("note_off", note=pitch, time=480))
    file.save(tmp_path / "tune.mid")
    return tmp_path / "tune.mid"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Chords of C major and clicks at 120 bpm."""
    time = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    wave = sum(0.1 * np.sin(2 * np.pi * hz * time) for hz in (261.63, 329.63, 392.0))
    wave = wave + 0.3 * np.exp(-60 * np.mod(time, 0.5)) * np.sin(2 * np.pi * 1800 * time)
    soundfile.write(tmp_path / "clip.wav", np.stack([wave, 0.8 * wave], axis=1), RATE_HZ)
    return tmp_path / "clip.wav"


class Run:
    """One render of a scene with the fake model."""

    def __init__(self, **fields: Any) -> None:
        self.events: list[Event] = []
        request = RenderRequest.from_mapping({"steps": 1, "refine": 0, **fields})
        self.fake, model = fake_model()
        self.scene = SCENES[request.task](request, model)
        settings = settings_for(request, model.habits)
        meter = Meter(self.events.append, lambda: False, refine_steps=settings.refine)
        self.rendering = Rendering(
            model, "cpu", self.scene, settings, request.seed, meter, self.events.append
        )
        self.finished: Finished = self.rendering.draft()
        if settings.refine:
            self.finished = self.rendering.refine() or self.finished
        meter.advance("end", 0.0)

    @property
    def previews(self) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
        """Audio of every preview `[channels, samples]`."""
        events = [event for event in self.events if isinstance(event, Preview)]
        assert [event.revision for event in events] == list(range(len(events)))
        return [
            np.frombuffer(event.pcm, "<f4").reshape(-1, event.channels).T.astype(np.float64)
            for event in events
        ]


def roles_told(conditions: Globals) -> list[str]:
    """Roles that are to play; each of the others must be told silent."""
    row = conditions.roles[0].tolist()
    assert set(row) <= {0, 1}
    return [role for role, plays in zip(ROLES, row, strict=True) if plays]


@pytest.mark.parametrize("beside", [False, True])
def test_each_stem_hears_the_mix_so_far(tune: Path, clip: Path, beside: bool) -> None:
    context = {"context": str(clip)} if beside else {}
    run = Run(task="melody", melody=str(tune), seconds=SECONDS, stems=True, **context)
    assert [roles_told(conditions) for _, conditions in run.fake.asked] == [[r] for r in ROLES]
    assert list(run.finished.stems) == list(ROLES)
    assert run.finished.headroom_db == 0.0
    gain = 10 ** (run.scene.facts["beside"]["gain_db"] / 20) if beside else 1.0
    whole = run.finished.samples.shape[1] // 1024 * 1024
    heard = np.zeros((2, whole))
    if beside:
        heard += soundfile.read(clip)[0].T[:, :whole] / gain
    for (frames, _), stem in zip(run.fake.asked, run.finished.stems.values(), strict=True):
        if not heard.any():
            assert frames.context is None
        else:
            assert frames.context is not None
            expected = run.fake.codec.encode(torch.from_numpy(heard))
            found = frames.context[0, :, : expected.shape[-1]].double()
            assert torch.allclose(found, expected, atol=5e-4)  # the gain is told in 0.01 dB
            assert float(expected.abs().max()) > 0.05
        heard = heard + stem[:, :whole] / gain


def test_a_whole_render_hears_the_context_alone(tune: Path, clip: Path) -> None:
    run = Run(task="melody", melody=str(tune), seconds=SECONDS, context=str(clip))
    ((frames, conditions),) = run.fake.asked
    assert frames.context is not None
    assert run.scene.beside is not None
    assert torch.equal(frames.context[0], run.fake.codec.encode(run.scene.beside))
    assert roles_told(conditions) == list(ROLES)
    assert run.finished.stems == {}
    silent = Run(task="melody", melody=str(tune), seconds=SECONDS)
    assert silent.fake.asked[0][0].context is None


@pytest.mark.parametrize("variation", [0.5, 1.0])
@pytest.mark.parametrize("task", ["melody", "extend"])
def test_what_the_prior_plans_is_told_even_where_it_is_not_heard(
    tune: Path, clip: Path, task: str, variation: float
) -> None:
    given = {"source": str(clip)} if task == "extend" else {"melody": str(tune)}
    run = Run(task=task, seconds=SECONDS, variation=variation, **given)
    timeline = run.scene.parts[0].timeline
    ((frames, _),) = run.fake.asked
    assert frames.level is not None
    assert frames.harmony is not None
    window = slice(timeline.steps - frames.level.shape[-1], None)
    assert torch.equal(frames.level, run.fake.told_level(timeline.prior)[..., window])
    assert torch.equal(frames.harmony, run.fake.told_harmony(timeline.prior)[..., window])


def test_the_melody_is_told_to_the_lead_alone(tune: Path) -> None:
    run = Run(task="melody", melody=str(tune), seconds=SECONDS, stems=True, roles="bass,lead")
    (bass, _), (lead, _) = run.fake.asked
    assert (bass.melody_chroma, bass.melody_onsets) == (None, None)
    assert lead.melody_chroma is not None
    assert lead.melody_onsets is not None
    onsets = lead.melody_onsets[0].nonzero().tolist()
    # The first step at or after each note's start, as in training, within the note's own chroma.
    at = [math.ceil(beat * 0.5 * RATE_HZ / 1024) for beat in range(8)]
    assert not bool((lead.melody_onsets > lead.melody_chroma).any())
    pitches = (0, 4, 7, 4, 0, 11, 0, 0)
    assert sorted(onsets, key=lambda place: place[1]) == [
        [pitch, step] for pitch, step in zip(pitches, at, strict=True)
    ]


@pytest.mark.parametrize("stems", [False, True])
def test_a_backing_knows_nothing_of_the_melody(tune: Path, stems: bool) -> None:
    run = Run(
        task="melody", melody=str(tune), seconds=SECONDS, stems=stems, roles="drums,bass,chords"
    )
    assert run.scene.melody is None
    for frames, conditions in run.fake.asked:
        assert (frames.melody_chroma, frames.melody_onsets) == (None, None)
        assert "lead" not in roles_told(conditions)


def test_mood_and_instruments_are_told(tune: Path) -> None:
    run = Run(
        task="melody", melody=str(tune), seconds=SECONDS, stems=True, prompt="dark, with rhodes"
    )
    unknown = run.fake.network.shape.programs
    for place, (_, conditions) in enumerate(run.fake.asked):
        assert conditions.mood.tolist() == [MOODS.index("dark")]
        programs = conditions.programs[0].tolist()
        assert [program != unknown for program in programs] == [i == place for i in range(4)]
    assert run.fake.asked[2][1].programs[0, 2] == 4  # the first electric piano
    mix = Run(task="melody", melody=str(tune), seconds=SECONDS, prompt="dark, with rhodes")
    (_, conditions), *_ = mix.fake.asked
    assert unknown not in conditions.programs[0].tolist()


def test_previews_grow_to_the_mix(tune: Path) -> None:
    run = Run(task="melody", melody=str(tune), seconds=SECONDS, stems=True)
    previews = run.previews
    assert len(previews) == 4
    so_far = np.zeros_like(run.finished.samples)
    for heard, stem in zip(previews, run.finished.stems.values(), strict=True):
        so_far = so_far + stem
        assert np.allclose(heard, so_far, atol=2**-22)
    assert np.array_equal(previews[-1], run.finished.samples)


def test_only_the_lead_is_refined_and_progress_never_falls(tune: Path) -> None:
    run = Run(task="melody", melody=str(tune), seconds=SECONDS, stems=True, refine=2)
    assert len(run.previews) == 5
    assert [roles_told(told) for _, told in run.fake.asked] == [*([r] for r in ROLES), ["lead"]]
    context, again = run.fake.asked[3][0].context, run.fake.asked[4][0].context
    assert context is not None
    assert again is not None
    assert torch.equal(context, again)
    fractions = [event.fraction for event in run.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    # What was heard last depends on the clock; what was counted does not.
    meter = run.rendering.meter
    assert 0.9 < meter.done / meter.total < 1.1
    assert run.rendering.done[3].outcomes[0].losses["melody"] > 0.0


def test_the_noise_of_a_stem_is_its_own(tune: Path) -> None:
    fields = {"task": "melody", "melody": str(tune), "seconds": SECONDS, "stems": True}
    everybody, some = Run(**fields).rendering, Run(**fields, roles="bass,lead").rendering
    noises = [everybody.tensors()[f"{role}.noise"] for role in ROLES]
    assert not any(torch.equal(a, b) for i, a in enumerate(noises) for b in noises[:i])
    for role in ("bass", "lead"):
        assert torch.equal(some.tensors()[f"{role}.noise"], everybody.tensors()[f"{role}.noise"])


def test_stems_hold_the_level_of_their_sketch(tune: Path) -> None:
    run = Run(task="melody", melody=str(tune), seconds=SECONDS, stems=True, variation=0.6)
    for part, done in zip(run.scene.parts, run.rendering.done, strict=True):
        level = float(done.audio.square().mean() / part.guide.square().mean())
        assert level == pytest.approx(1.0, abs=1e-3)


def test_silence_stays_silent_and_gain_has_limits() -> None:
    loud, quiet = torch.full((2, 100), 0.5), torch.full((2, 100), 1e-3)
    assert not bool(at_level_of(torch.zeros(2, 100), loud).any())
    assert float(at_level_of(loud, quiet).max()) == pytest.approx(4e-3)
    assert float(at_level_of(quiet, loud).max()) == pytest.approx(0.05)
    assert float(at_level_of(loud, 2 * loud).max()) == pytest.approx(0.5)


def test_a_second_is_brought_near_the_level_and_a_near_one_left_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    guide = 0.1 * torch.randn(2, 20 * RATE_HZ, generator=generator)
    drifting_db = torch.linspace(-10.0, 10.0, guide.shape[1])
    rendered = guide * 10 ** (drifting_db / 20)
    held = near_level_of(guide, rendered)
    for second in range(20):
        cut = slice(second * RATE_HZ, (second + 1) * RATE_HZ)
        power, wanted = (float(audio[:, cut].square().mean()) for audio in (held, guide))
        left_db = 10 * math.log10(power / wanted)
        before_db = float(drifting_db[cut].mean())
        assert left_db == pytest.approx(min(max(before_db, -1.5), 1.5), abs=0.25)
        if abs(before_db) < 0.8:
            assert torch.equal(held[:, cut], rendered[:, cut]), "near enough"
    ratio = held / rendered.where(rendered != 0, 1.0)
    assert float(ratio.log().diff().abs().max()) < 1e-3, "no step in the gain"
    assert near_level_of(guide, 1.15 * guide).equal(1.15 * guide)
    assert not bool(near_level_of(guide, torch.zeros_like(guide)).any())


def test_of_a_clips_own_noise_there_is_one(clip: Path) -> None:
    fields = {"task": "vary", "source": str(clip)}
    one, eight = Run(**fields), Run(**fields, candidates=8)
    assert eight.rendering.settings == one.rendering.settings
    assert eight.rendering.meter.total == one.rendering.meter.total
    assert eight.fake.calls == one.fake.calls


def test_a_clip_is_accompanied_by_what_is_missing(clip: Path) -> None:
    run = Run(task="accompany", source=str(clip))
    assert [roles_told(told) for _, told in run.fake.asked] == [["drums"], ["bass"], ["chords"]]
    assert run.finished.stems == {}
    assert all(frames.context is not None for frames, _ in run.fake.asked)
    assert run.scene.facts["beside"]["key"] == "C major"
    assert all(told.tempo_bpm.tolist() == [120.0] for _, told in run.fake.asked)


def test_a_long_stem_hears_its_own_part_of_the_mix(tune: Path) -> None:
    run = Run(
        task="generate", prompt="house at 120 bpm", seconds=8.0, stems=True, roles="drums,bass"
    )
    windows = [frames for frames, told in run.fake.asked if roles_told(told) == ["bass"]]
    assert len(windows) == 2
    heard = run.rendering.context(run.rendering.done[:1])
    assert heard is not None
    starts = (0, heard.shape[-1] - windows[1].kept.shape[-1])
    for start, frames in zip(starts, windows, strict=True):
        assert frames.context is not None
        assert torch.equal(frames.context, heard[..., start : start + frames.kept.shape[-1]])


@pytest.mark.parametrize("method", ["fast", "ditto-2"])
@pytest.mark.parametrize("stems", [False, True])
def test_a_draft_that_is_known_is_not_made_again(
    tune: Path, monkeypatch: pytest.MonkeyPatch, method: str, stems: bool
) -> None:
    fields = {"task": "melody", "melody": str(tune), "seconds": SECONDS, "stems": stems}
    fields |= {"method": method, "steps": 3, "refine": 2}
    known = Run(**fields)
    monkeypatch.setattr(Rendering, "begins_as_drafted", lambda *_: False)
    anew = Run(**fields)
    assert anew.fake.calls - known.fake.calls == 3
    assert np.array_equal(known.finished.samples, anew.finished.samples)
    found, expected = (
        run.rendering.tensors() | run.rendering.missing_noises() for run in (known, anew)
    )
    assert {"latent", "noise"} == {name.split(".")[1] for name in found}
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


class _Listening:
    """A control that cannot judge anything, and remembers where it was asked to."""

    name, weight = "listening", 1.0

    def __init__(self) -> None:
        self.heard_s: list[float] = []

    def compare(self, _: object, rate_hz: int, starts_s: float, new_s: tuple[float, float]) -> None:
        assert rate_hz == RATE_HZ
        self.heard_s += [starts_s, *new_s]


def test_candidates_are_judged_where_they_lie_in_the_result(clip: Path) -> None:
    """The timeline of what is added begins within the clip, which lasts four seconds."""
    run = Run(task="extend", source=str(clip), seconds=4)
    (part,) = run.scene.parts
    control = _Listening()
    timeline = replace(part.timeline, controls=(control,))  # type: ignore[arg-type]
    window, new = Window(3, timeline.steps), (9, 20)
    part = replace(part, timeline=timeline)
    assert run.rendering._score(part, window, new, timeline.prior) == {}
    known_s = float(timeline.known.sum()) * timeline.step_s
    assert 0.5 < known_s < 3.0, "a part of the clip"
    begins_s = SECONDS - known_s
    wanted = [begins_s + step * timeline.step_s for step in (3, *new)]
    assert control.heard_s == pytest.approx(wanted, abs=2 * timeline.step_s)


def test_candidates_that_were_restored_one_by_one_are_taken_off_once(clip: Path) -> None:
    """The meter counts all of them at once, and each tells of its own evaluations."""
    run = Run(task="extend", source=str(clip), seconds=4, refine=9, candidates=4, method="ditto")
    rendering = run.rendering
    rendering.settings = replace(rendering.settings, sparing=True)
    whole = rendering.meter.total
    for _ in range(4):
        rendering._restored(rendering.scene.parts[0], 10)
    assert rendering.meter.total == pytest.approx(whole - refine_cost(rendering.settings))
    assert rendering.meter.total > 0.0
