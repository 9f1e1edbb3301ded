"""The panel's request: every field that the protocol gives a task, and what draws a field."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from daw_bridge.app import App
from daw_bridge.protocol.table import COMMAND_BY_NAME
from engine.spec import TASKS, Field
from tests.daw_bridge.panel.driver import ConnectedPanel, Panel, ask, make_take

# What is typed for each kind of field; numbers, paths and choices have their own.
TYPED = {
    "tempo": "0:120,8:90", "metre": "3/4", "lane": "0:-30,1:-12", "form": "A1 B1", "text": "words",
}  # fmt: skip
NUMBERS = {"end": 2, "seconds": 1.5, "bpm": 97.5, "sample_rate_hz": 48_000}
LEAST: dict[str, dict[str, Any]] = {
    "extend": {"seconds": 0.5}, "loop": {"bars": 1}, "inpaint": {"start": 0.5, "end": 1},
    "melody": {"bars": 2}, "generate": {"seconds": 0.5}, "accompany": {}, "vary": {},
}  # fmt: skip


def sent(panel: Panel, command: str, known: int = 0) -> dict[str, Any]:
    """The values of the newest command of this name."""
    told = [said for said in panel.said if said["command"] == command]
    assert len(told) > known
    return {name: value for name, value in told[-1].items() if name not in ("id", "command")}


def open_all(panel: Panel) -> None:
    panel.page.locator("#request details").evaluate_all(
        "all => all.forEach((one) => one.open = true)"
    )


@pytest.mark.parametrize(
    "tasks",
    [("inpaint", "melody"), pytest.param((*TASKS, "rerender"), marks=pytest.mark.slow)],
)
def test_every_field_is_there_and_says_what_is_typed(
    shared: App, connected_panel: ConnectedPanel, clip: str, tasks: tuple[str, ...]
) -> None:
    panel = connected_panel(shared)
    take = make_take(panel)
    for task in tasks:
        panel.task(task)
        panel.page.get_by_role("button", name="Clear", exact=True).last.click()
        open_all(panel)
        fields = COMMAND_BY_NAME[task].fields
        shown = panel.page.locator("#request [data-field]").evaluate_all(
            "fields => fields.map((field) => field.dataset.field)"
        )
        assert sorted(shown) == sorted(field.name for field in fields)
        wanted = {field.name: say(panel, field, clip) for field in fields if field.name != "take"}
        if task == "rerender":
            wanted["take"] = take  # the one that is shown, by itself
        known = len([said for said in panel.said if said["command"] == task])
        panel.send()
        panel.until("async () => !document.querySelector('#send').disabled")
        assert sent(panel, task, known) == wanted, task


def say(panel: Panel, field: Field, clip: str) -> Any:
    """Type or choose something for a field; what the page is to send for it."""
    box = panel.page.locator(f'#request [data-field="{field.name}"]')
    match field.kind:
        case "number" | "integer":
            value: Any = NUMBERS.get(field.name, 1)
            box.locator('input[type="number"]').fill(str(value))
        case "path":
            value = clip
            box.locator('input[type="text"]').fill(clip)
        case "flag" if field.default is not None:
            value = not field.default
            box.locator("input").set_checked(value)
        case "roles":
            value = "bass"
            box.get_by_role("button", name="bass").click()
        case "flag":
            value = True
            box.locator("select").select_option("yes")
        case "choice":
            value = next(choice for choice in field.choices if choice != field.default)
            box.locator("select").select_option(value)
        case kind:
            value = TYPED[kind]
            box.locator("input").first.fill(value)
    return value


def test_every_task_is_accepted_with_what_it_needs(
    shared: App, connected_panel: ConnectedPanel, clip: str
) -> None:
    panel = connected_panel(shared)
    for task in TASKS:
        panel.task(task)
        panel.page.get_by_role("button", name="Clear", exact=True).last.click()
        least = {field.name: clip for field in COMMAND_BY_NAME[task].fields
                 if field.kind == "path" and field.required} | LEAST[task]  # fmt: skip
        for name, value in least.items():
            panel.fill(name, str(value))
        panel.send()
        panel.until("async () => !document.querySelector('#send').disabled")
        assert panel.page.locator("#wrong").inner_text() == ""
        request = ask(shared, "jobs", limit=1)["jobs"][0]["request"]
        assert request["task"] == task
        assert {name: request[name] for name in least} == least
    panel.page.locator("#more").evaluate("more => more.open = true")
    panel.fill("takes", "3")
    known = panel.run("async () => (await part('state')).state.jobs.size")
    panel.send()
    panel.until(f"async () => (await part('state')).state.jobs.size === {known + 3}")


def test_what_a_browser_can_refuse_is_not_sent(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    panel.task("generate")
    panel.fill("seconds", "1000")
    panel.send()
    panel.page.locator("#wrong").get_by_text("seconds:").wait_for()
    assert not [said for said in panel.said if said["command"] == "generate"]
    assert panel.page.locator('[data-field="seconds"].invalid').count() == 1


def test_what_it_takes_is_asked(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    panel.page.locator("#engine[data-light=good]").wait_for()
    panel.task("generate")
    panel.fill("seconds", "3")
    panel.page.locator("#ask-estimate").click()
    panel.page.locator("#estimate").get_by_text("4 to 9 evaluations of the network").wait_for()
    assert "5.4 GB of memory, about 3 s" in panel.page.locator("#estimate").inner_text()


def test_a_clip_is_dropped_and_a_file_is_chosen(
    shared: App, connected_panel: ConnectedPanel, tmp_path: Path
) -> None:
    panel = connected_panel(shared)
    panel.task("generate")
    dropped = """(name) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(300000).fill(7)], name));
        const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
        document.querySelector("#pictures").dispatchEvent(event);
    }"""
    panel.run(dropped, "My groove.wav")
    given = panel.page.locator('[data-field="source"] .given')
    given.get_by_text("My groove.wav, 300 kB, is with the daemon").wait_for()
    panel.fill("seconds", "1")
    panel.send()
    panel.until("async () => !document.querySelector('#send').disabled")
    source = Path(ask(shared, "jobs", limit=1)["jobs"][0]["request"]["source"])
    assert source.read_bytes() == b"\x07" * 300_000
    panel.task("loop")  # what was said for one task is said for the next
    assert given.inner_text().startswith("My groove.wav")
    other = tmp_path / "other.wav"
    other.write_bytes(b"other")
    panel.page.locator('[data-field="source"] input[type=file]').set_input_files(other)
    given.get_by_text("other.wav, 5 bytes").wait_for()
    told = [said for said in panel.said if said["command"] == "upload"]
    assert told[-1]["sha256"] == hashlib.sha256(b"other").hexdigest()


def test_intensity_is_drawn(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    panel.task("generate")
    panel.fill("seconds", "4")
    open_all(panel)
    box = panel.page.locator('[data-field="intensity"]')
    text = box.locator("input")
    box.get_by_role("button", name="Draw: open the editor").click()
    lane = box.locator("canvas")
    size = lane.bounding_box()
    assert size is not None
    middle_db = -30.0
    for share in (0.25, 0.75):
        lane.click(position={"x": 6 + share * (size["width"] - 12), "y": size["height"] / 2})
    points = [tuple(map(float, point.split(":"))) for point in text.input_value().split(",")]
    assert [(round(s), round(db)) for s, db in points] == [(1, middle_db), (3, middle_db)]
    for key in ("PageUp", "ArrowUp", "Shift+ArrowUp", "ArrowRight"):
        panel.page.keyboard.press(key)
    moved = [tuple(map(float, point.split(":"))) for point in text.input_value().split(",")]
    assert abs(moved[0][0] - points[0][0] - 0.1) < 0.02
    assert abs(moved[0][1] - points[0][1] - 6) < 0.11
    panel.page.keyboard.press("Enter")
    assert text.input_value().count(",") == 2
    panel.page.keyboard.press("Delete")
    assert text.input_value().count(",") == 1
    lane.dblclick(position={"x": 6 + 0.75 * (size["width"] - 12), "y": size["height"] / 2})
    assert text.input_value().count(",") == 0
    drawn = {"Rise": "0:-30,4:-12", "Fall": "0:-12,4:-30", "Level": "0:-18,4:-18"}
    for name, expected in drawn.items():
        box.get_by_role("button", name=name).click()
        assert text.input_value() == expected
    panel.send()
    panel.until("async () => !document.querySelector('#send').disabled")
    assert sent(panel, "generate")["intensity"] == "0:-18,4:-18"
    assert panel.page.locator("#wrong").inner_text() == ""


def test_intensity_is_drawn_over_what_is_new(
    shared: App, connected_panel: ConnectedPanel, tmp_path: Path
) -> None:
    """Seconds count from the result's start, and a clip that goes on comes first in it."""
    panel = connected_panel(shared)
    clip = tmp_path / "two seconds.wav"
    soundfile.write(clip, np.zeros(2 * 44_100), 44_100)
    panel.task("extend")
    open_all(panel)
    box = panel.page.locator('[data-field="intensity"]')
    box.get_by_role("button", name="Draw: open the editor").click()
    assert "the clip" in box.get_by_role("status").inner_text()
    panel.page.locator('[data-field="source"] input[type=file]').set_input_files(clip)
    panel.until("async () => (await part('state')).state.clip?.lengthS === 2")
    box.get_by_role("status").get_by_text("click to set a point").wait_for()
    panel.fill("seconds", "4")
    for task, before, expected in (
        ("extend", None, "2:-30,6:-12"),
        ("extend", "start", "0:-30,4:-12"),
        ("inpaint", None, "0:-30,2:-12"),
        ("loop", None, "0:-30,2:-12"),
    ):
        panel.task(task)
        if before:
            panel.page.locator('[data-field="side"] select').select_option(before)
        open_all(panel)
        if not box.locator("canvas").is_visible():
            box.get_by_role("button", name="Draw: open the editor").click()
        box.get_by_role("button", name="Clear").click()
        box.get_by_role("button", name="Rise").click()
        assert box.locator("input").input_value() == expected, task
    panel.task("melody")
    open_all(panel)
    for name, value in (("seconds", ""), ("bars", "4"), ("bpm", "60"), ("metre", "7/8")):
        panel.fill(name, value)
    box.get_by_role("button", name="Draw: open the editor").click()
    box.get_by_role("button", name="Clear").click()
    box.get_by_role("button", name="Rise").click()
    assert box.locator("input").input_value() == "0:-30,14:-12"


def test_a_look_at_again_leaves_the_request_as_it_was(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    panel.task("extend")
    open_all(panel)
    said = {"bars": "4", "bpm": "120", "prompt": "brushes", "intensity": "0:-30,3:-12"}
    for name, value in said.items():
        panel.fill(name, value)
    panel.task("rerender")
    open_all(panel)
    assert panel.page.locator('[data-field="bars"] input').input_value() == ""
    panel.page.locator('[data-field="stems"] select').select_option("no")
    panel.fill("prompt", "of the take only")
    panel.task("extend")
    for name, value in said.items():
        assert panel.page.locator(f'[data-field="{name}"] input').first.input_value() == value
    panel.task("melody")
    assert not panel.page.locator('[data-field="stems"] input').is_checked()


def test_structure_is_built_of_blocks(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    panel.task("generate")
    open_all(panel)
    panel.fill("seconds", "4")
    box = panel.page.locator('[data-field="structure"]')
    text = box.locator("input")
    box.get_by_role("button", name="Blocks: open the editor").click()
    add = box.get_by_role("button", name="Add")
    for _ in range(3):
        add.click()
    assert text.input_value() == "A4 B4 C4"
    box.get_by_role("button", name="Letter").click()
    box.get_by_role("button", name="− bar").click()
    assert text.input_value() == "A4 B4 A3"
    box.get_by_role("button", name="A, 4 bars").focus()
    panel.page.keyboard.press("ArrowRight")
    for key in ("ArrowRight", "ArrowUp", "c", "ArrowLeft", "ArrowDown"):
        panel.page.keyboard.press(key)
    assert text.input_value() == "A4 B3 C4"
    panel.page.keyboard.press("Delete")
    assert text.input_value() == "A4 C4"
    box.get_by_role("button", name="+ bar").click()
    box.get_by_role("button", name="Remove").click()
    assert text.input_value() == "A4"
    text.fill("A2 B2")
    assert box.locator(".block").all_inner_texts() == ["A\n2", "B\n2"]
    panel.send()
    panel.until("async () => !document.querySelector('#send').disabled")
    assert sent(panel, "generate")["structure"] == "A2 B2"
    assert panel.page.locator("#wrong").inner_text() == ""


def test_a_melody_is_drawn_and_sent_as_midi(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    panel.task("melody")
    panel.fill("bars", "2")
    panel.fill("bpm", "90")
    box = panel.page.locator('[data-field="melody"]')
    box.get_by_role("button", name="Piano roll: open the editor").click()
    box.get_by_label("Bars").select_option("2")
    box.get_by_label("Beats in a bar").select_option("3")
    box.get_by_label("Grid").select_option("0.5")
    roll = box.locator("canvas")
    roll.focus()
    # By keys: C4, an eighth, then E4, a quarter, on the second beat.
    for key in ("Enter", "ArrowRight", "ArrowRight", *["ArrowUp"] * 4, "Enter", "Shift+ArrowRight"):
        panel.page.keyboard.press(key)
    # By mouse: a note of a beat from the third beat on, dragged from end to end.
    size = roll.bounding_box()
    assert size is not None
    beat = (size["width"] - 30) / 6
    row = size["height"] / 25
    y = size["y"] + row * (24 - (67 - 55) + 0.5)  # G4, with G3 at the bottom
    panel.page.mouse.move(size["x"] + 30 + 2.1 * beat, y)
    panel.page.mouse.down()
    panel.page.mouse.move(size["x"] + 30 + 2.9 * beat, y, steps=3)
    panel.page.mouse.up()
    panel.send()
    panel.until("async () => !document.querySelector('#send').disabled")
    assert panel.page.locator("#wrong").inner_text() == ""
    path = Path(ask(shared, "jobs", limit=1)["jobs"][0]["request"]["melody"])
    notes, now = [], 0
    file = mido.MidiFile(path)
    for message in file.tracks[0]:
        now += message.time
        if message.type in ("note_on", "note_off"):
            notes.append((message.type, message.note, now / file.ticks_per_beat))
    assert notes == [
        ("note_on", 60, 0), ("note_off", 60, 0.5), ("note_on", 64, 1), ("note_off", 64, 2),
        ("note_on", 67, 2), ("note_off", 67, 3),
    ]  # fmt: skip
    told = {message.type: message for message in file.tracks[0] if message.is_meta}
    assert round(mido.tempo2bpm(told["set_tempo"].tempo), 3) == 90
    assert (told["time_signature"].numerator, told["time_signature"].denominator) == (3, 4)
