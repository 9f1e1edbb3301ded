"""`daw-bridge watch FOLDER`: what is dropped into a folder comes back as a take beside it.

A command and not a setting of the daemon: a folder belongs to a song and not to the machine, one
sees what becomes of each file, and Ctrl-C ends it. With a daemon its jobs stand behind the DAW's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from daw_bridge.commands.console import BAD_INPUT_CODES, Console
from daw_bridge.commands.local import EngineFactory, JobCancelledError, finished_take, open_store
from daw_bridge.commands.local import render as render_locally
from daw_bridge.commands.remote import find_daemon, render_or_follow
from daw_bridge.commands.result import Finished, publish, stem_path
from daw_bridge.config import Config
from daw_bridge.folders.arrivals import Arrival, Arrivals
from daw_bridge.folders.backoff import Backoff
from daw_bridge.folders.ledger import BEGUN, DONE, REFUSED, RENDERED, Ledger
from daw_bridge.folders.recipes import request_of
from daw_bridge.folders.results import error_path, put_error, put_take, take_back_error
from daw_bridge.registration import make_private_folder
from engine.spec import BridgeError, Field, RenderRequest, cast_field

_SETTLE = Field("settle", "number", "how long a file stays as it is", 2.0, "s", 0.0, 600.0)
_LONGEST_POLL_S = 1.0
# The daemon or the disk is in the way, not the file: it is tried again.
_PASSING = "unavailable"


def run(
    options: argparse.Namespace, config: Config, console: Console, make_engine: EngineFactory
) -> None:
    """Watch until Ctrl-C, or with `--once` until nothing is left to do.

    Raises:
        BridgeError: `not_found` for a folder that is not there, `bad_request` for a flag.
    """
    settle_s = cast_field(_SETTLE, options.settle)
    folders = [_folder(name) for name in options.folders]
    make_private_folder(config.data_dir)
    watches = [Watch(folder, settle_s, options, config, console, make_engine) for folder in folders]
    for folder in folders:
        console.note(f"watching {folder}")
    try:
        while _look(watches) or not options.once:
            time.sleep(min(_LONGEST_POLL_S, max(settle_s / 2, 0.05)))
    except KeyboardInterrupt:
        console.note("stopped")
    results = [item for watch in watches for item in watch.results]
    console.result({"results": results}, [])


def _look(watches: list[Watch]) -> bool:
    """Look at each folder; whether one of them expects more."""
    expecting = [watch.look() for watch in watches]
    return any(expecting)


def _folder(name: str) -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise BridgeError("not_found", f"there is no folder {name!r}", "make it first")
    return folder


class Watch:
    """One folder, one file after the other.

    Args:
        now_s: a clock that never goes back.

    Attributes:
        results: what came of each file, for `--json`.
    """

    def __init__(
        self,
        folder: Path,
        settle_s: float,
        options: argparse.Namespace,
        config: Config,
        console: Console,
        make_engine: EngineFactory,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.results: list[dict[str, str]] = []
        self._arrivals = Arrivals(folder, settle_s, now_s)
        self._options = options
        self._config = config
        self._console = console
        self._make_engine = make_engine
        self._ledger = Ledger(config.data_dir, folder)
        self._backoff = Backoff(now_s)
        self._is_gone = False
        self._is_forgetful = False
        self._is_stopped = False
        # Rendered, and not copied into the folder yet.
        self._rendered: dict[Arrival, Finished] = {}
        self._given_up: set[Arrival] = set()

    def look(self) -> bool:
        """Look once and do what there is; whether more is expected."""
        try:
            arrivals = self._arrivals.settled()
            self._ledger.forget_gone(self._arrivals.names)
        except OSError as error:
            self._told_gone(f"{self.folder}: {error.strerror}; waiting for it")
            return False
        if self._is_gone:
            self._console.note(f"{self.folder} is back")
            self._is_gone = False
        self._save()
        self._rendered = {each: self._rendered[each] for each in arrivals if each in self._rendered}
        left = [each for each in arrivals if not self._is_over(each)]
        if not self._backoff.is_due:
            return bool(left)
        # A copy that failed lets the others go first: it may fail for a reason of its own.
        for arrival in sorted(left, key=lambda each: each in self._rendered):
            if self._try(arrival):
                return True
        return self._arrivals.is_expecting

    def _is_over(self, arrival: Arrival) -> bool:
        return self._ledger.is_over(arrival) or arrival in self._given_up

    def _told_gone(self, words: str) -> None:
        if not self._is_gone:
            self._console.note(words)
        self._is_gone = True

    def _try(self, arrival: Arrival) -> bool:
        """Work on one file; whether it has to be tried again."""
        try:
            finished = self._rendering_of(arrival)
        except BridgeError as error:
            if error.code != _PASSING or isinstance(error, JobCancelledError):
                return self._refuse(arrival, error)
            problem = str(error)
        except OSError as error:
            problem = _reason(error)
        else:
            again = finished is not None and self._deliver(arrival, finished)
            if self._is_stopped:
                raise KeyboardInterrupt
            return again
        return self._waits(arrival, problem)

    def _waits(self, arrival: Arrival, problem: str) -> bool:
        """Say what is in the way; true, because the file is to be tried again."""
        wait_s = self._backoff.failed()
        self._console.note(f"{arrival.path.name}: {problem}; tried again in {wait_s:g} s")
        return True

    def _rendering_of(self, arrival: Arrival) -> Finished | None:
        """What was rendered for a file, now or before; None where nothing says what it asks for."""
        finished = self._rendered.get(arrival) or self._kept(self._ledger.take(arrival))
        if finished is None or not all(Path(item["path"]).is_file() for item in finished.files):
            request = request_of(arrival.path)
            if request is None:
                return None
            finished = self._render(arrival, request)
        self._rendered[arrival] = finished
        return finished

    def _kept(self, take: str | None) -> Finished | None:
        if take is None:
            return None
        store = open_store(self._config)
        try:
            return finished_take(store, store.get(take))
        except BridgeError:  # removed, or a daemon's that keeps its takes elsewhere
            return None

    def _render(self, arrival: Arrival, request: RenderRequest) -> Finished:
        self._console.note(f"{arrival.path.name}: {request.task}")
        client = find_daemon(self._options, self._config)
        if client is not None:
            placement = {"priority": "batch", "slot": self._ledger.slot(arrival)}
            begun = self._ledger.job(arrival)
            keep: Callable[[str], None] = lambda job: self._note(  # noqa: E731
                arrival, BEGUN, job=job
            )
            return render_or_follow(client, request, placement, begun, keep, self._console.progress)
        finished: list[Finished] = []
        try:
            self._is_stopped = render_locally(
                [request], self._config, self._make_engine, self._console.progress, finished.append
            )
        except JobCancelledError:
            raise KeyboardInterrupt from None  # it took our Ctrl-C
        return finished[0]

    def _deliver(self, arrival: Arrival, finished: Finished) -> bool:
        """Put the files beside their source; whether that has to be tried again."""
        try:
            stems = {item["name"]: Path(item["path"]) for item in finished.files[1:]}
            target = put_take(arrival.path, finished.path, stems, stem_path, _copy)
            take_back_error(arrival.path, publish)
        except (OSError, BridgeError) as error:
            return self._undelivered(arrival, finished, _reason(error))
        self._backoff.worked()
        del self._rendered[arrival]
        self._note(arrival, DONE, take=finished.take)
        self.results.append({"file": str(arrival.path), "take": str(target)})
        self._console.note(f"{arrival.path.name}: {target.name}")
        return False

    def _undelivered(self, arrival: Arrival, finished: Finished, reason: str) -> bool:
        if self._ledger.take(arrival) != finished.take:
            self._note(arrival, RENDERED, take=finished.take)
        problem = (
            f"the take cannot be copied into {self.folder}: {reason}; it is kept: {finished.path}"
        )
        if not self._options.once:
            return self._waits(arrival, problem)
        self._given_up.add(arrival)
        self.results.append({"file": str(arrival.path), "error": problem})
        self._console.note(f"{arrival.path.name}: {problem}; the next watcher copies it")
        return False

    def _refuse(self, arrival: Arrival, error: BridgeError) -> bool:
        """Say why nothing comes of a file; whether it has to be tried again."""
        if not os.path.lexists(arrival.path):
            # Taken away while it was worked on, or its drive is: that was the reason.
            return self._waits(arrival, str(error))
        name = error_path(arrival.path).name
        try:
            is_told = put_error(arrival.path, error, publish) is not None
            place = f"see {name}" if is_told else f"{name} is yours"
        except OSError as problem:
            place = f"{name} cannot be written: {_reason(problem)}"
        self._note(arrival, REFUSED)
        self.results.append({"file": str(arrival.path), "error": str(error)})
        whose = "mend it and drop it again" if error.code in BAD_INPUT_CODES else "it failed"
        self._console.note(f"{arrival.path.name}: {error} ({whose}; {place})")
        return False

    def _note(
        self, arrival: Arrival, state: str, *, job: str | None = None, take: str | None = None
    ) -> None:
        self._ledger.note(arrival, state, job=job, take=take)
        self._save()

    def _save(self) -> None:
        """Write the ledger; where that fails, say it once and try it at each look."""
        if self._ledger.is_written:
            return
        try:
            self._ledger.write()
        except OSError as error:
            if not self._is_forgetful:
                self._console.note(
                    f"what was done cannot be noted in {self._config.data_dir}: {_reason(error)}; "
                    "a watcher that starts before it can be would do it again"
                )
        self._is_forgetful = not self._ledger.is_written


def _reason(error: BridgeError | OSError) -> str:
    return str(error) if isinstance(error, BridgeError) else error.strerror or str(error)


def _copy(origin: Path, target: Path) -> None:
    publish(target, False, lambda partial: shutil.copyfile(origin, partial))
