"""Other latents of the codec's size, 128 values 43 times a second, to compare it with.

All of them keep log10 mel amplitudes of the left and the right channel, are fitted on the windows
of `scripts/train_codec.py`, and hand back the same, so that one inverse makes audio of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from train_codec import HEARD_LOG10, LOG_FLOOR_LOG10, Windows

# Log-mel of both sides `[n, 2, steps, 384]`, in and out.
Rival = Callable[[Tensor], Tensor]
_VALUES = 128
_UNHEARD_WEIGHT = 0.1


def principal(windows: Windows, steps: int, floor_log10: float = LOG_FLOOR_LOG10) -> Rival:
    """Principal components of both sides, `steps` steps together: 128 values for each step.

    The basis is of middle and difference, the same plane turned, so that both weigh as they are.
    """
    frames = _grouped(_turned(windows.bands[::2, 1:].float().clamp_min(floor_log10)), steps)
    rows = frames.reshape(-1, frames.shape[-1])
    mean = rows.mean(dim=0)
    covariance = ((rows - mean).T @ (rows - mean)).double() / len(rows)
    _, vectors = torch.linalg.eigh(covariance)
    kept = vectors[:, -_VALUES * steps :].float()

    def through(sides: Tensor) -> Tensor:
        length = sides.shape[2]
        padded = functional.pad(sides, (0, 0, 0, -length % steps)).clamp_min(floor_log10)
        grouped = _grouped(_turned(padded), steps)
        again = (grouped - mean) @ kept @ kept.T + mean
        return _turned(again.reshape(*again.shape[:1], -1, 2, 384).transpose(1, 2))[:, :, :length]

    return through


def _turned(sides: Tensor) -> Tensor:
    """Left and right `[n, 2, …]` to their sum and difference over √2, and back."""
    return torch.stack([sides[:, 0] + sides[:, 1], sides[:, 0] - sides[:, 1]], dim=1) / 2**0.5


def _grouped(sides: Tensor, steps: int) -> Tensor:
    """`[n, 2, length, 384]` to `[n, length / steps, steps · 768]`; a rest is left out."""
    length = sides.shape[2] // steps
    return sides[:, :, : length * steps].transpose(1, 2).reshape(len(sides), length, -1)


class Autoencoder(nn.Module):
    """A linear way from both sides to 128 values and back, and a non-linear one beside it."""

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        self.into = nn.Conv1d(768, _VALUES, 3, padding=1)
        self.out = nn.Conv1d(_VALUES, 768, 3, padding=1)
        self.encoder = nn.Sequential(
            nn.Conv1d(768, hidden, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(hidden, hidden, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(hidden, _VALUES, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(_VALUES, hidden, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(hidden, hidden, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(hidden, 768, 1),
        )

    @torch.no_grad()
    def start_from_components(self, windows: Windows) -> None:
        """Principal components of single steps, so that training can only gain."""
        rows = windows.bands[::2, 1:].float().transpose(1, 2).reshape(-1, 768)
        mean = rows.mean(dim=0)
        covariance = ((rows - mean).T @ (rows - mean)).double() / len(rows)
        values, vectors = torch.linalg.eigh(covariance)
        kept = vectors[:, -_VALUES:].float()
        scale = values[-_VALUES:].float().sqrt()
        for layer in (self.into, self.out, self.encoder[-1], self.decoder[-1]):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        assert self.into.bias is not None
        assert self.out.bias is not None
        self.into.weight[:, :, 1] = (kept / scale).T
        self.into.bias.copy_(-(mean @ kept) / scale)
        self.out.weight[:, :, 1] = kept * scale
        self.out.bias.copy_(mean)

    def forward(self, sides: Tensor) -> Tensor:
        """Both sides `[n, 2, steps, 384]` as they come back."""
        x = sides.transpose(1, 2).flatten(2).transpose(1, 2)
        latent = self.into(x) + self.encoder(x / 3)
        again: Tensor = self.out(latent) + self.decoder(latent)
        return again.transpose(1, 2).reshape(len(sides), -1, 2, 384).transpose(1, 2)


def learned(windows: Windows, path: Path, minutes: float) -> tuple[Rival, int]:
    """The autoencoder, trained for so long unless `path` holds it, and how many updates it had."""
    torch.manual_seed(0)
    network = Autoencoder()
    if path.exists():
        state = torch.load(path, weights_only=True)
        updates = int(state.pop("updates"))
        network.load_state_dict(state)
    else:
        network.start_from_components(windows)
        updates = _train(network, windows, minutes)
        torch.save({**network.state_dict(), "updates": torch.tensor(updates)}, path)
    network.requires_grad_(False)
    return network, updates


def _train(network: Autoencoder, windows: Windows, minutes: float) -> int:
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-4, weight_decay=0.01)
    started_s, spent = time.perf_counter(), 0.0
    update = 0
    while spent < 1.0:
        generator = torch.Generator().manual_seed(update)
        rows = torch.randint(len(windows.pan), (16,), generator=generator)
        truth = windows.bands[rows, 1:].float()
        shift = torch.empty(16, 1, 1, 1).uniform_(-0.5, 0.4, generator=generator)
        truth = (truth + shift).clamp_min(LOG_FLOOR_LOG10)
        if torch.rand(1, generator=generator) < 0.2:
            truth = truth[:, :1].expand_as(truth)
        found = network(truth)
        heard = (found.clamp_min(HEARD_LOG10) - truth.clamp_min(HEARD_LOG10)).abs().mean()
        loss = heard + _UNHEARD_WEIGHT * (found - truth).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rate = 3e-4 * min(1.0, (update + 1) / 100, (1.0 - spent) / 0.4)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        update += 1
        spent = (time.perf_counter() - started_s) / (60 * minutes)
        if update % 100 == 0:
            print(f"autoencoder: {update} updates, loss {float(loss.detach()):.4f}", flush=True)
    return update
