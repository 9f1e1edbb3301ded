"""Plays a DAW against the daemon over the real wire and leaves a page to look at and listen to.

./scripts/demo [CLIP.wav] [--short] [--out DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from _daemon import Daemon, OscDaw, running_daemon  # noqa: E402
from _demo_page import Played, page, worst_light  # noqa: E402
from _demo_plan import Plan, Step, own_plan, shipped_plan  # noqa: E402
from _demo_play import Heard, play_over_osc, play_over_websocket  # noqa: E402

from daw_bridge import __version__  # noqa: E402
from daw_bridge.commands.console import Console, table  # noqa: E402
from daw_bridge.commands.plot import draw  # noqa: E402
from daw_bridge.commands.result import Finished  # noqa: E402
from engine.spec import BridgeError  # noqa: E402

ENGINE_TIMEOUT_S = 180.0
_POLL_S = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; 0 when everything came back as it should."""
    options = _parse(arguments)
    if options.clip is not None and not options.clip.is_file():
        print(f"demo: there is no file {str(options.clip)!r}", file=sys.stderr)
        return 2
    plan = own_plan(options.clip.resolve(), options.short) if options.clip else shipped_plan(
        options.short
    )  # fmt: skip
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    roots = os.pathsep.join(map(str, plan.roots))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="daw-bridge-demo-") as scratch,
            running_daemon(Path(scratch), "--roots", roots) as daemon,
        ):
            played, about = _play(plan, daemon, out)
    except (BridgeError, RuntimeError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    (out / "index.html").write_text(page(played, about), encoding="utf-8")
    print("\n".join(table(_rows(played))))
    print(f"\nLook and listen: {out / 'index.html'}")
    faults = [text for step, item in zip(plan.steps, played, strict=True)
              for text in faults_of(step, item)]  # fmt: skip
    for fault in faults:
        print(f"not as it should be: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="extend this clip instead of ours")
    parser.add_argument("--short", action="store_true", help="little refinement, for quick checks")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder of the results")
    return parser.parse_args(arguments)


def _play(plan: Plan, daemon: Daemon, out: Path) -> tuple[list[Played], dict[str, str]]:
    """Play every step; what came of them, and some facts for the page."""
    console = Console(as_json=False)
    with closing(OscDaw(daemon.info)) as daw:
        ready_s = _wait_for_engine(daw)
        console.note(
            f"daemon up after {daemon.started_s:.2f} s, engine ready after {ready_s:.1f} s more"
        )
        played = []
        for number, step in enumerate(plan.steps, 1):
            if step.via == "OSC":
                heard = play_over_osc(daw, step, console.progress)
            else:
                heard = play_over_websocket(daemon.info, step, console.progress)
            console.note(f"{heard.total_s:6.1f} s  {step.title}: {heard.outcome} {heard.error}")
            played.append(_keep(f"{number:02d}-{step.name}", step, heard, out))
    devices = {item.report["device"] for item in played if "device" in item.report}
    return played, {
        "Version": __version__,
        "Rendered on": ", ".join(sorted(devices)) or "–",
        "Machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "torch": version("torch"),
        "Daemon up after": f"{daemon.started_s:.2f} s",
        "Engine ready after": f"{ready_s:.1f} s more",
    }


def _wait_for_engine(daw: OscDaw) -> float:
    """Ask over OSC until the engine is ready; how long that took in seconds."""
    begun_s = time.perf_counter()
    while (waited_s := time.perf_counter() - begun_s) < ENGINE_TIMEOUT_S:
        (status,) = daw.ask("status", 10.0)
        if status.fields["engine"] == "ready":
            return waited_s
        if status.fields["engine"] == "broken":
            break
        time.sleep(_POLL_S)
    raise BridgeError("unavailable", "the engine does not start", "daw-bridge doctor")


def _keep(name: str, step: Step, heard: Heard, out: Path) -> Played:
    """Copy what came back beside the page."""
    files: dict[str, Any] = {}
    if heard.path:
        files["audio"] = f"{name}.wav"
        shutil.copyfile(heard.path, out / files["audio"])
        files["report_file"] = f"{name}.json"
        shutil.copyfile(Path(heard.path).with_name("report.json"), out / files["report_file"])
        files["plot"] = f"{name}.png"
        finished = Finished(heard.take, Path(heard.path), [], heard.report, heard.recipe)
        draw(finished, out / files["plot"])
    if step.source is not None:
        files["source"] = f"source-{step.source.name}"
        shutil.copyfile(step.source, out / files["source"])
    return Played(
        title=step.title,
        via=step.via,
        asked={"task": step.task} | {k: getattr(v, "name", v) for k, v in step.values.items()},
        outcome=heard.outcome,
        total_s=heard.total_s,
        previews_s=heard.previews_s,
        report=heard.report,
        note=_note(step, heard),
        repeats=step.task == "loop",
        **files,
    )


def _note(step: Step, heard: Heard) -> str:
    parts = [step.note]
    if heard.cancel_s is not None:
        parts.append(f"It stopped {heard.cancel_s:.2f} s after it was asked to.")
    if heard.streamed_equal is not None:
        equal = "equal" if heard.streamed_equal else "NOT EQUAL"
        parts.append(f"Streamed back as well: {equal} to the file.")
    if heard.error:
        parts.append(heard.error)
    return " ".join(part for part in parts if part)


def faults_of(step: Step, item: Played) -> list[str]:
    """What did not come of a step though it should have."""
    wanted = "cancelled" if step.cancelled else "done"
    if item.outcome != wanted:
        return [f"{step.title}: {item.outcome or 'no answer'}, not {wanted}. {item.note}"]
    faults = []
    if item.report.get("length_error_samples", 0) != 0:
        faults.append(f"{step.title}: {item.report['length_error_samples']} samples off")
    if item.report.get("source_samples_identical") is False:
        faults.append(f"{step.title}: the source was changed")
    if step.repeats and item.cache != "hit":
        faults.append(f"{step.title}: cache {item.cache or 'unknown'}, not hit")
    if "NOT EQUAL" in item.note:
        faults.append(f"{step.title}: the streamed audio differs from the file")
    return faults


def _rows(played: list[Played]) -> list[list[str]]:
    rows = [["what", "over", "outcome", "first heard", "finished", "cache", "seams"]]
    for item in played:
        first = f"{item.previews_s[0]:.1f} s" if item.previews_s else "–"
        seams = worst_light(item.report) if item.report.get("seams") else "–"
        rows.append(
            [item.title, item.via, item.outcome, first, f"{item.total_s:.2f} s",
             item.cache or "–", seams]
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
