"""Train the embedded flow model on the shards of `scripts/train_shards.py`; resumable.

A constant rate with a linear decay over the last part of the run (warm-up, stable, decay), so that
a later run goes on from the stable checkpoint as if nothing had ended: `stable.pt` is what to
resume, `house.safetensors` the exponential average of the finished run, ready to ship.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _muon import Muon
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from train_flow_map import Teacher, autocast
from training_windows import Batch, ShardWindows

from engine.models.house.codec import PAN_BANDS, CodecBasis, SpectralCodec
from engine.models.house.model import (
    FORMAT,
    LEVEL_SHIFT,
    default_weights_path,
    grown,
    network_state,
)
from engine.models.house.network import HouseNetwork, NetworkShape
from engine.sketch.score import MODES
from engine.sketch.styles import MOODS, STYLES

KEPT_WEIGHT = 0.15  # loss on frames the model was given, against 1 on those it must make up
WARM_UP_UPDATES = 50
TABLES = ("style", "key", "roles", "mood", "programs")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one update is made of.

    Attributes:
        batch: windows.
        map_share: part of them that learns whole steps of the flow.
        average: decay of the exponential average, by update.
        channel_weights: how much each channel's error counts `[128]`.
    """

    batch: int
    map_share: float
    average: float
    channel_weights: Tensor


@dataclass
class Run:
    """Everything that a checkpoint holds."""

    network: HouseNetwork
    average: HouseNetwork
    optimisers: tuple[torch.optim.Optimizer, ...]
    update: int = 0
    windows: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write atomically."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "counts": [self.update, self.windows, self.seconds],
        }
        torch.save(state, path.with_suffix(".partial"))
        path.with_suffix(".partial").rename(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location="cpu")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        self.update, self.windows, self.seconds = state["counts"]

    def start_from(self, path: Path) -> None:
        """Begin with finished weights, which may know fewer conditions than this network."""
        with safe_open(path, "pt") as file:
            trained = json.loads((file.metadata() or {})["training"])
        state = grown(network_state(load_file(path)), self.network)
        self.network.load_state_dict(state)
        self.average.load_state_dict(state)
        self.windows, self.seconds = trained["windows"], 60.0 * trained["minutes"]


def make_run(shape: NetworkShape, rate: float, device: str) -> Run:
    """Muon on the blocks' matrices, AdamW on everything else, fast on the conditions.

    A row of a table gets a gradient only where its condition is told, and begins far smaller than
    what it is added to; at the rate of the matrices it would hardly move.
    """
    torch.manual_seed(0)
    network = HouseNetwork(shape).to(device)
    matrices: list[nn.Parameter] = []
    rates: dict[float, list[nn.Parameter]] = {0.5: [], 1.0: [], 10.0: []}
    for name, parameter in network.named_parameters():
        if name.startswith("blocks") and parameter.ndim == 2 and "modulation" not in name:
            matrices.append(parameter)
        elif name.startswith(TABLES):
            rates[10.0].append(parameter)
        else:
            rates[1.0 if name.startswith(("inward", "span")) else 0.5].append(parameter)
    muon = Muon(matrices, lr=rate, weight_decay=0.05)
    groups: list[dict[str, Any]] = [
        {"params": some, "lr": rate * factor} for factor, some in rates.items()
    ]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    return Run(network, copy.deepcopy(network), (muon, adam))


def flow_loss(
    network: nn.Module,
    batch: Batch,
    time_: Tensor,
    noise: Tensor,
    teacher: Teacher | None = None,
    channel_weights: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the velocity, frames that are given weighing less.

    With a teacher, the last rows of the batch learn to make steps of the flow in one evaluation,
    at levels of its own.

    Args:
        channel_weights: how much each channel's error counts `[128]`; None: all alike.
    """
    span = torch.zeros_like(time_)
    if teacher is not None:
        rows = slice(-teacher.rows, None)
        levels, spans = teacher.steps()
        time_ = torch.cat([time_[: -teacher.rows], levels])
        span = torch.cat([span[: -teacher.rows], spans])
    t = time_[:, None, None]
    x = (1 - t) * batch.latent + t * noise
    target = noise - batch.latent
    if teacher is not None:
        mean = teacher.mean_velocity(batch, rows, x[rows], time_[rows], span[rows])
        target = torch.cat([target[: -teacher.rows], mean])
    with autocast(x.device.type):
        velocity = network(x, time_, span, batch.frames, batch.conditions)
    error = (velocity.float() - target).square()
    if channel_weights is not None:
        error = error * channel_weights[:, None]
    error = error.mean(dim=1, keepdim=True)
    weight = torch.where(batch.kept_mask > 0, KEPT_WEIGHT, 1.0)
    loss: Tensor = (error * weight).sum() / weight.sum()
    return loss


def channel_weights(basis: CodecBasis) -> Tensor:
    """Weights `[128]` of mean 1 that fall with what a channel does to the sound.

    The first components carry the music, the last its grain, which hardly anything predicts: left
    alike, the grain takes most of the network. Whatever the weights, the same velocity is best.
    """
    spectral = basis.scale / basis.scale.mean()
    return torch.cat([spectral, spectral.new_full((PAN_BANDS,), 1.0)])


def sample_times(size: int, generator: torch.Generator) -> Tensor:
    """Logit-normal times, shifted as rendering's levels are, with a uniform part for the ends.

    Esser et al. 2024, sections 3.1 and 5.3.
    """
    device = generator.device
    normal = torch.sigmoid(
        math.log(LEVEL_SHIFT) + torch.randn(size, generator=generator, device=device)
    )
    uniform = torch.rand(size, generator=generator, device=device)
    mixed = torch.rand(size, generator=generator, device=device) < 0.3
    return torch.where(mixed, uniform, normal)


@torch.no_grad()
def held_out_loss(network: nn.Module, windows: ShardWindows, batches: int = 4) -> float:
    """Loss on held-out pieces with fixed noise and times."""
    device = windows.device
    generator = torch.Generator(device).manual_seed(99)
    total = 0.0
    for _ in range(batches):
        batch = windows.batch(16, generator)
        times = (torch.arange(16, device=device) + 0.5) / 16
        noise = torch.randn(batch.latent.shape, generator=generator, device=device)
        total += float(flow_loss(network, batch, times, noise)) / batches
    return total


def rate_factor(update: int, elapsed_s: float, total_s: float, decay_part: float) -> float:
    """Warm-up by updates, decay by time."""
    remaining = max(0.0, (total_s - elapsed_s) / (total_s * decay_part))
    return min(1.0, (update + 1) / WARM_UP_UPDATES, remaining)


def train(options: argparse.Namespace) -> None:
    """The loop: one batch, one update, an average; a checkpoint every few minutes."""
    folder: Path = options.folder
    basis = CodecBasis.from_mapping(load_file(folder / "shards" / "basis.safetensors"))
    shape = NetworkShape()
    moved = basis.to(options.device)
    windows = ShardWindows(folder / "shards", SpectralCodec(moved), shape, options.device)
    held_out = ShardWindows(folder / "held_out", SpectralCodec(moved), shape, options.device)
    run = make_run(shape, options.rate, options.device)
    # Taken before loading: a checkpoint holds the rate as it was scaled at that moment.
    rates = [[group["lr"] for group in o.param_groups] for o in run.optimisers]
    if (folder / "stable.pt").exists():
        run.load(folder / "stable.pt")
    elif not options.from_scratch:
        run.start_from(options.start or default_weights_path())
    network: nn.Module = run.network
    if options.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    generator = torch.Generator(options.device).manual_seed(1000 + run.update)
    weights = channel_weights(moved).to(options.device)
    recipe = Recipe(options.batch, options.map_share, options.average, weights)
    started = checkpointed = time.perf_counter()
    base_s, losses, decaying = run.seconds, [], False
    while (elapsed := time.perf_counter() - started) < options.minutes * 60:
        factor = rate_factor(run.update, elapsed, options.minutes * 60, options.decay)
        if factor < 1.0 and run.update > WARM_UP_UPDATES and not decaying:
            decaying = True
            run.save(folder / "stable.pt")
        for optimiser, values in zip(run.optimisers, rates, strict=True):
            for group, value in zip(optimiser.param_groups, values, strict=True):
                group["lr"] = value * factor
        losses.append(one_update(run, network, windows, generator, recipe))
        run.seconds = base_s + time.perf_counter() - started
        if time.perf_counter() - checkpointed > options.checkpoint_minutes * 60:
            checkpointed = time.perf_counter()
            log(folder, run, losses, held_out, windows)
            losses.clear()
            run.save(folder / ("decay.pt" if decaying else "stable.pt"))
            export(run, codec_tensors(folder), folder / "latest.safetensors")
            windows.rescan()
    log(folder, run, losses, held_out, windows)
    export(run, codec_tensors(folder), folder / "house.safetensors")


def one_update(
    run: Run,
    network: nn.Module,
    windows: ShardWindows,
    generator: torch.Generator,
    recipe: Recipe,
) -> float:
    """One step of the optimisers and of the average."""
    batch = windows.batch(recipe.batch, generator)
    times = sample_times(recipe.batch, generator)
    noise = torch.randn(batch.latent.shape, generator=generator, device=generator.device)
    map_rows = round(recipe.batch * recipe.map_share)
    teacher = Teacher(run.average, map_rows, generator) if map_rows else None
    loss = flow_loss(network, batch, times, noise, teacher, recipe.channel_weights)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    for optimiser in run.optimisers:
        optimiser.step()
        # The rate of a matrix update is set by its shape, so the gradient's scale is free.
        optimiser.zero_grad(set_to_none=True)
    run.update += 1
    run.windows += recipe.batch
    decay = min(recipe.average, run.update / (run.update + 20))
    with torch.no_grad():
        pairs = zip(run.average.parameters(), run.network.parameters(), strict=True)
        for mean, value in pairs:
            mean.lerp_(value, 1 - decay)
    return float(loss.detach())


def log(
    folder: Path, run: Run, losses: list[float], held_out: ShardWindows, windows: ShardWindows
) -> None:
    """Append a line of figures."""
    row = {
        "update": run.update,
        "windows": run.windows,
        "minutes": round(run.seconds / 60, 2),
        "loss": sum(losses) / len(losses) if losses else None,
        "held_out": held_out_loss(run.average, held_out),
        "hours_of_music": round(windows.hours(), 2),
    }
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(row, flush=True)


def codec_tensors(folder: Path) -> dict[str, Tensor]:
    """The codec of this training folder: with the refiner that `train_codec.py` trained in it, or
    the one that ships where that is for the same principal components.

    Raises:
        SystemExit: the folder's refiner was trained for other principal components.
    """
    basis = load_file(folder / "shards" / "basis.safetensors")

    def fits(codec: dict[str, Tensor]) -> bool:
        return all(torch.equal(codec[name], value) for name, value in basis.items())

    trained = folder / "codec.safetensors"
    if trained.exists():
        if fits(codec := load_file(trained)):
            return codec
        raise SystemExit(f"{trained} was trained for another basis: remove it or train it anew")
    weights = load_file(default_weights_path())
    shipped = {name: value for name, value in weights.items() if name.startswith("codec.")}
    return shipped if fits(shipped) else basis


def export(run: Run, codec: dict[str, Tensor], path: Path) -> None:
    """The averaged network in 16 bits with its shape, its words and the codec."""
    state = run.average.state_dict()
    tensors = {f"network.{name}": value.half().cpu() for name, value in state.items()}
    tensors |= codec
    metadata = {
        "format": FORMAT,
        "shape": json.dumps(run.network.shape.to_mapping()),
        "training": json.dumps({"windows": run.windows, "minutes": round(run.seconds / 60)}),
        "vocabulary": json.dumps(
            {"styles": sorted(STYLES), "moods": list(MOODS), "modes": list(MODES)}
        ),
    }
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
    partial.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--decay", type=float, default=0.2, help="part of the run that decays")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--average", type=float, default=0.995, help="decay of the average")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--start", type=Path, help="weights to go on from, else those that ship")
    parser.add_argument(
        "--from-scratch", action="store_true", help="do not go on from the weights that ship"
    )
    parser.add_argument(
        "--map-share", type=float, default=0.25, help="part of a batch that learns whole steps"
    )
    parser.add_argument("--checkpoint-minutes", type=float, default=5.0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
