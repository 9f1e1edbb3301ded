"""What is typed: bad input is one clear line, and every field of a request has its flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from daw_bridge import __version__
from daw_bridge.cli import main
from engine.spec import FIELDS, TASKS, RenderRequest
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "COMMAND"),
        (("extnd",), "invalid choice: 'extnd'"),
        (("extend", "{clip}", "--seconds", "6", "--colour", "red"), "--colour red"),
        (("extend", "{clip}"), "give either seconds or bars"),
        (("extend", "{clip}", "--seconds", "6", "--bars", "2"), "give either seconds or bars"),
        (("extend", "{clip}", "--seconds", "6", "--bpm", "3159345"), "it must be 20 to 400 bpm"),
        (("extend", "{clip}", "--seconds", "6", "--variation", "-1"), "it must be 0 to 1"),
        (("extend", "{clip}", "--seconds", "6", "--side", "left"), "one of end, start"),
        (("extend", "nothing.wav", "--seconds", "6"), "there is no file 'nothing.wav'"),
        (("extend", "{clip}", "--seconds", "6", "--out", "x.mp3"), "it must end in .wav"),
        (("extend", "{clip}", "--seconds", "6", "--out", "none/x.wav"), "no folder 'none'"),
        (("extend", "x" * 300 + ".wav", "--seconds", "6"), "File name too long"),
        (("extend", "~no-such-user/x.wav", "--seconds", "6"), "is no path"),
        (("extend", "{clip}", "--seconds", "6", "--out", "x" * 300 + ".wav"), "too long"),
        (("loop", "{clip}"), "give the number of bars"),
        (("inpaint", "{clip}", "--start", "2", "--end", "1"), "before its start"),
        (("melody", "{clip}", "--bars", "2", "--roles", "kazoo"), "drums, bass, chords, lead"),
        (("generate", "--seconds", "soon"), "it must be a number"),
        (("accompany", "{clip}", "--roles", ""), "must name some of drums, bass, chords, lead"),
        (("accompany", "{clip}", "--seconds", "4"), "--seconds 4"),
        (("melody", "{clip}", "--bars", "2", "--context", "none.wav"), "no file 'none.wav'"),
        (("rerender", "t-9999"), "no take 't-9999'"),
        (("rerender", "../../etc"), "no take"),
        (("takes", "--limit", "0"), "limit is '0'"),
        (("extend", "{clip}", "--seconds", "6", "--server", "nonsense"), "write it like ws://"),
        (("takes", "--server", "ftp://127.0.0.1:1"), "write it like ws://"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(
    run: Run, clip: Path, arguments: tuple[str, ...], says: str
) -> None:
    ran = run(*(word.format(clip=clip) for word in arguments))
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.startswith("daw-bridge: ")
    assert ran.err.count("\n") == 1
    assert says in ran.err


def test_bad_input_as_json(run: Run, clip: Path) -> None:
    ran = run("extend", clip, "--seconds", "6", "--bpm", "3159345", "--json")
    assert ran.status == 2
    assert ran.json == {
        "error": {
            "code": "bad_request",
            "message": "bpm is '3159345'",
            "hint": "it must be 20 to 400 bpm",
        }
    }


def test_help_and_version_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["--version"], ["extend", "--help"], ["serve", "--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("task", TASKS)
def test_every_field_has_its_flag(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([task, "--help"])
    told = capsys.readouterr().out
    for item in FIELDS:
        if item.kind != "path":
            flag = "--" + item.name.replace("_", "-")
            assert (f"{flag} " in told) == item.applies_to(task), flag


def test_request_from_flags_equals_request_from_the_table(run: Run, clip: Path) -> None:
    """What is typed arrives: every kind of field once."""
    ran = run(
        *("extend", clip, "--bars", "2", "--side", "start", "--bpm", "123.4", "--metre", "7/8"),
        *("--key", "A minor", "--crossfade-ms", "12.5", "--refine", "0", "--seed", "7", "--json"),
    )
    asked = RenderRequest.from_mapping(ran.json["recipe"]["request"])
    assert (asked.bars, asked.side, asked.bpm, asked.metre) == (2.0, "start", 123.4, "7/8")
    assert (asked.key, asked.crossfade_ms, asked.refine, asked.seed) == ("A minor", 12.5, 0, 7)
