"""Compare the shipped codec with what else could be done, and write docs/codec.md.

    python scripts/compare_codecs.py

Needs what `scripts/train_codec.py` needs, and its windows under `.training/codec/`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from _codec_page import Row, page  # noqa: E402
from _codec_rivals import Rival, learned, principal  # noqa: E402
from evaluation.measures import mel_error  # noqa: E402
from train_codec import FIRST_PIECE, Windows  # noqa: E402
from training_pieces import compose_training_piece, render_training_piece  # noqa: E402

from engine.files.audio import read_clip  # noqa: E402
from engine.models.house.codec import (  # noqa: E402
    MEL_BANDS,
    SAMPLE_RATE_HZ,
    STEP_SAMPLES,
    CodecBasis,
    SpectralCodec,
    griffin_lim,
    mel_filter_bank,
    stft,
)
from engine.models.house.inverse import linear_phases  # noqa: E402
from engine.models.house.model import default_weights_path  # noqa: E402
from engine.models.house.refiner import PREFIX  # noqa: E402
from engine.render.finish import to_model  # noqa: E402

CLIP_STEPS = 256
FIRST_RENDER = 9_000_000
Way = Callable[[Tensor], Tensor]  # audio [2, samples] to audio


@dataclass(frozen=True, slots=True)
class Clips:
    """Whole steps of audio at 44.1 kHz, each `[2, samples]`."""

    real: list[Tensor]
    renders: list[Tensor]


def load_clips(recordings: Path, renders: int) -> Clips:
    """The beginning of every real loop, and the middle of held-out pieces."""
    real = []
    for path in sorted(recordings.glob("loop_*.flac")):
        clip = read_clip(path)
        real.append(_cut(torch.from_numpy(to_model(clip.samples, clip.sample_rate_hz)), 0))
    made = []
    for seed in range(FIRST_RENDER, FIRST_RENDER + renders):
        wave = render_training_piece(compose_training_piece(seed), seed)["mix"]
        middle = max(0, (wave.shape[1] - CLIP_STEPS * STEP_SAMPLES) // 2)
        made.append(_cut(torch.from_numpy(wave), middle))
    return Clips(real, made)


def _cut(audio: Tensor, start: int) -> Tensor:
    audio = audio[:, start : start + CLIP_STEPS * STEP_SAMPLES]
    return torch.nn.functional.pad(audio, (0, -audio.shape[-1] % STEP_SAMPLES)).clone()


def measured(title: str, clips: Clips, way: Way) -> Row:
    """Mean error on both kinds of clips, and what a 6-second clip costs."""
    errors: list[list[float]] = []
    steps, began_s = 0, time.process_time()
    for kind in (clips.real, clips.renders):
        errors.append([])
        for audio in kind:
            decoded = way(audio)
            steps += audio.shape[-1] // STEP_SAMPLES
            pair = (audio.double().numpy(), decoded.double().numpy())
            errors[-1].append(mel_error(*pair, SAMPLE_RATE_HZ))
    spent_s = time.process_time() - began_s
    row = Row(title, fmean(errors[0]), fmean(errors[1]), 1000 * spent_s * CLIP_STEPS / steps)
    print(f"{row.title}: {row.real:.4f} {row.renders:.4f} {row.spent_ms:.0f} ms", flush=True)
    return row


def _frames(sides: Tensor) -> Tensor:
    """Log-mel `[2, steps, 384]` as `[2, 192, frames]` with the frame at the end."""
    frames = sides.reshape(2, -1, MEL_BANDS).transpose(-1, -2)
    return torch.cat([frames, frames[..., -1:]], dim=-1)


def _log_mel(audio: Tensor) -> Tensor:
    """Log10 mel amplitudes of both sides `[2, 192, frames]`."""
    return torch.log10((mel_filter_bank() @ stft(audio).abs()).clamp_min(1e-3))


def _sides_to_audio(codec: SpectralCodec, log_mel: Tensor, samples: int) -> Tensor:
    """The codec's own inverse for mel amplitudes of both sides."""
    mel = 10.0**log_mel
    middle = mel.square().mean(dim=0).sqrt()
    return codec.from_mel(middle, mel / middle, samples)


def inverse_rows(clips: Clips, codec: SpectralCodec) -> list[Row]:
    """What the inverse alone loses."""

    def linear_magnitudes(audio: Tensor) -> Tensor:
        magnitude = stft(audio).abs()
        return griffin_lim(magnitude, linear_phases(magnitude), audio.shape[-1], 48, 0.99)

    def mel_bands(audio: Tensor) -> Tensor:
        return _sides_to_audio(codec, _log_mel(audio), audio.shape[-1])

    return [
        measured("true linear magnitudes, phases estimated", clips, linear_magnitudes),
        measured("true mel bands of both sides, the shipped inverse", clips, mel_bands),
    ]


def shipped_rows(clips: Clips, codec: SpectralCodec) -> list[Row]:
    """The codec as it ships, and as it was."""
    linear = SpectralCodec(codec.basis)
    first = SpectralCodec(
        codec.basis, magnitude_iterations=60, phase_iterations=48, mel_iterations=0
    )
    return [
        measured("first codec: linear, 60 updates, 48 of Griffin-Lim", clips, _through(first)),
        measured("linear, the new inverse", clips, _through(linear)),
        measured("**refined, the new inverse (ships)**", clips, _through(codec)),
    ]


def _through(codec: SpectralCodec) -> Way:
    return lambda audio: codec.decode(codec.encode(audio))


def rival_rows(clips: Clips, codec: SpectralCodec, folder: Path, minutes: float) -> list[Row]:
    """Other latents of the same size, all through the shipped inverse."""
    windows = Windows.load(folder, FIRST_PIECE, 24)
    network, updates = learned(windows, folder / "rival.pt", minutes)

    def way(rival: Rival) -> Way:
        def run(audio: Tensor) -> Tensor:
            pairs = _log_mel(audio)[..., :-1].transpose(-1, -2).reshape(2, -1, 2 * MEL_BANDS)
            again = _frames(rival(pairs[None])[0])
            return _sides_to_audio(codec, again, audio.shape[-1])

        return run

    return [
        measured("components of both sides, one step", clips, way(principal(windows, 1))),
        measured("components of both sides, two steps", clips, way(principal(windows, 2))),
        measured("components of both sides, four steps", clips, way(principal(windows, 4))),
        measured(
            "the same, one step, fitted on what is within 80 dB",
            clips,
            way(principal(windows, 1, -1.0)),
        ),
        measured(f"learned autoencoder, {updates} updates", clips, way(network)),
    ]


def noise_rows(clips: Clips, codec: SpectralCodec) -> list[tuple[float, float, float]]:
    """Deviation of noise on the latent, and the errors of the linear and of the refined decode.

    Of the mel bands themselves, both sides, no audio made; at no noise this is the projection.
    """
    rows = []
    linear = SpectralCodec(codec.basis)
    for deviation in (0.0, 0.2, 0.5, 1.0):
        errors: list[list[float]] = [[], []]
        for number, audio in enumerate(clips.real + clips.renders):
            latent = codec.encode(audio)
            generator = torch.Generator().manual_seed(number)
            latent = latent + deviation * torch.randn(latent.shape, generator=generator)
            truth = _log_mel(audio)[..., :-1].clamp_min(-1.0)
            for one, found in zip((linear, codec), errors, strict=True):
                log_mel, gains = one.log_mel_and_gains(latent)
                sides = (log_mel + torch.log10(gains.clamp_min(1e-4))).clamp_min(-1.0)
                found.append(float((sides - truth).abs().mean()))
        rows.append((deviation, fmean(errors[0]), fmean(errors[1])))
    return rows


def load_codec(trained: Path) -> SpectralCodec:
    """The shipped codec; its refiner from the training folder where the weights have none yet."""
    tensors = load_file(default_weights_path())
    if not any(name.startswith(PREFIX) for name in tensors) and trained.exists():
        tensors |= {n: v for n, v in load_file(trained).items() if n.startswith(PREFIX)}
    basis = CodecBasis.from_mapping(tensors)
    return SpectralCodec(basis, SpectralCodec.from_mapping(tensors).refiner)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    parser.add_argument("--recordings", type=Path, default=Path("/usr/share/sonic-pi/samples"))
    parser.add_argument("--renders", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=8.0, help="of training the autoencoder")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "codec.md")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    codec = load_codec(options.folder / "codec.safetensors")
    clips = load_clips(options.recordings, options.renders)
    if not clips.real:
        parser.error(f"{options.recordings} holds no loops: apt-get install sonic-pi-samples")
    with torch.no_grad():
        shipped = shipped_rows(clips, codec)
        parts = inverse_rows(clips, codec)
        noise = noise_rows(clips, codec)
    rivals = rival_rows(clips, codec, options.folder / "codec", options.minutes)
    counts = (len(clips.real), len(clips.renders))
    options.out.write_text(page(counts, shipped, parts, rivals, noise), encoding="utf-8")


if __name__ == "__main__":
    main()
