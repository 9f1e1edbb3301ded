"""A wish and a clip become a request to the daemon."""

from __future__ import annotations

import binascii
import os
from typing import Any, NamedTuple

from .audio_files import Cutter
from .clips import Part, Selected, read_notes
from .midi_files import midi_file
from .protocol import Protocol
from .refusal import Refusal
from .timeline import shown_bpm
from .wishes import DEFAULT_BARS, Wish

_MAX_TEMPOS = 2000  # what a packet holds
_TOLERANCE_SAMPLES = 2  # a marker at the file's end may be a rounding error away from it


class Request(NamedTuple):
    """What the daemon is asked, and what must be copied before.

    Attributes:
        start_s: where the part begins in the clip's file.
    """

    command: str
    fields: dict[str, Any]
    start_s: float
    cutter: Cutter | None


def make_request(wish: Wish, of: Selected, protocol: Protocol, folder: str) -> Request:
    """The request for a clip; a MIDI clip's melody, and a part of a file, go to `folder`.

    Raises:
        Refusal: the clip has not what the verb needs.
    """
    verb, cutter = wish.verb, None
    if of.is_midi and verb == "accompany":
        verb = "melody"
    if of.is_midi and verb != "melody":
        raise Refusal(f"{verb} is for audio clips", "a MIDI clip can be accompanied")
    fields: dict[str, Any] = {"metre": "{}/{}".format(*of.metre)}
    if of.key is not None:
        fields["key"] = of.key
    if of.is_midi:
        source, start_s = _write_melody(of, folder), of.timeline.seconds(of.part.start_beats)
    else:
        source, start_s, cutter = _source(of, folder)
    fields["melody" if verb == "melody" else "source"] = source
    if verb == "inpaint":
        fields.update(_region(of, start_s))
    if verb == "extend":
        fields["bars"] = DEFAULT_BARS
    if verb == "loop":
        fields["bars"] = max(1.0, float(round(_bars(of))))
    if verb == "melody":
        fields["bars"] = _bars(of)
    fields.update(_tempo(of))
    fields.update((name, protocol.cast(verb, name, value)) for name, value in wish.fields.items())
    if "seconds" in wish.fields:
        fields.pop("bars", None)
    return Request(verb, fields, start_s, cutter)


def _bars(of: Selected) -> float:
    numerator, denominator = of.metre
    return of.part.length_beats * denominator / (4.0 * numerator)


def _tempo(of: Selected) -> dict[str, Any]:
    """The file's own tempo: Live plays a warped file in another, and its bars are the file's."""
    part, position = of.part, of.place.position_beats
    tempos = of.timeline.tempos(part.start_beats, part.stop_beats)
    if len(tempos) == 1:
        return {"bpm": shown_bpm(tempos[0][1]), "position_beats": position}
    if len(tempos) > _MAX_TEMPOS:
        raise Refusal(
            f"the clip has {len(tempos) + 1} warp markers",
            "shorten it, or consolidate it (Ctrl/Cmd-J)",
        )
    if position < 0.0:  # a map begins with the song; what counts are the bars
        position %= of.metre[0] * 4.0 / of.metre[1]
    points = [(position + beats - part.start_beats, shown_bpm(bpm)) for beats, bpm in tempos]
    points[0] = (0.0, points[0][1])
    text = ",".join(f"{beats:.6f}:{bpm:.6f}" for beats, bpm in points)
    return {"tempo_map": text, "position_beats": position}


def _region(of: Selected, start_s: float) -> dict[str, float]:
    if of.region is None:
        raise Refusal(
            "nothing says what is to be replaced",
            "put the loop brace around it: the clip's in the Session, the song's in the "
            "Arrangement (select, then Ctrl/Cmd-L)",
        )
    return {
        "start": max(of.timeline.seconds(of.region.start_beats) - start_s, 0.0),
        "end": of.timeline.seconds(of.region.stop_beats) - start_s,
    }


def _source(of: Selected, folder: str) -> tuple[str, float, Cutter | None]:
    """The clip's file, or a copy of the part that is heard of it, and where that begins in it."""
    path: str = of.clip.file_path
    if not path:
        raise Refusal("the clip has no file", "save the set, or consolidate the clip (Ctrl/Cmd-J)")
    if not os.path.exists(path):
        raise Refusal(f"{path} is missing", "let Live look for missing files")
    sound = of.sound
    if sound is None:
        return _whole_file(of, path), 0.0, None
    start = max(_sample(of, of.part.start_beats), 0)
    stop = min(_sample(of, of.part.stop_beats), sound.length_samples)
    if start <= _TOLERANCE_SAMPLES and stop >= sound.length_samples - _TOLERANCE_SAMPLES:
        return path, 0.0, None
    kind = "wav" if sound.container == "WAV" else "aif"
    # The same part of the same file has the same name, and is copied once.
    file = f"{binascii.crc32(os.fsencode(path)):08x}-{os.stat(path).st_mtime_ns:x}"
    name = f"{_file_name(of.title)}-{file}-{start}-{stop}.{kind}"
    cutter = Cutter(path, sound, start, stop, os.path.join(_made(folder), name))
    return cutter.path, start / sound.sample_rate_hz, cutter


def _sample(of: Selected, beats: float) -> int:
    assert of.sound is not None
    return round(of.timeline.seconds(beats) * of.sound.sample_rate_hz)


def _whole_file(of: Selected, path: str) -> str:
    """Other files than WAV and AIFF cannot be cut here; they can be sent as they are."""
    rate_hz = getattr(of.clip, "sample_rate", None)  # Live 11.0.5
    if rate_hz:
        end_s = of.clip.sample_length / rate_hz
        part = Part(of.timeline.beats(0.0), of.timeline.beats(end_s))
        gap_s = 0.01 * of.timeline.bpm(part.start_beats, part.stop_beats) / 60.0
        starts = of.part.start_beats <= part.start_beats + gap_s
        if starts and of.part.stop_beats >= part.stop_beats - gap_s:
            return path
    raise Refusal(
        f"a part of {os.path.basename(path)} cannot be taken",
        "crop the clip (right click, Crop Sample) or consolidate it (Ctrl/Cmd-J): that gives a WAV",
    )


def _write_melody(of: Selected, folder: str) -> str:
    notes = read_notes(of.clip, of.part)
    bpm = of.timeline.bpm(of.part.start_beats, of.part.stop_beats)
    data = midi_file(notes, of.part.length_beats, bpm, of.metre, of.title)
    name = f"{_file_name(of.title)}-{len(notes)}-{binascii.crc32(data):08x}.mid"
    path = os.path.join(_made(folder), name)
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror})") from None
    return path


def _made(folder: str) -> str:
    """The folder; it and those that it lies in are made for their owner alone."""
    if not os.path.isdir(folder):
        _made(os.path.dirname(folder))
        try:
            os.mkdir(folder, 0o700)
        except OSError as error:
            raise Refusal(f"{folder} cannot be made ({error.strerror})") from None
    return folder


def _file_name(title: str) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in title)
    return kept.strip("-")[:40] or "clip"
