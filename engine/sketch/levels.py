"""How loud each role is in the mix, whatever renders it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The RMS level of a role's louder passages, before the part's own gain. Presets and timbres
# differ by far more than musicians' ideas of balance do.
LEVEL_DB = {"drums": -19.0, "bass": -20.0, "chords": -24.0, "lead": -20.5}
# A sparse part is loud only for moments: its peak, not its level, then sets how far it is raised.
STEM_PEAK = {"drums": 0.7, "bass": 0.5, "chords": 0.5, "lead": 0.5}
_WINDOW_S = 0.3
_SILENT_POWER = 1e-10


def levelled(
    wave: NDArray[np.float32], role: str, gain_db: float, sample_rate_hz: int
) -> NDArray[np.float32]:
    """A stem [2, n] brought to its role's level plus `gain_db`; silence stays silence."""
    return wave * np.float32(level_gain(wave, role, gain_db, sample_rate_hz))


def level_gain(wave: NDArray[np.float32], role: str, gain_db: float, sample_rate_hz: int) -> float:
    """What a stem [2, n] has to be multiplied by to have its role's level plus `gain_db`.

    The level is the 90th percentile of the power in windows of 0.3 s.
    """
    window = max(1, min(wave.shape[1], round(_WINDOW_S * sample_rate_hz)))
    whole = wave.shape[1] // window * window
    if whole == 0:
        return 1.0
    power = np.mean(np.square(wave[:, :whole].reshape(2, -1, window)), axis=(0, 2))
    loud = float(np.percentile(power, 90.0))
    loud = loud if loud > _SILENT_POWER else float(power.max())
    if loud < _SILENT_POWER:
        return 1.0
    wanted = float(10.0 ** ((LEVEL_DB[role] + gain_db - 10.0 * np.log10(loud)) / 20.0))
    room = STEM_PEAK[role] / float(np.abs(wave).max())
    return min(wanted, room)
