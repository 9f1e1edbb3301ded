"""Recipes: what has to be said to make a take again, and how to say it differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.spec import BridgeError, RenderRequest

_ALTERNATIVES = (("seconds", "bars"), ("bpm", "tempo_map", "tempo_from"))  # one of each


def changed_request(recipe: Mapping[str, Any], changes: Mapping[str, Any]) -> RenderRequest:
    """The request of a recipe with other values; a length or tempo replaces one said otherwise.

    What changes begins with the refined noise of the take, which lies nearer to a new curve or a
    new prompt than fresh noise does; another seed asks for fresh noise.

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
    if "seed" in changes:
        base.pop("noise", None)
    elif changes and "latent_key" in recipe:
        base["noise"] = recipe["latent_key"]
    return RenderRequest.from_mapping({**base, **changes})
