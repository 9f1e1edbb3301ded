"""Prompts are read into wishes, and what is not understood is handed back."""

from __future__ import annotations

import numpy as np
import pytest

from engine.sketch import lexicon
from engine.sketch.prompt import Reading, read_prompt, sketch_from_prompt
from engine.sketch.score import Key
from engine.sketch.styles import MOODS, STYLES


@pytest.mark.parametrize(
    ("prompt", "wishes"),
    [
        (
            "slow funk in A minor with rhodes, no drums",
            {"style": "funk", "key": Key(9, "minor"), "pace": 0.12, "programs": {"chords": 4},
             "roles": ("bass", "chords", "lead")},
        ),
        ("Drum and bass 174 bpm dark", {"style": "dnb", "tempo_bpm": 174.0, "mood": "dark"}),
        ("solo piano ballad in a minor key 6/8",
         {"style": "ballad", "mode": "minor", "metre": (6, 8), "roles": ("chords",),
          "programs": {"chords": 0}}),
        ("drums and bass only, rock", {"style": "rock", "roles": ("drums", "bass")}),
        ("House 124bpm F#m", {"style": "house", "tempo_bpm": 124.0, "key": Key(6, "minor")}),
        ("hip-hop in Bb dorian", {"style": "hiphop", "key": Key(10, "dorian")}),
        ("folk in C at 3/4", {"style": "folk", "key": Key(0, "major"), "metre": (3, 4)}),
        ("piano and guitar", {"programs": {"chords": 0, "lead": 25}}),
        ("G flat major", {"key": Key(6, "major")}),
        ("", {}),
    ],
)  # fmt: skip
def test_what_is_understood(prompt: str, wishes: dict[str, object]) -> None:
    expected = Reading(**wishes)  # type: ignore[arg-type]
    assert read_prompt(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("gritty house with crunchy drums", ["gritty", "crunchy"]),
        ("samba, no flute", ["no flute"]),
        ("rock techno", ["techno"]),
        ("pop at 999 bpm", ["999"]),
        ("qwertz", ["qwertz"]),
    ],
)
def test_what_is_not_understood_is_handed_back(prompt: str, unknown: list[str]) -> None:
    assert read_prompt(prompt).unknown == unknown
    _, returned = sketch_from_prompt(prompt, rng=np.random.default_rng(0), length_beats=4.0)
    assert returned == unknown


def test_the_lexicon_names_what_exists() -> None:
    assert set(lexicon.STYLE_WORDS.values()) <= set(STYLES)
    assert set(STYLES) <= set(lexicon.STYLE_WORDS)
    assert set(lexicon.MOOD_WORDS.values()) == set(MOODS)
    for word in (*lexicon.STYLE_WORDS, *lexicon.INSTRUMENT_WORDS, *lexicon.MOOD_WORDS):
        assert read_prompt(word).unknown == [], word


@pytest.mark.parametrize("length_s", [0.5, 5.94, 12.0])
def test_lengths_in_seconds(length_s: float) -> None:
    piece, _ = sketch_from_prompt("jazz", rng=np.random.default_rng(1), length_s=length_s)
    assert piece.length_s == pytest.approx(length_s)


def test_arguments_outrank_the_prompt() -> None:
    piece, _ = sketch_from_prompt(
        "techno 130 bpm in D minor 4/4", rng=np.random.default_rng(1), tempo_bpm=99.0,
        metre=(3, 4), key=Key(0, "major"), roles=("drums",),
    )  # fmt: skip
    assert (piece.tempo_bpm, piece.metre, piece.key) == (99.0, (3, 4), Key(0, "major"))
    assert [part.role for part in piece.parts] == ["drums"]
    assert piece.style == "techno"


def test_lengths_are_checked() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="not both"):
        sketch_from_prompt("pop", rng=rng, length_s=3.0, length_beats=3.0)
    with pytest.raises(ValueError, match="above 0"):
        sketch_from_prompt("pop", rng=rng, length_s=0.0)
