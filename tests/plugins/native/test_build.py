"""The build command, and what the README says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.native.conftest import PLUGIN

pytestmark = pytest.mark.daw


def test_it_leaves_three_plugins(plugins: Path) -> None:
    assert {path.name for path in plugins.iterdir() if path.name[0] != "."} == {
        "daw-bridge.lv2",
        "daw-bridge.vst3",
        "daw-bridge.clap",
    }
    assert {path.suffix for path in (plugins / "daw-bridge.lv2").iterdir()} == {".so", ".ttl"}


@pytest.mark.skipif(sys.platform != "linux", reason="a message for Linux")
def test_a_missing_framework_is_said(tmp_path: Path) -> None:
    environment = {**os.environ, "DPF_PATH": str(tmp_path)}
    built = subprocess.run(
        [PLUGIN / "build", tmp_path / "bin"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert built.returncode == 2
    assert built.stderr.startswith("DPF is missing: ")
    assert "dpf-source" in built.stderr or "DPF_PATH=" in built.stderr


def test_a_copy_of_dpf_that_is_half_made_or_of_before_is_made_again(
    dpf: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "bin" / ".build" / "dpf"
    copy.mkdir(parents=True)
    (copy / "mended").touch()  # of a build of before, with another patch
    tools = tmp_path / "tools"
    tools.mkdir()
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    command = [PLUGIN / "build", tmp_path / "bin"]

    def stop_at(tool: str) -> None:
        for old in tools.iterdir():
            old.unlink()
        (tools / tool).write_text("#!/bin/sh\nkill -9 $PPID\n")
        (tools / tool).chmod(0o700)
        killed = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert killed.returncode == -9

    mended = copy / "distrho" / "src" / "DistrhoPluginCLAP.cpp"
    stop_at("patch")
    assert not mended.exists(), "a copy that is not mended does not get the name"
    stop_at("make")
    assert "songSeconds" in mended.read_text()


def test_the_readme_names_every_parameter(plugins: Path) -> None:
    readme = (PLUGIN / "README.md").read_text()
    ttl = next((plugins / "daw-bridge.lv2").glob("*_dsp.ttl")).read_text()
    names = [
        line.split('"')[1] for line in ttl.splitlines() if line.strip().startswith("lv2:name ")
    ]
    controls = [name for name in names if not name.startswith(("Audio", "Events"))]
    assert len(controls) == 17
    assert not [name for name in controls if name not in readme]
