"""Using the panel: by keyboard alone, with assistive technology, on every width; rating, trash."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from tests.daw_bridge.panel.driver import ConnectedPanel, Panel, ask, make_take

SIZES = ((400, 860), (900, 1000), (1600, 950))


def _axe() -> Path | None:
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("axe.min.js")


def _field_with_focus(panel: Panel) -> Any:
    return panel.page.evaluate("document.activeElement.closest('[data-field]')?.dataset.field")


def test_the_keyboard_alone_renders_hears_and_rates(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    press, type_text = panel.page.keyboard.press, panel.page.keyboard.type
    panel.tab_to("generate")
    press("Enter")
    press("m")
    assert _field_with_focus(panel) == "seconds"
    type_text("1")
    while _field_with_focus(panel) != "prompt":
        press("Tab")
    type_text("sleep=2")
    press("Control+Enter")
    panel.until("async () => [...(await part('state')).state.jobs.values()][0]?.preview")
    press("Escape")  # out of the field, so that single keys are commands
    press("p")
    panel.until("async () => (await part('listen')).player.playing")
    assert "j-0001" in panel.page.locator("#listen-title").inner_text()
    panel.until("async () => (await part('listen')).player.tracks.a.take === 't-0001'")
    panel.page.locator("#save a").wait_for()
    assert panel.run("async () => (await part('listen')).player.playing")  # and it plays on
    press("Space")
    assert not panel.run("async () => (await part('listen')).player.playing")
    assert panel.page.locator("#loop").input_value() == "all"
    press("l")
    assert panel.page.locator("#loop").input_value() == "seam-0"
    press("g")
    press("4")
    panel.page.locator("#announcer").get_by_text("4 of 5 stars").wait_for()
    press("n")
    type_text("the fill drags")
    press("Enter")
    panel.page.locator("#announcer").get_by_text("the fill drags").wait_for()
    rated = ask(telling, "takes", take="t-0001")["takes"][0]
    assert (rated["verdict"], rated["stars"], rated["note"]) == ("keep", 4, "the fill drags")
    press("d")
    panel.page.locator(".verdict-mark.discard").wait_for()
    press("Delete")
    panel.page.locator("#announcer").get_by_text("t-0001 is in the trash").wait_for()
    assert ask(telling, "takes")["takes"] == []


def test_the_keyboard_moves_between_takes_and_stops_jobs(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    press = panel.page.keyboard.press
    first, second = make_take(panel, seed=1), make_take(panel, seed=2)
    panel.fill("prompt", "sleep=30")
    panel.send()
    panel.page.locator(".job[data-state=running]").wait_for()
    panel.page.locator("#listen-title").click()
    press("j")
    panel.until(f"async () => (await part('listen')).player.tracks.a.take === '{first}'")
    press("b")
    panel.until(f"async () => (await part('listen')).player.tracks.b?.take === '{first}'")
    press("k")
    panel.until(f"async () => (await part('listen')).player.tracks.a.take === '{second}'")
    press("x")
    assert panel.run("async () => (await part('listen')).player.heard") == "b"
    press("c")
    panel.page.locator(".job[data-state=cancelled]").wait_for()
    press("?")
    keys = panel.page.locator("#keys")
    assert "keep it" in keys.inner_text()
    keys.get_by_label("leave single keys alone").check()
    keys.get_by_role("button", name="Close").click()
    press("x")
    assert panel.run("async () => (await part('listen')).player.heard") == "b"
    panel.page.locator("#open-keys").click()
    keys.get_by_label("leave single keys alone").uncheck()
    press("Escape")
    press("x")
    assert panel.run("async () => (await part('listen')).player.heard") == "a"


def test_a_take_is_rated_removed_and_restored(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    take = make_take(panel)
    page = panel.page
    rating = page.locator("#rating")
    rating.get_by_role("button", name="Keep").click()
    rating.locator('[aria-label="Keep"][aria-pressed="true"]').wait_for()
    rating.get_by_role("button", name="3 of 5 stars").click()
    rating.locator('[aria-label="3 of 5 stars"][aria-pressed="true"]').wait_for()
    rating.get_by_label("Note").fill("warm")
    rating.get_by_label("Note").blur()
    page.locator(f'[data-take="{take}"]').get_by_text("warm").wait_for()
    kept = ask(telling, "takes", take=take)["takes"][0]
    assert (kept["verdict"], kept["stars"], kept["note"]) == ("keep", 3, "warm")
    page.reload()
    page.locator(f'[data-take="{take}"]').get_by_text("★★★").wait_for()
    page.get_by_role("button", name=f"Remove {take}").click()
    page.get_by_text("No takes yet").wait_for()
    page.get_by_text("Drop a clip here").wait_for()
    page.get_by_role("button", name="Trash (1)").click()
    page.get_by_role("button", name=f"Restore {take}").click()
    page.locator(f"#choose-{take}").click()
    page.locator("#listen-title").get_by_text(take).wait_for()
    panel.task("rerender")
    assert page.locator('[data-field="take"] input').input_value() == take
    panel.fill("prompt", "warmer")
    panel.send()
    panel.until("async () => (await part('state')).state.takes.length === 2")


def test_the_rest_of_the_controls(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    page = panel.page
    take = make_take(panel)
    focused = "document.activeElement.id"
    page.locator("#listen-title").click()
    for key, there in (("w", "wave-a"), ("t", f"choose-{take}")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == there
    page.locator("#zoom-in").click()
    page.locator("#listen-title").click()
    page.keyboard.press("f")
    assert panel.run("async () => (await part('listen')).pictures.view.startS") == 0
    make_take(panel, seed=1)
    page.locator("#job-list").get_by_role("button", name=f"Show {take}").click()
    page.locator("#listen-title").get_by_text(take).wait_for()
    # A long take makes no file until it is wanted.
    panel.run(
        """async () => {
            const {state, tell} = await part('state');
            const {aboutTake} = await part('take');
            const take = await aboutTake(state.chosen);
            const files = take.files.map((file) => ({...file, length_samples: 1e9}));
            tell('shown', {...take, files});
        }"""
    )
    assert page.locator("#save a").count() == 0
    page.get_by_role("button", name="Prepare the file").click()
    page.locator("#save a").wait_for()

    panel.task("melody")
    melody = page.locator('[data-field="melody"]')
    melody.get_by_role("button", name="Piano roll: open the editor").click()
    melody.locator("canvas").focus()
    page.keyboard.press("Enter")
    said = melody.locator(".editor [role=status]")
    assert said.inner_text().startswith("1 notes · C4")
    melody.locator("canvas").click(button="right", position={"x": 5, "y": 5})
    for name, bottom in (("An octave up", 67), ("An octave down", 55)):
        melody.get_by_role("button", name=name).click()
        size = melody.locator("canvas").bounding_box()
        assert size is not None
        melody.locator("canvas").click(position={"x": 40, "y": size["height"] - 3})
        pitch = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G"][bottom % 12]
        assert f"{pitch}{bottom // 12 - 1}" in said.inner_text()
    melody.get_by_role("button", name="Clear").click()
    assert said.inner_text().startswith("0 notes")
    melody.get_by_role("button", name="Piano roll: open the editor").click()
    assert not melody.locator("canvas").is_visible()
    page.locator("#Draw summary").click()
    lane = page.locator('[data-field="intensity"]')
    lane.get_by_role("button", name="Draw: open the editor").click()
    lane.get_by_role("button", name="Rise").click()
    lane.get_by_role("button", name="Clear").click()
    assert lane.locator("input").input_value() == ""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]} px")
def test_every_width_shows_everything_without_sideways_scrolling(
    shared: App, connected_panel: ConnectedPanel, size: tuple[int, int]
) -> None:
    panel = connected_panel(shared, size=size)
    page = panel.page
    parts = {"make": "#request", "listen": "#wave-a", "takes": "#take-list"}
    narrow = size[0] == 400
    for name, selector in parts.items():
        tab = page.locator(f'.views [data-view="{name}"]')
        assert tab.is_visible() == narrow
        if narrow:
            tab.click()
            assert [n for n, s in parts.items() if page.locator(s).is_visible()] == [name]
        assert page.locator(selector).is_visible()
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(wide)
        beyond = """[...document.querySelectorAll("main button, main input, main select, h2")]
            .filter((each) => each.checkVisibility() && !each.matches(".unseen"))
            .filter((each) => each.getBoundingClientRect().right > innerWidth + 1
                || each.scrollWidth > each.clientWidth + 2 && each.tagName === "BUTTON")
            .map((each) => each.outerHTML)"""
        assert page.evaluate(beyond) == []


@pytest.mark.skipif(_axe() is None, reason="axe-playwright-python is not installed")
@pytest.mark.parametrize("size", [SIZES[0], SIZES[2]], ids=lambda size: f"{size[0]} px")
def test_axe_finds_nothing(
    shared: App, connected_panel: ConnectedPanel, size: tuple[int, int]
) -> None:
    found = _axe()
    assert found is not None
    panel = connected_panel(shared, size=size)
    page = panel.page
    page.evaluate(found.read_text())

    def look(what: str) -> None:
        told = page.evaluate("axe.run({resultTypes: ['violations']})")
        bad = [
            (what, each["id"], each["impact"], [node["html"][:200] for node in each["nodes"]])
            for each in told["violations"]
            if each["impact"] in ("serious", "critical", "moderate")
        ]
        assert bad == []

    def view(name: str) -> None:
        if size[0] == 400:
            page.locator(f'.views [data-view="{name}"]').click()

    view("make")
    make_take(panel)
    view("make")
    panel.page.locator("#request details").evaluate_all("all => all.forEach((o) => o.open = true)")
    for name in ("Draw", "Blocks"):
        page.get_by_role("button", name=f"{name}: open the editor").click()
    page.locator('[data-field="structure"]').get_by_role("button", name="Add").click()
    look("make")
    panel.task("melody")
    page.get_by_role("button", name="Piano roll: open the editor").click()
    look("melody")
    view("listen")
    page.locator("#export summary").click()
    look("listen")
    view("takes")
    look("takes")
    page.locator("#open-keys").click()
    look("keys")
    page.keyboard.press("Escape")
    page.locator("#open-machine").click()
    look("machine")
