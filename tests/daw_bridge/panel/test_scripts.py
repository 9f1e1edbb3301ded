"""The panel's JavaScript: it parses, its types agree, its files and functions stay small."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.daw_bridge.served import ROOT

PANEL = ROOT / "daw_bridge" / "panel"
SCRIPTS = sorted(PANEL.glob("*.js"))
NODE, TSC = shutil.which("node"), shutil.which("tsc")
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 40


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_every_script_parses() -> None:
    assert NODE is not None
    parse = """
        import {readFileSync} from "node:fs";
        import {SourceTextModule} from "node:vm";
        for (const name of process.argv.slice(1)) {
            new SourceTextModule(readFileSync(name, "utf8"), {identifier: name});
        }
    """
    flags = ["--experimental-vm-modules", "--input-type=module", "--eval", parse, "--"]
    ran = subprocess.run([NODE, *flags, *map(str, SCRIPTS)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(TSC is None, reason="tsc (npm install -g typescript) is not installed")
def test_the_types_agree(tmp_path: Path) -> None:
    assert TSC is not None
    options = {
        "checkJs": True, "allowJs": True, "noEmit": True, "target": "es2022", "module": "es2022",
        "moduleResolution": "bundler", "lib": ["es2023", "dom", "dom.iterable"], "strict": False,
        "strictNullChecks": True, "noUnusedLocals": True, "types": [],
    }  # fmt: skip
    project = tmp_path / "tsconfig.json"
    wanted = {"compilerOptions": options, "include": [str(PANEL / "*.js")]}
    project.write_text(json.dumps(wanted))
    ran = subprocess.run([TSC, "-p", str(project)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_files_and_functions_are_short() -> None:
    assert len(SCRIPTS) > 20
    for script in [*SCRIPTS, *PANEL.glob("*.css"), *PANEL.glob("*.html")]:
        lines = script.read_text().splitlines()
        assert len(lines) <= MAX_FILE_LINES, script.name
        assert script.suffix != ".js" or lines[0].startswith("// "), f"{script.name} says nothing"
    # Prettier's way of standing: a function of a module or class ends where it began to the left.
    begins = re.compile(r"^( {0,2})(?:export )?(?:async )?(?:function |(?:get )?#?\w+\(.*\) \{$)")
    for script in SCRIPTS:
        lines = script.read_text().splitlines()
        for number, line in enumerate(lines):
            if found := begins.match(line):
                end = lines.index(f"{found[1]}}}", number + 1)
                assert end - number < MAX_FUNCTION_LINES, f"{script.name}:{number + 1} {line}"
