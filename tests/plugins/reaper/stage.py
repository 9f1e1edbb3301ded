"""Runs scripts of REAPER in the strict stand-in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.daw_bridge.served import ROOT

PLUGIN = ROOT / "plugins" / "reaper"
FAKE = Path(__file__).with_name("fake_reaper.lua")
FAKE_GFX = Path(__file__).with_name("fake_gfx.lua")
RATE_HZ = 44_100
LENGTH_S = 0.5
POSITION_S = 2.0
ESCAPE, ENTER = 27, 13  # as gfx.getchar names them


def lua(value: Any) -> str:
    """A value as Lua writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua(key)}]={lua(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "{" + ",".join(map(lua, value)) + "}"
    return json.dumps(value)


def act(
    place: Path,
    tmp_path: Path,
    action: str | list[str],
    envelope: str = "nil",
    user: str = "nil",
    **scene: Any,
) -> dict[str, str]:
    """Run actions one after the other; what the project holds afterwards.

    Args:
        envelope: Lua of the selected envelope.
        user: Lua of a function that gets the user of `fake_gfx.lua` to command.
        scene: what the project is; `fake_reaper.lua` reads it.
    """
    values = {
        "source": str(place / "groove.wav"),
        "position_s": POSITION_S,
        "length_s": LENGTH_S,
        "source_length_s": LENGTH_S,
        "bpm": 120.0,
        "tempo": [],
        "markers": [],
        "settings": {},
        "command": str(place / "daw-bridge"),
        "project": str(tmp_path_of(place, tmp_path)),
        **scene,
    }
    path = tmp_path / "scene.lua"
    path.write_text(
        f"local scene = {lua(values)}\nscene.envelope = {envelope}\n"
        f"scene.user = {user}\nreturn scene\n"
    )
    actions = [action] if isinstance(action, str) else action
    scripts = [PLUGIN / f"daw-bridge {name}.lua" for name in actions]
    ran = subprocess.run(
        ["lua5.4", FAKE, path, *scripts], capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return dict(line.split("\t", 1) for line in ran.stdout.splitlines())


def tmp_path_of(place: Path, tmp_path: Path) -> Path:
    return place / tmp_path.name


def takes_of(place: Path) -> set[Path]:
    return set((place / "data" / "takes").rglob("recipe.json"))


def use(place: Path, tmp_path: Path, user: str, **scene: Any) -> dict[str, str]:
    """Open the panel with a user who does what the Lua lines say."""
    return act(place, tmp_path, "panel", user=f"function(ui)\n{user}\nend", **scene)
