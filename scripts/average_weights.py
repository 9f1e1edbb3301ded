"""The mean of weights of several training runs, whose noise is each one's own.

    .venv/bin/python scripts/average_weights.py FIRST... LAST --out OUT

Runs that ended one after the other on the way of one training lie around a place that is better
than any of them (stochastic weight averaging; Izmailov et al. 2018). Codec and metadata are those
of the last file; its loss on the held-out pieces of the training folder is added.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from train_house import held_out_loss
from training_windows import ShardWindows

from engine.models.house.codec import SpectralCodec
from engine.models.house.network import HouseNetwork, NetworkShape

NETWORK = "network."
MUST_AGREE = ("format", "shape", "vocabulary")


def metadata_of(path: Path) -> dict[str, str]:
    """What a weights file says of itself."""
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def mean_of(networks: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor, worked out in single precision, in half precision."""
    return {
        name: torch.stack([each[name].float() for each in networks]).mean(dim=0).half()
        for name in networks[0]
    }


def average(paths: Sequence[Path]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of the mean.

    Raises:
        SystemExit: the files are of different networks or for different codecs.
    """
    said = [metadata_of(path) for path in paths]
    tensors = [load_file(path) for path in paths]
    for name in MUST_AGREE:
        if len({each.get(name) for each in said}) > 1:
            raise SystemExit(f"the files differ in their {name}")
    if len({frozenset(each) for each in tensors}) > 1:
        raise SystemExit("the files hold different tensors")
    codec = {name: value for name, value in tensors[-1].items() if not name.startswith(NETWORK)}
    if not all(torch.equal(each[name], value) for each in tensors for name, value in codec.items()):
        raise SystemExit("the files are for different codecs: their latents mean different things")
    networks = [
        {name: value for name, value in each.items() if name.startswith(NETWORK)}
        for each in tensors
    ]
    training = json.loads(said[-1]["training"])
    training["mean_of_minutes"] = [json.loads(each["training"])["minutes"] for each in said]
    return mean_of(networks) | codec, said[-1] | {"training": json.dumps(training)}


def loss_of(tensors: dict[str, Tensor], folder: Path) -> float:
    """Loss on the held-out pieces of a training folder, as training tells it of its own weights."""
    shape = NetworkShape()
    network = HouseNetwork(shape)
    state = {
        name.removeprefix(NETWORK): value.float()
        for name, value in tensors.items()
        if name.startswith(NETWORK)
    }
    network.load_state_dict(state)
    network.requires_grad_(False).eval()
    codec = SpectralCodec.from_mapping(tensors)
    return held_out_loss(network, ShardWindows(folder / "held_out", codec, shape, "cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    options = parser.parse_args()
    tensors, metadata = average(options.weights)
    training = json.loads(metadata["training"])
    training["held_out"] = loss_of(tensors, options.folder)
    out: Path = options.out
    partial = out.with_suffix(".partial")
    save_file(tensors, partial, metadata | {"training": json.dumps(training)})
    partial.chmod(0o644)
    partial.rename(out)
    print(f"held-out loss {training['held_out']:.4f}")


if __name__ == "__main__":
    main()
