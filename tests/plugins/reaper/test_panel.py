"""REAPER's panel with a user in front of it, against the real command and a real daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.reaper.stage import ESCAPE, act, takes_of, use

pytestmark = [
    pytest.mark.daw,
    pytest.mark.skipif(shutil.which("lua5.4") is None, reason="lua5.4 is not installed"),
]
TASKS = {
    "Extend": "e",
    "Loop": "l",
    "Inpaint": "i",
    "Vary": "v",
    "Accompany": "a",
    "Melody": "m",
}
SETTINGS = ("Bars", "Variation 0 to 1", "Prompt", "Refine steps")
CHECKS = ("Markers as structure", "Envelope as intensity")


def jobs_of(place: Path) -> list[dict[str, Any]]:
    """What the daemon knows of its jobs, the newest last."""
    asked = [str(place / "daw-bridge"), "jobs", "--json"]
    ran = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    jobs: list[dict[str, Any]] = json.loads(ran.stdout)["jobs"]
    return sorted(jobs, key=lambda job: str(job["job"]))


def lines_of(text: str) -> str:
    return "".join(f'ui.find("{word}")\n' for word in text.split("|"))


def test_it_opens_with_tasks_and_settings(place: Path, tmp_path: Path) -> None:
    words = [*TASKS, *SETTINGS, *CHECKS, "Select an item", "Dock", "slow, warm"]
    after = use(
        place,
        tmp_path,
        f'ui.turns(2); {lines_of("|".join(words))} ui.note("seen", ui.seen()); ui.keys({ESCAPE})',
        settings={"prompt": "slow, warm"},
    )
    assert (after["message"], after["line"]) == ("", "")


@pytest.mark.parametrize("how", ['ui.click("Vary")', 'ui.keys("v")', "ui.tab(4); ui.keys(13)"])
def test_a_task_runs_with_its_progress_shown(place: Path, tmp_path: Path, how: str) -> None:
    before = takes_of(place)
    after = use(
        place,
        tmp_path,
        f"""
        {how}
        ui.wait("vary: draft 25 %, 7 s left")
        ui.note("share", ui.bar())
        ui.find("Cancel")
        ui.wait("vary is done")
        ui.wait_gone("Cancel")
        ui.keys({ESCAPE})""",
        settings={"prompt": "sleep=2 eta=7"},
    )
    assert (after["message"], after["undo"], after["takes"]) == ("", "daw-bridge: vary", "2")
    assert float(after["share"]) == pytest.approx(0.25, abs=0.01)
    assert len(takes_of(place) - before) == 1
    assert after["running"] == ""
    assert not list((place / tmp_path.name).rglob("*-progress.json"))


@pytest.mark.parametrize("task", list(TASKS))
def test_each_button_and_its_letter_do_its_task(place: Path, tmp_path: Path, task: str) -> None:
    scene = {"notes": [[0, 480, 60]]} if task == "Melody" else {"from_s": 2.1, "to_s": 2.3}
    after = use(
        place,
        tmp_path,
        f"""
        ui.click("{task}"); ui.wait("enough")
        ui.keys("{TASKS[task]}"); ui.wait("enough")
        ui.keys({ESCAPE})""",
        answer='{"error": {"message": "enough"}}',
        **scene,
    )
    assert after["line"].count(f'daw-bridge" {task.lower()} ') == 2


@pytest.mark.parametrize("how", ['ui.click("Cancel")', 'ui.keys("c")', 'ui.run("cancel")'])
def test_cancel_stops_the_job_of_the_daemon(place: Path, tmp_path: Path, how: str) -> None:
    before = takes_of(place)
    after = use(
        place,
        tmp_path,
        f"""
        ui.keys("e")
        ui.wait("extend: draft")
        {how}
        ui.wait("extend was cancelled")
        ui.wait_gone("Cancel")
        ui.note("history", ui.history())
        ui.keys({ESCAPE})""",
        settings={"prompt": "sleep=60", "bars": "2"},
    )
    assert (after["message"], after["takes"], after["running"]) == ("", "1", "")
    assert "extend: stopping" in after["history"] + after["console"]
    newest = jobs_of(place)[-1]
    assert (newest["task"], newest["state"]) == ("extend", "cancelled")
    assert takes_of(place) == before


def test_a_cancel_before_the_daemon_has_the_job_is_kept(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.keys("v", "c")
        ui.wait("vary was cancelled")
        ui.keys({ESCAPE})""",
        settings={"prompt": "sleep=60"},
    )
    assert after["takes"] == "1"
    assert jobs_of(place)[-1]["state"] == "cancelled"


def test_a_job_of_an_action_is_shown_and_cancelled(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.run("loop")
        ui.run("vary")
        ui.wait("loop: "); ui.wait("vary: ")
        ui.run("cancel")
        ui.wait_gone("Cancel")
        ui.keys({ESCAPE})""",
        settings={"prompt": "sleep=60", "bars": "2"},
    )
    assert [job["state"] for job in jobs_of(place)[-2:]] == ["cancelled", "cancelled"]
    assert (after["message"], after["takes"]) == ("", "1")
    assert "loop was cancelled" in after["console"]


def test_cancel_without_a_job_says_so(place: Path, tmp_path: Path) -> None:
    after = act(place, tmp_path, "cancel")
    assert "nothing renders" in after["console"]


def test_without_a_daemon_cancel_says_what_to_do(place: Path, tmp_path: Path) -> None:
    lone = tmp_path / "daw-bridge"
    text = (place / "daw-bridge").read_text().replace(f"{place}/data", f"{tmp_path}/data")
    call = "from daw_bridge.cli import main; from tests.daw_bridge.fake_engine import create_engine"
    text = text.replace(
        "-m daw_bridge", f"-c 'import sys; {call}; sys.exit(main(sys.argv[1:], create_engine))'"
    )
    lone.write_text(text)
    lone.chmod(0o755)
    after = use(
        place,
        tmp_path,
        f"""
        ui.keys("v")
        ui.wait("vary: draft")
        ui.keys("c")
        ui.wait("renders without a daemon")
        ui.wait("vary is done")
        ui.keys({ESCAPE})""",
        settings={"prompt": "sleep=3"},
        command=str(lone),
    )
    assert after["takes"] == "2"
    assert '" cancel "' not in after["line"]


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        ({"nothing_selected": True}, "Select one item first."),
        ({"settings": {"variation": "9"}}, "variation is '9'"),
        ({"settings": {"prompt": "refuse"}}, "the clip is empty"),
        ({"command": "/no/such/command"}, "was not found"),
    ],
)
def test_mistakes_are_told_in_the_panel(
    place: Path, tmp_path: Path, scene: dict[str, Any], told: str
) -> None:
    user = f'ui.click("Vary"); ui.wait("{told}"); ui.wait_gone("Cancel"); ui.keys({ESCAPE})'
    after = use(place, tmp_path, user, **scene)
    assert (after["message"], after["takes"], after["running"]) == ("", "1", "")


@pytest.mark.parametrize(
    ("width", "height"), [(180, 420), (300, 420), (300, 160), (560, 160), (1200, 420)]
)
def test_every_size_shows_all_of_it(place: Path, tmp_path: Path, width: int, height: int) -> None:
    # The stand-in refuses texts that overlap or leave the window; none may be cut in the middle.
    words = [*TASKS, *SETTINGS, *CHECKS] if width >= 300 else list(TASKS)
    after = use(
        place,
        tmp_path,
        f"""
        ui.resize({width}, {height})
        ui.keys("e"); ui.wait("Cancel")
        local seen = ui.seen()
        for _ = 1, 8 do ui.wheel(-240); seen = seen .. ui.seen() end
        ui.note("seen", seen)
        ui.wheel(12000); ui.find("Extend")
        ui.tab(12); ui.note("tabbed", ui.seen())
        ui.keys("c"); ui.wait("was cancelled")
        ui.note("cut", ui.cut())
        ui.keys({ESCAPE})""",
        settings={"prompt": "sleep=60", "bars": "2"},
    )
    assert [word for word in words if word not in after["seen"]] == []
    assert after["cut"] == ""
    assert CHECKS[-1][:8] in after["tabbed"]  # what has the focus is in sight


def test_it_draws_only_when_something_changes(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        f"""
        ui.turns(3)
        local frames = ui.window.frames
        ui.turns(60)
        ui.note("idle", ui.window.frames - frames)
        ui.resize(400, 300)
        ui.note("resized", ui.window.frames - frames)
        ui.project.prompt = "from another window"
        ui.wait("from another window")
        ui.keys({ESCAPE})""",
    )
    assert (after["idle"], after["resized"]) == ("0", "1")


@pytest.mark.parametrize("how", ["ui.close()", f"ui.keys({ESCAPE})"])
def test_closing_leaves_the_job_and_its_take(place: Path, tmp_path: Path, how: str) -> None:
    after = use(
        place,
        tmp_path,
        f'ui.keys("v"); ui.wait("vary: draft"); {how}',
        settings={"prompt": "sleep=2"},
    )
    assert (after["takes"], after["undo"]) == ("2", "daw-bridge: vary")
    assert "what renders goes on" in after["console"]
    assert "vary is done" in after["console"]


def test_closing_while_it_renders_still_tells_a_mistake(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        'ui.keys("v"); ui.wait("vary: draft"); ui.close()',
        settings={"prompt": "sleep=1 silent"},
    )
    assert after["message"]
    assert (after["takes"], after["running"]) == ("1", "")


def test_a_terminated_script_leaves_nothing_in_the_list(place: Path, tmp_path: Path) -> None:
    after = use(
        place,
        tmp_path,
        'ui.keys("v"); ui.wait("vary: draft"); ui.terminate()',
        settings={"prompt": "sleep=60"},
    )
    assert after["running"] == ""
    newest = jobs_of(place)[-1]  # the daemon goes on: nobody has cancelled it
    assert newest["state"] == "running"
    stop = [str(place / "daw-bridge"), "cancel", newest["job"]]
    subprocess.run(stop, capture_output=True, timeout=60, check=True)


def test_docking_is_kept(place: Path, tmp_path: Path) -> None:
    user = (
        f'ui.click("Dock"); ui.wait("Float"); ui.resize(500, 200); ui.turns(50); ui.keys({ESCAPE})'
    )
    assert use(place, tmp_path, user)["window"] == "1 500 200"


def test_a_second_panel_takes_the_place_of_the_first(place: Path, tmp_path: Path) -> None:
    # Each script of REAPER has a window of its own; they meet in what REAPER keeps for them.
    user = 'ui.turns(3); ui.ext.panel = "the second"; ui.turns(2)'
    after = use(place, tmp_path, f'{user}; ui.note("open", ui.window.is_open)')
    assert after["open"] == "false"
