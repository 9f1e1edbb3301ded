"""A recorded melody as a standard MIDI file."""

from __future__ import annotations

import io
from collections.abc import Sequence

from daw_bridge.midi.recorder import LiveNote
from engine.units import Metre

TICKS_PER_BEAT = 960


def midi_bytes(
    notes: Sequence[LiveNote], *, bpm: float, metre: Metre, length_beats: float
) -> bytes:
    """A file of one track with tempo and metre, as long as `length_beats`."""
    import mido

    length = round(length_beats * TICKS_PER_BEAT)
    events: list[tuple[int, int, mido.Message]] = []
    for note in notes:
        start, end = (round(at * TICKS_PER_BEAT) for at in (note.start_beats, note.end_beats))
        what = {"note": note.pitch, "channel": note.channel}
        on = mido.Message("note_on", velocity=note.velocity, **what)
        events.append((start, 1, on))
        # A release comes before a stroke of the same moment, so that a key can be struck again.
        off = mido.Message("note_off", velocity=0, **what)
        events.append((max(end, start + 1), 0, off))
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=round(60_000_000 / bpm)))
    track.append(mido.MetaMessage("time_signature", numerator=metre.beats, denominator=metre.unit))
    now = 0
    for at, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=at - now))
        now = at
    track.append(mido.MetaMessage("end_of_track", time=max(0, length - now)))
    file = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()
