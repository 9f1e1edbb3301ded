"""What every section is handed: the engine, the analyses, how much to measure, where things lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from engine.pipeline import Engine
from engine.render.plot import Panel, plot_grid
from evaluation.judges import Judges, load_judges
from evaluation.material import RATE_HZ
from evaluation.measures import Audio

PICTURE_SEED = 2_026
PICTURED = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of what are measured."""

    codec_pieces: int
    codec_recordings: int
    crowd: int
    texts: int
    melodies: int
    extensions: int
    recordings: int
    stems: int
    backings: int
    speed_runs: int

    def share(self, part: int) -> Plan:
        """One in `part` of the items, at least two of each kind."""
        counts = (getattr(self, item.name) for item in fields(self))
        return Plan(*(max(2, round(count / part)) for count in counts))


# A share of 96 pieces has a standard error of 4 points; of 32 it has 7, by which two sets of
# weights cannot be told apart. The tune in a backing is a matter of few points, too.
FULL = Plan(24, 17, 48, 96, 20, 50, 15, 8, 64, 3)
QUICK_NOTE = "A quick run: a few items of each kind, good for nothing but a first look."
QUICK = Plan(2, 2, 8, 4, 2, 3, 2, 1, 2, 1)


@dataclass
class Bench:
    """What a section works with; the engine and the analyses are made when first asked for."""

    plan: Plan
    weights: Path
    recordings: Path
    pictures: Path
    cache: Path
    say: Callable[[str], None]
    make_engine: Callable[[], Engine] = field(repr=False)

    @cached_property
    def engine(self) -> Engine:
        """The engine with the weights to measure."""
        return self.make_engine()

    @cached_property
    def judges(self) -> Judges:
        """The trained analyses."""
        return load_judges(self.cache, self.say)

    def draw(
        self, name: str, rows: Sequence[Sequence[tuple[str, Audio]]], seams: bool = False
    ) -> None:
        """Draw titled sounds `[2, samples]` in rows as `model-NAME.png`."""
        self.pictures.mkdir(parents=True, exist_ok=True)
        panels = [[Panel(title, audio, RATE_HZ) for title, audio in row] for row in rows]
        plot_grid(self.pictures / f"model-{name}.png", panels)


def pictured(count: int) -> list[int]:
    """Which of `count` items are shown: three, drawn by a seed and not by their looks."""
    drawn = np.random.default_rng(PICTURE_SEED).permutation(count)
    return sorted(int(index) for index in drawn[:PICTURED])
