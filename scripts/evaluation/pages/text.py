"""The page of pieces from words."""

from __future__ import annotations

from typing import Any

from evaluation.store import Figures
from evaluation.verdicts import Cell, Told, Verdict, percent, scaled, table

WAYS = {
    "real": "real renders (the ceiling)",
    "codec": "real renders through the codec",
    "sketch": "variation 0: the sketch alone, no model",
    "default": "default variation: the model on the sketch",
    "noise": "variation 1: the model from pure noise",
}
LIMIT_TEMPO, LIMIT_ONSETS_MS, LIMIT_KEY, LIMIT_ROLES = 0.9, 15.0, 0.8, 0.95


def _adherence(name: str, found: dict[str, Any]) -> list[Cell]:
    return [
        name,
        *(percent(found[f"tempo_{kind}"]) for kind in ("right", "double", "half", "other")),
        percent(found["usual_right"]),
        found["onsets_ms"],
        percent(found["key_right"]),
        found["roles_auc"],
    ]


def _verdicts(adherence: dict[str, dict[str, Any]], way: str, called: str) -> list[Verdict]:
    found, ceiling = adherence[way], adherence["real"]
    return [
        Verdict(f"tempo within 2 %, {called}", found["tempo_right"], LIMIT_TEMPO, "%", True,
                ceiling=ceiling["tempo_right"]),
        Verdict(f"onsets off the grid, median, {called}", found["onsets_ms"], LIMIT_ONSETS_MS,
                "ms", strict=True, ceiling=ceiling["onsets_ms"]),
        Verdict(f"key as asked, {called}", found["key_right"],
                scaled(ceiling["key_right"], LIMIT_KEY), "%", True,
                ceiling=ceiling["key_right"]),
        Verdict(f"roles as asked (AUC), {called}", found["roles_auc"], LIMIT_ROLES, "", True,
                ceiling=ceiling["roles_auc"]),
    ]  # fmt: skip


def tell(figures: Figures) -> Told:
    """Adherence and distances."""
    adherence = figures["adherence"]
    keys, usual = (adherence["real"][name] for name in ("keys_known", "usual_known"))
    lines = [
        f"{figures['pieces']} held-out pieces (eight seconds each, from the bar with the clearest "
        "line-up) are turned into requests of style, tempo, metre, key and roles, and rendered as "
        "drafts. The same analyses hear the pieces themselves. Tempo counts as right within 2 %, "
        f"of all and of the {usual} pieces whose tempo is usual for their style (the others have "
        "any, which can often as well be counted twice as fast or slow); onsets are held against "
        "the nearest sixteenth of the tempo asked, swing included (their random median would be a "
        "quarter of a sixteenth); the key has to have the tonic and the "
        f"mode's family ({keys} pieces have chords or a lead); roles are judged by how well the "
        "role network's score tells what was asked for from what was not.",
        "",
        *table(
            [
                "",
                "tempo right",
                "double",
                "half",
                "other",
                "right, usual tempos",
                "onsets (ms)",
                "key",
                "roles (AUC)",
            ],
            [_adherence(title, adherence[name]) for name, title in WAYS.items()],
        ),
        "Fréchet distance to those renders. What needs no model is made of other real renders, "
        "whose own distance is what music of other requests comes to:",
        "",
        *table(
            ["", "distance"],
            [[WAYS.get(name, name), value] for name, value in figures["distances"].items()],
        ),
        "![real renders and pieces from words, drawn by a seed](pictures/model-text.png)",
        "",
    ]
    return Told(
        lines,
        [
            *_verdicts(adherence, "default", "default variation"),
            *_verdicts(adherence, "noise", "variation 1"),
        ],
    )
