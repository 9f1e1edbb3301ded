"""A clip that already plays beside what is to be made: analysed, and brought to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from engine.analysis.tempo import COMMON_TIME, Grid, estimate_grid
from engine.files.audio import Clip
from engine.musical_time import MusicalTime, TempoMap
from engine.render.finish import to_model, to_stereo
from engine.sketch.accompany import Heard
from engine.sketch.levels import LEVEL_DB
from engine.sketch.score import ROLES, Key
from engine.tasks.listening import (
    CHROMA_HOP,
    CHROMA_RATE_HZ,
    KEY_CONFIDENT,
    heard_chroma,
    heard_key,
    is_pitched,
    key_name,
    loud_passages_db,
)
from engine.tasks.scene import Samples, whole_steps
from engine.units import Metre

_GAIN_LIMITS_DB = (-24.0, 12.0)
_LISTEN_S = 10.0


@dataclass(frozen=True, slots=True)
class Beside:
    """The clip and what was found in it.

    Attributes:
        chroma: `[frames, 12]` as `heard_chroma` gives it; None where the clip has no pitches.
        key: the likeliest key; None where the clip has no pitches.
        loud_db: level of its louder passages in the model's stereo, in dBFS.
    """

    clip: Clip
    grid: Grid
    key: Key | None
    key_confidence: float
    chroma: Samples | None = field(repr=False)
    loud_db: float

    @property
    def sure_key(self) -> Key | None:
        """The key, where the analysis is confident."""
        return self.key if self.key_confidence >= KEY_CONFIDENT else None

    def facts(self) -> dict[str, Any]:
        """What was found, for the report."""
        return {
            "name": self.clip.name,
            "bpm": round(self.grid.bpm, 4),
            "bpm_confidence": round(self.grid.confidence, 3),
            "key": None if self.key is None else key_name(self.key),
            "key_confidence": round(self.key_confidence, 3),
        }

    def heard(
        self, tempo: float | TempoMap, starts_s: float = 0.0, lead_beats: float = 0.0
    ) -> Heard | None:
        """The clip's pitch classes on the beats of a piece.

        Args:
            tempo: fixed in quarter notes a minute, or as a map.
            starts_s: where a piece of fixed tempo begins on the clip's time axis.
            lead_beats: how much of the piece lies before that.
        """
        if self.chroma is None:
            return None
        times_s = np.arange(len(self.chroma)) * CHROMA_HOP / CHROMA_RATE_HZ
        if isinstance(tempo, TempoMap):
            beats = np.array([float(tempo.beats_at(float(at))) for at in times_s])
        else:
            beats = (times_s - starts_s) * tempo / 60.0
        return Heard(self.chroma, beats + lead_beats)

    def gain(self, roles: Sequence[str]) -> float:
        """Factor from the level of the model's own music to the clip's.

        What is new should be as loud beside the clip as the new roles are beside the others in a
        mix of ours: the clip is taken for those others, or for one of them where none is left.
        """
        others = [LEVEL_DB[role] for role in ROLES if role not in roles]
        usual_db = 10 * np.log10(sum(10 ** (level / 10) for level in others or [LEVEL_DB["lead"]]))
        return float(10 ** (np.clip(self.loud_db - usual_db, *_GAIN_LIMITS_DB) / 20))

    def audio(self, length: int, gain: float, step_samples: int) -> Tensor:
        """The clip as the model hears it beside its own music: float32 `[2, whole steps]`.

        Args:
            length: samples at 44.1 kHz; a shorter clip is silent from its end on.
            gain: what `gain` says.
        """
        heard = to_model(self.clip.samples, self.clip.sample_rate_hz)[:, :length] / gain
        missing = max(0, length - heard.shape[1])
        padded = np.pad(heard, ((0, 0), (0, missing))).astype(np.float32)
        return whole_steps(padded, step_samples)


def listen(
    clip: Clip,
    *,
    bpm: float | None,
    metre: Metre | None,
    seconds: float,
    time: MusicalTime | None = None,
) -> Beside:
    """Analyse a clip.

    Args:
        bpm: the tempo where it is known; else it is estimated.
        seconds: how much of the clip will be accompanied; that is listened to, and 10 s at least.
        time: the host's own beats and bars, in place of both.
    """
    rate = clip.sample_rate_hz
    samples = clip.samples[:, : round(max(seconds, _LISTEN_S) * rate)]
    if time is not None:
        grid = Grid.of(time)
    else:
        grid = estimate_grid(samples, rate, bpm=bpm, metre=metre or COMMON_TIME)
    chroma, loud_db = heard_chroma(samples, rate), loud_passages_db(to_stereo(samples), rate)
    if not is_pitched(chroma):
        return Beside(clip, grid, None, 0.0, None, loud_db)
    key, confidence = heard_key(samples, rate)
    return Beside(clip, grid, key, confidence, chroma, loud_db)
