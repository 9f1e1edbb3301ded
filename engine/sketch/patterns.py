"""Pattern tables on a grid of sixteenth notes; `grid` fits them to any metre.

A 4/4 bar has 16 steps, 3/4 and 6/8 have 12. Every table gives patterns for "4/4", for "7/8" and
"5/4" (in `odd_metres`), and for "3/4" and "6/8" where a style is played in them; other metres are
fitted from these.
Drum marks: X accent, x normal, o ghost, ? sometimes, O (in hat lines) the open hat, . rest.
"""

from __future__ import annotations

from engine.sketch import odd_metres

DRUM_PITCHES: dict[str, int] = {
    "K": 36, "S": 38, "R": 37, "C": 39, "H": 42, "P": 44, "O": 46, "Y": 51, "B": 53, "Z": 49,
    "T": 45, "M": 47, "U": 50, "F": 41, "A": 70, "W": 54, "D": 75, "E": 56, "G": 63, "g": 62,
    "L": 64, "c": 76,
}  # fmt: skip

# Each groove: "instrument:steps" joined by spaces. Two grooves in one entry are variants.
DRUMS: dict[str, dict[str, tuple[str, ...]]] = {
    "house": {
        "4/4": (
            "K:X...X...X...X... C:....X.......X... H:x.x.x.x.x.x.x.x. O:..X...X...X...X.",
            "K:X...X...X...X... C:....X.......X... A:xoxoxoxoxoxoxoxo O:..X...X...X...X.",
            "K:X...X...X...X.?. S:....X.......X..? H:xoXoxoXoxoXoxoXo E:..o..o....o..o..",
            "K:X...X...X...X... C:....X.......X... R:...o..o....o..?. H:..X...X...X...X.",
        ),
    },
    "techno": {
        "4/4": (
            "K:X...X...X...X... H:..X...X...X...X. R:...x..x...x..?..",
            "K:X...X...X...X... H:xoxoxoxoxoxoxoxo C:....X.......X... L:..x..x....x.x...",
            "K:X...X...X...X..? O:..X...X...X...X. H:xxxxxxxxxxxxxxxx S:....o..o.....o..",
        ),
    },
    "rock": {
        "4/4": (
            "K:X.......X.x..... S:....X.......X... H:X.x.X.x.X.x.X.x.",
            "K:X.....x.X....... S:....X.......X... H:X.x.X.x.X.x.X.x.",
            "K:X..x..x..xX..... S:....X..o....X... H:X.x.X.x.X.x.X.X.",
            "K:X.x...x.X.x..... S:....X.......X..o Y:X.x.X.x.X.x.X.x.",
            "K:X.......X....... S:....X.......X... O:X...X...X...X...",
        ),
        "3/4": (
            "K:X.....x..... S:....X...X... H:X.x.X.x.X.x.",
            "K:X.......x... S:......X..... H:X.x.X.x.X.x.",
        ),
        "6/8": (
            "K:X.....?..... S:......X..... H:X.x.x.X.x.x.",
            "K:X...x...x... S:......X..... Y:X.x.x.X.x.x.",
        ),
    },
    "pop": {
        "4/4": (
            "K:X.....x.X....... S:....X.......X... H:x.x.x.x.x.x.x.x.",
            "K:X.....x...x..... S:....X.......X... H:xoxoxoxoxoxoxoxo",
            "K:X...X...X...X... S:....X.......X... H:x.x.x.x.x.x.x.X.",
            "K:X..x..X....x.... C:....X.......X... H:x.x.x.x.x.x.x.x. W:....x.......x...",
            "K:X.....x.X.x..... R:....X.......X... H:x.o.x.o.x.o.x.o.",
        ),
        "3/4": ("K:X.....x..... S:....x...X... H:x.x.x.x.x.x.",),
        "6/8": ("K:X.........x. S:......X..... H:x.o.o.x.o.o.",),
    },
    "ballad": {
        "4/4": (
            "K:X.........x..... S:........X....... H:x.x.x.x.x.x.x.x.",
            "K:X.....x.X....... R:....X.......X... H:x...x...x...x...",
            "K:X.......X....... S:....X.......X... Y:x.o.x.o.x.o.x.o.",
        ),
        "3/4": ("K:X........... R:........x... H:x...x...x...",),
        "6/8": (
            "K:X.........x. S:......X..... H:x.o.o.x.o.o.",
            "K:X........... R:......X..... Y:x.o.o.x.o.o.",
        ),
    },
    "funk": {
        "4/4": (
            "K:X..x..x...x..x.. S:....X..o.o..X..o H:xoxoxoxoxoxoxoxo",
            "K:X.x.......xx.... S:..o.X..o.o..X.o. H:x.x.x.x.x.x.x.X.",
            "K:X..X......X..x.. S:....X..o....X..o H:X.x.X.x.X.xXX.x.",
            "K:X.....x..x...... S:....X.......X.o. H:xoxxxoxxxoxxxoxx E:X...x...x...x...",
        ),
    },
    "disco": {
        "4/4": (
            "K:X...X...X...X... S:....X.......X... H:xoX.xoX.xoX.xoX. O:..X...X...X...X.",
            "K:X...X...X...X... S:....X.......X... W:x.x.x.x.x.x.x.x. G:..x..x....x..x..",
        ),
    },
    "hiphop": {
        "4/4": (
            "K:X..x......x..... S:....X.......X... H:x.x.x.x.x.x.x.x.",
            "K:X......x.xx..... S:....X.......X..o H:x.x.x.xxx.x.x.x.",
            "K:X.....x..x...... C:....X.......X... H:x.xxx.x.x.xxx.x.",
            "K:X..x..x......x.. S:....X.......X... H:xoxoxoxoxoxoxoxo",
        ),
    },
    "trap": {
        "4/4": (
            "K:X.....x...x..... C:........X....... H:x.x.x.x.x.xxx.xx",
            "K:X......x..x...x. C:........X....... H:x.xxx.x.xxxxx.x. O:......x.........",
            "K:X..X.......X.... S:........X....... H:xxx.x.x.xxx.xxxx R:....o.........o.",
        ),
    },
    "dnb": {
        "4/4": (
            "K:X.........x..... S:....X.......X... H:x.x.x.x.x.x.x.x.",
            "K:X.x.......X..... S:....X..o.o..X..o H:x.x.x.x.x.x.x.x.",
            "K:X.........x..... S:....X.....o.X.o. Y:x.x.x.x.x.x.x.x.",
            "K:X.x.......xx.... S:....X..x.x..X..x H:xoxoxoxoxoxoxoxo",
        ),
    },
    "bossa": {
        "4/4": (
            "K:X.....xxX.....xx R:X.....x.....x... H:xoxoxoxoxoxoxoxo",
            "K:X.....x.X.....x. R:X.....x...x..... A:xoxoxoxoxoxoxoxo",
            "K:X.....x.X.....x. D:X.....x.....x... P:....x.......x... A:xoxoxoxoxoxoxoxo",
        ),
        "3/4": ("K:X.....x..... R:x...x.....x. A:xoxoxoxoxoxo",),
    },
    "latin": {
        "4/4": (
            "K:X.....x.X.....x. D:X..x..x...x.x... G:..x...xx..x...xx E:X...x...X...x...",
            "K:......X.......X. L:..x...xx..x...xx R:...x..x.....x... A:xoxoxoxoxoxoxoxo",
            "K:X...X...X...X... W:x.x.x.x.x.x.x.x. G:x..x..xx..x.x..x S:......x.......x.",
        ),
        "6/8": ("K:X.....X..... D:x.x..x.x.x.. G:..x.xx..x.xx A:x.x.x.x.x.x.",),
    },
    "waltz": {
        "3/4": (
            "K:X........... S:....o...o... Y:x...x...x...",
            "K:X........... R:....x...x... H:x...x...x.o.",
            "K:X........... P:....x...x... Y:x...x.o.x...",
        ),
        "6/8": ("K:X........... R:......x..... Y:x.o.o.x.o.o.",),
        "4/4": ("K:X.......X....... R:....x.......x... Y:x...x.o.x...x.o.",),
    },
    "folk": {
        "4/4": (
            "K:X.......X....... S:....o.......o... W:..x...x...x...x.",
            "K:X...X...X...X... R:..x...x...x...x. A:x.x.x.x.x.x.x.x.",
            "K:X.......X..x.... W:....X.......X... A:xoxoxoxoxoxoxoxo",
        ),
        "3/4": ("K:X........... W:....x...x... A:x.x.x.x.x.x.",),
        "6/8": (
            "K:X.....X..... W:....x.....x. A:x.o.o.x.o.o.",
            "F:X...x.X...x. W:......X.....",
        ),
    },
    "reggae": {
        "4/4": (
            "K:........X....... R:........X....... H:x.x.x.x.x.x.x.x.",
            "K:X...X...X...X... S:........X....... H:..x...x...x...x.",
            "K:........X....... S:........X.....o. H:x.oxx.oxx.oxx.ox",
        ),
    },
    "swing": {
        "4/4": (
            "Y:X...x.x.X...x.x. P:....X.......X... K:o...o...o...o...",
            "Y:X...x.x.X...x.x. P:....X.......X... S:......o.......?. K:o.......o.......",
            "Y:X...x.x.X...x.x. P:....X.......X... S:..?...o...o....? K:....?.....o.....",
            "H:X...x.x.X...x.x. R:............x... K:o...o...o...o...",
        ),
        "3/4": ("Y:X...x.x.x... P:....X...x... S:......?..... K:o...........",),
    },
    "march": {
        "4/4": (
            "K:X.......X....... S:x..xx.xxx..xx.xx Z:............?...",
            "F:X.......X.x..... S:..x...x...x.x.x.",
        ),
        "3/4": ("F:X.....x..... S:....x.x.x...",),
        "6/8": ("K:X.....X..... S:x..xx.x.xxx.",),
    },
    "soft": {
        "4/4": (
            "A:x...o...x...o... L:X.......x.....o.",
            "Y:x.......o....... K:X...............",
            "A:x.o.x.o.x.o.x.o. R:........x.......",
        ),
        "3/4": ("A:x...o...o... L:X...........", "Y:x.......o... K:X..........."),
        "6/8": ("A:x.....o..... L:X.......o...",),
    },
}

# Fills replace the end of a phrase's last bar. Keyed by the number of steps they take.
FILLS: dict[int, tuple[str, ...]] = {
    4: ("S:xxxX", "S:x.xX", "U:x... M:.x.. T:..xX", "S:oxxX", "C:x.xx"),
    8: (
        "S:x.x.xxxX K:X...X...",
        "U:x.x..... M:....x... T:......xX K:X...X...",
        "S:xx...... U:..xx.... M:....xx.. T:......XX",
        "S:x..x..xX K:..x..x..",
        "S:oxoxxxXX",
    ),
    16: (
        "S:x.x.x.x.xxxxxxXX K:X...X...X...X...",
        "S:xxxx............ U:....xxxx........ M:........xxxx.... T:............XXXX",
        "T:x..x..x......... M:.........x..x... U:.............xX. K:X...X...X...X...",
    ),
}

# R root, r short soft root, O octave above, 5 fifth, 3 third, 7 seventh, a approach to the next
# chord's root, - hold, . rest.
BASS: dict[str, dict[str, tuple[str, ...]]] = {
    "roots": {
        "4/4": ("R---------------", "R-------R-------", "R-----R-R-------"),
        "3/4": ("R-----------", "R-------5---"),
        "6/8": ("R-----------", "R-----R-----", "R-----5-----"),
    },
    "eighths": {
        "4/4": ("R.R.R.R.R.R.R.R.", "R-R-R-R-R-R-5-a-", "R-R-R-R-R-R-R-O-", "R-R-rrR-R-R-rra-"),
        "3/4": ("R-R-R-R-R-R-", "R-R-R-R-5-a-"),
        "6/8": ("R-R-R-R-R-R-", "R---R-5---a-"),
    },
    "pop": {
        "4/4": ("R-----R-R---..a-", "R--R--R-R--5--a-", "R-----5-R-----a-", "R---..R-R-5-..R-"),
        "3/4": ("R-----R-5---", "R---..R-5-a-"),
        "6/8": ("R---R-5---a-", "R-----5---R-"),
    },
    "rootfifth": {
        "4/4": ("R---....5---....", "R---R---5---5---", "R-------5-----a-"),
        "3/4": ("R---........", "R-------....", "R---....5---"),
        "6/8": ("R---..5---..", "R-----5-----"),
    },
    "octaves": {"4/4": ("R-O-R-O-R-O-R-O-", "R.O.R.O.R.O.a.O.", "R-.OR-.OR-.OR-.O")},
    "offbeat": {"4/4": ("..R-..R-..R-..R-", "..RR..RR..RR..RR", "..R...R...RO..R.")},
    "sixteenths": {"4/4": ("R.RRR.RRR.RRR.RR", "R.r3r.5rR.r3r.5a", "RRORRORRORRORORR")},
    "funk": {
        "4/4": ("R..R..O.r.R..5.a", "R.r.O..R...7R..a", "R--.rO..R-.5r.7O", "R.R..r7.R..r5.a.")
    },
    "dub": {
        "4/4": ("....R-R-..5-R---", "R--.R--.5--.3--.", "..R-R-..R-5-3-..", "R---....R-R-5-..")
    },
    "bossa": {
        "4/4": ("R-----5-5-----R-", "R-----R-5-----5-", "R-----5-O-----5-"),
        "3/4": ("R-----5-5-a-",),
    },
    "tumbao": {
        "4/4": ("......5-....O---", "R-....5-....O---"),
        "6/8": ("R---5-..O---",),
    },
    "sub": {
        "4/4": ("R-----------R---", "R-----R-----....", "R---------......", "R--R------R-..O-")
    },
    "808": {"4/4": ("R-----R---R-----", "R------R--R---O-", "R-----......R-a-")},
    "walk": {"4/4": ("w---w---w---w---",), "3/4": ("w---w---w---",)},
}

# X accent, x normal, s short stab, - hold, . rest; digits play single notes of the voicing.
COMP: dict[str, dict[str, tuple[str, ...]]] = {
    "pad": {"4/4": ("X---------------",), "3/4": ("X-----------",), "6/8": ("X-----------",)},
    "halves": {"4/4": ("X-------x-------",), "3/4": ("X-------x---",), "6/8": ("X-----x-----",)},
    "quarters": {
        "4/4": ("X---x---x---x---", "X--.x--.x--.x--."),
        "3/4": ("X---x---x---",),
        "6/8": ("X---x-x---x-",),
    },
    "eighths": {
        "4/4": ("X-x-x-x-x-x-x-x-", "X.x.X.x.X.x.X.x."),
        "3/4": ("X-x-x-x-x-x-",),
        "6/8": ("X-x-x-X-x-x-",),
    },
    "pushes": {
        "4/4": ("X-----x---x-....", "X--x--x---x-x---", "X-----X---------", "x-..x-X---..x-x-"),
        "3/4": ("X-----x-x---",),
        "6/8": ("X---x-X---..",),
    },
    "stabs": {
        "4/4": ("..s...s...s...s.", "..s..s....s..s..", "s..s..s..s..s.s.", "...s..s....s..s.")
    },
    "funk": {
        "4/4": ("..s.s..s..s.s...", "s..ss..s.s..s.ss", "....s..s..s.s..s", "..s...ss..s...s.")
    },
    "skank": {"4/4": ("....s.......s...", "..s...s...s...s.", "....ss......ss..")},
    "bossa": {
        "4/4": ("x-..x-..x-.x-..x", "X--x--x---x--x--", "..x-..x--.x-..x-"),
        "3/4": ("x-..x-.x-...",),
    },
    "montuno": {"4/4": ("0.12.10.1.12.10.", "3.10.31.0.31.01.")},
    "jazz": {
        "4/4": (
            "x-....s.........",
            "......x-......s.",
            "x-....x-........",
            "..x-......s.....",
            "....s.....x-....",
        ),
        "3/4": ("..x-....s...", "x-....x-...."),
    },
    "waltz": {
        "3/4": ("....x-..x-..", "....x---x---"),
        "6/8": ("....x-....x-",),
        "4/4": ("....x-......x-..",),
    },
    "strum": {
        "4/4": ("X---x-x-..x-x-x-", "X-x-x-xxX-x-x-xx", "X---X-x-X---X-x-"),
        "3/4": ("X---x-x-x-x-", "X---x---x-x-"),
        "6/8": ("X-x-x-X-x-x-", "X---x-X---x-"),
    },
    "arp_up": {
        "4/4": ("0-1-2-3-2-1-2-1-", "0123012301230123", "0-1-2-3-0-1-2-3-", "0---1---2---3---"),
        "3/4": ("0-1-2-3-2-1-", "0-2-1-2-1-2-"),
        "6/8": ("0-1-2-3-2-1-", "0-1-2-0-1-2-"),
    },
    "alberti": {
        "4/4": ("0-2-1-2-0-2-1-2-", "0212021202120212"),
        "3/4": ("0-2-1-2-1-2-",),
        "6/8": ("0-1-2-0-1-2-",),
    },
    "picking": {
        "4/4": ("0-2-1-3-0-2-1-3-", "0---2-1-3-1-2-1-", "0-1-3-2-0-1-3-2-"),
        "3/4": ("0-2-3-2-1-2-", "0---2-3-2-1-"),
        "6/8": ("0-2-3-1-2-3-", "0-1-2-3-2-1-"),
    },
    "sequence": {
        "4/4": ("0.2.4.2.0.2.5.2.", "024302430243024x", "0.30.20.30.20.10", "00.0.20.0.40.30.")
    },
}

# x starts a note, - holds it, . rests. Density rises down each list.
MELODY: dict[str, tuple[str, ...]] = {
    "4/4": (
        "x-------x-------", "x-----------x---", "x-----x---------", "..x-----x-------",
        "x---x---x-------", "x-----x-x---x---", "x---x-x-x-------", "..x-x-x-x-------",
        "x-x-x---x-x-x---", "x--x--x---x-x---", "x-x-x-x-x---x---", "x---x-x-x-x-x---",
        "..x-x-x-..x-x-x-", "x--x--x-x--x--x-", "x-x-x-x-x-x-x---", "x-xxx-x-x-x-x---",
        "x.xx..x.xx.x..x.", "xxx-x-xxx-x-x-x-", "x-xxx-xxx-xxx---",
    ),
    "3/4": (
        "x-----------", "x-------x---", "x---x-------", "x-----x-x---", "x---x---x---",
        "x---x-x-x---", "x-x-x---x---", "x-x-x-x-x---", "..x-x-x-x-x-", "x-xxx-x-x-x-",
    ),
    "6/8": (
        "x-----------", "x-----x-----", "x---x-x-----", "x-----x---x-", "x---x-x---x-",
        "x-x-x-x-----", "x-x-x-x---x-", "x---x-x-x-x-", "x-x-x-x-x-x-", "x-x-xxx-x-x-",
    ),
}  # fmt: skip

for _ours, _odd in (
    (DRUMS, odd_metres.DRUMS), (BASS, odd_metres.BASS), (COMP, odd_metres.COMP),
):  # fmt: skip
    for _name, _patterns in _odd.items():
        _ours[_name].update(_patterns)
MELODY.update(odd_metres.MELODY)
