"""The styles: what each plays, how fast, in which metres, on which instruments.

Programs are General MIDI numbers from 0, as FluidR3 names them.
"""

from __future__ import annotations

from dataclasses import dataclass

MOODS = ("happy", "sad", "calm", "energetic", "dark", "dreamy")

# Chord loops by mode. A style names the groups it draws from.
PROGRESSIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "major": {
        "pop": (
            "I V vi IV", "vi IV I V", "I vi IV V", "IV I V vi", "I IV vi V", "I iii IV V",
            "IV V iii vi", "I V vi iii IV I IV V", "I ii vi IV", "IV iv I I", "I IV I V",
        ),
        "folk": ("I IV I V", "I V I IV", "I I IV V", "I vi ii V", "IV I V I", "I IV V I"),
        "blues": ("I7 IV7 I7 V7", "I7 I7 IV7 I7", "I7 IV7 I7 I7 IV7 IV7 I7 V7"),
        "jazz": (
            "Imaj7 vi7 ii7 V7", "ii7 V7 Imaj7 Imaj7", "iii7 VI7 ii7 V7", "Imaj7 IVmaj7 iii7 vi7",
            "Imaj7 #io7 ii7 V7", "Imaj7 ii7 iii7 bIII7 ii7 V7 Imaj7 V7", "Imaj7 bVII7 Imaj7 VI7",
        ),
        "classical": (
            "I IV V I", "I vi IV V", "I ii V I", "I V vi iii IV I ii V", "I V I V", "vi ii V I",
        ),
        "float": ("Imaj7 IVmaj7 Imaj7 IVmaj7", "Iadd9 vi7 IVadd9 Iadd9", "Imaj7 iii7 IVmaj7 ii7"),
    },
    "minor": {
        "pop": (
            "i bVI bIII bVII", "i bVII bVI bVII", "i iv bVI V", "i bVI iv V", "bVI bVII i i",
            "i v bVI bVII", "i bIII bVII iv", "i iv i V", "iv i bVI bVII",
        ),
        "folk": ("i bVII i bVII", "i iv i V", "i bVII bVI V", "i bIII bVII i"),
        "blues": ("i7 iv7 i7 V7", "i7 i7 iv7 i7", "i7 bVI7 V7 i7"),
        "jazz": ("i7 iih V7 i7", "i6 iih V7 i6", "iv7 bVII7 bIIImaj7 bVImaj7 iih V7 i7 i7"),
        "classical": ("i iv V i", "i bVI iv V", "i V i V", "i bVII bIII bVI iio V i i"),
        "float": ("i7 bVImaj7 i7 bVImaj7", "imadd9 bVIadd9 bIIIadd9 bVIIsus2", "i7 iv7 i7 v7"),
    },
    "dorian": {
        "pop": ("i IV i IV", "i bVII IV i", "i bIII IV i", "i ii bIII IV"),
        "folk": ("i bVII i IV", "i IV bVII i"),
        "blues": ("i7 IV7 i7 IV7", "i7 i7 IV7 i7"),
        "jazz": ("i7 IV9 i7 IV9", "i9 i9 IV9 IV9", "i7 ii7 i7 ii7"),
        "classical": ("i bVII IV i", "i IV v i"),
        "float": ("im9 IVadd9 im9 IVadd9", "i7 bVIImaj7 IVadd9 i7"),
    },
    "mixolydian": {
        "pop": ("I bVII IV I", "I bVII IV IV", "I IV bVII IV", "I v IV I"),
        "folk": ("I bVII I bVII", "I bVII IV I", "I I bVII I"),
        "blues": ("I7 bVII IV7 I7", "I7 IV7 I7 bVII"),
        "jazz": ("I9 bVIImaj7 I9 IVmaj7", "I7 v7 IVmaj7 I7"),
        "classical": ("I bVII IV I", "I v IV I"),
        "float": ("Iadd9 bVIIadd9 IVadd9 Iadd9", "Isus2 bVIIsus2 Isus2 IVsus2"),
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """One row of the style table; weights are relative, ranges are inclusive."""

    tempo_bpm: tuple[float, float]
    metres: dict[str, float]
    modes: dict[str, float]
    progressions: tuple[str, ...]
    drums: tuple[str, ...]
    kits: tuple[int, ...]
    bass: tuple[str, ...]
    bass_programs: tuple[int, ...]
    comps: tuple[str, ...]
    chord_programs: tuple[int, ...]
    lead_programs: tuple[int, ...]
    swing: tuple[float, float] = (0.5, 0.5)
    swing_unit_beats: float = 1.0
    timing_ms: float = 5.0
    colour: float = 0.15
    density: tuple[float, float] = (0.3, 0.7)
    bars_per_chord: tuple[float, ...] = (1.0,)
    fills: float = 0.6
    legato: float = 0.92


_COMMON = {"4/4": 1.0}
_ODD = {"4/4": 0.7, "3/4": 0.08, "6/8": 0.08, "7/8": 0.08, "5/4": 0.06}
_MAJORISH = {"major": 0.6, "minor": 0.25, "mixolydian": 0.15}
_MINORISH = {"minor": 0.6, "dorian": 0.25, "major": 0.15}
_ANY = {"major": 0.4, "minor": 0.35, "dorian": 0.15, "mixolydian": 0.1}

STYLES: dict[str, Style] = {
    "house": Style(
        (116, 130), {"4/4": 0.97, "7/8": 0.03}, _MINORISH, ("pop", "float", "jazz"),
        ("house", "house", "disco"), (24, 25, 8), ("offbeat", "octaves", "eighths", "sixteenths"),
        (38, 39, 33, 87), ("stabs", "pushes", "pad", "sequence"), (4, 5, 16, 90, 50, 81, 0, 63),
        (80, 81, 84, 11, 54, 62, 87), (0.5, 0.58), 0.5, 1.0, 0.4, (0.3, 0.7), (1.0, 2.0), 0.4,
    ),
    "techno": Style(
        (122, 142), {"4/4": 0.95, "5/4": 0.05}, {"minor": 0.8, "dorian": 0.2}, ("pop", "float"),
        ("techno",), (25, 24), ("sixteenths", "offbeat", "octaves"), (38, 39, 87),
        ("sequence", "stabs", "pad"), (81, 80, 90, 50, 93, 95, 55), (80, 81, 84, 87, 98, 103),
        (0.5, 0.54), 0.5, 0.5, 0.2, (0.3, 0.8), (1.0, 2.0), 0.3, 0.7,
    ),
    "disco": Style(
        (108, 126), _COMMON, _ANY, ("pop", "jazz", "blues"), ("disco",), (0, 8, 16),
        ("octaves", "funk", "eighths"), (33, 36, 34), ("funk", "stabs", "pushes"),
        (28, 4, 48, 61, 0, 7), (48, 61, 73, 66, 56, 80), (0.5, 0.54), 0.5, 4.0, 0.4, (0.4, 0.8),
    ),
    "rock": Style(
        (92, 164), _ODD, {"major": 0.4, "minor": 0.3, "mixolydian": 0.3}, ("pop", "folk", "blues"),
        ("rock",), (0, 8, 16), ("eighths", "roots", "pop"), (33, 34, 35),
        ("eighths", "pushes", "strum", "quarters", "pad"), (27, 29, 30, 29, 18, 0, 25),
        (29, 30, 27, 81, 22, 65, 18), (0.5, 0.5), 1.0, 6.0, 0.05, (0.35, 0.8), (1.0, 0.5, 2.0), 0.8,
    ),
    "pop": Style(
        (84, 130), {"4/4": 0.86, "3/4": 0.04, "6/8": 0.1}, _MAJORISH, ("pop",),
        ("pop", "pop", "house", "rock"), (0, 8, 24, 16), ("pop", "eighths", "roots", "octaves"),
        (33, 34, 38, 39), ("pushes", "quarters", "arp_up", "strum", "pad", "eighths"),
        (0, 2, 4, 25, 27, 48, 88, 89, 5, 62), (80, 0, 73, 11, 81, 54, 85, 10, 27, 65, 79),
        (0.5, 0.56), 0.5, 4.0, 0.2, (0.35, 0.75), (1.0, 1.0, 0.5),
    ),
    "ballad": Style(
        (56, 84), {"4/4": 0.65, "6/8": 0.25, "3/4": 0.1}, _MAJORISH, ("pop", "classical", "float"),
        ("ballad",), (0, 8, 40), ("rootfifth", "roots", "pop"), (32, 33, 35),
        ("arp_up", "quarters", "pad", "picking", "alberti"), (0, 0, 1, 4, 24, 48, 50, 89, 46),
        (73, 68, 40, 42, 65, 0, 71, 60, 52, 26), (0.5, 0.5), 1.0, 8.0, 0.3, (0.1, 0.5),
        (1.0, 0.5), 0.5, 0.97,
    ),
    "funk": Style(
        (92, 116), {"4/4": 0.92, "7/8": 0.05, "5/4": 0.03},
        {"dorian": 0.5, "mixolydian": 0.3, "minor": 0.2}, ("blues", "jazz", "pop"), ("funk",),
        (0, 8), ("funk", "sixteenths"), (33, 36, 37), ("funk", "stabs"), (28, 7, 4, 16, 61, 17),
        (61, 65, 66, 56, 17, 62, 27), (0.5, 0.58), 0.5, 4.0, 0.6, (0.4, 0.9), (1.0, 2.0), 0.7, 0.8,
    ),
    "hiphop": Style(
        (78, 100), _COMMON, _MINORISH, ("jazz", "pop", "float"), ("hiphop",), (0, 8, 25, 24),
        ("pop", "sub", "roots"), (33, 32, 38, 39), ("pushes", "halves", "stabs", "picking"),
        (4, 0, 5, 11, 48, 24, 32, 105), (73, 11, 80, 56, 13, 0, 77, 107, 4), (0.54, 0.62), 0.5,
        7.0, 0.6, (0.15, 0.6), (1.0, 2.0), 0.3,
    ),
    "trap": Style(
        (126, 156), _COMMON, {"minor": 0.85, "dorian": 0.15}, ("pop", "float"), ("trap",),
        (25, 24), ("808", "sub"), (38, 39), ("arp_up", "pad", "halves", "sequence"),
        (10, 14, 46, 88, 91, 0, 98, 52), (80, 9, 14, 79, 108, 82, 11, 96), (0.5, 0.52), 0.5, 1.0,
        0.2, (0.15, 0.5), (1.0, 2.0), 0.3,
    ),
    "dnb": Style(
        (164, 178), _COMMON, _MINORISH, ("float", "pop"), ("dnb",), (24, 16, 8, 0),
        ("sub", "eighths", "octaves"), (38, 39, 87), ("pad", "stabs", "halves", "sequence"),
        (89, 90, 4, 50, 95, 94, 81), (81, 80, 54, 84, 11, 99, 85), (0.5, 0.54), 0.5, 1.5, 0.4,
        (0.15, 0.5), (2.0, 1.0), 0.5,
    ),
    "bossa": Style(
        (108, 148), {"4/4": 0.9, "3/4": 0.1}, {"major": 0.65, "minor": 0.35}, ("jazz",),
        ("bossa",), (40, 32, 0), ("bossa",), (32, 33, 35), ("bossa", "bossa", "jazz"),
        (24, 24, 4, 0, 26, 11), (73, 66, 26, 11, 24, 71, 22), (0.5, 0.5), 1.0, 6.0, 0.7,
        (0.25, 0.65), (1.0, 0.5), 0.3,
    ),
    "latin": Style(
        (88, 116), {"4/4": 0.9, "6/8": 0.1}, _ANY, ("folk", "pop", "jazz"), ("latin",), (0, 8),
        ("tumbao", "bossa"), (32, 33, 35), ("montuno", "pushes", "stabs"), (0, 1, 24, 21, 12),
        (56, 73, 61, 57, 114, 12, 66), (0.5, 0.5), 1.0, 5.0, 0.3, (0.4, 0.8), (1.0, 0.5), 0.5,
    ),
    "waltz": Style(
        (96, 176), {"3/4": 0.85, "6/8": 0.15}, {"major": 0.65, "minor": 0.35},
        ("classical", "folk", "jazz"), ("waltz",), (40, 0, 48), ("rootfifth", "roots", "walk"),
        (32, 43, 58), ("waltz", "waltz", "alberti", "arp_up"), (21, 0, 48, 23, 15, 46, 6),
        (40, 21, 71, 73, 8, 22, 109, 68), (0.5, 0.5), 1.0, 8.0, 0.15, (0.15, 0.6), (1.0, 1.0, 2.0),
        0.3,
    ),
    "folk": Style(
        (84, 138), {"4/4": 0.55, "3/4": 0.2, "6/8": 0.2, "5/4": 0.03, "7/8": 0.02},
        {"major": 0.5, "dorian": 0.2, "mixolydian": 0.2, "minor": 0.1}, ("folk",),
        ("folk", "folk", "march"), (0, 40, 48), ("rootfifth", "pop", "roots"), (32, 33, 43),
        ("strum", "picking", "strum"), (25, 24, 105, 15, 21, 108),
        (40, 110, 74, 22, 75, 72, 109, 106, 107, 24), (0.5, 0.56), 1.0, 8.0, 0.05, (0.35, 0.85),
        (1.0, 0.5), 0.3,
    ),
    "reggae": Style(
        (64, 92), _COMMON, _ANY, ("pop", "folk"), ("reggae",), (0, 8), ("dub",), (33, 34, 32),
        ("skank",), (16, 27, 28, 17, 0, 19), (56, 17, 22, 65, 57, 82, 114), (0.5, 0.64), 0.5, 6.0,
        0.1, (0.2, 0.6), (1.0, 0.5), 0.4,
    ),
    "swing": Style(
        (104, 210), {"4/4": 0.88, "3/4": 0.08, "5/4": 0.04}, {"major": 0.6, "minor": 0.4},
        ("jazz", "jazz", "blues"), ("swing",), (32, 40), ("walk", "walk", "roots"), (32, 32, 35),
        ("jazz",), (0, 26, 4, 16, 11), (66, 65, 56, 59, 11, 71, 26, 0, 57, 64), (0.6, 0.68), 1.0,
        8.0, 0.8, (0.3, 0.8), (1.0, 0.5), 0.3,
    ),
    "chamber": Style(
        (60, 126), {"4/4": 0.5, "3/4": 0.28, "6/8": 0.14, "5/4": 0.05, "7/8": 0.03},
        {"major": 0.55, "minor": 0.45}, ("classical",), ("march", "soft"), (48, 48),
        ("roots", "rootfifth", "eighths"), (43, 42, 58, 70, 45),
        ("alberti", "arp_up", "pad", "quarters"), (48, 46, 6, 0, 49, 19, 20, 45, 44),
        (40, 41, 42, 68, 71, 73, 60, 56, 69, 70, 72),
        (0.5, 0.5), 1.0, 9.0, 0.05, (0.2, 0.7), (1.0, 0.5), 0.2, 0.97,
    ),
    "cinematic": Style(
        (70, 140), {"4/4": 0.6, "3/4": 0.12, "6/8": 0.15, "5/4": 0.07, "7/8": 0.06}, _MINORISH,
        ("pop", "float", "classical"), ("march", "soft", "techno"), (48, 16), ("roots", "eighths"),
        (43, 42, 58, 38), ("pad", "eighths", "arp_up"), (48, 49, 52, 61, 44, 50, 51, 91, 53),
        (60, 61, 40, 42, 56, 52, 68, 78, 111), (0.5, 0.5), 1.0, 8.0, 0.2, (0.1, 0.5), (1.0, 2.0),
        0.5, 0.98,
    ),
    "ambient": Style(
        (58, 96), {"4/4": 0.75, "3/4": 0.1, "6/8": 0.1, "5/4": 0.05}, _ANY, ("float",), ("soft",),
        (25, 40, 48), ("roots",), (39, 89, 32, 43), ("pad", "arp_up", "halves", "picking"),
        (88, 89, 91, 92, 93, 94, 95, 97, 99, 101, 102, 100),
        (79, 98, 11, 8, 46, 104, 77, 96, 103, 14, 112),
        (0.5, 0.5), 1.0, 10.0, 0.6, (0.0, 0.35), (2.0, 1.0), 0.1, 0.99,
    ),
    "world": Style(
        (80, 132), {"4/4": 0.5, "7/8": 0.18, "6/8": 0.2, "5/4": 0.12},
        {"minor": 0.4, "dorian": 0.3, "mixolydian": 0.3}, ("folk", "float"),
        ("latin", "folk", "soft"), (0, 48), ("rootfifth", "roots", "tumbao"), (32, 35, 43, 117),
        ("picking", "arp_up", "strum"), (107, 104, 106, 12, 108, 15, 24, 114, 13),
        (75, 77, 104, 111, 109, 76, 107, 110, 20), (0.5, 0.55), 1.0, 7.0, 0.1, (0.3, 0.8),
        (1.0, 2.0), 0.3,
    ),
}  # fmt: skip

# Now and then a part is played on something the style does not expect, so that no condition
# predicts another exactly. Sound effects (120-127) carry no usable pitch and stay out.
WILD_PROGRAMS: dict[str, tuple[int, ...]] = {
    "drums": (0, 8, 16, 24, 25, 32, 40, 48),
    "bass": (*range(32, 40), 43, 58, 67, 70, 87),
    "chords": (*range(32), *range(44, 53), *range(88, 104)),
    "lead": (*range(31), *range(40, 43), *range(52, 112), 112, 114),
}

# Which roles sound together, with their weights.
ROLE_SETS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("drums", "bass", "chords", "lead"), 0.40),
    (("drums", "bass", "chords"), 0.12),
    (("drums", "bass"), 0.06),
    (("drums",), 0.08),
    (("chords",), 0.06),
    (("lead",), 0.03),
    (("bass",), 0.02),
    (("chords", "lead"), 0.08),
    (("bass", "chords", "lead"), 0.05),
    (("bass", "chords"), 0.03),
    (("drums", "chords"), 0.03),
    (("drums", "lead"), 0.02),
    (("bass", "lead"), 0.02),
)
