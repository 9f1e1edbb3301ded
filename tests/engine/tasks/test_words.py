"""Words of a request as conditions of the model."""

from __future__ import annotations

import pytest

from engine.sketch.score import Key
from engine.sketch.styles import MOODS
from engine.spec import BridgeError, RenderRequest
from engine.tasks.words import (
    key_index,
    mood_index,
    read_key,
    style_index,
    told_conditions,
    unused_wishes,
)
from tests.engine.fake_model import fake_model

FAKE, MODEL = fake_model()
SHAPE = FAKE.network.shape


@pytest.mark.parametrize(
    ("text", "key"),
    [("A minor", Key(9, "minor")), ("Eb", Key(3, "major")), ("F# dorian", Key(6, "dorian")),
     ("Bbm", Key(10, "minor"))],
)  # fmt: skip
def test_keys_are_read(text: str, key: Key) -> None:
    assert read_key(text) == key


def test_no_key_is_no_key() -> None:
    assert read_key(None) is None
    with pytest.raises(BridgeError, match="is no key"):
        read_key("H moll")


def _conditions(**fields: str) -> tuple[list[int], list[int], list[str]]:
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": "a.wav", "seconds": 1, **fields}
    )
    conditions, reading = told_conditions(request, MODEL, 97.0)
    assert conditions.tempo_bpm.tolist() == [97.0]
    return conditions.key.tolist(), conditions.roles[0].tolist(), reading.unknown


def test_silence_says_nothing() -> None:
    assert _conditions() == ([SHAPE.keys], [2, 2, 2, 2], [])


def test_a_key_that_is_heard_is_told_where_nobody_says_one() -> None:
    heard = Key(2, "minor")
    for asked, told in (({}, heard), ({"prompt": "in G"}, Key(7, "major"))):
        request = RenderRequest.from_mapping(
            {"task": "extend", "source": "a.wav", "seconds": 1, **asked}
        )
        conditions, _ = told_conditions(request, MODEL, None, heard)
        assert conditions.key.tolist() == [key_index(told, MODEL)]
        assert conditions.tempo_bpm.tolist() == [0.0]


def test_mood_and_instruments_of_a_prompt_are_told() -> None:
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": "a.wav", "seconds": 1, "prompt": "sad rhodes, slow"}
    )
    conditions, reading = told_conditions(request, MODEL, None)
    assert conditions.mood.tolist() == [MOODS.index("sad")]
    unknown = SHAPE.programs
    assert conditions.programs.tolist() == [[unknown, unknown, 4, unknown]]
    assert unused_wishes(reading) == ["pace"]


def test_the_key_asked_for_outranks_the_prompt() -> None:
    key, roles, unknown = _conditions(key="C major", prompt="in D minor, no drums, zorgle")
    assert key == [key_index(Key(0, "major"), MODEL)]
    assert roles == [0, 1, 1, 1]
    assert unknown == ["zorgle"]


def test_words_are_counted_as_the_weights_were_told_them() -> None:
    fake, model = fake_model()
    fake.vocabulary = {"styles": ("waltz", "folk"), "moods": ("sad",), "modes": ("minor", "major")}
    assert [style_index(name, model) for name in ("folk", "house", None)] == [1, 32, 32]
    assert [mood_index(name, model) for name in ("sad", "happy", None)] == [0, 16, 16]
    keys = (Key(3, "minor"), Key(3, "major"), Key(3, "dorian"), None)
    assert [key_index(key, model) for key in keys] == [3, 15, 96, 96]
