"""Integers as float32 by libsndfile, beside exact fractions."""

from __future__ import annotations

import struct
from random import Random

import pytest

from daw_bridge import sndfile
from daw_bridge.takes import wav

needs_library = pytest.mark.skipif(sndfile.find_library() is None, reason="no libsndfile here")


def _edges_and_others(bits: int) -> list[int]:
    top = 1 << (bits - 1)
    random = Random(bits)
    return [-top, -1, 0, 1, top - 1, *(random.randrange(-top, top) for _ in range(20_000))]


@needs_library
@pytest.mark.parametrize("bits", [16, 24])
def test_every_integer_is_its_fraction(bits: int) -> None:
    values = _edges_and_others(bits)
    raw = b"".join(value.to_bytes(bits // 8, "little", signed=True) for value in values)
    floats = sndfile.floats_of(raw, bits)
    assert floats == struct.pack(f"<{len(values)}f", *(v / (1 << (bits - 1)) for v in values))


@pytest.mark.parametrize("bits", [16, 24])
def test_the_way_without_the_library_is_the_same(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"".join(v.to_bytes(bits // 8, "little", signed=True) for v in _edges_and_others(bits))
    convert = wav._CONVERTERS["i", bits]
    with_library = convert(raw)
    monkeypatch.setattr(sndfile, "find_library", lambda: None)
    assert sndfile.floats_of(raw, bits) is None
    assert convert(raw) == with_library


def test_nothing_stays_nothing() -> None:
    assert wav._CONVERTERS["i", 24](b"") == b""
