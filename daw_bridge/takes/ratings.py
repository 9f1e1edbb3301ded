"""What the musician thinks of a take, beside its recipe: later work learns from the pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daw_bridge.takes.files import read_json, replace_json
from engine.spec import BridgeError

RATING_FILE = "rating.json"
_NAMES = ("verdict", "stars", "note")


@dataclass(frozen=True, slots=True)
class Rating:
    """One opinion; None where there is none.

    Attributes:
        verdict: `keep` or `discard`. A mark: only where takes need room is a discarded one removed.
        stars: 1 to 5.
        note: the musician's words.
    """

    verdict: str | None = None
    stars: int | None = None
    note: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        """As lists and replies have it."""
        return asdict(self)


def read_rating(folder: Path) -> Rating:
    """The rating of a take's folder; that of nobody where there is none or it is damaged."""
    try:
        values = read_json(folder / RATING_FILE)
    except BridgeError:
        return Rating()
    verdict, stars, note = (values.get(name) for name in _NAMES)
    return Rating(
        verdict if isinstance(verdict, str) else None,
        stars if isinstance(stars, int) else None,
        note if isinstance(note, str) else None,
    )


def write_rating(folder: Path, changes: Mapping[str, Any]) -> Rating:
    """Rate a take; what is not said stays as it was, and an empty note removes the one before.

    Raises:
        BridgeError: `bad_request` when nothing is said, `unavailable` when the disk refuses.
    """
    said = {name: changes[name] for name in _NAMES if changes.get(name) is not None}
    if not said:
        raise BridgeError(
            "bad_request", "the rating says nothing", f"give one of {', '.join(_NAMES)}"
        )
    rating = replace(read_rating(folder), **said)
    if not rating.note:
        rating = replace(rating, note=None)
    rated = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        replace_json(folder / RATING_FILE, {**rating.to_mapping(), "rated": rated})
    except OSError as error:
        raise BridgeError(
            "unavailable", f"the rating cannot be kept: {error}", "is the disk full?"
        ) from None
    return rating
