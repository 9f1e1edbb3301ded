"""The training pieces' effects do to a wave what their names and figures say."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engine.sketch.scripts import load

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def effects() -> ModuleType:
    return load("_effects")


def noise(seed: int, seconds: float = 0.5) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((2, round(seconds * RATE_HZ)))).astype(np.float32)


def gain_db(effects: ModuleType, band: object, frequency_hz: float) -> float:
    """The gain of a band for a tone, once it has settled."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = np.tile(np.sin(2.0 * np.pi * frequency_hz * time_s), (2, 1)).astype(np.float32)
    out = effects.equalise(tone, (band,), RATE_HZ)[:, RATE_HZ // 2 :]
    return float(20.0 * np.log10(np.sqrt(2.0 * np.mean(np.square(out)))))


@pytest.mark.parametrize(
    ("kind", "corner_hz", "asked_db", "where"),
    [
        ("low", 200.0, 6.0, {20.0: 6.0, 200.0: 3.0, 8000.0: 0.0}),
        ("high", 4000.0, -6.0, {100.0: 0.0, 4000.0: -3.0, 16000.0: -6.0}),
        ("peak", 1000.0, 5.0, {50.0: 0.0, 1000.0: 5.0, 15000.0: 0.0}),
        ("low-pass", 1000.0, 0.0, {50.0: 0.0, 1000.0: -3.0, 4000.0: -24.6}),
        ("high-pass", 1000.0, 0.0, {250.0: -24.1, 1000.0: -3.0, 15000.0: 0.0}),
    ],
)
def test_bands_have_the_gain_asked(
    effects: ModuleType, kind: str, corner_hz: float, asked_db: float, where: dict[float, float]
) -> None:
    band = effects.Band(kind, corner_hz, asked_db)
    for frequency_hz, expected_db in where.items():
        assert gain_db(effects, band, frequency_hz) == pytest.approx(expected_db, abs=0.25)


def test_an_unknown_band_is_refused(effects: ModuleType) -> None:
    with pytest.raises(ValueError, match="notch"):
        effects.equalise(noise(0), (effects.Band("notch", 500.0),), RATE_HZ)


def test_a_bus_of_stems_sums_to_the_bus_of_their_mix(effects: ModuleType) -> None:
    stems = [noise(seed) for seed in range(3)]
    room = effects.impulse_response(np.random.default_rng(0), 0.4, 4000.0, RATE_HZ)
    bands = (effects.Band("low", 150.0, 4.0), effects.Band("peak", 2000.0, -3.0, 1.2))
    gain = effects.compression(np.sum(stems, axis=0), -12.0, 4.0, 100.0, RATE_HZ)

    def bus(wave: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = gain * effects.reverberate(
            effects.equalise(wave, bands, RATE_HZ), room, 0.3
        )
        return out

    whole = bus(np.sum(stems, axis=0))
    assert whole.dtype == np.float32
    assert whole.shape == stems[0].shape
    np.testing.assert_allclose(np.sum([bus(stem) for stem in stems], axis=0), whole, atol=2e-6)


def test_a_room_has_unit_energy_and_fades_by_its_decay(effects: ModuleType) -> None:
    room = effects.impulse_response(np.random.default_rng(1), 0.5, 6000.0, RATE_HZ)
    np.testing.assert_allclose(np.square(room).sum(axis=1), 1.0, rtol=1e-4)
    tenth = room.shape[1] // 10
    early, late = (
        np.sqrt(np.mean(np.square(part))) for part in np.split(room, [tenth, -tenth], 1)[::2]
    )
    assert 40.0 < 20.0 * np.log10(early / late) < 62.0


def test_saturation_keeps_the_level_and_flattens_the_peaks(effects: ModuleType) -> None:
    wave = noise(2)
    driven = effects.saturate(wave, 12.0)
    assert np.mean(np.square(driven)) == pytest.approx(np.mean(np.square(wave)), rel=1e-3)
    assert np.abs(driven).max() < 0.7 * np.abs(wave).max()
    silence = np.zeros((2, 100), dtype=np.float32)
    np.testing.assert_array_equal(effects.saturate(silence, 12.0), silence)


def test_width_and_place(effects: ModuleType) -> None:
    wave = noise(3)
    mono = effects.widen(wave, 0.0)
    np.testing.assert_array_equal(mono[0], mono[1])
    np.testing.assert_allclose(effects.widen(wave, 1.0), wave, atol=1e-7)
    moved = effects.auto_pan(mono, 2.0, 0.8, 0.0, RATE_HZ)
    power = np.square(moved).sum(axis=0)
    np.testing.assert_allclose(power, np.square(mono).sum(axis=0), rtol=1e-3, atol=1e-7)
    # A quarter of a second at 2 Hz is half a turn: right first, left after it.
    first, then = moved[:, : RATE_HZ // 4], moved[:, RATE_HZ // 4 : RATE_HZ // 2]
    assert np.square(first[1]).sum() > 1.5 * np.square(first[0]).sum()
    assert np.square(then[0]).sum() > 1.5 * np.square(then[1]).sum()


def test_compression_turns_down_the_loud_and_leaves_the_quiet(effects: ModuleType) -> None:
    wave = noise(4, 1.5)
    wave[:, : RATE_HZ // 2] *= 0.05
    wave[:, RATE_HZ:] *= 0.05
    gain = effects.compression(wave, -12.0, 4.0, 50.0, RATE_HZ)
    assert gain.shape == (wave.shape[1],)
    assert gain.max() <= 1.0
    assert gain[: RATE_HZ // 4].min() > 0.999
    loud_db = 20.0 * np.log10(gain[int(0.7 * RATE_HZ) : int(0.9 * RATE_HZ)].mean())
    assert -9.0 < loud_db < -4.0  # at most 12 dB over the threshold at a ratio of four
    assert gain[-1] > 0.97


def test_ducking_follows_the_hits(effects: ModuleType) -> None:
    trigger = np.zeros((2, RATE_HZ), dtype=np.float32)
    trigger[:, RATE_HZ // 2 : RATE_HZ // 2 + 400] = 0.8
    gain = effects.ducking(trigger, 6.0, 80.0, RATE_HZ)
    assert gain[: RATE_HZ // 3].min() > 0.999
    assert 20.0 * np.log10(gain.min()) == pytest.approx(-6.0, abs=0.6)
    assert abs(int(gain.argmin()) - RATE_HZ // 2) < 0.02 * RATE_HZ
    assert gain[-1] > 0.98
