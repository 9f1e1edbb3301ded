"""Wishes read from a request, and priors that obey them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine.analysis.intensity import intensity_curve
from engine.controls.control import Control
from engine.controls.intensity import WEIGHT, WEIGHT_BESIDE_MELODY, Intensity
from engine.controls.structure import Structure
from engine.spec import BridgeError, RenderRequest
from engine.tasks.wishes import (
    Axis,
    free_frames,
    gain_curve_db,
    loudness_wish,
    wishes_of,
    with_gain,
)

RATE_HZ = 44_100
STEPS = 256
LENGTH_S = STEPS * 1024 / RATE_HZ
AXIS = Axis(STEPS, 1024 / RATE_HZ, 2, 0.0)


def _wishes(bar_s: float | None = 1.0, **fields: Any) -> tuple[Control, ...]:
    base = {"task": "generate", "prompt": "pop", "seconds": 6.0}
    request = RenderRequest.from_mapping(base | fields)
    return wishes_of(request, AXIS, LENGTH_S, bar_s)


def _music(seed: int = 0) -> torch.Tensor:
    """Noise with a pulse, about -26 dBFS."""
    t = np.arange(STEPS * 1024) / RATE_HZ
    rng = np.random.default_rng(seed)
    pulse = 0.3 + 0.7 * np.exp(-6.0 * (t % 0.5))
    return torch.from_numpy(0.08 * pulse * rng.standard_normal((2, len(t)))).float()


def _lane(points: str, **fields: Any) -> Intensity:
    wish = loudness_wish(_wishes(intensity=points, **fields))
    assert wish is not None
    return wish


def test_a_request_without_wishes_has_none() -> None:
    assert _wishes() == ()


def test_wishes_come_in_the_tables_order_with_their_weights(tmp_path: Path) -> None:
    both = _wishes(structure="ABA", intensity="0:-30,6:-10")
    assert [control.name for control in both] == ["intensity", "structure"]
    assert both[0].weight == WEIGHT
    assert isinstance(both[1], Structure)
    request = {"task": "melody", "melody": "a.mid", "seconds": 6.0, "intensity": "0:-20"}
    beside = wishes_of(RenderRequest.from_mapping(request), AXIS, LENGTH_S, 1.0)
    assert beside[0].weight == WEIGHT_BESIDE_MELODY


@pytest.mark.parametrize("points", ["0:-40,6:-12", "0:-20,2:-20,3:-45,4:-15"])
def test_the_prior_follows_the_lane_before_anything_is_optimised(points: str) -> None:
    wish, guide = _lane(points), _music()
    everywhere = np.ones(2 * STEPS, dtype=np.bool_)
    shaped = with_gain(guide, gain_curve_db(guide, wish, everywhere), wish.frame_s)
    found = wish.compare(shaped.double().numpy(), RATE_HZ)
    before = wish.compare(guide.double().numpy(), RATE_HZ)
    assert found is not None
    assert before is not None
    assert found.figures["intensity_rmse_db"] < 1.0
    assert before.figures["intensity_rmse_db"] > 5.0


def test_a_shape_is_laid_where_the_prior_is() -> None:
    wish, guide = _lane("0:-60,6:-40", intensity_match="shape"), _music()
    everywhere = np.ones(2 * STEPS, dtype=np.bool_)
    shaped = with_gain(guide, gain_curve_db(guide, wish, everywhere), wish.frame_s).double().numpy()
    curve = intensity_curve(shaped, RATE_HZ, 43.0)
    own = intensity_curve(guide.double().numpy(), RATE_HZ, 43.0)
    assert curve[-20] - curve[20] == pytest.approx(20 * 5.0 / 6.0, abs=2.5)
    assert abs(curve.mean() - own.mean()) < 1.5


def test_known_audio_keeps_its_level() -> None:
    wish, guide = _lane("0:-50,6:-50"), _music()
    known = torch.zeros(1, 1, STEPS)
    known[..., :100] = 1.0
    gain_db = gain_curve_db(guide, wish, free_frames(known, 2))
    assert np.abs(gain_db[:200]).max() == 0.0
    assert gain_db[300:].max() < -15.0
    assert torch.equal(
        with_gain(guide, gain_db, wish.frame_s)[:, : 99 * 1024], guide[:, : 99 * 1024]
    )


def test_silence_is_not_turned_up() -> None:
    silent = torch.zeros(2, STEPS * 1024)
    gain_db = gain_curve_db(silent, _lane("0:-20"), np.ones(2 * STEPS, dtype=np.bool_))
    assert float(np.abs(gain_db).max()) == 0.0


def test_a_lane_and_a_form_are_heard_from_files(tmp_path: Path) -> None:
    lane, clip = tmp_path / "lane.json", tmp_path / "clip.wav"
    lane.write_text(json.dumps([[0, -30], [6, -10]]))
    drawn = loudness_wish(_wishes(intensity_from=str(lane)))
    assert drawn is not None
    assert torch.equal(drawn.target_db, _lane("0:-30,6:-10").target_db)
    sent = tmp_path / "lane"  # as an upload may be kept
    sent.write_bytes(b"\xef\xbb\xbf \n" + lane.read_bytes())
    kept = loudness_wish(_wishes(intensity_from=str(sent)))
    assert kept is not None
    assert torch.equal(kept.target_db, drawn.target_db)
    gain = 10 ** (np.linspace(-20, 0, STEPS * 1024) / 20)
    soundfile.write(clip, (gain * _music().double().numpy()).T, RATE_HZ, subtype="FLOAT")
    heard = loudness_wish(_wishes(intensity_from=str(clip)))
    assert heard is not None
    wanted = intensity_curve(gain * _music().double().numpy(), RATE_HZ, 2 * RATE_HZ / 1024)
    assert np.abs(heard.target_db.numpy() - wanted).max() < 1.5  # smoothed twice
    assert isinstance(_wishes(structure_from=str(clip))[0], Structure)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"structure": "A4 B4", "bar_s": None}, "structure counts bars"),
        ({"structure": "A40 B4", "bar_s": 1.0}, "structure begins its last part"),
        ({"intensity_from": "nowhere.json"}, "nowhere.json"),
        ({"intensity_from": "nowhere.wav"}, "nowhere.wav"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BridgeError, match=says):
        _wishes(**fields)


def test_a_file_without_a_lane_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.json", b"[]"), ("b.json", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BridgeError) as refused:
            _wishes(intensity_from=str(tmp_path / name))
        assert refused.value.code == "bad_request"


def test_a_shape_does_not_mind_what_rests_in_the_prior() -> None:
    """Half of it is silent: the rest keeps its own level under a flat curve."""
    music = _music()
    music[:, music.shape[1] // 2 :] = 0.0
    wish = _lane("0:-12,6:-12", intensity_match="shape")
    free = np.ones(2 * STEPS, dtype=np.bool_)
    gain_db = gain_curve_db(music, wish, free)
    shaped = with_gain(music, gain_db, wish.frame_s)
    kept = slice(20_000, music.shape[1] // 2 - 20_000)
    levels = [float(each[:, kept].square().mean().log10() * 10) for each in (music, shaped)]
    assert levels[1] == pytest.approx(levels[0], abs=2.0)
