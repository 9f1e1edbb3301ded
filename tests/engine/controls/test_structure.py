"""Self-similarity where the answer is known: letters as timbres, forms, and real audio."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from engine.analysis.structure import unit_timbres
from engine.controls import structure
from engine.controls.control import Scope, Setting
from engine.controls.structure import form_similarity, timbre_features
from engine.curves import Form
from tests.engine.controls.scopes import CHANNELS, spectrum

RATE_HZ = 44_100
STEP_S = 1024 / RATE_HZ
STEPS = 256


def _setting(**changes: Any) -> Setting:
    setting = Setting(
        STEPS, STEP_S, 0.0, STEPS * STEP_S, 0.5, lambda path: (_form_audio("ABA"), RATE_HZ), str
    )
    return replace(setting, **changes)


def _form_audio(letters: str) -> np.ndarray:
    """Equal parts of 4 seconds: A is noise below 500 Hz, B above 4 kHz, C between."""
    bands = {"A": (40.0, 500.0), "B": (4000.0, 12000.0), "C": (900.0, 2500.0)}
    rng = np.random.default_rng(2)
    parts = []
    for letter in letters:
        low, high = bands[letter]
        spectrum_ = np.fft.rfft(rng.standard_normal(4 * RATE_HZ))
        hz = np.fft.rfftfreq(4 * RATE_HZ, 1 / RATE_HZ)
        spectrum_[(hz < low) | (hz > high)] = 0
        parts.append(0.1 * np.fft.irfft(spectrum_))
    return np.tile(np.concatenate(parts), (2, 1))


def test_letters_are_the_corners_of_a_simplex() -> None:
    two = form_similarity(np.array([0, 0, 1, 1]))
    assert two.tolist() == [[1, 1, -1, -1], [1, 1, -1, -1], [-1, -1, 1, 1], [-1, -1, 1, 1]]
    three = form_similarity(np.array([0, 1, 2]))
    assert torch.allclose(three, 1.5 * torch.eye(3) - 0.5)
    assert bool((form_similarity(np.array([7, 7])) == 1.0).all())
    assert float(torch.linalg.eigvalsh(three).min()) > -1e-6  # cosines that vectors can have


def test_features_of_alternating_timbres_have_the_forms_cosines() -> None:
    generator = torch.Generator().manual_seed(0)
    timbre = torch.randn(2, 192, generator=generator, dtype=torch.float64)
    labels = np.repeat([0, 1, 0], 80)
    levels = timbre[torch.from_numpy(labels)].T[None]
    features = timbre_features(levels, 0.0, STEP_S)
    assert torch.allclose(features.norm(dim=-1), torch.ones(1, 240).double(), atol=1e-3)
    cosines = features[0] @ features[0].T
    assert torch.allclose(cosines, form_similarity(labels).double(), atol=1e-3)
    smoothed = timbre_features(levels, 1.0, STEP_S)[0]
    inside = [10, 40, 120, 200]
    found = smoothed[inside] @ smoothed[inside].T
    assert torch.allclose(found, form_similarity(labels[inside]).double(), atol=0.02)


def test_the_level_says_nothing_about_timbre() -> None:
    generator = torch.Generator().manual_seed(0)
    levels = torch.randn(1, 192, 60, generator=generator, dtype=torch.float64)
    rise = torch.linspace(0.0, 2.0, 60, dtype=torch.float64)
    plain, louder = (timbre_features(x, 0.0, STEP_S) for x in (levels, levels + rise))
    assert torch.allclose(plain, louder, atol=1e-9)


def test_a_window_hears_what_was_made_before_it() -> None:
    """The last A of a long form is to be like the first one, which lies in another window."""
    generator = torch.Generator().manual_seed(1)
    letters = torch.randn(2, CHANNELS, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0] * 60 + [1] * 90 + [0] * 106)
    right = letters[labels].T[None]
    made = torch.zeros(1, 1, STEPS, dtype=torch.float64)
    made[..., :150] = 1.0
    wish = structure.read(Form.parse("0:A,1.394:B,3.483:A"), _setting())
    objective = wish.objective(Scope(130, STEPS, right, made, spectrum))
    assert objective is not None
    wrong = right.clone()
    wrong[..., 150:] = letters[1][:, None]
    good, bad = (float(objective(latent[..., 130:])) for latent in (right, wrong))
    assert good < 0.4  # what the smoothing leaves at the two boundaries
    assert bad > 4 * good


@pytest.mark.parametrize(("letters", "form"), [("ABA", "ABA"), ("ABC", "ABC"), ("AABB", "AB")])
def test_the_independent_check_knows_the_form_of_real_audio(letters: str, form: str) -> None:
    samples = _form_audio(letters)
    length_s = samples.shape[1] / RATE_HZ
    steps = int(length_s / STEP_S)
    setting = _setting(steps=steps, length_s=length_s)
    right = structure.read(Form.parse(form), setting).compare(samples, RATE_HZ)
    others = [
        structure.read(Form.parse(other), setting).compare(samples, RATE_HZ)
        for other in ("ABBA", "AABA", "ABAB")
    ]
    assert right is not None
    for other in others:
        assert other is not None
        assert right.score < 0.3 * other.score
    assert right.figures["structure_mse"] == right.score


def test_the_independent_check_judges_what_is_new() -> None:
    samples = _form_audio("ABB")
    length_s = samples.shape[1] / RATE_HZ
    part_s = length_s / 3
    setting = _setting(steps=int(length_s / STEP_S), length_s=length_s)
    wish = structure.read(Form.parse("ABA"), setting)
    old, new = (
        wish.compare(samples, RATE_HZ, new_s=span)
        for span in ((0.0, 0.9 * part_s), (2.1 * part_s, length_s))
    )
    assert old is not None
    assert new is not None
    assert new.score > 1.5 * old.score, "the last part is what is wrong"
    assert wish.compare(samples, RATE_HZ, new_s=(100.0, 101.0)) is None


def test_the_independent_check_leaves_a_part_of_the_result_alone() -> None:
    """Its features are centred over what is heard, so a part by itself says nothing."""
    samples = _form_audio("ABA")
    length_s = samples.shape[1] / RATE_HZ
    setting = _setting(steps=int(length_s / STEP_S), length_s=length_s)
    wish = structure.read(Form.parse("ABA"), setting)
    half = samples.shape[1] // 2
    assert wish.compare(samples[:, :half], RATE_HZ) is None
    assert wish.compare(samples[:, half:], RATE_HZ, half / RATE_HZ) is None


def test_structure_transfer_takes_the_recordings_own_form() -> None:
    setting = _setting()
    wish = structure.read_file("song.wav", setting)
    labels = np.array([int(3 * i / STEPS) % 2 for i in range(STEPS)])
    away = (wish.target - form_similarity(labels)).abs()
    assert float(away.median()) < 0.1
    assert np.allclose(np.linalg.norm(unit_timbres(_form_audio("AB"), RATE_HZ), axis=1), 1.0)


def test_the_similarity_is_that_of_the_whole_recording() -> None:
    """Features are normalised over the whole file, whichever of its moments are compared."""
    samples = _form_audio("ABA")
    timbres = unit_timbres(samples, RATE_HZ)
    every = timbres @ timbres.T
    setting = _setting()
    place = setting.times_s() / setting.length_s * (len(every) - 1)
    nearest = np.round(place).astype(int)
    found = structure.read_file("song.wav", setting).target.numpy()
    np.testing.assert_allclose(found, every[np.ix_(nearest, nearest)], atol=1e-6)
    said = structure.read(Form.parse("ABA"), setting).compare(samples, RATE_HZ)
    assert said is not None
    asked = len(said.times_s)
    np.testing.assert_allclose(said.result, every[:asked, :asked], atol=1e-12)


def test_a_long_recording_needs_no_matrix_of_all_its_moments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half an hour has 38 760 of them: the cosines of all pairs would be 12 GB."""
    frames = 8000
    long = np.tile(np.eye(13), (frames // 13 + 1, 1))[:frames]
    monkeypatch.setattr(structure, "unit_timbres", lambda *_: long)
    tracemalloc.start()
    wish = structure.read_file("song.wav", _setting())
    said = wish.compare(np.zeros((2, 1)), RATE_HZ)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said is not None
    assert peak_bytes < 8 * frames**2 / 20


@pytest.mark.parametrize(
    ("form", "changes", "says"),
    [
        ("A4 B4", {"bar_s": None}, "no steady tempo"),
        ("A8 B8 A8", {"bar_s": 2.0}, "the result ends at"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(form: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        structure.read(Form.parse(form), _setting(**changes))


def test_silence_has_no_timbre_and_breaks_nothing() -> None:
    found = unit_timbres(np.zeros((2, RATE_HZ)), RATE_HZ)
    assert np.isfinite(found).all()
    levels = torch.zeros(1, 192, 40, dtype=torch.float64, requires_grad=True)
    features = timbre_features(levels, 1.0, STEP_S)
    (gradient,) = torch.autograd.grad(features.sum(), levels)
    assert bool(torch.isfinite(gradient).all())
