"""OSC packets on a byte stream, cut anywhere."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daw_bridge.protocol.framing import Framing, SizedFraming, SlipFraming, framing_of
from engine.spec import BridgeError

LIMIT = 64
_PACKETS = st.lists(
    st.lists(st.sampled_from([0, 47, 0xC0, 0xDB, 0xDC, 0xDD]), min_size=1, max_size=LIMIT).map(
        bytes
    ),
    max_size=5,
)


def feed(framing: Framing, stream: bytes, cuts: list[int]) -> list[bytes | BridgeError]:
    read: list[bytes | BridgeError] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += framing.feed(stream[start:stop])
    return read


@pytest.mark.parametrize("kind", [SlipFraming, SizedFraming])
@given(packets=_PACKETS, data=st.data())
def test_packets_survive_any_cut(
    kind: type[SlipFraming | SizedFraming], packets: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(kind(LIMIT).wrap(packet) for packet in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    assert feed(kind(LIMIT), stream, cuts) == packets


def test_slip_is_that_of_the_standard() -> None:
    """RFC 1055, framed on both sides as OSC 1.1 asks."""
    assert SlipFraming(LIMIT).wrap(b"a\xc0b\xdbc") == b"\xc0a\xdb\xdcb\xdb\xddc\xc0"
    # One END between two packets, and many, are as good as two.
    assert list(SlipFraming(LIMIT).feed(b"/a\xc0/b\xc0\xc0\xc0\xc0/c\xc0/d")) == [
        b"/a",
        b"/b",
        b"/c",
    ]


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT + 1, 10 * LIMIT])
@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_packet_over_the_limit_is_told_once_and_left_out(size: int, step: int) -> None:
    stream = b"\xc0" + b"x" * size + b"\xc0/next\xc0"
    framing = SlipFraming(LIMIT)
    read = feed(framing, stream, list(range(step, len(stream), step)))
    assert isinstance(read[0], BridgeError)
    assert read[0].code == "too_large"
    assert read[1:] == [b"/next"]


def test_wrong_escape_is_told_and_left_out() -> None:
    for bad in (b"a\xdbb", b"a\xdb"):
        error, packet = SlipFraming(LIMIT).feed(b"\xc0" + bad + b"\xc0/next\xc0")
        assert isinstance(error, BridgeError)
        assert error.code == "bad_message"
        assert packet == b"/next"


def test_size_over_the_limit_ends_it() -> None:
    for size in (LIMIT + 1, 2**32 - 1):
        with pytest.raises(BridgeError) as caught:
            list(SizedFraming(LIMIT).feed(struct.pack(">I", size)))
        assert caught.value.code == "too_large"


def test_first_byte_tells_the_framing() -> None:
    assert isinstance(framing_of(0xC0, LIMIT), SlipFraming)
    for start in b"/#":
        assert isinstance(framing_of(start, LIMIT), SlipFraming)
    assert isinstance(framing_of(0, LIMIT), SizedFraming)
    for request in (b"GET / HTTP/1.1", b"POST", b"\x16\x03\x01", b"{"):
        with pytest.raises(BridgeError, match="no OSC"):
            framing_of(request[0], LIMIT)


@given(st.binary(max_size=300))
@example(b"\xdb" * 300)
def test_random_bytes_give_documented_errors_and_no_growth(data: bytes) -> None:
    for framing in (SlipFraming(LIMIT), SizedFraming(LIMIT)):
        try:
            for packet in framing.feed(data):
                assert isinstance(packet, BridgeError) or len(packet) <= LIMIT
        except BridgeError:
            assert isinstance(framing, SizedFraming)
        assert len(framing._buffer) <= max(2 * LIMIT, len(data) * isinstance(framing, SizedFraming))
