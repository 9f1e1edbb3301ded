"""Files made to hurt: small ones that claim or become hours, checkpoints that would run code."""

from __future__ import annotations

import io
import pickle
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.files.audio import MAX_SECONDS, read_clip
from engine.files.midi import melody_from_bytes
from engine.files.midi_guard import MAX_TICKS
from engine.models.house.model import FORMAT, load_house
from engine.spec import BridgeError

RATE_HZ = 48_000
TRACK_END = b"\0\xff\x2f\0"
# Far below what any of these files would take if it were believed.
ALLOWANCE_BYTES = 64 * 2**20


def flac_that_says(length_samples: int, seconds: int = 2) -> bytes:
    """A FLAC of some seconds whose STREAMINFO block names another length."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full((seconds * RATE_HZ, 2), 0.1), RATE_HZ, "PCM_16", format="FLAC")
    data = bytearray(buffer.getvalue())
    # 36 bits: the lower half of one byte and four more, after the sizes and the rate.
    data[21] = (data[21] & 0xF0) | (length_samples >> 32)
    data[22:26] = struct.pack(">I", length_samples & 0xFFFFFFFF)
    return bytes(data)


def wav_that_says(data_bytes: int, channels: int = 2) -> bytes:
    """A WAV of 100 bytes of audio whose header names another size."""
    form = struct.pack("<HHIIHH", 1, channels, RATE_HZ, RATE_HZ * 2 * channels, 2 * channels, 16)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    head += b"data" + struct.pack("<I", data_bytes)
    return b"RIFF" + struct.pack("<I", min(data_bytes + 36, 2**32 - 1)) + head + bytes(100)


def rf64_that_says(data_bytes: int) -> bytes:
    """The same with a size of 64 bits."""
    form = struct.pack("<HHIIHH", 1, 2, RATE_HZ, RATE_HZ * 4, 4, 16)
    sizes = struct.pack("<QQQI", data_bytes + 72, data_bytes, data_bytes // 4, 0)
    head = b"WAVEds64" + struct.pack("<I", len(sizes)) + sizes
    head += b"fmt " + struct.pack("<I", len(form)) + form
    return b"RF64" + b"\xff" * 4 + head + b"data" + b"\xff" * 4 + bytes(100)


def midi(track: bytes, division: int = 480) -> bytes:
    head = b"MThd" + struct.pack(">IHHh", 6, 0, 1, division)
    track += TRACK_END
    return head + b"MTrk" + struct.pack(">I", len(track)) + track


def variable_length(value: int) -> bytes:
    """A MIDI number: seven bits a byte, the highest first, all but the last with the top bit."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(0x80 | (value & 0x7F))
    return bytes(reversed(parts))


def note_of(ticks: int, division: int = 480) -> bytes:
    return midi(b"\0\x90\x3c\x40" + variable_length(ticks) + b"\x80\x3c\x40", division)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("ten-hours.flac", flac_that_says(10 * 3600 * RATE_HZ), "too_large"),
        ("sixteen-days.flac", flac_that_says(2**36 - 1), "too_large"),
        ("endless.flac", flac_that_says(0), "bad_audio"),
        ("four-gigabytes.wav", wav_that_says(2**32 - 2), "bad_audio"),
        ("channels.wav", wav_that_says(2**31, channels=30_000), "bad_audio"),
        ("exabyte.wav", rf64_that_says(2**60), "bad_audio"),
    ],
)
def test_a_header_that_lies_is_not_believed(
    tmp_path: Path, name: str, data: bytes, code: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    before = peak_bytes()
    with pytest.raises(BridgeError) as caught:
        read_clip(path)
    assert caught.value.code == code
    assert peak_bytes() - before < ALLOWANCE_BYTES


def test_a_tiny_flac_of_hours_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"
    seconds = int(MAX_SECONDS) + 60
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16", format="FLAC") as file:
        minute = np.full(60 * RATE_HZ, 1000, np.int16)
        for _ in range(seconds // 60):
            file.write(minute)
    expanded_bytes = seconds * RATE_HZ * 8  # as the float64 that is worked with
    assert path.stat().st_size * 1000 < expanded_bytes, "it is no bomb"
    before = peak_bytes()
    with pytest.raises(BridgeError) as caught:
        read_clip(path)
    assert caught.value.code == "too_large"
    assert peak_bytes() - before < ALLOWANCE_BYTES


@pytest.mark.parametrize("bits", [28, 64, 2000, 20_000])
def test_absurd_ticks_are_refused(bits: int) -> None:
    assert MAX_TICKS == 2**28 - 1
    with pytest.raises(BridgeError) as caught:
        melody_from_bytes(note_of(2**bits))
    assert caught.value.code == "bad_midi"


def test_ticks_that_are_legal_and_mean_days_are_refused() -> None:
    for division in (1, 480):
        with pytest.raises(BridgeError) as caught:
            melody_from_bytes(note_of(MAX_TICKS, division))
        assert caught.value.code == "too_large"


def test_a_number_of_a_million_bytes_is_not_computed() -> None:
    begun_s = time.process_time()
    with pytest.raises(BridgeError) as caught:
        melody_from_bytes(midi(b"\0\x90\x3c\x40" + b"\xff" * 1_000_000 + b"\1\x80\x3c\x40"))
    assert caught.value.code == "bad_midi"
    assert time.process_time() - begun_s < 30, "it was computed: that takes minutes"


def test_a_chord_of_thousands_costs_no_square_of_them() -> None:
    count = 20_000
    held = b"".join(b"\1" + bytes([0x90 + index % 8, index % 128, 64]) for index in range(count))
    begun_s = time.process_time()
    melody = melody_from_bytes(midi(held))
    assert max(note.pitch for note in melody.notes) == 127
    assert time.process_time() - begun_s < 40, "with the square of them it takes minutes"


class _Bomb:
    """What a pickle that is loaded would do."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self._marker,))


def test_a_pickled_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    import torch

    marker = tmp_path / "it-ran"
    pickled, saved = tmp_path / "plain.pt", tmp_path / "weights.pt"
    pickled.write_bytes(pickle.dumps(_Bomb(marker)))
    torch.save({"weights": _Bomb(marker)}, saved)
    for path in (pickled, saved):
        with pytest.raises(BridgeError) as caught:
            load_house(path)
        assert caught.value.code == "not_found"
        with pytest.raises(BridgeError) as caught:
            read_clip(path)
        assert caught.value.code == "bad_audio"
        with pytest.raises(BridgeError) as caught:
            melody_from_bytes(path.read_bytes())
        assert caught.value.code == "bad_midi"
    assert not marker.exists()
    pickle.loads(pickled.read_bytes())
    assert marker.exists(), "the bomb would not have gone off"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 50_000_000) + b"{",
    ],
)
def test_a_damaged_weights_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    with pytest.raises(BridgeError) as caught:
        load_house(path)
    assert caught.value.code == "not_found"


def test_a_weights_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    path = tmp_path / "weights.safetensors"
    for shape in ("nonsense", "[]", '{"width": 1e12}', "{}"):
        about = {"format": FORMAT, "shape": shape}
        save_file({"x": torch.zeros(1)}, path, metadata=about)
        with pytest.raises(BridgeError) as caught:
            load_house(path)
        assert caught.value.code == "not_found"
