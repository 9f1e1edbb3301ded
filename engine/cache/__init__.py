"""The latent cache: finished renders and their noise, kept for repeats and warm starts."""

from engine.cache.key import CacheKey, cache_key, canonical_json
from engine.cache.store import Entry, LatentCache, Usage

__all__ = ["CacheKey", "Entry", "LatentCache", "Usage", "cache_key", "canonical_json"]
