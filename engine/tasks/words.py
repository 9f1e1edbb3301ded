"""What a request says in words, as the model's global conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from engine.models.house.model import HouseModel
from engine.models.house.network import Globals
from engine.sketch.prompt import Reading, read_prompt
from engine.sketch.score import MODES, ROLES, Key
from engine.sketch.styles import MOODS, STYLES
from engine.spec import BridgeError, RenderRequest

_SILENT, _PLAYS, _UNKNOWN = 0, 1, 2


def read_key(text: str | None) -> Key | None:
    """Read "A minor", "F# dorian" or "Eb" (major).

    Raises:
        BridgeError: `bad_request` where the text is no key.
    """
    if not text:
        return None
    key = read_prompt(text).key or read_prompt(f"in {text}").key
    if key is None:
        raise BridgeError("bad_request", f"{text!r} is no key", "write it like 'A minor' or 'Eb'")
    return key


def style_index(style: str | None, model: HouseModel) -> int:
    """Place of a style in the model's table."""
    return _place(style, model.vocabulary.get("styles", sorted(STYLES)), model.network.shape.styles)


def mood_index(mood: str | None, model: HouseModel) -> int:
    """Place of a mood in the model's table."""
    return _place(mood, model.vocabulary.get("moods", MOODS), model.network.shape.moods)


def key_index(key: Key | None, model: HouseModel) -> int:
    """Place of a key in the model's table."""
    modes = model.vocabulary.get("modes", MODES)
    if key is None or key.mode not in modes:
        return model.network.shape.keys
    return key.tonic + 12 * modes.index(key.mode)


def _place(word: str | None, words: Sequence[str], unknown: int) -> int:
    """Weights from before a word was known were not told it, and are not now."""
    return unknown if word is None or word not in words else words.index(word)


def globals_of(
    model: HouseModel,
    *,
    style: str | None,
    mood: str | None,
    key: Key | None,
    tempo_bpm: float | None,
    roles: Sequence[str] | None,
    programs: Mapping[str, int],
) -> Globals:
    """One row of the model's global conditions; None is not said.

    Args:
        roles: those of the audio to be made; all others are silent in it.
        programs: General MIDI program by role, as far as it is known.
    """
    unknown = model.network.shape.programs
    played = [_UNKNOWN if roles is None else _PLAYS if r in roles else _SILENT for r in ROLES]
    return Globals(
        torch.tensor([style_index(style, model)]),
        torch.tensor([key_index(key, model)]),
        torch.tensor([float(tempo_bpm or 0.0)]),
        torch.tensor([played]),
        torch.tensor([mood_index(mood, model)]),
        torch.tensor([[programs.get(role, unknown) for role in ROLES]]),
    )


def unused_wishes(reading: Reading) -> list[str]:
    """What a prompt says that the model cannot be told about a clip; reported, not dropped."""
    wishes = ("tempo_bpm", "metre", "mode", "pace")
    return [name for name in wishes if getattr(reading, name) is not None]


def told_conditions(
    request: RenderRequest,
    model: HouseModel,
    tempo_bpm: float | None,
    heard_key: Key | None = None,
) -> tuple[Globals, Reading]:
    """Conditions of a clip's request, and the prompt as it was read.

    The key asked for outranks the prompt's, and that the one heard in the clip; what nobody says
    stays unknown to the model.

    Raises:
        BridgeError: as `read_key`.
    """
    reading = read_prompt(request.prompt)
    conditions = globals_of(
        model,
        style=reading.style,
        mood=reading.mood,
        key=read_key(request.key) or reading.key or heard_key,
        tempo_bpm=tempo_bpm,
        roles=reading.roles,
        programs=reading.programs,
    )
    return conditions, reading
