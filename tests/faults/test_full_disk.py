"""A disk that fills up at any write: a clear refusal, nothing half kept, and on with room."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daw_bridge.client import Client, find_server
from daw_bridge.intake.uploads import UploadStore
from daw_bridge.jobs.journal import Journal
from daw_bridge.jobs.queue import Job, State
from daw_bridge.takes.store import TakeStore
from engine.spec import BridgeError, Done, RenderRequest, Stem
from tests.daw_bridge.served import start_daemon
from tests.faults.full_disk import FullDisk

REQUEST = RenderRequest("generate", seconds=1.0)
AUDIO = b"RIFF and some samples"
_NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    return FullDisk(monkeypatch)


def _spooled(spool: Path) -> list[Stem]:
    spool.mkdir(exist_ok=True)
    for name in ("mix", "drums"):
        (spool / f"{name}.wav").write_bytes(AUDIO + name.encode())
    return [Stem(name, str(spool / f"{name}.wav"), 48_000, 2, 4) for name in ("mix", "drums")]


def test_no_half_take_at_any_write(disk: FullDisk, tmp_path: Path) -> None:
    store, refused = TakeStore(tmp_path / "takes"), 0
    for room in itertools.count():
        stems, known = _spooled(tmp_path / "spool"), len(store.list(100))
        disk.fills_after(room)
        take, error = None, None
        try:
            take = store.adopt(REQUEST, stems, Done({"loss": 0.5}, {}), spool_dir=tmp_path)
        except BridgeError as caught:
            error = caught
        whole = disk.changes <= room
        disk.fills_after(float("inf"))
        assert not list((tmp_path / "takes").glob(".*"))
        if take is None:
            assert error is not None
            assert ("No space left" in error.message, error.hint) == (True, "is the disk full?")
            assert len(store.list(100)) == known
            refused += 1
            continue
        contents = [Path(item.path).read_bytes() for item in take.files]
        assert contents == [AUDIO + b"mix", AUDIO + b"drums"]
        assert store.report(take.id) == {"loss": 0.5}
        if whole:
            break
    assert refused > 10, "every write of a take is refused once"


def test_no_take_is_lost_at_any_write_of_the_trash(disk: FullDisk, tmp_path: Path) -> None:
    """Removed, restored, removed and deleted: each refused at each of its writes once."""
    store, refused = TakeStore(tmp_path / "takes"), 0
    for room in itertools.count():
        stems = _spooled(tmp_path / "spool")
        take = store.adopt(REQUEST, stems, Done({}, {}), spool_dir=tmp_path).id
        disk.fills_after(room)
        error, is_deleting = "", False
        try:
            store.remove(take)
            store.restore(take)
            store.remove(take)
            is_deleting = True
            store.trash.delete(store.trash.entries())
        except (BridgeError, OSError) as caught:
            error = str(caught)
            refused += 1
            assert "No space left" in error
        whole = disk.changes <= room
        disk.fills_after(float("inf"))
        here = [known.id for known in store.list(1000)].count(take)
        there = [entry.take for entry in store.trash.entries()].count(take)
        assert here + there == 1 or (is_deleting and here + there == 0)
        assert not list(tmp_path.glob("takes/.trash/.highest*"))
        if whole:
            break
    assert refused >= 4, "every rename and the note of the number are refused once"
    assert there == 0


@pytest.mark.parametrize("is_named", [False, True])
def test_no_half_upload_at_any_write(disk: FullDisk, tmp_path: Path, is_named: bool) -> None:
    store, refused = UploadStore(tmp_path / "uploads", 1000, 5000), 0
    sha256 = hashlib.sha256(AUDIO).hexdigest()
    for room in itertools.count():
        disk.fills_after(room)
        upload, found = None, None
        try:
            upload = store.begin("clip.wav", len(AUDIO), sha256 if is_named else "")
            if not upload.is_whole:  # one whose digest is known goes on from what has arrived
                upload.write(0, AUDIO[:5])
                upload.write(5, AUDIO[5:])
            found = upload.finish()
        except OSError:
            refused += 1
            if upload is not None:
                upload.discard()
        disk.fills_after(float("inf"))
        if found is not None:
            break
        assert store.find(sha256, len(AUDIO)) is None
        left = list((tmp_path / "uploads").glob(".part-*"))
        assert all(is_named and path.read_bytes() == AUDIO for path in left)
    assert refused >= 4, "every write of an upload is refused once"
    assert store.path_of(found[0]).read_bytes() == AUDIO
    assert not list((tmp_path / "uploads").glob(".part-*"))


def test_journal_is_whole_after_any_write_was_refused(tmp_path: Path) -> None:
    """SQLite itself is told that there are no more pages."""
    path, kept, refused = tmp_path / "journal.sqlite3", [], []
    long = RenderRequest("generate", seconds=1.0, prompt="x" * 900)
    with Journal(path, 1000) as journal:
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages + 3}")
        for number in range(1, 40):
            try:
                journal.record(Job(number, long, 0.0, State.QUEUED))
                kept.append(number)
            except BridgeError as error:
                refused.append((error.code, error.hint))
        assert kept
        assert set(refused) == {("unavailable", "is the disk full?")}
        journal._db.execute("PRAGMA max_page_count = 100000")
        journal.record(Job(99, long, 0.0, State.QUEUED))
    with Journal(path, 1000) as journal:
        assert [job.number for job in journal.load()] == [*kept, 99]
        assert journal._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def _no_room(pid: int) -> Iterator[None]:
    """Every write to a file fails in that process."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, _NO_LIMIT)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
async def test_daemon_goes_on_once_there_is_room(tmp_path: Path) -> None:
    data_dir, clip = tmp_path / "data", tmp_path / "clip.wav"
    clip.write_bytes(AUDIO)
    asked = {"task": "generate", "seconds": 0.05}
    with await asyncio.to_thread(start_daemon, data_dir) as process:
        try:
            info = await asyncio.to_thread(find_server, data_dir)
            assert info is not None
            async with Client(info.url, info.token) as client:
                await _fill_and_free(client, process.pid, asked, clip)
                await client.request("shutdown")
            assert await asyncio.to_thread(process.wait) == 0
        finally:
            process.kill()
    db = sqlite3.connect(data_dir / "journal.sqlite3")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    states = [row[0] for row in db.execute("SELECT state FROM jobs ORDER BY number")]
    db.close()
    # What ended while there was no room is noted as it was told; what was refused is not there.
    assert states == ["done", "failed", "done"]
    assert len(list((data_dir / "takes").glob("*"))) == 2
    assert "j-0006 (generate) is done" in (data_dir / "logs" / "daemon.log").read_text()


async def _fill_and_free(client: Client, pid: int, asked: dict[str, object], clip: Path) -> None:
    await client.result(await client.submit(asked))
    running = await client.submit({**asked, "prompt": "sleep=0.5"})
    async for event in client.events(running):
        if event["event"] == "progress":
            break
    with _no_room(pid):
        for _ in range(3):
            with pytest.raises(BridgeError, match="journal cannot be written") as caught:
                await client.submit(asked)
            assert (caught.value.code, caught.value.hint) == ("unavailable", "is the disk full?")
        with pytest.raises(BridgeError, match="upload cannot be kept"):
            await client.upload(clip)
        with pytest.raises(BridgeError, match="take cannot be kept"):
            await client.result(running)
        assert (await client.request("ping"))["reply"] == "pong"
    assert (await client.upload(clip)).startswith("upload:")
    await client.result(await client.submit(asked))
