from __future__ import annotations

import contextlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daw_bridge.protocol.binary import (
    CHUNK_BYTES,
    HEADER_BYTES,
    BinaryFrame,
    decode_binary,
    split_preview,
)
from daw_bridge.protocol.document import protocol_json
from daw_bridge.protocol.table import AUDIO_FORMATS
from engine.spec import BridgeError

_FRAMES = st.builds(
    BinaryFrame,
    kind=st.sampled_from(["preview", "stream", "upload"]),
    stream=st.integers(0, 2**32 - 1),
    offset=st.integers(0, 2**64 - 1),
    data=st.binary(max_size=32),
    last=st.booleans(),
    revision=st.integers(0, 2**32 - 1),
    sample_rate_hz=st.integers(0, 2**32 - 1),
    channels=st.integers(0, 2**16 - 1),
    format=st.sampled_from(AUDIO_FORMATS),
)


@given(_FRAMES)
def test_frames_round_trip(frame: BinaryFrame) -> None:
    assert decode_binary(frame.encode()) == frame


def test_header_can_be_read_from_the_published_table_alone() -> None:
    table = json.loads(protocol_json())["binary"]
    form = "<" + "".join(part["type"] for part in table["header"])
    assert struct.calcsize(form) == HEADER_BYTES == 32
    frame = BinaryFrame("stream", 7, 480, b"data", last=True, sample_rate_hz=48_000, channels=2)
    names = [part["name"] for part in table["header"]]
    read = dict(zip(names, struct.unpack_from(form, frame.encode()), strict=True))
    assert read["magic"].decode() == table["magic"]
    assert read["kind"] == table["kinds"]["stream"]
    assert read["format"] == table["formats"]["float32"]
    assert (read["stream"], read["offset"], read["flags"]) == (7, 480, table["flags"]["last"])


@given(st.binary(max_size=64))
def test_random_frames_give_documented_errors_only(data: bytes) -> None:
    for candidate in (data, b"DAWB" + data, b"DAWB\x01" + data):
        with contextlib.suppress(BridgeError):
            decode_binary(candidate)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("length", [0, 1, 5, 40_000, CHUNK_BYTES // 4 + 1])
def test_split_preview_is_the_preview(channels: int, length: int) -> None:
    pcm = bytes(range(256)) * (length * channels * 4 // 256) + bytes(length * channels * 4 % 256)
    frames = list(split_preview(3, 1, 100, 48_000, channels, pcm))
    assert b"".join(frame.data for frame in frames) == pcm
    assert [frame.last for frame in frames] == [False] * (len(frames) - 1) + [True]
    position = 100
    for frame in frames:
        assert frame.offset == position
        assert len(frame.encode()) <= CHUNK_BYTES + HEADER_BYTES
        position += len(frame.data) // (4 * channels)
