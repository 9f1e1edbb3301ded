"""The crossfade law: power for what differs, amplitude for what is the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analysis.crossfade import correlation, crossfade, crossfade_gains


@given(st.integers(1, 4000), st.floats(0, 1))
def test_power_is_constant_for_any_correlation(length: int, rho: float) -> None:
    out, into = crossfade_gains(length, rho)
    np.testing.assert_allclose(out**2 + into**2 + 2 * rho * out * into, 1.0, rtol=1e-12)
    np.testing.assert_allclose(out, into[::-1], atol=1e-12)
    assert (np.diff(into) > 0).all()


@settings(deadline=None)
@given(st.integers(2, 500), st.integers(0, 1000))
def test_identical_signals_pass_unchanged(length: int, seed: int) -> None:
    signal = np.random.default_rng(seed).normal(0, 1, (2, length))
    np.testing.assert_allclose(crossfade(signal, signal), signal, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.8])
def test_measured_power_of_correlated_noise(rho: float) -> None:
    generator = np.random.default_rng(0)
    shared, own = generator.normal(0, 1, (2, 1, 400_000))
    other = rho * shared + np.sqrt(1 - rho**2) * own
    assert correlation(shared, other) == pytest.approx(rho, abs=0.01)
    mixed = crossfade(shared, other)[0].reshape(20, -1)
    np.testing.assert_allclose((mixed**2).mean(axis=1), 1.0, atol=0.05)


def test_correlation_of_edge_cases() -> None:
    silence, noise = np.zeros((2, 100)), np.random.default_rng(0).normal(0, 1, (2, 100))
    assert correlation(silence, noise) == 0.0
    assert correlation(noise, -noise) == 0.0
    assert crossfade(np.zeros((2, 0)), np.zeros((2, 0))).shape == (2, 0)
