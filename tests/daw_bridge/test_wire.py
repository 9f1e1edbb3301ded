from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spec import BridgeError
from engine.wire import MAX_JSON_BYTES, MAX_PAYLOAD_BYTES, FrameDecoder, encode_frame

_MESSAGES = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    max_size=5,
)


@given(st.lists(st.tuples(_MESSAGES, st.binary(max_size=64)), max_size=5), st.data())
def test_frames_survive_any_cut(
    frames: list[tuple[dict[str, object], bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(message, payload) for message, payload in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = FrameDecoder()
    read: list[tuple[dict[str, object], bytes]] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += decoder.feed(stream[start:stop])
    assert read == frames
    assert decoder.pending_bytes == 0


@pytest.mark.parametrize("head", [(MAX_JSON_BYTES + 1, 0), (2, MAX_PAYLOAD_BYTES + 1)])
def test_frame_over_a_limit_is_refused_before_it_is_read(head: tuple[int, int]) -> None:
    with pytest.raises(BridgeError) as caught:
        list(FrameDecoder().feed(struct.pack("<II", *head)))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"\xff\xff", b"[" * 50_000])
def test_frame_without_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(BridgeError) as caught:
        list(FrameDecoder().feed(struct.pack("<II", len(body), 0) + body))
    assert caught.value.code == "bad_message"


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(BridgeError) as caught:
        encode_frame({"value": object()})
    assert caught.value.code == "bad_message"


def test_figures_that_are_no_number_become_null() -> None:
    """A render must not be lost because silence has a loudness of minus infinity."""
    frame = encode_frame({"report": {"loudness_lufs": float("-inf"), "seams": [float("nan"), 1]}})
    ((message, _),) = FrameDecoder().feed(frame)
    assert message == {"report": {"loudness_lufs": None, "seams": [None, 1]}}


def test_layout_is_as_documented() -> None:
    body = json.dumps({"op": "ping"}, separators=(",", ":")).encode()
    assert encode_frame({"op": "ping"}, b"pcm") == struct.pack("<II", len(body), 3) + body + b"pcm"
