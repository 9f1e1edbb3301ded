"""What the files of a result say of themselves, from its scene and its request."""

from __future__ import annotations

from dataclasses import replace

from engine.files.tags import Tags
from engine.models.studio import Model
from engine.report import place_of
from engine.spec import RenderRequest
from engine.tasks.scene import Finished, Scene


def tags_of(scene: Scene, finished: Finished, request: RenderRequest, model: Model) -> Tags:
    """Task, seed, tempo, metre, key, bars and model, and where and how the result lies in time."""
    place = place_of(scene, int(finished.samples.shape[1]))
    tags = Tags(
        scene.name,
        position_samples=place["position_samples"],
        loops=request.task == "loop" or request.seamless,
    )
    said = [request.task, f"seed {request.seed}"]
    if scene.grid is not None and place["length_beats"] is not None:
        # Of several tempi and metres those of its beginning.
        grid = scene.grid.near(scene.grid_start_samples / scene.sample_rate_hz)
        said += [f"{round(grid.bpm, 4):g} bpm", str(grid.metre)]
        tags = replace(tags, bpm=grid.bpm, length_beats=place["length_beats"], metre=grid.metre)
    key = request.key or scene.facts.get("key") or scene.facts.get("heard_key")
    said += [str(key)] if key else []
    if request.bars:
        said.append("1 bar" if request.bars == 1 else f"{request.bars:g} bars")
    said.append(f"model {model.name} {model.digest}")
    return replace(tags, comment=", ".join(said))
