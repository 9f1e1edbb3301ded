"""A panel that is used for long: what was begun ends, what is kept is bounded, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from daw_bridge.app import App
from tests.daw_bridge.panel import telling_engine
from tests.daw_bridge.panel.driver import ConnectedPanel, Panel, ask, generate, make_take


def test_one_chain_of_frames_however_often_it_changes(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    make_take(panel)
    drawn = panel.run(
        """async () => {
            const {player, chooseLoop} = await part('listen');
            chooseLoop("all");
            player.play();
            for (let n = 0; n < 40; n++) player.seek(0.1 + n / 100);
            await new Promise(requestAnimationFrame);
            let asked = 0, frames = 0;
            const ask = window.requestAnimationFrame;
            window.requestAnimationFrame = (call) => { asked++; return ask.call(window, call); };
            while (frames < 20) await new Promise((next) => ask.call(window, () => next(frames++)));
            window.requestAnimationFrame = ask;
            const playing = player.playing;
            player.stop();
            return {asked, playing};
        }"""
    )
    assert drawn["playing"]
    assert 10 <= drawn["asked"] <= 45  # one for each of the 20, and a redraw or two


def _hold_back(panel: Panel) -> None:
    """What is sent stays where it is until `letGo`: a socket that is closed keeps it, too."""
    panel.run(
        """async () => {
            const held = Object.getOwnPropertyDescriptor(WebSocket.prototype, "bufferedAmount");
            Object.defineProperty(WebSocket.prototype, "bufferedAmount",
                {get: () => 2 ** 30, configurable: true});
            window.letGo = () =>
                Object.defineProperty(WebSocket.prototype, "bufferedAmount", held);
        }"""
    )


def _clip(name: str, byte: int) -> dict[str, Any]:
    return {"name": name, "mimeType": "audio/wav", "buffer": bytes([byte]) * 1_000_000}


def _last_request(app: App) -> dict[str, Any]:
    request: dict[str, Any] = ask(app, "jobs", limit=1)["jobs"][0]["request"]
    return request


def test_a_file_on_its_way_is_what_the_form_means(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    """Neither the clip before it, nor nothing, and through a change of the task."""
    panel = connected_panel(telling)
    panel.task("extend")
    panel.fill("seconds", "1")
    box = panel.page.locator('[data-field="source"]')
    pick = box.locator("input[type=file]")
    pick.set_input_files([_clip("first.wav", 1)])
    box.get_by_text("first.wav, 1.0 MB, is with the daemon").wait_for()
    _hold_back(panel)
    pick.set_input_files([_clip("second.wav", 2)])
    box.get_by_text("sending second.wav: 13 %").wait_for()
    assert box.locator("input").first.input_value() == ""
    panel.send()  # waits for it
    panel.task("loop")
    panel.task("extend")
    box.get_by_text("sending second.wav: 13 %").wait_for()
    panel.run("async () => window.letGo()")
    box.get_by_text("second.wav, 1.0 MB, is with the daemon").wait_for()
    panel.accepted(0)
    source = Path(_last_request(telling)["source"])
    assert source.read_bytes() == _clip("", 2)["buffer"]
    assert box.locator("input").first.input_value().startswith("upload:")


def test_of_two_files_the_last_counts_and_a_path_counts_before_both(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    panel.task("extend")
    box = panel.page.locator('[data-field="source"]')
    pick = box.locator("input[type=file]")
    _hold_back(panel)
    pick.set_input_files([_clip("first.wav", 1)])
    box.get_by_text("sending first.wav: 13 %").wait_for()
    panel.run("async () => window.letGo()")
    pick.set_input_files([_clip("second.wav", 2)])
    box.get_by_text("second.wav, 1.0 MB, is with the daemon").wait_for()
    panel.page.wait_for_timeout(300)  # the first arrives, too
    assert box.get_by_text("second.wav, 1.0 MB, is with the daemon").is_visible()
    _hold_back(panel)
    pick.set_input_files([_clip("third.wav", 3)])
    box.get_by_text("sending third.wav: 13 %").wait_for()
    panel.fill("source", "/clips/typed.wav")
    panel.run("async () => window.letGo()")
    panel.page.wait_for_timeout(300)
    assert box.locator("input").first.input_value() == "/clips/typed.wav"
    assert box.locator(".given").inner_text() == ""


def test_what_is_cleared_while_it_is_sent_is_not_shown(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    panel.task("extend")
    panel.run(
        """async () => {
            window.shown = [];
            (await part("state")).on("given", ({file}) => window.shown.push(file.name));
        }"""
    )
    box = panel.page.locator('[data-field="source"]')
    _hold_back(panel)
    box.locator("input[type=file]").set_input_files([_clip("unwanted.wav", 1)])
    box.get_by_text("sending unwanted.wav: 13 %").wait_for()
    panel.page.get_by_role("button", name="Clear", exact=True).click()
    panel.run("async () => window.letGo()")
    box.locator("input[type=file]").set_input_files([_clip("wanted.wav", 2)])
    box.get_by_text("wanted.wav, 1.0 MB, is with the daemon").wait_for()
    panel.page.wait_for_timeout(300)  # the first arrives, too
    assert panel.run("async () => window.shown") == ["wanted.wav"]


def test_what_was_given_last_is_the_melody(telling: App, connected_panel: ConnectedPanel) -> None:
    """A roll that is open does not speak for a file that is given after it was drawn."""
    panel = connected_panel(telling)
    panel.task("melody")
    panel.fill("bars", "1")
    box = panel.page.locator('[data-field="melody"]')
    box.get_by_role("button", name="Piano roll: open the editor").click()
    box.locator("canvas").focus()
    panel.page.keyboard.press("Enter")
    tune = {"name": "tune.mid", "mimeType": "audio/midi", "buffer": b"MThd, as good as any"}
    box.locator("input[type=file]").set_input_files([tune])
    box.get_by_text("tune.mid, 20 bytes, is with the daemon").wait_for()
    assert not box.locator("canvas").is_visible()
    panel.send()
    panel.accepted(0)
    assert Path(_last_request(telling)["melody"]).read_bytes() == tune["buffer"]


def test_an_upload_that_loses_its_connection_ends_and_is_sent_again(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    panel.task("extend")
    box = panel.page.locator('[data-field="source"]')
    _hold_back(panel)
    clip = {"name": "long.wav", "mimeType": "audio/wav", "buffer": bytes(range(250)) * 4000}
    box.locator("input[type=file]").set_input_files([clip])
    box.get_by_text("sending long.wav: 13 %").wait_for()
    panel.run("async () => (await part('state')).state.client.socket.close()")
    box.get_by_text("long.wav was not sent").wait_for()
    panel.page.locator(".problem").get_by_text("the connection to the daemon was lost").wait_for()
    panel.run("async () => window.letGo()")
    panel.connected()
    box.get_by_role("button", name="Send again").click()
    box.get_by_text("long.wav, 1.0 MB, is with the daemon").wait_for()
    assert not box.get_by_role("button", name="Send again").is_visible()
    panel.fill("seconds", "1")
    panel.send()
    panel.until("async () => !document.querySelector('#send').disabled")
    source = Path(ask(telling, "jobs", limit=1)["jobs"][0]["request"]["source"])
    assert source.read_bytes() == clip["buffer"]


def _write(panel: Panel, text: str) -> None:
    note = panel.page.get_by_label("Note")
    note.click()
    note.press_sequentially(text)


def test_a_note_stays_while_its_take_is_rated_and_listed_anew(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    take = make_take(panel)
    _write(panel, "the fill ")
    for change in (
        "(await part('rating')).rate({stars: 2})",
        "(await part('take')).refreshTakes()",
    ):
        note = panel.run(f"async () => {{ await {change}; return document.activeElement.value; }}")
        assert note == "the fill "
    panel.page.keyboard.type("drags")
    panel.page.keyboard.press("Enter")
    panel.page.locator(f'[data-take="{take}"]').get_by_text("the fill drags").wait_for()
    kept = ask(telling, "takes", take=take)["takes"][0]
    assert (kept["stars"], kept["note"]) == (2, "the fill drags")


def test_a_note_is_about_the_take_that_it_was_written_for(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    first, second = make_take(panel, seed=1), make_take(panel, seed=2)
    _write(panel, "too loud")
    panel.run(f"async () => (await part('take')).chooseTake('{first}')")
    panel.page.locator(f'[data-take="{second}"]').get_by_text("too loud").wait_for()
    panel.page.locator("#listen-title").get_by_text(first).wait_for()
    assert panel.page.get_by_label("Note").input_value() == ""
    notes = {take["take"]: take["note"] for take in ask(telling, "takes")["takes"]}
    assert not notes[first]
    assert notes[second] == "too loud"


def test_a_note_that_the_daemon_did_not_hear_stays(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    take = make_take(panel)
    panel.run(
        """async () => {
            const {client} = (await part('state')).state;
            const ask = client.ask;
            client.ask = (command, fields) => {
                if (command !== "rate") return ask.call(client, command, fields);
                client.ask = ask;
                return Promise.reject(new Error("nobody heard it"));
            };
        }"""
    )
    note = panel.page.get_by_label("Note")
    _write(panel, "too dry")
    panel.page.keyboard.press("Enter")
    panel.page.locator(".problem").get_by_text("nobody heard it").wait_for()
    panel.page.get_by_role("button", name="2 of 5 stars").click()
    panel.page.locator(f'[data-take="{take}"]').get_by_label("2 of 5 stars").wait_for()
    assert note.input_value() == "too dry"
    note.press("End")
    panel.page.keyboard.type("!")
    panel.page.keyboard.press("Enter")
    panel.page.locator(f'[data-take="{take}"]').get_by_text("too dry!").wait_for()
    assert ask(telling, "takes", take=take)["takes"][0]["note"] == "too dry!"


def test_a_job_that_ends_takes_nobody_from_a_note(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    take = make_take(panel)
    generate(panel, "sleep=4", seed=1)
    panel.page.locator(".job[data-state=running]").wait_for()
    _write(panel, "slow ")
    panel.page.locator("#announcer").get_by_text("is done: t-0002").wait_for()
    panel.page.locator('[data-take="t-0002"]').wait_for()
    panel.page.keyboard.type("start")
    panel.page.keyboard.press("Enter")
    panel.page.locator(f'[data-take="{take}"]').get_by_text("slow start").wait_for()
    assert not ask(telling, "takes", take="t-0002")["takes"][0]["note"]


def test_the_job_at_work_is_listed_behind_many_that_wait(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    generate(panel, "sleep=60")
    panel.page.locator("#row-j-0001[data-state=running]").wait_for()
    for first in range(0, 32, 8):
        ask(telling, "generate", seconds=1, prompt="sleep=60", seed=first, takes=8)
    panel.page.locator("#row-j-0033").wait_for()
    panel.page.reload()
    panel.connected()
    panel.page.locator("#row-j-0033").wait_for()
    panel.page.locator("#row-j-0001[data-state=running]").wait_for()
    panel.page.get_by_role("button", name="Cancel j-0001", exact=True).click()
    panel.page.locator("#row-j-0002[data-state=running]").wait_for()


def test_what_is_kept_is_bounded_and_what_was_used_last_stays(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    kept = panel.run(
        """async () => {
            const {Recent} = await part('recent');
            const recent = new Recent(10);
            recent.set("a", 1, 4);
            recent.set("b", 2, 4);
            recent.get("a");
            recent.peek("b");
            recent.set("c", 3, 4);
            const first = [...recent.kept.keys()];
            recent.set("d", 4, 99);
            return [first, [...recent.kept.keys()]];
        }"""
    )
    assert kept == [["a", "c"], ["d"]]  # one always stays: it is the one that is shown


def test_audio_in_memory_is_bounded_by_bytes(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    asked = panel.run(
        """async () => {
            const {state} = await part('state');
            const {audioOf} = await part('take');
            const asked = [];
            state.client.stream = async (take) => {
                asked.push(take);
                return {rateHz: 48000, length: 1, channels: [{byteLength: 100 * 2 ** 20}]};
            };
            for (const take of ["x-1", "x-2", "x-2", "x-3", "x-3", "x-1"]) await audioOf(take);
            return asked;
        }"""
    )
    assert asked == ["x-1", "x-2", "x-3", "x-1"]  # 300 MB are more than stay


def test_the_sound_card_rests_when_nothing_is_played(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    make_take(panel)
    state = "(await part('listen')).player.context.state"
    panel.page.locator("#loop").select_option("all")
    for _ in range(2):  # and it wakes again
        panel.page.locator("#play").click()
        panel.until(f"async () => {state} === 'running'")
        panel.page.locator("#play").click()
        panel.until(f"async () => {state} === 'suspended'")
    panel.run("async () => (await part('listen')).player.play()")
    panel.until(
        f"async () => (await part('listen')).player.positionS > 0.5 && {state} === 'running'"
    )
    panel.run("async () => (await part('listen')).player.stop()")


def test_a_job_keeps_its_losses_when_the_list_comes_anew(
    telling: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(telling)
    generate(panel, "sleep=60")
    panel.page.locator("#row-j-0001").get_by_text("step 4 of 4").wait_for()
    panel.run("async () => (await part('jobs')).refreshJobs()")
    job = "[...(await part('state')).state.jobs.values()][0]"
    assert panel.run(f"async () => {job}.losses") == list(telling_engine.LOSSES)
    assert panel.run(f"async () => Boolean({job}.preview)")
    panel.page.get_by_role("button", name="Cancel j-0001").click()
    panel.page.locator("#row-j-0001[data-state=cancelled]").wait_for()
    assert not panel.run(f"async () => Boolean({job}.preview)")  # nobody hears it any more


def test_the_clock_rounds_before_it_counts_minutes(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    words = {0: "0:00.0", 59.94: "0:59.9", 59.97: "1:00.0", 61.25: "1:01.3", 599.96: "10:00.0"}
    said = panel.run("async (all) => all.map((await part('dom')).clock)", list(words))
    assert said == list(words.values())
