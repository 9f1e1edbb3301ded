"""The grid of sixteenth notes: how metres divide, and how patterns are fitted to them."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

STEP_BEATS = 0.25


def bar_steps(metre: tuple[int, int]) -> int:
    """Sixteenth steps in a bar."""
    return metre[0] * 16 // metre[1]


def table_metre(metre: tuple[int, int]) -> str:
    """The tabled metre a metre is fitted from.

    9/8 and 12/8 count like 6/8; 7/8 and 5/4 have tables of their own; the rest counts like 4/4.
    """
    if metre[1] >= 8 and metre[0] % 3 == 0:
        return "6/8"
    if bar_steps(metre) in (6, 12):
        return "3/4"
    if bar_steps(metre) == 20 and metre[1] <= 4:
        return "5/4"
    if bar_steps(metre) == 14:
        return "7/8"
    return "4/4"


def pulses(metre: tuple[int, int]) -> tuple[int, ...]:
    """The bar as groups of sixteenth steps: 4/4 is 4+4+4+4, 6/8 is 6+6, 7/8 is 4+4+6."""
    beats, unit = metre
    steps = bar_steps(metre)
    if unit >= 8 and beats % 3 == 0:
        group = 3 * 16 // unit
        return (group,) * (beats // 3)
    if unit >= 8 and beats % 2 == 1 and beats > 3:
        pair = 2 * 16 // unit
        return (pair,) * ((beats - 3) // 2) + (3 * 16 // unit,)
    whole, rest = divmod(steps, 4)
    return (4,) * whole + ((rest,) if rest else ())


def split_steps(metre: tuple[int, int]) -> int:
    """The step of a bar's second strong place: a pulse at or just after the middle, else 0."""
    edges = list(accumulate(pulses(metre)))[:-1]
    middle = bar_steps(metre) / 2
    return min(edges, key=lambda edge: (abs(edge - middle), -edge)) if edges else 0


@lru_cache(maxsize=256)
def step_weights(metre: tuple[int, int]) -> tuple[float, ...]:
    """The metric weight of each step: 1 on the bar line, 0.8 in its middle, less between."""
    second = split_steps(metre) if len(pulses(metre)) != 3 else 0
    weights: list[float] = []
    for size in pulses(metre):
        start = len(weights)
        on_pulse = 1.0 if start == 0 else (0.8 if start == second else 0.7)
        weights += [on_pulse] + [0.4 if step % 2 == 0 else 0.15 for step in range(1, size)]
    return tuple(weights)


def fit(pattern: str, steps: int) -> str:
    """Cut or carry on a pattern to `steps`, so a 4/4 groove can be played in 7/8 or 5/4."""
    if len(pattern) >= steps:
        return pattern[:steps]
    # Going on with the pattern's own first beats sounds like a bar with beats added.
    whole, rest = divmod(steps, len(pattern))
    return pattern * whole + pattern[:rest]


def choices(table: dict[str, tuple[str, ...]], metre: tuple[int, int]) -> tuple[str, ...]:
    """The patterns of one table entry to choose from in this metre, before `fit`."""
    wanted = table_metre(metre)
    return table.get(wanted) or table.get("4/4") or next(iter(table.values()))


def parse_groove(groove: str, steps: int) -> dict[str, str]:
    """`"K:x... S:.."` -> {"K": ...}, each line fitted to the bar."""
    lines = (item.split(":") for item in groove.split())
    return {name: fit(line, steps) for name, line in lines}
