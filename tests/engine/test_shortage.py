"""Too little memory: how it is recognised, what is done about it, what people are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import pipeline
from engine.pipeline import Engine
from engine.shortage import is_shortage, wanted_bytes
from engine.spec import BridgeError, Done, Event, RenderRequest

REQUEST = RenderRequest("generate", seconds=1.0)
CUDA = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB"


def _too_large() -> None:
    torch.empty(2**50, dtype=torch.uint8)


def test_real_shortages_are_recognised_with_their_figure() -> None:
    with pytest.raises(RuntimeError) as caught:
        _too_large()
    assert is_shortage(caught.value)
    assert wanted_bytes(str(caught.value)) == 2**50
    assert is_shortage(torch.OutOfMemoryError(CUDA))
    assert wanted_bytes(CUDA) == round(2.5 * 2**30)
    assert is_shortage(MemoryError())
    assert wanted_bytes("Unable to allocate 7.45 GiB for an array") == round(7.45 * 2**30)
    assert wanted_bytes("no figure") is None
    assert not is_shortage(RuntimeError("shapes do not match"))


class Job:
    """Plays `engine.job.Job`: does not fit until it is sparing."""

    fits: Callable[[bool], bool] = staticmethod(lambda sparing: sparing)
    attempts: list[bool]
    pace_s = None

    def __init__(
        self,
        host: Any,
        request: Any,
        spool: Any,
        emit: Callable[[Event], None],
        stopped: Any,
        *,
        sparing: bool = False,
    ) -> None:
        self.emit, self.sparing = emit, sparing

    def run(self) -> None:
        self.attempts.append(self.sparing)
        if not self.fits(self.sparing):
            _too_large()
        self.emit(Done({}, {}))


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    made: list[bool] = []
    monkeypatch.setattr(Job, "attempts", made, raising=False)
    monkeypatch.setattr(pipeline, "Job", Job)
    return made


def render(**options: bool) -> list[Event]:
    return list(Engine(None, "cpu").render(REQUEST, Path(), lambda: False, **options))


def test_a_render_that_does_not_fit_is_made_with_less(attempts: list[bool]) -> None:
    assert render() == [Done({}, {})]
    assert attempts == [False, True]


def test_one_that_is_sparing_already_is_not_made_twice(attempts: list[bool]) -> None:
    assert render(sparing=True) == [Done({}, {})]
    assert attempts == [True]


def test_one_that_never_fits_names_the_figures(
    attempts: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "fits", staticmethod(lambda sparing: False))
    with pytest.raises(BridgeError) as caught:
        render()
    assert attempts == [False, True]
    assert caught.value.code == "out_of_memory"
    assert f"{2**30} MiB more were asked for" in caught.value.message
    assert "MiB were free" in caught.value.message
    assert "fewer candidates" in caught.value.hint


def test_the_first_attempt_is_let_go_before_the_second(
    attempts: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    import weakref

    held: list[Any] = []

    def run(self: Job) -> None:
        attempts.append(self.sparing)
        tensor = torch.zeros(8)
        assert not any(reference() is not None for reference in held), "it still holds memory"
        held.append(weakref.ref(tensor))
        if not self.sparing:
            _too_large()
        self.emit(Done({}, {}))

    monkeypatch.setattr(Job, "run", run)
    assert render() == [Done({}, {})]
