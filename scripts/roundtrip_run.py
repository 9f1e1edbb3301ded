"""Encodes a file to the model's latent and decodes it again, without a guide."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from engine.files.audio import lossless_subtype, read_clip, write_audio  # noqa: E402
from engine.models.house.codec import SAMPLE_RATE_HZ, STEP_SAMPLES, SpectralCodec  # noqa: E402
from engine.models.house.model import default_weights_path  # noqa: E402
from engine.render.finish import from_model, to_model  # noqa: E402
from engine.spec import BridgeError  # noqa: E402

_CONTAINERS = {".wav": "WAV", ".aif": "AIFF", ".aiff": "AIFF", ".flac": "FLAC"}


def load_codec(name: str) -> SpectralCodec:
    """The codec of a model: "house", or the path of a file with its tensors.

    Raises:
        BridgeError: `not_found` where there is none.
    """
    path = default_weights_path() if name == "house" else Path(name)
    if not path.is_file():
        raise BridgeError("not_found", f"there is no model {name!r}", "the models are: house")
    try:
        return SpectralCodec.from_mapping(load_file(path))
    except (SafetensorError, KeyError) as error:
        raise BridgeError("not_found", f"{path.name} holds no codec: {error}") from None


def round_trip(source: Path, target: Path, codec: SpectralCodec, overwrite: bool) -> str:
    """Write `target`, as long and at the rate of `source`; returns a line that says so."""
    clip = read_clip(source)
    audio = torch.from_numpy(to_model(clip.samples, clip.sample_rate_hz))
    started_s = time.perf_counter()
    with torch.no_grad():
        latent = codec.encode(audio)
        decoded = codec.decode(latent).numpy().astype(np.float64)
    spent_s = time.perf_counter() - started_s
    samples = from_model(decoded, clip.sample_rate_hz, clip.length_samples, clip.samples)
    container = _CONTAINERS.get(target.suffix.lower(), "WAV")
    subtype = lossless_subtype(clip.subtype)
    write_audio(target, samples, clip.sample_rate_hz, subtype, container, overwrite=overwrite)
    steps = latent.shape[-1]
    rate_hz = SAMPLE_RATE_HZ / STEP_SAMPLES
    return (
        f"{target.name}: {clip.length_samples} samples through {steps} steps of "
        f"{latent.shape[-2]} values, {rate_hz:.1f} steps a second, in {spent_s:.2f} s"
    )


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 2 for what the caller can mend."""
    parser = argparse.ArgumentParser(prog="roundtrip", description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN.wav")
    parser.add_argument("target", type=Path, metavar="OUT.wav")
    parser.add_argument("--model", default="house", help="house, or a file with a codec's tensors")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.wav")
    options = parser.parse_args(arguments)
    try:
        codec = load_codec(options.model)
        print(round_trip(options.source, options.target, codec, options.overwrite))
    except BridgeError as error:
        print(f"roundtrip: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
