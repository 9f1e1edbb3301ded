"""The whole document from what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.verdicts import number

from ditto_bench import tables
from ditto_bench.acceptance import Line, lines, summary
from ditto_bench.plan import CONTROLS, Extent
from ditto_bench.results import FEWEST_ITEMS, TOLERANCES, Found
from engine.models.house.model import weights_digest
from engine.optimise.methods import DITTO

_SECTIONS = (
    ("Outpainting, looping and inpainting (tables 1 and 2)", tables.painting),
    ("One control at a time (table 3)", tables.controls),
    ("DITTO and DOODL (table 5)", tables.efficiency),
    ("Rules of sampling (table 8)", tables.samplers),
    ("Two controls at once (table 9)", tables.together),
    ("Latency (table 11)", tables.latency),
    ("A changed curve from found noise", tables.reused),
)
_INTRODUCTION = """\
# Benchmarks

Written by `./scripts/bench_ditto`; nobody types these numbers. How fast the daemon answers is on
[another page](speed.md).

The methods of control on the embedded model: windows of 256 latent steps, 5.94 s, from pure noise.
On an item all methods have the same prompt (a style, a key and a tempo) and the same noise. The
model is told nothing of what is asked for but in the row of its own conditional sampling, which
has the kept audio, the melody's chroma and onsets, or the level. A number in brackets is how many
items a figure stands on. Published figures are of other models, other music and other machines;
they are beside ours to compare the methods with each other, not the models.
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page says of the run.

    Attributes:
        weights: digest of the weights.
        mean_level_db: what the curves lie around; None where nothing was measured yet.
        tunes: how many held-out tunes there are.
        machine: where it was measured.
        picture: of the losses, as the page links to it; None where there is none.
        note: said at the top.
    """

    weights: str
    mean_level_db: float | None
    tunes: int
    machine: Mapping[str, str]
    picture: str | None = None
    note: str = ""


def page(found: Found, facts: Facts) -> str:
    """The document."""
    judged = lines(found)
    text = [_INTRODUCTION]
    for note in (facts.note, weights_note(facts.weights)):
        if note:
            text += [f"**{note}**", ""]
    text += ["## What was asked for", "", summary(judged), "", *_judged(judged)]
    text += ["## How it was measured", "", *_how(found, facts), ""]
    if facts.picture:
        text += ["## Losses", "", _PICTURED, "", f"![losses]({facts.picture})", ""]
    for title, tell in _SECTIONS:
        text += [f"## {title}", "", *tell(found)]
    text += ["## Where", "", *(f"- {name}: {value}" for name, value in facts.machine.items()), ""]
    return "\n".join(text)


def weights_note(measured: str) -> str:
    """What the page says where other weights ship than those it was measured with.

    Args:
        measured: digest of the weights; empty is returned where it is that of those that ship.
    """
    return "" if measured == weights_digest() else _OTHER_WEIGHTS


_OTHER_WEIGHTS = (
    "Measured with other weights than those that ship, and to be measured again; the digest is at "
    "the end."
)
_PICTURED = (
    "One item of each control. A dot is what comes out: the best iterate, or the noise that the "
    "fast path has found, sampled in as many steps as serve it best. Dotted: where a run stops."
)


def _judged(judged: Sequence[Line]) -> list[str]:
    head = ["| line | measured | items | wanted | |", "|---|--:|--:|--:|---|"]
    return [*head, *(f"| {' | '.join(line.row())} |" for line in judged), ""]


def _how(found: Found, facts: Facts) -> list[str]:
    extent = found.extent
    level = "not measured yet"
    if facts.mean_level_db is not None:
        level = f"{number(facts.mean_level_db)} dBFS, the mean of the first held-out references"
    return [
        f"- Sampler: {extent.steps} steps of DDIM where nothing else is said.",
        f"- Iterations: {_iterations(extent)} The fast path has its own number, "
        f"{extent.iterations('fast', 'intensity')}. A run stops early at "
        f"{number(TOLERANCES['intensity'])} dB² of intensity, at "
        f"{number(TOLERANCES['melody'])} nats of melody and at {number(TOLERANCES['structure'])} "
        "of structure. Loss and result are those of the best iterate.",
        "- DITTO: as published, but that its result is drawn back to the draft with "
        f"{DITTO.proximity} of the length of the objective's own pull "
        "(`engine/optimise/regularisers.py`); rows of their own have it without.",
        "- Seconds: from the noise until the latent of the result is there; the decoder is counted "
        "where audio is said. The fast path hands its result over before it looks for the noise "
        "that stands for it, which only a later change of the wish begins with. So its seconds, "
        "the take's and the ratios to DITTO are without that; the section on latency has the "
        "noise's seconds in a line of their own and the ratios with them. Norm drift and changed "
        "curves are those of the noise found.",
        "- Overlap: references are held-out pieces, rendered (`scripts/training_pieces.py`), and "
        "the prompt is their own style, key and tempo. The loop maps a second of either edge to "
        "the opposite end. Seams are judged on the decoded window, spliced with a crossfade of "
        "20 ms; of two seams the rougher one counts. Naive and Guidance Gradients put the "
        "reference into the overlap themselves, so their loss there is 0 by construction.",
        "- Intensity: linear, tanh and cosine curves, each and its flip, by 6, 9, 12 and 15 dB up "
        f"and down around {level}. The check is the waveform's RMS over the whole window.",
        f"- Melody: {facts.tunes} public-domain tunes (`scripts/_tunes.py`), a fifth of the "
        "collection by the hashes of their names, cut to a window. Training does not leave them "
        "out, so weights that were trained with tunes may have met them in another arrangement; "
        "the model card says whether they were. The checks are a constant-Q chroma of the audio "
        "above middle C, and pYIN, which is meant for one voice and not for a band.",
        "- Structure: forms of three or four equal parts; the check takes thirteen cepstral "
        "coefficients of another mel scale from the audio.",
        "- Fréchet distance: the learned embedding of `scripts/evaluate_model` (instruments, sound "
        "and order of three-second patches, 24 dimensions), against other held-out pieces; left "
        f"out below {FEWEST_ITEMS} items. Few items make it larger: compare it only between "
        "methods with equally many. Standard errors of differences: jackknife over the items.",
        "- Two controls: DITTO's weights (appendix H). Memory: rise of the resident size over one "
        "iteration in a fresh process, with checkpointing.",
        "- Time of one method over another's: the processor's own seconds, of all cores together, "
        "so that other programs count little. All other seconds are those on the wall.",
        "- Changed curve: the same shape with its swing one step wider (the widest: narrower). "
        "Iterations count until the loss that the run from fresh noise reached, or 2 dB².",
        *_code(found),
    ]


def _iterations(extent: Extent) -> str:
    plain, slow = (extent.iterations("ditto", task) for task in ("intensity", "melody"))
    said = f"at most {plain}, and {slow} for melody and structure, of DITTO and DOODL"
    if extent.scale == 1.0:
        return f"{said}, as published."
    return f"{said}, which is {number(extent.scale)} of the published number."


def _code(found: Found) -> list[str]:
    states = {str(figures["code"]) for figures in found.figures.values() if "code" in figures}
    if len(states) < 2:
        return []
    return [f"- The engine's code changed in between: the results come from {len(states)} states."]


def items_said(found: Found) -> str:
    """How far the run has come, for the one who started it."""
    counts = [f"{task} {len(found.rows(task, 'ditto'))}" for task in ("outpaint-2", *CONTROLS)]
    return "items of DITTO so far: " + ", ".join(counts)
