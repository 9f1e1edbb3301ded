"""Paths and uploads that clients hand in."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from daw_bridge.intake.paths import resolve_allowed
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
        assert str(root) in error.hint


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


def test_half_an_upload_is_swept(store: UploadStore, tmp_path: Path) -> None:
    (tmp_path / "uploads" / ".part-dead").write_bytes(b"x")
    store.sweep()
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize("upload_id", ["", "x", "../takes", "0" * 16, "*" * 16, "0" * 15 + "/"])
def test_unknown_uploads_are_not_found(store: UploadStore, upload_id: str) -> None:
    with pytest.raises(BridgeError) as caught:
        store.path_of(upload_id)
    assert caught.value.code == "not_found"
