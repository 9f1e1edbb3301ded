"""The script and the stand-in's table against the published definitions of Bitwig's API.

The definitions (npm `typed-bitwig-api`, BSD) and the compiler are fetched into a temporary folder.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.daw_bridge.served import ROOT

SCRIPT = ROOT / "plugins" / "bitwig" / "daw-bridge.control.js"
TABLE = json.loads(Path(__file__).with_name("api.json").read_text(encoding="utf-8"))
DEFINITIONS, COMPILER = "typed-bitwig-api@17.0.1", "typescript@5.4.5"
_OSC = "com.bitwig.extension.api.opensoundcontrol"
_OLDEST_API = 7


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both packages."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("Node and npm are not installed")
    folder = tmp_path_factory.mktemp("definitions")
    (folder / "package.json").write_text("{}")
    fetched = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline",
         "--fetch-retries=0", "--fetch-timeout=20000", DEFINITIONS, COMPILER],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if fetched.returncode:
        pytest.skip(f"{DEFINITIONS} cannot be fetched: {fetched.stderr[-200:]}")
    return folder


def compiled(folder: Path, name: str, text: str) -> str:
    """What the compiler has to say of a file."""
    (folder / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", "--noEmit", "--allowJs", "--checkJs",
         "--target", "es2019", "--lib", "es2019", "--types", "typed-bitwig-api", name],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    ).stdout  # fmt: skip


def calls(table: Mapping[str, Mapping[str, int | str]]) -> str:
    """A file that calls all of a table with as many arguments as it says."""
    lines = []
    for interface, methods in table.items():
        space = _OSC if interface.startswith("Osc") else "API"
        lines.append(f"function of{interface}(it: {space}.{interface}) {{")
        for name, count in methods.items():
            values = ", ".join(["null as any"] * (3 if count == "any" else int(count)))
            lines.append(f"  it.{name}({values});")
        lines.append("}")
    return "\n".join(lines)


def test_the_script_fits_the_definitions(definitions: Path) -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert compiled(definitions, "right.control.js", text) == ""
    slips = (
        ("host.createTransport()", "host.createTransports()"),
        ("createUdpServer(ports.reply, answers)", "createUdpServer(ports.reply)"),
        ("slot.hasContent().get()", "slot.hasContents().get()"),
        ("settings.token.get()", "settings.token.getRaw()"),
    )
    for right, wrong in slips:
        assert right in text
        text = text.replace(right, wrong, 1)
    told = compiled(definitions, "wrong.control.js", text)
    assert told.count("error TS") == len(slips), told


def test_the_table_fits_the_definitions(definitions: Path) -> None:
    assert compiled(definitions, "table.ts", calls(TABLE)) == ""
    for wrong in ({"Transport": {"tempos": 0}}, {"OscModule": {"connectToUdpServer": 2}}):
        assert "error TS" in compiled(definitions, "wrong.ts", calls(wrong))


def test_nothing_is_newer_than_the_api_that_is_loaded(definitions: Path) -> None:
    assert f"loadAPI({_OLDEST_API});" in SCRIPT.read_text(encoding="utf-8")
    text = (definitions / "node_modules/typed-bitwig-api/bitwig-api.d.ts").read_text("utf-8")
    for name in {name for methods in TABLE.values() for name in methods}:
        since = [
            int(found[1])
            for comment in re.findall(rf"/\*\*((?:(?!\*/).)*)\*/\s+{name}\(", text, re.DOTALL)
            if (found := re.search(r"@since API version (\d+)", comment))
        ]
        assert not since or min(since) <= _OLDEST_API, name


def test_the_language_is_that_of_the_elder_versions() -> None:
    code = re.sub(r"//.*|/\*.*?\*/|\"[^\"]*\"", "", SCRIPT.read_text(encoding="utf-8"))
    newer = re.findall(r"=>|`|\.\.\.|\b(?:let|const|class|of|async|await)\b|\?\.|\?\?", code)
    assert newer == []
    assert max(map(len, SCRIPT.read_text(encoding="utf-8").splitlines())) <= 120
