"""Stable Audio 3 in its published sizes, with random weights, on a GPU."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from engine.models.studio import Words
from engine.optimise.methods import run_method
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES
from models_bench.checkpoints import Changes, opened, replace_part
from models_bench.work import Wish, noise_of, problem, steps_of
from tests.engine.models.public import checkpoints

MODES = ("eager", "graph", "compile")
SAMPLED_S, OPTIMISED_S = 30.0, 12.0
WISHES: tuple[Wish, ...] = ("intensity", "melody")
_PROMPT_TOKENS = 256
_ITERATIONS = 8  # of the fast method, as by default
_FRAMES_PER_STEP = 8
_WARM_RUNS = 2

# As published: a DiT of 433 M (without what it is told of kept audio) beside SAME-S, and one of
# 1.4 G beside SAME-L; the small one's attention is plain.
_SMALL: Changes = {
    "transformer": {"embed_dim": 1024, "depth": 20, "num_heads": 16}
    | {"use_differential_attention": False},
    "vae": {"encoder_channels": 128, "encoder_transformer_depths": [6]},
}
_MEDIUM: Changes = {
    "transformer": {"embed_dim": 1536, "depth": 24, "num_heads": 24},
    "vae": {"encoder_channels": 256, "encoder_transformer_depths": [12]}
    | {"decoder_sinusoidal_blocks": [8]},
}
_BOTH: Changes = {
    "transformer": {
        "io_channels": 256,
        "cond_token_dim": 768,
        "global_cond_dim": 768,
        "local_add_cond_dim": 257,
        "timestep_features_dim": 256,
        "num_memory_tokens": 64,
    },
    "vae": {
        "patch_size": 256,
        "encoder_c_mults": [6],
        "encoder_strides": [16],
        "latent_dim": 256,
        "dim_heads": 64,
        "sampling_rate": 44_100,
    },
    "duration_embedder": {"output_dim": 768, "fourier_dim": 256},
}
_ENCODER = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "head_dim": 64,
    "query_pre_attn_scalar": 64,
    "sliding_window": 4096,
}
VARIANTS: dict[str, Changes] = {"small-music": _SMALL, "medium": _MEDIUM}
# So that all of it can be tried where there is no GPU; its figures mean nothing.
_SMALLER: Changes = {
    "transformer": {"embed_dim": 64, "depth": 1, "num_heads": 1},
    "vae": {"encoder_channels": 32, "encoder_transformer_depths": [1]}
    | {"decoder_sinusoidal_blocks": [0]},
}
_SMALLER_S = 0.05  # instead of each second


def write_full_size(folder: Path, variant: str, *, smaller: bool, dtype: torch.dtype) -> Path:
    """A checkpoint of a published size."""
    checkpoints.stable_audio_3(folder)
    parts = dict(_BOTH)
    for part, changes in VARIANTS[variant].items():
        parts[part] = parts[part] | changes | (_SMALLER[part] if smaller else {})
    encoder = _ENCODER | ({"num_hidden_layers": 1} if smaller else {})
    settings = json.loads((folder / "text_encoder" / "config.json").read_text())
    parts["text_encoder"] = {
        side: {name: value for name, value in settings[side].items() if name != "layer_types"}
        | encoder
        for side in ("encoder", "decoder")
        if settings.get(side)
    }
    _read_more(folder)
    for part, changes in parts.items():
        replace_part(folder, part, changes, dtype)
    return folder


def _read_more(folder: Path) -> None:
    """Prompts are filled up to as many tokens as the published models read."""
    settings = folder / "tokenizer" / "tokenizer_config.json"
    given = json.loads(settings.read_text()) | {"model_max_length": _PROMPT_TOKENS}
    settings.write_text(json.dumps(given))


def full_size(
    variant: str, device: str, modes: tuple[str, ...], repeats: int, *, smaller: bool
) -> dict[str, Any]:
    """Seconds of every mode and wish, and the memory, for one variant."""
    dtype = torch.bfloat16
    with tempfile.TemporaryDirectory() as place:
        folder = write_full_size(Path(place) / variant, variant, smaller=smaller, dtype=dtype)
        model = opened("stable-audio-3", folder, device, dtype)
        share = _SMALLER_S if smaller else 1.0
        found: dict[str, Any] = {
            "variant": variant,
            "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
            "smaller": smaller,
            "parameters": _parameters(model),
            "sampled": {},
            "optimised": {},
        }
        told_s = _timed(device, lambda: model.tell(Words("slow piano", SAMPLED_S * share)))
        found["told_s"] = told_s
        for mode in modes:
            found["sampled"][mode] = _tried(
                partial(_sampled, model, SAMPLED_S * share, mode, repeats)
            )
        for wish in WISHES:
            found["optimised"][wish] = _tried(partial(_optimised, model, OPTIMISED_S * share, wish))
    return found


def _tried(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a mode says that does not work here, in place of its figures."""
    try:
        return measure()
    except (RuntimeError, NotImplementedError) as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


def _parameters(model: Any) -> dict[str, int]:
    parts = {"network": model._network, "codec": model.codec._network, "text": model._encoder}
    return {
        name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()
    }


def _sampled(model: Any, seconds: float, mode: str, repeats: int) -> dict[str, Any]:
    """Latents of the default steps, and their audio; words are told before."""
    steps = steps_of(model, seconds)
    noise = noise_of(model, steps)
    levels = model.levels(model.usage.steps)
    noises = torch.randn(model.usage.steps, *noise.shape, device=model.device)
    denoiser = model.denoiser(model.tell(Words("slow piano", seconds)))
    rule = STEP_RULES[model.usage.rule]

    def latent() -> Tensor:
        return sample(denoiser, levels[0] * noise, levels, rule=rule, noises=noises)

    def heard() -> Tensor:
        with torch.no_grad():
            audio: Tensor = model.codec.decode(latent())
        return audio

    device = model.device.type
    plain = model._network, model.codec._network.decode
    if mode == "compile":
        model._network = torch.compile(model._network)
        model.codec._network.decode = torch.compile(model.codec._network.decode)
    try:
        runs = [_in_a_graph(latent), _in_a_graph(heard)] if mode == "graph" else [latent, heard]
        for run in runs:
            for _ in range(_WARM_RUNS):
                run()
        _forget_peak(device)
        times_s = [[_timed(device, run) for _ in range(repeats)] for run in runs]
        return {
            "latent_steps": steps,
            "latent_s": median(times_s[0]),
            "heard_s": median(times_s[1]),
            "peak_bytes": _peak(device),
        }
    finally:
        model._network, model.codec._network.decode = plain


def _in_a_graph(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same kernels, launched as one."""
    beside: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_RUNS):
            run()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()

    def replayed() -> Tensor:
        graph.replay()
        return result

    return replayed


def _optimised(model: Any, seconds: float, wish: Wish) -> dict[str, Any]:
    """The fast method from pure noise, once after a short run that makes everything.

    The seconds are until the noise of the result is there, too, which a take does not wait for.
    """
    steps = steps_of(model, seconds)
    task = problem(model, _FRAMES_PER_STEP, steps, wish)
    noise = noise_of(model, steps)
    run_method("fast", task, noise, iterations=1)
    device = model.device.type
    _forget_peak(device)
    losses: list[float] = []

    def run() -> None:
        made = run_method("fast", task, noise, iterations=_ITERATIONS)
        losses.extend(made.losses)
        assert made.noise.shape == noise.shape

    taken_s = _timed(device, run)
    return {
        "latent_steps": steps,
        "seconds": taken_s,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "peak_bytes": _peak(device),
    }


def _timed(device: str, run: Callable[[], Any]) -> float:
    _wait(device)
    begun = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> int | None:
    return int(torch.cuda.max_memory_allocated()) if device == "cuda" else None
