"""The notes of a MIDI item as REAPER's action sends them, loops included, and their length."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import mido
import pytest

from tests.plugins.reaper.stage import act, tmp_path_of

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed"),
]

BEAT = 960
# A source of four beats at 120 bpm: a note on its first and its third beat, and one on its last
# that is held beyond its end.
NOTES = [[0, BEAT, 60], [2 * BEAT, 3 * BEAT, 64], [3 * BEAT, 5 * BEAT, 67]]
LOOPED = {"is_looped": True, "source_quarters": 4, "source_length_s": 2.0, "notes": NOTES}
IN_SECONDS = {"is_looped": True, "source_length_s": 2.0, "notes": NOTES}


def sent(place: Path, tmp_path: Path, **scene: Any) -> tuple[list[tuple[float, float, int]], float]:
    """The notes that go out, as beats from the item's start, and where the file ends."""
    after = act(place, tmp_path, "melody", answer='{"error": {"message": "enough"}}', **scene)
    assert after["message"] == "enough"
    (path,) = tmp_path_of(place, tmp_path).rglob("*-melody.mid")
    (track,) = mido.MidiFile(path).tracks
    now, sounding, notes = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on":
            assert message.note not in sounding
            sounding[message.note] = now
        elif message.type == "note_off":
            start = sounding.pop(message.note)
            notes.append((start / BEAT, now / BEAT, message.note))
    assert not sounding
    return sorted(notes), now / BEAT


@pytest.mark.parametrize("source", [LOOPED, IN_SECONDS], ids=["in quarters", "in seconds"])
def test_every_pass_of_a_looped_item_goes_out(
    place: Path, tmp_path: Path, source: dict[str, Any]
) -> None:
    notes, end = sent(place, tmp_path, length_s=5.5, **source)  # two passes and three beats
    first = [(0, 1, 60), (2, 3, 64), (3, 4, 67)]
    again = [(start + 4, stop + 4, pitch) for start, stop, pitch in first]
    assert notes == [*first, *again, (8, 9, 60), (10, 11, 64)]
    assert end == 11


def test_a_looped_item_is_cut_at_its_end(place: Path, tmp_path: Path) -> None:
    notes, end = sent(place, tmp_path, length_s=3.25, **LOOPED)
    assert notes[-1] == (6, 6.5, 64)
    assert end == 6.5


def test_what_lies_before_the_items_start_belongs_to_later_passes(
    place: Path, tmp_path: Path
) -> None:
    notes, end = sent(place, tmp_path, offset_s=1.0, length_s=3.0, **LOOPED)
    assert notes == [(0, 1, 64), (1, 2, 67), (2, 3, 60), (4, 5, 64), (5, 6, 67)]
    assert end == 6


@pytest.mark.parametrize("offset_s", [4.5, -1.5])
def test_an_item_may_begin_in_any_pass(place: Path, tmp_path: Path, offset_s: float) -> None:
    notes, _ = sent(place, tmp_path, offset_s=offset_s, length_s=2.0, **LOOPED)
    # It begins with the second beat of the source, in which nothing sounds.
    assert notes == [(1, 2, 64), (2, 3, 67), (3, 4, 60)]


def test_a_pass_lasts_as_long_as_it_plays(place: Path, tmp_path: Path) -> None:
    notes, end = sent(place, tmp_path, rate=2, length_s=2.5, **LOOPED)
    first = [(0, 0.5, 60), (1, 1.5, 64), (1.5, 2, 67)]
    again = [(start + 2, stop + 2, pitch) for start, stop, pitch in first]
    assert notes == [*first, *again, (4, 4.5, 60)]
    assert end == 5


def test_an_item_that_is_not_looped_is_sent_once(place: Path, tmp_path: Path) -> None:
    notes, end = sent(place, tmp_path, length_s=6.0, **LOOPED | {"is_looped": False})
    assert notes == [(0, 1, 60), (2, 3, 64), (3, 5, 67)]
    assert end == 12


def test_an_accompaniment_is_as_long_as_its_item(place: Path, tmp_path: Path) -> None:
    answer, settings = '{"error": {"message": "enough"}}', {"bars": "4"}
    after = act(
        place, tmp_path, "melody", length_s=32.0, answer=answer, settings=settings, **LOOPED
    )
    told = dict(re.findall(r'"--([a-z-]+)=([^"]*)"', after["line"]))
    assert (told["seconds"], "bars" in told) == ("32", False)
