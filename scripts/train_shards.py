"""Compose and render training pieces into latent shards for `scripts/train_house.py`.

Every piece is encoded as a whole, stem by stem and in the part mixes that rendering by stems goes
through, so that the model can learn each part alone and beside others. Shards are seeded by their
number: interrupted, the script goes on where it stopped, and several may run side by side. The
codec's principal components are those of the weights that ship; `--refit` fits new ones on the
first pieces. Needs the Debian packages named in `scripts/train_data.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from train_data import frame_truth
from training_pieces import compose_training_piece, render_training_piece

from engine.models.house.codec import (
    STEP_SAMPLES,
    CodecBasis,
    SpectralCodec,
    fit_basis,
    log_mel_and_pan,
)
from engine.models.house.model import default_weights_path
from engine.sketch.score import MODES, ROLES, Piece
from engine.sketch.styles import MOODS, STYLES

FRAME_RATE_HZ = 44_100 / STEP_SAMPLES
PIECES_PER_SHARD = 12
BASIS_PIECES = 160
BASIS_SEEDS = 1_000_000  # far from the training pieces


def load_basis(folder: Path, refit: bool) -> CodecBasis:
    """The codec basis of this training folder, made when it is not there yet."""
    path = folder / "basis.safetensors"
    if not path.exists():
        basis = (
            fit_pieces() if refit else CodecBasis.from_mapping(load_file(default_weights_path()))
        )
        save_file(basis.to_mapping(), path)
    return CodecBasis.from_mapping(load_file(path))


def fit_pieces() -> CodecBasis:
    """Principal components of rendered pieces."""
    pairs = []
    for seed in range(BASIS_SEEDS, BASIS_SEEDS + BASIS_PIECES):
        audio = render_training_piece(compose_training_piece(seed), seed)["mix"]
        bands, _ = log_mel_and_pan(torch.from_numpy(audio))
        pairs.append(bands[::3])
    return fit_basis(torch.cat(pairs))


def part_mixes(roles: list[str]) -> list[int]:
    """Which mixes of a piece are encoded, as sums of `1 << index` over the roles in them.

    Everybody, everybody but one, each alone, and what a render by stems has after each stem.
    """
    bits = [1 << ROLES.index(role) for role in roles]
    everybody = sum(bits)
    prefixes = [sum(bits[:count]) for count in range(1, len(bits))]
    return sorted({everybody, *bits, *prefixes, *(everybody - bit for bit in bits)} - {0})


def encode_piece(codec: SpectralCodec, seed: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """One piece: latents `[mixes, steps, 128]`, truth for each step `[steps, …]`, and its tags."""
    piece = compose_training_piece(seed)
    audio = render_training_piece(piece, seed)
    mixes = part_mixes([part.role for part in piece.parts])
    latents = torch.stack([codec.encode(_mixed(audio, mix)).T.half() for mix in mixes])
    truth = frame_truth(piece, latents.shape[1], FRAME_RATE_HZ)
    kinds = {
        "melody_chroma": np.uint8,
        "melody_onsets": np.uint8,
        "roles": np.uint8,
        "beat_phase": np.float32,
        "bar_phase": np.float32,
    }
    tensors = {
        name: torch.from_numpy(np.asarray(truth[name], dtype=kind)) for name, kind in kinds.items()
    }
    return {"latents": latents, **tensors}, {"mixes": mixes, **tags_of(piece)}


def tags_of(piece: Piece) -> dict[str, Any]:
    """Global conditions of a piece as the indices that the network counts by."""
    playing = {part.role: part.program for part in piece.parts}
    return {
        "style": sorted(STYLES).index(piece.style),
        "key": piece.key.tonic + 12 * MODES.index(piece.key.mode),
        "mood": MOODS.index(piece.mood),
        "tempo_bpm": piece.tempo_bpm,
        "programs": [playing.get(role, -1) for role in ROLES],
    }


def _mixed(audio: dict[str, NDArray[np.float32]], mix: int) -> Tensor:
    chosen = [audio[role] for index, role in enumerate(ROLES) if mix >> index & 1]
    return torch.from_numpy(np.sum(chosen, axis=0, dtype=np.float32))


def write_shard(codec: SpectralCodec, folder: Path, number: int) -> None:
    """Render one shard, unless it is there."""
    path = folder / f"shard-{number:05d}.safetensors"
    if path.exists():
        return
    tensors: dict[str, Tensor] = {}
    pieces = []
    for index in range(PIECES_PER_SHARD):
        encoded, tags = encode_piece(codec, number * PIECES_PER_SHARD + index)
        tensors |= {f"{index}.{name}": value.contiguous() for name, value in encoded.items()}
        pieces.append(tags)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"pieces": json.dumps(pieces)})
    partial.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(".training/shards"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=120, help="shards of 12 pieces each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--refit", action="store_true", help="fit new principal components")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    codec = SpectralCodec(load_basis(options.folder, options.refit))
    for number in range(options.first, options.first + options.count):
        started = time.perf_counter()
        write_shard(codec, options.folder, number)
        print(f"shard {number} in {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
