"""Files are opened where they are allowed to lie, whatever has become of their path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.files.read import read_bytes
from engine.opening import confine, open_named
from engine.spec import BridgeError


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "clips"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.wav").write_bytes(b"allowed")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.wav").write_bytes(b"secret")
    confine([folder])
    yield folder
    confine(None)


def opened(path: Path) -> bytes:
    with open_named(path) as file:
        return file.read()


def test_what_lies_under_a_root_is_opened(root: Path) -> None:
    assert opened(root / "inner" / "a.wav") == b"allowed"
    (root / "link.wav").symlink_to(root / "inner" / "a.wav")
    assert opened(root / "link.wav") == b"allowed"


def test_a_folder_that_became_a_link_after_the_check_leads_nowhere(root: Path) -> None:
    checked = (root / "inner" / "a.wav").resolve()
    (root / "inner").rename(root / "was-inner")
    (root / "inner").symlink_to(root.parent / "elsewhere")
    with pytest.raises(BridgeError) as caught:
        opened(checked)
    assert caught.value.code == "forbidden"
    with pytest.raises(BridgeError) as caught:
        read_bytes(checked, code="bad_audio", wanted="an audio file", max_bytes=100)
    assert caught.value.code == "forbidden"


def test_a_file_that_became_a_link_after_the_check_leads_nowhere(root: Path) -> None:
    checked = root / "inner" / "a.wav"
    checked.unlink()
    checked.symlink_to(root.parent / "elsewhere" / "a.wav")
    for path in (checked, root / ".." / "elsewhere" / "a.wav", Path("/etc/passwd")):
        with pytest.raises(BridgeError) as caught:
            opened(path)
        assert caught.value.code == "forbidden"


def test_a_root_may_itself_be_a_link(root: Path) -> None:
    (root.parent / "shortcut").symlink_to(root)
    confine([root.parent / "shortcut"])
    assert opened(root.parent / "shortcut" / "inner" / "a.wav") == b"allowed"


def test_a_root_that_does_not_exist_allows_nothing(root: Path) -> None:
    confine([root / "none"])
    with pytest.raises(BridgeError):
        opened(root / "inner" / "a.wav")


def test_nothing_stays_open_after_a_refusal(root: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no list of open files")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(BridgeError):
            opened(root.parent / "elsewhere" / "a.wav")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in folders")
def test_a_pipe_that_took_the_file_s_place_is_not_waited_for(root: Path) -> None:
    path = root / "inner" / "a.wav"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BridgeError, match="no regular file") as caught:
        read_bytes(path, code="bad_audio", wanted="an audio file", max_bytes=100)
    assert caught.value.code == "bad_audio"


def test_a_file_that_grows_is_read_to_its_limit_only(root: Path) -> None:
    path = root / "inner" / "a.wav"
    path.write_bytes(bytes(101))
    with pytest.raises(BridgeError) as caught:
        read_bytes(path, code="bad_audio", wanted="an audio file", max_bytes=100)
    assert caught.value.code == "too_large"
    assert len(read_bytes(path, code="bad_audio", wanted="an audio file", max_bytes=101)) == 101
