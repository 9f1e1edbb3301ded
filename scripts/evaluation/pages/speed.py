"""The page of times and sizes."""

from __future__ import annotations

from statistics import median

from evaluation.store import Figures
from evaluation.verdicts import Told, Verdict, number, table

LIMITS_S = {2: 1.0, 8: 2.5}
SHORT_S, LONG_S, LONGER = 6.0, 30.0, 5.0
LIMIT_MB = 32.0
CALLED = {"default": "default variation", "noise": "variation 1"}


def tell(figures: Figures) -> Told:
    """Medians of the drafts, and the size of the weights."""
    times_s = {
        (row["variation"], row["steps"], row["length_s"]): median(row["times_s"])
        for row in figures["rows"]
    }
    verdicts = []
    for name, called in CALLED.items():
        for steps, limit_s in LIMITS_S.items():
            short, long = times_s[name, steps, SHORT_S], times_s[name, steps, LONG_S]
            what = f"{{}}-second draft, {steps} steps, {called}"
            verdicts.append(Verdict(what.format(6), short, limit_s, "s"))
            verdicts.append(Verdict(what.format(30), long, LONGER * limit_s, "s"))
            verdicts.append(
                Verdict(f"30 over 6 seconds, {steps} steps, {called}", long / short, LONGER)
            )
    megabytes = figures["weights_bytes"] / 1e6
    verdicts.append(Verdict("all weights", megabytes, LIMIT_MB, "MB", strict=True))
    runs = len(figures["rows"][0]["times_s"])
    rows = [
        [f"{CALLED[row['variation']]}, {row['steps']} steps, {row['length_s']:g} s",
         median(row["times_s"]), min(row["times_s"]), max(row["times_s"])]
        for row in figures["rows"]
    ]  # fmt: skip
    return Told(
        [
            "From the request (a piece from words) to the draft's audio, composed, sampled, "
            "decoded and in stereo; the engine warm and its allocator set as in the daemon's "
            f"engine process, on {figures['threads']} threads of {figures['cores']} cores, "
            f"{runs} of each. The load average when they ended was {number(figures['load'])} (1 is "
            "one busy core, and what else runs slows this).",
            "",
            *table(["", "median (s)", "smallest", "largest"], rows),
            f"Weights: {megabytes:.1f} MB.",
            "",
        ],
        verdicts,
    )
