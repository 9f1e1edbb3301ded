"""Values for every row of the protocol table, generated."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from daw_bridge.protocol.messages import Call
from daw_bridge.protocol.osc_codec import shortest_float32
from daw_bridge.protocol.table import Arg, Command
from engine.spec import ROLES, Field

OSC_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """Values that the field takes, in the form it is kept in."""
    match field.kind:
        case "number":
            return st.floats(field.low, field.high)
        case "integer":
            return st.integers(int(field.low or 0), int(field.high or 0))
        case "flag":
            return st.booleans()
        case "choice":
            return st.sampled_from(field.choices)
        case "tempo":
            return st.sampled_from(["0:120", "0:120,16:90.5"])
        case "metre":
            return st.sampled_from(["4/4", "7/8", "3/2", "0:4/4,16:3/4"])
        case "roles":
            return st.lists(st.sampled_from(ROLES), min_size=1, unique=True).map(
                lambda chosen: tuple(role for role in ROLES if role in chosen)
            )
        case "lane":
            return st.sampled_from(["0:-30", "0:-30,3:-12.5"])
        case "form":
            return st.sampled_from(["A4 B4 A4", "ABBA", "0:A,8.5:B"])
        case _:
            return OSC_TEXT


@st.composite
def calls(draw: st.DrawFn, command: Command) -> Call:
    """A command with its required fields and some of the others."""
    fields = [
        field for field in command.fields if command.name in field.required or draw(st.booleans())
    ]
    # OSC has its own pair `token`, so there hello's own field is never seen.
    values = {field.name: draw(values_of(field)) for field in fields if field.name != "token"}
    return Call(draw(st.text("abc123-", min_size=1, max_size=8)), command.name, values)


def reply_values(arg: Arg) -> st.SearchStrategy[Any]:
    """Values of a reply that both transports say alike."""
    match arg.osc:
        case "i":
            return st.integers(-(2**31), 2**31 - 1)
        case "f":
            return st.floats(0, 1, width=32).map(shortest_float32)
        case _:
            return OSC_TEXT
