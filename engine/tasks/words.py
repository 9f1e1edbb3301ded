"""What a request says in words, as the model's global conditions."""

from __future__ import annotations

import torch

from engine.models.house.network import Globals, NetworkShape
from engine.sketch.prompt import Reading, read_prompt
from engine.sketch.score import MODES, ROLES, Key
from engine.sketch.styles import STYLES
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


def style_index(style: str | None, shape: NetworkShape) -> int:
    """Place of a style in the model's table."""
    return shape.styles if style is None else sorted(STYLES).index(style)


def key_index(key: Key | None, shape: NetworkShape) -> int:
    """Place of a key in the model's table."""
    return shape.keys if key is None else key.tonic + 12 * MODES.index(key.mode)


def unused_wishes(reading: Reading) -> list[str]:
    """What a prompt says that the model cannot be told about a clip; reported, not dropped."""
    wishes = ("tempo_bpm", "metre", "mood", "mode", "pace")
    unused = [name for name in wishes if getattr(reading, name) is not None]
    return unused + (["instruments"] if reading.programs else [])


def told_conditions(
    request: RenderRequest, shape: NetworkShape, tempo_bpm: float | None
) -> tuple[Globals, Reading]:
    """Conditions of a clip's request, and the prompt as it was read.

    The key asked for outranks the prompt's; what neither says stays unknown to the model.

    Raises:
        BridgeError: as `read_key`.
    """
    reading = read_prompt(request.prompt)
    key = read_key(request.key) or reading.key
    playing = reading.roles
    roles = [
        _UNKNOWN if playing is None else _PLAYS if role in playing else _SILENT for role in ROLES
    ]
    conditions = Globals(
        torch.tensor([style_index(reading.style, shape)]),
        torch.tensor([key_index(key, shape)]),
        torch.tensor([tempo_bpm or 0.0]),
        torch.tensor([roles]),
        torch.tensor([shape.moods]),
        torch.full((1, len(ROLES)), shape.programs),
    )
    return conditions, reading
