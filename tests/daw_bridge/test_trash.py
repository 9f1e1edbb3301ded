"""Removing, restoring and the limit: what a musician might want is never lost."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daw_bridge.commands.doctor import examine
from daw_bridge.config import Config
from daw_bridge.takes.keeping import DAY_S, GRACE_S, Keeper, folder_bytes, is_worthless
from daw_bridge.takes.ratings import Rating
from daw_bridge.takes.store import Take, TakeStore
from daw_bridge.takes.verify import Verified, verify_takes
from engine.spec import BridgeError, Done, RenderRequest, Stem

REQUEST = RenderRequest("generate", seconds=1.0)
AUDIO_BYTES = 10_000


@pytest.fixture
def store(tmp_path: Path) -> TakeStore:
    return TakeStore(tmp_path / "takes")


def adopt(store: TakeStore, folder: Path, size_bytes: int = AUDIO_BYTES) -> Take:
    path = folder / "mix.wav"
    path.write_bytes(os.urandom(size_bytes))
    return store.adopt(REQUEST, [Stem("mix", str(path), 48_000, 2, 10)], Done({}, {}))


def age(store: TakeStore, take: str, seconds: float) -> None:
    """Make a take look as if it had been removed so long ago."""
    entry = store.trash.find(take)
    assert entry is not None
    removed_ms = int((entry.removed_s - seconds) * 1000)
    entry.folder.rename(entry.folder.with_name(f"{take}.{removed_ms}"))


def kept(store: TakeStore) -> set[str]:
    return {take.id for take in store.list(100)}


def trashed(store: TakeStore) -> set[str]:
    return {entry.take for entry in store.trash.entries()}


def test_a_removed_take_comes_back_as_it_was(store: TakeStore, tmp_path: Path) -> None:
    takes = [adopt(store, tmp_path) for _ in range(3)]
    store.rate("t-0002", {"stars": 4, "note": "ä"})
    before, audio = store.get("t-0002"), Path(takes[1].main.path).read_bytes()
    store.remove("t-0002")
    assert kept(store) == {"t-0001", "t-0003"}
    with pytest.raises(BridgeError) as caught:
        store.get("t-0002")
    assert (caught.value.code, caught.value.hint) == (
        "not_found",
        "it is in the trash: restore brings it back",
    )
    ((listed, removed),) = store.removed(10)
    assert (listed.id, listed.rating.stars, removed[:2]) == ("t-0002", 4, "20")
    assert Path(listed.main.path).read_bytes() == audio
    assert TakeStore(tmp_path / "takes").restore("t-0002") == before
    assert Path(before.main.path).read_bytes() == audio
    assert list(verify_takes(store, "t-0002")) == [Verified("t-0002")]
    assert (store.removed(10), trashed(store)) == ([], set())


def test_what_is_not_there_is_said(store: TakeStore, tmp_path: Path) -> None:
    adopt(store, tmp_path)
    for refused in (
        lambda: store.remove("t-0009"),
        lambda: store.remove("../takes"),
        lambda: store.remove(".trash"),
        lambda: store.restore("t-0001"),
        lambda: store.restore("../t-0001"),
    ):
        with pytest.raises(BridgeError) as caught:
            refused()
        assert caught.value.code == "not_found"
    store.remove("t-0001")
    (tmp_path / "takes" / "t-0001").mkdir()
    with pytest.raises(BridgeError, match="there already"):
        store.restore("t-0001")
    assert trashed(store) == {"t-0001"}


def test_no_id_is_given_twice(store: TakeStore, tmp_path: Path) -> None:
    for number in range(1, 4):
        take = adopt(store, tmp_path)
        assert take.id == f"t-{number:04d}"
        store.remove(take.id)
        if number > 1:
            store.trash.delete(store.trash.entries())
    assert trashed(store) == set()
    assert adopt(TakeStore(tmp_path / "takes"), tmp_path).id == "t-0004"


def test_the_trash_keeps_a_take_for_its_days(store: TakeStore, tmp_path: Path) -> None:
    for _ in range(3):
        adopt(store, tmp_path)
    for take in ("t-0001", "t-0002"):
        store.remove(take)
    age(store, "t-0001", 31 * DAY_S)
    age(store, "t-0002", 29 * DAY_S)
    Keeper(store, 0, 0.0).tidy()
    assert trashed(store) == {"t-0001", "t-0002"}, "0 is for ever"
    usage = Keeper(store, 0, 30.0).tidy()
    assert trashed(store) == {"t-0002"}
    assert kept(store) == {"t-0003"}
    assert usage.warning == ""
    assert usage.takes_bytes == folder_bytes(tmp_path / "takes" / "t-0003") > AUDIO_BYTES
    assert usage.trash_bytes > AUDIO_BYTES


def test_a_clock_that_was_set_back_deletes_nothing(store: TakeStore, tmp_path: Path) -> None:
    adopt(store, tmp_path)
    store.remove("t-0001")
    Keeper(store, 1, 30.0, now_s=lambda: 0.0).tidy()
    assert trashed(store) == {"t-0001"}


def test_over_the_limit_the_oldest_trash_goes_first(store: TakeStore, tmp_path: Path) -> None:
    for _ in range(5):
        adopt(store, tmp_path)
    for hours, take in enumerate(("t-0004", "t-0002", "t-0001"), 2):
        store.remove(take)
        age(store, take, hours * GRACE_S)
    one_bytes = folder_bytes(tmp_path / "takes" / "t-0003")
    usage = Keeper(store, int(4.5 * one_bytes), 30.0).tidy()
    assert trashed(store) == {"t-0004", "t-0002"}, "no more than is needed"
    assert kept(store) == {"t-0003", "t-0005"}
    assert "over" not in usage.warning
    assert "over" in Keeper(store, one_bytes, 30.0).tidy().warning
    assert (trashed(store), kept(store)) == (set(), {"t-0003", "t-0005"})


def test_what_was_just_removed_can_be_taken_back(store: TakeStore, tmp_path: Path) -> None:
    for _ in range(2):
        adopt(store, tmp_path)
    store.remove("t-0001")
    assert "over max_takes_bytes" in Keeper(store, 1, 30.0).tidy().warning
    assert store.restore("t-0001").id == "t-0001"


def test_only_discarded_takes_go_by_themselves(store: TakeStore, tmp_path: Path) -> None:
    ratings = [
        {"verdict": "discard"},
        {"verdict": "keep"},
        {"stars": 3},
        {"verdict": "discard", "stars": 5},
        {"verdict": "discard", "stars": 2},
        {"stars": 1},
        {"note": "not sure"},
        {},
    ]
    for rating in ratings:
        take = adopt(store, tmp_path)
        if rating:
            store.rate(take.id, rating)
    usage = Keeper(store, 1, 30.0).tidy()
    assert trashed(store) == {"t-0001", "t-0005"}
    assert "over max_takes_bytes" in usage.warning
    assert store.restore("t-0001").rating.verdict == "discard"
    store.remove("t-0001")
    for take in ("t-0001", "t-0005"):
        age(store, take, 2 * GRACE_S)
    Keeper(store, 1, 30.0).tidy()
    assert trashed(store) == set()
    assert kept(store) == {"t-0002", "t-0003", "t-0004", "t-0006", "t-0007", "t-0008"}


def test_no_more_discarded_takes_go_than_are_in_the_way(store: TakeStore, tmp_path: Path) -> None:
    for _ in range(4):
        store.rate(adopt(store, tmp_path).id, {"verdict": "discard"})
    one_bytes = folder_bytes(tmp_path / "takes" / "t-0001")
    Keeper(store, int(2.5 * one_bytes), 30.0).tidy()
    assert (trashed(store), kept(store)) == ({"t-0001", "t-0002"}, {"t-0003", "t-0004"})
    Keeper(store, int(2.5 * one_bytes), 30.0).tidy()
    assert kept(store) == {"t-0003", "t-0004"}


@given(
    verdict=st.sampled_from([None, "keep", "discard"]),
    stars=st.none() | st.integers(1, 5),
    note=st.none() | st.text(max_size=3),
)
@settings(max_examples=60)
def test_worthless_is_only_what_was_discarded(
    verdict: str | None, stars: int | None, note: str | None
) -> None:
    expected = verdict == "discard" and stars in (None, 1, 2)
    assert is_worthless(Rating(verdict, stars, note)) is expected


def test_doctor_tells_of_the_limit(tmp_path: Path) -> None:
    config = Config.load({"data_dir": tmp_path, "max_takes_bytes": 5000}, environment={})
    adopt(TakeStore(tmp_path / "takes"), tmp_path)
    (check,) = [check for check in examine(config) if check.name == "takes"]
    assert (check.state, "raise the limit" in check.hint) == ("warning", True)


def test_what_is_half_deleted_cannot_be_restored(
    store: TakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(store, tmp_path)
    store.remove("t-0001")

    def cut_off(folder: Path, **_: object) -> None:
        (folder / "take.json").unlink()

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut_off)
        store.trash.delete(store.trash.entries())
    assert store.trash.entries() == []
    with pytest.raises(BridgeError, match="no take"):
        store.restore("t-0001")
    Keeper(store, 0, 30.0).tidy()
    assert [path.name for path in (tmp_path / "takes" / ".trash").iterdir()] == ["highest.json"]


def test_the_usage_follows_what_happens(store: TakeStore, tmp_path: Path) -> None:
    keeper = Keeper(store, 0, 30.0)

    def measured() -> tuple[int, int]:
        usage = keeper.usage()
        return usage.takes_bytes, usage.trash_bytes

    def counted() -> tuple[int, int]:
        folders = (tmp_path / "takes").glob("t-*"), (tmp_path / "takes" / ".trash").glob("t-*")
        takes, trash = (sum(map(folder_bytes, part)) for part in folders)
        return takes, trash

    assert measured() == (0, 0)
    for size_bytes in (1000, 20_000, 300):
        adopt(store, tmp_path, size_bytes)
        assert measured() == counted()
    store.remove("t-0002")
    assert measured() == counted()
    store.restore("t-0002")
    store.remove("t-0003")
    assert measured() == counted()
    store.trash.delete(store.trash.entries())
    assert measured() == (counted()[0], 0)


def test_a_damaged_number_file_is_no_reason_to_stop(store: TakeStore, tmp_path: Path) -> None:
    adopt(store, tmp_path)
    store.remove("t-0001")
    for text in ("", "[]", '{"number": "x"}'):
        (tmp_path / "takes" / ".trash" / "highest.json").write_text(text)
        assert store.trash.highest_number() == 1
    store.trash.delete(store.trash.entries())
    noted = json.loads((tmp_path / "takes" / ".trash" / "highest.json").read_text())
    assert noted == {"number": 1}


def test_two_processes_at_a_time_lose_nothing(store: TakeStore, tmp_path: Path) -> None:
    """Each take ends in one place, however removals, restores and new takes fall together."""
    for _ in range(4):
        adopt(store, tmp_path)
    made: list[str] = []
    codes: set[str] = set()

    def work(worker: int) -> None:
        own, folder = TakeStore(tmp_path / "takes"), tmp_path / f"w{worker}"
        folder.mkdir()
        for number in range(30):
            moves: tuple[Callable[[str], object], ...] = (own.remove, own.restore)
            for move in moves:
                try:
                    move(f"t-{1 + (worker + number) % 4:04d}")
                except BridgeError as error:
                    codes.add(error.code)
            if number % 10 == 0:
                made.append(adopt(own, folder).id)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes <= {"not_found", "bad_request"}
    assert len(set(made)) == len(made) == 12
    assert kept(store) | trashed(store) == {f"t-{number:04d}" for number in range(1, 17)}
    assert not kept(store) & trashed(store)
    assert not [found for found in verify_takes(store) if found.damaged]
