"""Targets beside what was measured, and tables of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target.

    Attributes:
        value, limit: in `unit`; None where it was not measured.
        ceiling: the same figure of the real thing, where there is one.
        at_least: whether the value has to reach the limit, and not to stay below it.
        strict: whether the limit itself is not good enough.
    """

    what: str
    value: float | None
    limit: float | None
    unit: str = ""
    at_least: bool = False
    strict: bool = False
    ceiling: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where it was not measured."""
        if self.value is None or self.limit is None:
            return None
        if self.value == self.limit:
            return not self.strict
        return (self.value > self.limit) == self.at_least

    @property
    def said(self) -> str:
        """`met`, `missed by` so much, or `not measured`."""
        if self.met is None:
            return "not measured"
        if self.met or self.value is None or self.limit is None:
            return "met"
        apart = abs(self.value - self.limit)
        return f"missed by {_points(apart)}" if self.unit == "%" else f"missed by {self._in(apart)}"

    @property
    def target(self) -> str:
        """The limit in words."""
        if self.limit is None:
            return "–"
        bound = (
            ("more than" if self.strict else "at least")
            if self.at_least
            else ("less than" if self.strict else "at most")
        )
        return f"{bound} {self._in(self.limit)}"

    def _in(self, value: float) -> str:
        return percent(value) if self.unit == "%" else f"{number(value)} {self.unit}".rstrip()

    def row(self) -> list[Cell]:
        """What, measured, ceiling, target, verdict."""
        measured, ceiling = (
            "–" if value is None else self._in(value) for value in (self.value, self.ceiling)
        )
        return [self.what, measured, ceiling, self.target, self.said]


def number(value: float | None) -> str:
    """Three significant digits; a dash for what was not measured."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = f"{value:.3g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in digits else digits


def percent(share: float | None) -> str:
    """A share as a percentage."""
    return "–" if share is None else f"{100.0 * share:.0f} %"


def _points(share: float) -> str:
    return f"{number(100.0 * share)} points"


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A Markdown table; numbers are right-aligned and rounded to three digits."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" + "--:|" * (len(head) - 1)]
    for row in rows:
        cells = [cell if isinstance(cell, str) else number(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


@dataclass(frozen=True, slots=True)
class Told:
    """A section in words, and its verdicts."""

    lines: list[str]
    verdicts: list[Verdict]


def verdict_table(verdicts: Sequence[Verdict]) -> list[str]:
    """Every target with what was measured."""
    head = ("| target | measured | the real thing | wanted | |", "|---|--:|--:|--:|---|")
    rows = [f"| {' | '.join(str(cell) for cell in verdict.row())} |" for verdict in verdicts]
    return [*head, *rows, ""]


def scaled(value: float | None, factor: float) -> float | None:
    """A limit that is a share of something measured."""
    return None if value is None else value * factor
