"""What cannot be done, in words for the musician."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818  nothing has gone wrong in the script
    """Something was asked for that cannot be done.

    Attributes:
        message: what is wrong.
        hint: what to do about it; empty where nobody can do anything.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}: {self.hint}" if self.hint else self.message
