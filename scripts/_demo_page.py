"""The page the demonstration leaves behind: what was asked, heard and measured. Pure text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import quote

# (figure, what it says, good up to, usable up to): the limits the project holds itself to.
SEAM_LIMITS: tuple[tuple[str, str, float, float], ...] = (
    ("step_ratio", "click", 0.8, 1.2),
    ("flux_ratio", "cut", 1.0, 1.4),
    ("timbre_ratio", "colour", 1.0, 1.6),
)


@dataclass(frozen=True, slots=True)
class Played:
    """One request of the demonstration and what came of it.

    Attributes:
        via: the wire it went over.
        outcome: `done`, `cancelled` or `failed`.
        previews_s: when each preview arrived, counted from the request.
        total_s: when the job ended, counted from the request.
        source, audio, plot, report_file: paths relative to the page.
        note: what else is worth saying.
        repeats: whether the player plays it round and round.
    """

    title: str
    via: str
    asked: Mapping[str, Any]
    outcome: str
    total_s: float
    previews_s: Sequence[float] = ()
    source: str = ""
    audio: str = ""
    plot: str = ""
    report_file: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    repeats: bool = False

    @property
    def cache(self) -> str:
        """`hit`, `near`, `miss`, or nothing when the job did not finish."""
        return str(self.report.get("cache", ""))


def light(value: float | None, good: float, usable: float) -> str:
    """`good`, `fair`, `poor`, or `none` where nothing was measured."""
    if value is None:
        return "none"
    return "good" if value <= good else "fair" if value <= usable else "poor"


def worst_light(report: Mapping[str, Any]) -> str:
    """The worst light of all seams of a report."""
    order = ("none", "good", "fair", "poor")
    lights = [
        light(seam.get(name), good, usable)
        for seam in report.get("seams", ())
        for name, _, good, usable in SEAM_LIMITS
    ]
    return max(lights, key=order.index, default="none")


def page(played: Sequence[Played], about: Mapping[str, str]) -> str:
    """The whole document; works from a file, without a network."""
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in about.items()
    )
    cards = "\n".join(_card(item) for item in played)
    lights = " ".join(
        f'<span class="light {name}">{said}</span>'
        for name, said in (("good", "cannot be told"), ("fair", "usable"), ("poor", "can be heard"))
    )
    return _DOCUMENT.format(style=_STYLE, facts=facts, cards=cards, lights=lights)


def _card(item: Played) -> str:
    parts = [
        f'<article class="{escape(item.outcome)}"><header><h2>{escape(item.title)}</h2>'
        f"<p>{_badges(item)}</p></header>",
        f"<p class=note>{escape(item.note)}</p>" if item.note else "",
        _timeline(item),
        '<div class="players">',
        _player("Before", item.source),
        _player("After", item.audio, item.repeats),
        "</div>",
        f'<a href="{escape(quote(item.plot))}"><img src="{escape(quote(item.plot))}" loading=lazy '
        f'alt="Waveform and spectrogram of {escape(item.title)}"></a>'
        if item.plot
        else "",
        _figures(item.report),
        _details(item),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def _badges(item: Played) -> str:
    badges = [item.via, item.outcome]
    if item.cache:
        badges.append(f"cache {item.cache}")
    return " ".join(
        f'<span class="badge {escape(badge.split()[-1])}">{escape(badge)}</span>'
        for badge in badges
    )


def _player(label: str, path: str, repeats: bool = False) -> str:
    if not path:
        return ""
    loop = " loop" if repeats else ""
    return (
        f"<figure><figcaption>{label}</figcaption>"
        f'<audio controls{loop} preload="metadata" src="{escape(quote(path))}"></audio></figure>'
    )


def _timeline(item: Played) -> str:
    """Ticks where previews arrived, on a line as long as the job."""
    span_s = max(item.total_s, *item.previews_s, 1e-9)
    ticks = "".join(
        f'<i style="left:{at_s / span_s * 100:.1f}%" title="preview after {at_s:.2f} s"></i>'
        for at_s in item.previews_s
    )
    said = f"ended after {item.total_s:.2f} s"
    if item.previews_s:
        said = f"first preview after {item.previews_s[0]:.2f} s, {said}"
    return f"<div class=timeline><div class=line>{ticks}</div><small>{said}</small></div>"


def _figures(report: Mapping[str, Any]) -> str:
    rows = [_seam_row(number, seam) for number, seam in enumerate(report.get("seams", ()), 1)]
    rows += _plain_rows(report)
    return f"<table class=figures>{''.join(rows)}</table>" if rows else ""


def _seam_row(number: int, seam: Mapping[str, Any]) -> str:
    cells = []
    for name, label, good, usable in SEAM_LIMITS:
        value = seam.get(name)
        shown = "–" if value is None else f"{value:.2f}"
        cells.append(
            f'<span class="light {light(value, good, usable)}" title="{name}: good up to {good}, '
            f'usable up to {usable}">{label} {shown}</span>'
        )
    at = seam.get("at_sample")
    where = "" if at is None else f" <small>at sample {at:,}</small>"
    return f"<tr><th>Seam {number}{where}</th><td>{''.join(cells)}</td></tr>"


def _plain_rows(report: Mapping[str, Any]) -> list[str]:
    rows = []
    if "length_samples" in report:
        error = report.get("length_error_samples", 0)
        exact = "exact to the sample" if error == 0 else f"off by {error} samples"
        rows.append(("Length", f"{report['length_samples']:,} samples, {exact}"))
    if report.get("source_samples_identical") is not None:
        kept = report["source_samples_identical"]
        rows.append(("Source", "bit-identical outside the crossfade" if kept else "CHANGED"))
    grid = report.get("grid") or {}
    if grid.get("bpm"):
        rows.append(("Grid", f"{grid['bpm']:g} bpm, {grid.get('metre', '')}"))
    if report.get("melody_accuracy") is not None:
        rows.append(("Melody", f"{report['melody_accuracy']:.0%} of the melody's pitches heard"))
    return [
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows
    ]


def _details(item: Played) -> str:
    asked = json.dumps(dict(item.asked), ensure_ascii=False)
    link = f' · <a href="{escape(quote(item.report_file))}">report</a>' if item.report_file else ""
    return f"<details><summary>Request{link}</summary><code>{escape(asked)}</code></details>"


_DOCUMENT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>daw-bridge: what came back</title>
<style>{style}</style>
<body><main>
<header class="top"><h1>daw-bridge</h1><p>What was asked over the wire, and what came back.</p>
<dl>{facts}</dl>
<p class="legend">Seams, against what happens within the music itself: a
<b>click</b> (the largest step between samples), a <b>cut</b> (energy that appears from nowhere),
a change of <b>colour</b>. {lights}</p></header>
{cards}
</main></body></html>
"""

_STYLE = """
:root { color-scheme: dark; --bg: #0e1014; --card: #171a21; --line: #2a2f3a; --text: #e7e9ee;
  --dim: #98a0b0; --accent: #7cc4ff; --good: #4fd18b; --fair: #f2c14e; --poor: #ff6b6b; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
.top h1 { margin: 0; font-size: 2.4rem; letter-spacing: -.02em; }
.top p { margin: .25rem 0 1.5rem; color: var(--dim); } .top b { color: var(--text); }
dl { display: flex; flex-wrap: wrap; gap: .75rem 2rem; margin: 0 0 2rem; }
dt { color: var(--dim); font-size: .8rem; } dd { margin: 0; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 1.5rem; margin: 0 0 1.5rem; }
article header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .5rem 1rem;
  align-items: baseline; }
h2 { margin: 0; font-size: 1.25rem; } header p { margin: 0; }
.note { color: var(--dim); margin: .25rem 0 0; }
.badge { border: 1px solid var(--line); border-radius: 99px; padding: .1rem .7rem;
  font-size: .8rem; color: var(--dim); }
.badge.done, .badge.hit { color: var(--good); border-color: currentColor; }
.badge.cancelled { color: var(--fair); border-color: currentColor; }
.badge.failed { color: var(--poor); border-color: currentColor; }
.timeline { margin: 1.25rem 0 .75rem; } .timeline small, th small { color: var(--dim); }
.line { position: relative; height: 6px; border-radius: 3px; margin-bottom: .4rem;
  background: linear-gradient(90deg, #24405a, var(--accent)); }
.line i { position: absolute; top: -4px; width: 3px; height: 14px; margin-left: -1px;
  border-radius: 2px; background: #fff; }
.players { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
figure { margin: .5rem 0; } figcaption { color: var(--dim); font-size: .85rem; }
audio { width: 100%; } img { width: 100%; border-radius: 8px; margin-top: .75rem; display: block; }
.figures { width: 100%; border-collapse: collapse; margin-top: 1rem; font-size: .92rem; }
.figures th { text-align: left; font-weight: 500; padding: .35rem 1rem .35rem 0;
  white-space: nowrap; vertical-align: top; width: 1%; }
.figures tr + tr { border-top: 1px solid var(--line); }
.light { display: inline-block; margin-right: 1.25rem; white-space: nowrap; }
.light::before { content: ""; display: inline-block; width: .65em; height: .65em;
  border-radius: 50%; margin-right: .45em; background: var(--dim); }
.light.good::before { background: var(--good); box-shadow: 0 0 8px var(--good); }
.light.fair::before { background: var(--fair); box-shadow: 0 0 8px var(--fair); }
.light.poor::before { background: var(--poor); box-shadow: 0 0 8px var(--poor); }
details { margin-top: 1rem; color: var(--dim); font-size: .9rem; }
summary { cursor: pointer; } code { display: block; margin-top: .5rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
"""
