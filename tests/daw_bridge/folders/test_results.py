"""What a watched folder gets back: takes that belong together, and refusals of their own files."""

from __future__ import annotations

from pathlib import Path

from daw_bridge.commands.result import publish
from daw_bridge.folders.results import put_error, take_back_error
from engine.spec import BridgeError
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.folders.watchers import CLIP, CountingEngine, Once, Watching, takes_of

SONG = "song.generate-0.1s-stems=yes-roles=drums,bass"


def _files_of(take: str, folder: Path) -> dict[str, bytes]:
    return {
        part: (folder / f"{SONG}.{take}{part}.wav").read_bytes() for part in ("", "-drums", "-bass")
    }


def test_a_mix_never_stands_beside_the_stems_of_another_take(folder: Path, once: Once) -> None:
    (folder / f"{SONG}.txt").write_text("house")
    once()
    first = _files_of("take", folder)
    (folder / f"{SONG}.take.wav").unlink()
    (folder / "song.json").write_text('{"seed": 5}')
    (result,) = once()
    assert result["take"].endswith(".take-2.wav")
    second = _files_of("take-2", folder)
    assert all(second[part] != first[part] for part in first)
    assert not (folder / f"{SONG}.take.wav").exists()
    for part in ("-drums", "-bass"):
        assert (folder / f"{SONG}.take{part}.wav").read_bytes() == first[part]


def test_a_take_without_stems_does_not_stand_beside_those_of_another(
    folder: Path, once: Once
) -> None:
    """They would be taken for its own."""
    song = folder / "song.generate-0.1s.txt"
    song.write_text("house")
    (folder / "song.json").write_text('{"stems": true, "roles": ["drums"]}')
    once()
    song.with_suffix(".take.wav").unlink()
    (folder / "song.json").write_text('{"seed": 5}')
    (result,) = once()
    assert result["take"].endswith(".take-2.wav")


def test_a_stem_of_the_musicians_own_is_left_alone_and_none_is_missing(
    folder: Path, once: Once
) -> None:
    (folder / f"{SONG}.take-bass.wav").write_bytes(b"mine")
    (folder / f"{SONG}.take-2-drums.wav").symlink_to(folder / "none.wav")
    (folder / f"{SONG}.txt").write_text("house")
    (result,) = once()
    assert result["take"].endswith(".take-3.wav")
    assert len(set(_files_of("take-3", folder).values())) == 3
    assert (folder / f"{SONG}.take-bass.wav").read_bytes() == b"mine"
    assert (folder / f"{SONG}.take-2-drums.wav").is_symlink()
    assert not (folder / f"{SONG}.take-drums.wav").exists()


def test_a_take_of_which_a_part_was_copied_goes_on_by_its_number(
    folder: Path, make_config: MakeConfig, once: Once, engine: CountingEngine
) -> None:
    """Killed in the midst of it, the ledger knows nothing."""
    (folder / f"{SONG}.txt").write_text("house")
    once()
    whole = _files_of("take", folder)
    (folder / f"{SONG}.take-bass.wav").unlink()
    for ledger in (make_config().data_dir / "watch").glob("*.json"):
        ledger.unlink()
    (result,) = once()
    assert result["take"].endswith(".take.wav")
    assert _files_of("take", folder) == whole
    assert list(folder.glob("*take-2*")) == []
    assert len(takes_of(make_config())) == engine.renders


def test_the_success_of_one_file_leaves_the_refusal_of_another(
    folder: Path, make_config: MakeConfig, engine: CountingEngine
) -> None:
    """`x.wav` and `x.flac` share the name of their refusal."""
    told = folder / "x.extend-0.1s.error.txt"
    watcher = Watching(folder, make_config(), engine)
    flac = folder / "x.extend-0.1s.flac"
    flac.symlink_to(folder / "none.flac")
    watcher.look()
    refusal = told.read_text("utf-8")
    assert refusal.endswith("(x.extend-0.1s.flac, forbidden)\n")
    (folder / "x.extend-0.1s.wav").write_bytes(CLIP)
    assert watcher.look()[-1] == "x.extend-0.1s.wav: x.extend-0.1s.take.wav"
    assert told.read_text("utf-8") == refusal
    flac.unlink()
    flac.write_bytes(CLIP + b"\0\0")
    watcher.look()
    assert not told.exists()


def test_refusals_of_two_files_stand_together(folder: Path) -> None:
    sources = [folder / "x.wav", folder / "x.mid"]
    told = folder / "x.error.txt"
    for source in sources:
        assert put_error(source, BridgeError("bad_audio", f"{source.name} is bad"), publish) == told
    put_error(sources[0], BridgeError("bad_audio", "it still is", "choose another"), publish)
    assert told.read_text("utf-8") == (
        "daw-bridge could not do this:\nx.mid is bad\n(x.mid, bad_audio)\n"
        "daw-bridge could not do this:\nit still is\nchoose another\n(x.wav, bad_audio)\n"
    )
    take_back_error(sources[0], publish)
    assert told.read_text("utf-8") == (
        "daw-bridge could not do this:\nx.mid is bad\n(x.mid, bad_audio)\n"
    )
    take_back_error(sources[0], publish)
    take_back_error(sources[1], publish)
    assert not told.exists()


def test_what_was_written_beneath_a_refusal_is_kept(folder: Path) -> None:
    source, told = folder / "x.wav", folder / "x.error.txt"
    put_error(source, BridgeError("bad_audio", "it is bad"), publish)
    with told.open("a", encoding="utf-8") as file:
        file.write("ask Ann for the original\n")
    take_back_error(source, publish)
    assert "ask Ann" in told.read_text("utf-8")
    put_error(source, BridgeError("bad_audio", "it is bad"), publish)
    take_back_error(source, publish)
    assert "ask Ann" in told.read_text("utf-8")
