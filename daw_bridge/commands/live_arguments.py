"""The flags of the commands that go on until they are ended: `capture`, `play` and `watch`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_capture(command: argparse.ArgumentParser) -> None:
    """Flags of `capture`."""
    command.add_argument("--port", metavar="NAME", help="MIDI input, or a part of its name")
    command.add_argument("--list", action="store_true", help="list the MIDI inputs")
    command.add_argument(
        "--bpm", metavar="B", help="the host's tempo; without it the port's MIDI clock is followed"
    )
    command.add_argument("--metre", metavar="4/4", default="4/4", help="time signature")
    command.add_argument(
        "--bars",
        metavar="N",
        help="length; else until Ctrl-C, until the host stops, or for ten minutes",
    )
    command.add_argument(
        "--count-in", metavar="BARS", default="1", help="bars before the first one [1]"
    )
    command.add_argument(
        "--quantise",
        metavar="1/16",
        help="move notes to the nearest such note value; else they stay as they were played",
    )
    command.add_argument(
        "--wait", metavar="S", default="60", help="how long to wait for the host's start [60]"
    )
    command.add_argument("--out", type=Path, metavar="OUT.mid", help="the melody")
    command.add_argument("--force", action="store_true", help="replace a file that exists")
    command.add_argument(
        "accompany",
        nargs="*",
        metavar="-- FLAGS",
        help="after --: the flags of the command melody, which is then run on what was played",
    )


def add_play(command: argparse.ArgumentParser) -> None:
    """Flags of `play`."""
    command.add_argument("take", metavar="TAKE|IN.wav", nargs="?", help="take, or an audio file")
    command.add_argument("--stem", metavar="NAME", help="a stem of the take; else its main file")
    command.add_argument("--device", metavar="NAME", help="audio output, its number or a part of "
                         "its name")  # fmt: skip
    command.add_argument("--list", action="store_true", help="list the audio outputs")
    command.add_argument("--loop", action="store_true", help="repeat without a gap until Ctrl-C")
    command.add_argument("--rounds", metavar="N", help="repeat so many times without a gap")
    command.add_argument("--gain-db", metavar="DB", default="0", help="level, -80 to 12 [0]")
    command.add_argument(
        "--start-at", metavar="S", help="begin at this second of the system's clock (Unix time)"
    )
    command.add_argument(
        "--bpm", metavar="B", help="begin on a bar line of this tempo, with --since"
    )
    command.add_argument("--metre", metavar="4/4", default="4/4", help="time signature of the bars")
    command.add_argument(
        "--since", metavar="S", help="second of the system's clock at which a bar began"
    )
    command.add_argument(
        "--at-beat", metavar="N", help="begin at this beat of the song that the MIDI clock follows"
    )
    command.add_argument("--port", metavar="NAME", help="MIDI input with the host's clock")
    command.add_argument(
        "--wait", metavar="S", default="60", help="how long to wait for the host's start [60]"
    )


def add_watch(watch: argparse.ArgumentParser) -> None:
    """The flags of `watch`."""
    watch.add_argument(
        "folders",
        nargs="+",
        metavar="FOLDER",
        help="what is dropped here is worked on: groove.extend-4bars-120bpm.wav, or any clip with "
        "a groove.json beside it or a daw-bridge.toml in the folder",
    )
    watch.add_argument(
        "--settle", metavar="S", default=2.0, help="time a file has to stay as it is [2 s]"
    )
    watch.add_argument("--once", action="store_true", help="end when nothing is left to do")
