"""A daemon and an Ardour in its window that knows it, for tests of our action and our hook."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from daw_bridge.app import App
from daw_bridge.client import Client
from daw_bridge.config import Config
from tests.daw_bridge.served import served
from tests.plugins.ardour.ardour import Ardour, Region, running_ardour
from tests.plugins.ardour.session import RATE_HZ, make_session


@dataclass(frozen=True)
class Studio:
    """A daemon and an Ardour, with the clip of its session."""

    app: App
    ardour: Ardour
    clip: np.ndarray
    session: Path

    @property
    def data_dir(self) -> Path:
        """The daemon's data folder."""
        return self.app.config.data_dir

    def newest_take(self) -> dict[str, object]:
        """What the daemon tells of it."""

        async def ask() -> dict[str, object]:
            async with Client(self.app.url, self.app.token) as client:
                [take] = (await client.request("takes", limit=1))["takes"]
            assert isinstance(take, dict)
            return take

        return asyncio.run(ask())

    def act(self, action: int) -> None:
        """Run an action on what is selected."""
        self.ardour.do("act", "LuaAction", f"script-{action + 1}")

    def landed(self, before: list[Region]) -> Region:
        """The region that is new, once it is there."""
        after = self.ardour.regions_after(len(before) + 1)
        [new] = [region for region in after if region not in before]
        return new

    def sent(self, name: str, action: int) -> tuple[list[Region], Region, dict[str, object]]:
        """Select a region and act; the regions of before, the new one, and the take."""
        before = self.ardour.do("select", name)
        self.act(action)
        return before, self.landed(before), self.newest_take()

    def undo(self, before: list[Region]) -> None:
        """Undo once, which brings back the regions of before."""
        self.ardour.do("act", "Editor", "undo")
        assert self.ardour.regions_after(len(before)) == before

    def clip_that_was_sent(self) -> np.ndarray:
        """The newest export's samples."""
        exports = (self.data_dir / "exports").glob("*.wav")
        newest = max(exports, key=lambda path: path.stat().st_mtime)
        samples: np.ndarray = soundfile.read(newest, dtype="float32", always_2d=True)[0]
        return samples


@contextmanager
def running_studio(
    work: Path, clip: np.ndarray, actions: Sequence[Mapping[str, str]], **settings: object
) -> Iterator[Studio]:
    """A daemon of such settings, and an Ardour with the clip; both end with the block."""
    soundfile.write(work / "clip.wav", clip, RATE_HZ, "FLOAT")
    home = work / "build-home"
    home.mkdir()
    session, data_dir = work / "song", work / "data"
    make_session(session, work / "clip.wav", home)
    given = {"port": 0, "osc_port": 0, "data_dir": data_dir, "roots": [work / "nowhere"]}
    config = Config.load(given | settings, environment={})
    with served(config) as app, running_ardour(work, session, data_dir, actions) as ardour:
        yield Studio(app, ardour, clip, session)
