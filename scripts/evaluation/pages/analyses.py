"""The page of the analyses that had to be trained."""

from __future__ import annotations

from evaluation.embedding import PARTS
from evaluation.store import Figures
from evaluation.verdicts import Told, number, percent, table

_METHOD = """\
The model has never met these analyses: they learn from pieces of numbers that the model's training
does not use, are tried on a second such range, and judge a third. A figure of theirs on generated
music means nothing without the same figure on real renders, which is always beside it.

- **Roles**: a convolutional network on log-mel pictures of three seconds, trained on random
  line-ups of stems with random tone and noise floor.
- **Tempo**: candidates are the tempos at which the onsets of eight bands repeat best, and two small
  convolutional networks on the music folded at each of them (onto a beat, two beats, a bar and two
  bars) choose. Free tempos make some of that undecidable: music at 65 bpm in sixteenths is music at
  130 in eighths.
- **Embedding** for the Fréchet distance, per three-second patch, in three parts: *instruments*,
  which is what the role network has before its last layer; *sound*, plain statistics of spectrum,
  chroma and onsets; *order*, how unlike moments of some distance are and where onsets repeat. Each
  part is reduced to as many principal components and has a total variance of 1 on music of the
  analyses' split. The network hears instruments and does not mind artefacts, the statistics mind
  artefacts and know no instruments, and only the order tells music from the same music shuffled.
"""


def tell(figures: Figures) -> Told:
    """The trial, and the distances whose order is known beforehand."""
    trial = figures["trial"]
    roles = table(
        ["", *trial["auc"], "tempo right", "usual tempos", "the product's own estimate"],
        [
            [
                "on their own test split",
                *trial["auc"].values(),
                percent(trial["tempo_right"]),
                percent(trial["usual_right"]),
                percent(trial["pulse_right"]),
            ]
        ],
    )
    distances = table(
        ["half of the held-out renders, against", "Fréchet distance", *PARTS],
        [
            [name, value, *(figures["by_part"][name][part] for part in PARTS)]
            for name, value in figures["distances"].items()
        ],
    )
    floor = figures["distances"]["the other half"]
    coded = figures["distances"]["the same half through the codec"]
    shuffled = figures["distances"]["the same half, shuffled"]
    return Told(
        [
            _METHOD,
            f"Trained on {trial['pieces']} pieces (tempo: {trial['tempo_pieces']}), tried on "
            f"{trial['patches']} patches (area under the ROC curve by role) and on "
            f"{trial['sounds']} mixes of eight seconds (tempo; that of {trial['usual_sounds']} is "
            "usual for their style).",
            "",
            *roles,
            f"Does the distance separate? {figures['pieces']} renders of six seconds in two halves "
            f"({figures['points']} points each, {figures['dimensions']} dimensions): the other "
            f"half, which is music of the same kind, is at {number(floor)} (so few pieces are not "
            f"alike), the same half through the codec at {number(coded)}, and the same half in "
            f"random order at {number(shuffled)}.",
            "",
            *distances,
        ],
        [],
    )
