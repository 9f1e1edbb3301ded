"""A thin binding to libfluidsynth 3 for offline rendering, through ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_SAMPLES = 64  # FluidSynth applies events on blocks of this size
GROUPS = 4  # dry and wet buffers are kept apart per group, so stems come out of one pass
_CHUNK_SAMPLES = 2048  # samples per call, within FluidSynth's own buffers
_DRUM_BANK = 128
_WARNINGS = 2
_PACKAGES = "Install the Debian packages libfluidsynth3 and fluid-soundfont-gm."

_Floats = ctypes.POINTER(ctypes.c_float)


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
    buffers = ctypes.POINTER(_Floats)
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
        self.settings = self.lib.new_fluid_settings()
        for name, value in {
            "synth.polyphony": 256, "synth.audio-channels": GROUPS, "synth.audio-groups": GROUPS,
            "synth.effects-groups": GROUPS, "synth.threadsafe-api": 0, "synth.lock-memory": 0,
            "synth.cpu-cores": 1,
        }.items():  # fmt: skip
            self.lib.fluid_settings_setint(self.settings, name.encode(), value)
        self.lib.fluid_settings_setnum(self.settings, b"synth.sample-rate", float(sample_rate_hz))
        self.lib.fluid_settings_setnum(self.settings, b"synth.gain", 0.5)
        self._holder = self.lib.new_fluid_synth(self.settings)
        number = self.lib.fluid_synth_sfload(self._holder, str(path).encode(), 1)
        if number < 0:
            raise RuntimeError(f"{path} cannot be read as a soundfont. {_PACKAGES}")
        self.handle = self.lib.fluid_synth_get_sfont_by_id(self._holder, number)


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
            lanes = [
                ctypes.cast(base + 4 * ((lane * out.shape[2]) + begin), _Floats)
                for lane in range(2 * GROUPS)
            ]
            dry = (_Floats * (2 * GROUPS))(*lanes)
            # Effects lie group after group: reverb left, right, chorus left, right.
            wet_lanes = [lanes[2 * g + side] for g in range(GROUPS) for side in (0, 1, 0, 1)]
            wet = (_Floats * (4 * GROUPS))(*wet_lanes)
            self._lib.fluid_synth_process(self._synth, count, 4 * GROUPS, wet, 2 * GROUPS, dry)
            begin += count
