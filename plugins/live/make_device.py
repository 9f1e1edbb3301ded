#!/usr/bin/env python3
"""Makes `daw-bridge.amxd`, the Max for Live device, out of the table of its controls.

The device passes audio on and has controls, which are parameters of Live; the Remote Script reads
them. Ranges come from `protocol.json`. The same table gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
from typing import Any, NamedTuple, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from DawBridge.protocol import Protocol  # noqa: E402
from DawBridge.wishes import DRAFT, KNOBS, MENUS, ROLES, VERBS, Knob  # noqa: E402

DEVICE = os.path.join(HERE, "daw-bridge.amxd")
AUDIO_EFFECT = b"aaaa"
_FLOAT, _ENUM = 0, 2
_AS_INTEGER, _AS_FLOAT = 0, 1
_LABEL = 18.0  # height of a name above a box
_HEIGHT = 169.0  # of every device in Live
_DOCS = {
    "extend": "carries the selected clip on",
    "loop": "makes a seamless loop of it",
    "inpaint": "replaces what the loop brace marks",
    "melody": "accompanies the selected MIDI clip, or a recorded voice",
    "accompany": "makes the parts that are missing to it",
    "vary": "makes a variation of it",
}


Rect = Tuple[float, float, float, float]  # left, top, width, height


class Parameter(NamedTuple):
    """A control, as Live sees it.

    Attributes:
        widget: Max's object.
        rect: in the device.
        steps: names of its values, where it has names.
        whole: whether its values are whole numbers.
    """

    name: str
    widget: str
    rect: Rect
    low: float
    high: float
    initial: float
    steps: tuple[str, ...]
    whole: bool
    doc: str


def parameters() -> list[Parameter]:
    """All controls, from left to right."""
    protocol = Protocol.load()
    found = []
    for place, verb in enumerate(VERBS):
        rect = (8.0 + 74.0 * (place % 2), 30.0 + 44.0 * (place // 2), 70.0, 36.0)
        doc = f"{_DOCS[verb]}; click again to cancel"
        found.append(_switch(verb.capitalize(), rect, 0, doc))
    for place, knob in enumerate(KNOBS):
        left, top = 164.0 + 62.0 * (place % 4), 28.0 + 68.0 * (place // 4)
        found.append(_knob(knob, (left, top, 58.0, 48.0), protocol))
    doc = "the draft lands at once, the refined take after it"
    found.append(_switch(DRAFT.name, (164.0, 6.0, 58.0, 18.0), DRAFT.initial, doc))
    for menu in MENUS:
        row = _field(menu, protocol)
        steps = tuple(row["choices"])
        rect = (416.0, 30.0, 64.0, 18.0)
        high = len(steps) - 1
        found.append(
            Parameter(menu.name, "live.menu", rect, 0, high, menu.initial, steps, True, row["doc"])
        )
    for place, role in enumerate(ROLES):
        rect = (416.0, 60.0 + 25.0 * place, 64.0, 20.0)
        doc = f"{role.field} play in an accompaniment; with none lit the words decide"
        found.append(_switch(role.name, rect, role.initial, doc))
    return found


def device_bytes() -> bytes:
    """The device as a file: chunks with their sizes, the patcher as JSON in the last."""
    text = json.dumps({"patcher": _patcher()}, indent="\t", sort_keys=True)
    patch = text.encode("ascii") + b"\n\0"
    head = b"ampf" + struct.pack("<I", 4) + AUDIO_EFFECT
    meta = b"meta" + struct.pack("<II", 4, 1)
    return head + meta + b"ptch" + struct.pack("<I", len(patch)) + patch


def _switch(name: str, rect: Rect, initial: float, doc: str) -> Parameter:
    return Parameter(name, "live.text", rect, 0.0, 1.0, initial, ("off", "on"), True, doc)


def _knob(knob: Knob, rect: Rect, protocol: Protocol) -> Parameter:
    row = _field(knob, protocol)
    low, high = row["low"], row["high"]
    # A dial of a few hundred steps cannot be set by hand: a box takes numbers from the keyboard.
    wide = high - low > 100
    widget = "live.numbox" if wide else "live.dial"
    if wide:
        rect = (rect[0], rect[1] + _LABEL, 52.0, 15.0)
    whole = row["kind"] == "integer"
    return Parameter(knob.name, widget, rect, low, high, knob.initial, (), whole, row["doc"])


def _field(knob: Knob, protocol: Protocol) -> dict[str, Any]:
    rows = (protocol.field(verb, knob.field) for verb in knob.verbs or VERBS)
    return next(row for row in rows if row is not None)


# What Max keeps of the window and of the device's own project.
_WINDOW: dict[str, Any] = {
    "fileversion": 1,
    "appversion": {
        "major": 8,
        "minor": 5,
        "revision": 0,
        "architecture": "x64",
        "modernui": 1,
    },
    "classnamespace": "box",
    "rect": [80.0, 100.0, 640.0, 480.0],
    "openrect": [0.0, 0.0, 0.0, _HEIGHT],
    "openinpresentation": 1,
    "default_fontsize": 10.0,
    "default_fontface": 0,
    "default_fontname": "Arial",
    "gridsize": [8.0, 8.0],
    "boxanimatetime": 500,
    "devicewidth": 490.0,
    "description": "The selected clip goes to daw-bridge, the take comes back as a clip.",
    "digest": "",
    "tags": "",
    "style": "",
    "subpatcher_template": "",
}
_PROJECT: dict[str, Any] = {
    "version": 1,
    "creationdate": 3590052493,
    "modificationdate": 3590052493,
    "viewrect": [0.0, 0.0, 300.0, 500.0],
    "autoorganize": 1,
    "hideprojectwindow": 1,
    "showdependencies": 1,
    "autolocalize": 0,
    "contents": {"patchers": {}},
    "layout": {},
    "searchpath": {},
    "detailsvisible": 0,
    "amxdtype": struct.unpack(">I", AUDIO_EFFECT)[0],
    "readonly": 0,
    "devpathtype": 0,
    "devpath": ".",
    "sortmode": 0,
    "viewmode": 0,
}


def _patcher() -> dict[str, Any]:
    boxes = _boxes(parameters())
    cords = [(0, outlet, 1, outlet) for outlet in (0, 1)]
    return {
        **_WINDOW,
        "boxes": [{"box": box} for box in boxes],
        "lines": [
            {
                "patchline": {
                    "source": [boxes[one]["id"], outlet],
                    "destination": [boxes[other]["id"], inlet],
                }
            }
            for one, outlet, other, inlet in cords
        ],
        "parameters": {
            box["id"]: [box["varname"], box["varname"], 0] for box in boxes if "varname" in box
        },
        "dependency_cache": [],
        "latency": 0,
        "is_mpe": 0,
        "autosave": 0,
        "project": _PROJECT,
    }


def _boxes(rows: list[Parameter]) -> list[dict[str, Any]]:
    """What the device shows and what the sound passes through, numbered."""
    boxes = [
        _object("plugin~", 2, ["signal", "signal"], 20.0),
        _object("plugout~", 2, ["signal", "signal"], 60.0),
        _comment("daw-bridge", (8.0, 6.0, 120.0, 18.0)),
        *(
            _comment(row.name, (row.rect[0], row.rect[1] - _LABEL, 58.0, _LABEL))
            for row in rows
            if row.widget == "live.numbox"
        ),
        *(_control(row) for row in rows),
    ]
    for number, box in enumerate(boxes, start=1):
        box["id"] = f"obj-{number}"
    return boxes


def _object(text: str, inlets: int, outlets: list[str], top: float) -> dict[str, Any]:
    return {
        "maxclass": "newobj",
        "text": text,
        "numinlets": inlets,
        "numoutlets": len(outlets),
        "outlettype": outlets,
        "patching_rect": [20.0, top, 80.0, 22.0],
    }


def _comment(text: str, rect: Rect) -> dict[str, Any]:
    return {
        "maxclass": "live.comment",
        "text": text,
        "textjustification": 0,
        "numinlets": 1,
        "numoutlets": 0,
        "patching_rect": [rect[0], rect[1] + 200.0, *rect[2:]],
        "presentation": 1,
        "presentation_rect": list(rect),
    }


_OUTLETS = {
    "live.dial": ["", "float"],
    "live.numbox": ["", "float"],
    "live.menu": ["", "", "float"],
    "live.text": ["", ""],
}


def _control(row: Parameter) -> dict[str, Any]:
    # Max's own integers end at 255, so whole numbers are floats that are shown as integers.
    value: dict[str, Any] = {
        "parameter_longname": row.name,
        "parameter_shortname": row.name,
        "parameter_info": row.doc,
        "parameter_initial": [row.initial],
        "parameter_initial_enable": 1,
        "parameter_mmax": row.high,
        "parameter_type": _ENUM if row.steps else _FLOAT,
    }
    if row.steps:
        value["parameter_enum"] = list(row.steps)
    else:
        value["parameter_mmin"] = row.low
        value["parameter_unitstyle"] = _AS_INTEGER if row.whole else _AS_FLOAT
    box: dict[str, Any] = {
        "maxclass": row.widget,
        "numinlets": 1,
        "numoutlets": len(_OUTLETS[row.widget]),
        "outlettype": _OUTLETS[row.widget],
        "parameter_enable": 1,
        "patching_rect": [row.rect[0], row.rect[1] + 200.0, *row.rect[2:]],
        "presentation": 1,
        "presentation_rect": list(row.rect),
        "saved_attribute_attributes": {"valueof": value},
        "varname": row.name,
    }
    if row.widget == "live.text":
        box.update({"mode": 1, "text": row.name, "texton": row.name})
    return box


def main() -> None:
    """Write the device."""
    parser = argparse.ArgumentParser(description="Makes the Max for Live device.")
    parser.add_argument("--out", default=DEVICE, help="where it goes (%(default)s)")
    path = parser.parse_args().out
    with open(path, "wb") as file:
        file.write(device_bytes())


if __name__ == "__main__":
    main()
