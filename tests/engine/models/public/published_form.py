"""How the published values of a checkpoint are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """One checkpoint.

    Attributes:
        parts: class and settings of each part with weights.
        scheduler: class and settings.
        tokenizers: kind (see `checkpoints.tokens_of`) and `model_max_length` of each.
        index: what else the index names.
        millions: of parameters, as the makers tell them; "2B" and "5B" are rough.
        shards: parts whose weights are in so many files.
    """

    pipeline: str
    parts: dict[str, tuple[str, Settings]]
    scheduler: tuple[str, Settings]
    tokenizers: dict[str, tuple[str, int]]
    index: Settings = field(default_factory=dict)
    millions: dict[str, float] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
