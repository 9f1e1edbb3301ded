"""Pieces played offline on a General MIDI soundfont: a thin ctypes binding to libfluidsynth 3."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from engine.sketch.levels import levelled  # noqa: E402
from engine.sketch.score import Part, Piece  # noqa: E402

DEFAULT_SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")  # FluidR3, MIT
BLOCK_SAMPLES = 64  # FluidSynth applies events on blocks of this size
GROUPS = 4  # dry and wet buffers are kept apart per group, so stems come out of one pass
_CHUNK_SAMPLES = 2048  # samples per call, within FluidSynth's own buffers
_DRUM_BANK = 128
_WARNINGS = 2
_PACKAGES = "Install the Debian packages libfluidsynth3 and fluid-soundfont-gm."

# General MIDI counts channels from 0 and drums are channel 9; each channel is its own group
# modulo four.
_CHANNEL = {"drums": 9, "bass": 0, "chords": 2, "lead": 3}
_GROUP = {role: channel % GROUPS for role, channel in _CHANNEL.items()}
_SEND = {"drums": 0.35, "bass": 0.15, "chords": 0.8, "lead": 0.8}
_PEAK = 0.95
_CC_PAN, _CC_REVERB, _CC_CHORUS = 10, 91, 93


def _library() -> ctypes.CDLL:
    for name in ("libfluidsynth.so.3", ctypes.util.find_library("fluidsynth")):
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        return _declare(library)
    raise RuntimeError(f"libfluidsynth 3 was not found. {_PACKAGES}")


def _declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer, text, real = (
        ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_double,
    )  # fmt: skip
    buffers = ctypes.POINTER(pointer)
    table: dict[str, tuple[object, list[object]]] = {
        "fluid_set_log_function": (pointer, [integer, pointer, pointer]),
        "new_fluid_settings": (pointer, []),
        "delete_fluid_settings": (None, [pointer]),
        "fluid_settings_setint": (integer, [pointer, text, integer]),
        "fluid_settings_setnum": (integer, [pointer, text, real]),
        "new_fluid_synth": (pointer, [pointer]),
        "delete_fluid_synth": (None, [pointer]),
        "fluid_synth_sfload": (integer, [pointer, text, integer]),
        "fluid_synth_get_sfont_by_id": (pointer, [pointer, integer]),
        "fluid_synth_add_sfont": (integer, [pointer, pointer]),
        "fluid_synth_remove_sfont": (integer, [pointer, pointer]),
        "fluid_synth_pin_preset": (integer, [pointer, integer, integer, integer]),
        "fluid_synth_program_select": (integer, [pointer, integer, integer, integer, integer]),
        "fluid_synth_cc": (integer, [pointer, integer, integer, integer]),
        "fluid_synth_noteon": (integer, [pointer, integer, integer, integer]),
        "fluid_synth_noteoff": (integer, [pointer, integer, integer]),
        "fluid_synth_set_channel_type": (integer, [pointer, integer, integer]),
        "fluid_synth_set_reverb_group_roomsize": (integer, [pointer, integer, real]),
        "fluid_synth_set_reverb_group_damp": (integer, [pointer, integer, real]),
        "fluid_synth_set_reverb_group_width": (integer, [pointer, integer, real]),
        "fluid_synth_set_reverb_group_level": (integer, [pointer, integer, real]),
        "fluid_synth_reverb_on": (integer, [pointer, integer, integer]),
        "fluid_synth_chorus_on": (integer, [pointer, integer, integer]),
        "fluid_synth_process": (integer, [pointer, integer, integer, buffers, integer, buffers]),
    }
    for name, (result, arguments) in table.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    # Lending a soundfont makes FluidSynth warn about every channel; return codes are checked.
    lib.fluid_set_log_function(_WARNINGS, None, None)
    return lib


class SoundFont:
    """A soundfont held in memory, to be played by one `FluidSynth` after another.

    Raises `RuntimeError` where the library or the soundfont is missing.
    """

    def __init__(self, path: Path, sample_rate_hz: int) -> None:
        if not path.is_file():
            raise RuntimeError(f"no soundfont at {path}. {_PACKAGES}")
        self.lib = _library()
        self._compressed = path.suffix == ".sf3"
        self.settings = self.lib.new_fluid_settings()
        for name, value in {
            "synth.polyphony": 256, "synth.audio-channels": GROUPS, "synth.audio-groups": GROUPS,
            "synth.effects-groups": GROUPS, "synth.threadsafe-api": 0, "synth.lock-memory": 0,
            "synth.cpu-cores": 1,
            # Compressed samples take nine seconds to decode, so only what is played is.
            "synth.dynamic-sample-loading": int(self._compressed),
        }.items():  # fmt: skip
            self.lib.fluid_settings_setint(self.settings, name.encode(), value)
        self.lib.fluid_settings_setnum(self.settings, b"synth.sample-rate", float(sample_rate_hz))
        self.lib.fluid_settings_setnum(self.settings, b"synth.gain", 0.5)
        self._holder = self.lib.new_fluid_synth(self.settings)
        number = self.lib.fluid_synth_sfload(self._holder, str(path).encode(), 1)
        if number < 0:
            raise RuntimeError(f"{path} cannot be read as a soundfont. {_PACKAGES}")
        self._number = number
        self.handle = self.lib.fluid_synth_get_sfont_by_id(self._holder, number)

    def keep(self, bank: int, program: int) -> None:
        """Decode a preset's samples for good, or every piece would have to decode them again."""
        if self._compressed:
            self.lib.fluid_synth_pin_preset(self._holder, self._number, bank, program)


class FluidSynth:
    """A fresh synthesiser on a loaded soundfont; channel c sounds in group c % 4.

    Fresh for each piece, because a reset leaves the phases of the reverb's modulation where they
    were and the same piece would come out different. Use as a context manager.
    """

    def __init__(self, font: SoundFont) -> None:
        self._font = font
        self._lib = font.lib
        self._synth = self._lib.new_fluid_synth(font.settings)
        self._font_id = self._lib.fluid_synth_add_sfont(self._synth, font.handle)

    def __enter__(self) -> FluidSynth:
        return self

    def __exit__(self, *error: object) -> None:
        # The soundfont is lent: taken out first, it outlives the synthesiser.
        self._lib.fluid_synth_remove_sfont(self._synth, self._font.handle)
        self._lib.delete_fluid_synth(self._synth)

    def room(self, size: float, wet: bool) -> None:
        """Set every group's room (0 small .. 1 hall), or no effects at all."""
        lib, synth = self._lib, self._synth
        for group in range(GROUPS):
            lib.fluid_synth_set_reverb_group_roomsize(synth, group, 0.2 + 0.7 * size)
            lib.fluid_synth_set_reverb_group_damp(synth, group, 0.3)
            lib.fluid_synth_set_reverb_group_width(synth, group, 0.8)
            lib.fluid_synth_set_reverb_group_level(synth, group, 0.7)
            lib.fluid_synth_reverb_on(synth, group, int(wet))
            lib.fluid_synth_chorus_on(synth, group, int(wet))

    def instrument(self, channel: int, program: int, drums: bool) -> None:
        """Choose a channel's preset; raises `ValueError` where the soundfont has none such."""
        lib, synth = self._lib, self._synth
        lib.fluid_synth_set_channel_type(synth, channel, int(drums))
        bank = _DRUM_BANK if drums else 0
        self._font.keep(bank, program)
        if lib.fluid_synth_program_select(synth, channel, self._font_id, bank, program) != 0:
            raise ValueError(f"the soundfont has no program {program} in bank {bank}")

    def control(self, channel: int, number: int, value: float) -> None:
        """A controller change, its value 0..1."""
        clipped = int(np.clip(round(value * 127.0), 0, 127))
        self._lib.fluid_synth_cc(self._synth, channel, number, clipped)

    def render(
        self, events: Sequence[tuple[int, int, int, int]], length_samples: int
    ) -> NDArray[np.float32]:
        """Play `(sample, channel, pitch, velocity)` events, velocity 0 being a release.

        Events are in time order and sound on the nearest multiple of 64 samples.
        Returns [4, 2, length_samples], the groups' stems with their effects.
        """
        padded = -(-length_samples // BLOCK_SAMPLES) * BLOCK_SAMPLES
        out = np.zeros((GROUPS, 2, padded), dtype=np.float32)
        now = 0
        for sample, channel, pitch, velocity in events:
            due = min(round(sample / BLOCK_SAMPLES) * BLOCK_SAMPLES, padded)
            if due > now:
                self._process(out, now, due)
                now = due
            if velocity > 0:
                self._lib.fluid_synth_noteon(self._synth, channel, pitch, velocity)
            else:
                self._lib.fluid_synth_noteoff(self._synth, channel, pitch)
        self._process(out, now, padded)
        return out[:, :, :length_samples]

    def _process(self, out: NDArray[np.float32], begin: int, end: int) -> None:
        """Render begin..end into the buffers; dry sound, reverb and chorus add up in them."""
        base = out.ctypes.data
        while begin < end:
            count = min(_CHUNK_SAMPLES, end - begin)
            lanes = [base + 4 * (lane * out.shape[2] + begin) for lane in range(2 * GROUPS)]
            dry = (ctypes.c_void_p * (2 * GROUPS))(*lanes)
            # Effects lie group after group: reverb left, right, chorus left, right.
            wet_lanes = [lanes[2 * g + side] for g in range(GROUPS) for side in (0, 1, 0, 1)]
            wet = (ctypes.c_void_p * (4 * GROUPS))(*wet_lanes)
            self._lib.fluid_synth_process(self._synth, count, 4 * GROUPS, wet, 2 * GROUPS, dry)
            begin += count


@lru_cache(maxsize=2)
def _font(soundfont: Path, sample_rate_hz: int) -> SoundFont:
    return SoundFont(soundfont, sample_rate_hz)


@overload
def render(
    piece: Piece,
    sample_rate_hz: int = ...,
    *,
    stems: Literal[False] = ...,
    reverb: bool = ...,
    tail_s: float = ...,
    soundfont: Path = ...,
) -> NDArray[np.float32]: ...


@overload
def render(
    piece: Piece,
    sample_rate_hz: int = ...,
    *,
    stems: Literal[True],
    reverb: bool = ...,
    tail_s: float = ...,
    soundfont: Path = ...,
) -> dict[str, NDArray[np.float32]]: ...


def render(
    piece: Piece,
    sample_rate_hz: int = 44100,
    *,
    stems: bool = False,
    reverb: bool = True,
    tail_s: float = 0.0,
    soundfont: Path = DEFAULT_SOUNDFONT,
) -> NDArray[np.float32] | dict[str, NDArray[np.float32]]:
    """The piece as float stereo [2, n], n = round(length_beats * 60 / bpm * rate) + the tail.

    With `stems`, a dict of every part's role and "mix", their exact sum. Peaks stay at or below
    0.95. The soundfont stays loaded between calls. Raises `RuntimeError` where libfluidsynth or
    the soundfont is missing.
    """
    length = piece.length_samples(sample_rate_hz) + round(tail_s * sample_rate_hz)
    with FluidSynth(_font(Path(soundfont), sample_rate_hz)) as synth:
        synth.room(piece.space, reverb)
        for part in piece.parts:
            _set_up(synth, part, piece.space if reverb else 0.0)
        groups = synth.render(_events(piece, sample_rate_hz), length)
    audio = {part.role: levelled(groups[_GROUP[part.role]], part.role, part.gain_db, sample_rate_hz)
             for part in piece.parts}  # fmt: skip
    mix = np.zeros((2, length), dtype=np.float32)
    for stem in audio.values():
        mix += stem
    peak = max([float(np.abs(wave).max(initial=0.0)) for wave in (mix, *audio.values())])
    scale = np.float32(min(1.0, _PEAK / peak)) if peak > 0.0 else np.float32(1.0)
    if not stems:
        return mix * scale
    audio = {role: wave * scale for role, wave in audio.items()}
    audio["mix"] = np.sum(list(audio.values()), axis=0, dtype=np.float32)
    return audio


def _set_up(synth: FluidSynth, part: Part, space: float) -> None:
    channel = _CHANNEL[part.role]
    synth.instrument(channel, part.program, part.role == "drums")
    synth.control(channel, _CC_PAN, 0.5 + 0.5 * part.pan)
    synth.control(channel, _CC_REVERB, space * _SEND[part.role])
    synth.control(channel, _CC_CHORUS, part.chorus)


def _events(piece: Piece, sample_rate_hz: int) -> list[tuple[int, int, int, int]]:
    """(sample, channel, pitch, velocity), releases before attacks on the same block."""
    per_beat = 60.0 * sample_rate_hz / piece.tempo_bpm
    events = []
    for part in piece.parts:
        channel = _CHANNEL[part.role]
        for note in part.notes:
            begin = round(note.start_beats * per_beat)
            end = max(round(note.end_beats * per_beat), begin + BLOCK_SAMPLES)
            events.append((begin, channel, note.pitch, note.velocity))
            events.append((end, channel, note.pitch, 0))
    return sorted(events, key=lambda event: (round(event[0] / BLOCK_SAMPLES), event[3] > 0))
