"""Where a running Ardour puts takes whose place the engine says, and what our dialogs say."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from tests.plugins.ardour.ardour import MISSING
from tests.plugins.ardour.dialogs import Dialogs, dialogs_on
from tests.plugins.ardour.echo_engine import echo
from tests.plugins.ardour.session import (
    BPM,
    CHANGE_AT_BEATS,
    CHANGED_BPM,
    CHANGED_METRE,
    CLIP_AT,
    CLIP_STARTS,
    RAMP_AT_BEATS,
    RAMP_BEATS,
    RAMP_BPM,
    RATE_HZ,
)
from tests.plugins.ardour.studio import Studio, running_studio

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

_TAKE_HZ = 48_000
_CUT = 1_000
_PATIENCE_S = 40.0
_POLL_S = 0.02
_ACTIONS = (
    {"task": "extend", "fields": "prompt=offset=-100"},
    {"task": "extend ", "fields": f"prompt=offset=4410,rate={_TAKE_HZ}"},
    {"task": "extend", "fields": f"prompt=offset={-CLIP_AT - _CUT}"},
    {"task": "extend", "fields": "prompt=offset=-9999999"},
    {"task": "accompany"},
    {"task": "extend2"},
)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    work = tmp_path_factory.mktemp("placement")
    clip = np.random.default_rng(8).normal(0, 0.1, (RATE_HZ, 2)).astype("float32")
    engine = "tests.plugins.ardour.echo_engine:create_engine"
    with running_studio(work, clip, _ACTIONS, engine_factory=engine) as it:
        yield it


@pytest.fixture
def dialogs(studio: Studio) -> Iterator[Dialogs]:
    with dialogs_on(studio.ardour.display, "daw-bridge") as it:
        assert it.open() == []
        yield it


@contextmanager
def _server_file(studio: Studio, text: str | None) -> Iterator[None]:
    """The daemon's file with another text, or without it, as when no daemon runs."""
    file = studio.data_dir / "server.json"
    kept = file.read_bytes()
    file.unlink()
    if text is not None:
        file.write_text(text)
    try:
        yield
    finally:
        file.write_bytes(kept)


def test_a_take_lands_beside_its_clip(studio: Studio) -> None:
    before, new, _ = studio.sent("clip", 0)
    take = echo(studio.clip[CLIP_STARTS:], "extend")
    assert (new.track, new.position, new.start) == ("Stem", CLIP_AT - 100, 0)
    assert new.length == len(take)
    studio.undo(before)


def test_a_take_of_another_rate_lands_at_its_time(studio: Studio) -> None:
    before, new, told = studio.sent("clip", 1)
    frames = soundfile.info(str(told["path"])).frames
    assert new.position == CLIP_AT + round(4410 * RATE_HZ / _TAKE_HZ)
    assert new.length == pytest.approx(frames * RATE_HZ / _TAKE_HZ, abs=2)
    studio.undo(before)


def test_a_take_that_begins_before_the_session_loses_its_beginning(studio: Studio) -> None:
    before, new, _ = studio.sent("clip", 2)
    take = echo(studio.clip[CLIP_STARTS:], "extend")
    assert (new.track, new.position, new.start) == ("Stem", 0, _CUT)
    assert new.length == len(take) - _CUT
    for channel, path in enumerate(new.paths):
        assert np.array_equal(soundfile.read(path, dtype="float32")[0], take[:, channel])
    whole = studio.ardour.do("act", "Editor", "undo")  # the cut, then the import
    assert (0, 0, len(take)) in {(each.position, each.start, each.length) for each in whole}
    studio.undo(before)


def test_a_take_wholly_before_the_session_is_named(studio: Studio, dialogs: Dialogs) -> None:
    before = studio.ardour.do("select", "clip")
    studio.act(3)
    dialogs.close_next()
    assert studio.ardour.do("report") == before


def test_the_tempo_is_sent_up_to_the_regions_end(studio: Studio) -> None:
    studio.ardour.do("select", "long melody")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(40.0)
        text = '{"url": "ws://127.0.0.1:1", "osc_port": %d, "token": "x", "pid": 1}'
        with _server_file(studio, text % ear.getsockname()[1]):
            studio.act(4)
            sent = ear.recv(65_536)
            (studio.session / "daw-bridge.pending").unlink()  # nobody answers
    _, _, pairs = sent.partition(b"reply_file\0\0\0\0\0\1")
    said = [word.decode() for word in pairs.split(b"\0") if word]
    tempos = said[said.index("tempo_map") + 1]
    beats, bpm = zip(*(map(float, point.split(":")) for point in tempos.split(",")), strict=True)
    ramped_beat = RAMP_AT_BEATS + RAMP_BEATS
    assert beats == (0, CHANGE_AT_BEATS, *range(RAMP_AT_BEATS, ramped_beat + 1))
    assert (*bpm[:2], bpm[-1]) == pytest.approx((BPM, CHANGED_BPM, RAMP_BPM[1]), rel=1e-8)
    # Ardour's ramps are linear in beats, so to beat n they take the integral of 60 / bpm(n).
    slope = (RAMP_BPM[1] - RAMP_BPM[0]) / RAMP_BEATS
    at_beat = RAMP_BPM[0] + slope * np.arange(RAMP_BEATS + 1)
    wanted_s = 60 / slope * np.log(at_beat / RAMP_BPM[0])
    told_s = np.cumsum([0, *(60 / np.array(bpm[2:-1]))])
    np.testing.assert_allclose(told_s, wanted_s, atol=2 / RATE_HZ)
    assert said[said.index("metre") + 1] == f"0:4/4,{CHANGE_AT_BEATS}:{CHANGED_METRE}"


def test_a_task_that_is_none_is_refused(studio: Studio, dialogs: Dialogs) -> None:
    studio.ardour.do("select", "clip")
    number = studio.ardour.order("act", "LuaAction", "script-6")
    dialogs.close_next()
    studio.ardour.done(number)
    assert not (studio.session / "daw-bridge.pending").exists()


def test_it_is_said_that_no_daemon_runs(studio: Studio, dialogs: Dialogs) -> None:
    studio.ardour.do("select", "clip")
    with _server_file(studio, None):
        number = studio.ardour.order("act", "LuaAction", "script-1")
        dialogs.close_next()
        studio.ardour.done(number)


def test_it_is_said_that_a_daemon_does_not_answer(studio: Studio, dialogs: Dialogs) -> None:
    _await_reply(studio, "late", sent_s=0)
    dialogs.close_next()
    assert not (studio.session / "daw-bridge.pending").exists()


def test_it_is_said_why_a_take_cannot_be_placed(studio: Studio, dialogs: Dialogs) -> None:
    reply = studio.data_dir / "replies" / "broken.json"
    reply.parent.mkdir(exist_ok=True)
    reply.write_text('{"event": "done"}')  # without the path of a take
    _await_reply(studio, "broken", sent_s=2**40)
    dialogs.close_next()
    assert not reply.exists()


def test_a_list_that_cannot_be_written_costs_no_take(studio: Studio, dialogs: Dialogs) -> None:
    pending = studio.session / "daw-bridge.pending"
    in_the_way = studio.session / "daw-bridge.pending.partial"
    in_the_way.mkdir()
    waiting = _awaited(studio, "waiting", sent_s=2**40)
    over = _awaited(studio, "over", sent_s=2**40)
    reply = studio.data_dir / "replies" / "over.json"
    reply.parent.mkdir(exist_ok=True)
    reply.write_text('{"event": "cancelled"}')
    _await_all(studio, [over, waiting])
    dialogs.close_next()
    assert pending.read_text().splitlines() == [over, waiting]
    in_the_way.rmdir()
    end_s = time.monotonic() + _PATIENCE_S
    while pending.read_text().splitlines() != [waiting]:
        assert dialogs.open() == [], "it is said once"
        assert time.monotonic() < end_s, "the list stays as it was"
        time.sleep(_POLL_S)
    assert not reply.exists()
    pending.unlink()


def _await_reply(studio: Studio, name: str, *, sent_s: int) -> None:
    """Leave what the action leaves for the hook."""
    _await_all(studio, [_awaited(studio, name, sent_s=sent_s)])


def _awaited(studio: Studio, name: str, *, sent_s: int) -> str:
    return "\t".join((name, "extend", "1", "0", str(sent_s), "1", str(studio.data_dir)))


def _await_all(studio: Studio, lines: list[str]) -> None:
    new = studio.session / "pending.new"
    new.write_text("".join(f"{line}\n" for line in lines))
    new.rename(studio.session / "daw-bridge.pending")
