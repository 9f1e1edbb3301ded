"""The time that a request's host keeps: tempo, metre and where the clip or melody lies in its song.

Hosts send nonsense now and then (a plugin once reported 3159345 bpm), so a tempo outside the range
that the product takes is refused by name, wherever it comes from.
"""

from __future__ import annotations

from fractions import Fraction

from engine.analysis.tempo import COMMON_TIME
from engine.files.midi import read_time
from engine.musical_time import MetreMap, MusicalTime, TempoMap, check_bpm
from engine.sketch.score import check_metre
from engine.spec import BridgeError, RenderRequest
from engine.units import Metre


def song_time(request: RenderRequest, usual: Metre = COMMON_TIME) -> MusicalTime | None:
    """Beats and bars from the clip's or melody's start on, where the request tells the song's.

    None where it gives no more than a steady tempo and metre, without a position: then only the
    audio can say where its beats lie.

    Args:
        usual: the metre where neither the request nor its file of tempo changes gives one.

    Raises:
        BridgeError: `bad_request` for metre changes without a tempo; `bad_midi` or `too_large` for
            a file of tempo changes that cannot be used.
    """
    metres = asked_metres(request)
    position = Fraction(0) if request.position_beats is None else request.position_beats
    if request.tempo_from is not None:
        tempo, own = read_time(request.tempo_from)
        check_tempo(tempo, "the file of tempo_from", "bad_midi")
        metres = metres or own
    elif request.tempo_map is not None:
        tempo = TempoMap.parse(request.tempo_map)
    elif request.bpm is None:
        return None
    else:
        tempo = TempoMap.constant(request.bpm)
        if request.position_beats is None and (metres is None or metres.is_constant):
            return None
    return MusicalTime.in_song(tempo, metres or MetreMap.constant(usual), position)


def asked_metres(request: RenderRequest) -> MetreMap | None:
    """The metre that a request gives, with its changes."""
    return None if request.metre is None else MetreMap.parse(request.metre)


def asked_metre(request: RenderRequest, default: Metre = COMMON_TIME) -> Metre:
    """The one metre of a request whose host tells no time.

    Raises:
        BridgeError: `bad_request` where the metre changes and nobody says the tempo.
    """
    metres = asked_metres(request)
    if metres is None:
        return default
    if not metres.is_constant:
        raise BridgeError(
            "bad_request",
            "the metre changes at beats of a song whose tempo is not given",
            "give bpm, tempo_map or tempo_from",
        )
    return metres.first


def check_tempo(tempo: TempoMap, whose: str, code: str = "bad_request") -> None:
    """Refuse a tempo that no host means.

    Raises:
        BridgeError: `code`.
    """
    for beat, bpm in tempo.changes:
        try:
            check_bpm(bpm)
        except ValueError as error:
            raise BridgeError(code, f"{whose} {error}", f"look at beat {float(beat):g}") from None


def playable(metre: Metre) -> tuple[int, int]:
    """A metre that parts can be written in, as beats and unit.

    Raises:
        BridgeError: `bad_request`.
    """
    counted = (metre.beats, metre.unit)
    try:
        check_metre(counted)
    except ValueError as error:
        raise BridgeError("bad_request", str(error)) from None
    return counted
