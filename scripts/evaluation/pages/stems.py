"""The page of stems and backings."""

from __future__ import annotations

from typing import Any

from evaluation.store import Figures
from evaluation.verdicts import Cell, Told, Verdict, percent, table

LIMIT_RESIDUAL_DB, LIMIT_AUC, LEVEL_OF_UNRELATED = -60.0, 0.95, 0.05
CALLED = {"default": "default variation", "noise": "variation 1"}


def _stems(figures: dict[str, Any]) -> tuple[list[str], list[Verdict]]:
    if not figures["available"]:
        kinds = ("stems against the mix", "each stem is its role (AUC)")
        names = [f"{kind}, {called}" for called in CALLED.values() for kind in kinds]
        unknown = [Verdict(name, None, None) for name in names]
        return ["Stems: not available in this version of the engine.", ""], unknown
    rows: list[list[Cell]] = [
        ["real stems (the ceiling)", figures["real"]["stems"], figures["real"]["auc"], None]
    ]
    verdicts = []
    for name, called in CALLED.items():
        found = figures[name]
        rows.append([called, found["stems"], found["auc"], found["residual_db"]])
        verdicts += [
            Verdict(f"stems against the mix, {called}", found["residual_db"], LIMIT_RESIDUAL_DB,
                    "dB"),
            Verdict(f"each stem is its role (AUC), {called}", found["auc"], LIMIT_AUC, "", True,
                    ceiling=figures["real"]["auc"]),
        ]  # fmt: skip
    head = ["", "stems", "is its role (AUC)", "largest difference to the mix (dB)"]
    return table(head, rows), verdicts


def _backings(figures: dict[str, Any]) -> tuple[list[str], list[Verdict]]:
    titles = {
        "real": "real backings: the lead's stem left out",
        "sketch": "variation 0: the sketch alone, whose score has no lead",
        **CALLED,
    }
    rows = [
        [
            title,
            *(percent(figures[name][whose]) for whose in ("own", "unrelated")),
            _points(figures[name]["error"]),
        ]
        for name, title in titles.items()
    ]
    verdicts = []
    for name, called in CALLED.items():
        own, other = figures[name]["own"], figures[name]["unrelated"]
        limit = None if other is None else other + LEVEL_OF_UNRELATED
        real = figures["real"]["own"]
        verdicts.append(Verdict(f"melody in a backing, {called}", own, limit, "%", ceiling=real))
    head = ["", "the melody", "an unrelated melody in the key", "standard error of the difference"]
    return table(head, rows), verdicts


def _points(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} points"


def tell(figures: Figures) -> Told:
    """Stems, then backings."""
    stems, judged = _stems(figures["stems"])
    backings, also = _backings(figures["backings"])
    return Told(
        [
            f"Accompaniments to {figures['pieces']} held-out tunes with their stems: each stem is "
            "heard by the role network, and their sum is compared with the mix.",
            "",
            *stems,
            f"Backings to {figures['tunes']} tunes: all their roles but the lead. Share of frames "
            "whose strongest pitch class is the melody's, as for accompaniments. A harmony that "
            "fits the tune agrees with it more often than with another one, also in real backings "
            "and in sketches, where nobody plays it; the target allows "
            f"{100 * LEVEL_OF_UNRELATED:.0f} points above an unrelated melody.",
            "",
            *backings,
        ],
        judged + also,
    )
