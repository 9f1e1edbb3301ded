"""The documents are true to the code, as far as a machine can tell."""

from __future__ import annotations

import re
from argparse import _SubParsersAction
from pathlib import Path

import pytest

from daw_bridge import __version__
from daw_bridge.commands.arguments import PLACEMENT_FIELDS, build_parser, flag_name
from engine.files.audio import MAX_SECONDS, MIN_SECONDS
from engine.spec import FIELD_BY_NAME, FIELDS
from engine.tasks import clips, pulse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:engine|daw_bridge|scripts|tests|plugins|docs)/[\w./]*)`", text):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_readme_tells_of_every_command_and_of_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text.replace("\\|", "/"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    (commands,) = (a for a in build_parser()._actions if isinstance(a, _SubParsersAction))
    assert told == set(commands.choices)


def test_readme_flags_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    fields = {flag_name(item.name) for item in (*FIELDS, *PLACEMENT_FIELDS)}
    others = {"--out", "--report", "--plot", "--json", "--help"}
    assert set(re.findall(r"--[a-z][\w-]+", text)) <= fields | others


def test_changelog_ends_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest, *_) = re.findall(r"^## \[([\d.]+)\]", text, re.MULTILINE)
    assert newest == __version__


def test_speed_page_was_written_by_the_script() -> None:
    page = ROOT / "docs" / "speed.md"
    text = page.read_text(encoding="utf-8")
    assert "Written by `./scripts/bench`" in text
    assert "not measured" not in text


def test_benchmark_page_was_written_by_the_script() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "Written by `./scripts/bench_ditto`" in text


def test_lengths_are_those_that_the_engine_takes() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"from {MIN_SECONDS:g} s to {MAX_SECONDS / 60:g} minutes" in readme
    assert f"`melody` and `generate` make {pulse.LONGEST_RESULT_S:g} s at most" in readme
    assert f"`extend` adds {clips.LONGEST_NEW_S:g} s at most" in readme
    assert f"lasts at most {clips.LONGEST_RESULT_S:g} s" in readme
    said = FIELD_BY_NAME["seconds"].doc
    assert f"melody and generate at most {pulse.LONGEST_RESULT_S:g} s" in said
