"""Checkpoints of an optimisation: what is written, what is believed, and a run cut off anywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from engine.checkpoints import MIN_INTERVAL_S, Checkpoint, Checkpoints
from engine.optimise.keeper import State
from engine.optimise.methods import run_method
from engine.optimise.noise import NoiseSettings, optimise_noise
from engine.optimise.problem import OptimisedNoise
from tests.engine.optimise.toys import drawn, toy_problem

ITERATIONS = 12


class Killed(Exception):  # noqa: N818 - a signal, not an error
    pass


class Hours:
    """A clock by which every checkpoint is due and takes no time: asked before and after it."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return (self.asked + 1) // 2 * 3600.0


def checkpoints(
    folder: Path, fingerprint: str = "a", clock: Callable[[], float] | None = None
) -> Checkpoints:
    made = Checkpoints(folder, fingerprint)
    made.pace.clock_s = clock or Hours()
    return made


def ditto(keeper: Checkpoint | None, killed_after: int | None = None) -> tuple[OptimisedNoise, int]:
    """A run and how many evaluations it made."""
    evaluations = 0

    def watch(run: OptimisedNoise) -> None:
        nonlocal evaluations
        evaluations += 1
        if killed_after is not None and evaluations > killed_after:
            raise Killed

    problem = toy_problem(4)
    run = run_method("ditto", problem, drawn(3), ITERATIONS, watch, keeper=keeper)
    return run, evaluations


def the_same(one: OptimisedNoise, other: OptimisedNoise) -> bool:
    tensors = all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("noise", "latent")
    )
    return tensors and (one.losses, one.drift) == (other.losses, other.drift)


@pytest.mark.parametrize("killed_after", [1, 5, ITERATIONS])
def test_a_run_that_was_cut_off_goes_on_to_the_same_end(tmp_path: Path, killed_after: int) -> None:
    whole, all_evaluations = ditto(None)
    restored: list[int] = []
    with pytest.raises(Killed):
        ditto(checkpoints(tmp_path).of("mix-0-8"), killed_after)
    keeper = checkpoints(tmp_path).of("mix-0-8", on_restored=restored.append)
    again, evaluations = ditto(keeper)
    assert the_same(again, whole)
    assert restored == [killed_after]
    assert evaluations == all_evaluations - killed_after


def test_a_run_that_was_over_needs_no_evaluation(tmp_path: Path) -> None:
    whole, _ = ditto(checkpoints(tmp_path).of("mix-0-8"))
    again, evaluations = ditto(checkpoints(tmp_path).of("mix-0-8"))
    assert evaluations == 0
    assert the_same(again, whole)


@pytest.mark.parametrize(
    ("fingerprint", "details"), [("another request", ""), ("a", "from earlier noise")]
)
def test_what_belongs_to_another_render_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fingerprint: str, details: str
) -> None:
    _, all_evaluations = ditto(checkpoints(tmp_path).of("mix-0-8"))
    _, evaluations = ditto(checkpoints(tmp_path, fingerprint).of("mix-0-8", details))
    assert evaluations == all_evaluations
    assert "belongs to another render" in caplog.text


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize("damage", [_cut, _flipped, lambda data: b"", lambda data: b"\xff" * 99])
def test_what_is_damaged_is_left_out_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    whole, all_evaluations = ditto(checkpoints(tmp_path).of("mix-0-8"))
    path = tmp_path / "mix-0-8.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    again, evaluations = ditto(checkpoints(tmp_path).of("mix-0-8"))
    assert evaluations == all_evaluations
    assert the_same(again, whole)
    assert "mix-0-8.safetensors is not used" in caplog.text


def test_a_state_of_other_noise_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ditto(checkpoints(tmp_path).of("mix-0-8"))
    keeper = checkpoints(tmp_path).of("mix-0-8")
    run = optimise_noise(
        drawn(3, (5, 3, 8)),
        lambda noise: noise,
        lambda latent: latent.square().sum(dim=(1, 2)),
        NoiseSettings(steps=2),
        keeper=keeper,
    )
    assert len(run.losses) == 3
    assert "not (5, 3, 8)" in caplog.text


def test_stages_have_files_of_their_own(tmp_path: Path) -> None:
    whole = checkpoints(tmp_path).of("mix-0-8")
    ditto(whole.part("polish"))
    assert [path.name for path in tmp_path.iterdir()] == ["mix-0-8.polish.safetensors"]
    assert whole.restore(lambda state: None) is False
    assert whole.part("polish").restore(lambda state: None) is True
    with safe_open(tmp_path / "mix-0-8.polish.safetensors", framework="pt") as file:
        assert file.metadata()["fingerprint"] == "a mix-0-8 polish"


def test_writing_keeps_to_its_share_of_the_time(tmp_path: Path) -> None:
    now_s = 100.0
    written: list[float] = []

    def state() -> State:
        nonlocal now_s
        written.append(now_s)
        now_s += cost_s
        return {"losses": torch.zeros(1)}

    made = checkpoints(tmp_path, clock=lambda: now_s)
    keeper, cost_s = made.of("mix"), 0.001
    for _ in range(100):
        keeper.keep(state, finished=False)
        now_s += 0.5
    gaps = [after - before for before, after in pairwise(written)]
    assert min(gaps) >= MIN_INTERVAL_S
    assert max(gaps) < MIN_INTERVAL_S + 0.6
    cost_s, written = 0.5, []  # a slow disk: half a second in every fifty
    for _ in range(400):
        keeper.keep(state, finished=False)
        now_s += 0.5
    assert len(written) <= 5
    keeper.keep(state, finished=True)
    assert len(written) in range(2, 7), "the last one is kept whether or not it is due"


def test_a_disk_that_refuses_costs_the_checkpoints_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = ditto(None)
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        run, _ = ditto(checkpoints(tmp_path / "file").of("mix-0-8"))
    assert the_same(run, whole)
    assert caplog.text.count("no checkpoints are kept") == 1
