"""The panel with the embedded engine: one short extension, from the clip to the rated take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from tests.daw_bridge.conftest import MakeConfig
from tests.daw_bridge.panel.driver import ConnectedPanel, ask, samples_in_the_page
from tests.daw_bridge.served import ROOT, served

CLIP = ROOT / "scripts" / "clips" / "drums.flac"


def test_a_clip_is_extended_heard_and_kept(
    make_config: MakeConfig, connected_panel: ConnectedPanel, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(CLIP, dtype="int16", always_2d=True)
    clip = tmp_path / "beat.wav"
    soundfile.write(clip, samples[: 4 * rate], rate)
    config = make_config(
        engine_factory="engine.pipeline:create_engine",
        heartbeat_interval_s=2.0,
        cancel_grace_s=5.0,
    )
    with served(config) as app:
        panel = connected_panel(app)
        panel.page.locator('[data-field="source"] input[type=file]').set_input_files(clip)
        panel.page.locator(".given").get_by_text("is with the daemon").wait_for()
        panel.fill("seconds", "1")
        panel.send()
        panel.until("async () => [...(await part('state')).state.jobs.values()][0].preview")
        panel.until("async () => (await part('listen')).player.tracks.a?.take === 't-0001'")
        take = ask(app, "takes", take="t-0001")["takes"][0]
        file, _ = soundfile.read(take["path"], dtype="float32", always_2d=True)
        assert np.array_equal(samples_in_the_page(panel), file.T)
        marks = panel.run("async () => (await part('listen')).player.tracks.a.marks")
        seam = take["report"]["seams"][0]
        assert marks["seams"][0]["atS"] == seam["at_sample"] / rate
        assert marks["made"] == [sample / rate for sample in take["report"]["new_samples"]]
        assert f"timbre {seam['timbre_ratio']:.2f}" in panel.page.locator(".seam-card").inner_text()
        losses = take["report"]["loss_curve"]
        assert len(losses) > 1
        assert panel.page.locator("#facts canvas").is_visible()
        panel.page.get_by_role("button", name="Loop across").click()
        stands_s = panel.run("async () => (await part('listen')).player.positionS")
        panel.page.locator("#play").click()
        panel.until(f"async () => (await part('listen')).player.positionS > {stands_s} + 0.1")
        panel.page.keyboard.press("g")
        panel.page.locator(".verdict-mark.keep").wait_for()
