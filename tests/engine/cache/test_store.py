"""The latent cache: hits, damage, eviction, crashes and several processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.cache import CacheKey, LatentCache
from tests.engine.cache.conftest import ROOMY_BYTES, make_key

AUDIO = b"RIFF" + bytes(996)


def put(cache: LatentCache, tmp_path: Path, key: CacheKey, seed: int = 0) -> bool:
    audio = tmp_path / "finished.wav"
    audio.write_bytes(AUDIO)
    noise = torch.randn(4, 8, generator=torch.Generator().manual_seed(seed))
    # A transposed view: the cache has to make it storable itself.
    return cache.put(key, {"noise": noise.T}, {"mix": audio}, {"seed": seed}, {"loss": 0.5})


def entry_folder(tmp_path: Path, key: CacheKey) -> Path:
    return tmp_path / "cache" / "entries" / key.digest


def test_hit_returns_everything_as_it_was(cache: LatentCache, tmp_path: Path) -> None:
    key = make_key("a")
    assert cache.get(key) is None
    assert put(cache, tmp_path, key, seed=7)
    (tmp_path / "finished.wav").unlink()
    entry = cache.get(key)
    assert entry is not None
    assert entry.audio_paths["mix"].read_bytes() == AUDIO
    assert (entry.recipe, entry.report) == ({"seed": 7}, {"loss": 0.5})
    expected = torch.randn(4, 8, generator=torch.Generator().manual_seed(7)).T
    assert torch.equal(entry.load_tensors()["noise"], expected)


def test_stems_come_back_in_their_order(cache: LatentCache, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.wav" for name in ("drums", "lead", "bass", "mix")}
    for name, path in paths.items():
        path.write_bytes(name.encode())
    assert cache.put(make_key("a"), {"noise": torch.zeros(1)}, paths, {}, {})
    entry = cache.get(make_key("a"))
    assert entry is not None
    assert list(entry.audio_paths) == list(paths)
    assert [path.read_bytes().decode() for path in entry.audio_paths.values()] == list(paths)
    (entry_folder(tmp_path, make_key("a")) / "lead.wav").write_bytes(b"other")
    assert cache.get(make_key("a")) is None


def test_half_precision_survives(cache: LatentCache, tmp_path: Path) -> None:
    audio = tmp_path / "a.wav"
    audio.write_bytes(AUDIO)
    noise = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    cache.put(make_key("a"), {"noise": noise}, {"mix": audio}, {}, {})
    entry = cache.get(make_key("a"))
    assert entry is not None
    assert torch.equal(entry.load_tensors()["noise"], noise)


def test_putting_again_replaces(cache: LatentCache, tmp_path: Path) -> None:
    key = make_key("a")
    put(cache, tmp_path, key, seed=1)
    put(cache, tmp_path, key, seed=2)
    entry = cache.get(key)
    assert entry is not None
    assert entry.recipe == {"seed": 2}
    assert cache.usage().entries == 1


def test_survives_reopening(cache: LatentCache, tmp_path: Path, problems: list[str]) -> None:
    put(cache, tmp_path, make_key("a"))
    cache.close()
    again = LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append)
    assert again.get(make_key("a")) is not None
    assert problems == []
    again.close()


@pytest.mark.parametrize("name", ["latents.safetensors", "finished.wav", "entry.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_damaged_entry_is_a_miss_removed_and_reported(
    cache: LatentCache, tmp_path: Path, problems: list[str], name: str, damage: str
) -> None:
    key = make_key("a")
    put(cache, tmp_path, key)
    file = entry_folder(tmp_path, key) / name
    content = bytearray(file.read_bytes())
    if damage == "delete":
        file.unlink()
    elif damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[0] ^= 0xFF
        file.write_bytes(content)
    assert cache.get(key) is None
    assert len(problems) == 1
    assert key.digest[:12] in problems[0]
    assert not entry_folder(tmp_path, key).exists()
    assert cache.usage().entries == 0
    assert put(cache, tmp_path, key)
    assert cache.get(key) is not None


@pytest.mark.parametrize("text", ["[]", "{}", '{"audio": 3}', '{"audio": {"mix": 3}}'])
def test_strange_entry_file_is_a_miss(
    cache: LatentCache, tmp_path: Path, problems: list[str], text: str
) -> None:
    key = make_key("a")
    put(cache, tmp_path, key)
    (entry_folder(tmp_path, key) / "entry.json").write_text(text)
    assert cache.get(key) is None
    assert len(problems) == 1


def test_entry_cannot_point_outside_its_folder(cache: LatentCache, tmp_path: Path) -> None:
    key = make_key("a")
    put(cache, tmp_path, key)
    file = entry_folder(tmp_path, key) / "entry.json"
    about = json.loads(file.read_text())
    (entry_folder(tmp_path, key) / "finished.wav").unlink()
    outside = {"mix": about["audio"]["mix"] | {"file": "../../../finished.wav"}}
    file.write_text(json.dumps(about | {"audio": outside}))
    assert cache.get(key) is None


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    roomy = LatentCache(tmp_path / "cache", ROOMY_BYTES)
    for name in "abc":
        put(roomy, tmp_path, make_key(name))
    size_bytes = roomy.usage().size_bytes // 3
    assert roomy.get(make_key("a")) is not None  # b is now the oldest
    roomy.close()
    tight = LatentCache(tmp_path / "cache", size_bytes * 3 + size_bytes // 2)
    put(tight, tmp_path, make_key("d"))
    kept = [name for name in "abcd" if tight.get(make_key(name)) is not None]
    assert kept == ["a", "c", "d"]
    assert tight.usage().size_bytes <= tight.usage().limit_bytes
    tight.close()


def test_smaller_limit_evicts_on_opening(cache: LatentCache, tmp_path: Path) -> None:
    for name in "abc":
        put(cache, tmp_path, make_key(name))
    size_bytes = cache.usage().size_bytes // 3
    cache.close()
    small = LatentCache(tmp_path / "cache", size_bytes + 1)
    assert [name for name in "abc" if small.get(make_key(name))] == ["c"]
    small.close()


def test_larger_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    tiny = LatentCache(tmp_path / "cache", 100)
    assert not put(tiny, tmp_path, make_key("a"))
    assert tiny.usage().entries == 0
    assert list((tmp_path / "cache" / "entries").iterdir()) == []
    tiny.close()


def test_damaged_index_is_built_anew(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    for name in "ab":
        put(cache, tmp_path, make_key(name))
    cache.close()
    (tmp_path / "cache" / "index.sqlite3").write_bytes(b"not a database" * 100)
    again = LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append)
    assert again.usage().entries == 2
    assert again.get(make_key("a")) is not None
    assert problems == ["the cache index was damaged and has been built anew"]
    again.close()


def test_index_damaged_while_open_is_a_miss_and_costs_no_render(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    put(cache, tmp_path, make_key("a"))
    cache.close()  # stands for a connection that stopped working
    assert cache.get(make_key("a")) is None
    assert len(problems) == 1
    assert not put(cache, tmp_path, make_key("b"))
    assert "not kept in the cache" in problems[-1]


def test_full_disk_costs_no_render(
    cache: LatentCache, tmp_path: Path, problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    assert not put(cache, tmp_path, make_key("a"))
    assert problems == ["the render is not kept in the cache: [Errno 28] No space left on device"]
    assert list((tmp_path / "cache" / "entries").iterdir()) == []


def test_crash_before_publishing_leaves_nothing(
    cache: LatentCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.cache.store._sha256", crash)
    with pytest.raises(KeyboardInterrupt):
        put(cache, tmp_path, make_key("a"))
    monkeypatch.undo()
    assert cache.get(make_key("a")) is None
    assert list((tmp_path / "cache" / "entries").iterdir()) == []


def test_partial_entry_of_a_killed_process_is_swept_once_old(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    cache.close()
    fresh, old = (tmp_path / "cache" / "entries" / f".partial-{name}" for name in ("new", "old"))
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "latents.safetensors").write_bytes(b"half")
    two_hours_ago_s = time.time() - 7200
    os.utime(old, (two_hours_ago_s, two_hours_ago_s))
    LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append).close()
    assert fresh.exists()
    assert not old.exists()
    assert problems == []


def test_crash_between_files_and_index_is_healed(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    """Published but not indexed is adopted; indexed but gone is forgotten."""
    for name in "ab":
        put(cache, tmp_path, make_key(name))
    orphan, gone = (entry_folder(tmp_path, make_key(name)) for name in "ab")
    cache._index.remove(orphan.name)
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()
    assert cache.get(make_key("a")) is not None  # the files are the truth
    cache.close()
    again = LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append)
    assert again.usage().entries == 1
    assert again.get(make_key("a")) is not None
    assert problems == []
    again.close()


def test_unreadable_orphan_is_removed_on_opening(tmp_path: Path, problems: list[str]) -> None:
    orphan = tmp_path / "cache" / "entries" / ("0" * 64)
    orphan.mkdir(parents=True)
    LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append).close()
    assert not orphan.exists()
    assert len(problems) == 1


_CHILD = """
import sys
from pathlib import Path
import torch
from engine.cache import LatentCache, cache_key

folder, who = Path(sys.argv[1]), sys.argv[2]
problems = []
cache = LatentCache(folder / "cache", 10**7, problems.append)
audio = folder / f"{who}.wav"
audio.write_bytes(bytes(1000))
for number in range(12):
    # Both processes write the shared key, over and over, and one of their own.
    for name in ("shared", f"{who}{number}"):
        key = cache_key("clip", {"task": "loop", "prompt": name}, "m", "1")
        cache.put(key, {"noise": torch.zeros(4)}, {"mix": audio}, {"who": who}, {})
        assert cache.get(key) is not None
assert problems == [], problems
"""


def test_two_processes_share_one_cache(tmp_path: Path, problems: list[str]) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path), who]) for who in "pq"
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    cache = LatentCache(tmp_path / "cache", ROOMY_BYTES, problems.append)
    assert cache.usage().entries == 25
    assert problems == []
    cache.close()
