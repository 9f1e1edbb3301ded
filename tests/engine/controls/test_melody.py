"""How much of what sounds a tune has to have: closed forms of the loss."""

from __future__ import annotations

import math

import pytest
import torch

from engine.controls import melody
from engine.controls.melody import melody_objective


def _loss(shares: list[float], monkeypatch: pytest.MonkeyPatch) -> float:
    """The loss of one frame in which the pitch classes have these shares, the tune's the first."""
    frame = torch.zeros(1, 12, 1, dtype=torch.float64)
    frame[0, : len(shares), 0] = torch.tensor(shares)
    monkeypatch.setattr(melody, "mel_chroma", lambda log_mel, rate_hz: log_mel)
    tune = torch.zeros(1, 12, 1, dtype=torch.float64)
    tune[0, 0, 0] = 1.0
    return float(melody_objective(lambda latent: latent, tune, 44_100)(frame))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.41, 0.3, 0.29], 0.0),  # enough, and ahead of the others
        ([0.51, 0.49], 0.0),  # half of everything is always the most
        ([0.42, 0.38, 0.2], math.log(1.25 * 0.38 / 0.42)),  # enough, but hardly ahead
        ([0.2, 0.2, 0.2, 0.2, 0.2], math.log(0.4 / 0.2)),
        ([0.1, 0.9], math.log(0.5 / 0.1)),
    ],
)
def test_a_tune_pulls_until_it_has_enough(
    shares: list[float], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _loss(shares, monkeypatch) == pytest.approx(expected, abs=2e-3)
