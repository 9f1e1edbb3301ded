"""The page of accompaniments."""

from __future__ import annotations

from evaluation.pages.text import WAYS
from evaluation.store import Figures
from evaluation.verdicts import Told, Verdict, percent, scaled, table

LIMIT = 0.7


def tell(figures: Figures) -> Told:
    """Accuracy of the melody."""
    means, medians = figures["mean"], figures["median"]
    titles = {**WAYS, "unrelated": "real renders against another melody in their key"}
    lines = [
        f"{figures['pieces']} held-out pieces with a lead: their lead as a MIDI file, with style, "
        "tempo, key and roles. Share of frames whose strongest pitch class above middle C is the "
        "melody's (constant-Q chroma); nothing is optimised for it (`refine` 0), so this is what "
        "the model itself makes of the melody it is told.",
        "",
        *table(
            ["", "mean", "median"],
            [[title, percent(means[name]), percent(medians[name])]
             for name, title in titles.items()],
        ),
    ]  # fmt: skip
    limit = scaled(means["real"], LIMIT)
    return Told(
        lines,
        [
            Verdict(
                f"melody accuracy, {called}", means[name], limit, "%", True, ceiling=means["real"]
            )
            for name, called in (("default", "default variation"), ("noise", "variation 1"))
        ],
    )
