"""Training code on a shard of made-up latents: batches, masks, resuming, and a file that loads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from train_house import Run, export, flow_loss, make_run, one_update, rate_factor
from training_windows import WINDOW_STEPS, ShardWindows, augment, random_masks

from engine.models.house.codec import SpectralCodec
from engine.models.house.model import load_house
from engine.models.house.network import FRAME_CHANNELS, NetworkShape

TINY = NetworkShape(width=32, depth=1, head_width=16)


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    return load_house().codec


@pytest.fixture
def windows(tmp_path: Path, codec: SpectralCodec) -> ShardWindows:
    steps = (300, 100, 400)  # the middle one is shorter than a window and left out
    total = sum(steps)
    generator = torch.Generator().manual_seed(0)
    pattern = 2 * torch.randn(1, 128, generator=generator)  # something that can be learned
    save_file(
        {
            "latent": (pattern + 0.1 * torch.randn(total, 128, generator=generator)).half(),
            "chroma": torch.zeros(total, 12, dtype=torch.uint8),
            "roles": torch.ones(total, 4, dtype=torch.uint8),
            "beat_phase": torch.rand(total, generator=generator),
            "bar_phase": torch.rand(total, generator=generator),
        },
        tmp_path / "shard-00000.safetensors",
        {
            "pieces": json.dumps(
                [{"steps": n, "style": 1, "key": 2, "tempo_bpm": 90} for n in steps]
            )
        },
    )
    return ShardWindows(tmp_path, codec, TINY)


def test_batches_are_windows_with_conditions_dropped(windows: ShardWindows) -> None:
    assert len(windows.pieces) == 2
    batch = windows.batch(64, torch.Generator().manual_seed(1))
    assert batch.latent.shape == (64, 128, WINDOW_STEPS)
    assert batch.frames.shape == (64, FRAME_CHANNELS, WINDOW_STEPS)
    kept = batch.frames[:, :128]
    assert torch.equal(kept, batch.latent * batch.kept_mask)
    assert set(batch.conditions.style.tolist()) == {1, TINY.styles}
    assert set(batch.conditions.tempo_bpm.tolist()) == {0.0, 90.0}
    again = windows.batch(64, torch.Generator().manual_seed(1))
    assert torch.equal(batch.latent, again.latent)


def test_masks_keep_edges_and_leave_something_to_make() -> None:
    masks = random_masks(300, torch.Generator().manual_seed(2))
    assert bool(((masks == 0) | (masks == 1)).all())
    assert bool((masks.mean(dim=(1, 2)) < 1).all())
    assert 0.1 < float((masks.sum(dim=(1, 2)) == 0).float().mean()) < 0.3


def test_augmenting_by_level_is_what_the_codec_sees(codec: SpectralCodec) -> None:
    generator = torch.Generator().manual_seed(3)
    latent = codec.encode(0.1 * torch.randn(1, 2, 1024 * 20, generator=generator))
    louder = augment(latent, codec, torch.Generator().manual_seed(4))
    change = codec.log_mel(louder) - codec.log_mel(latent)
    assert float(change.std(dim=-1).max()) < 1e-3, "the same change at every step"
    assert float(change.abs().max()) < 1.2


def test_training_lowers_the_loss_and_resumes(windows: ShardWindows, tmp_path: Path) -> None:
    run = make_run(TINY, 3e-2, "cpu")
    generator = torch.Generator().manual_seed(5)
    losses = [one_update(run, run.network, windows, generator, 8) for _ in range(60)]
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
    export(run, codec.basis, tmp_path / "house.safetensors")
    model = load_house(tmp_path / "house.safetensors")
    assert model.network.shape == TINY
    assert torch.equal(model.codec.basis.components, codec.basis.components)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    assert rate_factor(0, 0.0, 100.0, 0.2) < 0.01
    assert rate_factor(1000, 50.0, 100.0, 0.2) == 1.0
    assert rate_factor(1000, 90.0, 100.0, 0.2) == pytest.approx(0.5)
    assert rate_factor(1000, 100.0, 100.0, 0.2) == 0.0
