"""One thing that `doctor` has looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; `hint` says what to do unless the state is ok."""

    name: str
    state: str
    found: str
    hint: str = ""
