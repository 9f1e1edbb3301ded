"""The tempo of a sound, with the octave decided by what music of the kind usually does.

The product's estimator finds the pulse but not always which multiple of it is called the beat: slow
music comes out twice as fast. Here that pulse and its simple multiples are candidates, and a small
network that was trained on another split weighs them by how four novelty curves (three bands of
rising level, and the change of chroma) repeat at multiples of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine.analysis.constant_q import chroma, constant_q
from engine.analysis.spectra import ANALYSIS_RATE_HZ, log_mel, mono_at
from engine.analysis.tempo import estimate_grid
from engine.units import Metre
from evaluation.measures import TEMPO_TOLERANCE, Audio

FACTORS = (1.0, 2.0, 0.5, 1.5, 2 / 3, 3.0, 1 / 3, 4 / 3, 0.75)
_MULTIPLES = (1 / 8, 1 / 4, 1 / 3, 1 / 2, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_HOP, _CHROMA_HOP, _CHROMA_LAG = 256, 1024, 3
_BANDS, _SPLITS = 40, (8, 24)
_USUAL_BPM = 110.0
_HIDDEN, _NETWORKS, _UPDATES = 16, 5, 400
_STRETCHES = (0.94, 1.0, 1.06)

Features = npt.NDArray[np.float64]
Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Novelty:
    """Novelty curves with their rates in hertz, and the pulse that the estimator finds."""

    curves: tuple[tuple[Curve, float], ...]
    pulse_bpm: float
    metre: tuple[int, int]


def novelty(audio: Audio, rate_hz: int, metre: tuple[int, int]) -> Novelty:
    """Analyse `[2, samples]`."""
    mono = mono_at(audio, rate_hz)
    levels = log_mel(mono, ANALYSIS_RATE_HZ, bands=_BANDS, window=1024, hop=_HOP, range_db=60.0)
    rise = np.maximum(0.0, np.diff(levels, axis=0, prepend=levels[:1]))
    bands = [part.mean(axis=1) for part in np.split(rise, _SPLITS, axis=1)]
    pitches = np.sqrt(
        chroma(constant_q(mono, ANALYSIS_RATE_HZ, low_octave=3, octaves=4, hop=_CHROMA_HOP))
    )
    pitches /= np.linalg.norm(pitches, axis=1, keepdims=True) + 1e-3
    change = np.zeros(len(pitches))
    change[_CHROMA_LAG:] = 1.0 - np.sum(pitches[_CHROMA_LAG:] * pitches[:-_CHROMA_LAG], axis=1)
    curves = [(band, ANALYSIS_RATE_HZ / _HOP) for band in bands]
    curves.append((change, ANALYSIS_RATE_HZ / _CHROMA_HOP))
    pulse = estimate_grid(audio, rate_hz, metre=Metre(*metre)).bpm
    return Novelty(tuple(curves), pulse, metre)


def _repetition(curve: Curve, rate_hz: float, bpm: float, multiples: Curve) -> list[Features]:
    """How a curve swings at multiples of a tempo, and how it repeats at their periods."""
    centred = (curve - curve.mean()) * np.hanning(len(curve))
    times = np.arange(len(curve)) / rate_hz
    turns = np.exp(-2j * np.pi * np.outer(multiples * bpm / 60.0, times))
    swing = np.abs(turns @ centred) / (np.abs(centred).sum() + 1e-9)
    own = np.correlate(centred, centred, "full")[len(curve) - 1 :]
    lags = 60.0 / bpm / multiples * rate_hz
    repeats = np.interp(lags, np.arange(len(own)), own / (own[0] + 1e-9), right=0.0)
    return [swing, repeats]


def candidate_features(heard: Novelty, stretch: float = 1.0) -> Features:
    """What speaks for each candidate, `[candidates, features]`; `stretch` plays it faster."""
    beats, unit = heard.metre
    bar_beats = beats * 4.0 / unit
    multiples = np.array([*_MULTIPLES, 1.0 / bar_beats, 2.0 / bar_beats])
    rows = []
    for place, factor in enumerate(FACTORS):
        bpm = heard.pulse_bpm * factor * stretch
        parts = [
            part
            for curve, rate_hz in heard.curves
            for part in _repetition(curve, rate_hz * stretch, bpm, multiples)
        ]
        pace = float(np.log2(bpm / _USUAL_BPM))
        parts.append(np.array([pace, pace**2, pace**3, max(0.0, pace), max(0.0, -pace - 0.5)]))
        parts.append(np.eye(len(FACTORS))[place])
        parts.append(np.array([bar_beats == 4, bar_beats == 3, unit == 8], dtype=float))
        rows.append(np.concatenate(parts))
    return np.array(rows)


class TempoNetwork(nn.Module):
    """Scores of candidates: features `[batch, candidates, features]` to `[batch, candidates]`."""

    mean: Tensor
    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Linear(features, _HIDDEN), nn.Tanh(), nn.Dropout(0.3), nn.Linear(_HIDDEN, 1)
            )
            for _ in range(_NETWORKS)
        )

    def logits(self, features: Tensor) -> Tensor:
        """One opinion each of the five networks, `[5, batch, candidates]`."""
        normal = (features - self.mean) / self.spread
        return torch.stack([member(normal).squeeze(-1) for member in self.members])

    def forward(self, features: Tensor) -> Tensor:
        """Their mean."""
        return self.logits(features).softmax(-1).mean(dim=0)


def right_candidate(pulse_bpm: float, tempo_bpm: float) -> int | None:
    """The candidate that is the true tempo within 2 %, or None where none is."""
    for place, factor in enumerate(FACTORS):
        if abs(pulse_bpm * factor / tempo_bpm - 1.0) <= TEMPO_TOLERANCE:
            return place
    return None


def train_tempo(
    heard: Sequence[Novelty], tempos_bpm: Sequence[float], seed: int = 0
) -> TempoNetwork:
    """Learn to choose among the candidates; sounds of which none is right teach nothing."""
    labels = [right_candidate(n.pulse_bpm, t) for n, t in zip(heard, tempos_bpm, strict=True)]
    known = [(n, k) for n, k in zip(heard, labels, strict=True) if k is not None]
    rows = [candidate_features(n, stretch) for n, _ in known for stretch in _STRETCHES]
    features = torch.from_numpy(np.array(rows)).float()
    wanted = torch.tensor([k for _, k in known for _ in _STRETCHES])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TempoNetwork(features.shape[-1]).train()
        network.mean.copy_(features.mean((0, 1)))
        network.spread.copy_(features.std((0, 1)) + 1e-3)
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
        for _ in range(_UPDATES):
            opinions = network.logits(features)
            loss = sum(nn.functional.cross_entropy(opinion, wanted) for opinion in opinions)
            optimiser.zero_grad()
            torch.as_tensor(loss).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network.eval()


@torch.no_grad()
def chosen_bpm(network: TempoNetwork, heard: Novelty) -> float:
    """The candidate that the network thinks likeliest, in quarter notes a minute."""
    scores = network(torch.from_numpy(candidate_features(heard)).float()[None])[0]
    return heard.pulse_bpm * FACTORS[int(scores.argmax())]


def estimate_tempo_bpm(
    network: TempoNetwork, audio: Audio, rate_hz: int, metre: tuple[int, int]
) -> float:
    """Tempo of `[2, samples]` in quarter notes a minute."""
    return chosen_bpm(network, novelty(audio, rate_hz, metre))
