"""Regions of a running Ardour go out by one action, and takes come back onto the track."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from tests.plugins.ardour.ardour import MISSING, Region
from tests.plugins.ardour.session import CLIP_AT, CLIP_STARTS, RATE_HZ
from tests.plugins.ardour.studio import Studio, running_studio

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

_FAST = "refine=0 steps=1"
_ACTIONS = (
    {"task": "extend", "bars": "1", "fields": _FAST},
    {"task": "loop", "bars": "1", "fields": _FAST},
    {"task": "accompany", "fields": _FAST},
    {"task": "inpaint", "fields": _FAST},
)
_CLIP_SAMPLES = 3 * RATE_HZ


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    work = tmp_path_factory.mktemp("ardour")
    time_s = np.arange(_CLIP_SAMPLES) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 220 * time_s) * (1 + np.sin(2 * np.pi * 1.625 * time_s)) / 2
    noise = np.random.default_rng(6).normal(0, 0.02, (_CLIP_SAMPLES, 2))
    clip = (tone[:, None] + noise).astype("float32")
    with running_studio(work, clip, _ACTIONS) as it:
        yield it


def _holds(region: Region, take: dict[str, object]) -> None:
    """The region plays the take, sample for sample."""
    wanted, rate_hz = soundfile.read(str(take["path"]), dtype="float32", always_2d=True)
    assert rate_hz == RATE_HZ
    assert (region.start, region.length) == (0, len(wanted))
    assert len(region.paths) == wanted.shape[1]
    for channel, path in enumerate(region.paths):
        played, _ = soundfile.read(path, dtype="float32", always_2d=True)
        column = channel if played.shape[1] > 1 else 0
        assert np.array_equal(played[:, column], wanted[:, channel])


@pytest.mark.parametrize(("action", "task"), [(0, "extend"), (1, "loop")])
def test_a_take_lands_on_the_track_of_its_clip(studio: Studio, action: int, task: str) -> None:
    before, new, take = studio.sent("clip", action)
    assert take["task"] == task
    assert np.array_equal(studio.clip_that_was_sent(), studio.clip[CLIP_STARTS:])
    assert len(list((studio.data_dir / "exports").iterdir())) == 1  # the clip, however often sent
    assert new.track == "Stem"
    assert new.position == CLIP_AT + int(str(take["offset_samples"]))
    _holds(new, take)
    studio.undo(before)


def test_a_melody_is_accompanied_on_a_track_of_its_own(studio: Studio) -> None:
    before, new, take = studio.sent("melody", 2)
    [melody] = [region for region in before if region.name == "melody"]
    assert take["task"] == "melody"
    assert new.track not in {"Stem", "Melody"}
    assert new.position == melody.position + int(str(take["offset_samples"] or 0))
    _holds(new, take)
    studio.undo(before)


def test_a_range_of_a_clip_is_painted_anew_on_top_of_it(studio: Studio) -> None:
    before = studio.ardour.do("select", "clip")
    studio.ardour.do("range", str(CLIP_AT + RATE_HZ), str(CLIP_AT + 2 * RATE_HZ))
    studio.act(3)
    new, take = studio.landed(before), studio.newest_take()
    assert take["task"] == "inpaint"
    assert (new.track, new.position) == ("Stem", CLIP_AT + int(str(take["offset_samples"])))
    _holds(new, take)
    studio.undo(before)
