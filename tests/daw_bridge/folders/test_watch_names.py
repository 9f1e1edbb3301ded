"""Names, links and paths around `daw-bridge watch`: long ones, foreign ones, hostile ones."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.folders.watchers import (
    CLIP,
    CountingEngine,
    Once,
    jobs_of,
)
from tests.daw_bridge.served import served


def _longest(words: str) -> str:
    """A name of 255 bytes, the most that a file can have here."""
    room = 255 - len(words)
    return "ü" * (room // 2) + "x" * (room % 2) + words


def test_the_longest_names_come_back_by_shorter_ones(folder: Path, once: Once) -> None:
    names = [
        _longest(".extend-0.1s.wav"),
        _longest(".extend-0.1s-seed=2.flac"),
        _longest(".generate-0.1s-stems=yes-roles=drums,chords.txt"),
        _longest(".extend-4bras.wav"),
    ]
    for name in names:
        (folder / name).write_bytes(CLIP if not name.endswith("txt") else b"house")
    results = once()
    assert once() == []
    assert len(results) == len(names)
    assert sum("error" in result for result in results) == 1
    left = sorted(path.name for path in folder.iterdir() if path.name not in names)
    begins = re.compile(r"^(ü{90,}x?~[0-9a-f]{8})\.(take(-drums|-chords)?\.wav|error\.txt)$")
    found = [begins.match(name) for name in left]
    assert all(found)
    assert len({match[1] for match in found if match}) == len(names)
    ends = [match[2] for match in found if match]
    assert sorted(ends) == [
        "error.txt", "take-chords.wav", "take-drums.wav", "take.wav", "take.wav", "take.wav"
    ]  # fmt: skip
    assert names[3] in next(folder.glob("*.error.txt")).read_text("utf-8")


def test_a_name_that_is_not_unicode_is_refused_as_any_other(folder: Path, once: Once) -> None:
    name = os.fsdecode(b"x\xff.extend-4bras.wav")
    (folder / name).write_bytes(CLIP)
    assert len(once()) == 1
    told = (folder / os.fsdecode(b"x\xff.extend-4bras.error.txt")).read_text("utf-8")
    assert "x\\udcff.extend-4bras.wav" in told
    assert once() == []


def test_a_link_where_the_take_would_go_stays(folder: Path, once: Once) -> None:
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    link = folder / "x.extend-0.1s.take.wav"
    link.symlink_to(folder / "none.wav")
    (result,) = once()
    assert result["take"].endswith(".take-2.wav")
    assert link.is_symlink()


def test_links_are_refused_and_not_followed(
    folder: Path, once: Once, engine: CountingEngine
) -> None:
    outside = folder.parent / "outside.wav"
    outside.write_bytes(CLIP)
    words = folder.parent / "words.txt"
    words.write_text("a secret")
    (folder / "x.extend-0.1s.wav").symlink_to(outside)
    (folder / "y.generate-0.1s.txt").symlink_to(words)
    (folder / "z.extend-0.1s.wav").symlink_to(folder / "none.wav")
    (folder / "plain.wav").symlink_to(outside)
    results = once()
    assert [result["error"].partition(" (")[0] for result in results] == [
        "x.extend-0.1s.wav is a link",
        "y.generate-0.1s.txt is a link",
        "z.extend-0.1s.wav is a link",
    ]
    assert "put the file itself into the folder" in (folder / "x.extend-0.1s.error.txt").read_text()
    assert engine.renders == 0
    assert once() == []
    (folder / "x.extend-0.1s.wav").unlink()
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    assert "take" in once()[0]


def test_each_file_has_a_slot_of_its_own(folder: Path, make_config: MakeConfig, once: Once) -> None:
    """Long names that begin alike do not supersede each other; a file that was changed does."""
    begin = "x" * 200
    sources = [folder / f"{begin}{letter}.extend-0.1s.wav" for letter in "ab"]
    config = make_config()
    with served(config):
        for source in sources:
            source.write_bytes(CLIP)
        assert len(once()) == 2
        sources[0].write_bytes(CLIP + b"\0\0")
        assert len(once()) == 1
        jobs = {Path(job["request"]["source"]).name: set[str]() for job in jobs_of(config)}
        for job in jobs_of(config):
            jobs[Path(job["request"]["source"]).name].add(job["slot"])
    assert [len(slots) for slots in jobs.values()] == [1, 1]
    assert len(set.union(*jobs.values())) == 2
