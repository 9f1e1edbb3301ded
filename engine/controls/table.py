"""Every control in one table, and how a request is read into them.

A new control is a file of this package and a row here; `docs/controls.md` walks through one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.controls import intensity, loop, overlap, structure
from engine.controls.control import Control, Setting
from engine.curves import Form, Lane
from engine.spec import BridgeError, RenderRequest

Read = Callable[[RenderRequest, Setting], Control | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One control.

    Attributes:
        unit: of its loss.
        weight: in a sum of several (DITTO, appendix H).
        source: where it is described.
        fields: of a request that ask for it; empty where the task itself does.
        read: the control that a request asks for, None where it does not.
    """

    name: str
    unit: str
    weight: float
    doc: str
    source: str
    fields: tuple[str, ...] = ()
    read: Read = lambda request, setting: None


def _intensity(request: RenderRequest, setting: Setting) -> Control | None:
    if request.intensity_from is not None:
        control = intensity.read_file(request.intensity_from, setting, _match(request))
    elif request.intensity is not None:
        control = intensity.read(Lane.parse(request.intensity), setting, _match(request))
    else:
        return None
    beside_melody = request.task == "melody"
    return replace(control, weight=intensity.WEIGHT_BESIDE_MELODY) if beside_melody else control


def _match(request: RenderRequest) -> intensity.Match:
    return "shape" if request.intensity_match == "shape" else "level"


def _structure(request: RenderRequest, setting: Setting) -> Control | None:
    if request.structure_from is not None:
        return structure.read_file(request.structure_from, setting)
    if request.structure is not None:
        return structure.read(Form.parse(request.structure), setting)
    return None


TABLE: tuple[Row, ...] = (
    Row("overlap", overlap.Overlap().unit, 1.0, "what is there already: outpainting, inpainting, "
        "a loop beside its clip", "DITTO, section 4"),
    Row("loop", loop.Loop(1, 1).unit, 1.0, "the result's end leads into its own beginning",
        "DITTO, appendix E", ("seamless",)),
    Row("melody", "nats", 1.0, "the strongest pitch class above middle C is the tune's",
        "DITTO, section 4", ("melody",)),
    Row("intensity", "dB²", intensity.WEIGHT, "the level over time follows a curve",
        "DITTO, section 4 and appendix C", ("intensity", "intensity_from", "intensity_match"),
        _intensity),
    Row("structure", "mean squared cosine", structure.WEIGHT, "parts with the same letter sound "
        "alike, others do not", "DITTO, section 4 and appendix F",
        ("structure", "structure_from"), _structure),
)  # fmt: skip


def wished(request: RenderRequest, setting: Setting) -> tuple[Control, ...]:
    """The controls that a request asks for beside its task.

    Raises:
        BridgeError: `bad_request`, naming the field that cannot be met.
    """
    found = []
    for row in TABLE:
        try:
            control = row.read(request, setting)
        except ValueError as error:
            raise BridgeError("bad_request", f"{row.name} {error}") from None
        if control is not None:
            found.append(control)
    return tuple(found)
