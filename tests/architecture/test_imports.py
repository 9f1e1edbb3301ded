"""The import table: data flows one way, stages do not know their neighbours.

A module may import what its row names and nothing else. A new package needs a row of its own, so
that somebody decides what it may know.
"""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture._imports import PACKAGES, ROOT, Import, imports_of, source_files

# Everything may use it.
VOCABULARY = {"engine.curves", "engine.musical_time", "engine.spec", "engine.units"}

# component: what it may import of ours besides itself and the vocabulary.
OURS: dict[str, set[str]] = {
    # The vocabulary, and what carries it between the processes.
    "engine": set(),
    "engine.units": set(),
    "engine.errors": set(),
    "engine.curves": set(),
    "engine.musical_time": set(),
    "engine.fields": {"engine.curves", "engine.errors"},
    "engine.spec": {"engine.errors", "engine.fields"},
    "engine.wire": set(),
    "engine.opening": {"engine.errors"},
    "engine.shortage": set(),
    "engine.worker": {"engine.opening", "engine.shortage", "engine.wire"},
    # Stages: they do not know each other. Three pieces of plain mathematics are shared.
    "engine.analysis": set(),
    "engine.cache": set(),
    # A control brings its independent check with it.
    "engine.chroma": set(),
    "engine.controls": {"engine.analysis", "engine.chroma"},
    "engine.files": {"engine.opening"},
    "engine.models": {"engine.chroma"},
    # Light enough for a daemon.
    "engine.models.public.installed": {"engine.models"},
    "engine.models.public.registry": {"engine.models", "engine.models.public.installed"},
    "engine.optimise": {"engine.models.contracts", "engine.sampling"},
    "engine.render": {"engine.analysis.crossfade", "engine.analysis.spectra"},
    "engine.sampling": {"engine.models.contracts"},  # the model's contract, and no model
    "engine.sketch": set(),
    "engine.weights": set(),
    # The engine's composition, from the inside out.
    "engine.windows": set(),
    "engine.timeline": {"engine.controls", "engine.models", "engine.windows"},
    "engine.window_task": {
        "engine.controls",
        "engine.models",
        "engine.optimise",
        "engine.sampling",
        "engine.timeline",
        "engine.windows",
    },
    "engine.chain": {
        "engine.models",
        "engine.optimise",
        "engine.timeline",
        "engine.window_task",
        "engine.windows",
    },
    "engine.costs": {"engine.optimise", "engine.timeline", "engine.window_task"},
    # Models in memory; public ones are fitted to what the tasks ask of any.
    "engine.shelf": {"engine.models"},
    "engine.tasks": {
        "engine.analysis",
        "engine.controls",
        "engine.files",
        "engine.models",
        "engine.opening",
        "engine.render",
        "engine.sketch",
        "engine.timeline",
    },
    "engine.report": {
        "engine.analysis",
        "engine.files",
        "engine.render",
        "engine.tasks",
        "engine.window_task",
    },
    "engine.tagging": {"engine.files", "engine.models", "engine.report", "engine.tasks"},
    "engine.meter": {"engine.optimise"},
    "engine.checkpoints": {"engine.optimise"},
    "engine.rendering": {
        "engine.chain",
        "engine.checkpoints",
        "engine.costs",
        "engine.files",
        "engine.meter",
        "engine.models",
        "engine.optimise",
        "engine.tasks",
        "engine.timeline",
        "engine.window_task",
        "engine.windows",
    },
    "engine.job": {
        "engine.cache",
        "engine.checkpoints",
        "engine.costs",
        "engine.files",
        "engine.meter",
        "engine.models",
        "engine.opening",
        "engine.rendering",
        "engine.report",
        "engine.tagging",
        "engine.tasks",
        "engine.window_task",
    },
    # The export process.
    "engine.exporting": {"engine.files", "engine.opening", "engine.render"},
    "engine.estimate": {
        "engine.chain",
        "engine.controls",
        "engine.job",
        "engine.models",
        "engine.optimise",
        "engine.rendering",
        "engine.sampling",
        "engine.tasks",
        "engine.window_task",
    },
    "engine.pipeline": {
        "engine.cache",
        "engine.estimate",
        "engine.job",
        "engine.meter",
        "engine.models",
        "engine.optimise",
        "engine.shelf",
        "engine.shortage",
    },
    # The daemon's stages.
    "daw_bridge": set(),
    "daw_bridge.config": {"daw_bridge.sources"},
    "daw_bridge.owners": set(),
    "daw_bridge.sources": {"daw_bridge.owners"},
    "daw_bridge.folders": {"daw_bridge.owners"},
    "daw_bridge.guests": set(),
    "daw_bridge.hosts": {"daw_bridge", "daw_bridge.owners"},
    "daw_bridge.ids": set(),
    "daw_bridge.intake": set(),
    "daw_bridge.jobs": {"daw_bridge.ids"},
    "daw_bridge.logs": set(),
    "daw_bridge.metrics": set(),
    "daw_bridge.process": set(),
    "daw_bridge.audition": set(),
    "daw_bridge.midi": set(),
    "daw_bridge.panel": {"daw_bridge.protocol"},
    "daw_bridge.protocol": set(),
    "daw_bridge.registration": {"daw_bridge.owners"},
    "daw_bridge.sndfile": set(),
    "daw_bridge.stream": {"daw_bridge.sndfile"},
    "daw_bridge.engine_process": {"engine"},
    "daw_bridge.engine_calls": set(),
    "daw_bridge.supervisor": {
        "daw_bridge.engine_calls",
        "daw_bridge.engine_process",
        "engine.wire",
    },
    "daw_bridge.takes": {"daw_bridge.ids", "daw_bridge.sndfile"},
    "daw_bridge.transport": {"daw_bridge.ids", "daw_bridge.protocol"},
    "daw_bridge.watchers": {"daw_bridge.protocol", "daw_bridge.stream"},
    "daw_bridge.client": {"daw_bridge.ids", "daw_bridge.protocol", "daw_bridge.registration"},
    # The daemon's composition, from the inside out.
    "daw_bridge.transfers": {
        "daw_bridge.intake",
        "daw_bridge.protocol",
        "daw_bridge.stream",
        "daw_bridge.takes",
    },
    "daw_bridge.capabilities": {
        "daw_bridge",
        "daw_bridge.config",
        "daw_bridge.protocol",
        "daw_bridge.stream",
        "daw_bridge.transfers",
        "daw_bridge.transport",
    },
    "daw_bridge.reply_files": {
        "daw_bridge.owners",
        "daw_bridge.protocol",
        "daw_bridge.registration",
        "engine.spec",
    },
    "daw_bridge.exports": {
        "daw_bridge.config",
        "daw_bridge.engine_process",
        "daw_bridge.takes",
    },
    "daw_bridge.take_commands": {
        "daw_bridge.config",
        "daw_bridge.exports",
        "daw_bridge.intake",
        "daw_bridge.protocol",
        "daw_bridge.takes",
    },
    "daw_bridge.service": {
        "daw_bridge",
        "daw_bridge.capabilities",
        "daw_bridge.config",
        "daw_bridge.guests",
        "daw_bridge.intake",
        "daw_bridge.jobs",
        "daw_bridge.metrics",
        "daw_bridge.protocol",
        "daw_bridge.engine_process",
        "daw_bridge.supervisor",
        "daw_bridge.take_commands",
        "daw_bridge.takes",
        "daw_bridge.transfers",
        "daw_bridge.watchers",
        "engine.models.public.registry",
    },
    "daw_bridge.app": {
        "daw_bridge.exports",
        "daw_bridge.reply_files",
        "daw_bridge.config",
        "daw_bridge.engine_process",
        "daw_bridge.intake",
        "daw_bridge.jobs",
        "daw_bridge.logs",
        "daw_bridge.metrics",
        "daw_bridge.panel",
        "daw_bridge.process",
        "daw_bridge.protocol",
        "daw_bridge.registration",
        "daw_bridge.service",
        "daw_bridge.stream",
        "daw_bridge.supervisor",
        "daw_bridge.take_commands",
        "daw_bridge.takes",
        "daw_bridge.transport",
        "daw_bridge.watchers",
    },
    # The command line, which renders without a daemon, too; see LAZY.
    "daw_bridge.commands": {
        "daw_bridge",
        "daw_bridge.app",
        "daw_bridge.audition",
        "daw_bridge.client",
        "daw_bridge.config",
        "daw_bridge.exports",
        "daw_bridge.folders",
        "daw_bridge.hosts",
        "daw_bridge.midi",
        "daw_bridge.owners",
        "daw_bridge.protocol",
        "daw_bridge.registration",
        "daw_bridge.sources",
        "daw_bridge.takes",
        "engine.models.public.folder",
        "engine.models.public.installed",
        "engine.models.public.known",
        "engine.models.public.registry",
    },
    "daw_bridge.cli": {"daw_bridge.commands", "daw_bridge.config"},
    "daw_bridge.__main__": {"daw_bridge.cli"},
}
# Packages named on the right stand for all of their modules, but these for themselves alone.
ALONE = {"daw_bridge", "engine"}
# Allowed inside functions only, so that nothing is loaded before it is needed.
LAZY: dict[str, set[str]] = {
    "daw_bridge.commands": {
        "engine.files",
        "engine.models.public.download",
        "engine.pipeline",
        "engine.render",
        "engine.worker",
    },
}

# component: what it may import from outside; after "lazy " inside functions only.
OUTSIDE: dict[str, set[str]] = {
    "engine.models.public.installed": {"lazy torch"},
    "engine.analysis": {"numpy", "scipy", "soxr", "lazy librosa"},
    "engine.cache": {"lazy safetensors", "lazy torch"},
    "engine.checkpoints": {"safetensors", "torch"},
    "engine.chroma": {"torch", "lazy librosa"},
    "engine.controls": {"numpy", "scipy", "torch", "lazy librosa"},
    "engine.exporting": {"numpy"},
    "engine.estimate": {"torch"},
    "engine.files": {"mido", "numpy", "soundfile"},
    "engine.job": {"torch"},
    "engine.models": {
        *("numpy", "safetensors", "torch"),
        *("lazy diffusers", "lazy huggingface_hub", "lazy librosa", "lazy transformers"),
    },
    "engine.optimise": {"torch"},
    "engine.pipeline": {"torch"},
    "engine.rendering": {"numpy", "torch"},
    "engine.render": {"matplotlib", "numpy", "scipy", "soxr", "lazy PIL"},
    "engine.report": {"numpy"},
    "engine.sampling": {"torch"},
    "engine.shelf": {"torch"},
    "engine.sketch": {"numpy"},
    "engine.tasks": {"numpy", "torch"},
    "engine.timeline": {"torch"},
    "engine.window_task": {"torch"},
    "engine.chain": {"torch"},
    "engine.windows": {"torch"},
    "daw_bridge.client": {"websockets"},
    "daw_bridge.audition": {"lazy numpy", "lazy sounddevice"},
    "daw_bridge.commands": {"lazy numpy", "lazy sounddevice", "lazy torch"},
    "daw_bridge.midi": {"lazy mido"},
    "daw_bridge.protocol": {"pythonosc"},
    "daw_bridge.transport": {"websockets"},
}


def component_of(module: str) -> str:
    """The longest row that covers a module."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next(name for name in names if name in OURS)


def covers(name: str, module: str) -> bool:
    return module == name or (name not in ALONE and module.startswith(name + "."))


def is_allowed(found: Import) -> bool:
    component = component_of(found.importer)
    late = found.lazy or found.typing_only
    if found.imported.split(".")[0] in PACKAGES:
        allowed = {*OURS[component], *VOCABULARY, component}
        allowed |= LAZY.get(component, set()) if late else set()
        return any(covers(name, found.imported) for name in allowed)
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


def test_the_table_allows_no_more_than_is_used() -> None:
    used: dict[str, set[str]] = {}
    for file in source_files():
        for item in imports_of(file):
            used.setdefault(component_of(item.importer), set()).add(item.imported)
    tables = (OURS, LAZY, OUTSIDE)
    unused = [
        f"{component}: {name}"
        for allowed in tables
        for component, names in allowed.items()
        for name in sorted(names)
        if not any(covers(name.removeprefix("lazy "), module) for module in used.get(component, ()))
    ]
    assert unused == []


def test_the_vocabulary_is_the_standard_library_alone() -> None:
    for name in ("errors", "fields", "musical_time", "spec", "units", "wire"):
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
            assert names[0].split(".")[0] not in PACKAGES, f"{file}:{node.lineno}"
