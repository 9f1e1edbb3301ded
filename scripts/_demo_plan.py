"""What the demonstration asks for: a list of requests, and what has to come of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CLIPS = Path(__file__).resolve().parent / "clips"
# Enough to see every part work, for machines that only check that it does.
_QUICK: Mapping[str, Any] = {"steps": 2, "refine": 1}
_LONG_REFINE = 500  # more than anybody waits for: it is there to be cancelled


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the demonstration.

    Attributes:
        name: of the files it leaves.
        via: `OSC` or `WebSocket`.
        values: fields of the request; a path stands for itself.
        cancelled: it is cancelled as soon as it works.
        repeats: it asks for what an earlier step has made, and has to come from the cache.
    """

    name: str
    title: str
    via: str
    task: str
    values: Mapping[str, Any]
    note: str = ""
    cancelled: bool = False
    repeats: bool = False

    @property
    def source(self) -> Path | None:
        """The clip it works on."""
        return self.values.get("source")


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in order, and the folders that the daemon may read."""

    steps: tuple[Step, ...]
    roots: tuple[Path, ...] = field(default=(CLIPS,))


def shipped_plan(short: bool) -> Plan:
    """The demonstration with the clips that ship with the project."""
    quick = dict(_QUICK) if short else {}
    drums, harmonic, tune = (CLIPS / name for name in ("drums.flac", "harmonic.flac", "tune.mid"))
    bars = 2 if short else 4
    on_drums = {"source": drums, "bars": 2, "bpm": 126.0}
    on_harmonic = {"source": harmonic, "seconds": 3 if short else 6}
    return Plan(
        (
            Step(
                "extend-drums", "Drums, two bars more", "OSC", "extend", {**on_drums, **quick},
                "The DAW names the tempo; the length is exact to the sample.",
            ),
            Step(
                "extend-harmonic", f"Electric piano, {on_harmonic['seconds']} seconds more",
                "WebSocket", "extend", {**on_harmonic, **quick},
                "The clip travels over the wire, and its tempo is estimated.",
            ),
            Step(
                "melody", f"Accompaniment to a tune, {bars} bars", "OSC", "melody",
                {"melody": tune, "bars": bars, **quick},
                "From a MIDI file: harmonised, then given its sound by the model.",
            ),
            Step(
                "loop-drums", "Drums, a seamless loop of two bars", "WebSocket", "loop",
                {"source": drums, "bars": 2, "bpm": 126.0, **quick},
                "The player repeats it: listen to the wrap.",
            ),
            Step(
                "again-harmonic", "The electric piano again, from the cache", "WebSocket", "extend",
                {**on_harmonic, **quick},
                "The same request a second time.", repeats=True,
            ),
            _cancelled_step(drums),
        )
    )  # fmt: skip


def own_plan(clip: Path, short: bool) -> Plan:
    """The demonstration with the user's own clip."""
    quick = dict(_QUICK) if short else {}
    step = Step(
        f"extend-{clip.stem}", f"{clip.name}, six seconds more", "OSC", "extend",
        {"source": clip, "seconds": 6, **quick}, "Tempo, bars and key are estimated.",
    )  # fmt: skip
    return Plan((step,), (clip.parent,))


def _cancelled_step(clip: Path) -> Step:
    return Step(
        "cancelled", "A long refinement, cancelled", "WebSocket", "extend",
        {"source": clip, "bars": 4, "bpm": 126.0, "seed": 1, "refine": _LONG_REFINE},
        "Stopped as soon as it worked.", cancelled=True,
    )  # fmt: skip
