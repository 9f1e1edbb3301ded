"""The words a prompt may hold and what they ask for. Phrases of several words come first."""

from __future__ import annotations

from engine.sketch.score import MODES, ROLES
from engine.sketch.styles import MOODS, STYLES

STYLE_WORDS: dict[str, str] = {name: name for name in STYLES} | {
    "deep house": "house", "tech house": "house", "four on the floor": "house", "edm": "house",
    "dance": "house", "club": "house", "electronic": "house", "garage": "house",
    "electro": "techno", "trance": "techno", "industrial": "techno", "rave": "techno",
    "boogie": "disco", "nu disco": "disco", "indie rock": "rock", "hard rock": "rock",
    "punk": "rock", "metal": "rock", "grunge": "rock", "indie": "rock", "blues": "rock",
    "synth pop": "pop", "synthpop": "pop", "synthwave": "pop", "pop rock": "pop", "k pop": "pop",
    "power ballad": "ballad", "slow song": "ballad", "love song": "ballad", "gospel": "ballad",
    "funky": "funk", "soul": "funk", "rnb": "funk", "r&b": "funk", "groovy": "funk",
    "hip hop": "hiphop", "boom bap": "hiphop", "rap": "hiphop",
    "lofi": "hiphop", "lo fi": "hiphop", "trip hop": "hiphop",
    "drill": "trap", "drum and bass": "dnb", "drum & bass": "dnb", "drum n bass": "dnb",
    "jungle": "dnb", "breakbeat": "dnb", "liquid": "dnb", "bossa nova": "bossa",
    "samba": "latin", "salsa": "latin", "reggaeton": "latin", "cumbia": "latin",
    "afrobeat": "latin", "tango": "latin", "country": "folk", "celtic": "folk",
    "irish": "folk", "bluegrass": "folk", "singer songwriter": "folk", "dub": "reggae",
    "ska": "reggae", "jazz": "swing", "jazz waltz": "waltz", "jazzy": "swing",
    "bebop": "swing", "big band": "swing",
    "swinging": "swing", "classical": "chamber", "baroque": "chamber", "orchestral": "chamber",
    "orchestra": "chamber", "string quartet": "chamber", "film": "cinematic",
    "film score": "cinematic", "soundtrack": "cinematic", "epic": "cinematic",
    "trailer": "cinematic", "new age": "ambient", "chillout": "ambient", "chill": "ambient",
    "drone": "ambient", "meditation": "ambient", "oriental": "world", "african": "world",
    "indian": "world", "balkan": "world", "ethnic": "world",
}  # fmt: skip

MOOD_WORDS: dict[str, str] = {mood: mood for mood in MOODS} | {
    "joyful": "happy", "cheerful": "happy", "bright": "happy", "sunny": "happy",
    "uplifting": "happy", "playful": "happy", "melancholic": "sad", "melancholy": "sad",
    "sorrowful": "sad", "emotional": "sad", "tender": "sad", "relaxed": "calm",
    "relaxing": "calm", "peaceful": "calm", "gentle": "calm", "soft": "calm", "quiet": "calm",
    "mellow": "calm", "energy": "energetic", "driving": "energetic", "powerful": "energetic",
    "aggressive": "energetic", "heavy": "energetic", "intense": "energetic",
    "upbeat": "energetic", "exciting": "energetic", "gloomy": "dark", "moody": "dark",
    "tense": "dark", "mysterious": "dark", "ominous": "dark", "dream": "dreamy",
    "ethereal": "dreamy", "floating": "dreamy", "atmospheric": "dreamy", "spacey": "dreamy",
    "nostalgic": "dreamy", "romantic": "dreamy",
}  # fmt: skip

# Where in a style's range of tempos a word points, 0 its slow end and 1 its fast one.
PACE_WORDS: dict[str, float] = {
    "very slow": 0.0, "slow": 0.12, "downtempo": 0.15, "laid back": 0.25, "mid tempo": 0.5,
    "midtempo": 0.5, "medium": 0.5, "moderate": 0.5, "uptempo": 0.85, "up tempo": 0.85,
    "fast": 0.9, "quick": 0.85, "very fast": 1.0,
}  # fmt: skip

MODE_WORDS: dict[str, str] = {mode: mode for mode in MODES} | {"maj": "major", "min": "minor"}

ROLE_WORDS: dict[str, str] = {role: role for role in ROLES} | {
    "drum": "drums", "beat": "drums", "percussion": "drums", "drum kit": "drums",
    "drum loop": "drums", "drum beat": "drums", "drum groove": "drums", "bassline": "bass",
    "bass line": "bass", "chord": "chords", "harmony": "chords", "comping": "chords",
    "melody": "lead", "solo line": "lead", "lead line": "lead", "tune": "lead",
}  # fmt: skip

# These name a role and leave no doubt that nothing else is wanted.
ALONE_PHRASES = ("drum loop", "drum beat", "drum groove", "bassline", "bass line")

INSTRUMENT_WORDS: dict[str, tuple[str, int]] = {
    "piano": ("chords", 0), "grand piano": ("chords", 0), "honky tonk": ("chords", 3),
    "electric piano": ("chords", 4), "rhodes": ("chords", 4), "keys": ("chords", 4),
    "wurlitzer": ("chords", 5), "harpsichord": ("chords", 6), "clavinet": ("chords", 7),
    "clav": ("chords", 7), "celesta": ("lead", 8), "glockenspiel": ("lead", 9),
    "bells": ("lead", 14), "music box": ("lead", 10), "vibraphone": ("lead", 11),
    "vibes": ("lead", 11), "marimba": ("chords", 12), "xylophone": ("lead", 13),
    "dulcimer": ("chords", 15), "organ": ("chords", 16), "hammond": ("chords", 16),
    "rock organ": ("chords", 18), "church organ": ("chords", 19), "accordion": ("chords", 21),
    "harmonica": ("lead", 22), "bandoneon": ("chords", 23), "guitar": ("chords", 25),
    "acoustic guitar": ("chords", 25), "nylon guitar": ("chords", 24),
    "classical guitar": ("chords", 24), "electric guitar": ("chords", 27),
    "clean guitar": ("chords", 27), "jazz guitar": ("chords", 26), "muted guitar": ("chords", 28),
    "distorted guitar": ("chords", 30), "overdriven guitar": ("chords", 29),
    "power chords": ("chords", 30), "lead guitar": ("lead", 29), "double bass": ("bass", 32),
    "upright bass": ("bass", 32), "acoustic bass": ("bass", 32), "bass guitar": ("bass", 33),
    "electric bass": ("bass", 33), "picked bass": ("bass", 34), "fretless bass": ("bass", 35),
    "slap bass": ("bass", 36), "synth bass": ("bass", 38), "sub bass": ("bass", 39),
    "violin": ("lead", 40), "fiddle": ("lead", 110), "viola": ("lead", 41), "cello": ("lead", 42),
    "strings": ("chords", 48), "string ensemble": ("chords", 48), "pizzicato": ("chords", 45),
    "harp": ("chords", 46), "choir": ("chords", 52), "voices": ("chords", 52),
    "trumpet": ("lead", 56), "trombone": ("lead", 57), "tuba": ("bass", 58),
    "muted trumpet": ("lead", 59), "french horn": ("lead", 60), "horn": ("lead", 60),
    "horns": ("chords", 61), "brass": ("chords", 61), "soprano sax": ("lead", 64),
    "alto sax": ("lead", 65), "sax": ("lead", 66), "saxophone": ("lead", 66),
    "tenor sax": ("lead", 66), "oboe": ("lead", 68), "bassoon": ("bass", 70),
    "clarinet": ("lead", 71), "piccolo": ("lead", 72), "flute": ("lead", 73),
    "recorder": ("lead", 74), "pan flute": ("lead", 75), "whistle": ("lead", 78),
    "ocarina": ("lead", 79), "synth": ("chords", 81), "synth lead": ("lead", 80),
    "square lead": ("lead", 80), "saw lead": ("lead", 81), "pad": ("chords", 89),
    "pads": ("chords", 89), "synth pad": ("chords", 89), "warm pad": ("chords", 89),
    "sitar": ("lead", 104), "banjo": ("chords", 105), "shamisen": ("lead", 106),
    "koto": ("chords", 107), "kalimba": ("chords", 108), "bagpipe": ("lead", 109),
    "bagpipes": ("lead", 109), "shakuhachi": ("lead", 77), "steel drums": ("lead", 114),
    "steel drum": ("lead", 114), "808": ("drums", 25), "909": ("drums", 24),
    "drum machine": ("drums", 25), "brushes": ("drums", 40), "orchestral percussion": ("drums", 48),
}  # fmt: skip

ONLY_WORDS = ("solo", "only", "just", "alone", "unaccompanied")
NOT_WORDS = ("no", "without", "minus")

# Understood, and asking for nothing that changes a sketch.
PLAIN_WORDS = frozenset((
    "a", "an", "and", "the", "of", "in", "at", "with", "on", "for", "to", "from", "by", "some",
    "very", "plus", "style", "styled", "like", "sounding", "sound", "music", "song", "track",
    "piece", "loop", "groove", "riff", "feel", "vibe", "mood", "tempo", "time", "key", "bpm",
    "bars", "instrumental", "band", "full", "please", "make", "give", "me", "it", "is", "my",
    "backing", "accompaniment", "bar", "&",
))  # fmt: skip
