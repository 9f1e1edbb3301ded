"""Words as the embedded model's global conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from engine.models.house.network import Globals, NetworkShape
from engine.models.studio import Words
from engine.spec import ROLES

_SILENT, _PLAYS, _UNKNOWN = 0, 1, 2
Vocabulary = Mapping[str, tuple[str, ...]]  # "styles", "moods" and "modes", as the tables are


def globals_of(words: Words, vocabulary: Vocabulary, shape: NetworkShape) -> Globals:
    """One row of global conditions.

    Words that the weights were never told are not told them now.
    """
    roles, programs = words.roles, words.programs
    played = [_UNKNOWN if roles is None else _PLAYS if r in roles else _SILENT for r in ROLES]
    return Globals(
        torch.tensor([_place(words.style, vocabulary.get("styles", ()), shape.styles)]),
        torch.tensor([_key_place(words, vocabulary.get("modes", ()), shape.keys)]),
        torch.tensor([float(words.bpm or 0.0)]),
        torch.tensor([played]),
        torch.tensor([_place(words.mood, vocabulary.get("moods", ()), shape.moods)]),
        torch.tensor([[programs.get(role, shape.programs) for role in ROLES]]),
    )


def _place(word: str | None, words: Sequence[str], unknown: int) -> int:
    return unknown if word is None or word not in words else words.index(word)


def _key_place(words: Words, modes: Sequence[str], unknown: int) -> int:
    if words.tonic is None or words.mode is None or words.mode not in modes:
        return unknown
    return words.tonic + 12 * modes.index(words.mode)
