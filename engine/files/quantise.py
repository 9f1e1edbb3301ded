"""What a file of a given sample format will hold, to the bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.spec import BridgeError

INTEGER_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
FLOAT_BITS = {"FLOAT": 32, "DOUBLE": 64}


def to_integers(samples: npt.NDArray[np.float64], subtype: str) -> npt.NDArray[np.int64]:
    """Integer samples of a PCM format: full scale is 2^(bits-1), rounded to nearest, clipped.

    The scale is the one decoders use, so a value that was read from the same format is a whole
    number here and comes back unchanged. (libsndfile's own float writer scales by 2^(bits-1) - 1
    and would alter every source sample.)
    """
    full = 1 << (INTEGER_BITS[subtype] - 1)
    return np.clip(np.rint(samples * full), -full, full - 1).astype(np.int64)


def quantise(samples: npt.ArrayLike, subtype: str) -> npt.NDArray[np.float64]:
    """Samples exactly as a reader of the written file gets them, so that streamed equals file.

    Args:
        samples: any shape, full scale ±1.

    Raises:
        BridgeError: `bad_request` for a format that is not written; `engine_failed` when the audio
            holds NaN or infinite values.
    """
    values = np.asarray(samples, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        raise BridgeError("engine_failed", "the rendered audio holds values that are not numbers")
    if subtype in INTEGER_BITS:
        return to_integers(values, subtype) / (1 << (INTEGER_BITS[subtype] - 1))
    if subtype == "FLOAT":
        return values.astype(np.float32).astype(np.float64)
    if subtype == "DOUBLE":
        return values.copy()
    known = ", ".join((*INTEGER_BITS, *FLOAT_BITS))
    raise BridgeError("bad_request", f"the sample format {subtype!r} is not written", known)
