"""Sizes of takes against a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daw_bridge.takes.sizes import Sizes


@given(
    st.lists(st.tuples(st.integers(1, 10**9 - 1), st.integers(1, 2**40)), unique_by=lambda i: i[0]),
    st.sets(st.integers(0, 100)),
)
def test_they_are_those_of_a_dictionary(items: list[tuple[int, int]], gone: set[int]) -> None:
    sizes, expected = Sizes(), dict(items)
    for number, size_bytes in items:
        assert sizes.get(number) is None
        sizes.note(number, size_bytes)
    assert len(sizes) == len(expected)
    present = {number for place, number in enumerate(expected) if place not in gone}
    sizes.forget_all_but(present)
    assert len(sizes) == len(present)
    for number, size_bytes in items:
        assert sizes.get(number) == (size_bytes if number in present else None)
