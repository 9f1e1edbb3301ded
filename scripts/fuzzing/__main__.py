"""Sends malformed packets, frames, bodies and files to the daemon and its readers.

Each case comes from the seed, its kind and its number alone, so a finding can be repeated:
--only KIND --from NUMBER --count 1. How far a kind has come is kept in the state file; the next run
goes on from there. Allowed are documented errors; a crash, silence, a traceback in a log, growth of
memory or a file touched outside the allowed folders is a finding.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from _daemon import Daemon, running_daemon  # noqa: E402

from daw_bridge.commands.console import table  # noqa: E402
from fuzzing.files import FILE_KINDS, FileReader, make_file  # noqa: E402
from fuzzing.live import CHECK_EVERY, LIVE_KINDS, NoAnswerError, open_session  # noqa: E402
from fuzzing.messages import Messages  # noqa: E402
from fuzzing.watch import Log, Sentinels, Tally, memory_bytes  # noqa: E402

KINDS = (*LIVE_KINDS, *FILE_KINDS)
FOLDER = ROOT / "build" / "fuzz"
MAX_GROWTH_BYTES = 24 * 2**20
_WARM_CASES = 2000  # what is loaded and cached by then is no growth
_SAVE_EVERY = 500
_SETTINGS = ("--max-job-history", "50", "--engine-factory", "scripts.fuzzing.reader:create_engine")


@dataclass(frozen=True, slots=True)
class Plan:
    """Which cases of one kind."""

    kind: str
    seed: int
    first: int
    count: int

    def random(self, number: int) -> Random:
        """Where all that is random in a case comes from."""
        return Random(f"{self.seed}:{self.kind}:{number}")

    def numbers(self) -> range:
        """The cases."""
        return range(self.first, self.first + self.count)

    def is_warm_at(self, number: int) -> bool:
        """Whether memory is measured from this case on."""
        return number == self.first + min(_WARM_CASES, self.count // 4)


class State:
    """How far each kind has come, in a file."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._seed = seed
        try:
            kept = json.loads(path.read_text())
        except (OSError, ValueError):
            kept = {}
        self._next: dict[str, int] = kept.get(str(seed), {})
        self._others = {key: value for key, value in kept.items() if key != str(seed)}

    def next_of(self, kind: str) -> int:
        """The first case that was not tried yet."""
        return self._next.get(kind, 0)

    def save(self, kind: str, number: int) -> None:
        """All cases below this number are tried."""
        self._next[kind] = max(number, self.next_of(kind))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({**self._others, str(self._seed): self._next}, indent=1))
        temporary.replace(self._path)


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 without a finding, else 1."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="cases of each kind")
    parser.add_argument("--only", choices=KINDS, action="append", help="may be given again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, help="first case; else where it stopped")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of state and findings")
    options = parser.parse_args(arguments)
    state = State(options.folder / "state.json", options.seed)
    tallies: dict[str, Tally] = {}
    rows = [["kind", "cases", "time", "memory growth", "what came of them"]]
    for kind in options.only or KINDS:
        first = state.next_of(kind) if options.first is None else options.first
        plan = Plan(kind, options.seed, first, options.count)
        begun_s = time.monotonic()
        tallies[kind] = tally = Tally()
        (_run_files if kind in FILE_KINDS else _run_live)(plan, tally, state, options.folder)
        rows.append(_row(plan, tally, time.monotonic() - begun_s))
        print("  ".join(rows[-1]), flush=True)
    print("\n".join(table(rows)))
    problems = [f"{kind}: {text}" for kind, tally in tallies.items() for text in tally.problems]
    print("\n".join(problems) or "no findings")
    return 1 if problems else 0


def _row(plan: Plan, tally: Tally, took_s: float) -> list[str]:
    if tally.growth_bytes > MAX_GROWTH_BYTES:
        tally.problems.append(f"memory grew by {tally.growth_bytes / 1e6:.1f} MB")
    outcomes = ", ".join(f"{name} {count}" for name, count in tally.outcomes.most_common())
    last = plan.first + plan.count - 1
    growth = f"{tally.growth_bytes / 1e6:.1f} MB to {tally.last_bytes / 1e6:.0f} MB"
    return [plan.kind, f"{plan.first} to {last}", f"{took_s:.0f} s", growth, outcomes]


def _found(folder: Path, plan: Plan, number: int, case: bytes, problem: str, tally: Tally) -> None:
    """Keep a finding with its case."""
    path = folder / "findings" / f"{plan.kind}-{plan.seed}-{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".case").write_bytes(case)
    path.with_suffix(".txt").write_text(problem)
    tally.problems.append(f"case {number}: {problem.strip().splitlines()[-1][:300]} ({path}.txt)")


def _run_files(plan: Plan, tally: Tally, state: State, folder: Path) -> None:
    with FileReader() as reader:
        for number in plan.numbers():
            if plan.is_warm_at(number):
                tally.settle()
            data = make_file(plan.kind, plan.random(number))
            if problem := reader.read(plan.kind, data, tally):
                _found(folder, plan, number, data, problem, tally)
            if number % _SAVE_EVERY == 0:
                state.save(plan.kind, number)
    state.save(plan.kind, plan.first + plan.count)


def _run_live(plan: Plan, tally: Tally, state: State, folder: Path) -> None:
    with _playground() as (daemon, messages, sentinels, clips):
        log = Log(daemon.data_dir / "logs")
        before = sorted(clips.rglob("*"))
        sent: list[tuple[int, bytes]] = []
        with closing(open_session(plan.kind, daemon.info, messages, tally)) as session:
            for number in plan.numbers():
                if plan.is_warm_at(number):
                    tally.settle()
                try:
                    sent.append((number, session.send(plan.random(number))))
                    if len(sent) < CHECK_EVERY and number + 1 < plan.first + plan.count:
                        continue
                    session.check()
                    problems = log.news()
                except NoAnswerError as error:
                    problems = [str(error)]
                for problem in problems:
                    cases = b"\n--- next case ---\n".join(case for _, case in sent)
                    _found(folder, plan, sent[0][0], cases, problem, tally)
                sent.clear()
                tally.memory(memory_bytes(daemon.process.pid))
                state.save(plan.kind, number + 1)
                if daemon.process.poll() is not None:
                    tally.problems.append(f"the daemon ended with {daemon.process.returncode}")
                    break
        tally.problems += [f"{name} was touched" for name in sentinels.touched()]
        if sorted(clips.rglob("*")) != before:
            tally.problems.append("the folder of clips was written to")


@contextmanager
def _playground() -> Iterator[tuple[Daemon, Messages, Sentinels, Path]]:
    """A daemon, a folder that it may read, and one that it may not, with links between them."""
    with tempfile.TemporaryDirectory(prefix="daw-bridge-fuzz-") as name:
        scratch = Path(name).resolve()
        clips = scratch / "clips"
        clips.mkdir()
        if not Sentinels.reading_is_seen(scratch):
            print("this file system does not note what is read: only changes are seen")
        sentinels = Sentinels(scratch / "outside")
        good = clips / "clip.wav"
        good.write_bytes(make_file("wav", Random(0)))
        (clips / "link.wav").symlink_to(sentinels.files[-1])
        (clips / "folder").symlink_to(sentinels.folder)
        (clips / "loop").symlink_to(clips / "loop")
        os.mkfifo(clips / "pipe.wav")
        hostile = (
            *map(str, sentinels.files), str(clips / "link.wav"), str(clips / "folder/secret.mid"),
            f"{clips}/../outside/secret.wav", str(clips / "loop"), str(clips / "pipe.wav"),
            str(clips), "/etc/passwd", "/dev/zero", "relative.wav", "~root/x.wav",
        )  # fmt: skip
        with running_daemon(scratch / "data", "--roots", str(clips), *_SETTINGS) as daemon:
            yield daemon, Messages(daemon.info.token, str(good), hostile), sentinels, clips


if __name__ == "__main__":
    raise SystemExit(main())
