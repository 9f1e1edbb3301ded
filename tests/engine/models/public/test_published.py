"""Configuration values of the public checkpoints, and what the adapters make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.public.ace_step import AceStep
from engine.models.public.audioldm import AudioLDM2, MusicLDM
from engine.models.public.contract import Kept, Told
from engine.models.public.folder import ModelFolder
from engine.models.public.loading import Checkpoint
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen
from engine.models.studio import Words
from tests.engine.models.public import published_folders
from tests.engine.models.public.published import CHECKPOINTS

pytest.importorskip("diffusers", reason="the extra `models` is not installed")
pytest.importorskip("transformers", reason="the extra `models` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs

KINDS: dict[str, Callable[..., Checkpoint]] = {
    "StableAudio3Pipeline": StableAudio3,
    "StableAudioPipeline": StableAudioOpen,
    "AceStepPipeline": AceStep,
    "AudioLDM2Pipeline": AudioLDM2,
    "MusicLDMPipeline": MusicLDM,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the makers say of a model; the levels are of its first and its last step."""

    sample_rate_hz: int
    step_samples: int
    latent_channels: int
    longest_seconds: float
    rule: str
    steps: int
    guidance: float
    first_level: float
    last_level: float
    edits: bool


# Log-SNR in eight or a hundred even steps from -6.2 to 2.0, the first at pure noise; σ from 500 to
# 0.3; shift 3 of eight or fifty even steps; the 996th and the first of 1000 DDIM timesteps.
# The makers name no guidance for the base of Stable Audio 3: that of Stable Audio Open is ours.
_SMALL = Facts(44_100, 4096, 256, 120.0, "ping-pong", 8, 1.0, 1.0, 0.273885, True)
_MEDIUM = Facts(44_100, 4096, 256, 380.0, "ping-pong", 8, 1.0, 1.0, 0.273885, True)
_MEDIUM_BASE = Facts(44_100, 4096, 256, 380.0, "euler", 100, 7.0, 1.0, 0.128085, True)
_OPEN = Facts(44_100, 2048, 64, 47.554, "sde-dpm-solver-2m", 100, 7.0, 500 / 501, 0.3 / 1.3, False)
_ACE = Facts(48_000, 1920, 64, 600.0, "euler", 8, 1.0, 1.0, 0.3, True)
_ACE_BASE = Facts(48_000, 1920, 64, 600.0, "remembering-euler", 50, 7.0, 1.0, 0.06 / 1.04, True)
_LDM_2 = Facts(16_000, 640, 8 * 16, 10.24, "euler", 200, 3.5, 0.987862, 0.052048, False)
_MUSIC_LDM = Facts(16_000, 640, 8 * 16, 10.24, "euler", 200, 2.0, 0.987862, 0.052048, False)
FACTS = {
    "stable-audio-3-small-music": _SMALL,
    "stable-audio-3-medium": _MEDIUM,
    "stable-audio-3-medium-base": _MEDIUM_BASE,
    "stable-audio-open-1.0": _OPEN,
    "acestep-v15-turbo": _ACE,
    "acestep-v15-base": _ACE_BASE,
    "acestep-v15-xl-turbo": _ACE,
    "audioldm2-music": _LDM_2,
    "musicldm": _MUSIC_LDM,
}


def _opened(name: str, tmp_path: Path, device: str, dtype: torch.dtype | None = None) -> Any:
    published = CHECKPOINTS[name]
    folder = published_folders.write(tmp_path / name, published)
    return KINDS[published.pipeline](ModelFolder.open(folder), device, dtype)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def name(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="module")
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """As its `_load` makes it of the real folder, but for the weights: those have only a shape."""

    def shapes(checkpoint: Any, part: str, reader: Any) -> torch.nn.Module:
        return published_folders.from_settings(reader, checkpoint._folder.path / part)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "_part", shapes)
        patch.setattr(ModelFolder, "digest", lambda folder: "0" * 64)  # reads gigabytes
        return _opened(name, tmp_path_factory.mktemp(name), "meta")


def test_what_is_published_is_what_the_adapter_says(name: str, model: Any) -> None:
    levels = model.levels(model.usage.steps)
    found = Facts(
        model.codec.sample_rate_hz,
        model.codec.step_samples,
        model.codec.latent_channels,
        pytest.approx(model.longest_seconds, abs=1e-3),
        model.usage.rule,
        model.usage.steps,
        model.usage.guidance,
        pytest.approx(levels[0], abs=1e-6),
        pytest.approx(levels[-2], abs=1e-6),
        model.edits,
    )
    assert found == FACTS[name]
    assert levels[-1] == 0.0
    if name == "stable-audio-open-1.0":
        assert model.window_steps == 1024 == 2_097_152 // 2048


@pytest.mark.parametrize(
    "name", ["stable-audio-open-1.0", "audioldm2-music", "musicldm"], indirect=True
)
def test_levels_are_the_published_scheduler_s(name: str, model: Any) -> None:
    """Of those that space them themselves, by the library's own class; pipelines do for others."""
    import diffusers

    kind, settings = CHECKPOINTS[name].scheduler
    scheduler = getattr(diffusers, kind).from_config(settings)
    steps = model.usage.steps
    scheduler.set_timesteps(steps)
    if kind == "DDIMScheduler":
        kept = scheduler.alphas_cumprod[scheduler.timesteps].double()
        theirs = (1.0 - kept).sqrt() / (kept.sqrt() + (1.0 - kept).sqrt())
    else:
        theirs = scheduler.sigmas[:-1].double() / (1.0 + scheduler.sigmas[:-1].double())
    ours = torch.tensor(model.levels(steps)[:-1], dtype=torch.float64)
    assert torch.allclose(ours, theirs, atol=1e-5)


def _told(model: Any) -> Told:
    """What there is to be told, as wide as the parts that make it say they are."""

    def empty(*shape: int) -> Tensor:
        return torch.zeros(1, *shape, device="meta")

    if isinstance(model, StableAudio3):
        width = model._encoder.config.encoder.hidden_size
        length = int(model._embedder.config.output_dim)
        return Told(empty(257, width), empty(length), empty(257))
    if isinstance(model, StableAudioOpen):
        assert model._encoder.config.d_model == model._projection.config.text_encoder_dim
        width = int(model._projection.config.conditioning_dim)
        return Told(empty(130, width), empty(1, 2 * width))
    if isinstance(model, AceStep):
        settings = model._conditions.config
        assert model._encoder.config.hidden_size == settings.text_hidden_dim
        assert settings.timbre_hidden_dim == model.codec.latent_channels
        assert model._conditions.silence_latent.shape == (1, 15_000, 64)
        return Told(empty(300, int(settings.hidden_size)), empty(0))
    clap = int(model._clap.config.projection_dim)
    if isinstance(model, MusicLDM):
        return Told(empty(0, 0), empty(clap))
    settings = model._projection.config
    text, said = model._encoder.config.d_model, model._language.config.n_embd
    assert (settings.text_encoder_dim, settings.text_encoder_1_dim) == (clap, text)
    assert settings.langauge_model_dim == said
    assert model._new_tokens == 8
    return Told(empty(12, text), empty(8, said), empty(12))


def test_what_is_told_fits_the_network(model: Any) -> None:
    """Shapes all the way through the network, with and without what is kept, and the codec."""
    steps = 64
    x = torch.zeros(2, model.codec.latent_channels, steps, device="meta")
    kept = Kept(x[:1], torch.zeros(1, 1, steps, device="meta"))
    for given in (None, kept) if model.edits else (None,):
        assert model.denoiser(_told(model), given)(x, 0.7).shape == x.shape
    samples = steps * model.codec.step_samples
    assert model.codec.decode(x[:1]).shape == (1, 2, samples)
    assert model.codec.encode(torch.zeros(1, 2, samples, device="meta")).shape == (1, *x.shape[1:])


_PARTS = {"transformer": "_network", "unet": "_network", "condition_encoder": "_conditions"}


def test_as_many_parameters_as_published(name: str, model: Any) -> None:
    """Within 4 %; the figures of ACE-Step are given in whole billions."""
    for parts, millions in CHECKPOINTS[name].millions.items():
        networks = [
            model.codec._network if part == "vae" else getattr(model, _PARTS[part])
            for part in parts.split("+")
        ]
        count = sum(weight.numel() for network in networks for weight in network.parameters())
        assert count / 1e6 == pytest.approx(millions, rel=0.1 if "+" in parts else 0.04)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("stable-audio-3-small-music", "stable-audio-open-1.0", "acestep-v15-turbo"),
        *("audioldm2-music", "musicldm"),
    ],
)
def test_folders_of_full_size_are_loaded(name: str, tmp_path: Path) -> None:
    """With every weight 0, in half the room: up to 6 GB of memory, nothing on the disk."""
    model = _opened(name, tmp_path, "cpu", torch.bfloat16)
    told = model.tell(Words("warm slow piano", 10.0, "[verse] low light", 97.0, "A minor", 4))
    steps = 16
    x = torch.zeros(1, model.codec.latent_channels, steps)
    with torch.no_grad():
        assert model.denoiser(told)(x, 0.7).shape == x.shape
        audio = model.codec.decode(x)
    assert audio.shape == (1, 2, steps * model.codec.step_samples)
    assert len(model.digest) == 64
