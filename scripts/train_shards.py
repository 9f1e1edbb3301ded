"""Compose and render training pieces into latent shards for `scripts/train_house.py`.

Writes `basis.safetensors` (the codec's principal components, fitted on the first pieces) and
`shard-NNNNN.safetensors` under the training folder. Interrupted, it goes on where it stopped: every
shard is seeded by its number. Needs the Debian packages named in `scripts/train_data.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from train_data import frame_truth, render

from engine.models.house.codec import (
    STEP_SAMPLES,
    CodecBasis,
    SpectralCodec,
    fit_basis,
    log_mel_and_pan,
)
from engine.sketch.compose import compose
from engine.sketch.score import MODES, ROLES, Piece
from engine.sketch.styles import STYLES

FRAME_RATE_HZ = 44_100 / STEP_SAMPLES
PIECES_PER_SHARD = 24
BASIS_PIECES = 160


def compose_piece(seed: int) -> Piece:
    """The training piece with this number."""
    rng = np.random.default_rng([20_240_000, seed])
    return compose(rng, bars=int(rng.choice([8, 12, 16])))


def piece_audio(piece: Piece, seed: int) -> Tensor:
    """Rendered piece, driven and levelled at random as finished records are: `[2, samples]`."""
    rng = np.random.default_rng([7, seed])
    audio = render(piece, reverb=bool(rng.random() < 0.7))
    audio = audio / (float(np.abs(audio).max()) or 1.0)
    if rng.random() < 0.6:
        audio = np.tanh(audio * 10 ** (rng.uniform(0.0, 14.0) / 20))
    level = 10 ** (-rng.uniform(1.0, 12.0) / 20) / (float(np.abs(audio).max()) or 1.0)
    return torch.from_numpy((audio * level).astype(np.float32))


def load_basis(folder: Path) -> CodecBasis:
    """The codec basis of this training folder, fitted when it is not there yet."""
    path = folder / "basis.safetensors"
    if not path.exists():
        pairs = []
        for seed in range(BASIS_PIECES):
            bands, _ = log_mel_and_pan(piece_audio(compose_piece(1_000_000 + seed), seed))
            pairs.append(bands[::3])
        save_file(fit_basis(torch.cat(pairs)).to_mapping(), path)
    return CodecBasis.from_mapping(load_file(path))


def encode_piece(codec: SpectralCodec, seed: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Latent and truth of one piece, per frame `[steps, …]`, and its tags."""
    piece = compose_piece(seed)
    latent = codec.encode(piece_audio(piece, seed)).T
    truth = frame_truth(piece, latent.shape[0], FRAME_RATE_HZ)
    tensors = {
        "latent": latent.half(),
        "chroma": torch.from_numpy(np.asarray(truth["melody_chroma"], dtype=np.uint8)),
        "roles": torch.from_numpy(np.asarray(truth["roles"], dtype=np.uint8)),
        "beat_phase": torch.from_numpy(np.asarray(truth["beat_phase"], dtype=np.float32)),
        "bar_phase": torch.from_numpy(np.asarray(truth["bar_phase"], dtype=np.float32)),
    }
    tags = {
        "steps": latent.shape[0],
        "style": sorted(STYLES).index(piece.style),
        "key": piece.key.tonic + 12 * MODES.index(piece.key.mode),
        "tempo_bpm": piece.tempo_bpm,
    }
    return tensors, tags


def write_shard(codec: SpectralCodec, folder: Path, number: int) -> None:
    """Render one shard, unless it is there."""
    path = folder / f"shard-{number:05d}.safetensors"
    if path.exists():
        return
    encoded = [
        encode_piece(codec, number * PIECES_PER_SHARD + index) for index in range(PIECES_PER_SHARD)
    ]
    joined = {name: torch.cat([item[0][name] for item in encoded]) for name in encoded[0][0]}
    metadata = {"pieces": json.dumps([item[1] for item in encoded]), "roles": ",".join(ROLES)}
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in joined.items()}, partial, metadata)
    partial.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".training/shards"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=120, help="shards of 24 pieces each")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    codec = SpectralCodec(load_basis(options.folder))
    for number in range(options.first, options.first + options.count):
        started = time.perf_counter()
        write_shard(codec, options.folder, number)
        print(f"shard {number} in {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
