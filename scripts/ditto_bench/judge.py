"""A result judged: the latent by its own measures, and the decoded audio by other means."""

from __future__ import annotations

import numpy as np
import torch
from evaluation.measures import Audio
from torch import Tensor

from ditto_bench.material import RATE_HZ, STEP_S, WINDOW_SAMPLES
from ditto_bench.tasks import Place, Question
from ditto_bench.tunes import Cut
from engine.analysis.seams import seam_figures
from engine.analysis.spectra import ANALYSIS_RATE_HZ, mono_at
from engine.chroma import mel_chroma
from engine.controls.control import LogMel

_PITCH_RANGE_HZ = (110.0, 2100.0)
_PITCH_FRAME, _PITCH_HOP = 2048, 512


def checks(question: Question, latent: Tensor, audio: Audio, log_mel: LogMel) -> dict[str, float]:
    """Every figure that is not the loss; units in the names.

    Args:
        latent: `[1, channels, steps]`.
        audio: what it decodes to, `[2, samples]`.
    """
    found = {"latent_std": float(latent.std())}
    place, cut = question.place, question.cut
    free_from = 0 if place is None else place.free[0] - place.at
    for control in question.controls:
        said = control.compare(audio[:, free_from:], RATE_HZ, free_from / RATE_HZ)
        if said is not None:
            found |= said.figures
            found[f"{control.name}_check"] = said.score
    if cut is not None:
        found["melody_latent_accuracy"] = latent_accuracy(latent, cut, log_mel)
        found["melody_voice_accuracy"] = voice_accuracy(audio, cut)
    if place is not None:
        found |= seams(place, audio)
    return found


def heard(question: Question, audio: Audio) -> Audio:
    """The window as it is heard: with what was there already in its place."""
    place = question.place
    if place is None:
        return audio
    return place.spliced(audio)[:, place.at : place.at + WINDOW_SAMPLES]


def seams(place: Place, window: Audio) -> dict[str, float]:
    """The roughest seam's ratios, and the largest step in level."""
    spliced = place.spliced(window)
    source = place.frame[:, : place.free[0]]
    each = [seam_figures(spliced, RATE_HZ, at, source=source) for at in place.seams]
    ratios = ("step_ratio", "flux_ratio", "timbre_ratio")
    found = {f"seam_{name}": max(float(one[name]) for one in each) for name in ratios}
    found["seam_level_step_db"] = max(abs(float(one["level_step_db"])) for one in each)
    return found


@torch.no_grad()
def latent_accuracy(latent: Tensor, cut: Cut, log_mel: LogMel) -> float:
    """Share of latent steps whose strongest pitch class is the tune's, as the loss sees it."""
    frames = mel_chroma(log_mel(latent), RATE_HZ)
    steps = latent.shape[-1]
    each = frames.reshape(1, 12, steps, -1).mean(dim=-1)[0]
    wished = cut.chroma(steps, STEP_S)[0]
    sounding = wished.sum(dim=0) > 0
    right = each.argmax(dim=0) == wished.argmax(dim=0)
    return float(right[sounding].float().mean())


def voice_accuracy(audio: Audio, cut: Cut) -> float:
    """Share of the tune's frames in which pYIN hears its pitch class (Mauch and Dixon 2014).

    pYIN is made for one voice; in a band it follows whatever is strongest, or nothing.
    """
    from librosa import pyin

    mono = mono_at(audio, RATE_HZ, ANALYSIS_RATE_HZ)
    low_hz, high_hz = _PITCH_RANGE_HZ
    found_hz, voiced, _ = pyin(
        mono,
        fmin=low_hz,
        fmax=high_hz,
        sr=ANALYSIS_RATE_HZ,
        frame_length=_PITCH_FRAME,
        hop_length=_PITCH_HOP,
    )
    times_s = np.arange(len(found_hz)) * _PITCH_HOP / ANALYSIS_RATE_HZ
    wished = cut.pitches_at(times_s)
    pitch = np.round(69.0 + 12.0 * np.log2(np.where(voiced, found_hz, 440.0) / 440.0)).astype(int)
    right = voiced & (pitch % 12 == wished % 12)
    return float(right[wished >= 0].mean())
