"""Words of a request as conditions of the model."""

from __future__ import annotations

import pytest

from engine.models.studio import Words
from engine.sketch.score import Key
from engine.spec import BridgeError, RenderRequest
from engine.tasks.words import read_key, unused_wishes, words_of


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


def _told(**fields: str) -> tuple[Words, list[str]]:
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": "a.wav", "seconds": 1, **fields}
    )
    words, reading = words_of(request, 1.5, 97.0)
    assert (words.bpm, words.seconds, words.edits) == (97.0, 1.5, True)
    assert words.prompt == fields.get("prompt", "")
    return words, reading.unknown


def test_silence_says_nothing() -> None:
    words, unknown = _told()
    assert (words.key, words.roles, words.style, words.mood, unknown) == (None,) * 4 + ([],)


def test_a_key_that_is_heard_is_told_where_nobody_says_one() -> None:
    heard = Key(2, "minor")
    for asked, told in (({}, "D minor"), ({"prompt": "in G"}, "G major")):
        request = RenderRequest.from_mapping(
            {"task": "extend", "source": "a.wav", "seconds": 1, **asked}
        )
        words, _ = words_of(request, 1.0, None, heard)
        assert (words.key, words.bpm) == (told, None)


def test_mood_and_instruments_of_a_prompt_are_told() -> None:
    request = RenderRequest.from_mapping(
        {"task": "extend", "source": "a.wav", "seconds": 1, "prompt": "sad rhodes, slow"}
    )
    words, reading = words_of(request, 1.0, None)
    assert (words.mood, words.programs) == ("sad", {"chords": 4})
    assert unused_wishes(reading) == ["pace"]


def test_the_key_asked_for_outranks_the_prompt() -> None:
    words, unknown = _told(key="C major", prompt="in D minor, no drums, zorgle")
    assert words.key == "C major"
    assert words.roles == ("bass", "chords", "lead")
    assert unknown == ["zorgle"]
