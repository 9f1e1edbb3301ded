"""Renders in this process, for those who run no daemon. The engine is loaded on first use only."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from daw_bridge.commands.result import Finished
from daw_bridge.config import Config
from daw_bridge.registration import make_private_folder
from daw_bridge.takes.keeping import Keeper
from daw_bridge.takes.store import SPOOL, Take, TakeStore
from engine.spec import BridgeError, Cancelled, Done, Event, Failed, Progress, RenderRequest, Stem

if TYPE_CHECKING:
    from engine.worker import Engine

EngineFactory = Callable[[Path | None, Path | None], "Engine"]  # cache folder, models file
OnProgress = Callable[[Progress], None]
OnFinished = Callable[[Finished], None]


class JobCancelledError(BridgeError):
    """Somebody stopped it: not to be tried again, unlike what else is `unavailable`."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("unavailable", message, hint)


def engine_from_package(cache_dir: Path | None, models_file: Path | None) -> Engine:
    """The real engine. Importing it takes seconds, because it brings torch."""
    from engine.pipeline import create_engine

    return create_engine(cache_dir, models_file)


def open_store(config: Config) -> TakeStore:
    """The takes of the data folder, which is made when it is missing.

    Raises:
        BridgeError: `unavailable` when it cannot be made or written.
    """
    make_private_folder(config.data_dir)
    return TakeStore(config.data_dir / "takes")


def render(
    requests: Sequence[RenderRequest],
    config: Config,
    make_engine: EngineFactory,
    on_progress: OnProgress,
    on_finished: OnFinished,
) -> bool:
    """Render one after the other and keep each result as a take, as the daemon would.

    Ctrl-C cancels all that are left.

    Returns:
        whether Ctrl-C came after the last result, which cannot be cancelled any more, and ended
        what the engine does then.

    Raises:
        BridgeError: as the engine refuses or fails.
        JobCancelledError: it was cancelled.
    """
    store = open_store(config)
    engine: Engine | None = None
    try:
        for number, request in enumerate(requests, 1):
            # In the data folder, so that a take is moved and not copied.
            with (
                tempfile.TemporaryDirectory(prefix=SPOOL, dir=config.data_dir) as spool,
                cancelled_by_interrupt() as cancelled,
            ):
                engine = engine or make_engine(config.cache_dir, config.models_file)
                events = engine.render(request, Path(spool), cancelled)
                stems, done = _follow(events, on_progress)
                take = store.adopt(request, stems, done, spool_dir=Path(spool))
            on_finished(finished_take(store, take))
            with cancelled_by_interrupt() as interrupted:
                engine.settle(interrupted)
                if number < len(requests) and interrupted():
                    raise JobCancelledError("cancelled")
        return interrupted()
    finally:
        if engine is not None:
            engine.unload()
        Keeper(store, config.max_takes_bytes, config.trash_days).tidy()


def _follow(events: Iterator[Event], on_progress: OnProgress) -> tuple[list[Stem], Done]:
    stems: list[Stem] = []
    for event in events:
        match event:
            case Progress():
                on_progress(event)
            case Stem():
                stems.append(event)
            case Done():
                return stems, event
            case Cancelled():
                raise JobCancelledError("cancelled")
            case Failed():
                raise BridgeError(event.code, event.message, event.hint)
            case _:
                pass  # a preview: nobody listens
    raise BridgeError("engine_failed", "the engine ended without a result")


@contextmanager
def cancelled_by_interrupt() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; a second one ends the program as usual."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set  # only the main thread may listen to signals
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        flag.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield flag.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def finished_take(store: TakeStore, take: Take) -> Finished:
    """A take as commands report it.

    Raises:
        BridgeError: `not_found` when the take is damaged.
    """
    return Finished(
        take=take.id,
        path=Path(take.main.path),
        files=[asdict(item) for item in take.files],
        report=store.report(take.id),
        recipe=store.recipe(take.id),
    )
