"""Tensors that are added to an entry later: all of them or none, whatever happens meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.cache import CacheKey, LatentCache
from tests.engine.cache.conftest import ROOMY_BYTES, make_key

LATENT, NOISE = torch.arange(6.0).view(2, 3), torch.arange(6.0, 12.0).view(3, 2)


def put(cache: LatentCache, tmp_path: Path, name: str) -> CacheKey:
    key, audio = make_key(name), tmp_path / "mix.wav"
    audio.write_bytes(bytes(1000))
    assert cache.put(key, {"mix.latent": LATENT}, {"mix": audio}, {"name": name}, {"loss": 0.5})
    return key


def amend(cache: LatentCache, key: CacheKey) -> bool:
    # A transposed view: the cache has to make it storable itself.
    return cache.amend(key.digest, {"mix.noise": NOISE.T})


def names_of(cache: LatentCache, key: CacheKey) -> list[str]:
    entry = cache.get(key)
    assert entry is not None
    return sorted(entry.load_tensors())


def folder_of(tmp_path: Path, key: CacheKey) -> Path:
    return tmp_path / "cache" / "entries" / key.digest


def bytes_on_disk(tmp_path: Path) -> int:
    files = (tmp_path / "cache" / "entries").glob("*/*")
    return sum(file.stat().st_size for file in files)


def test_what_is_added_comes_back_with_the_rest(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    key, other = put(cache, tmp_path, "a"), put(cache, tmp_path, "b")
    assert names_of(cache, key) == ["mix.latent"]
    assert amend(cache, key)
    entry = cache.get(key)
    assert entry is not None
    tensors = entry.load_tensors()
    assert torch.equal(tensors["mix.latent"], LATENT)
    assert torch.equal(tensors["mix.noise"], NOISE.T)
    assert (entry.recipe, entry.report) == ({"name": "a"}, {"loss": 0.5})
    assert entry.audio_paths["mix"].read_bytes() == bytes(1000)
    assert names_of(cache, other) == ["mix.latent"]
    assert problems == []


def test_the_size_is_that_of_the_files(cache: LatentCache, tmp_path: Path) -> None:
    for name in "ab":
        key = put(cache, tmp_path, name)
    assert cache.usage().size_bytes == bytes_on_disk(tmp_path)
    assert amend(cache, key)
    assert cache.usage().size_bytes == bytes_on_disk(tmp_path)


def test_it_outlives_a_lost_index(cache: LatentCache, tmp_path: Path) -> None:
    key = put(cache, tmp_path, "a")
    assert amend(cache, key)
    cache.close()
    (tmp_path / "cache" / "index.sqlite3").write_bytes(b"not a database" * 100)
    again = LatentCache(tmp_path / "cache", ROOMY_BYTES, lambda problem: None)
    assert names_of(again, key) == ["mix.latent", "mix.noise"]
    assert again.usage().size_bytes == bytes_on_disk(tmp_path)
    again.close()


def test_an_entry_is_amended_once(cache: LatentCache, tmp_path: Path, problems: list[str]) -> None:
    key = put(cache, tmp_path, "a")
    assert amend(cache, key)
    assert not cache.amend(key.digest, {"mix.noise": torch.zeros(1)})
    entry = cache.get(key)
    assert entry is not None
    assert torch.equal(entry.load_tensors()["mix.noise"], NOISE.T)
    assert put(cache, tmp_path, "a") == key  # a render put in its place begins without
    assert names_of(cache, key) == ["mix.latent"]
    assert problems == []


def test_what_was_evicted_meanwhile_stays_gone(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    key = put(cache, tmp_path, "a")
    size_bytes = cache.usage().size_bytes
    other = LatentCache(tmp_path / "cache", size_bytes + 10)  # of another process, and smaller
    put(other, tmp_path, "b")
    other.close()
    assert not amend(cache, key)
    assert cache.get(key) is None
    assert cache.usage().entries == 1
    assert cache.usage().size_bytes == bytes_on_disk(tmp_path)
    assert problems == []


def test_what_is_added_counts_towards_the_limit(cache: LatentCache, tmp_path: Path) -> None:
    old, new = put(cache, tmp_path, "a"), put(cache, tmp_path, "b")
    size_bytes = cache.usage().size_bytes
    tight = LatentCache(tmp_path / "cache", size_bytes + 10)
    assert amend(tight, new)
    assert tight.get(old) is None
    assert names_of(tight, new) == ["mix.latent", "mix.noise"]
    assert tight.usage().size_bytes == bytes_on_disk(tmp_path) <= tight.usage().limit_bytes
    tight.close()


@pytest.mark.parametrize("damage", ["flip", "delete"])
def test_damage_to_what_was_added_is_a_miss(
    cache: LatentCache, tmp_path: Path, problems: list[str], damage: str
) -> None:
    key = put(cache, tmp_path, "a")
    assert amend(cache, key)
    file = folder_of(tmp_path, key) / "later.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0xFF
    file.unlink()
    if damage == "flip":
        file.write_bytes(content)
    assert cache.get(key) is None
    assert len(problems) == 1
    assert not folder_of(tmp_path, key).exists()


def test_a_damaged_entry_is_not_amended(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    key = put(cache, tmp_path, "a")
    (folder_of(tmp_path, key) / "entry.json").write_text("[]")
    assert not amend(cache, key)
    assert "is not amended" in problems[0]


def test_a_full_disk_leaves_the_entry_as_it_was(
    cache: LatentCache, tmp_path: Path, problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = put(cache, tmp_path, "a")
    before = {path.name: path.read_bytes() for path in folder_of(tmp_path, key).iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.cache.store._flush_to_disk", full)
    assert not amend(cache, key)
    monkeypatch.undo()
    assert "No space left on device" in problems[0]
    after = {path.name: path.read_bytes() for path in folder_of(tmp_path, key).iterdir()}
    assert after == before
    assert amend(cache, key)
    assert names_of(cache, key) == ["mix.latent", "mix.noise"]


_DIES = """
import os, sys
from pathlib import Path
import torch
from engine.cache import LatentCache, store

calls = ("write_bytes", "write_text", "flush", "flush", "replace")
dies_at, done = int(sys.argv[3]), 0
def dying(call):
    def wrapper(*given, **how):
        global done
        done += 1
        if done > dies_at:
            os._exit(9)
        return call(*given, **how)
    return wrapper
cache = LatentCache(Path(sys.argv[1]), 10**7)
for name in ("write_bytes", "write_text", "replace"):
    setattr(Path, name, dying(getattr(Path, name)))
store._flush_to_disk = dying(store._flush_to_disk)
cache.amend(sys.argv[2], {"mix.noise": torch.arange(6.0, 12.0).view(3, 2).T})
print(done, flush=True)
os._exit(0 if done == len(calls) else 1)
"""


def test_a_death_at_any_moment_leaves_the_entry_as_it_was_or_amended(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    key = put(cache, tmp_path, "a")
    for dies_at in range(6):
        arguments = (str(tmp_path / "cache"), key.digest, str(dies_at))
        died = subprocess.run(
            [sys.executable, "-c", _DIES, *arguments], env=os.environ, timeout=60, check=False
        )
        assert died.returncode == (9 if dies_at < 5 else 0)
        assert names_of(cache, key) == ["mix.latent", *(["mix.noise"] if dies_at == 5 else [])]
    assert problems == []


_AMENDS = """
import sys
from pathlib import Path
import torch
from engine.cache import LatentCache

problems = []
cache = LatentCache(Path(sys.argv[1]), 10**7, problems.append)
for digest in sys.argv[2:]:
    assert cache.amend(digest, {"mix.noise": torch.zeros(200, 400)})
assert problems == [], problems
"""


def test_a_reader_sees_the_old_or_the_new(
    cache: LatentCache, tmp_path: Path, problems: list[str]
) -> None:
    keys = [put(cache, tmp_path, f"{number}") for number in range(20)]
    child = subprocess.Popen(
        [sys.executable, "-c", _AMENDS, str(tmp_path / "cache"), *(key.digest for key in keys)]
    )
    while child.poll() is None:
        for key in keys:
            assert names_of(cache, key) in (["mix.latent"], ["mix.latent", "mix.noise"])
    assert child.returncode == 0
    assert all(names_of(cache, key) == ["mix.latent", "mix.noise"] for key in keys)
    assert problems == []
