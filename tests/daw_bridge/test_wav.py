"""The WAV reader against libsndfile."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from daw_bridge.takes.wav import read_wav_float32, read_wav_info
from engine.spec import BridgeError


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_samples_are_those_of_libsndfile(
    tmp_path: Path, container: str, subtype: str, channels: int
) -> None:
    path = tmp_path / "take.wav"
    audio = np.random.default_rng(1).uniform(-1, 1, (301, channels))
    audio[:2] = [[1.0], [-1.0]]
    soundfile.write(path, audio, 44_100, subtype, format=container)
    expected, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    info = read_wav_info(path)
    assert (info.sample_rate_hz, info.channels, info.length_samples) == (rate_hz, channels, 301)
    read = np.frombuffer(read_wav_float32(path, info, 0, 301), "<f4").reshape(-1, channels)
    assert np.array_equal(read, expected)
    part = np.frombuffer(read_wav_float32(path, info, 100, 999), "<f4").reshape(-1, channels)
    assert np.array_equal(part, expected[100:])
    assert read_wav_float32(path, info, 301, 10) == b""


def test_chunks_before_the_data_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    soundfile.write(path, np.zeros((4, 1)), 8_000, "PCM_16")
    raw = path.read_bytes()
    at = raw.index(b"data")
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    path.write_bytes(raw[:at] + odd + raw[at:])
    assert read_wav_info(path).length_samples == 4


def test_cut_off_file_is_as_long_as_its_data(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    soundfile.write(path, np.zeros((100, 2)), 8_000, "PCM_16")
    path.write_bytes(path.read_bytes()[:-42])
    assert read_wav_info(path).length_samples == 89


def test_what_is_no_wav_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    soundfile.write(path, np.zeros((100, 2)), 8_000, "ULAW")
    whole = path.read_bytes()
    rng = random.Random(1)
    cut = [whole[: rng.randrange(60)] for _ in range(50)]
    for data in [b"", b"RIFF", b"fLaC" + bytes(40), b"RIFF\0\0\0\0WAVEdata\0\0\0\0", whole, *cut]:
        path.write_bytes(data)
        with pytest.raises(BridgeError) as caught:
            read_wav_info(path)
        assert caught.value.code == "bad_audio"
    with pytest.raises(BridgeError) as caught:
        read_wav_info(tmp_path / "none.wav")
    assert caught.value.code == "not_found"
