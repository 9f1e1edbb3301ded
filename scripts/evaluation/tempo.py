"""The tempo of a sound, with the octave decided by what music of the kind usually does.

Onsets repeat at many tempos, and which of them is the beat is told by what falls where: a kick on
one, a snare on two. So the tempos at which the onsets of eight bands repeat best are candidates,
the sound is folded at each of them (onto a beat, two beats, a bar and two bars), and a circular
convolutional network that was trained on another split weighs the folded patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import find_peaks
from torch import Tensor, nn
from torch.nn.functional import gelu

from engine.analysis.spectra import ANALYSIS_RATE_HZ, log_mel, mono_at
from engine.units import Metre
from evaluation.measures import TEMPO_TOLERANCE, Audio

LOW_BPM, HIGH_BPM = 45.0, 240.0
CANDIDATES = 30  # at most
_GRID_BPM = np.exp(np.arange(np.log(LOW_BPM), np.log(HIGH_BPM), 0.004))
_SAME = 0.01  # candidates nearer than this are one
_FACTORS = (2.0, 0.5, 1.5, 2 / 3, 3.0, 1 / 3, 4 / 3, 0.75)  # of the two strongest
_HOP, _MEL_BANDS, _BANDS = 128, 40, 8
_RATE_HZ = ANALYSIS_RATE_HZ / _HOP
_FRAMES_TOGETHER = 2  # a rise is over so many frames, 12 ms
PLACES = 48  # that a folded pattern has, twelve to the beat of four
_SPANS = 4  # one beat, two beats, a bar, two bars
CHANNELS = 2 * _BANDS * _SPANS  # rise and level of every band, at every span
METRES = ((4, 4), (3, 4), (6, 8), (7, 8), (5, 4))
_USUAL_BPM = 110.0
NETWORKS = 2
_WIDTH, _EPOCHS, _BATCH, _RATE = 48, 8, 32, 2e-3
_PACE_SPREAD, _LOUDNESS_SPREAD, _DEAF_CHANCE = 0.06, 0.5, 0.15
_IMPOSSIBLE = -1e4

Curves = npt.NDArray[np.float32]  # [channels, frames]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the network is told of a sound.

    Attributes:
        bpm: candidates in quarter notes a minute `[candidates]`.
        patterns: the sound folded at each `[candidates, 64, 48]`, float16.
    """

    bpm: npt.NDArray[np.float64]
    patterns: npt.NDArray[np.float16] = field(repr=False)
    metre: tuple[int, int]


def _curves(audio: Audio, rate_hz: int) -> tuple[Curves, Curves]:
    """Rise and level of eight bands of `[2, samples]`, each `[8, frames]`."""
    mono = mono_at(audio, rate_hz)
    levels = log_mel(
        mono, ANALYSIS_RATE_HZ, bands=_MEL_BANDS, window=1024, hop=_HOP, range_db=60.0
    ).astype(np.float32)
    rise = np.zeros_like(levels)
    # The sound's beginning is no onset: the frame before it is silence.
    rise[3:] = np.maximum(0.0, levels[3:] - levels[3 - _FRAMES_TOGETHER : -_FRAMES_TOGETHER])
    rises, bands = (
        np.stack([part.mean(axis=1) for part in np.array_split(curve, _BANDS, axis=1)])
        for curve in (rise, levels)
    )
    return rises, bands


def _swings(rises: Curves) -> list[npt.NDArray[np.float64]]:
    """How the rises swing with the half, the beat, its half and its quarter of every tempo."""
    centred = (rises - rises.mean(axis=1, keepdims=True)) * np.hanning(rises.shape[1])
    centred = np.concatenate([centred, centred.sum(axis=0, keepdims=True)])
    size = np.abs(centred).sum(axis=1) + 1e-6
    times_s = np.arange(rises.shape[1]) / _RATE_HZ
    found = []
    for multiple in (0.5, 1.0, 2.0, 4.0):
        turns = np.exp(-2j * np.pi * np.outer(_GRID_BPM * multiple / 60.0, times_s))
        swing = np.abs(turns @ centred.T) / size
        found.append(swing[:, -1] + swing[:, :-1].mean(axis=1))
    return found


def _best(score: npt.NDArray[np.float64], count: int) -> list[float]:
    """The tempos of the highest peaks of a score over the grid, the best first."""
    peaks, _ = find_peaks(score)
    return [float(bpm) for bpm in _GRID_BPM[peaks[np.argsort(-score[peaks])][:count]]]


def candidates(rises: Curves) -> npt.NDArray[np.float64]:
    """Tempos that the onsets speak for, and simple multiples of the two strongest."""
    _, beat, half, quarter = swings = _swings(rises)
    grid = 0.2 * beat + 0.3 * half + 0.5 * quarter
    wanted = _best(grid, 8) + _best(beat, 5) + _best(swings[0] + beat, 5) + _best(half, 3)
    wanted += [bpm * factor for factor in _FACTORS for bpm in _best(grid, 2)]
    found: list[float] = []
    for bpm in wanted:
        known = any(abs(np.log(bpm / other)) <= _SAME for other in found)
        if LOW_BPM <= bpm <= HIGH_BPM and not known:
            found.append(bpm)
    return np.array(found[:CANDIDATES] or [_USUAL_BPM])


def _folded(curves: Curves, bpm: float, span_beats: float) -> Curves:
    """The mean of curves over all rounds of so many beats, `[channels, 48]`."""
    frames = curves.shape[1]
    place = np.arange(frames) / _RATE_HZ * bpm / 60.0 / span_beats % 1.0 * PLACES
    lower = np.floor(place).astype(int)
    share = (place - lower).astype(np.float32)
    weights = np.zeros((frames, PLACES), np.float32)
    weights[np.arange(frames), lower % PLACES] = 1.0 - share
    weights[np.arange(frames), (lower + 1) % PLACES] += share
    return np.asarray(curves @ weights / (weights.sum(axis=0) + 1e-6))


def listen(audio: Audio, rate_hz: int, metre: tuple[int, int]) -> Heard:
    """Analyse `[2, samples]`, whose metre is known."""
    rises, levels = _curves(audio, rate_hz)
    bpm = candidates(rises)
    bar_beats = float(Metre(*metre).bar_beats)
    normal = np.concatenate([
        rises / (rises.mean() + 1e-6),
        (levels - levels.mean(axis=1, keepdims=True)) / (levels.std() + 1e-6),
    ])  # fmt: skip
    spans = (1.0, 2.0, bar_beats, 2.0 * bar_beats)
    patterns = [np.concatenate([_folded(normal, one, span) for span in spans]) for one in bpm]
    return Heard(bpm, np.array(patterns, np.float16), metre)


class TempoNetwork(nn.Module):
    """Folded patterns `[batch, candidates, 64, 48]`, paces (octaves from 110 bpm) and whether there
    is a candidate, each `[batch, candidates]`, and metre `[batch, 5]`, to logits of candidates.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normal = nn.BatchNorm1d(CHANNELS)
        self.layers = nn.ModuleList(
            nn.Conv1d(before, _WIDTH, 5, padding=2 * step, dilation=step, padding_mode="circular")
            for before, step in ((CHANNELS, 1), (_WIDTH, 2), (_WIDTH, 4))
        )
        self.circumstances = nn.Linear(6 + len(METRES), 32)
        self.decision = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(2 * _WIDTH + 32, 64), nn.GELU(),
            nn.Dropout(0.3), nn.Linear(64, 1),
        )  # fmt: skip

    def forward(self, patterns: Tensor, pace: Tensor, there: Tensor, metre: Tensor) -> Tensor:
        """Logits `[batch, candidates]`."""
        first, *others = self.layers
        heard = gelu(first(self.normal(patterns.flatten(0, 1))))
        for layer in others:
            heard = heard + gelu(layer(heard))
        heard = torch.cat([heard.mean(-1), heard.amax(-1)], dim=-1)
        near = torch.stack([pace, pace**2, pace**3, torch.sin(3 * pace), torch.cos(3 * pace),
                            pace.clamp(min=0.0)], dim=-1)  # fmt: skip
        metres = metre[:, None].expand(-1, pace.shape[1], -1)
        around = gelu(self.circumstances(torch.cat([near, metres], dim=-1))).flatten(0, 1)
        logits: Tensor = self.decision(torch.cat([heard, around], dim=-1)).view_as(pace)
        return logits.masked_fill(~there, _IMPOSSIBLE)


def _packed(heard: Sequence[Heard]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the network takes: patterns (float16), paces, which candidates there are, metres."""
    size = len(heard)
    patterns = torch.zeros(size, CANDIDATES, CHANNELS, PLACES, dtype=torch.float16)
    pace, there = torch.zeros(size, CANDIDATES), torch.zeros(size, CANDIDATES, dtype=torch.bool)
    for row, sound in enumerate(heard):
        count = len(sound.bpm)
        patterns[row, :count] = torch.from_numpy(sound.patterns)
        pace[row, :count] = torch.from_numpy(np.log2(sound.bpm / _USUAL_BPM)).float()
        there[row, :count] = True
    metre = torch.tensor([[one == sound.metre for one in METRES] for sound in heard]).float()
    return patterns, pace, there, metre


def right_candidates(heard: Heard, tempo_bpm: float) -> npt.NDArray[np.bool_]:
    """Which candidates are the true tempo within 2 %."""
    return np.asarray(np.abs(heard.bpm / tempo_bpm - 1.0) <= TEMPO_TOLERANCE)


def _coloured(patterns: Tensor, generator: torch.Generator) -> Tensor:
    """Bands louder and softer, some not heard at all: no single one may decide."""
    shape = (len(patterns), 1, 1, 2, _BANDS, 1)
    gains = torch.exp(_LOUDNESS_SPREAD * torch.randn(shape, generator=generator))
    gains = gains * (torch.rand(shape, generator=generator) > _DEAF_CHANCE)
    apart = patterns.unflatten(2, (_SPANS, 2, _BANDS)) * gains
    return apart.flatten(2, 4)


def train_tempo(
    heard: Sequence[Heard], tempos_bpm: Sequence[float], seed: int = 0, epochs: int = _EPOCHS
) -> nn.ModuleList:
    """Two networks that choose among candidates; sounds of which none is right teach nothing."""
    pairs = zip(heard, tempos_bpm, strict=True)
    known = [
        (sound, right) for sound, bpm in pairs if (right := right_candidates(sound, bpm)).any()
    ]
    told = _packed([sound for sound, _ in known])
    wrong = torch.ones(told[1].shape, dtype=torch.bool)
    for row, (_, right) in enumerate(known):
        wrong[row, : len(right)] = torch.from_numpy(~right)
    return nn.ModuleList(_trained(told, wrong, seed + turn, epochs) for turn in range(NETWORKS))


def _trained(
    told: tuple[Tensor, Tensor, Tensor, Tensor], wrong: Tensor, seed: int, epochs: int
) -> TempoNetwork:
    patterns, pace, there, metre = told
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TempoNetwork().train()
        optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.05)
        updates = epochs * -(-len(pace) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=updates)
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(pace), generator=generator), _BATCH):
                # All candidates faster or slower: the same music, played so.
                faster = _PACE_SPREAD * torch.randn(len(rows), 1, generator=generator)
                logits = network(_coloured(patterns[rows].float(), generator),
                                 pace[rows] + faster, there[rows], metre[rows])  # fmt: skip
                chances = torch.log_softmax(logits, dim=-1).masked_fill(wrong[rows], _IMPOSSIBLE)
                optimiser.zero_grad()
                (-chances.logsumexp(dim=-1).mean()).backward()
                optimiser.step()
                schedule.step()
    return network.eval()


@torch.no_grad()
def chosen_bpm(networks: nn.ModuleList, heard: Heard) -> float:
    """The candidate that the networks think likeliest, in quarter notes a minute."""
    patterns, *others = _packed([heard])
    opinions = [network(patterns.float(), *others).softmax(dim=-1)[0] for network in networks]
    return float(heard.bpm[int(torch.stack(opinions).mean(dim=0).argmax())])
