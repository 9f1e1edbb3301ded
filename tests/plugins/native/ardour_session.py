"""A session of Ardour 7 with one clip at the start of one track, written without its GUI."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.plugins.native.clap_host import Song

_SUPERCLOCK_HZ = 282_240_000
_NEW = """
create_session("{folder}", "song", {rate_hz})
Session:new_audio_track(2, 2, nil, 1, "Stem", ARDOUR.PresentationInfo.max_order,
                        ARDOUR.TrackMode.Normal, true, false)
local map = Temporal.TempoMap.fetch_writable()
map:set_tempo(Temporal.Tempo({bpm}, {bpm}, 4), Temporal.timepos_t(0))
Temporal.TempoMap.update(map)
map = nil
Session:save_state("")
close_session()
quit()
"""


def lua(script: Path, **variables: str) -> str:
    """What a script of `ardour7-lua` prints."""
    done = subprocess.run(
        ["ardour7-lua", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **variables},
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stdout + done.stderr)
    assert "Error:" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done.stdout


def make_session(folder: Path, song: Song, wav: Path) -> None:
    """A new session in the song's tempo, whose track `Stem` plays `wav` from the start."""
    script = folder.with_suffix(".lua")
    script.write_text(_NEW.format(folder=folder, rate_hz=song.rate_hz, bpm=song.bpm))
    lua(script)
    file = folder / "song.ardour"
    tree = ET.parse(file)
    root = tree.getroot()
    next_id = int(root.get("id-counter", "0"))
    sources = root.find("Sources")
    assert sources is not None
    for channel in range(2):
        source = {"name": str(wav), "type": "audio", "flags": "", "id": str(next_id + channel)}
        source |= {"natural-position": "a0", "channel": str(channel), "origin": str(wav)}
        ET.SubElement(sources, "Source", source | {"gain": "1", "take-id": ""})
    length = len(song.samples) * _SUPERCLOCK_HZ // song.rate_hz
    region = {"name": "noise.1", "id": str(next_id + 2), "type": "audio", "channels": "2"}
    region |= {"start": "a0", "length": f"a{length}@a0", "sync-position": "a0"}
    region |= {"ancestral-start": "a0", "ancestral-length": "a0@a0", "stretch": "1", "shift": "1"}
    region |= {"opaque": "1", "whole-file": "0", "scale-amplitude": "1", "envelope-active": "0"}
    region |= {"fade-in-active": "0", "fade-out-active": "0"}
    for channel in range(2):
        region |= {f"{kind}source-{channel}": str(next_id + channel) for kind in ("", "master-")}
    [playlist] = [each for each in root.iter("Playlist") if each.get("name") == "Stem"]
    ET.SubElement(playlist, "Region", region)
    root.set("id-counter", str(next_id + 3))
    tree.write(file, encoding="UTF-8", xml_declaration=True)
