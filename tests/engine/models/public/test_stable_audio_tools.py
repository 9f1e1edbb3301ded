"""Stable Audio Open small: a checkpoint in its own format against a second implementation."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.models.public.contract import Kept
from engine.models.public.folder import ModelFolder
from engine.models.public.stable_audio_tools import PIPELINE, StableAudioTools
from engine.models.public.tools_design import read_design
from engine.models.studio import Words
from engine.sampling.guidance import guided
from engine.sampling.loop import sample
from engine.sampling.steps import STEP_RULES
from engine.spec import BridgeError
from tests.engine.models.public import tools_reference
from tests.engine.models.public.published_folders import write_header
from tests.engine.models.public.published_small import STABLE_AUDIO_OPEN_SMALL
from tests.engine.models.public.tools_checkpoints import Weights, settings, shapes, write

pytest.importorskip("diffusers", reason="the extra `models` is not installed")
transformers = pytest.importorskip("transformers", reason="the extra `models` is not installed")
WORDS = Words("warm slow piano", 1.2)
CLOSE = 1e-4  # of the norm, in float32
KINDS: dict[str, dict[str, Any]] = {
    "small": {},
    "wide heads, half of each turned": {"embed_dim": 256},
    "without norms": {"qk_norm": "none"},
    "shared keys": {"project_cond_tokens": False},
    "text of another width": {"text_width": 24},
}


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Weights, dict[str, Any]]:
    table = settings(**KINDS[request.param])
    folder, weights = write(tmp_path / "small", table)
    return StableAudioTools(ModelFolder.open(folder)), weights, table


def _far(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


@torch.no_grad()
def test_the_network_is_the_reference_s(made: tuple[Any, Weights, dict[str, Any]]) -> None:
    model, weights, table = made
    told = model.tell(WORDS)
    x = torch.randn(2, 3, 48)
    for level in (1.0, 0.6, 0.05):
        ours = (x - model.denoiser(told)(x, level)) / level
        theirs = tools_reference.velocity(weights, table, x, level, told.tokens, told.whole[:, 0])
        assert _far(ours, theirs) < CLOSE


@torch.no_grad()
def test_what_is_told_is_the_reference_s(made: tuple[Any, Weights, dict[str, Any]]) -> None:
    """Text and one token more, as T5 alone reads it; padding says nothing."""
    model, weights, _ = made
    told = model.tell(WORDS)
    seconds = tools_reference.seconds_token(weights, WORDS.seconds)
    assert _far(told.whole[:, 0], seconds) < CLOSE
    assert _far(told.tokens[:, -1], seconds) < CLOSE
    place = model._folder.path / "t5-tiny"
    reader = transformers.T5ForConditionalGeneration.from_pretrained(place).encoder.eval()
    ids = transformers.AutoTokenizer.from_pretrained(place)([WORDS.prompt], return_tensors="pt")
    text = reader(**ids).last_hidden_state
    if (layer := weights.get("conditioner.conditioners.prompt.proj_out.weight")) is not None:
        text = text @ layer.T + weights["conditioner.conditioners.prompt.proj_out.bias"]
    count = text.shape[1]
    assert told.tokens.shape[1] == 10 + 1 > count + 1
    assert _far(told.tokens[:, :count], text) < CLOSE
    assert not told.tokens[:, count:-1].any()
    nothing = model.tell_nothing(WORDS)
    assert not nothing.tokens.any()
    assert torch.equal(nothing.whole, told.whole)


@torch.no_grad()
def test_the_autoencoder_is_the_reference_s(made: tuple[Any, Weights, dict[str, Any]]) -> None:
    model, weights, _ = made
    latent, audio = torch.randn(1, 3, 300), torch.randn(1, 2, 300 * 32)
    assert (
        _far(model.codec.decode(latent), tools_reference.decoded(weights, latent, [2, 4, 4]))
        < CLOSE
    )
    assert (
        _far(model.codec.encode(audio), tools_reference.encoded(weights, audio, [2, 4, 4])) < CLOSE
    )


@torch.no_grad()
@pytest.mark.parametrize("start", [1.0, 0.7])
def test_ping_pong_from_pure_noise_and_from_less(tmp_path: Path, start: float) -> None:
    """Eight steps even in log-SNR from -6 to 2, new noise after each."""
    table = settings()
    folder, weights = write(tmp_path / "small", table)
    model = StableAudioTools(ModelFolder.open(folder))
    assert (model.usage.rule, model.usage.steps, model.usage.guidance) == ("ping-pong", 8, 1.0)
    first, noises = start * torch.randn(1, 3, 48), torch.randn(8, 1, 3, 48)
    told = model.tell(WORDS)
    ours = sample(
        model.denoiser(told),
        first,
        model.levels(8, start),
        rule=STEP_RULES[model.usage.rule],
        noises=noises,
    )
    from_ratio = math.log((1.0 - start) / start) if start < 1.0 else -6.0
    levels = torch.sigmoid(-torch.linspace(from_ratio, 2.0, 9))
    levels[0], levels[-1] = start, 0.0
    x = first
    for step in range(8):
        here, there = float(levels[step]), float(levels[step + 1])
        flow = tools_reference.velocity(weights, table, x, here, told.tokens, told.whole[:, 0])
        x = (1.0 - there) * (x - here * flow) + there * noises[step]
    assert _far(ours, x) < CLOSE


@torch.no_grad()
def test_before_its_post_training_it_is_guided(tmp_path: Path) -> None:
    """Euler's rule, and the velocity away from that of empty tokens."""
    table = settings(objective="rectified_flow")
    folder, weights = write(tmp_path / "base", table)
    model = StableAudioTools(ModelFolder.open(folder))
    assert (model.usage.rule, model.usage.steps, model.usage.guidance) == ("euler", 50, 7.0)
    told, nothing = model.tell(WORDS), model.tell_nothing(WORDS)
    denoiser = guided(model.denoiser(told), model.denoiser(nothing), 7.0)
    x = noise = torch.randn(1, 3, 48)
    levels = model.levels(5)
    for here, there in pairwise(levels):
        whole = told.whole[:, 0]
        towards = tools_reference.velocity(weights, table, x, here, told.tokens, whole)
        away = tools_reference.velocity(weights, table, x, here, 0.0 * told.tokens, whole)
        x = x + (there - here) * (away + 7.0 * (towards - away))
    assert _far(sample(denoiser, noise, levels, rule=STEP_RULES[model.usage.rule]), x) < CLOSE


def test_gradients_reach_the_noise(tmp_path: Path) -> None:
    folder, _ = write(tmp_path / "small", settings())
    model = StableAudioTools(ModelFolder.open(folder))
    noise = torch.randn(1, 3, 48, requires_grad=True)
    model.codec.decode(model.denoiser(model.tell(WORDS))(noise, 1.0)).square().mean().backward()
    assert noise.grad is not None
    assert float(noise.grad.norm()) > 0.0
    with pytest.raises(ValueError, match="does not edit"):
        model.denoiser(model.tell(WORDS), Kept(noise, torch.ones(1, 1, 48)))


def test_half_precision_on_the_disk_is_read_as_single(tmp_path: Path) -> None:
    """And norms of kernels under the names that newer versions of torch give them."""
    table = settings()
    folder, weights = write(tmp_path / "small", table)
    wanted = StableAudioTools(ModelFolder.open(folder))
    names = {"weight_g": "parametrizations.weight.original0"} | {
        "weight_v": "parametrizations.weight.original1"
    }
    renamed = {}
    for name, weight in weights.items():
        stem, _, last = name.rpartition(".")
        renamed[f"{stem}.{names.get(last, last)}"] = weight.half().float()
    save_file(
        {name: weight.half() for name, weight in renamed.items()}, folder / "model.safetensors"
    )
    model = StableAudioTools(ModelFolder.open(folder))
    x = torch.randn(1, 3, 20)
    with torch.no_grad():
        ours, theirs = model.codec.decode(x), wanted.codec.decode(x)
    assert ours.dtype == torch.float32
    assert model._network.dtype == model.codec._network.dtype == torch.float32
    assert _far(ours, theirs) < 0.01


def _set(*path: str, to: object) -> Callable[[dict[str, Any]], None]:
    def change(table: dict[str, Any]) -> None:
        for name in path[:-1]:
            table = table[name]
        table[path[-1]] = to

    return change


_DIT = ("model", "diffusion", "config")
_DECODER = ("model", "pretransform", "config", "decoder")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("model_type", to="autoencoder"), "model_type 'autoencoder'"),
        (_set("model", "diffusion", "diffusion_objective", to="v"), "diffusion_objective 'v'"),
        (_set("model", "diffusion", "prepend_cond_ids", to=["prompt"]), "prepend_cond_ids"),
        (_set("model", "pretransform", "scale", to=2.0), r"scale of the autoencoder 2\.0"),
        (_set(*_DIT, "global_cond_type", to="adaLN"), "global_cond_type 'adaLN'"),
        (_set(*_DIT, "num_memory_tokens", to=64), "the transformer's num_memory_tokens"),
        (_set(*_DIT, "attn_kwargs", "differential", to=True), r"attn_kwargs \['differential'\]"),
        (_set(*_DIT, "attn_kwargs", "qk_norm", to="dyt"), "qk_norm 'dyt'"),
        (_set(*_DECODER, "type", to="taae"), "decoder 'taae'"),
        (_set(*_DECODER, "config", "final_tanh", to=True), "final_tanh True"),
        (_set("model", "conditioning", "cond_dim", to=None), "cannot be read: TypeError"),
        (_set("sample_size", to="long"), "cannot be read: ValueError"),
    ],
)
def test_settings_that_would_be_run_wrongly(
    change: Callable[[dict[str, Any]], None], said: str
) -> None:
    table = copy.deepcopy(settings())
    read_design(table, "small")
    change(table)
    with pytest.raises(BridgeError, match=said) as raised:
        read_design(table, "small")
    assert raised.value.code == "not_found"


def _without(name: str) -> Callable[[Path, Weights], None]:
    def harm(folder: Path, weights: Weights) -> None:
        del weights[name]
        save_file(weights, folder / "model.safetensors")

    return harm


def _with_one_more(folder: Path, weights: Weights) -> None:
    more = {"model.model.transformer.memory_tokens": torch.zeros(4, 64)}
    save_file(weights | more, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_without("model.model.transformer.layers.1.ff.ff.2.bias"), "network do not fit"),
        (_without("pretransform.model.decoder.layers.2.layers.3.layers.1.weight_v"), "autoencoder"),
        (_without("conditioner.conditioners.seconds_total.embedder.embedding.1.bias"), "seconds"),
        (_with_one_more, "memory_tokens"),
        (lambda folder, _: (folder / "model.safetensors").write_bytes(b"{}"), "cannot be read"),
        (
            lambda folder, _: (folder / "model.safetensors").rename(folder / "model.ckpt"),
            "no model.safetensors but only model.ckpt, which can run code",
        ),
        (
            lambda folder, _: (folder / "t5-tiny").rename(folder / "t5"),
            "does not bring its text encoder t5-tiny.*put config.json.*small/t5-tiny",
        ),
        (
            lambda folder, _: (folder / "t5-tiny" / "model.safetensors").unlink(),
            "text_encoder has no weights",
        ),
        (lambda folder, _: (folder / "model_config.json").write_text("{}"), "what reads the words"),
    ],
)
def test_folders_that_are_not_complete(
    tmp_path: Path, harm: Callable[[Path, Weights], object], said: str
) -> None:
    folder, weights = write(tmp_path / "small", settings())
    harm(folder, weights)
    with pytest.raises(BridgeError, match=said) as raised:
        StableAudioTools(ModelFolder.open(folder))
    assert raised.value.code == "not_found"


@pytest.mark.parametrize("place", ["small/text_encoder", "t5-tiny"])
def test_the_text_encoder_may_lie_in_three_places(tmp_path: Path, place: str) -> None:
    """Within the folder under either name, or beside it for several models."""
    folder, _ = write(tmp_path / "small", settings())
    found = ModelFolder.open(folder)
    before, size = found.digest(), found.size_bytes()
    assert found.pipeline == PIPELINE
    (folder / "t5-tiny").rename(tmp_path / place)
    found = ModelFolder.open(folder)
    assert (found.digest(), found.size_bytes()) == (before, size)
    (tmp_path / place / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 9}))
    assert ModelFolder.open(folder).digest() != before


def test_the_published_settings_are_read() -> None:
    design = read_design(STABLE_AUDIO_OPEN_SMALL, "small")
    assert design.window_steps == 256
    assert (design.most_tokens, design.width, design.heads_normed) == (64, 768, True)
    assert design.numbers == {"seconds_total": (0.0, 256.0)}
    count = {"model": 0, "pretransform": 0}
    for name, shape in shapes(STABLE_AUDIO_OPEN_SMALL, 768).items():
        part = name.partition(".")[0]
        if part in count and not name.endswith((".inv_freq", "norm.beta")):
            count[part] += math.prod(shape)
    assert count["model"] / 1e6 == pytest.approx(341, abs=0.5)
    assert sum(count.values()) / 1e6 == pytest.approx(497, abs=0.5)


@pytest.mark.slow
def test_a_folder_of_full_size_is_loaded(tmp_path: Path) -> None:
    """With every weight 0, in half the room."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "model_config.json").write_text(json.dumps(STABLE_AUDIO_OPEN_SMALL))
    empty = {
        name: torch.empty(shape, device="meta")
        for name, shape in shapes(STABLE_AUDIO_OPEN_SMALL, 768).items()
    }
    write_header(folder / "model.safetensors", empty, torch.bfloat16)
    tiny, _ = write(tmp_path / "tiny", settings())
    (tiny / "t5-tiny").rename(folder / "t5-base")
    config = transformers.T5Config(vocab_size=39, d_model=768, d_ff=64, num_layers=1, num_heads=12)
    transformers.T5EncoderModel(config).save_pretrained(folder / "t5-base")
    model = StableAudioTools(ModelFolder.open(folder), "cpu", torch.bfloat16)
    assert model.longest_seconds == pytest.approx(11.889, abs=1e-3)
    assert (model.codec.sample_rate_hz, model.codec.step_samples) == (44_100, 2048)
    told = model.tell(WORDS)
    assert told.tokens.shape == (1, 64 + 1, 768)
    x = torch.zeros(1, 64, model.window_steps)
    with torch.no_grad():
        assert model.denoiser(told)(x, 0.7).shape == x.shape
        assert model.codec.decode(x[..., :16]).shape == (1, 2, 16 * 2048)
