"""Plain pitched timbres: band-limited wavetables with a body and a faster-fading brilliance.

A tone is two periodic waves of the same pitch. The body holds the low harmonics, the brilliance
the high ones, and each has its own exponential decay, which is what makes a struck or plucked
string sound struck or plucked. No harmonic reaches the Nyquist frequency, so nothing aliases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_TABLE = 4096  # points in one period
_MAX_HARMONIC = 80
_FLOOR = 1e-4  # where a decaying tone is cut off, -80 dB
_TOP = 0.45  # of the sample rate


@dataclass(frozen=True, slots=True)
class Timbre:
    """How a program sounds.

    Harmonic k has the amplitude k**-rolloff (times `even` for even k), or `partials` lists the
    amplitudes from the fundamental on. Decays are time constants at middle C, None sustains.
    """

    rolloff: float = 1.2
    even: float = 1.0
    partials: tuple[float, ...] = ()
    corner_hz: float = 6000.0
    attack_s: float = 0.002
    decay_s: float | None = None
    bright_decay_s: float | None = None
    release_s: float = 0.08
    vibrato_cents: float = 0.0
    detune_cents: float = 0.0


_STRUCK = Timbre(1.15, decay_s=1.1, bright_decay_s=0.35, release_s=0.12)
_PLUCKED = Timbre(1.0, decay_s=0.8, bright_decay_s=0.2, release_s=0.1)
_BELL = Timbre(
    partials=(1.0, 0.0, 0.0, 0.35, 0.0, 0.0, 0.12, 0.0, 0.0, 0.06), decay_s=0.6,
    bright_decay_s=0.2, release_s=0.3,
)  # fmt: skip
_ORGAN = Timbre(partials=(1.0, 0.7, 0.5, 0.4, 0.0, 0.25, 0.0, 0.2), attack_s=0.006, release_s=0.03)
_BOWED = Timbre(1.1, corner_hz=4000.0, attack_s=0.05, release_s=0.12, vibrato_cents=14.0)
_BRASS = Timbre(0.9, corner_hz=2600.0, attack_s=0.03, release_s=0.07, vibrato_cents=6.0)
_REED = Timbre(1.0, 0.6, corner_hz=3000.0, attack_s=0.025, release_s=0.06, vibrato_cents=9.0)
_PIPE = Timbre(
    partials=(1.0, 0.32, 0.14, 0.05, 0.02), attack_s=0.04, release_s=0.08, vibrato_cents=10.0
)
_SAW = Timbre(1.0, corner_hz=5000.0, attack_s=0.004, release_s=0.05)
_PAD = Timbre(1.2, corner_hz=2200.0, attack_s=0.12, release_s=0.3, detune_cents=9.0)

# One row for each General MIDI family of eight programs, then the programs that stand out.
_FAMILIES = (
    _STRUCK,
    _BELL,
    _ORGAN,
    _PLUCKED,
    Timbre(1.4, corner_hz=1500.0, attack_s=0.003, decay_s=0.9, bright_decay_s=0.2, release_s=0.05),
    _BOWED,
    replace(_BOWED, attack_s=0.09, release_s=0.25, vibrato_cents=0.0, detune_cents=8.0),
    _BRASS,
    _REED,
    _PIPE,
    _SAW,
    _PAD,
    replace(_PAD, rolloff=1.0, decay_s=1.5, bright_decay_s=0.5, attack_s=0.01),
    _PLUCKED,
    _BELL,
    _PAD,
)
_PROGRAMS = {
    4: replace(_STRUCK, rolloff=1.8, bright_decay_s=0.5),
    5: replace(_STRUCK, rolloff=1.7, bright_decay_s=0.3),
    6: replace(_PLUCKED, rolloff=0.7, decay_s=0.6),
    7: replace(_PLUCKED, rolloff=0.8, decay_s=0.4),
    12: replace(_BELL, decay_s=0.25, release_s=0.1),
    13: replace(_BELL, decay_s=0.15, release_s=0.1),
    15: _PLUCKED,
    28: replace(_PLUCKED, decay_s=0.12, bright_decay_s=0.06),
    29: replace(_SAW, corner_hz=3000.0, attack_s=0.003),
    30: replace(_SAW, rolloff=0.9, corner_hz=3500.0, attack_s=0.003),
    38: replace(_SAW, corner_hz=1200.0, decay_s=0.8, bright_decay_s=0.2),
    39: replace(_SAW, rolloff=2.0, corner_hz=500.0),
    45: replace(_PLUCKED, decay_s=0.15, bright_decay_s=0.08),
    46: replace(_PLUCKED, rolloff=1.3, decay_s=1.0),
    47: replace(_PLUCKED, rolloff=1.8, decay_s=0.5),
    71: replace(_REED, even=0.15),
    80: replace(_SAW, even=0.0),
    110: _BOWED,
    109: replace(_REED, vibrato_cents=0.0),
    111: _REED,
}  # fmt: skip


def timbre_of(program: int) -> Timbre:
    """The timbre of a General MIDI program, 0..127."""
    return _PROGRAMS.get(program, _FAMILIES[program // 8])


def frequency_hz(pitch: float) -> float:
    """Equal temperament, A4 = MIDI 69 = 440 Hz."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


def _tables(
    timbre: Timbre, pitch: int, sample_rate_hz: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One period of body and of brilliance, with the first point again at the end."""
    base = frequency_hz(pitch)
    count = int(min(_MAX_HARMONIC, _TOP * sample_rate_hz / base))
    order = np.arange(1, count + 1)
    amplitude: NDArray[np.float64] = np.zeros(count)
    if timbre.partials:
        amplitude[: len(timbre.partials)] = timbre.partials[:count]
    else:
        amplitude += order**-timbre.rolloff
        amplitude[1::2] *= timbre.even
    amplitude = amplitude / (1.0 + (order * base / timbre.corner_hz) ** 2)
    amplitude /= max(1e-9, float(np.sqrt(0.5 * np.sum(amplitude**2))))
    body_share = 1.0 / (1.0 + (order / 4.0) ** 2)
    tables = []
    for share in (body_share, 1.0 - body_share):
        spectrum = np.zeros(_TABLE // 2 + 1, dtype=complex)
        # Sines start at zero, so a tone begins without a step.
        spectrum[1 : count + 1] = -0.5j * _TABLE * amplitude * share
        period = np.fft.irfft(spectrum, _TABLE)
        tables.append(np.append(period, period[0]).astype(np.float32))
    return tables[0], tables[1]


def tone(
    timbre: Timbre, pitch: int, length_samples: int, sample_rate_hz: int
) -> NDArray[np.float32]:
    """An unreleased tone of unit level [1, n], or [2, n] for detuned timbres; n <= the length.

    Decaying tones end where they have fallen by 80 dB, so n may be shorter than asked.
    """
    # Low strings ring longer than high ones.
    stretch = float(2.0 ** ((60.0 - pitch) / 30.0))
    if timbre.decay_s is not None:
        audible = -np.log(_FLOOR) * timbre.decay_s * stretch * sample_rate_hz
        length_samples = min(length_samples, int(audible))
    time_s: NDArray[np.float64] = np.arange(length_samples, dtype=np.float64) / sample_rate_hz
    body, bright = _tables(timbre, pitch, sample_rate_hz)
    attack = np.minimum(1.0, time_s / timbre.attack_s).astype(np.float32)
    body_level = _decay(time_s, timbre.decay_s, stretch) * attack
    bright_level = _decay(time_s, timbre.bright_decay_s or timbre.decay_s, stretch) * attack
    spread = timbre.detune_cents
    lanes = []
    for cents in (-spread, spread) if spread else (0.0,):
        points_per_s = frequency_hz(pitch + cents / 100.0) * _TABLE
        phase = time_s * points_per_s
        if timbre.vibrato_cents:
            phase += _vibrato(time_s, points_per_s, timbre.vibrato_cents)
        lanes.append(_read(body, phase) * body_level + _read(bright, phase) * bright_level)
    return np.stack(lanes)


def _read(table: NDArray[np.float32], phase: NDArray[np.float64]) -> NDArray[np.float32]:
    """The periodic table at a phase counted in its points, linearly between them."""
    place = phase.astype(np.int64)
    share = (phase - place).astype(np.float32)
    place &= _TABLE - 1
    left = table[place]
    wave: NDArray[np.float32] = left + share * (table[place + 1] - left)
    return wave


def _decay(
    time_s: NDArray[np.float64], constant_s: float | None, stretch: float
) -> NDArray[np.float32]:
    if constant_s is None:
        return np.ones(1, dtype=np.float32)
    level: NDArray[np.float32] = np.exp(
        -time_s.astype(np.float32) / np.float32(constant_s * stretch)
    )
    return level


def _vibrato(
    time_s: NDArray[np.float64], points_per_s: float, depth_cents: float
) -> NDArray[np.float64]:
    """The phase of a 5.2 Hz vibrato that sets in after a third of a second."""
    rate = 2.0 * np.pi * 5.2
    depth = points_per_s * (2.0 ** (depth_cents / 1200.0) - 1.0) / rate
    swell = np.clip((time_s - 0.15) / 0.4, 0.0, 1.0)
    phase: NDArray[np.float64] = depth * swell * (1.0 - np.cos(rate * time_s))
    return phase
