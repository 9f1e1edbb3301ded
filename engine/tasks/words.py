"""What a request says in words, as a model is told it."""

from __future__ import annotations

from engine.models.studio import Words
from engine.sketch.prompt import Reading, read_prompt
from engine.sketch.score import Key
from engine.spec import BridgeError, RenderRequest


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


def unused_wishes(reading: Reading) -> list[str]:
    """What a prompt says that the model cannot be told about a clip; reported, not dropped."""
    wishes = ("tempo_bpm", "metre", "mode", "pace")
    return [name for name in wishes if getattr(reading, name) is not None]


def words_of(
    request: RenderRequest,
    seconds: float,
    tempo_bpm: float | None,
    heard_key: Key | None = None,
) -> tuple[Words, Reading]:
    """What a model is told of a clip's request, and the prompt as it was read.

    The key asked for outranks the prompt's, and that the one heard in the clip; what nobody says
    stays unknown to the model.

    Args:
        seconds: length of the result.

    Raises:
        BridgeError: as `read_key`.
    """
    reading = read_prompt(request.prompt)
    key = read_key(request.key) or reading.key or heard_key
    words = Words(
        request.prompt,
        seconds,
        bpm=tempo_bpm,
        tonic=None if key is None else key.tonic,
        mode=None if key is None else key.mode,
        beats_per_bar=reading.metre[0] if reading.metre else None,
        style=reading.style,
        mood=reading.mood,
        roles=reading.roles,
        programs=reading.programs,
        edits=request.task in ("extend", "inpaint", "loop"),
    )
    return words, reading
