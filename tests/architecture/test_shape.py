"""Files and functions stay small enough to read, and say what they are for."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture._imports import ROOT, source_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def own_files() -> list[Path]:
    """The product and its scripts."""
    return [*source_files(), *sorted((ROOT / "scripts").glob("*.py"))]


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_files_are_short() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in own_files()}
    long = [f"{file.relative_to(ROOT)}: {n}" for file, n in lengths.items() if n > MAX_FILE_LINES]
    assert long == []


def test_functions_are_short() -> None:
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {length}"
        for file in own_files()
        for node in functions(file)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_modules_say_what_they_are() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in own_files()
        if ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_nothing_prints_but_the_command_line() -> None:
    printing = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in source_files()
        if file != ROOT / "daw_bridge" / "commands" / "console.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert printing == []
