"""Cache keys: equal requests agree, anything that changes the sound does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cache import cache_key, canonical_json
from engine.spec import RenderRequest

BASE = {"task": "extend", "source": "a.wav", "seconds": 6}


def key(request: dict[str, object], source: str = "s", model: str = "m", code: str = "1") -> str:
    asked = RenderRequest.from_mapping(request).to_mapping()
    return cache_key(source, asked, model, code).digest


def test_paths_do_not_count() -> None:
    assert key(BASE) == key(BASE | {"source": "/elsewhere/b.flac"})


def test_a_number_counts_by_its_value() -> None:
    assert key(BASE) == key(BASE | {"seconds": 6.0}) == key(BASE | {"seconds": "6"})


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"seconds": 6.001}, {"prompt": "soft"}, {"variation": 0.0}]
)
def test_every_other_field_counts(change: dict[str, object]) -> None:
    assert key(BASE) != key(BASE | change)


def test_source_model_and_code_count() -> None:
    keys = {
        key(BASE),
        key(BASE, source="t"),
        key(BASE, model="n"),
        key(BASE, code="2"),
        # Parts must not run into each other.
        key(BASE, source="sm", model=""),
    }
    assert len(keys) == 5


def test_key_carries_its_parts() -> None:
    found = cache_key("s", {"task": "loop"}, "m", "1")
    assert (found.source_digest, found.model_digest, found.task) == ("s", "m", "loop")
    assert len(found.digest) == 64


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_order_of_names_does_not_count(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(turned)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": math.nan})
    with pytest.raises(TypeError, match="set"):
        canonical_json({"x": {1}})
