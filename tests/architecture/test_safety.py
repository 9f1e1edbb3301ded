"""What a hostile file or client could use to run code is not in the product at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture._imports import ROOT, imports_of, source_files

# Each of them turns bytes of a file into code that runs.
UNPICKLING = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
EVALUATING = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    "torch.load",
    "torch.jit.load",
    "torch.hub.load",
    "numpy.load",
    "np.load",
    "yaml.load",
    "os.system",
    "os.popen",
    "tempfile.mktemp",
}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Where, what is called by its written name, and the call."""
    for file in source_files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node


def test_nothing_is_unpickled() -> None:
    found = [
        str(item)
        for file in source_files()
        for item in imports_of(file)
        if item.imported.split(".")[0] in UNPICKLING
    ]
    assert found == []


def test_no_text_becomes_code() -> None:
    seen = list(calls())
    assert len(seen) > 1000, "no calls found: the reader is broken"
    assert [where for where, name, _ in seen if name in EVALUATING | FORBIDDEN_CALLS] == []


def test_no_shell_is_asked() -> None:
    shells = [
        where
        for where, _, call in calls()
        for keyword in call.keywords
        if keyword.arg == "shell" and getattr(keyword.value, "value", True)
    ]
    assert shells == []


def test_modules_by_name_come_from_the_settings_alone() -> None:
    """A module whose name is a value is the engine's factory and no other."""
    named = [
        where.partition(":")[0]
        for where, name, call in calls()
        if name in ("importlib.import_module", "import_module")
        and not all(isinstance(argument, ast.Constant) for argument in call.args)
    ]
    assert named == ["engine/worker.py"]
