"""The page of the analyses that had to be trained."""

from __future__ import annotations

from evaluation.store import Figures
from evaluation.verdicts import Told, number, percent, table

_METHOD = """\
The model has never met these analyses: they learn from pieces of numbers that the model's training
does not use, are tried on a second such range, and judge a third. A figure of theirs on generated
music means nothing without the same figure on real renders, which is always beside it.

- **Roles**: a convolutional network on log-mel pictures of three seconds, trained on random
  line-ups of stems with random tone and noise floor.
- **Tempo**: the product's estimator finds the pulse, and a small network that weighs how the music
  repeats at its multiples decides which of them is the beat. Free tempos make some of that
  undecidable: music at 65 bpm in sixteenths is music at 130 in eighths.
- **Embedding** for the Fréchet distance, per three-second patch: the leading principal components
  of what the role network has before its last layer, and as many of plain statistics (spectrum and
  its movement, purity and restlessness of the chroma, strength, suddenness and regularity of
  onsets). Each half has a total variance of 1 on music of the analyses' split. The network hears
  instruments and does not mind artefacts, the statistics mind artefacts and know no instruments.
"""


def tell(figures: Figures) -> Told:
    """The trial, and the distances whose order is known beforehand."""
    trial = figures["trial"]
    roles = table(
        ["", *trial["auc"], "tempo right", "the pulse alone"],
        [
            [
                "on their own test split",
                *trial["auc"].values(),
                percent(trial["tempo_right"]),
                percent(trial["pulse_right"]),
            ]
        ],
    )
    distances = table(
        ["half of the held-out renders, against", "Fréchet distance"],
        [[name, value] for name, value in figures["distances"].items()],
    )
    floor = figures["distances"]["the other half"]
    shuffled = figures["distances"]["the other half, shuffled"]
    return Told(
        [
            _METHOD,
            f"Trained on {trial['pieces']} pieces, tried on {trial['patches']} patches (area under "
            f"the ROC curve by role) and on {trial['sounds']} mixes of eight seconds (tempo).",
            "",
            *roles,
            f"Does the distance separate? {figures['pieces']} renders of six seconds in two halves "
            f"({figures['points']} points each, {figures['dimensions']} dimensions): the other "
            f"half, which is music of the same kind, is at {number(floor)}, and the same music in "
            f"random order at {number(shuffled)}. What lies near the first is as good as real.",
            "",
            *distances,
        ],
        [],
    )
