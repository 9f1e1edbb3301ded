"""Recipes: what has to be said to make a take again, and how to say it differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engine.spec import BridgeError, RenderRequest

_SEEDS = 2**53  # as many as the field takes
_ALTERNATIVES = (  # one of each
    ("seconds", "bars"),
    ("bpm", "tempo_map", "tempo_from"),
    ("intensity", "intensity_from"),
    ("structure", "structure_from"),
)


def changed_request(recipe: Mapping[str, Any], changes: Mapping[str, Any]) -> RenderRequest:
    """The request of a recipe with other values; a length, tempo or curve replaces one
    said otherwise.

    What changes begins with the refined noise of the take, which lies nearer to a new curve or a
    new prompt than fresh noise does; another seed asks for fresh noise, and another model knows
    nothing of the take's.

    Raises:
        BridgeError: `bad_request` for a value that does not fit, `not_found` for a damaged recipe.
    """
    request = recipe.get("request")
    if not isinstance(request, Mapping):
        raise BridgeError("not_found", "the take's recipe holds no request")
    base = dict(request)
    for alternatives in _ALTERNATIVES:
        if any(name in changes for name in alternatives):
            for name in alternatives:
                base.pop(name, None)
    if "seed" in changes or changes.get("model", base.get("model")) != base.get("model"):
        base.pop("noise", None)
    elif changes and "latent_key" in recipe:
        base["noise"] = recipe["latent_key"]
    return RenderRequest.from_mapping({**base, **changes})


def takes_of(request: RenderRequest, count: int) -> list[RenderRequest]:
    """Requests of as many takes: the first as it is, the next with the seeds that follow.

    Another seed asks for fresh noise, so only the first begins with the noise of an earlier render.
    """
    seeds = [(request.seed + number) % _SEEDS for number in range(1, count)]
    return [request, *(replace(request, seed=seed, noise=None) for seed in seeds)]


def changed_requests(
    recipe: Mapping[str, Any], changes: Mapping[str, Any], count: int
) -> list[RenderRequest]:
    """As many takes of a recipe with other values.

    Raises:
        BridgeError: as `changed_request`.
    """
    request = changed_request(recipe, changes)
    if count > 1 and "seed" not in changes:
        # Several are wanted to choose from, and the take itself is there already.
        return takes_of(request, count + 1)[1:]
    return takes_of(request, count)
