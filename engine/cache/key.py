"""Cache keys: a SHA-256 over canonical JSON, so that equal requests have equal keys everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.spec import FIELD_BY_NAME


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a render is made of.

    Attributes:
        digest: SHA-256 of everything that decides the result; the exact key.
        source_digest, model_digest, task: the parts a warm start must have in common.
    """

    digest: str
    source_digest: str
    model_digest: str
    task: str


def _canonical(value: Any) -> Any:
    """Make equal values look equal: 6.0 is 6, a tuple is a list, -0.0 is 0."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def canonical_json(value: Any) -> str:
    """One text per value: sorted names, no spaces, whole numbers without a fraction.

    >>> canonical_json({"b": 6.0, "a": (1, None)})
    '{"a":[1,null],"b":6}'

    Raises:
        TypeError: the value holds something other than JSON types.
        ValueError: the value holds a number that is not finite.
    """
    return json.dumps(
        _canonical(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def cache_key(
    source_digest: str, request: Mapping[str, Any], model_digest: str, sampler_version: str
) -> CacheKey:
    """Key of one render.

    Paths are left out of the request: a clip that was moved or renamed is still the same clip,
    and `source_digest` already stands for what is in it.

    Raises:
        TypeError, ValueError: as `canonical_json`.
    """
    asked = {
        name: value
        for name, value in request.items()
        if name not in FIELD_BY_NAME or FIELD_BY_NAME[name].kind != "path"
    }
    text = canonical_json(
        {
            "source": source_digest,
            "request": asked,
            "model": model_digest,
            "sampler": sampler_version,
        }
    )
    return CacheKey(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        source_digest=source_digest,
        model_digest=model_digest,
        task=str(request.get("task", "")),
    )
