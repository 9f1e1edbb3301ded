"""Make the pictures of docs/panel.md: the panel with real takes, at three widths.

    python scripts/make_panel_pictures.py [--out docs/images]

Starts a daemon of its own with the embedded engine, renders a few takes of the demonstration's
clips and takes pictures of the page. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from _daemon import running_daemon  # noqa: E402
from PIL import Image  # noqa: E402

from daw_bridge.client import Client  # noqa: E402
from daw_bridge.registration import ServerInfo, page_address  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT / "scripts" / "clips"
MAX_BYTES = 300_000
PATIENCE_MS = 120_000
_TAKES: tuple[dict[str, Any], ...] = (
    {"task": "melody", "melody": CLIPS / "tune.mid", "bars": 4, "stems": True},
    {"task": "inpaint", "source": CLIPS / "harmonic.flac", "start": 2, "end": 4},
    {"task": "loop", "source": CLIPS / "harmonic.flac", "bars": 2},
    {"task": "extend", "source": CLIPS / "drums.flac", "bars": 2, "seed": 1},
    {"task": "extend", "source": CLIPS / "drums.flac", "bars": 2},
)
_RATINGS: dict[str, dict[str, Any]] = {
    "t-0001": {"verdict": "keep", "stars": 4, "note": "bass is right"},
    "t-0002": {"verdict": "discard", "stars": 2},
    "t-0005": {"verdict": "keep", "stars": 5, "note": "the fill!"},
}


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out: Path = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        roots = ("--roots", str(ROOT))
        with running_daemon(Path(folder) / "data", *roots) as daemon, _browser() as browser:
            asyncio_run(_prepare(daemon.info))
            for name, size, pose in _POSES:
                _picture(browser, daemon.info, out / f"panel-{name}.png", size, pose)


def asyncio_run(work: Any) -> None:
    """Run a coroutine beside Playwright, which has a loop of its own in this thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, work).result()


async def _prepare(info: ServerInfo) -> None:
    async with Client(info.url, info.token) as client:
        for request in _TAKES:
            values = {k: str(v) if isinstance(v, Path) else v for k, v in request.items()}
            job = await client.submit(values)
            async for event in client.events(job):
                if event["event"] == "failed":
                    raise RuntimeError(f"{values['task']}: {event['message']}")
        for take, rating in _RATINGS.items():
            await client.request("rate", take=take, **rating)


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as made:
        browser = made.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--mute-audio"]
        )
        try:
            yield browser
        finally:
            browser.close()


def _picture(
    browser: Any, info: ServerInfo, path: Path, size: tuple[int, int], pose: Callable[[Any], None]
) -> None:
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(page_address(info))
    page.locator("#engine[data-light=good]").wait_for()
    page.locator("#save a").wait_for(state="attached")
    pose(page)
    page.wait_for_load_state("networkidle")
    page.evaluate("document.activeElement.blur()")
    shot = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    page.close()
    # A palette makes a quarter of it, and a dark page has few colours.
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        raise RuntimeError(f"{path.name} has {path.stat().st_size} bytes")
    print(f"{path.name}: {path.stat().st_size} bytes")


def _choose(page: Any, take: str) -> None:
    page.locator(f"#choose-{take}").evaluate("button => button.click()")
    page.locator("#save .path").get_by_text(f"{take}/").first.wait_for(state="attached")


def _fill(page: Any, name: str, value: str) -> None:
    page.locator(f'[data-field="{name}"] input').first.fill(value)


def _wide(page: Any) -> None:
    """Two takes beside each other, one at work, a loop across the seam."""
    _choose(page, "t-0005")
    page.get_by_role("button", name="Compare with t-0004 on B").click()
    page.locator("#picture-b").wait_for()
    _fill(page, "source", str(CLIPS / "drums.flac"))
    for name, value in (("bars", "4"), ("bpm", "126"), ("prompt", "tight funk drums")):
        _fill(page, name, value)
    page.locator("#more summary").click()
    for name, value in (("refine", "400"), ("takes", "2")):
        _fill(page, name, value)
    page.locator('[data-field="method"] select').select_option("ditto")
    page.locator("#send").click()
    page.locator("#more summary").click()
    page.locator(".job canvas").wait_for()
    page.get_by_text("step 12 of").wait_for()
    page.locator("#make").evaluate("make => make.scrollTo(0, 0)")
    page.locator("#wave-a").click(position={"x": 300, "y": 60})
    _fill(page, "source", "drums.flac")


def _middle(page: Any) -> None:
    """A region replaced, intensity drawn by hand and structure as blocks."""
    _cancel_all(page)
    _choose(page, "t-0002")
    page.locator('[data-task="generate"]').click()
    for name, value in (("seconds", "12"), ("prompt", "slow ambient, strings")):
        _fill(page, name, value)
    page.locator("#Draw summary").click()
    page.get_by_role("button", name="Draw: open the editor").click()
    _fill(page, "intensity", "0:-36,3:-24,5.5:-28,9:-12,12:-20")
    page.get_by_role("button", name="Blocks: open the editor").click()
    _fill(page, "structure", "A4 B4 A4 C2 A4")


def _cancel_all(page: Any) -> None:
    while (job := page.get_by_role("button", name="Cancel j-").first).count():
        known = page.locator(".job[data-state=cancelled]").count()
        job.click()
        page.locator(".job[data-state=cancelled]").nth(known).wait_for()


def _narrow_listen(page: Any) -> None:
    _choose(page, "t-0005")
    page.locator("#loop").select_option("seam-0")


_TUNE = ((60, 0, 1), (64, 1, 0.5), (67, 1.5, 0.5), (72, 2, 1.5), (71, 3.5, 0.5), (69, 4, 1),
         (65, 5, 1), (67, 6, 2), (64, 8, 1), (67, 9, 0.5), (69, 9.5, 0.5), (71, 10, 1),
         (72, 11, 1), (67, 12, 1), (65, 13, 1), (64, 14, 0.5), (60, 15, 1))  # fmt: skip


def _narrow_make(page: Any) -> None:
    """A melody as a piano roll."""
    page.locator('.views [data-view="make"]').click()
    page.locator('[data-task="melody"]').click()
    page.get_by_role("button", name="Piano roll: open the editor").click()
    roll = page.locator("canvas.roll")
    roll.scroll_into_view_if_needed()
    box = roll.bounding_box()
    beat, row = (box["width"] - 30) / 16, box["height"] / 25
    for pitch, start, length in _TUNE:
        y = box["y"] + (24 - (pitch - 55) + 0.5) * row
        page.mouse.move(box["x"] + 30 + (start + 0.2) * beat, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 30 + (start + length - 0.2) * beat, y, steps=3)
        page.mouse.up()
    _fill(page, "bpm", "96")
    _fill(page, "prompt", "latin trio")


_POSES: tuple[tuple[str, tuple[int, int], Callable[[Any], None]], ...] = (
    ("1600", (1600, 950), _wide),
    ("900", (900, 1050), _middle),
    ("400", (400, 900), _narrow_listen),
    ("400-make", (400, 900), _narrow_make),
)

if __name__ == "__main__":
    main()
