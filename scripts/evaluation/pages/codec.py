"""The codec's page."""

from __future__ import annotations

from statistics import mean, median

from evaluation.store import Figures
from evaluation.verdicts import Cell, Told, Verdict, number, table

LIMIT_RENDERS, LIMIT_RECORDINGS = 0.04, 0.05
LIMIT_CHANNELS, LIMIT_STEPS_HZ = 128, 43.07
_METHOD = """\
Round trip: `encode`, then `decode` with nothing to lean on (no guide, no model). Error: mean
|Δ log10 mel| over channels, bands and frames: 128 triangular mel bands of unit peak (Slaney's
scale) of the magnitudes (power 1) of an STFT 2048/512 whose Hann window is normalised to sum 1,
floored at 1e-4. 0.05 is a mean deviation of 1 dB. Both channels count, so lost stereo is an error.
What else was tried, each with its figure on other stretches, is in [codec.md](codec.md).
"""


def _row(name: str, figures: Figures | None) -> list[Cell]:
    if figures is None:
        return [name, *["–"] * 6]
    errors = figures["errors"]
    worst = figures["names"][errors.index(max(errors))]
    return [
        name,
        len(errors),
        mean(errors),
        median(errors),
        f"{number(max(errors))} ({worst})",
        median(figures["level_changes_db"]),
        figures["spent_s"] / figures["seconds"],
    ]


def tell(figures: Figures) -> Told:
    """Errors of renders and recordings."""
    renders, real = figures["renders"], figures["recordings"]
    lines = [
        _METHOD,
        *table(
            ["", "items", "mean", "median", "largest", "level change (dB)", "s per s of audio"],
            [_row("held-out renders", renders), _row("real recordings", real)],
        ),
    ]
    if real is None:
        lines += ["Real recordings: skipped, the folder holds none "
                  "(install Debian's `sonic-pi-samples`).", ""]  # fmt: skip
    rate = figures["channels"] * figures["steps_hz"]
    lines += [
        f"The latent has {figures['channels']} values {figures['steps_hz']:.2f} times a second, "
        f"{rate:.0f} values a second.",
        "",
        "![music and its round trip, drawn by a seed](pictures/model-codec.png)",
        "",
    ]
    error = "codec error (mean abs. Δ log10 mel)"
    return Told(
        lines,
        [
            Verdict(f"{error}, real recordings", real and mean(real["errors"]), LIMIT_RECORDINGS),
            Verdict(f"{error}, held-out renders", mean(renders["errors"]), LIMIT_RENDERS),
            Verdict("values a second of the latent", rate, LIMIT_CHANNELS * LIMIT_STEPS_HZ),
        ],
    )
