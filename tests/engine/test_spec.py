"""Requests and events: round trips, and errors that say what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.costs import iterations_of
from engine.models.house.model import HABITS
from engine.spec import (
    ERROR_CODES,
    FIELD_BY_NAME,
    FIELDS,
    ROLES,
    TASKS,
    BridgeError,
    Cancelled,
    Done,
    Event,
    Failed,
    Field,
    Preview,
    Progress,
    RenderRequest,
    Stem,
    event_from_message,
    event_to_message,
)

SMALLEST: dict[str, dict[str, Any]] = {
    "extend": {"source": "a.wav", "seconds": 6},
    "accompany": {"source": "a.wav"},
    "vary": {"source": "a.wav"},
    "loop": {"source": "a.wav", "bars": 4},
    "inpaint": {"source": "a.wav", "start": 0, "end": 1.5},
    "melody": {"melody": "a.mid", "bars": 8},
    "generate": {"seconds": 6},
}


def refused(**values: Any) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        RenderRequest.from_mapping(values)
    assert caught.value.code == "bad_request"
    return caught.value


def values_for(item: Field) -> st.SearchStrategy[Any]:
    """Values a field accepts, already in the type it is cast to."""
    match item.kind:
        case "number":
            assert item.low is not None
            assert item.high is not None
            return st.floats(item.low, item.high)
        case "integer":
            assert item.low is not None
            assert item.high is not None
            return st.integers(int(item.low), int(item.high))
        case "choice":
            return st.sampled_from(item.choices)
        case "flag":
            return st.booleans()
        case "tempo":
            return st.sampled_from(["0:120", "0:120,16:90.5", "0:10000000/76923,4:60"])
        case "metre":
            return st.sampled_from(["3/4", "7/8", "12/8", "0:4/4,16:7/8"])
        case "roles":
            return st.sets(st.sampled_from(ROLES), min_size=1).map(
                lambda chosen: tuple(role for role in ROLES if role in chosen)
            )
        case "lane":
            return st.sampled_from(["0:-30", "0:-30,3:-12.5", "1.5:-80,2:0"])
        case "form":
            return st.sampled_from(["A4 B4 A4", "ABBA", "0:A,8.5:B", "A0.5 B2"])
        case _:
            return st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30)


@st.composite
def mappings(draw: st.DrawFn) -> dict[str, Any]:
    task = draw(st.sampled_from(TASKS))
    decided = ("seconds", "bars", "start", "end")  # have to fit each other
    optional = {
        item.name: values_for(item)
        for item in FIELDS
        if item.applies_to(task) and item.name not in decided
    }
    chosen = draw(st.fixed_dictionaries({}, optional=optional))
    for drawn in ("intensity", "structure"):  # drawn or heard, not both
        if drawn in chosen:
            chosen.pop(f"{drawn}_from", None)
    told = [name for name in ("bpm", "tempo_map", "tempo_from") if name in chosen]
    for name in told[1:]:
        chosen.pop(name)
    if not told:
        chosen.pop("position_beats", None)
    return {"task": task, **SMALLEST[task], **chosen}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mappings())
def test_a_request_survives_the_wire(values: dict[str, Any]) -> None:
    request = RenderRequest.from_mapping(values)
    assert RenderRequest.from_mapping(request.to_mapping()) == request
    for name, value in values.items():
        assert getattr(request, name) == value


@pytest.mark.parametrize("task", TASKS)
def test_the_smallest_request_of_each_task(task: str) -> None:
    request = RenderRequest.from_mapping({"task": task, **SMALLEST[task]})
    for name, item in FIELD_BY_NAME.items():
        if name not in SMALLEST[task]:
            assert getattr(request, name) == item.default


def test_table_and_request_have_the_same_fields() -> None:
    assert [item.name for item in fields(RenderRequest)] == ["task", *FIELD_BY_NAME]


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"bars": 2, "bpm": 120}, 4.0),
        ({"bars": 2, "bpm": 120, "metre": "3/4"}, 3.0),
        ({"bars": 2, "tempo_map": "0:120,4:60"}, 6.0),
        ({"bars": 2, "tempo_map": "0:120,4:60", "position_beats": 4}, 8.0),
        ({"bars": 2, "tempo_map": "0:120", "metre": "0:4/4,4:6/8"}, 3.5),
        ({"bars": 2}, None),
        ({"seconds": 2.5, "bpm": 120}, 2.5),
    ],
)
def test_how_much_is_asked_for_is_known_beforehand(
    values: dict[str, Any], seconds: float | None
) -> None:
    request = RenderRequest.from_mapping({"task": "extend", "source": "a.wav", **values})
    assert request.new_seconds() == seconds


def test_none_means_absent() -> None:
    request = RenderRequest.from_mapping({"task": "generate", "seconds": 6, "bpm": None})
    assert request.bpm is None
    assert "bpm" not in request.to_mapping()


def test_values_are_cast_once() -> None:
    request = RenderRequest.from_mapping(
        {"task": "melody", "melody": "a.mid", "bars": "8", "seed": 3.0, "roles": "lead, drums"}
    )
    assert (request.bars, request.seed, request.roles) == (8.0, 3, ("drums", "lead"))
    assert type(request.seed) is int


@pytest.mark.parametrize("item", [f for f in FIELDS if f.low is not None], ids=lambda f: f.name)
def test_ranges_hold_at_both_ends_and_the_error_names_them(item: Field) -> None:
    assert item.low is not None
    assert item.high is not None
    task = (item.tasks or TASKS)[-1]
    for value in (item.low - 1, item.high * 2 + 1):
        error = refused(task=task, **(SMALLEST[task] | {item.name: value}))
        assert error.message == f"{item.name} is {str(value)!r}"
        assert error.hint.startswith(f"it must be {item.low:g} to {item.high:g}")


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"bpm": 3159345}, "bpm is '3159345'", "it must be 20 to 400 bpm"),
        ({"bpm": "fast"}, "bpm is 'fast'", "it must be a number"),
        ({"bpm": True}, "bpm is 'True'", "it must be a number"),
        ({"bpm": [120]}, "bpm is '[120]'", "it must be a number"),
        ({"bpm": float("nan")}, "bpm is 'nan'", "it must be a finite number"),
        ({"bpm": 10**400}, f"bpm is {str(10**400)[:80]!r}", "it must be a finite number"),
        ({"seed": 1.5}, "seed is '1.5'", "it must be a whole number"),
        ({"side": "left"}, "side is 'left'", "it must be one of end, start"),
        (
            {"metre": "waltz"},
            "metre is 'waltz'",
            "it must be a time signature: a metre is written like",
        ),
        ({"stems": True}, "extend has no field 'stems'", "known: source"),
        ({"context": "b.wav"}, "extend has no field 'context'", "known: source"),
        ({"metre": 4}, "metre is '4'", "it must be text"),
        ({"prompt": "x" * 2001}, f"prompt is '{'x' * 80}'", "it must be at most 2000 characters"),
        ({"prompt": "a\0b"}, "prompt is 'a\\x00b'", "plain text"),
        ({"roles": "drums"}, "extend has no field 'roles'", "known: source, seconds, bars"),
        ({"colour": "red"}, "extend has no field 'colour'", "known: source"),
        ({"bars": 4}, "extend needs a length", "give either seconds or bars"),
    ],
)
def test_errors_name_the_field_the_value_and_the_way_out(
    change: dict[str, Any], message: str, hint: str
) -> None:
    error = refused(task="extend", **(SMALLEST["extend"] | change))
    assert error.message == message
    assert hint in error.hint


def test_what_is_not_said_is_not_what_is_said() -> None:
    silent = RenderRequest.from_mapping({"task": "accompany", "source": "a.wav"})
    said = {"task": "accompany", "source": "a.wav", "metre": "4/4", "roles": list(ROLES)}
    assert (silent.metre, silent.roles, silent.stems) == (None, None, False)
    request = RenderRequest.from_mapping(said)
    assert (request.metre, request.roles) == ("4/4", ROLES)


def test_roles_error_lists_them() -> None:
    for value in ("kazoo", "", 5):
        error = refused(task="melody", melody="a.mid", bars=4, roles=value)
        assert error.hint == "it must name some of drums, bass, chords, lead"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "task is None"),
        ({"task": "remix"}, "task is 'remix'"),
        ({"task": ["extend"]}, "task is ['extend']"),
        ({"task": "extend", "seconds": 6}, "extend needs source"),
        ({"task": "extend", "source": "", "seconds": 6}, "extend needs source"),
        ({"task": "extend", "source": "a.wav"}, "extend needs a length"),
        ({"task": "loop", "source": "a.wav"}, "loop needs bars"),
        ({"task": "accompany"}, "accompany needs source"),
        ({"task": "inpaint", "source": "a.wav"}, "inpaint needs start and end"),
        (
            {"task": "inpaint", "source": "a.wav", "start": 2, "end": 2},
            "the region ends at 2 s, before its start 2 s",
        ),
    ],
)
def test_errors_about_the_whole(values: dict[str, Any], message: str) -> None:
    assert refused(**values).message == message


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


# Other work on the machine makes junk slow to draw; that is no fault of what is tested.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(TASKS), st.dictionaries(st.sampled_from(sorted(FIELD_BY_NAME)), JUNK))
def test_junk_is_refused_and_never_crashes(task: str, junk: dict[str, Any]) -> None:
    try:
        RenderRequest.from_mapping({"task": task, **SMALLEST[task], **junk})
    except BridgeError as error:
        code = error.code
    else:
        code = "bad_request"
    assert code == "bad_request"


def test_error_has_one_wire_shape() -> None:
    error = BridgeError("bad_audio", "the clip is empty", "record something")
    assert str(error) == "the clip is empty (record something)"
    assert str(BridgeError("bad_audio", "the clip is empty")) == "the clip is empty"
    assert error.to_mapping() == {
        "code": "bad_audio",
        "message": "the clip is empty",
        "hint": "record something",
    }


def test_unknown_error_codes_are_a_programming_error() -> None:
    assert "oops" not in ERROR_CODES
    with pytest.raises(AssertionError):
        BridgeError("oops", "")


EVENT_EXAMPLES: tuple[Event, ...] = (
    Progress("decode", 0.5, 3, 20, 1.5, 0.2, 0.1),
    Preview(1, 44_100, 48_000, 2, bytes(range(16))),
    Stem("mix", "/spool/mix.wav", 48_000, 2, 96_000),
    Done({"length_error_samples": 0}, {"seed": 1}),
    Cancelled(),
    Failed("bad_audio", "the clip is empty", "record something"),
)


@pytest.mark.parametrize("event", EVENT_EXAMPLES, ids=lambda event: event.kind)
def test_events_survive_the_wire(event: Event) -> None:
    message, payload = event_to_message(event)
    assert message["event"] == event.kind
    assert bool(payload) == isinstance(event, Preview)
    assert event_from_message(message, payload) == event


@pytest.mark.parametrize(
    "message", [{}, {"event": "party"}, {"event": "done"}, {"event": "cancelled", "x": 1}]
)
def test_what_is_no_event_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(BridgeError) as caught:
        event_from_message(message)
    assert caught.value.code == "bad_message"


def test_vocabulary_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, engine.spec; print({'torch', 'numpy'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_defaults_that_a_model_has_are_said_as_they_are() -> None:
    def said(name: str) -> list[float]:
        text = FIELD_BY_NAME[name].doc.partition("when absent")[2]
        return [float(figure) for figure in re.findall(r"\d+(?:\.\d+)?", text)]

    variations = HABITS.variation
    own, made = variations["extend"], variations["melody"]
    assert variations == {
        task: own if task in ("extend", "loop", "inpaint") else made for task in TASKS
    }
    assert said("variation") == [own, made]
    assert said("steps") == [HABITS.steps]
    assert said("refine") == [iterations_of("fast"), iterations_of("ditto")]
