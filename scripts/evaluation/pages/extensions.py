"""The page of continuations."""

from __future__ import annotations

from statistics import median
from typing import Any

from evaluation.store import Figures
from evaluation.verdicts import Cell, Told, Verdict, number, percent, table

LIMIT_TEMPO_PERCENT, LIMIT_LEVEL_DB = 3.0, 6.0
LIMIT_OF_SHUFFLED, NEAR = 0.5, 1.5
WAYS = {
    "truth": "what really follows",
    "model": "the model",
    "repeat": "repeat the last bar",
    "shuffled": "shuffled clips: the source in random quarter seconds",
    "exchanged": "what follows another clip",
    "silence": "silence",
}
_METHOD = f"""\
Six seconds are added to each. Three Fréchet distances to what really follows, each over all patches
of all continuations:

- **music**: of where the continuations lie;
- **fit**: of how they differ from the middle of their own source, so music of another clip is far;
- **variety**: of how they differ, patch by patch, from a verbatim repeat of the last bar. A repeat
  does not differ at all, music does, and noise differs too much.

Beside them the mean distance to the source and to the repeat, in units of the embedding. "Near on
fit" means at most {NEAR:g} times the distance of the repeated bar. Level: every second of the new
audio against the whole source. Tempo: the one near the source's that the onsets keep.
"""


def collapsed(gaps_db: list[list[float]]) -> list[int]:
    """For each continuation, how many of its seconds are more than 6 dB off the source's level."""
    return [sum(abs(gap) > LIMIT_LEVEL_DB for gap in gaps) for gaps in gaps_db]


def _set(title: str, said: str, figures: dict[str, Any]) -> tuple[list[str], list[Verdict]]:
    errors = {
        name: [error for error in values if error is not None]
        for name, values in figures["tempo_errors_percent"].items()
    }
    lost = {name: collapsed(gaps) for name, gaps in figures["level_gaps_db"].items()}
    distances = figures["distances"]
    rows = []
    for name in ("truth", "model"):
        late = sum(error > LIMIT_TEMPO_PERCENT for error in errors[name])
        kept = percent(sum(not count for count in lost[name]) / len(lost[name]))
        middle = median(errors[name]) if errors[name] else None
        rows.append([WAYS[name], len(errors[name]), middle, max(errors[name], default=None),
                     late, kept, sum(lost[name])])  # fmt: skip
    lines = [
        f"### {title}",
        "",
        *table(["", "music", "fit", "variety", "from the source", "from the repeat"],
               [_distances_of(name, values) for name, values in distances.items()]),
        *table(["", "with a beat", "tempo error, median (%)", "largest (%)", "over 3 %",
                "within ±6 dB throughout", "seconds beyond"], rows),
    ]  # fmt: skip
    late_names = _names_beyond(figures, "model")
    if late_names:
        lines += [f"Tempo over the limit: {late_names}.", ""]
    return lines, _verdicts(said, errors, lost, distances)


def _distances_of(name: str, values: dict[str, float]) -> list[Cell]:
    kinds = ("music", "fit", "variety")
    apart = [None if name == "truth" else values[kind] for kind in kinds]
    return [WAYS[name], *apart, values["from_source"], values["from_repeat"]]


def _names_beyond(figures: dict[str, Any], way: str) -> str:
    named = zip(figures["cases"], figures["tempo_errors_percent"][way], strict=True)
    return "; ".join(
        f"{name} ({number(error)} %)"
        for name, error in named
        if error is not None and error > LIMIT_TEMPO_PERCENT
    )


def _verdicts(
    said: str,
    errors: dict[str, list[float]],
    lost: dict[str, list[int]],
    distances: dict[str, dict[str, float]],
) -> list[Verdict]:
    model, repeat = distances["model"], distances["repeat"]
    shuffled, exchanged = distances["shuffled"], distances["exchanged"]
    return [
        Verdict(f"tempo error (%), largest, {said}", max(errors["model"], default=None),
                LIMIT_TEMPO_PERCENT, strict=True, ceiling=max(errors["truth"], default=None)),
        Verdict(f"Fréchet distance: music, half of shuffled clips, {said}", model["music"],
                LIMIT_OF_SHUFFLED * shuffled["music"]),
        Verdict(f"Fréchet distance: fit, half of what follows another clip, {said}", model["fit"],
                LIMIT_OF_SHUFFLED * exchanged["fit"]),
        Verdict(f"Fréchet distance: variety, below the repeated bar, {said}", model["variety"],
                repeat["variety"], strict=True),
        Verdict(f"Fréchet distance: fit, near the repeated bar, {said}", model["fit"],
                NEAR * repeat["fit"]),
        Verdict(f"seconds beyond ±6 dB of the source, {said}", float(sum(lost["model"])), 0.0,
                ceiling=float(sum(lost["truth"]))),
    ]  # fmt: skip


def tell(figures: Figures) -> Told:
    """Both sets."""
    lines, verdicts = [_METHOD], []
    count = len(figures["renders"]["cases"])
    told, judged = _set(
        f"{count} held-out renders at variation 1",
        "renders at variation 1",
        figures["renders"],
    )
    lines += told
    verdicts += judged
    lines += ["![held-out renders: what follows, and the model's continuation]"
              "(pictures/model-extensions.png)", ""]  # fmt: skip
    real = figures["recordings"]
    if real is None:
        lines += ["### Real recordings", "", "Skipped: the folder holds none "
                  "(install Debian's `sonic-pi-samples`).", ""]  # fmt: skip
        return Told(lines, verdicts)
    title = f"{len(real['cases'])} real loops at the default variation"
    told, judged = _set(title, "loops at default", real)
    lines += [*told, "What follows a loop is the loop. ![real loops, and the model's continuation]"
              "(pictures/model-recordings.png)", ""]  # fmt: skip
    return Told(lines, verdicts + judged)
