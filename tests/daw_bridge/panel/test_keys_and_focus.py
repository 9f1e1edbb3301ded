"""Keys that are held, keys behind a dialog, focus on what is made anew, and what is read out."""

from __future__ import annotations

from urllib.parse import urlsplit

from daw_bridge.app import App
from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.panel.driver import NOBODY, ConnectedPanel, Panel, generate, make_take
from tests.daw_bridge.served import served

HEARD = "async () => (await part('listen')).player.heard"
# Keeps what every part of the page that is read out by itself was changed to.
LISTEN = """async () => {
    window.readOut = [];
    const seen = new MutationObserver((all) =>
        all.forEach(({target}) => window.readOut.push(target.textContent)));
    const live = "output, [role=status], [role=alert], [aria-live]";
    for (const each of document.querySelectorAll(live))
        seen.observe(each, {childList: true, characterData: true, subtree: true});
}"""


def _times(panel: Panel, command: str) -> int:
    """How often the page sent a command; what it was about to send is sent before a status."""
    panel.run("async () => (await part('home')).refreshStatus()")
    return sum(said["command"] == command for said in panel.said)


def test_a_key_that_is_held_acts_once(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    down, up = panel.page.keyboard.down, panel.page.keyboard.up
    first, second, third = (make_take(panel, seed=seed) for seed in (1, 2, 3))
    panel.page.get_by_role("button", name=f"Compare with {first} on B").click()
    panel.until("async () => (await part('listen')).player.tracks.b !== null")
    panel.page.locator("#listen-title").click()
    down("x")
    down("x")
    up("x")
    assert panel.run(HEARD) == "b"
    down("Delete")
    panel.page.locator("#announcer").get_by_text(f"{third} is in the trash").wait_for()
    down("Delete")
    up("Delete")
    assert _times(panel, "remove") == 1
    for _ in range(2):  # these go on, as a hand expects
        down("j")
    up("j")
    panel.until(f"async () => (await part('listen')).player.tracks.a.take === '{first}'")
    assert second in panel.page.locator("#take-list").inner_text()


def test_enter_that_is_held_sends_once(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    make_take(panel)
    down, up = panel.page.keyboard.down, panel.page.keyboard.up
    idle = "async () => !document.querySelector('#send').disabled"
    for number, (place, keys) in enumerate(
        (
            ("#listen-title", ("Control", "Enter")),
            ("#send", ("Enter",)),
            ('#request [data-field="seconds"] input', ("Enter",)),
        ),
        2,
    ):
        panel.page.locator(place).evaluate("each => { each.tabIndex = 0; each.focus(); }")
        for key in keys:
            down(key)
        panel.until(f"async () => (await part('state')).state.jobs.size === {number} && ({idle})()")
        panel.page.locator(place).focus()
        down("Enter")
        for key in keys:
            up(key)
        assert _times(panel, "generate") == number, place


def test_nothing_is_sent_from_behind_a_dialog(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    panel.task("generate")
    panel.fill("seconds", "1")
    for opener, dialog in (("#open-keys", "#keys"), ("#open-machine", "#machine")):
        panel.page.locator(opener).click()
        panel.page.keyboard.press("Control+Enter")
        assert _times(panel, "generate") == 0
        panel.page.keyboard.press("Escape")
        panel.page.locator(dialog).wait_for(state="hidden")
    panel.page.keyboard.press("Control+Enter")  # and then it is
    panel.until("async () => (await part('state')).state.jobs.size === 1")
    assert _times(panel, "generate") == 1


def test_the_focus_stays_on_what_is_made_anew(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    first = make_take(panel, seed=1)
    make_take(panel, seed=2)
    label = "document.activeElement.getAttribute('aria-label')"
    for name in (f"Compare with {first} on B", f"Remove {first}", "Keep", "2 of 5 stars"):
        button = panel.page.get_by_role("button", name=name)
        button.focus()
        old = button.element_handle()
        assert old is not None
        panel.run(
            """async () => {
                const {state, tell} = await part('state');
                tell("takes");
                tell("shown", state.takes[0]);
            }"""
        )
        assert not old.evaluate("button => button.isConnected"), name
        assert panel.page.evaluate(label) == name


def test_playing_is_not_read_out(telling: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(telling)
    make_take(panel)
    panel.page.locator("#engine[data-light=good]").wait_for()
    panel.page.locator("#loop").select_option("all")
    panel.run(LISTEN)
    panel.page.locator("#play").click()
    panel.until("async () => (await part('listen')).player.positionS > 0.5")
    assert panel.page.locator("#position").inner_text() != "0:00.0 / 0:02.0"
    assert panel.run("async () => window.readOut") == []
    panel.page.locator("#play").click()


def test_that_the_daemon_is_away_is_said_once(
    make_telling: MakeConfig, connected_panel: ConnectedPanel
) -> None:
    with served(make_telling()) as app:
        panel = connected_panel(app, allowed=NOBODY)
        port = urlsplit(app.http_url).port
    panel.page.get_by_text("no daemon: waiting for it").wait_for()
    panel.run(LISTEN)
    panel.until("async () => (await part('state')).state.client.attempt > 3")
    assert panel.run("async () => window.readOut") == []
    with served(make_telling(port=port)):
        panel.connected()
        generate(panel)
        panel.page.locator('[data-take="t-0001"]').wait_for()
    assert panel.run("async () => window.readOut")[0] == "connected"
