"""What people see: progress, tables, addresses."""

from __future__ import annotations

import io

import pytest

from daw_bridge.commands.console import Console, progress_line, table
from daw_bridge.commands.remote import websocket_url
from engine.spec import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line_is_redrawn_and_removed_before_the_result() -> None:
    out, err = io.StringIO(), Terminal()
    console = Console(False, out, err)
    console.progress(Progress("refine", 0.5, 12, 40, 13.2, 0.5, 0.25))
    console.progress(Progress("finish", 1.0))
    console.result({}, ["done"])
    assert " 50%  refine  12/40  best 0.25  about 14 s left" in err.getvalue()
    assert err.getvalue().count("\r") == 4
    assert err.getvalue().endswith(" \r")
    assert out.getvalue() == "done\n"


@pytest.mark.parametrize(
    ("encoding", "seen"), [("utf-8", "café \\ud83d ü"), ("ascii", "caf\\xe9 \\ud83d \\xfc")]
)
def test_what_a_terminal_cannot_show_is_escaped(encoding: str, seen: str) -> None:
    shown = io.BytesIO()
    terminal = io.TextIOWrapper(shown, encoding)
    Console(False, terminal).result({}, ["café \ud83d ü"])
    assert shown.getvalue().decode(encoding) == seen + "\n"


def test_no_progress_where_nobody_watches() -> None:
    err = io.StringIO()
    Console(False, io.StringIO(), err).progress(Progress("refine", 0.5))
    assert err.getvalue() == ""
    assert progress_line(Progress("refine", 0.5)) == " 50%  refine"


def test_table_lines_up() -> None:
    assert table([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc  d"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ws://127.0.0.1:8787/ws", "ws://127.0.0.1:8787/ws"),
        ("http://localhost:8787", "ws://localhost:8787/ws"),
        ("127.0.0.1:8787", "ws://127.0.0.1:8787/ws"),
        ("[::1]:8787", "ws://[::1]:8787/ws"),
    ],
)
def test_addresses_are_understood(typed: str, meant: str) -> None:
    assert websocket_url(typed) == meant
