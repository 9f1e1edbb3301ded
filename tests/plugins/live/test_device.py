"""The Max for Live device: container, patcher, parameters."""

from __future__ import annotations

import json
import struct
from typing import Any

from engine.costs import iterations_of
from engine.models.house.model import HABITS
from tests.plugins.live.device import generator, parameters
from tests.plugins.live.fake_live import PLUGIN

PROTOCOL = json.loads((PLUGIN.parent / "protocol.json").read_text(encoding="utf-8"))
# Max's objects that the device uses: inlets, outlets and what comes out.
OBJECTS = {
    "plugin~": (2, ["signal", "signal"]),
    "plugout~": (2, ["signal", "signal"]),
    "live.comment": (1, []),
    "live.dial": (1, ["", "float"]),
    "live.menu": (1, ["", "", "float"]),
    "live.numbox": (1, ["", "float"]),
    "live.text": (1, ["", ""]),
}
_HEIGHT = 169  # of every device
BUTTONS = ("Extend", "Loop", "Inpaint", "Melody", "Accompany", "Vary")


def read_device(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Kind and patcher of a device, chunk by chunk."""
    assert data[:4] == b"ampf"
    assert struct.unpack("<I", data[4:8]) == (4,)
    chunks, at = {}, 12
    while at < len(data):
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        chunks[data[at : at + 4]] = data[at + 8 : at + 8 + size]
        at += 8 + size
    assert at == len(data)
    assert list(chunks) == [b"meta", b"ptch"]
    assert chunks[b"ptch"].endswith(b"\n\0")
    return data[8:12], json.loads(chunks[b"ptch"][:-1])["patcher"]


KIND, PATCHER = read_device((PLUGIN / "daw-bridge.amxd").read_bytes())
BOXES = {box["box"]["id"]: box["box"] for box in PATCHER["boxes"]}


def object_of(box: dict[str, Any]) -> str:
    return str(box["text"] if box["maxclass"] == "newobj" else box["maxclass"])


def values_by_name() -> dict[str, Any]:
    """What Live is told of each parameter."""
    boxes = [box for box in BOXES.values() if box.get("parameter_enable")]
    values = [box["saved_attribute_attributes"]["valueof"] for box in boxes]
    return {value["parameter_longname"]: value for value in values}


def test_it_is_what_the_generator_makes() -> None:
    with generator() as module:
        assert module.device_bytes() == (PLUGIN / "daw-bridge.amxd").read_bytes()
        assert module.device_bytes() == module.device_bytes()


def test_it_is_an_audio_effect_that_passes_audio_on() -> None:
    assert KIND == b"aaaa"
    assert PATCHER["project"]["amxdtype"] == int.from_bytes(KIND, "big")
    cords = [line["patchline"] for line in PATCHER["lines"]]
    ends = [(cord["source"], cord["destination"]) for cord in cords]
    told = [(object_of(BOXES[a]), out, object_of(BOXES[b]), to) for (a, out), (b, to) in ends]
    assert told == [("plugin~", 0, "plugout~", 0), ("plugin~", 1, "plugout~", 1)]


def test_objects_and_cords_are_those_of_max() -> None:
    for box in BOXES.values():
        inlets, outlets = OBJECTS[object_of(box)]
        assert box["numinlets"] == inlets
        assert box["numoutlets"] == len(outlets)
        assert box.get("outlettype", []) == outlets
    assert len(BOXES) == len(PATCHER["boxes"])
    for line in PATCHER["lines"]:
        cord = line["patchline"]
        (one, outlet), (other, inlet) = cord["source"], cord["destination"]
        assert 0 <= outlet < BOXES[one]["numoutlets"]
        assert 0 <= inlet < BOXES[other]["numinlets"]


def test_parameters_have_names_of_their_own() -> None:
    boxes = [box for box in BOXES.values() if box.get("parameter_enable")]
    values = [box["saved_attribute_attributes"]["valueof"] for box in boxes]
    names = [value["parameter_longname"] for value in values]
    assert len(set(names)) == len(names)
    assert [value["parameter_shortname"] for value in values] == names
    assert {key: row[0] for key, row in PATCHER["parameters"].items()} == dict(
        zip((box["id"] for box in boxes), names, strict=True)
    )
    assert {row.name for row in parameters()} == set(names)


def test_ranges_are_those_of_the_protocol() -> None:
    fields = {
        field["name"]: field for command in PROTOCOL["commands"] for field in command["fields"]
    }
    with generator() as module:
        by_name = {row.name: row for row in module.parameters()}
        for knob in module.KNOBS:
            row, field = by_name[knob.name], fields[knob.field]
            assert (row.low, row.high) == (field["low"], field["high"])
            assert row.whole == (field["kind"] == "integer")
            assert row.low <= row.initial <= row.high
        for menu in module.MENUS:
            assert list(by_name[menu.name].steps) == fields[menu.field]["choices"]
        commands = {command["name"] for command in PROTOCOL["commands"]}
        assert set(module.VERBS) <= commands
    for box in BOXES.values():
        value = box.get("saved_attribute_attributes", {}).get("valueof", {})
        row = by_name.get(value.get("parameter_longname", ""))
        if row is not None and not row.steps:
            # Whole numbers beyond 255 are floats for Max, shown without a fraction.
            assert (value["parameter_mmin"], value["parameter_mmax"]) == (row.low, row.high)
            assert value["parameter_type"] == 0
        elif row is not None:
            assert value["parameter_type"] == 2
            assert value["parameter_mmax"] == len(value["parameter_enum"]) - 1


def test_controls_begin_with_what_a_request_that_says_nothing_gets() -> None:
    commands = [row for row in PROTOCOL["commands"] if row["name"].capitalize() in BUTTONS]
    fields = [field for command in commands for field in command["fields"]]
    told = {field["name"]: field["default"] for field in fields if "default" in field}
    # What the protocol leaves to the engine, and the length, which somebody has to choose.
    left = {"variation": HABITS.variation["extend"], "refine": iterations_of("fast"), "bars": 4.0}
    assert told.keys().isdisjoint(left)
    expected = told | left
    found = {name: value["parameter_initial"] for name, value in values_by_name().items()}
    with generator() as module:
        for knob in module.KNOBS:
            assert found.pop(knob.name) == [expected[knob.field]]
        for menu in module.MENUS:
            (index,) = found.pop(menu.name)
            steps = values_by_name()[menu.name]["parameter_enum"]
            assert steps[int(index)] == expected[menu.field]
    assert found.pop("Draft") == [1]
    assert set(found) == {*BUTTONS, "Drums", "Bass", "Chords", "Lead"}
    assert all(initial == [0] for initial in found.values())  # nothing is asked for


def test_controls_lie_in_the_device_and_not_on_each_other() -> None:
    shown = [box["presentation_rect"] for box in BOXES.values() if box.get("presentation")]
    for left, top, width, height in shown:
        assert left >= 0
        assert left + width <= PATCHER["devicewidth"]
        assert top >= 0
        assert top + height <= _HEIGHT
    for place, (left, top, width, height) in enumerate(shown):
        for other in shown[:place]:
            beside = left >= other[0] + other[2] or other[0] >= left + width
            above = top >= other[1] + other[3] or other[1] >= top + height
            assert beside or above, (left, top, other)
