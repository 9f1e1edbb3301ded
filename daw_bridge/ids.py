"""Ids of jobs: text for people and JSON, a number for binary headers and the journal."""

from __future__ import annotations

_PREFIX = "j-"


def job_id(number: int) -> str:
    """`j-0007` for 7."""
    return f"{_PREFIX}{number:04d}"


def job_number(text: str) -> int:
    """Inverse of `job_id`.

    Raises:
        ValueError: the text is no job id.
    """
    if not text.startswith(_PREFIX):
        raise ValueError(f"{text!r} is no job id")
    return int(text.removeprefix(_PREFIX))
