"""What of Live's Python API the script uses, and which Live has it.

Read from type stubs that were generated from Live's own runtime, for each version in `VERSIONS`;
`test_live_api.py` compares the newest with the stubs on PyPI where they are installed.
"""

from __future__ import annotations

Version = tuple[int, int, int]
VERSIONS: tuple[Version, ...] = ((11, 0, 0), (11, 3, 25), (12, 0, 0), (12, 0, 5), (12, 2, 0))

_ALWAYS = frozenset(VERSIONS)
# Live 12.0.0 came out of an older branch than 11.3.25.
_CREATES_AUDIO = frozenset({(11, 3, 25), (12, 0, 5), (12, 2, 0)})
_WRITES_WARP = _ALWAYS - {(11, 0, 0)}  # since 11.0.5
_SCALE_MODE = frozenset({(12, 0, 5), (12, 2, 0)})
# Before it, a script is not told which clip it has made in the Arrangement.
TELLS_ARRANGEMENT_CLIP = frozenset({(12, 2, 0)})

READ, WRITE, CALL = "read", "write", "call"


def _rows(kind: str, names: str) -> dict[str, tuple[str, frozenset[Version]]]:
    return dict.fromkeys(names.split(), (kind, _ALWAYS))


# class: name: how it may be used, and which versions have it.
API: dict[str, dict[str, tuple[str, frozenset[Version]]]] = {
    "Clip": {
        **_rows(
            READ,
            "canonical_parent end_time file_path is_arrangement_clip is_audio_clip is_midi_clip "
            "is_recording length sample_length start_time warp_markers",
        ),
        **_rows(
            WRITE,
            "end_marker gain loop_end loop_start looping name pitch_coarse pitch_fine "
            "signature_denominator signature_numerator start_marker warp_mode warping",
        ),
        **_rows(CALL, "get_notes_extended"),
        "sample_rate": (READ, _WRITES_WARP),
        "add_warp_marker": (CALL, _WRITES_WARP),
        "move_warp_marker": (CALL, _WRITES_WARP),
        "remove_warp_marker": (CALL, _WRITES_WARP),
    },
    "ClipSlot": {
        **_rows(READ, "canonical_parent clip has_clip is_group_slot"),
        **_rows(CALL, "delete_clip"),
        "create_audio_clip": (CALL, _CREATES_AUDIO),
    },
    "Track": {
        **_rows(
            READ,
            "arrangement_clips canonical_parent clip_slots devices has_audio_input "
            "has_midi_input is_foldable is_frozen",
        ),
        **_rows(WRITE, "name"),
        **_rows(CALL, "duplicate_clip_to_arrangement"),
        "create_audio_clip": (CALL, _CREATES_AUDIO),
    },
    "Song": {
        **_rows(READ, "master_track return_tracks scenes tracks view"),
        **_rows(
            WRITE,
            "current_song_time loop loop_length loop_start root_note scale_name "
            "signature_denominator signature_numerator tempo",
        ),
        **_rows(CALL, "begin_undo_step create_audio_track create_scene end_undo_step"),
        "scale_mode": (WRITE, _SCALE_MODE),
    },
    "TakeLane": {"canonical_parent": (READ, frozenset({(12, 2, 0)}))},
    "Song.View": _rows(WRITE, "detail_clip highlighted_clip_slot selected_track"),
    "Device": {**_rows(READ, "class_name parameters"), **_rows(WRITE, "name")},
    "DeviceParameter": {
        **_rows(READ, "max min name"),
        **_rows(WRITE, "value"),
        **_rows(CALL, "add_value_listener remove_value_listener value_has_listener"),
    },
    "MidiNote": _rows(WRITE, "duration mute pitch start_time velocity"),
    "WarpMarker": _rows(READ, "beat_time sample_time"),
}


def has(class_name: str, name: str, version: Version) -> bool:
    """Whether a Live has an attribute."""
    row = API[class_name].get(name)
    return row is not None and version in row[1]
