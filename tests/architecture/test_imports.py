"""The import table: data flows one way, stages do not know their neighbours.

A module may import what its row names and nothing else. A new package needs a row of its own, so
that somebody decides what it may know.
"""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture._imports import PACKAGES, ROOT, Import, imports_of, source_files

WORDS = {"engine.spec", "engine.units"}  # the vocabulary, which everything may use
MATHS = {"numpy", "scipy", "torch"}

# component: what it may import of ours; a component may always import itself.
OURS: dict[str, set[str]] = {
    "engine": set(),
    "engine.units": set(),
    "engine.spec": {"engine.units"},
    "engine.wire": WORDS,
    "engine.worker": {*WORDS, "engine.wire"},
    "engine.files": WORDS,
    "engine.analysis": WORDS,
    "engine.render": WORDS,
    "engine.sketch": WORDS,
    "engine.cache": WORDS,
    "engine.models": WORDS,
    # What steps and optimises knows the model's contract, and no model.
    "engine.sampling": {*WORDS, "engine.models.contracts"},
    "engine.optimise": WORDS,
    "engine.controls": WORDS,
    # The engine's composition root.
    "engine.pipeline": {"engine"},
    "daw_bridge": set(),
    "daw_bridge.config": WORDS,
    "daw_bridge.registration": WORDS,
    "daw_bridge.protocol": WORDS,
    "daw_bridge.jobs": WORDS,
    "daw_bridge.takes": WORDS,
    "daw_bridge.intake": WORDS,
    "daw_bridge.stream": {*WORDS, "daw_bridge.protocol"},
    "daw_bridge.transport": {*WORDS, "daw_bridge.protocol"},
    "daw_bridge.supervisor": {*WORDS, "engine", "engine.wire"},
    "daw_bridge.client": {*WORDS, "daw_bridge.protocol", "daw_bridge.registration"},
    # The daemon's composition root.
    "daw_bridge.app": {"daw_bridge", *WORDS},
    # The command line renders without a daemon, too; see LAZY.
    "daw_bridge.commands": {"daw_bridge", *WORDS},
    "daw_bridge.cli": {"daw_bridge.commands", *WORDS},
    "daw_bridge.__main__": {"daw_bridge.cli"},
}
# Allowed inside functions only, so that nothing is loaded before it is needed.
LAZY: dict[str, set[str]] = {
    "daw_bridge.commands": {"engine.pipeline", "engine.render", "engine.cache", "engine.worker"},
}

# component: what it may import from outside; a name after "lazy " inside functions only.
OUTSIDE: dict[str, set[str]] = {
    "engine.files": {"numpy", "soundfile", "soxr", "mido"},
    "engine.analysis": {"numpy", "scipy", "soxr", "lazy librosa"},
    "engine.render": {*MATHS, "soxr", "soundfile", "lazy matplotlib"},
    "engine.sketch": {"numpy", "scipy"},
    "engine.cache": {"lazy safetensors", "lazy torch"},
    "engine.models": {*MATHS, "safetensors", "lazy librosa"},
    "engine.sampling": {"torch"},
    "engine.optimise": {"torch"},
    "engine.controls": {*MATHS, "lazy librosa"},
    "engine.pipeline": MATHS,
    "daw_bridge.protocol": {"pythonosc"},
    "daw_bridge.transport": {"websockets"},
    "daw_bridge.client": {"websockets"},
    "daw_bridge.commands": {"lazy torch"},
}


def component_of(module: str) -> str:
    """The longest row that covers a module."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next(name for name in names if name in OURS)


def covers(allowed: set[str], module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in allowed)


def is_allowed(found: Import) -> bool:
    component = component_of(found.importer)
    late = found.lazy or found.typing_only
    if found.imported.split(".")[0] in PACKAGES:
        allowed = {*OURS[component], component} | (LAZY.get(component, set()) if late else set())
        return covers(allowed, found.imported)
    top = found.imported.split(".")[0]
    if top in sys.stdlib_module_names:
        return True
    outside = OUTSIDE.get(component, set())
    return top in outside or (late and f"lazy {top}" in outside)


def test_every_package_has_a_row() -> None:
    top_level = {
        f"{name}.{path.stem}"
        for name in PACKAGES
        for path in (ROOT / name).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {f"{name}.__init__" for name in PACKAGES}
    assert top_level - set(OURS) == set(), "say in the import table what these may import"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_keep_to_the_table(package: str) -> None:
    found = [
        item
        for file in source_files()
        if file.relative_to(ROOT).parts[0] == package
        for item in imports_of(file)
    ]
    assert found, "no imports found: the reader is broken"
    assert [str(item) for item in found if not is_allowed(item)] == []


def test_the_table_has_no_dead_rows() -> None:
    modules = {component_of(item.importer) for file in source_files() for item in imports_of(file)}
    used: dict[str, set[str]] = {name: set() for name in modules}
    for file in source_files():
        for item in imports_of(file):
            used[component_of(item.importer)].add(item.imported.split(".")[0])
    dead = [
        f"{component}: {name}"
        for component, names in OUTSIDE.items()
        for name in names
        if name.removeprefix("lazy ") not in used.get(component, set())
    ]
    assert dead == []


def test_the_vocabulary_is_the_standard_library_alone() -> None:
    for name in ("spec", "units", "wire"):
        for item in imports_of(ROOT / "engine" / f"{name}.py"):
            top = item.imported.split(".")[0]
            assert top in sys.stdlib_module_names or top == "engine", str(item)


def test_plugins_import_nothing_of_ours() -> None:
    for file in sorted((ROOT / "plugins").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not covers(set(PACKAGES), names[0]), f"{file}:{node.lineno}"
