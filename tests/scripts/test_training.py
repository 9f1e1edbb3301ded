"""Training code on a shard of made-up latents: batches, masks, resuming, and a file that loads."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from _muon import Muon
from average_weights import average
from train_flow_map import GUIDANCE, SHORTEST_SPAN, STEP_COUNTS, Teacher
from train_house import (
    WARM_UP_UPDATES,
    Recipe,
    Run,
    channel_weights,
    export,
    flow_loss,
    make_run,
    one_update,
    rate_factor,
)
from train_shards import part_mixes
from training_windows import (
    WINDOW_STEPS,
    Batch,
    ShardWindows,
    augment,
    mix_chances,
    random_masks,
)

from engine.models.house.codec import SpectralCodec
from engine.models.house.conditions import harmony_curve
from engine.models.house.model import default_weights_path, level_path, load_house
from engine.models.house.network import FRAME_CHANNELS, Globals, NetworkShape

TINY = NetworkShape(width=32, depth=1, head_width=16)
RECIPE = Recipe(batch=8, map_share=0.25, average=0.995, channel_weights=torch.ones(128))
# Where `stack` keeps what a row is told, each with its flag at the end.
LEVEL, CONTEXT, HARMONY = slice(147, 149), slice(161, 290), slice(290, 303)
DRUMS, BASS, CHORDS, LEAD = 1, 2, 4, 8


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    return load_house().codec


@pytest.fixture
def windows(tmp_path: Path, codec: SpectralCodec) -> ShardWindows:
    """Two pieces of three roles and one shorter than a window; every mix has its own latent."""
    generator = torch.Generator().manual_seed(0)
    mixes = part_mixes(["drums", "bass", "lead"])
    patterns = 2 * torch.randn(len(mixes), 1, 128, generator=generator)  # can be learned
    tensors, pieces = {}, []
    for index, steps in enumerate((300, 100, 400)):
        noise = 0.1 * torch.randn(len(mixes), steps, 128, generator=generator)
        chroma = torch.zeros(steps, 12, dtype=torch.uint8)
        chroma[:, 4] = 1
        tensors |= {
            f"{index}.latents": (patterns + noise).half(),
            f"{index}.melody_chroma": chroma,
            f"{index}.melody_onsets": chroma.clone(),
            f"{index}.roles": torch.ones(steps, 4, dtype=torch.uint8),
            f"{index}.beat_phase": torch.rand(steps, generator=generator),
            f"{index}.bar_phase": torch.rand(steps, generator=generator),
        }
        programs = [0, 33, -1, 80]
        tags = {"style": 1, "key": 2, "mood": 3, "tempo_bpm": 90, "programs": programs}
        pieces.append({"mixes": mixes, **tags})
    metadata = {"pieces": json.dumps(pieces)}
    save_file(tensors, tmp_path / "shard-00000.safetensors", metadata)
    return ShardWindows(tmp_path, codec, TINY)


def test_part_mixes_hold_what_a_render_by_stems_goes_through() -> None:
    mixes = part_mixes(["drums", "bass", "chords", "lead"])
    assert {DRUMS, DRUMS + BASS, DRUMS + BASS + CHORDS, 15} <= set(mixes)
    assert {BASS, CHORDS, LEAD, 15 - DRUMS, 15 - LEAD} <= set(mixes)
    assert part_mixes(["bass"]) == [BASS]


def test_what_is_made_is_never_in_what_plays_beside_it() -> None:
    mixes = part_mixes(["drums", "bass", "chords", "lead"])
    chances = mix_chances(mixes)
    assert all(target in mixes and not target & context for target, context in chances)
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances[15, 0] == pytest.approx(0.4 + 0.15 / len(mixes))
    assert {context for _, context in chances} >= {0, DRUMS, DRUMS + BASS, DRUMS + BASS + CHORDS}
    assert chances[LEAD, DRUMS] == pytest.approx(2 * chances[DRUMS + BASS, CHORDS])
    assert set(mix_chances([BASS])) == {(BASS, 0)}


def test_batches_are_windows_with_conditions_dropped(windows: ShardWindows) -> None:
    assert windows.pieces == 2
    batch = windows.batch(64, torch.Generator().manual_seed(1))
    assert batch.latent.shape == (64, 128, WINDOW_STEPS)
    assert batch.frames.shape == (64, FRAME_CHANNELS, WINDOW_STEPS)
    kept = batch.frames[:, :128]
    assert torch.equal(kept, batch.latent * batch.kept_mask)
    assert set(batch.conditions.style.tolist()) == {1, TINY.styles}
    assert set(batch.conditions.tempo_bpm.tolist()) == {0.0, 90.0}
    assert set(batch.conditions.mood.tolist()) == {3, TINY.moods}
    again = windows.batch(64, torch.Generator().manual_seed(1))
    assert torch.equal(batch.latent, again.latent)


def test_each_row_is_told_about_its_own_parts(windows: ShardWindows) -> None:
    batch = windows.batch(200, torch.Generator().manual_seed(2))
    beside = batch.frames[:, CONTEXT]
    said = beside[:, -1, 0] > 0
    silent = beside[:, :-1].abs().sum(dim=(1, 2)) == 0
    assert torch.equal(said, ~silent), "a context is marked exactly where there is one"
    assert 0.3 < float(said.float().mean()) < 0.6
    roles, programs = batch.conditions.roles, batch.conditions.programs
    told = roles[:, 0] < 2
    assert bool((roles[told][:, 2] == 0).all()), "nobody plays chords in these pieces"
    assert set(programs[:, 1].tolist()) == {33, TINY.programs}
    assert set(programs[:, 2].tolist()) == {TINY.programs}
    melody = batch.frames[:, 141, 0] > 0
    assert bool(melody.any())
    assert bool((roles[melody & told][:, 3] == 1).all()), "only who plays it is told the melody"
    assert torch.equal(melody, batch.frames[:, 149 + 4, 0] > 0), "onsets come with the chroma"


def test_windows_are_the_latents_of_the_mixes_they_ask_for(windows: ShardWindows) -> None:
    """Every window of made-up latents is near one mix's pattern, but for the random tone."""
    draw = windows._draw(100, torch.Generator().manual_seed(4))
    latent = windows._latent(draw, draw.target)
    for mix in draw.target.unique().tolist():
        mine = latent[draw.target == mix]
        pattern = mine.mean(dim=(0, 2), keepdim=True)
        assert float((mine - pattern).abs().mean()) < 0.15, "one pattern for each mix"
    assert bool((draw.start >= 0).all())
    assert bool((draw.start + WINDOW_STEPS <= windows._steps[draw.piece]).all())
    assert not bool((draw.target & draw.context).any())


def test_untold_conditions_say_no_word(windows: ShardWindows) -> None:
    batch = windows.batch(32, torch.Generator().manual_seed(3))
    assert set(batch.untold.style.tolist()) == {TINY.styles}
    assert set(batch.untold.tempo_bpm.tolist()) == {0.0}


def test_a_row_is_told_everything_or_nothing_or_no_words_or_some(windows: ShardWindows) -> None:
    batch = windows.batch(300, torch.Generator().manual_seed(3))
    level, harmony, beat = (batch.frames[:, place, 0] > 0 for place in (148, 302, 146))
    tempo, style = batch.conditions.tempo_bpm > 0, batch.conditions.style < TINY.styles
    told = torch.stack([level, harmony, beat, tempo, style])
    assert 0.4 < float(told.all(dim=0).float().mean()) < 0.6, "as a render is told"
    assert 0.03 < float((~told).all(dim=0).float().mean()) < 0.12, "nothing"
    words = batch.conditions
    wordless = (words.key == TINY.keys) & ~tempo & ~style & (words.roles == 2).all(dim=1)
    frames_alone = wordless & told[:3].all(dim=0)
    assert 0.06 < float(frames_alone.float().mean()) < 0.16, "as guidance leads away from"
    some = told.any(dim=0) & ~told.all(dim=0)
    assert 0.4 < float(some.float().mean()) < 0.65, "any subset"
    assert float(batch.frames[:, HARMONY][~harmony].abs().sum()) == 0.0
    assert float(batch.frames[:, LEVEL][~level].abs().sum()) == 0.0


def test_the_harmony_of_noise_is_flat_and_that_of_a_chord_its_own(codec: SpectralCodec) -> None:
    rate, steps = 44_100, 40
    times = torch.arange(1024 * steps) / rate
    chord = sum(torch.sin(2 * torch.pi * hz * times) for hz in (440.0, 523.25, 659.26))  # A minor
    noise = torch.randn(1024 * steps, generator=torch.Generator().manual_seed(5))
    heard = [
        harmony_curve(codec.log_mel(codec.encode(0.05 * sound.expand(1, 2, -1))))[0, :, 20]
        for sound in (chord, noise)
    ]
    assert set(heard[0].topk(3).indices.tolist()) == {0, 4, 9}
    assert float(heard[1].abs().max()) < 0.5 < float(heard[0].max())
    assert [float(each.mean()) for each in heard] == pytest.approx([0.0, 0.0], abs=1e-5)


def test_channels_count_as_what_they_do_to_the_sound(codec: SpectralCodec) -> None:
    weights = channel_weights(codec.basis)
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5)
    assert bool((weights[:111] >= weights[1:112] - 1e-6).all())
    batch_weights = torch.zeros(128)
    batch_weights[7] = 1.0
    batch = _told_batch()
    noise = torch.zeros_like(batch.latent)
    noise[:, 7] = 2.0
    loss = flow_loss(_Still(), batch, torch.full((6,), 0.5), noise, None, batch_weights)
    assert float(loss) == pytest.approx(4.0 / 128)


def test_masks_keep_edges_and_leave_something_to_make() -> None:
    alone = torch.zeros(300, dtype=torch.bool)
    masks = random_masks(alone, torch.Generator().manual_seed(2))
    assert bool(((masks == 0) | (masks == 1)).all())
    assert bool((masks.mean(dim=(1, 2)) < 1).all())
    assert 0.2 < float((masks.sum(dim=(1, 2)) == 0).float().mean()) < 0.4
    beside = random_masks(~alone, torch.Generator().manual_seed(2))
    assert float((beside.sum(dim=(1, 2)) == 0).float().mean()) > 0.45


def test_augmenting_by_level_is_what_the_codec_sees(codec: SpectralCodec) -> None:
    generator = torch.Generator().manual_seed(3)
    latent = codec.encode(0.1 * torch.randn(1, 2, 1024 * 20, generator=generator))
    louder, beside = augment(latent, latent * 0, codec, torch.Generator().manual_seed(4))
    assert float(beside.abs().sum()) == 0.0, "no context stays none"
    change = codec.log_mel(louder) - codec.log_mel(latent)
    assert float(change.std(dim=-1).max()) < 1e-3, "the same change at every step"
    assert float(change.abs().max()) < 1.2


def test_training_lowers_the_loss_and_resumes(windows: ShardWindows, tmp_path: Path) -> None:
    run = make_run(TINY, 3e-2, "cpu")
    generator = torch.Generator().manual_seed(5)
    losses = [one_update(run, run.network, windows, generator, RECIPE) for _ in range(60)]
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    run.save(tmp_path / "stable.pt")
    other: Run = make_run(TINY, 3e-2, "cpu")
    other.load(tmp_path / "stable.pt")
    assert (other.update, other.windows) == (60, 480)
    batch = windows.batch(4, torch.Generator().manual_seed(6))
    times, noise = torch.full((4,), 0.5), torch.zeros_like(batch.latent)
    before = flow_loss(run.average, batch, times, noise)
    assert torch.equal(before, flow_loss(other.average, batch, times, noise))


def test_exported_weights_load_as_the_model(codec: SpectralCodec, tmp_path: Path) -> None:
    run = make_run(TINY, 1e-3, "cpu")
    export(run, codec.to_mapping(), tmp_path / "house.safetensors")
    model = load_house(tmp_path / "house.safetensors")
    assert model.network.shape == TINY
    assert torch.equal(model.codec.basis.components, codec.basis.components)
    assert "waltz" in model.vocabulary["styles"]
    assert model.vocabulary["moods"][0] == "happy"


class _Still(torch.nn.Module):
    """No velocity at all."""

    def forward(self, x: Tensor, *_: object) -> Tensor:
        return torch.zeros_like(x)


class _Straight(torch.nn.Module):
    """Velocity `speed · t` for who is told, 0 for who is not; spans see their own mean."""

    speed = 3.0

    def forward(
        self, x: Tensor, time: Tensor, span: Tensor, frames: Tensor, conditions: Globals
    ) -> Tensor:
        assert bool((frames == 1.0).all()), "who is not told the words is told the frames, too"
        told = (conditions.style < TINY.styles).float()
        mean = self.speed * (time - span / 2) * torch.where(span > 0, GUIDANCE, 1.0)
        return (told * mean)[:, None, None].expand_as(x)


def _told_batch() -> Batch:
    frames = torch.ones(6, FRAME_CHANNELS, 8)
    nothing = Globals.unknown(6, TINY, torch.device("cpu"))
    told = replace(nothing, style=torch.zeros_like(nothing.style))
    return Batch(torch.zeros(6, 128, 8), frames, torch.zeros(6, 1, 8), told, nothing)


def test_a_whole_step_is_the_mean_of_the_guided_flow() -> None:
    generator = torch.Generator().manual_seed(7)
    teacher = Teacher(_Straight(), 6, generator)
    time = torch.linspace(0.2, 1.0, 6)
    for span in (time / 8, time):  # below and above the shortest span that halves itself
        velocity = teacher.mean_velocity(
            _told_batch(), slice(-6, None), torch.zeros(6, 128, 8), time, span
        )
        first, second = time, time - span / 2
        halves = torch.where(span / 2 < SHORTEST_SPAN, 0.0, span / 4)
        expected = GUIDANCE * _Straight.speed * ((first - halves) + (second - halves)) / 2
        assert torch.allclose(velocity[:, 0, 0], expected, atol=1e-5)


def test_whole_steps_are_those_that_renders_take() -> None:
    teacher = Teacher(_Straight(), 600, torch.Generator().manual_seed(8))
    times, spans = teacher.steps()
    assert bool((spans > 0).all())
    assert bool((spans <= times + 1e-6).all())
    taken = {
        (round(first, 4), round(first - last, 4))
        for count in STEP_COUNTS
        for first, last in pairwise(level_path(1.0, count))
    }
    drawn = {
        (round(first, 4), round(span, 4))
        for first, span in zip(times.tolist(), spans.tolist(), strict=True)
    }
    assert (1.0, 1.0) in drawn, "all the way at once"
    assert len(drawn & taken) > 0.8 * len(taken), "steps of runs from pure noise"
    assert len(drawn - taken) > 200, "steps of runs that vary a prior"


def test_training_goes_on_from_the_weights_that_ship() -> None:
    run = make_run(NetworkShape(), 1e-3, "cpu")
    run.start_from(default_weights_path())
    assert run.windows > 10_000
    shipped = load_house().network.state_dict()
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, shipped[name]) or name.startswith("span.0"), name


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_muon_is_torchs_but_for_its_rounding(shape: tuple[int, int]) -> None:
    torch.manual_seed(9)
    ours = torch.nn.Parameter(torch.randn(shape))
    theirs = torch.nn.Parameter(ours.detach().clone())
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.95}
    reference = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    mine = Muon([ours], **settings)
    start = ours.detach().clone()
    for _ in range(4):
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    moved = (theirs - start).norm()
    assert float(((ours - theirs).norm() / moved).detach()) < 0.02


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    assert rate_factor(0, 0.0, 100.0, 0.2) == pytest.approx(1 / WARM_UP_UPDATES)
    assert rate_factor(1000, 50.0, 100.0, 0.2) == 1.0
    assert rate_factor(1000, 90.0, 100.0, 0.2) == pytest.approx(0.5)
    assert rate_factor(1000, 100.0, 100.0, 0.2) == 0.0


def _weights_file(path: Path, value: float, **said: str) -> Path:
    tensors = {"network.a": torch.full((2,), value).half(), "codec.mean": torch.ones(3)}
    training = json.dumps({"windows": round(100 * value), "minutes": round(value)})
    metadata = {"format": "1", "shape": "{}", "vocabulary": "{}", "training": training}
    save_file(tensors, path, metadata | said)
    return path


def test_the_mean_of_weights_is_that_of_their_networks(tmp_path: Path) -> None:
    files = [_weights_file(tmp_path / f"{k}.safetensors", float(k)) for k in (1, 2, 6)]
    tensors, metadata = average(files)
    assert torch.equal(tensors["network.a"], torch.full((2,), 3.0).half())
    assert torch.equal(tensors["codec.mean"], torch.ones(3))
    training = json.loads(metadata["training"])
    assert training == {"windows": 600, "minutes": 6, "mean_of_minutes": [1, 2, 6]}


def test_weights_of_other_networks_or_codecs_have_no_mean(tmp_path: Path) -> None:
    first = _weights_file(tmp_path / "a.safetensors", 1.0)
    wider = _weights_file(tmp_path / "b.safetensors", 1.0, shape='{"width": 8}')
    with pytest.raises(SystemExit, match="differ in their shape"):
        average([first, wider])
    other = tmp_path / "c.safetensors"
    tensors = {"network.a": torch.ones(2).half(), "codec.mean": torch.zeros(3)}
    save_file(tensors, other, {"format": "1", "shape": "{}", "vocabulary": "{}", "training": "{}"})
    with pytest.raises(SystemExit, match="different codecs"):
        average([first, other])
