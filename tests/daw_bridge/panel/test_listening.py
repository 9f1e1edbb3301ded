"""Listening in the panel: the best so far, takes to the sample, A and B, loops, what is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from daw_bridge.app import App
from engine.analysis.loudness import loudness_lufs
from tests.daw_bridge.fake_engine import SAMPLE_RATE_HZ
from tests.daw_bridge.panel import telling_engine
from tests.daw_bridge.panel.driver import (
    ConnectedPanel,
    generate,
    make_take,
    samples_in_the_page,
    unpacked,
)


def test_it_renders_and_hears_the_best_so_far(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    generate(panel, "sleep=20")
    row = panel.page.locator(".job[data-state=running]")
    row.get_by_text("step 4 of 4").wait_for()
    assert "refine · 50 %" in row.inner_text()
    losses = "async () => [...(await part('state')).state.jobs.values()][0].losses"
    assert panel.run(losses) == list(telling_engine.LOSSES)
    assert row.locator("canvas").is_visible()
    # What is told again and again leaves the buttons where they are: one may just be pressed.
    stays = """async () => {
        const {refreshJobs} = await part('jobs');
        const {state, tell} = await part('state');
        const button = document.querySelector("#job-list button");
        const job = [...state.jobs.values()][0];
        job.fraction = 0.51;
        tell("job", job);
        await refreshJobs();
        await new Promise(requestAnimationFrame);
        return button === document.querySelector("#job-list button");
    }"""
    assert panel.run(stays)
    row.get_by_role("button", name="best so far").click()
    panel.until("async () => (await part('listen')).player.playing")
    # The better one takes the place of the first while that is heard.
    panel.page.locator("#listen-about").get_by_text("revision 2").wait_for()
    heard = samples_in_the_page(panel)
    expected = np.frombuffer(telling_engine.preview_pcm(1), "<f4").reshape(-1, 2).T
    assert np.array_equal(heard, expected)
    starts = panel.run("async () => (await part('listen')).player.tracks.a.startS")
    assert starts == telling_engine.SEAM_S
    row.get_by_role("button", name="Cancel").click()
    panel.page.locator(".job[data-state=cancelled]").wait_for()


def test_the_audio_is_the_take_sample_for_sample(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    take = make_take(panel, seed=3)
    path = panel.run("async () => (await part('state')).state.takes[0].path")
    file, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert np.array_equal(samples_in_the_page(panel), file.T)
    with panel.page.expect_download() as download:
        panel.page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == Path(path).name
    written, written_rate = soundfile.read(download.value.path(), dtype="float32", always_2d=True)
    assert written_rate == rate
    assert np.array_equal(written, file)
    panel.page.locator("#stems").select_option("drums")
    panel.until(f"async () => (await part('listen')).player.tracks.a.key === '{take}/drums'")
    stem = shared.config.data_dir / "takes" / take
    drums = next(stem.glob("*drums.wav"))
    assert np.array_equal(samples_in_the_page(panel), soundfile.read(drums, dtype="float32")[0].T)


def test_a_and_b_are_matched_in_loudness(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    first = make_take(panel, seed=1)
    make_take(panel, seed=2)
    panel.page.get_by_role("button", name=f"Compare with {first} on B").click()
    panel.until("async () => (await part('listen')).player.tracks.b !== null")
    for side in ("a", "b"):
        measured = panel.run(
            """async (side) => {
                const {channels, rateHz} = (await part('listen')).player.tracks[side];
                return (await part('loudness')).loudnessLufs(channels, rateHz);
            }""",
            side,
        )
        expected = loudness_lufs(samples_in_the_page(panel, side).astype(float), 48_000)
        assert abs(measured - expected) < 0.02
    said = panel.page.locator("#matched").inner_text()
    assert "BS.1770-4" in said
    panel.page.keyboard.press("x")
    assert panel.run("async () => (await part('listen')).player.heard") == "b"
    assert panel.page.locator("#hear-b").get_attribute("aria-pressed") == "true"
    panel.page.locator("#hear-a").click()
    assert panel.run("async () => (await part('listen')).player.heard") == "a"


def test_a_quiet_take_is_not_turned_up_but_the_loud_one_down(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    gains = panel.run(
        """async () => {
            const {put, player} = await part('listen');
            const sine = (level) => (_, n) => level * Math.sin(n / 7);
            const tone = (level) => Float32Array.from({length: 48000}, sine(level));
            const track = (level, offsetS) => ({
                key: String(level), title: "", channels: [tone(level)], rateHz: 48000, offsetS,
                startS: 0, gainDb: 0, wraps: false, marks: {seams: [], bars: [], made: null},
            });
            put("a", track(0.5, 0));
            put("b", track(0.05, -1));
            const {a, b} = player.tracks;
            return [a.gainDb, b.gainDb, a.startS, b.startS];
        }"""
    )
    assert np.allclose(gains, [-20, 0, 1, 0], atol=0.01)  # and beside the clip as they belong


def test_the_loop_across_a_seam_has_no_gap(shared: App, connected_panel: ConnectedPanel) -> None:
    """Rendered by the browser's own audio engine, and compared with the take."""
    panel = connected_panel(shared)
    make_take(panel, seed=5)
    panel.page.locator("#around").select_option("0.5")
    panel.page.locator("#loop").select_option("seam-0")
    whole = samples_in_the_page(panel)
    rate, seam = SAMPLE_RATE_HZ, telling_engine.preview_offset()
    half, count = rate // 2, 5 * rate // 2
    for loop, expected in (
        ("seam-0", whole[:, seam - half : seam + half]),
        ("seam-1", np.concatenate([whole[:, -half:], whole[:, :half]], axis=1)),  # end to start
    ):
        panel.page.locator("#loop").select_option(loop)
        heard = unpacked(panel.run(_RENDERED, count))
        late = round(0.02 * rate)  # both sides begin together, a little later
        fade = round(0.01 * rate)
        wanted = np.tile(expected, 3)[:, : count - late]
        assert np.allclose(heard[:, late + fade :], wanted[:, fade:], atol=1e-6)
    stands_s = panel.run("async () => (await part('listen')).player.positionS")
    panel.page.locator("#play").click()
    panel.until(f"async () => (await part('listen')).player.positionS > {stands_s} + 0.1")
    panel.page.locator("#play").click()
    assert panel.page.locator("#play").inner_text() == "Play"


def test_what_is_repeated_lies_on_what_is_heard(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    told = panel.run(
        """async () => {
            const {put, hear, chooseLoop, player} = await part('listen');
            const track = (key, seconds, seams) => ({
                key, title: key, channels: [new Float32Array(48000 * seconds)], rateHz: 48000,
                offsetS: 0, startS: 0, gainDb: 0, wraps: false,
                marks: {seams: seams.map((atS) => ({atS})), bars: [], made: null},
            });
            const list = document.querySelector("#loop");
            const said = () => [list.selectedOptions[0].textContent, player.loop];
            put("a", track("long", 16, [8]));
            put("b", track("other", 16, [3, 5]));
            chooseLoop("seam-0");
            const first = said();
            hear("b"); // the same stretch, by its place: it is no seam here
            const other = [said(), Array.from(list.options, (option) => option.textContent)];
            put("b", null);
            put("a", track("short", 4, []));
            return {first, other, short: said()};
        }"""
    )
    first, ((name, loop), options) = told["first"], told["other"]
    assert first[0].startswith("seam at 0:08")
    assert loop == first[1]
    assert "seam" not in name
    assert [option for option in options if "seam" in option] == [
        "seam at 0:03.0", "seam at 0:05.0",
    ]  # fmt: skip
    assert told["short"] == ["off", None]


_RENDERED = """async (count) => {
    const {player} = await part('listen');
    const {Player} = await part('player');
    const context = new OfflineAudioContext(2, count, 48000);
    const other = new Player(() => context);
    other.load("a", player.tracks.a);
    other.setLoop(player.loop);
    other.restS = player.loop.startS;
    Object.defineProperty(context, "resume", {value: undefined});
    other.play();
    const made = await context.startRendering();
    return [0, 1].map((channel) => pack(made.getChannelData(channel)));
}"""


def test_the_wave_answers_mouse_and_keys(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    make_take(panel)
    wave = panel.page.locator("#wave-a")
    box = wave.bounding_box()
    assert box is not None
    at_s = "async () => (await part('listen')).player.positionS"
    panel.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 60)
    assert abs(panel.run(at_s) - telling_engine.LENGTH_S / 2) < 0.02
    wave.focus()
    for key, expected in (
        ("Home", 0),
        ("ArrowRight", 0.25),
        ("Shift+ArrowRight", 1.25),
        ("End", 2),
    ):
        panel.page.keyboard.press(key)  # a beat, and a bar, of 240 bpm
        assert abs(panel.run(at_s) - expected) < 0.001, key
    view = """async () => {
        const {view} = (await part('listen')).pictures;
        return view.endS - view.startS;
    }"""
    panel.page.keyboard.press("+")
    assert panel.run(view) < telling_engine.LENGTH_S
    panel.page.keyboard.press("0")
    assert panel.run(view) == telling_engine.LENGTH_S
    panel.page.locator("#zoom-in").click()
    panel.page.locator("#zoom-out").click()
    wave.dblclick()
    panel.page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 60)
    panel.page.mouse.down()
    panel.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60, steps=4)
    panel.page.mouse.up()
    loop = panel.run("async () => (await part('listen')).player.loop")
    assert np.allclose([loop["startS"], loop["endS"]], [0.5, 1], atol=0.03)
    assert panel.page.locator("#loop").input_value() == "selection"


def test_the_report_has_lights_and_words(shared: App, connected_panel: ConnectedPanel) -> None:
    panel = connected_panel(shared)
    make_take(panel)
    seam, wrap = panel.page.locator(".seam-card").all()
    assert seam.locator("header .light").get_attribute("data-light") == "poor"
    lights = [light.get_attribute("data-light") for light in seam.locator("li").all()]
    assert lights[:3] == ["good", "fair", "poor"]
    for words in ("no click", "an accent at the join", "the colour changes", "timbre 2.10"):
        assert words in seam.inner_text()
    assert "cannot be heard" in wrap.inner_text()
    facts = panel.page.locator(".facts").inner_text()
    assert "your audio is kept, sample for sample" in facts
    seam.get_by_role("button").click()
    assert panel.page.locator("#loop").input_value() == "seam-0"
    marks = panel.run("async () => (await part('listen')).player.tracks.a.marks")
    assert [bar["atS"] for bar in marks["bars"]] == [0, 1]
    assert marks["made"] == [telling_engine.SEAM_S, telling_engine.LENGTH_S]


def test_a_take_can_be_dragged_copied_and_written(
    shared: App, connected_panel: ConnectedPanel
) -> None:
    panel = connected_panel(shared)
    take = make_take(panel)
    path = panel.run("async () => (await part('state')).state.takes[0].path")
    for selector in (".drag-out", f'[data-take="{take}"]'):
        dragged = panel.run(
            """(selector) => {
                const data = new DataTransfer();
                const event = new DragEvent("dragstart", {dataTransfer: data, bubbles: true});
                document.querySelector(selector).dispatchEvent(event);
                const said = [...data.types].map((type) => [type, data.getData(type)]);
                return Object.fromEntries(said);
            }""",
            selector,
        )
        name, blob = dragged["downloadurl"].removeprefix("audio/wav:").split(":", 1)
        assert name == Path(path).name
        assert dragged["text/uri-list"] == Path(path).as_uri()
        assert blob == panel.page.locator("#save a").get_attribute("href")
    panel.page.get_by_role("button", name="Copy path").click()
    panel.until(f"async () => await navigator.clipboard.readText() === {path!r}")
    export = panel.page.locator("#export")
    export.locator("summary").click()
    export.locator('[data-field="container"] select').select_option("flac")
    export.locator('[data-field="name"] input').fill("My take")
    export.get_by_role("button", name="Write the file").click()
    export.get_by_role("status").get_by_text("peak").wait_for()
    written = shared.config.data_dir / "exports" / "My-take.flac"
    assert str(written.parent) in export.get_by_role("status").inner_text()
    assert soundfile.info(next(written.parent.glob("*.flac"))).frames == 2 * 48_000


def test_a_clip_that_is_given_is_shown_and_a_region_of_it_chosen(
    shared: App, connected_panel: ConnectedPanel, tmp_path: Path
) -> None:
    panel = connected_panel(shared)
    clip = tmp_path / "clip.wav"
    tone = (8000 * np.sin(np.arange(2 * 44_100) / 20)).astype(np.int16)
    soundfile.write(clip, tone, 44_100)
    panel.task("inpaint")
    panel.page.locator('[data-field="source"] input[type=file]').set_input_files(clip)
    panel.page.locator("#listen-title").get_by_text("clip.wav").wait_for()
    assert np.allclose(
        samples_in_the_page(panel)[0], tone / 32_768, atol=1e-4
    )  # a browser's own scale
    box = panel.page.locator("#wave-a").bounding_box()
    assert box is not None
    panel.page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60)
    panel.page.mouse.down()
    panel.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=3)
    panel.page.mouse.up()
    fields = [panel.page.locator(f'[data-field="{name}"] input') for name in ("start", "end")]
    assert np.allclose([float(field.input_value()) for field in fields], [0.5, 1.5], atol=0.01)
    # Beside a take that begins four seconds before it, the clip's own seconds count all the same.
    panel.run(
        """async () => {
            const {put} = await part('listen');
            const {tell} = await part('state');
            put("b", {
                key: "b", title: "", channels: [new Float32Array(6 * 44100)], rateHz: 44100,
                offsetS: -4, startS: 0, gainDb: 0, wraps: false,
                marks: {seams: [], bars: [], made: null},
            });
            tell("selected", {startS: 4.25, endS: 9});
            tell("selected", {startS: 1, endS: 3}); // before it
        }"""
    )
    assert np.allclose([float(field.input_value()) for field in fields], [0.25, 2.0], atol=0.01)
