from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.cli import main
from daw_bridge.takes.naming import slug, take_slug
from daw_bridge.takes.store import SPOOL, Take, TakeStore
from daw_bridge.takes.verify import Verified, verify_takes
from engine.spec import BridgeError, Done, RenderRequest, Stem

REQUEST = RenderRequest("extend", source="/clips/My groove.wav", bars=2.0, bpm=123.4, seed=7)
DONE = Done({"loudness_lufs": -14.0}, {"model": {"name": "house"}})


@pytest.fixture
def store(tmp_path: Path) -> TakeStore:
    return TakeStore(tmp_path / "takes")


def spooled(tmp_path: Path, *names: str) -> list[Stem]:
    spool = tmp_path / "spool"
    spool.mkdir(exist_ok=True)
    for name in names:
        (spool / f"{name}.wav").write_bytes(name.encode())
    return [Stem(name, str(spool / f"{name}.wav"), 48_000, 2, 480) for name in names]


def adopt(store: TakeStore, tmp_path: Path, *names: str, job: str = "") -> Take:
    stems = spooled(tmp_path, *(names or ("mix",)))
    return store.adopt(REQUEST, stems, DONE, spool_dir=tmp_path / "spool", job=job)


def test_names_say_what_a_take_is(store: TakeStore, tmp_path: Path) -> None:
    take = adopt(store, tmp_path, "drums", "mix", "bass")
    assert take.id == "t-0001"
    assert [Path(item.path).name for item in take.files] == [
        "My-groove-extend-123.4bpm-2bars-seed7.wav",
        "My-groove-extend-123.4bpm-2bars-seed7-drums.wav",
        "My-groove-extend-123.4bpm-2bars-seed7-bass.wav",
    ]
    assert Path(take.main.path).read_bytes() == b"mix"
    assert take.file("bass").channels == 2
    with pytest.raises(BridgeError, match="it has mix, drums, bass"):
        take.file("violin")


def test_spool_is_emptied_and_other_files_are_left(store: TakeStore, tmp_path: Path) -> None:
    adopt(store, tmp_path)
    assert list((tmp_path / "spool").iterdir()) == []
    cached = tmp_path / "cache.wav"
    cached.write_bytes(b"cached")
    store.adopt(
        REQUEST, [Stem("mix", str(cached), 48_000, 2, 1)], DONE, spool_dir=tmp_path / "spool"
    )
    assert cached.read_bytes() == b"cached"


def test_what_is_kept_comes_back(store: TakeStore, tmp_path: Path) -> None:
    take = adopt(store, tmp_path, job="j-0003")
    again = TakeStore(tmp_path / "takes")
    assert again.get("t-0001") == take
    assert again.list(10) == [take]
    assert again.report("t-0001") == DONE.report
    assert again.recipe("t-0001") == {"request": REQUEST.to_mapping(), **DONE.recipe}
    assert again.take_of_job("j-0003") == "t-0001"
    assert again.take_of_job("j-0004") is None


def test_text_that_is_no_unicode_is_kept(store: TakeStore, tmp_path: Path) -> None:
    request = RenderRequest("generate", seconds=1.0, prompt="warm \udc80 strings ä")
    store.adopt(request, spooled(tmp_path, "mix"), DONE)
    assert store.recipe("t-0001")["request"]["prompt"] == request.prompt


def test_newest_comes_first_and_the_limit_holds(store: TakeStore, tmp_path: Path) -> None:
    for _ in range(3):
        adopt(store, tmp_path)
    assert [take.id for take in store.list(2)] == ["t-0003", "t-0002"]


def test_nothing_is_overwritten_by_two_at_a_time(store: TakeStore, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    kept: list[Take] = []

    def work(worker: int) -> None:
        own = TakeStore(tmp_path / "takes")
        for number in range(5):
            path = spool / f"{worker}-{number}.wav"
            path.write_bytes(path.name.encode())
            stem = Stem("mix", str(path), 48_000, 2, 480)
            kept.append(own.adopt(REQUEST, [stem], DONE, spool_dir=spool))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({take.id for take in kept}) == 20
    assert len({Path(take.main.path).read_bytes() for take in kept}) == 20


def test_half_made_takes_are_never_seen_and_swept(store: TakeStore, tmp_path: Path) -> None:
    missing = [*spooled(tmp_path, "mix"), Stem("bass", str(tmp_path / "gone.wav"), 48_000, 2, 1)]
    with pytest.raises(BridgeError) as caught:
        store.adopt(REQUEST, missing, DONE, spool_dir=tmp_path / "spool")
    assert caught.value.code == "engine_failed"
    assert list((tmp_path / "takes").iterdir()) == []
    fresh, dead = (tmp_path / "takes" / f".incoming-{name}" for name in ("fresh", "dead"))
    fresh.mkdir()
    dead.mkdir()
    two_hours_ago_s = time.time() - 7200
    os.utime(dead, (two_hours_ago_s, two_hours_ago_s))
    assert store.list(10) == []
    store.sweep()
    # The fresh one belongs to a command line that is at work beside the daemon.
    assert list((tmp_path / "takes").iterdir()) == [fresh]


def test_what_a_killed_command_line_left_is_swept_after_a_day(
    store: TakeStore, tmp_path: Path
) -> None:
    at_work, dead = (tmp_path / f"{SPOOL}{name}" for name in ("at-work", "dead"))
    for folder, hours in ((at_work, 20), (dead, 30)):
        folder.mkdir()
        (folder / "mix.wav").write_bytes(b"RIFF")
        os.utime(folder, (time.time() - 3600 * hours,) * 2)
    store.sweep()
    assert at_work.exists()
    assert not dead.exists()


def test_take_is_kept_though_the_folder_was_moved_away(store: TakeStore, tmp_path: Path) -> None:
    (tmp_path / "takes").rmdir()
    assert Path(adopt(store, tmp_path).main.path).read_bytes() == b"mix"


def test_take_without_audio_is_refused(store: TakeStore) -> None:
    with pytest.raises(BridgeError, match="without audio"):
        store.adopt(REQUEST, [], DONE)


def test_a_rating_is_kept_and_added_to(store: TakeStore, tmp_path: Path) -> None:
    take = adopt(store, tmp_path)
    before = take.summary()
    assert (before["verdict"], before["stars"], before["note"]) == (None, None, None)
    store.rate(take.id, {"verdict": "keep", "note": "the fill drags \udc80 ä"})
    store.rate(take.id, {"stars": 4, "take": take.id})
    rating = {"verdict": "keep", "stars": 4, "note": "the fill drags \udc80 ä"}
    again = TakeStore(tmp_path / "takes")
    assert again.get(take.id).rating.to_mapping() == rating
    assert again.list(1)[0].summary() == {**before, **rating}
    assert again.rate(take.id, {"note": ""}).to_mapping() == {**rating, "note": None}
    assert sorted(path.name for path in (tmp_path / "takes" / take.id).iterdir()) == sorted(
        [Path(take.main.path).name, "rating.json", "recipe.json", "report.json", "take.json"]
    )
    with pytest.raises(BridgeError, match="says nothing"):
        store.rate(take.id, {"verdict": None})
    with pytest.raises(BridgeError, match="no take"):
        store.rate("t-0009", {"stars": 1})


@pytest.mark.parametrize("text", ["", "[]", '{"stars": "many", "verdict": 3, "note": []}'])
def test_a_damaged_rating_costs_no_take(store: TakeStore, tmp_path: Path, text: str) -> None:
    take = adopt(store, tmp_path)
    (tmp_path / "takes" / take.id / "rating.json").write_text(text)
    assert store.list(5) == [take]
    assert store.rate(take.id, {"stars": 5}).stars == 5


def test_a_full_disk_leaves_the_rating_as_it_was(
    store: TakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = adopt(store, tmp_path)
    store.rate(take.id, {"stars": 2})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BridgeError, match="no space left"):
            store.rate(take.id, {"stars": 5})
    assert store.get(take.id).rating.stars == 2


@pytest.mark.parametrize("take_id", ["", "t-1", "t-9999", "../takes/t-0001", "t-0001/..", "\0"])
def test_unknown_ids_are_not_found(store: TakeStore, tmp_path: Path, take_id: str) -> None:
    adopt(store, tmp_path)
    for look in (store.get, store.recipe, store.report):
        with pytest.raises(BridgeError) as caught:
            look(take_id)
        assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"task": "x", "created": "", "job": "", "files": []}']
)
def test_damaged_takes_are_left_out(store: TakeStore, tmp_path: Path, text: str) -> None:
    adopt(store, tmp_path)
    adopt(store, tmp_path)
    (tmp_path / "takes" / "t-0001" / "take.json").write_text(text)
    assert [take.id for take in store.list(10)] == ["t-0002"]
    with pytest.raises(BridgeError, match="damaged"):
        store.get("t-0001")


def test_edited_take_does_not_lead_out_of_its_folder(store: TakeStore, tmp_path: Path) -> None:
    adopt(store, tmp_path)
    path = tmp_path / "takes" / "t-0001" / "take.json"
    record = json.loads(path.read_text())
    record["files"][0]["file"] = "../../secret.wav"
    path.write_text(json.dumps(record))
    assert Path(store.get("t-0001").main.path) == path.parent / "secret.wav"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grüße/aus ../Köln", "Grüße-aus-..-Köln"),
        ("../../etc", "etc"),
        (".hidden", "hidden"),
        ("\udc80\x00\n", ""),
        ("x" * 100, "x" * 48),
    ],
)
def test_slugs_are_harmless(text: str, expected: str) -> None:
    assert slug(text) == expected
    assert os.sep not in slug(text)


def test_estimated_tempo_stands_in_the_name() -> None:
    request = RenderRequest("generate", seconds=2.0, prompt="slow, warm strings!", seed=1)
    report = {"grid": {"bpm": 89.996}}
    assert take_slug(request, report) == "slow-warm-strings-generate-90bpm-seed1"
    assert take_slug(request, {"grid": None}) == "slow-warm-strings-generate-seed1"


@pytest.mark.parametrize(
    ("asked", "report", "expected"),
    [
        ("F# minor", {"key": "A minor"}, "Fsharp-minor"),
        (None, {"key": "Eb major", "heard_key": "A minor"}, "Eb-major"),
        (None, {"heard_key": "C# minor"}, "Csharp-minor"),
        ("../../B♭", {}, "Bb"),
        ("in " + "x" * 90, {}, "in-" + "x" * 21),
    ],
)
def test_the_key_stands_in_the_name(
    asked: str | None, report: dict[str, str], expected: str
) -> None:
    request = RenderRequest("extend", source="/a/groove.wav", bars=4.0, bpm=120.0, key=asked)
    assert take_slug(request, report) == f"groove-extend-120bpm-{expected}-4bars-seed0"


@pytest.mark.parametrize("report", [{}, {"heard_key": None}, {"key": 3}])
def test_a_key_that_nobody_knows_is_not_named(report: dict[str, Any]) -> None:
    request = RenderRequest("extend", source="/a/groove.wav", bars=4.0, bpm=120.0)
    assert take_slug(request, report) == "groove-extend-120bpm-4bars-seed0"


def test_what_was_changed_after_it_was_kept_is_found(store: TakeStore, tmp_path: Path) -> None:
    takes = [adopt(store, tmp_path, "mix", "bass") for _ in range(5)]
    assert takes[0].main.sha256 == hashlib.sha256(b"mix").hexdigest()
    assert all(item == Verified(item.take) for item in verify_takes(store))
    folders = [tmp_path / "takes" / take.id for take in takes]
    Path(takes[0].file("bass").path).write_bytes(b"bazz")
    Path(takes[1].main.path).unlink()
    (folders[2] / "report.json").write_text("{")
    (folders[3] / "take.json").write_text("[]")
    record = json.loads((folders[4] / "take.json").read_text())
    for item in record["files"]:
        del item["sha256"]  # as takes were kept at first
    (folders[4] / "take.json").write_text(json.dumps(record))
    found = list(verify_takes(store))
    assert [item.take for item in found] == [take.id for take in takes]
    reasons = ("bass.wav does not match", "cannot be read", "is damaged", "take.json is no object")
    for item, reason in zip(found, reasons, strict=False):
        assert len(item.damaged) == 1
        assert reason in item.damaged[0]
    assert (len(found[4].damaged), len(found[4].unchecked)) == (0, 2)
    assert list(verify_takes(store, "t-0004")) == [found[3]]
    with pytest.raises(BridgeError, match="no take"):
        list(verify_takes(store, "t-0099"))


def test_verify_on_the_command_line(
    store: TakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take = adopt(store, tmp_path)
    typed = ["takes", "--verify", "--json", "--data-dir", str(tmp_path)]
    assert main(typed) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    Path(take.main.path).write_bytes(b"max")
    assert main(typed) == 1
    (told,) = json.loads(capsys.readouterr().out)["takes"]
    assert told["damaged"] == [f"{Path(take.main.path).name} does not match its checksum"]
    assert main([*typed, "--take", "t-0099"]) == 2
