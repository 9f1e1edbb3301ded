"""What the adapters promise beside agreeing with the pipelines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.models.public.ace_step import AceStep
from engine.models.public.audioldm import AudioLDM2, MusicLDM
from engine.models.public.contract import Kept, PublicModel
from engine.models.public.folder import ModelFolder
from engine.models.public.mel_latents import MelCodec
from engine.models.public.stable_audio_3 import StableAudio3
from engine.models.public.stable_audio_open import StableAudioOpen
from engine.models.public.stable_audio_tools import StableAudioTools
from engine.models.studio import Words
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")  # theirs
WORDS = Words("warm slow piano", 0.3)
KINDS: dict[str, Callable[[ModelFolder], PublicModel]] = {
    "sa3": StableAudio3,
    "sa3-base": StableAudio3,
    "sao": StableAudioOpen,
    "sao-karras": StableAudioOpen,
    "ace": AceStep,
    "ldm2": AudioLDM2,
    "mldm": MusicLDM,
    "small": StableAudioTools,
}


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, library: Path) -> PublicModel:
    return KINDS[request.param](ModelFolder.open(library / request.param))


_LOADING = """
import sys, warnings
from pathlib import Path
import diffusers, huggingface_hub.utils, transformers
from engine.models.public.folder import ModelFolder
from engine.models.public.loading import load_part
from engine.models.public.opening import open_model

class Warns:
    @staticmethod
    def from_pretrained(*given, **named):
        assert not transformers.utils.logging.is_progress_bar_enabled()
        warnings.warn("first")
        transformers.utils.logging.get_logger("transformers.test").warning("second")
        diffusers.utils.logging.get_logger("diffusers.test").warning("third")

folders = [ModelFolder.open(Path(path)) for path in sys.argv[1:]]
for folder in folders:
    open_model(folder)
print("loaded", file=sys.stderr)
load_part(folders[0], "text_encoder", Warns, None)
assert diffusers.utils.logging.is_progress_bar_enabled()
assert transformers.utils.logging.is_progress_bar_enabled()
assert not huggingface_hub.utils.are_progress_bars_disabled()
"""


def test_loading_says_nothing_and_hides_no_warning(library: Path) -> None:
    """In a process of its own: some of it is said once only, and here it may have been said."""
    command = [sys.executable, "-c", _LOADING, *(str(library / kind) for kind in KINDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    before, after = done.stderr.split("loaded\n")
    assert before == ""
    for warning in ("first", "second", "third"):
        assert after.count(warning) >= 1


def _run(model: PublicModel, noise: Tensor, steps: int) -> Tensor:
    levels = model.levels(steps)
    shape = (steps, *noise.shape)
    frozen = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=noise.dtype)
    denoiser = model.denoiser(model.tell(WORDS))
    rule = STEP_RULES[model.usage.rule]
    start = levels[0] * noise
    return sample(denoiser, start, levels, rule=rule, gradient="checkpointed", noises=frozen)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        *(("sa3", 3e-3), ("sa3-base", 3e-3), ("sao", 3e-3), ("ace", 3e-3)),
        *(("ldm2", 1e-4), ("mldm", 1e-4)),  # double throughout, and bent more sharply
        ("small", 3e-3),
    ],
)
def test_gradients_reach_the_first_noise(library: Path, kind: str, step: float) -> None:
    """Against central differences, through two steps and the decoder.

    In double precision but for norms and rotations, which theirs always are in single.
    """
    model: Any = KINDS[kind](ModelFolder.open(library / kind))
    double_precision(model)
    generator = torch.Generator().manual_seed(4)
    channels = model.codec.latent_channels
    noise = torch.randn(1, channels, 10, generator=generator, dtype=torch.float64)
    along = torch.randn(noise.shape, generator=generator, dtype=torch.float64)

    def loudness(noise: Tensor) -> Tensor:
        latent = _run(model, noise, 2)
        return _heard(model.codec, latent).square().mean()

    noise.requires_grad_(True)
    (gradient,) = torch.autograd.grad(loudness(noise), noise)
    found = float((gradient * along).sum())
    with torch.no_grad():
        ahead, behind = loudness(noise + step * along), loudness(noise - step * along)
    wanted = float(ahead - behind) / (2.0 * step)
    assert abs(found - wanted) < 1e-3 * abs(wanted)
    assert abs(wanted) > 1e-7


def _heard(codec: Any, latent: Tensor) -> Tensor:
    """What the codec decodes, before it is rounded to single precision."""
    if isinstance(codec, MelCodec):
        spectrogram = codec._autoencoder.decode(codec.to_picture(latent) / codec._scale).sample
        return codec._vocoder(spectrogram[:, 0])
    return codec._network.decode(latent).sample


def double_precision(model: Any) -> None:
    """Everything of the model in double precision, so that differences mean something."""
    model._dtype = model._prompts._dtype = torch.float64
    for holder in (model, model.codec):
        for kept in vars(holder).values():
            for part in kept.values() if isinstance(kept, dict) else (kept,):
                if isinstance(part, torch.nn.Module):
                    part.double()


def test_a_batch_is_its_items(model: PublicModel) -> None:
    noise = torch.randn(3, model.codec.latent_channels, 20)
    denoiser = model.denoiser(model.tell(WORDS))
    with torch.no_grad():
        together = denoiser(noise, 0.7)
        apart = torch.cat([denoiser(item[None], 0.7) for item in noise])
    assert torch.allclose(together, apart, atol=1e-5)


def test_words_and_length_count(model: PublicModel) -> None:
    noise = torch.randn(1, model.codec.latent_channels, 20)

    def answer(words: Words) -> Tensor:
        with torch.no_grad():
            return model.denoiser(model.tell(words))(noise, 0.7)

    same = answer(WORDS)
    assert torch.equal(answer(WORDS), same)
    assert not torch.allclose(answer(Words("fast drums", WORDS.seconds)), same, atol=1e-4)
    longer = answer(Words(WORDS.prompt, 9.0))
    # the makers of mel latents know no length but that of the window
    known = not isinstance(model, AudioLDM2 | MusicLDM)
    assert torch.allclose(longer, same, atol=1e-4) is not known


def test_the_text_encoder_runs_once_for_each_prompt(model: Any) -> None:
    calls: list[int] = []
    encoder = model._clap.text_model if isinstance(model, MusicLDM) else model._encoder
    encoder.register_forward_hook(lambda *_: calls.append(1))
    for prompt in ("piano", "piano", "drums", "piano"):
        model.tell(Words(prompt, 1.0))
    assert len(calls) == 2
    model.tell(Words("piano", 2.0))
    # ACE-Step's text says how long the piece is
    assert len(calls) == (3 if isinstance(model, AceStep) else 2)


def test_levels_fall_from_any_start(model: PublicModel) -> None:
    for start in (1.0, 0.9, 0.5, 0.26):
        levels = model.levels(6, start)
        assert len(levels) == 7
        if start < 1.0:
            assert levels[0] == pytest.approx(start)
        else:  # σ of 500 is level 0.998, and timestep 831 of 1000 level 0.951
            assert 0.95 < levels[0] <= 1.0
        assert levels[-1] == 0.0
        assert all(above > below for above, below in pairwise(levels))
    for steps, start in ((0, 1.0), (4, 0.0), (4, 1.5)):
        with pytest.raises(ValueError, match="cannot sample"):
            model.levels(steps, start)


@pytest.mark.parametrize(("kind", "steps"), [("sa3", 300), ("sao", 600)])
def test_long_audio_in_pieces_is_the_whole(library: Path, kind: str, steps: int) -> None:
    """Audio and latents alike, with more than one piece of each."""
    codec: Any = KINDS[kind](ModelFolder.open(library / kind)).codec
    generator = torch.Generator().manual_seed(2)
    latent = torch.randn(1, codec.latent_channels, steps, generator=generator)
    audio = torch.randn(1, 2, steps * codec.step_samples, generator=generator)
    told: list[int] = []
    with torch.no_grad():
        decoded = codec.decode(latent, on_step=lambda: told.append(1))
        encoded = codec.encode(audio)
        whole = codec._network.decode(latent).sample
        read = codec._network.encode(audio)
    assert len(told) == -(-steps // codec._pieces.piece_steps) > 1
    assert torch.allclose(decoded, whole, atol=1e-5)
    mean = read.latents if kind == "sa3" else read.latent_dist.mode()
    assert torch.allclose(encoded, mean, atol=1e-5)


@pytest.mark.parametrize(("kind", "steps"), [("sa3", 300), ("sao", 600), ("ldm2", 40)])
def test_a_part_of_the_audio_is_that_of_the_whole(library: Path, kind: str, steps: int) -> None:
    """At both ends, within a piece and across several of them, and no more is decoded for it."""
    codec: Any = KINDS[kind](ModelFolder.open(library / kind)).codec
    latent = torch.randn(
        1, codec.latent_channels, steps, generator=torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        whole = codec.decode(latent)
        for first, last in ((0, 9), (20, 33), (steps // 7, steps - 5), (steps - 1, steps)):
            part = codec.decode_part(latent, (first, last))
            samples = slice(first * codec.step_samples, last * codec.step_samples)
            assert torch.allclose(part, whole[..., samples], atol=1e-5)


def test_odd_lengths_end_in_silence(model: PublicModel) -> None:
    codec = model.codec
    audio = torch.randn(2, 5 * codec.step_samples - 3)
    with torch.no_grad():
        latent = codec.encode(audio)
        padded = codec.encode(torch.nn.functional.pad(audio, (0, 3)))
        back = codec.decode(latent)
    assert latent.shape == (codec.latent_channels, 5)
    assert torch.equal(latent, padded)
    assert back.shape == (2, 5 * codec.step_samples)


def test_a_model_that_does_not_edit_says_so(library: Path) -> None:
    model = StableAudioOpen(ModelFolder.open(library / "sao"))
    kept = Kept(torch.zeros(1, 3, 20), torch.ones(1, 1, 20))
    with pytest.raises(ValueError, match="does not edit"):
        model.denoiser(model.tell(WORDS), kept)


def test_two_models_have_two_digests(library: Path) -> None:
    digests = {ModelFolder.open(library / kind).digest() for kind in KINDS}
    assert len(digests) == len(KINDS)


def test_spectrograms_are_librosa_s(library: Path) -> None:
    """Magnitudes on Slaney's mel scale, as the public autoencoders were trained on."""
    import librosa

    codec: Any = AudioLDM2(ModelFolder.open(library / "ldm2")).codec
    rng = np.random.default_rng(5)
    mono = rng.uniform(-0.5, 0.5, 64 * 60).astype(np.float32)
    found = codec.log_mel(torch.from_numpy(mono)[None])[0].numpy()
    wanted = librosa.feature.melspectrogram(
        y=mono, sr=16_000, n_fft=1024, hop_length=16, n_mels=8, power=1.0, pad_mode="reflect"
    )
    wanted = np.log(np.maximum(wanted.T[: len(found)], 1e-5))
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert len(found) == 64 * 60 // 16
