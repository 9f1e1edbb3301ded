"""Reads which modules import which, from the source text alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("daw_bridge", "engine")


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement.

    Attributes:
        importer, imported: dotted module names, as exact as the statement says.
        lazy: it runs only when a function is called.
        typing_only: it never runs.
    """

    importer: str
    imported: str
    line: int
    lazy: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def source_files() -> list[Path]:
    """Every Python file of the product."""
    return sorted(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))


def module_name(file: Path) -> str:
    """`engine/cache/key.py` is `engine.cache.key`, a package is its own name."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> list[Import]:
    """All imports of a file; those by name out of our own packages as `package.name`."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    return list(_walk(tree, module_name(file), lazy=False, typing_only=False))


def _walk(node: ast.AST, importer: str, lazy: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            for name in _imported_names(child, importer):
                yield Import(importer, name, child.lineno, lazy, typing_only)
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.body:
                yield from _walk_one(statement, importer, lazy, True)
            for statement in child.orelse:
                yield from _walk_one(statement, importer, lazy, typing_only)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, importer, lazy or inside, typing_only)


def _walk_one(node: ast.AST, importer: str, lazy: bool, typing_only: bool) -> Iterator[Import]:
    holder = ast.Module(body=[node], type_ignores=[])  # type: ignore[list-item]
    yield from _walk(holder, importer, lazy, typing_only)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _imported_names(node: ast.Import | ast.ImportFrom, importer: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, f"{importer}:{node.lineno}: write imports in full"
    module = node.module or ""
    names = []
    for alias in node.names:
        # `from engine import spec` names a module, `from engine.spec import Field` does not.
        path = ROOT.joinpath(*module.split("."), alias.name)
        is_module = path.with_suffix(".py").exists() or path.is_dir()
        names.append(f"{module}.{alias.name}" if is_module else module)
    return list(dict.fromkeys(names))
