"""Whoever moves takes to the trash and back is killed at any moment: each is whole in one place."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from daw_bridge.takes.store import TakeStore
from daw_bridge.takes.verify import verify_takes
from engine.spec import BridgeError, Done, RenderRequest, Stem
from tests.daw_bridge.served import ROOT

_KILLS = 40
_TAKES = 6
_PATIENCE_S = 30.0
_MOVES = """
import itertools, sys
from pathlib import Path
from daw_bridge.takes.store import TakeStore
from engine.spec import BridgeError
store, victim = TakeStore(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
for number in itertools.count(1):
    take = f"t-{1 + number % int(sys.argv[3]):04d}"
    for move in (store.remove, store.restore):
        try:
            move(take)
        except BridgeError:
            pass
    if number == 20:
        try:
            store.remove(victim)
        except BridgeError:
            pass
        store.trash.delete([entry for entry in store.trash.entries() if entry.take == victim])
"""


def _adopt(store: TakeStore, folder: Path) -> str:
    stems = []
    for name in ("mix", "drums"):
        path = folder / f"{name}.wav"
        path.write_bytes(name.encode() * 1000)
        stems.append(Stem(name, str(path), 48_000, 2, 10))
    return store.adopt(RenderRequest("generate", seconds=1.0), stems, Done({}, {})).id


def test_killed_at_random_moments(tmp_path: Path) -> None:
    random, store = Random(5), TakeStore(tmp_path / "takes")
    known = [_adopt(store, tmp_path) for _ in range(_TAKES)]
    given, deleted, pace_s = list(known), 0, 0.05
    for number in range(_KILLS):
        victim = _adopt(store, tmp_path)
        assert victim not in given, "no id is given twice"
        given.append(victim)
        # The first one is let live until its victim is gone, which tells this machine's pace.
        delay_s = random.uniform(0.0, 2.0 * pace_s) if number else None
        took_s = _kill_while_moving(store, victim, delay_s)
        pace_s = pace_s if number else took_s
        here = [take.id for take in store.list(1000)]
        there = [entry.take for entry in store.trash.entries()]
        assert len(set(here + there)) == len(here + there), "none is in two places"
        assert set(known) <= set(here + there)
        deleted += victim not in here + there
        store.trash.sweep()
        assert not list(tmp_path.glob("takes/.trash/.gone-*"))
        for take in {*there}:
            store.restore(take)
        assert not [found for found in verify_takes(store) if found.damaged or found.unchecked]
    assert 0 < deleted < _KILLS, "kills fell before and after the deletion"


def _kill_while_moving(store: TakeStore, victim: str, delay_s: float | None) -> float:
    """Kill it after so long, or once the victim is gone; how long it lived."""
    command = [sys.executable, "-c", _MOVES, str(store.path), victim, str(_TAKES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        begun_s = time.monotonic()
        if delay_s is None:
            while (store.path / victim).exists() or store.trash.find(victim) is not None:
                assert time.monotonic() < begun_s + _PATIENCE_S
        else:
            time.sleep(delay_s)
        process.kill()
    return time.monotonic() - begun_s


def test_a_deletion_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    store = TakeStore(tmp_path / "takes")
    take = _adopt(store, tmp_path)
    store.remove(take)
    half = tmp_path / "takes" / ".trash" / ".gone-0123"
    (entry,) = store.trash.entries()
    entry.folder.rename(half)
    (half / "take.json").unlink()
    assert store.trash.entries() == []
    with pytest.raises(BridgeError, match="in the trash"):
        store.restore(take)
    store.trash.sweep()
    assert not half.exists()
