"""What the benchmark of the methods asks for, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from _tunes import Tune
from ditto_bench.__main__ import arguments, is_asked
from ditto_bench.curves import CURVES, FORMS, SWINGS_DB, curve_of, form_of
from ditto_bench.plan import ITERATING, SECTIONS, TASKS, Extent, Job, cost, jobs
from ditto_bench.tunes import cut, cuts, is_held_out

from engine.curves import Form
from engine.optimise.surrogate import SurrogateSettings
from engine.sketch.score import Key, Note


def test_there_are_24_curves_and_the_first_24_items_have_all() -> None:
    assert len(CURVES) == len(set(CURVES)) == 24
    assert {curve_of(item) for item in range(24)} == set(CURVES)


@pytest.mark.parametrize("curve", CURVES, ids=str)
def test_a_curve_lies_around_the_mean_and_swings_as_far_as_it_says(curve) -> None:  # type: ignore[no-untyped-def]
    values = curve.values(512, -20.0)
    assert values.mean() == pytest.approx(-20.0, abs=1e-9)
    assert values.max() == pytest.approx(-20.0 + curve.swing_db, abs=0.05)
    assert values.min() == pytest.approx(-20.0 - curve.swing_db, abs=0.05)


def test_a_flip_is_the_mirror_image() -> None:
    for curve in CURVES[::8]:
        (flip,) = (
            other
            for other in CURVES
            if (other.shape, other.swing_db) == (curve.shape, curve.swing_db)
            and other.flipped != curve.flipped
        )
        assert np.allclose(curve.values(64, 0.0), -flip.values(64, 0.0))


def test_a_changed_curve_has_another_swing_and_nothing_else() -> None:
    for curve in CURVES:
        changed = curve.changed
        assert (changed.shape, changed.flipped) == (curve.shape, curve.flipped)
        steps = SWINGS_DB.index(changed.swing_db) - SWINGS_DB.index(curve.swing_db)
        assert abs(steps) == 1


def test_every_form_can_be_read() -> None:
    assert {form_of(item) for item in range(len(FORMS))} == set(FORMS)
    assert all(len(Form.parse(form).letters) >= 3 for form in FORMS)


def tune(name: str, beats: float = 1.0) -> Tune:
    notes = tuple(Note(2.0 + beats * n, beats, 60 + n % 12, 80) for n in range(64))
    return Tune(name, (4, 4), Key(0, "major"), 16, notes)


def test_a_tune_is_cut_to_the_window_from_its_first_note() -> None:
    piece = cut(tune("a"), 120.0, 6.0)
    assert piece.notes[0].start_beats == 0.0
    assert len(piece.notes) == 12  # two beats a second
    assert piece.notes[-1].end_beats * 60.0 / piece.tempo_bpm <= 6.0
    assert piece.pitches_at(np.array([0.1, 0.6, 5.9])).tolist() == [60, 61, 71]
    assert piece.pitches_at(np.array([7.0])).tolist() == [-1]


def test_quick_notes_slow_a_tune_down() -> None:
    piece = cut(tune("a", beats=0.125), 120.0, 6.0)
    assert 60.0 / piece.tempo_bpm * 0.125 == pytest.approx(0.14, abs=1e-3)


def test_chroma_and_onsets_of_a_cut() -> None:
    piece = cut(tune("a"), 120.0, 6.0)
    chroma, onsets = piece.chroma(60, 0.1), piece.onsets(60, 0.1)
    assert chroma.shape == onsets.shape == (1, 12, 60)
    assert bool((chroma.sum(dim=1) == 1.0).all())
    assert onsets.sum() == len(piece.notes)
    assert chroma[0].argmax(dim=0)[:6].tolist() == [0, 0, 0, 0, 0, 1]


def test_only_tunes_of_the_held_out_part_are_cut_and_each_alike_every_time() -> None:
    tunes = [tune(f"tune {n}") for n in range(200)]
    found = cuts(tunes, 6.0)
    assert found == cuts(tunes, 6.0)
    assert {piece.name for piece in found} == {t.name for t in tunes if is_held_out(t.name)}
    assert 20 <= len(found) <= 60  # about a fifth


def test_every_first_item_comes_before_any_second_one() -> None:
    planned = jobs(Extent(), 3)
    assert [job.item for job in planned] == sorted(job.item for job in planned)
    assert len(planned) == len(set(planned))
    first = {(job.kind, job.task, job.method) for job in planned if job.item == 0}
    assert {(job.kind, job.task, job.method) for job in planned} == first


def test_what_is_cheap_and_tells_much_comes_first() -> None:
    planned = [job for job in jobs(Extent(), 1) if job.kind == "run"]
    kinds = [job.method if job.method in ITERATING else "" for job in planned]
    order = list(dict.fromkeys(kinds))
    assert order == ["", *ITERATING]
    assert kinds == sorted(kinds, key=order.index)
    fresh = [cost(job) for job in planned if job.method == "ditto" and job.start == "fresh"]
    assert fresh == sorted(fresh)


def test_found_noise_is_asked_for_after_the_run_that_finds_it() -> None:
    planned = jobs(Extent(), 2, ["reuse"])
    for number, job in enumerate(planned):
        if job.start == "found":
            finders = [
                at
                for at, other in enumerate(planned)
                if (other.task, other.method, other.item) == ("intensity", job.method, job.item)
            ]
            assert finders
            assert max(finders) < number


def test_iterations_are_the_published_ones_times_the_scale() -> None:
    assert Extent().iterations("ditto", "intensity") == 70
    assert Extent().iterations("doodl", "intensity+melody") == 150
    assert Extent(scale=0.1).iterations("ditto", "structure") == 15
    assert Extent(scale=0.1).iterations("fast", "structure") == 8
    assert Extent(scale=0.1).iterations("ditto-2", "structure") == SurrogateSettings().steps
    assert Extent().iterations("freedom", "melody") == 0


def test_without_tunes_no_melody_is_asked_for() -> None:
    planned = jobs(Extent(tunes=False), 1)
    assert not [job for job in planned if "melody" in job.task]
    assert [job for job in planned if "structure" in job.task]


def test_each_section_measures_something_and_memory_is_looked_at_once() -> None:
    for name in SECTIONS:
        assert jobs(Extent(), 1, [name])
    memory = [job for job in jobs(Extent(), 4) if job.kind == "memory"]
    assert {(job.method, job.steps) for job in memory} == {
        (method, steps) for method in ("ditto", "doodl") for steps in (5, 20, 50)
    }
    assert memory[0] == Job("memory", "intensity", "ditto", 0, 5, 0)


def test_every_task_that_is_planned_can_be_asked_for_by_name() -> None:
    assert {job.task for job in jobs(Extent(), 1) if job.kind != "music"} == set(TASKS)


def _asked(*said: str) -> set[tuple[str, str]]:
    """Tasks and methods of what is left of a plan."""
    return {
        (job.task, job.method) for job in jobs(Extent(), 1) if is_asked(job, arguments([*said]))
    }


def test_what_is_not_named_is_left_out_but_for_the_music_to_compare_with() -> None:
    music = ("", "")
    assert _asked("--task", "melody", "--method", "fast") == {("melody", "fast"), music}
    assert {task for task, _ in _asked("--task", "melody")} == {"melody", ""}
    assert {method for _, method in _asked("--method", "fast")} == {"fast", ""}
    assert _asked() == {(job.task, job.method) for job in jobs(Extent(), 1)}
