"""Typing into REAPER's panel, with keys and the mouse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.plugins.reaper.stage import ENTER, ESCAPE, use

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed"),
]
BACKSPACE, SPACE = 8, 32


def test_settings_are_typed_and_ticked(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.click("Bars", 60)
        ui.keys({BACKSPACE}, "8"); ui.tab(1)
        ui.keys("0.3"); ui.tab(1)
        ui.keys("ewe Ω é", {ENTER})
        ui.click("Markers as structure")
        ui.tab(12); ui.keys({SPACE})
        ui.keys({ESCAPE})""",
    )
    assert (after["saved_bars"], after["saved_variation"]) == ("8", "0.3")
    assert after["saved_prompt"] == "ewe Ω é"
    assert (after["saved_structure"], after["saved_intensity"]) == ("y", "y")
    assert (after["line"], after["message"], after["commands"]) == ("", "", "")


def test_keys_of_a_line_of_text(place: Path, tmp_path: Path) -> None:
    keys = {name: int.from_bytes(name.encode(), "big") for name in ("left", "rght", "home", "end")}
    delete = int.from_bytes(b"del", "big")
    after = use(
        place,
        tmp_path,
        f"""
        ui.click("Prompt", 60)
        ui.keys("bcx", {keys["left"]}, {delete}, {keys["home"]}, "a", {keys["end"]}, "d", {ENTER})
        ui.keys({keys["rght"]}, {ESCAPE})""",
    )
    assert after["saved_prompt"] == "abcd"


def test_a_click_puts_the_caret(place: Path, tmp_path: Path) -> None:
    user = f'ui.turns(2); ui.click("abcd"); ui.keys("-", {ENTER}, {ESCAPE})'
    after = use(place, tmp_path, user, settings={"prompt": "abcd"})
    assert after["saved_prompt"] == "ab-cd"


def test_a_fine_screen_gets_larger_letters(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.turns(2)
        ui.note("size", ui.find("Extend").h)
        ui.click("Vary"); ui.wait("enough")
        ui.click("Dock"); ui.wait("Float")
        ui.keys({ESCAPE})""",
        answer='{"error": {"message": "enough"}}',
        scale=2.0,
    )
    assert float(after["size"]) > 28
    assert after["window"] == "1 680 840"


def test_a_long_prompt_keeps_its_caret_in_sight(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.click("Prompt", 60)
        ui.keys(("low drums "):rep(8) .. "END")
        ui.note("end", ui.find("END").text)
        ui.keys({int.from_bytes(b"home", "big")}); ui.keys("START ")
        ui.note("start", ui.find("START").text)
        ui.keys({ENTER}, {ESCAPE})""",
    )
    assert after["end"].endswith("END")
    assert len(after["end"]) < 60
    assert after["saved_prompt"] == "START " + "low drums " * 8 + "END"


def test_escape_leaves_what_is_typed_before_it_closes(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.click("Prompt", 60)
        ui.keys(" loud"); ui.find("soft loud")
        ui.keys({ESCAPE})
        ui.turns(3)
        assert(ui.window.is_open); ui.find("soft"); assert(not ui.seen():find("loud"))
        ui.keys({ESCAPE})""",
        settings={"prompt": "soft"},
    )
    assert after["saved_prompt"] == "soft"


def test_what_was_typed_counts_for_a_task_that_is_clicked(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.click("Prompt", 60); ui.keys("loud")
        ui.click("Vary"); ui.wait("enough")
        ui.keys({ESCAPE})""",
        answer='{"error": {"message": "enough"}}',
    )
    assert '"--prompt=loud"' in after["line"]


def test_tab_goes_round_and_shift_back(place: Path, tmp_path: Path) -> None:
    # Six tasks, four fields, two ticks, the dock: Tab 10 is the last field, Shift-Tab before it.
    after = use(
        place,
        tmp_path,
        f"""
        ui.tab(10); ui.keys("3"); ui.tab(1, true); ui.keys("pad"); ui.tab(1); ui.keys({ENTER})
        ui.tab(13); ui.tab(7); ui.keys("2", {ENTER})
        ui.keys({SPACE}, {ESCAPE})""",
    )
    assert (after["saved_refine"], after["saved_prompt"]) == ("3", "pad")
    assert after["saved_bars"] == "42"
    assert after["commands"] == "40044"  # blank without a focus plays, as it does in REAPER
