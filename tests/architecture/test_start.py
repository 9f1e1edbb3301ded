"""The daemon and the command line start without the engine's heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "scipy", "librosa", "soundfile", "soxr", "matplotlib", "safetensors")


@pytest.mark.parametrize(
    "module",
    [
        "daw_bridge.app",
        "daw_bridge.cli",
        "daw_bridge.commands.models",
        "engine.spec",
        "engine.wire",
    ],
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from daw_bridge.cli import main\n"
        "try:\n    main(['extend', '--help'])\n"
        "except SystemExit:\n    pass\n"
        f"print('loaded:', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1].split() == ["loaded:"]
