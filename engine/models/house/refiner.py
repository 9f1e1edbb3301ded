"""The learned part of the codec's decoder: what the linear back-projection lost.

Two parts predict, for every mel band and frame, a correction of the spectrum (decades) and one of
the left-right balance from a few neighbouring steps: a linear one, the least-squares estimate of
the discarded components (frames overlap by three quarters, so neighbouring steps tell of each
other), and a small convolutional network on top. Both see three steps either side at most, so
pieces of a long latent decode as the whole does. Three properties are built in:

- both corrections are bounded, so a latent unlike any music cannot blow up;
- the correction of the spectrum is even and the one of the balance odd in the pan channels: sides
  swapped in the latent are sides swapped in the audio, and a latent without pan decodes to two
  equal channels;
- the last layers start at zero, so an untrained refiner is the linear decode.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

PREFIX = "codec.refiner."
REACH_STEPS = 3  # the receptive field either side
SPECTRUM_LIMIT_DECADES = 0.5
BALANCE_LIMIT_NEPERS = 1.5
LINEAR_REACH_STEPS = 2
_LINEAR_TAPS = 2 * LINEAR_REACH_STEPS + 1
_HIDDEN = 256
_SIDE = 128


class Refiner(nn.Module):
    """Latent to corrections; see the module's text.

    Args:
        spectral: spectral channels of the latent.
        pan: pan channels of the latent, which follow the spectral ones.
        outputs: values of a step, mel bands times frames.
    """

    def __init__(
        self,
        spectral: int,
        pan: int,
        outputs: int,
        hidden: int = _HIDDEN,
        side: int = _SIDE,
    ) -> None:
        super().__init__()
        self.spectral = spectral
        self.linear = nn.Conv1d(spectral, outputs, _LINEAR_TAPS)
        self.linear_balance = nn.Conv1d(pan, outputs, _LINEAR_TAPS, bias=False)
        self.first = nn.Conv1d(spectral + pan, hidden, 5)
        self.second = nn.Conv1d(hidden, hidden, 3)
        self.spectrum = nn.Conv1d(hidden, outputs, 1)
        self.pan = nn.Conv1d(pan, side, 5, bias=False)
        self.gate = nn.Conv1d(hidden, side, 1)
        self.balance = nn.Conv1d(side, outputs, 1, bias=False)
        for last in (self.linear, self.linear_balance, self.spectrum, self.balance):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    @classmethod
    def from_mapping(cls, tensors: Mapping[str, Tensor]) -> Refiner | None:
        """The refiner of a weights file, of whatever width; `None` where it has none."""
        state = {
            name.removeprefix(PREFIX): value.float()
            for name, value in tensors.items()
            if name.startswith(PREFIX)
        }
        if not state:
            return None
        hidden, both = state["first.weight"].shape[:2]
        side, pan = state["pan.weight"].shape[:2]
        refiner = cls(both - pan, pan, state["spectrum.weight"].shape[0], hidden, side)
        refiner.load_state_dict(state)
        refiner.requires_grad_(False).eval()
        return refiner

    def to_mapping(self) -> dict[str, Tensor]:
        """Names as in the weights file, 16 bits."""
        return {PREFIX + name: value.half().cpu() for name, value in self.state_dict().items()}

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Corrections of a latent `[..., channels, steps]`, computed in the latent's precision.

        Returns:
            spectrum `[..., outputs, steps]` in decades of amplitude, and balance, of that shape:
            half the natural logarithm of left over right energy, to be added.
        """
        flat = latent.reshape(-1, *latent.shape[-2:])
        spectral, pan = flat[:, : self.spectral], flat[:, self.spectral :]
        hidden = _convolve(self.first, torch.cat([spectral, pan.square()], dim=1), 2)
        hidden = functional.gelu(hidden)
        hidden = hidden + functional.gelu(_convolve(self.second, hidden, 1))
        spectrum = _convolve(self.linear, spectral, LINEAR_REACH_STEPS)
        spectrum = spectrum + _convolve(self.spectrum, hidden, 0)
        side = _convolve(self.pan, pan, 2) * _convolve(self.gate, hidden, 0)
        balance = _convolve(self.linear_balance, pan, LINEAR_REACH_STEPS)
        balance = balance + _convolve(self.balance, side, 0)
        shape = (*latent.shape[:-2], -1, latent.shape[-1])
        return (
            _bounded(spectrum, SPECTRUM_LIMIT_DECADES).reshape(shape),
            _bounded(balance, BALANCE_LIMIT_NEPERS).reshape(shape),
        )


def _convolve(layer: nn.Conv1d, x: Tensor, reach: int) -> Tensor:
    """The layer over the steps, its edges continued, in the precision of `x`."""
    if reach:
        x = functional.pad(x, (reach, reach), mode="replicate")
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return functional.conv1d(x, layer.weight.to(x.dtype), bias)


def _bounded(value: Tensor, limit: float) -> Tensor:
    """`value` near zero, never beyond `limit` either side."""
    return limit * torch.tanh(value / limit)
