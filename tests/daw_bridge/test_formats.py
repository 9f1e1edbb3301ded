"""Audio as integers and FLAC, against numpy and libsndfile's own reader."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from daw_bridge import sndfile
from daw_bridge.stream import flac
from daw_bridge.stream.formats import encode_audio
from engine.spec import BridgeError

Floats = np.ndarray[Any, np.dtype[np.float32]]


def expected(samples: Floats, bits: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    known = np.clip(np.where(np.isnan(samples), 0.0, samples), -2.0, 2.0).astype(np.float64)
    scaled = np.rint(known * 2.0 ** (bits - 1))
    return np.clip(scaled, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int64)


def as_integers(data: bytes, bits: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    width = bits // 8
    parts = [data[at : at + width] for at in range(0, len(data), width)]
    return np.array([int.from_bytes(part, "little", signed=True) for part in parts], np.int64)


_SAMPLES = st.lists(
    st.floats(-1.5, 1.5, width=32) | st.sampled_from([np.inf, -np.inf, np.nan, 1.0, -1.0]),
    max_size=20,
)


@pytest.mark.parametrize("bits", [16, 24])
@given(values=_SAMPLES)
@example([0.5 / 2**15, 1.5 / 2**15, -0.5 / 2**15, 2.5 / 2**23, -1e-30, -0.0])
@example([0.1, float("nan"), 2.0])
@example([float("nan"), 2.0, -2.0])
def test_integers_are_rounded_and_clipped(bits: int, values: list[float]) -> None:
    samples = np.array(values, "<f4")
    data = encode_audio(samples.tobytes(), f"int{bits}", 48_000, 1)
    assert as_integers(data, bits).tolist() == expected(samples, bits).tolist()


def test_every_16_bit_sample_survives() -> None:
    whole = np.arange(-(2**15), 2**15)
    samples = (whole / 2**15).astype("<f4")
    for audio_format, bits, scale in (("int16", 16, 1), ("int24", 24, 2**8)):
        data = encode_audio(samples.tobytes(), audio_format, 48_000, 1)
        assert np.array_equal(as_integers(data, bits), whole * scale)


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("length", [1, 15, 4096, 70_000])
def test_flac_is_a_whole_file(bits: int, channels: int, length: int) -> None:
    rng = np.random.default_rng(length)
    samples = rng.uniform(-1.1, 1.1, (length, channels)).astype("<f4")
    data = encode_audio(samples.tobytes(), "flac", 44_100, channels, flac_bits=bits)
    assert data == encode_audio(samples.tobytes(), "flac", 44_100, channels, flac_bits=bits)
    info = soundfile.info(io.BytesIO(data))
    assert (info.format, info.subtype, info.samplerate) == ("FLAC", f"PCM_{bits}", 44_100)
    read, _ = soundfile.read(io.BytesIO(data), dtype="int32", always_2d=True)
    assert np.array_equal(read >> (32 - bits), expected(samples, bits))


def test_nothing_stays_nothing() -> None:
    for audio_format in ("float32", "int24", "int16", "flac"):
        assert encode_audio(b"", audio_format, 48_000, 2) == b""


def test_what_flac_has_not_is_refused() -> None:
    for rate_hz, channels in ((48_000, 9), (700_000, 1)):
        with pytest.raises(BridgeError) as caught:
            encode_audio(bytes(4 * channels), "flac", rate_hz, channels)
        assert caught.value.code == "bad_request"


def test_without_the_library_flac_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sndfile, "find_library", lambda: None)
    assert not flac.has_flac()
    with pytest.raises(BridgeError) as caught:
        encode_audio(bytes(8), "flac", 48_000, 2)
    assert caught.value.code == "unavailable"
