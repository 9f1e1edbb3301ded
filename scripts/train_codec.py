"""Train the codec's refiner on rendered pieces; resumable, on any device.

    python scripts/train_codec.py --minutes 15

Renders windows of training pieces into `.training/codec/` where they are not there yet, learns what
the linear decode loses, and writes the codec's tensors, basis and refiner, to
`.training/codec.safetensors`. The latent stays as it is: only its decoding learns.

The loss is the mean absolute error of log10 mel amplitudes of the left, the right and the middle
channel. Level, tone and sides are moved at random, and half of the latents get noise, because a
flow model's latents are never quite right.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from training_pieces import compose_training_piece, render_training_piece

from engine.models.house.codec import (
    FRAMES_PER_STEP,
    LOG_FLOOR,
    MEL_BANDS,
    PAN_BANDS,
    SPECTRAL_CHANNELS,
    STEP_SAMPLES,
    CodecBasis,
    SpectralCodec,
    log_mel_and_pan,
    mel_filter_bank,
    stft,
)
from engine.models.house.model import default_weights_path
from engine.models.house.refiner import LINEAR_REACH_STEPS, REACH_STEPS, Refiner

WINDOW_STEPS = 64
WINDOWS_OF_A_PIECE = 6
PIECES_OF_A_SHARD = 20
FIRST_PIECE = 700_000
FIRST_HELD_OUT_PIECE = 900_000
# Bands below this amplitude are 80 dB below a full-scale sine; they count little.
HEARD_LOG10 = -1.0
_UNHEARD_WEIGHT = 0.1
_NOISE_DEVIATION = 0.3
_DECAY_PART = 0.4
_LINEAR_SHARE = 0.02  # of the rate: its closed form is nearly right


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of music as the codec hears it.

    Attributes:
        bands: log10 mel amplitudes of middle, left and right `[n, 3, steps, 384]`, float16.
        pan: as from `log_mel_and_pan` `[n, steps, 16]`, float16.
    """

    bands: Tensor
    pan: Tensor

    @classmethod
    def of_piece(cls, seed: int) -> Windows:
        """Windows spread evenly over a training piece."""
        wave = render_training_piece(compose_training_piece(seed), seed)["mix"]
        audio = torch.from_numpy(wave)
        span = (WINDOW_STEPS + 2) * STEP_SAMPLES
        last = max(0, audio.shape[-1] - span)
        starts = [last * k // (WINDOWS_OF_A_PIECE - 1) for k in range(WINDOWS_OF_A_PIECE)]
        cut = [audio[:, start : start + span] for start in starts]
        cut = [torch.nn.functional.pad(part, (0, span - part.shape[-1])) for part in cut]
        return cls(*spectra(torch.stack(cut)))

    @classmethod
    def load(cls, folder: Path, first_piece: int, shards: int) -> Windows:
        """Shards from the folder, rendered where they are missing."""
        parts = []
        for number in range(shards):
            path = folder / f"windows-{first_piece + number * PIECES_OF_A_SHARD}.safetensors"
            if not path.exists():
                seeds = range(PIECES_OF_A_SHARD)
                base = first_piece + number * PIECES_OF_A_SHARD
                made = [cls.of_piece(base + seed) for seed in seeds]
                tensors = {
                    "bands": torch.cat([windows.bands for windows in made]),
                    "pan": torch.cat([windows.pan for windows in made]),
                }
                save_file(tensors, path.with_suffix(".partial"))
                path.with_suffix(".partial").rename(path)
                print(f"rendered {path.name}", flush=True)
            parts.append(load_file(path))
        return cls(*(torch.cat([part[name] for part in parts]) for name in ("bands", "pan")))


def spectra(audio: Tensor) -> tuple[Tensor, Tensor]:
    """`Windows`' tensors of `[n, 2, samples]`, without the first and the last step."""
    audio = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % STEP_SAMPLES))
    middle, pan = log_mel_and_pan(audio)
    sides = torch.log10((mel_filter_bank() @ stft(audio).abs()).clamp_min(LOG_FLOOR))
    frames = middle.shape[1] * FRAMES_PER_STEP
    pairs = sides[..., :frames].transpose(-1, -2).reshape(len(audio), 2, middle.shape[1], -1)
    bands = torch.cat([middle[:, None], pairs], dim=1)
    return bands[:, :, 1:-1].half(), pan[:, 1:-1].half()


def augmented(bands: Tensor, pan: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Level, tone and sides moved at random; float32."""
    size = bands.shape[0]
    position = torch.linspace(-1.0, 1.0, MEL_BANDS)

    def up_to(limit_db: float) -> Tensor:
        return torch.empty(size, 1).uniform_(-limit_db, limit_db, generator=generator)

    shift_db = up_to(10.0) - 2.0 + up_to(8.0) * position + up_to(6.0) * (position**2 - 0.33)
    shift = (shift_db / 20).repeat(1, FRAMES_PER_STEP)[:, None, None].to(bands.device)
    bands, pan = narrowed(bands.float(), pan.float(), generator)
    bands = (bands + shift).clamp_min(LOG_FLOOR_LOG10)
    swapped = torch.rand(size, generator=generator).to(bands.device) < 0.5
    bands = torch.where(swapped[:, None, None, None], bands[:, [0, 2, 1]], bands)
    return bands, torch.where(swapped[:, None, None], -pan, pan)


def narrowed(bands: Tensor, pan: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some windows with both sides' energies mixed into each other, a fifth of all to one."""
    size = bands.shape[0]
    chance = torch.rand(size, generator=generator)
    share = 0.5 * torch.rand(size, generator=generator)
    share = torch.where(chance < 0.2, 0.5, torch.where(chance < 0.4, share, 0.0)).to(bands.device)
    mixing = share[:, None, None, None]
    energy = 10.0 ** (2 * bands[:, 1:])
    mixed = 0.5 * torch.log10((1 - mixing) * energy + mixing * energy.flip(1))
    one = (share == 0.5)[:, None, None, None]
    sides = torch.where(one, bands[:, :1], mixed)
    sides = torch.where(mixing == 0.0, bands[:, 1:], sides)
    return torch.cat([bands[:, :1], sides], dim=1), pan * (1 - 2 * share)[:, None, None]


@torch.no_grad()
def fit_linear(refiner: Refiner, codec: SpectralCodec, windows: Windows) -> None:
    """The least-squares estimate of what the projection discards, in closed form (one pass).

    The ridge is the variance of the noise that the estimate must bear.
    """
    size = SPECTRAL_CHANNELS * (2 * LINEAR_REACH_STEPS + 1) + 1
    outputs = MEL_BANDS * FRAMES_PER_STEP
    gram = torch.zeros(size, size, dtype=torch.float64)
    right = torch.zeros(size, outputs, dtype=torch.float64)
    linear = SpectralCodec(codec.basis)
    for first in range(0, len(windows.pan), 40):
        generator = torch.Generator().manual_seed(first)
        part = slice(first, first + 40)
        bands, pan = augmented(windows.bands[part], windows.pan[part], generator)
        device = codec.basis.mean.device
        bands = bands[:, 0].to(device)
        latent = codec.project(bands, pan.to(device))
        near = latent[:, :SPECTRAL_CHANNELS].unfold(-1, 2 * LINEAR_REACH_STEPS + 1, 1)
        near = near.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        near = torch.cat([near, torch.ones_like(near[:, :1])], dim=1)
        found = linear.log_mel(latent).transpose(-1, -2).reshape(bands.shape)
        missing = (bands - found)[:, LINEAR_REACH_STEPS:-LINEAR_REACH_STEPS].flatten(0, 1)
        gram += (near.T @ near).cpu()
        right += (near.T @ missing).cpu()
    ridge = _NOISE_DEVIATION**2 / 2 * float(gram[-1, -1])
    weights = torch.linalg.solve(gram + ridge * torch.eye(size, dtype=torch.float64), right).float()
    weights = weights.T.to(refiner.linear.weight.device)
    refiner.linear.weight.copy_(weights[:, :-1].reshape(refiner.linear.weight.shape))
    assert refiner.linear.bias is not None
    refiner.linear.bias.copy_(weights[:, -1])


LOG_FLOOR_LOG10 = -3.0


def loss_of(codec: SpectralCodec, latent: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
    """(training loss, error of what is heard left and right in decades) of `[n, 128, steps]`."""
    middle, gains = codec.log_mel_and_gains(latent)
    sides = middle[:, None] + torch.log10(gains.clamp_min(1e-4))
    found = torch.cat([middle[:, None], sides], dim=1)
    truth = bands.reshape(*bands.shape[:2], -1, MEL_BANDS).transpose(-1, -2)
    inner = slice(REACH_STEPS * FRAMES_PER_STEP, -REACH_STEPS * FRAMES_PER_STEP)
    found, truth = found[..., inner], truth[..., inner]
    heard = (found.clamp_min(HEARD_LOG10) - truth.clamp_min(HEARD_LOG10)).abs()
    all_of_it = (found.clamp_min(LOG_FLOOR_LOG10) - truth).abs()
    return heard.mean() + _UNHEARD_WEIGHT * all_of_it.mean(), heard[:, 1:].mean().detach()


@torch.no_grad()
def figures(
    codec: SpectralCodec, windows: Windows, device: torch.device, noise: float
) -> dict[str, float]:
    """Errors in decades on whole windows, of the refined and of the linear decode."""
    generator = torch.Generator().manual_seed(1)
    linear = SpectralCodec(codec.basis)
    errors: dict[str, list[float]] = {"refined": [], "linear": []}
    for first in range(0, len(windows.pan), 20):
        bands = windows.bands[first : first + 20].float().to(device)
        latent = codec.project(bands[:, 0], windows.pan[first : first + 20].float().to(device))
        latent = latent + noise * torch.randn(latent.shape, generator=generator).to(device)
        for name, one in (("refined", codec), ("linear", linear)):
            errors[name].append(float(loss_of(one, latent, bands)[1]))
    return {name: sum(values) / len(values) for name, values in errors.items()}


@dataclass
class Run:
    """Everything that a checkpoint holds."""

    refiner: Refiner
    optimiser: torch.optim.Optimizer
    update: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write atomically."""
        state = {
            "refiner": self.refiner.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counts": [self.update, self.seconds],
        }
        torch.save(state, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.refiner.load_state_dict(state["refiner"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.update, self.seconds = state["counts"]


def make_run(device: torch.device) -> Run:
    """A refiner that changes nothing yet, with its optimiser."""
    torch.manual_seed(0)
    refiner = Refiner(SPECTRAL_CHANNELS, PAN_BANDS, MEL_BANDS * FRAMES_PER_STEP).to(device)
    linear = list(refiner.linear.parameters())
    others = [value for name, value in refiner.named_parameters() if "linear." not in name]
    groups = [{"params": linear, "share": _LINEAR_SHARE}, {"params": others, "share": 1.0}]
    return Run(refiner, torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01))


def update(
    run: Run, codec: SpectralCodec, windows: Windows, batch: int, rate: float, device: torch.device
) -> float:
    """One step of the optimiser; returns the loss."""
    generator = torch.Generator().manual_seed(run.update)
    rows = torch.randint(len(windows.pan), (batch,), generator=generator)
    bands, pan = windows.bands[rows].to(device), windows.pan[rows].to(device)
    bands, pan = augmented(bands, pan, generator)
    latent = codec.project(bands[:, 0], pan)
    deviation = torch.rand(batch, 1, 1, generator=generator) - 0.5
    deviation = (2 * _NOISE_DEVIATION * deviation).clamp_min(0.0)
    noise = torch.randn(latent.shape, generator=generator) * deviation
    loss, _ = loss_of(codec, latent + noise.to(device), bands)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.refiner.parameters(), 1.0)
    for group in run.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    run.optimiser.step()
    run.update += 1
    return float(loss.detach())


def train(options: argparse.Namespace) -> None:
    """Go on until the run has had its minutes; the checkpoint kept for more is undecayed."""
    device = torch.device(options.device)
    folder: Path = options.folder / "codec"
    folder.mkdir(parents=True, exist_ok=True)
    held_out = Windows.load(folder, FIRST_HELD_OUT_PIECE, 2)
    windows = Windows.load(folder, FIRST_PIECE, options.shards)
    basis = CodecBasis.from_mapping(load_file(options.basis or default_weights_path()))
    run = make_run(device)
    stable = folder / "run.pt"
    if stable.exists():
        run.load(stable)
    codec = SpectralCodec(basis.to(device), run.refiner)
    if run.update == 0:
        fit_linear(run.refiner, codec, windows)
        print(json.dumps(figures(codec, held_out, device, 0.0)), flush=True)
    until = run.seconds + 60 * options.minutes
    decay_from = run.seconds + 60 * options.minutes * (1 - _DECAY_PART)
    saved, losses, started = False, [0.0], time.perf_counter() - run.seconds
    while run.seconds < until:
        run.seconds = time.perf_counter() - started
        left = min(1.0, max(0.0, until - run.seconds) / max(1e-9, until - decay_from))
        if left < 1.0 and not saved:
            run.save(stable)
            saved = True
        rate = options.rate * left * min(1.0, (run.update + 1) / 200)
        losses.append(update(run, codec, windows, options.batch, rate, device))
        if run.update % 250 == 0:
            row: dict[str, object] = {"update": run.update, "minutes": round(run.seconds / 60, 2)}
            row["loss"] = round(sum(losses[-250:]) / 250, 5)
            row["clean"] = figures(codec, held_out, device, 0.0)
            row["noisy"] = figures(codec, held_out, device, _NOISE_DEVIATION)
            print(json.dumps(row), flush=True)
            export(codec, options.folder / "codec.safetensors")
    export(codec, options.folder / "codec.safetensors")


def export(codec: SpectralCodec, path: Path) -> None:
    """The codec's tensors, ready to be merged into the weights file."""
    save_file(codec.to_mapping(), path.with_suffix(".partial"))
    path.with_suffix(".partial").rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    parser.add_argument("--basis", type=Path, default=None, help="default: the shipped weights")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--shards", type=int, default=24, help="of 20 pieces each")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options)


if __name__ == "__main__":
    main()
