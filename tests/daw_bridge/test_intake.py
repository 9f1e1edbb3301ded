"""Paths and uploads that clients hand in."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest

from daw_bridge.intake.paths import resolve_allowed
from daw_bridge.intake.room import check_room
from daw_bridge.intake.uploads import Upload, UploadStore
from engine.spec import BridgeError

LIMIT = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    return folder.resolve()


def refusal(text: str, root: Path) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        resolve_allowed(text, [root], LIMIT)
    return caught.value


def test_file_under_the_root_is_allowed(root: Path) -> None:
    (root / "link.wav").symlink_to(root / "a.wav")
    assert resolve_allowed(str(root / "a.wav"), [root], LIMIT) == root / "a.wav"
    assert resolve_allowed(str(root / "x" / ".." / "link.wav"), [root], LIMIT) == root / "a.wav"


def test_ways_out_of_the_root_are_closed(root: Path, tmp_path: Path) -> None:
    (root / "out.wav").symlink_to(tmp_path / "secret.wav")
    (root / "outdir").symlink_to(tmp_path)
    (tmp_path / "clips-evil").mkdir()
    for text in (
        root / "../secret.wav",
        root / "out.wav",
        root / "outdir/secret.wav",
        root / "outdir/does-not-exist.wav",
        tmp_path / "clips-evil/a.wav",
        "/etc/passwd",
        "/dev/zero",
    ):
        error = refusal(str(text), root)
        assert error.code == "forbidden", text
        assert error.hint.startswith("add its folder to roots in config.toml")
        assert error.hint.endswith(f"allowed now: {root}")


@pytest.mark.parametrize(
    "text", ["a.wav", "../a.wav", "", "~nobody-has-this-name/a.wav", "\udc80/\udc81"]
)
def test_what_is_no_absolute_path_is_refused(root: Path, text: str) -> None:
    assert refusal(text, root).code == "bad_request"


def test_loop_of_links_is_refused(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")
    assert refusal(str(root / "loop"), root).code in ("bad_request", "not_found")


def test_what_is_no_file_of_a_sane_size_is_refused(root: Path) -> None:
    assert refusal(str(root / "none.wav"), root).code == "not_found"
    assert refusal(str(root), root).code == "bad_audio"
    (root / "big.wav").write_bytes(bytes(LIMIT + 1))
    assert refusal(str(root / "big.wav"), root).code == "too_large"


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders")
def test_named_pipe_would_hang_the_decoder_and_is_refused(root: Path) -> None:
    os.mkfifo(root / "pipe.wav")
    assert refusal(str(root / "pipe.wav"), root).code == "bad_audio"


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", LIMIT, 2500)


def send(store: UploadStore, data: bytes, name: str = "groove.wav") -> tuple[str, Path]:
    upload = store.begin(name, len(data))
    for start in range(0, len(data), 7):
        upload.write(start, data[start : start + 7])
    return upload.finish()


def test_upload_is_kept_under_its_digest_and_name(store: UploadStore) -> None:
    data = b"some audio"
    upload_id, path = send(store, data, "C:\\clips\\My groove.WAV")
    assert hashlib.sha256(data).hexdigest().startswith(upload_id)
    assert path.name == "My-groove.wav"
    assert path.read_bytes() == data
    assert store.path_of(upload_id) == path
    assert send(store, data, "other.wav") == (upload_id, path)


@pytest.mark.parametrize(
    "name", ["../../x.wav", "/etc/passwd", "..", "", "x.wav/../../y.exe", "\0"]
)
def test_names_lead_nowhere(store: UploadStore, tmp_path: Path, name: str) -> None:
    _, path = send(store, b"data", name)
    assert path.parent.parent == tmp_path / "uploads"
    assert path.suffix in ("", ".wav")


def test_bytes_out_of_order_too_many_or_too_few_are_refused(
    store: UploadStore, tmp_path: Path
) -> None:
    def begun() -> Upload:
        return store.begin("a.wav", 10)

    for offset, data, code in ((1, b"x", "bad_message"), (0, b"x" * 11, "too_large")):
        upload = begun()
        with pytest.raises(BridgeError) as caught:
            upload.write(offset, data)
        assert caught.value.code == code
        upload.discard()
    upload = begun()
    upload.write(0, b"12345")
    with pytest.raises(BridgeError, match="5 of 10"):
        upload.finish()
    with pytest.raises(BridgeError, match="limit"):
        store.begin("a.wav", LIMIT + 1)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_digest_is_checked(store: UploadStore) -> None:
    good = hashlib.sha256(b"data").hexdigest().upper()
    upload = store.begin("a.wav", 4, good)
    upload.write(0, b"data")
    upload.finish()
    upload = store.begin("a.wav", 4, good)
    upload.write(0, b"DATA")
    with pytest.raises(BridgeError, match="digest"):
        upload.finish()


def test_what_a_job_waits_for_is_kept(store: UploadStore) -> None:
    kept = [send(store, bytes([number]) * 900) for number in range(3)]
    for age, (_, path) in enumerate(kept):
        os.utime(path, (age, age))
    store.make_room({str(kept[0][1])})
    assert store.path_of(kept[0][0])
    assert store.path_of(kept[2][0])
    with pytest.raises(BridgeError):
        store.path_of(kept[1][0])


def test_least_recently_used_go_first(store: UploadStore) -> None:
    kept = [send(store, bytes([number]) * 900) for number in range(3)]
    for age, (_, path) in enumerate(kept):
        os.utime(path, (age, age))
    store.path_of(kept[0][0])  # used again
    store.make_room()
    assert store.path_of(kept[0][0])
    assert store.path_of(kept[2][0])
    with pytest.raises(BridgeError):
        store.path_of(kept[1][0])


def test_uploads_that_come_and_go_at_once_do_not_meet(tmp_path: Path) -> None:
    """Eight clients send, find and resume a few clips, of which only some have room at a time."""
    clips = [bytes([number]) * 1000 for number in range(12)]
    store = UploadStore(tmp_path / "uploads", 10_000, 8500)

    def work(random: Random) -> None:
        for _ in range(150):
            data = random.choice(clips)
            digest = hashlib.sha256(data).hexdigest()
            if store.find(digest, len(data)) is not None:
                continue
            try:
                upload = store.begin("clip.wav", len(data), digest)
                upload.write(0, data[:500])
                if random.random() < 0.3:
                    upload.leave()
                    continue
                upload.write(500, data[500:])
                assert upload.finish()[0] == digest[:16]
                store.make_room()
            except BridgeError as error:
                if "another call" not in error.message:  # which goes on with the same clip
                    raise

    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, Random(number)) for number in range(8)]:
                done.result()
    finally:
        sys.setswitchinterval(before_s)
    store.make_room()
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 8500
    folders = [path for path in (tmp_path / "uploads").iterdir() if path.is_dir()]
    assert all(any(folder.iterdir()) for folder in folders)


def test_nobody_waits_while_a_long_one_is_read_again(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(b"long").hexdigest()
    begun = store.begin("long.wav", 4, digest)
    begun.write(0, b"lo")
    begun.leave()
    reading, read = Event(), Event()
    really = hashlib.file_digest

    def slowly(*given: Any) -> Any:
        reading.set()
        assert read.wait(10.0)
        return really(*given)

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", slowly)
        again = pool.submit(store.begin, "long.wav", 4, digest)
        assert reading.wait(10.0)
        patched.setattr(hashlib, "file_digest", really)
        other = store.begin("other.wav", 5)
        other.write(0, b"other")
        upload_id, _ = other.finish()
        assert store.path_of(upload_id).is_file()
        store.make_room()
        assert not again.done()
        read.set()
        resumed = again.result()
    assert resumed.received_bytes == 2
    resumed.write(2, b"ng")
    assert resumed.finish()[0] == digest[:16]


def test_half_an_upload_is_swept(store: UploadStore, tmp_path: Path) -> None:
    (tmp_path / "uploads" / ".part-dead").write_bytes(b"x")
    store.sweep()
    assert list((tmp_path / "uploads").iterdir()) == []


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("cut", [0, 1, 500, 999, 1000])
@pytest.mark.parametrize("restarted", [False, True])
def test_upload_that_was_cut_off_goes_on(
    store: UploadStore, tmp_path: Path, cut: int, restarted: bool
) -> None:
    data = os.urandom(1000)
    first = store.begin("a.wav", 1000, digest_of(data))
    assert first.received_bytes == 0
    first.write(0, data[:cut])
    if restarted:  # without a word, as after a power cut
        first._file.close()
        store = UploadStore(tmp_path / "uploads", LIMIT, 2500)
        store.sweep()
    else:
        first.leave()
    second = store.begin("b.wav", 1000, digest_of(data))
    assert (second.received_bytes, second.is_whole) == (cut, cut == 1000)
    if cut < 1000:
        second.write(cut, data[cut:])
    upload_id, path = second.finish()
    assert (path.name, path.read_bytes()) == ("b.wav", data)
    assert store.find(digest_of(data).upper(), 1000) == (upload_id, path)
    assert store.find(digest_of(data), 999) is None
    assert [item.name for item in (tmp_path / "uploads").iterdir()] == [upload_id]


def test_upload_may_begin_anew(store: UploadStore) -> None:
    data = os.urandom(100)
    upload = store.begin("a.wav", 100, digest_of(data))
    upload.write(0, b"something else")
    upload.leave()
    upload = store.begin("a.wav", 100, digest_of(data))
    upload.write(0, data)
    assert upload.finish()[1].read_bytes() == data


def test_two_clients_may_send_the_same_clip_at_once(store: UploadStore, tmp_path: Path) -> None:
    data = os.urandom(100)
    first = store.begin("a.wav", 100, digest_of(data))
    first.write(0, data[:40])
    second = store.begin("b.wav", 100, digest_of(data))
    assert second.received_bytes == 0
    second.write(0, data)
    first.write(40, data[40:])
    kept = second.finish()
    assert first.finish() == kept
    assert kept[1].read_bytes() == data
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [kept[0]]


def test_of_two_that_send_the_same_the_first_can_be_gone_on_with(
    store: UploadStore, tmp_path: Path
) -> None:
    data = os.urandom(100)
    first, second = (store.begin("a.wav", 100, digest_of(data)) for _ in range(2))
    first.write(0, data[:40])
    second.write(0, data[:70])
    second.leave()
    first.leave()
    assert len(list((tmp_path / "uploads").iterdir())) == 1
    again = store.begin("a.wav", 100, digest_of(data))
    assert again.received_bytes == 40
    again.write(40, data[40:])
    assert again.finish()[1].read_bytes() == data
    with pytest.raises(BridgeError, match="over"):
        again.write(0, data)


def test_a_lane_keeps_its_suffix(store: UploadStore) -> None:
    upload = store.begin("my lane.json", 2)
    upload.write(0, b"[]")
    assert upload.finish()[1].name == "my-lane.json"


def test_what_is_used_again_by_its_path_is_not_the_first_to_go(tmp_path: Path) -> None:
    """Also where the folder is reached through a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    store = UploadStore(tmp_path / "link" / "uploads", LIMIT, 2500)

    def sent(content: bytes) -> Path:
        upload = store.begin("a.wav", 800)
        upload.write(0, content * 800)
        path = upload.finish()[1]
        os.utime(path, (1, 1))
        return path

    used, waited_for, unused = (sent(content) for content in (b"a", b"b", b"c"))
    store.note_use(used.resolve())
    store.note_use(tmp_path / "elsewhere.wav")
    newest = sent(b"d")
    os.utime(newest)
    store.make_room({str(waited_for.resolve())})
    assert [path.exists() for path in (used, waited_for, unused, newest)] == [
        True, True, False, True,
    ]  # fmt: skip


def test_what_was_damaged_while_it_waited_is_noticed(store: UploadStore, tmp_path: Path) -> None:
    data = os.urandom(100)
    upload = store.begin("a.wav", 100, digest_of(data))
    upload.write(0, data[:50])
    upload.leave()
    (waiting,) = (tmp_path / "uploads").iterdir()
    waiting.write_bytes(bytes(50))
    upload = store.begin("a.wav", 100, digest_of(data))
    upload.write(50, data[50:])
    with pytest.raises(BridgeError, match="digest"):
        upload.finish()
    waiting.write_bytes(bytes(101))  # more than there can be: begins anew
    upload = store.begin("a.wav", 100, digest_of(data))
    assert upload.received_bytes == 0
    upload.leave()


def test_unfinished_uploads_wait_for_a_time(store: UploadStore, tmp_path: Path) -> None:
    for number in range(3):
        upload = store.begin("a.wav", 100, digest_of(bytes([number])))
        upload.write(0, bytes(50))
        upload.leave()
    waiting = sorted((tmp_path / "uploads").iterdir())
    os.utime(waiting[0], (0, 0))
    store.sweep()
    assert sorted((tmp_path / "uploads").iterdir()) == waiting[1:]
    os.utime(waiting[1], (0, 0))
    store.begin("b.wav", 10).discard()
    assert sorted((tmp_path / "uploads").iterdir()) == waiting[2:]
    # One that is written now is not old, whatever the clock says.
    upload = store.begin("a.wav", 100, digest_of(b"x"))
    os.utime(upload.partial, (0, 0))
    store.sweep()
    assert upload.partial.exists()
    upload.leave()


def test_unfinished_uploads_count_and_go_as_the_finished(
    store: UploadStore, tmp_path: Path
) -> None:
    _, old = send(store, b"a" * 900)
    upload = store.begin("b.wav", 900, digest_of(b"b"))
    upload.write(0, b"b" * 900)
    upload.leave()
    os.utime(old, (2, 2))
    os.utime(upload.partial, (1, 1))
    _, new = send(store, b"c" * 900)
    store.make_room()
    assert not upload.partial.exists()
    assert old.exists()
    assert new.exists()


@pytest.mark.parametrize("digest", ["x", "0" * 63, "g" * 64, "../" + "0" * 61])
def test_digest_must_be_one(store: UploadStore, digest: str) -> None:
    with pytest.raises(BridgeError) as caught:
        store.begin("a.wav", 10, digest)
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("upload_id", ["", "x", "../takes", "0" * 16, "*" * 16, "0" * 15 + "/"])
def test_unknown_uploads_are_not_found(store: UploadStore, upload_id: str) -> None:
    with pytest.raises(BridgeError) as caught:
        store.path_of(upload_id)
    assert caught.value.code == "not_found"


@pytest.fixture
def small_store(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", max_upload_bytes=100, max_total_bytes=250)


def test_uploads_under_way_have_room_for_what_they_announced(small_store: UploadStore) -> None:
    under_way = [small_store.begin(f"{number}.wav", 100) for number in range(2)]
    with pytest.raises(BridgeError) as caught:
        small_store.begin("third.wav", 100)
    assert caught.value.code == "too_large"
    under_way.pop().discard()
    under_way.append(small_store.begin("third.wav", 100))
    for upload in under_way:
        upload.discard()


def test_uploads_that_were_left_make_room(small_store: UploadStore, tmp_path: Path) -> None:
    for number in range(20):  # a program that begins, sends and goes away, again and again
        upload = small_store.begin("x.wav", 100, hashlib.sha256(bytes([number])).hexdigest())
        upload.write(0, bytes(99))
        upload.leave()
    left = [path.stat().st_size for path in (tmp_path / "uploads").iterdir()]
    assert sum(left) <= 250
    assert len(left) >= 1, "the newest still waits for its client"


def test_a_full_disk_takes_neither_upload_nor_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = UploadStore(tmp_path / "uploads", 1000, 10_000, min_free_bytes=500)
    usage = shutil.disk_usage(tmp_path)
    for free_bytes, fits in ((1500, True), (1499, False)):
        found = usage._replace(free=free_bytes)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, found=found: found)
        if fits:
            store.begin("a.wav", 1000).discard()
            check_room(tmp_path, 1000, 500)
            continue
        with pytest.raises(BridgeError, match="bytes left") as caught:
            store.begin("a.wav", 1000)
        assert caught.value.code == "unavailable"
        assert not [path for path in (tmp_path / "uploads").iterdir() if path.stat().st_size]
