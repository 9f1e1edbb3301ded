"""The export process: `python -m engine.exporting --root DIR`, one file in and one file out.

It lives for one export, so an export never waits for a render, and what it decodes is decoded
outside of the daemon. One JSON object comes in on standard input:

| field | meaning |
|---|---|
| `source` | the audio file |
| `folder` | where the new file goes |
| `name` | its name without the suffix; a number is added where that is taken |
| `container` | `wav`, `aiff` or `flac` |
| `sample_format` | `PCM_16`, `PCM_24` or `FLOAT` |
| `sample_rate_hz` | null for that of the source |
| `gain_db` | applied before anything else |
| `over` | `refuse` or `clip` what is over full scale in a format of integers |

and one goes out on standard output: what was written, or `{"error": {code, message, hint}}`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engine.files.audio import (
    MAX_VALUES,
    Clip,
    Samples,
    decode_clip,
    read_clip_bytes,
    write_audio,
)
from engine.files.dither import dithered, loses_bits
from engine.files.quantise import FLOAT_BITS
from engine.files.read import shown_name
from engine.files.tag_reading import read_tags
from engine.files.tags import Tags
from engine.opening import confine, enter_folder
from engine.spec import BridgeError
from engine.units import round_half_up

SUFFIXES = {"wav": ".wav", "aiff": ".aiff", "flac": ".flac"}
MAX_FLAC_CHANNELS = 8
SILENT_DB = -200.0  # said of silence, whose level has no figure
_MAX_NAMES = 10_000
_NICENESS = 10  # a stream or a render beside it comes first


def export(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the file that a request asks for; what was written.

    Raises:
        BridgeError: `bad_request` for a format that the container cannot hold, audio over full
            scale that must not be clipped, or a folder that cannot be written; `forbidden` for
            one outside the allowed folders; `bad_audio` and `too_large` for the source.
    """
    source, subtype = Path(request["source"]), str(request["sample_format"])
    data = read_clip_bytes(source)
    clip, tags = decode_clip(data, shown_name(source)), read_tags(data)
    _check_container(str(request["container"]), subtype, clip.channels)
    rate_hz = int(request["sample_rate_hz"] or clip.sample_rate_hz)
    samples = clip.samples * 10 ** (request["gain_db"] / 20) if request["gain_db"] else clip.samples
    samples = _at_rate(samples, clip.sample_rate_hz, rate_hz, tags.loops)
    over_samples = 0 if subtype in FLOAT_BITS else int(np.count_nonzero(np.abs(samples) > 1.0))
    peak_db = _peak_db(samples)
    if over_samples and request["over"] == "refuse":
        raise _over_full_scale(over_samples, peak_db, float(request["gain_db"]))
    is_dithered = loses_bits(samples, subtype)
    if is_dithered:
        samples = dithered(samples, subtype, _seed(clip, subtype, rate_hz))
    path = _write(request, samples, rate_hz, _tags_at(tags, clip.sample_rate_hz, rate_hz))
    written = path.read_bytes()
    return {
        "path": str(path),
        "container": request["container"],
        "sample_format": subtype,
        "sample_rate_hz": rate_hz,
        "channels": clip.channels,
        "length_samples": int(samples.shape[1]),
        "peak_db": peak_db,
        "over_samples": over_samples,
        "dithered": is_dithered,
        "size_bytes": len(written),
        "sha256": hashlib.sha256(written).hexdigest(),
    }


def _check_container(container: str, subtype: str, channels: int) -> None:
    if container not in SUFFIXES:
        raise BridgeError(
            "bad_request", f"{container!r} files are not written", ", ".join(SUFFIXES)
        )
    if container != "flac":
        return
    if subtype not in ("PCM_16", "PCM_24"):
        raise BridgeError(
            "bad_request",
            f"FLAC cannot hold {subtype} samples",
            "PCM_16 or PCM_24, or the container wav or aiff",
        )
    if channels > MAX_FLAC_CHANNELS:
        limit = f"it takes {MAX_FLAC_CHANNELS}; wav and aiff take more"
        raise BridgeError("bad_request", f"FLAC cannot hold {channels} channels", limit)


def _at_rate(samples: Samples, from_hz: int, to_hz: int, loops: bool) -> Samples:
    """At another rate; the length is exact, rounded once to a whole sample."""
    if from_hz == to_hz:
        return samples
    # With scipy behind it, which an export at the same rate need not wait for.
    from engine.render.finish import resample, resample_loop

    length_samples = round_half_up(Fraction(samples.shape[1] * to_hz, from_hz))
    if length_samples * samples.shape[0] > MAX_VALUES:
        raise BridgeError("too_large", f"{length_samples} samples at {to_hz} Hz", "a lower rate")
    convert = resample_loop if loops else resample
    return convert(samples, from_hz, to_hz, max(1, length_samples))


def _tags_at(tags: Tags, from_hz: int, to_hz: int) -> Tags:
    """The same place in the song, counted in samples of the new rate."""
    if tags.position_samples is None:
        return tags
    position = round_half_up(Fraction(tags.position_samples * to_hz, from_hz))
    return replace(tags, position_samples=position)


def _peak_db(samples: Samples) -> float:
    peak = float(np.max(np.abs(samples), initial=0.0))
    return max(SILENT_DB, 20 * float(np.log10(peak))) if peak > 0 else SILENT_DB


def _over_full_scale(count: int, peak_db: float, gain_db: float) -> BridgeError:
    # Rounded down, so that what is suggested does fit.
    fitting_db = np.floor((gain_db - peak_db) * 100) / 100
    return BridgeError(
        "bad_request",
        f"{count} samples are over full scale, the peak is {peak_db:+.2f} dBFS",
        f"gain_db {fitting_db:.2f} makes it fit, sample_format FLOAT keeps it as it is, "
        "over clip cuts it off",
    )


def _seed(clip: Clip, subtype: str, rate_hz: int) -> int:
    """From the audio, so that the same export has the same noise and two stems have not."""
    digest = hashlib.sha256(f"{clip.digest} {subtype} {rate_hz}".encode()).digest()
    return int.from_bytes(digest[:16], "little")


def _write(request: Mapping[str, Any], samples: Samples, rate_hz: int, tags: Tags) -> Path:
    """Under the first free name of the folder; it is there whole, or not at all."""
    container, base = str(request["container"]), str(request["name"])
    folder = Path(request["folder"])
    try:
        enter_folder(folder)
    except OSError as error:
        problem = f"{folder} cannot be used: {error.strerror}"
        raise BridgeError("bad_request", problem, "name a folder that is there") from None
    for number in range(1, _MAX_NAMES + 1):
        name = base + (f"-{number}" if number > 1 else "") + SUFFIXES[container]
        if Path(name).exists():
            continue
        try:
            form = (rate_hz, str(request["sample_format"]), container.upper())
            write_audio(name, samples, *form, tags=tags)
        except BridgeError:
            # Another export may have taken the name in between; anything else is told.
            if not Path(name).exists():
                raise
        else:
            return folder / name
    raise BridgeError("bad_request", f"{base} is there {_MAX_NAMES} times", "choose another name")


def answer(text: str) -> dict[str, Any]:
    """The answer to a request in JSON; a failure is an answer, too."""
    try:
        return export(json.loads(text))
    except BridgeError as error:
        return {"error": error.to_mapping()}
    except MemoryError:
        short = BridgeError("out_of_memory", "the export does not fit the memory", "a lower rate")
        return {"error": short.to_mapping()}
    except Exception as error:
        traceback.print_exc()
        problem = f"{type(error).__name__}: {error}"[:500]
        return {"error": BridgeError("engine_failed", problem, "the log has more").to_mapping()}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the process; the exit status."""
    parser = argparse.ArgumentParser(prog="engine.exporting", description=__doc__)
    parser.add_argument(
        "--root",
        type=Path,
        action="append",
        help="folder whose files may be read and written; may be given again",
    )
    options = parser.parse_args(arguments)
    confine(options.root or [])
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    json.dump(answer(sys.stdin.read()), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
