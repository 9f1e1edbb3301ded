"""The hosts, one row each: how one is found, what of `plugins/` it gets, and where it looks for it.

In a place `~` is the home folder, `$NAME` a variable of the environment with a stand-in of
`DEFAULTS`, and `*` stands for what is there, such as the folder of each version. What stands before
`/./` has to be there: the host makes it, and where it is not the host looks elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Places = Mapping[str, tuple[str, ...]]  # by `sys.platform`

# What a variable is where it is not set.
DEFAULTS: Mapping[str, str] = {
    "XDG_CONFIG_HOME": "~/.config",
    "XDG_DATA_HOME": "~/.local/share",
    "APPDATA": "~/AppData/Roaming",
    "LOCALAPPDATA": "~/AppData/Local",
    "ProgramFiles": "C:/Program Files",
    "ProgramData": "C:/ProgramData",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Files of ours that a host looks for.

    Attributes:
        source: pattern below `plugins/`; a folder stands for all in it.
        targets: the folder that gets them, by platform; every one that a pattern with `*` finds.
    """

    source: str
    targets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Host:
    """A program that may talk to the daemon.

    Attributes:
        name: as it is typed; our part lies in `plugins/NAME`.
        commands: names on the search path.
        places: patterns of files and folders.
        asks_version: flag that makes the command say its version at once, without a window.
        then: what to do after the installation.
        way: how it gets here where there is no part of ours.
    """

    name: str
    title: str
    commands: tuple[str, ...] = ()
    places: Places = field(default_factory=dict)
    asks_version: str = ""
    parts: tuple[Part, ...] = ()
    then: str = ""
    way: str = ""


def _mac(*names: str) -> tuple[str, ...]:
    folders = ("/Applications", "~/Applications")
    return tuple(f"{folder}/{name}.app" for folder in folders for name in names)


_LIVE_LIBRARY = {
    "darwin": "~/Music/Ableton/User Library/.",
    "win32": "~/Documents/Ableton/User Library/.",
}


def _in_live(folder: str) -> dict[str, str]:
    return {platform: f"{library}/{folder}" for platform, library in _LIVE_LIBRARY.items()}


_BITWIG = {
    "linux": "~/Bitwig Studio/./Controller Scripts/daw-bridge",
    "darwin": "~/Documents/Bitwig Studio/./Controller Scripts/daw-bridge",
    "win32": "~/Documents/Bitwig Studio/./Controller Scripts/daw-bridge",
}
_REAPER = {
    "linux": "$XDG_CONFIG_HOME/REAPER/Scripts/daw-bridge",
    "darwin": "~/Library/Application Support/REAPER/Scripts/daw-bridge",
    "win32": "$APPDATA/REAPER/Scripts/daw-bridge",
}
# Ardour reads the Lua files of this folder, not those of folders in it.
_ARDOUR = {
    "linux": "$XDG_CONFIG_HOME/ardour[0-9]*/scripts",
    "darwin": "~/Library/Preferences/Ardour[0-9]*/scripts",
    "win32": "$LOCALAPPDATA/ardour[0-9]*/scripts",
}
_PUREDATA = {
    "linux": "~/.local/lib/pd/extra/daw-bridge",
    "darwin": "~/Library/Pd/daw-bridge",
    "win32": "$APPDATA/Pd/daw-bridge",
}
_SUPERCOLLIDER = {
    "linux": "$XDG_DATA_HOME/SuperCollider/Extensions/daw-bridge",
    "darwin": "~/Library/Application Support/SuperCollider/Extensions/daw-bridge",
    "win32": "$LOCALAPPDATA/SuperCollider/Extensions/daw-bridge",
}
_MAX = dict.fromkeys(("darwin", "win32"), "~/Documents/Max [0-9]*/Library/daw-bridge")
_LV2 = {"linux": "~/.lv2", "darwin": "~/Library/Audio/Plug-Ins/LV2", "win32": "$APPDATA/LV2"}
_VST3 = {
    "linux": "~/.vst3",
    "darwin": "~/Library/Audio/Plug-Ins/VST3",
    "win32": "$LOCALAPPDATA/Programs/Common/VST3",
}
_CLAP = {
    "linux": "~/.clap",
    "darwin": "~/Library/Audio/Plug-Ins/CLAP",
    "win32": "$LOCALAPPDATA/Programs/Common/CLAP",
}

HOSTS: tuple[Host, ...] = (
    Host(
        "ardour",
        "Ardour",
        ("ardour", "ardour9", "ardour8", "ardour7", "ardour6"),
        {
            "linux": ("/opt/Ardour-*", "~/.local/share/flatpak/app/org.ardour.Ardour"),
            "darwin": _mac("Ardour*"),
            "win32": ("$ProgramFiles/Ardour*",),
        },
        parts=(
            Part("ardour/daw_bridge_action.lua", _ARDOUR),
            Part("ardour/daw_bridge_takes.lua", _ARDOUR),
        ),
        then="in Ardour: Edit > Lua Scripts > Script Manager, as its README says",
    ),
    Host(
        "live",
        "Ableton Live",
        (),
        {"darwin": _mac("Ableton Live*"), "win32": ("$ProgramData/Ableton/Live*",)},
        parts=(
            Part("live/DawBridge", _in_live("Remote Scripts")),
            Part("protocol.json", _in_live("Remote Scripts/DawBridge")),
            Part("live/*.amxd", _in_live("Presets/Audio Effects/Max Audio Effect")),
        ),
        then="restart Live; Settings > Link, Tempo & MIDI > Control Surface: DawBridge",
    ),
    Host(
        "reaper",
        "REAPER",
        ("reaper",),
        {
            "linux": ("/opt/REAPER/reaper", "~/opt/REAPER/reaper"),
            "darwin": _mac("REAPER*"),
            "win32": ("$ProgramFiles/REAPER*",),
        },
        parts=(Part("reaper/*.lua", _REAPER),),
        then="in REAPER: Actions > New action > Load ReaScript, from the folder daw-bridge",
    ),
    Host(
        "bitwig",
        "Bitwig Studio",
        ("bitwig-studio",),
        {
            "linux": (
                "/opt/bitwig-studio",
                "/var/lib/flatpak/app/com.bitwig.BitwigStudio",
                "~/.local/share/flatpak/app/com.bitwig.BitwigStudio",
            ),
            "darwin": _mac("Bitwig Studio*"),
            "win32": ("$ProgramFiles/Bitwig Studio*",),
        },
        parts=(Part("bitwig/*.js", _BITWIG),),
        then="in Bitwig: Settings > Controllers > Add controller; type the token there",
    ),
    Host(
        "puredata",
        "Pure Data",
        ("pd", "purr-data"),
        {"darwin": _mac("Pd*"), "win32": ("$ProgramFiles/Pd*",)},
        "-version",
        (Part("puredata/*.pd", _PUREDATA),),
        "put [declare -path daw-bridge] into a patch; dawbridge-help.pd is one to begin with",
    ),
    Host(
        "supercollider",
        "SuperCollider",
        ("sclang",),
        {"darwin": _mac("SuperCollider*"), "win32": ("$ProgramFiles/SuperCollider*",)},
        "-v",
        (Part("supercollider/*.sc", _SUPERCOLLIDER),),
        "recompile the class library, then DawBridge.new",
    ),
    Host(
        "max",
        "Max",
        (),
        {
            "darwin": _mac("Max", "Max [0-9]*"),
            "win32": ("$ProgramFiles/Cycling '74/Max [0-9]*",),
        },
        parts=(Part("max/*.maxpat", _MAX), Part("max/*.js", _MAX)),
        then="in Max: File > Open, or the File Browser, daw-bridge",
    ),
    Host(
        "native",
        "plugin folders (LV2, VST3, CLAP)",
        (),
        {
            platform: (_LV2[platform], _VST3[platform], _CLAP[platform])
            for platform in ("linux", "darwin", "win32")
        },
        parts=(
            Part("native/bin/*.lv2", _LV2),
            Part("native/bin/*.vst3", _VST3),
            Part("native/bin/*.clap", _CLAP),
        ),
        then="let the host scan its plugins again",
        way="it is built first, as its README says: plugins/native/build",
    ),
    Host(
        "renoise",
        "Renoise",
        ("renoise",),
        {
            "linux": ("/usr/local/bin/renoise*", "/opt/renoise*"),
            "darwin": _mac("Renoise*"),
            "win32": ("$ProgramFiles/Renoise*",),
        },
        way="the plugin (daw-bridge hosts install native) or a watched folder (daw-bridge watch)",
    ),
    Host(
        "logic",
        "Logic Pro",
        (),
        {"darwin": _mac("Logic Pro*")},
        way="a watched folder: daw-bridge watch FOLDER",
    ),
    Host(
        "cubase",
        "Cubase",
        (),
        {"darwin": _mac("Cubase*"), "win32": ("$ProgramFiles/Steinberg/Cubase*",)},
        way="the plugin (daw-bridge hosts install native) or a watched folder (daw-bridge watch)",
    ),
)
HOST_BY_NAME: Mapping[str, Host] = {host.name: host for host in HOSTS}
