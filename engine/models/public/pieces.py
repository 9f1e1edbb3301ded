"""Long audio and long latents through a network that sees only so far, piece by piece.

Attention over bands and convolutions reach a fixed number of latent steps to each side. A piece
with that much beside it comes out as it would within the whole, so memory stays bounded and nothing
is blended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from engine.models.studio import Span

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Pieces:
    """How to cut.

    Attributes:
        piece_steps: latent steps to a piece, what lies beside it not counted.
        margin_steps: how far the network sees.
        step_samples: audio samples to a latent step.
    """

    piece_steps: int
    margin_steps: int
    step_samples: int

    def decode(self, run: Run, latent: Tensor, span: Span, on_step: Callable[[], None]) -> Tensor:
        """Steps of `[batch, channels, steps]` to `[batch, 2, steps of the span × step_samples]`."""
        parts = []
        for first, last, start, stop in self._cuts(span, latent.shape[-1]):
            on_step()
            audio = self._run(
                run, latent[..., start:stop], several=last - first < span[1] - span[0]
            )
            parts.append(audio[..., self._samples(first - start, last - start)])
        return torch.cat(parts, dim=-1)

    def _run(self, run: Run, latent: Tensor, *, several: bool) -> Tensor:
        """A piece; of several, each is made again for its gradient, and one at a time is kept."""
        if not (several and torch.is_grad_enabled() and latent.requires_grad):
            return run(latent)
        again: Tensor = checkpoint(run, latent, use_reentrant=False)
        return again

    def encode(self, run: Run, audio: Tensor) -> Tensor:
        """`[batch, 2, steps × step_samples]` to `[batch, channels, steps]`."""
        parts = []
        steps = audio.shape[-1] // self.step_samples
        for first, last, start, stop in self._cuts((0, steps), steps):
            latent = run(audio[..., self._samples(start, stop)])
            parts.append(latent[..., first - start : last - start])
        return torch.cat(parts, dim=-1)

    def _samples(self, start: int, stop: int) -> slice:
        return slice(start * self.step_samples, stop * self.step_samples)

    def _cuts(self, span: Span, steps: int) -> Iterator[tuple[int, int, int, int]]:
        """First and last step of each piece, and of what the network is given."""
        for first in range(*span, self.piece_steps):
            last = min(first + self.piece_steps, span[1])
            yield (
                first,
                last,
                max(0, first - self.margin_steps),
                min(steps, last + self.margin_steps),
            )


def stereo_batch(audio: Tensor, step_samples: int) -> Tensor:
    """`[..., 2, samples]` as `[batch, 2, whole steps]`, silence after its end."""
    flat = audio.reshape(-1, *audio.shape[-2:])
    return torch.nn.functional.pad(flat, (0, -flat.shape[-1] % step_samples))


class PieceCodec(ABC):
    """A waveform autoencoder of diffusers, whatever its length of audio.

    Args:
        pieces: how to cut for it; its `step_samples` are the codec's.
    """

    def __init__(self, network: Any, sample_rate_hz: int, channels: int, pieces: Pieces) -> None:
        self._network = network
        self._pieces = pieces
        self.sample_rate_hz = sample_rate_hz
        self.step_samples = pieces.step_samples
        self.latent_channels = channels

    def encode(self, audio: Tensor) -> Tensor:
        """`[..., 2, samples]` to `[..., channels, steps]`; the last step is filled with silence.

        The audio may be on another device than the network; the latent comes back to it.
        """
        batch = stereo_batch(audio, self.step_samples)
        batch = batch.to(self._network.device, self._network.dtype)
        latent = self._pieces.encode(self._latent, batch).float().to(audio.device)
        return latent.reshape(*audio.shape[:-2], *latent.shape[-2:])

    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
        *,
        change: float = 1.0,
    ) -> Tensor:
        """`[..., channels, steps]` to `[..., 2, samples]`; it needs no guide to find the phase."""
        return self.decode_part(latent, (0, latent.shape[-1]), on_step)

    def decode_part(
        self, latent: Tensor, span: Span, on_step: Callable[[], None] = lambda: None
    ) -> Tensor:
        """The audio of some steps of a latent as `decode` gives it, at the price of those."""
        batch = latent.reshape(-1, *latent.shape[-2:]).to(self._network.dtype)
        audio = self._pieces.decode(self._audio, batch, span, on_step).float()
        return audio.reshape(*latent.shape[:-2], *audio.shape[-2:])

    def _audio(self, latent: Tensor) -> Tensor:
        decoded: Tensor = self._network.decode(latent).sample
        return decoded

    @abstractmethod
    def _latent(self, audio: Tensor) -> Tensor:
        """The same of the same audio, always."""
