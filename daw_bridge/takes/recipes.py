"""Recipes: what has to be said to make a take again, and how to say it differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.spec import BridgeError, RenderRequest


def changed_request(recipe: Mapping[str, Any], changes: Mapping[str, Any]) -> RenderRequest:
    """The request of a recipe with other values; a length in one unit replaces the other.

    What changes begins with the refined noise of the take, which lies nearer to a new curve or a
    new prompt than fresh noise does; another seed asks for fresh noise.

    Raises:
        BridgeError: `bad_request` for a value that does not fit, `not_found` for a damaged recipe.
    """
    request = recipe.get("request")
    if not isinstance(request, Mapping):
        raise BridgeError("not_found", "the take's recipe holds no request")
    base = dict(request)
    for given, other in (("seconds", "bars"), ("bars", "seconds")):
        if given in changes:
            base.pop(other, None)
    if "seed" in changes:
        base.pop("noise", None)
    elif changes and "latent_key" in recipe:
        base["noise"] = recipe["latent_key"]
    return RenderRequest.from_mapping({**base, **changes})
