"""The benchmark of public models, on networks that are small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("diffusers", reason="the extra `models` is not installed")

from models_bench import __main__ as bench
from models_bench.checkpoints import ARCHITECTURES, TINY, opened, write
from models_bench.full_size import VARIANTS
from models_bench.memory import POLICIES, WORK, estimated, iteration
from models_bench.overhead import GUIDED, compared
from models_bench.page import page
from models_bench.work import noise_of, problem

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning"),  # theirs
    pytest.mark.filterwarnings("ignore:`past_key_values` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Should have t[ab]:UserWarning"),  # their Brownian motion
]


def _bench(tmp_path: Path, *given: str) -> tuple[int, Path]:
    out, kept = tmp_path / "page.md", tmp_path / "kept.json"
    code = bench.main([*given, "--repeats", "1", "--out", str(out), "--kept", str(kept)])
    return code, out


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_both_sides_make_the_same_window(kind: str) -> None:
    found = compared(kind, TINY, 1, with_guidance=kind in GUIDED)
    assert len(found["ours_s"]) == len(found["theirs_s"]) == 1
    assert found["guidance"] > 1.0 or kind not in GUIDED
    assert found["ratio"] > 0.0
    assert found["seconds"] == pytest.approx(TINY.seconds, abs=0.3)


def test_full_size_models_want_a_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out = _bench(tmp_path, "--full-size")
    assert code == 2
    assert "--anyway" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.slow
def test_much_smaller_ones_make_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, out = _bench(tmp_path, "--full-size", "--anyway", "--modes", "eager")
    assert code == 0
    text = out.read_text()
    kept = json.loads((tmp_path / "kept.json").read_text())["full_size"]
    assert set(kept) == set(VARIANTS)
    for variant, found in kept.items():
        assert f"### Stable Audio 3 {variant}" in text
        assert f"{found['sampled']['eager']['latent_s']:.3f} s" in text
        assert found["smaller"]
        for wish in ("intensity", "melody"):
            assert f"{found['optimised'][wish]['seconds']:.2f}" in text
    assert text.count("no figure here counts") == len(VARIANTS)
    assert text.count("Not measured.") == 3, "what was not measured is said"


def test_what_was_measured_before_stays_on_the_page(tmp_path: Path) -> None:
    given = ("--tiny", "--only", "overhead", "--kind")
    assert _bench(tmp_path, *given, "stable-audio-3") == (0, tmp_path / "page.md")
    code, out = _bench(tmp_path, *given, "ace-step")
    rows = [line for line in out.read_text().splitlines() if line.startswith("| ")]
    assert code == 0
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| Stable Audio 3", "| ACE-Step 1.5"]
    _bench(tmp_path, *given, "stable-audio-3")
    assert out.read_text().count("| Stable Audio 3 |") == 1


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    code, out = _bench(tmp_path, "--tiny", "--only", "memory", "--kind", "stable-audio-open")
    assert code == 0
    found = json.loads((tmp_path / "kept.json").read_text())["memory"]
    peaks = {each["policy"]: each["peak_bytes"] for each in found}
    assert peaks["none"] < peaks["checkpointed"] <= 1.1 * peaks["full"]
    assert out.read_text().count("| Stable Audio Open |") == 3


@pytest.mark.slow
def test_full_size_models_are_loaded_and_given_back(tmp_path: Path) -> None:
    code, out = _bench(tmp_path, "--tiny", "--only", "full-memory")
    assert code == 0
    found = json.loads((tmp_path / "kept.json").read_text())["full_memory"]["small-music"]
    peaks = {row["policy"]: row["peak_bytes"] for row in found["rows"]}
    assert set(peaks) == set(WORK)
    assert peaks["none"] < peaks["one call"]
    left = found["unloading"]
    assert left["loaded_bytes"] > left["before_bytes"]
    assert "no figure here counts" in out.read_text()


def test_what_is_missed_is_said() -> None:
    times = {"kind": "musicldm", "guidance": 1.0, "steps": 4, "seconds": 10.0, "parameters": 1e6}
    times |= {"ours_s": [1.2, 1.3], "theirs_s": [1.0, 1.1], "spread": [1.1, 1.3]}
    slow = page({"overhead": [times | {"ratio": 1.19}]})
    assert "1.190 (1.10 to 1.30) | **missed**" in slow
    assert "1.040 (1.10 to 1.30) | met" in page({"overhead": [times | {"ratio": 1.04}]})
    figures: dict[str, Any] = {"kind": "ace-step", "policy": "full", "parameters": 10**6}
    figures |= {"peak_bytes": 10**8, "estimated_bytes": 12 * 10**7}
    figures |= {"heap_peak_bytes": 2 * 10**8, "printed_bytes": 204 * 10**6}
    said = "| 100.0 MB | 120.0 MB | **1.20** | 200.0 MB | 204.0 MB | 1.02 |"
    assert said in page({"memory": [figures]})
    assert "| 95.0 MB | 0.95 |" in page({"memory": [figures | {"estimated_bytes": 95 * 10**6}]})
    states = ("before", "loaded", "rendered", "unloaded", "unloaded_again")
    unloading = {f"{state}_bytes": 10**6 * number for number, state in enumerate(states, 1)}
    full = {"small-music": {"smaller": False, "rows": [figures], "unloading": unloading}}
    text = page({"full_memory": full})
    assert f"| small-music | full | 4.0 MB {said}" in text
    assert "| small-music | 1.0 MB | 2.0 MB | 3.0 MB | 4.0 MB | 5.0 MB |" in text


def test_an_iteration_is_one_gradient_through_the_sampler(tmp_path: Path) -> None:
    model = opened("stable-audio-3", write("stable-audio-3", tmp_path / "sa3", TINY))
    task = problem(model, 2, 8, "melody", 2)
    noise = noise_of(model, 8)
    rows = estimated(task, noise, [(policy, 2) for policy in POLICIES])
    found = {row["policy"]: row["estimated_bytes"] for row in rows}
    assert found["none"] < found["checkpointed"] < found["full"]
    calls: list[int] = []
    model._network.register_forward_hook(lambda *_: calls.append(1))
    iteration(task, noise, "checkpointed")
    assert len(calls) == 4, "each step is made anew on the way back"
