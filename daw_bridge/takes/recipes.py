"""Recipes: what has to be said to make a take again, and how to say it differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.spec import BridgeError, RenderRequest


def changed_request(recipe: Mapping[str, Any], changes: Mapping[str, Any]) -> RenderRequest:
    """The request of a recipe with other values; a length in one unit replaces the other.

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
    return RenderRequest.from_mapping({**base, **changes})
