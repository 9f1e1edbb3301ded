"""A variation of real audio: exact where nothing fresh is asked for, and further away with more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.files.audio import read_clip
from engine.pipeline import create_engine
from engine.spec import BridgeError, Done, RenderRequest, Stem

CLIPS = Path(__file__).parents[2] / "scripts" / "clips"


def _vary(tmp_path: Path, source: Path, **fields: Any) -> tuple[np.ndarray, dict[str, Any]]:
    spool = tmp_path / f"spool{len(list(tmp_path.iterdir()))}"
    spool.mkdir()
    request = RenderRequest.from_mapping({"task": "vary", "source": str(source), **fields})
    stem, done = list(create_engine(None).render(request, spool, lambda: False))[-2:]
    assert isinstance(stem, Stem)
    assert isinstance(done, Done)
    clip = read_clip(stem.path)
    assert clip.sample_rate_hz == read_clip(source).sample_rate_hz
    return clip.samples, done.report


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    samples, rate = soundfile.read(CLIPS / "harmonic.flac", frames=3 * 44_100)
    path = tmp_path / "clip.wav"
    soundfile.write(path, samples, rate, subtype="PCM_24")
    return path


def _distance_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(np.sum((one - other) ** 2) / np.sum(one**2)))


def test_the_more_is_fresh_the_further_it_goes_and_nothing_fresh_is_the_clip(
    tmp_path: Path, clip: Path
) -> None:
    source = read_clip(clip).samples
    found = [_vary(tmp_path, clip, fresh=fresh, steps=3)[0] for fresh in (0.0, 0.5, 1.0)]
    assert all(samples.shape == source.shape for samples in found)
    distances = [_distance_db(source, samples) for samples in found]
    assert distances[0] < -20.0
    assert distances[0] < distances[1] < distances[2]


def test_seeds_give_other_variations_and_the_same_seed_the_same(tmp_path: Path, clip: Path) -> None:
    one, again, other = (
        _vary(tmp_path, clip, fresh=0.7, steps=2, seed=seed)[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_wish_is_met_from_the_inverted_noise_on(tmp_path: Path, clip: Path) -> None:
    _, report = _vary(tmp_path, clip, intensity="0:-20,3:-32", refine=6, steps=2)
    assert report["intensity_rmse_db"] < 3.0
    assert report["losses"]["refined"]["intensity"] < 2.0  # dB²: good enough, in its own unit


def test_a_changed_variation_keeps_its_own_fresh_noise(tmp_path: Path, clip: Path) -> None:
    """What is cached is the noise it began with, which is nothing to add on the way."""
    engine = create_engine(tmp_path / "cache")
    found: list[np.ndarray] = []
    reports: list[dict[str, Any]] = []
    asked: dict[str, Any] = {"task": "vary", "source": str(clip), "steps": 2}
    key = None
    for noise in (False, True):
        spool = tmp_path / f"again{noise}"
        spool.mkdir()
        said = asked | ({"noise": key} if noise else {})
        stem, done = list(engine.render(RenderRequest.from_mapping(said), spool, lambda: False))[
            -2:
        ]
        assert isinstance(stem, Stem)
        assert isinstance(done, Done)
        key = done.recipe["latent_key"]
        found.append(read_clip(stem.path).samples)
        reports.append(done.report)
    assert [report["cache"] for report in reports] == ["miss", "miss"]
    assert np.array_equal(*found)


def test_bad_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="missing"):
        _vary(tmp_path, tmp_path / "missing.wav")
