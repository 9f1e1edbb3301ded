"""Tiny checkpoints with random weights, in the real on-disk format: saved by diffusers itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

WORDS = ("a", "slow", "fast", "piano", "drums", "warm", "house", "beat", "in", "minor")


def tokens_of(kind: str) -> Any:
    """A tokenizer of the model's own class over a handful of words."""
    import tokenizers
    import transformers

    if kind == "gemma":
        names = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"▁{word}" for word in WORDS)]
        letters = sorted({letter for word in WORDS for letter in word} | {"▁"})
        vocabulary = {name: index for index, name in enumerate([*names, *letters])}
        merges = _merges()
        for left, right in merges:
            vocabulary.setdefault(left + right, len(vocabulary))
        tokenizer = transformers.GemmaTokenizer(vocab=vocabulary, merges=merges)
    elif kind == "qwen":
        vocabulary = {"<|endoftext|>": 0}
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        vocabulary |= {letter: index for index, letter in enumerate(sorted(alphabet), 1)}
        return transformers.Qwen2TokenizerFast(vocab=vocabulary, merges=[])
    elif kind == "roberta":
        names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        vocabulary = {name: index for index, name in enumerate([*names, *alphabet])}
        tokenizer = transformers.RobertaTokenizerFast(vocab=vocabulary, merges=[])
    else:
        scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0)]
        scores += [(f"▁{word}", -1.0) for word in WORDS]
        scores += [(letter, -5.0) for letter in "▁abcdefghijklmnopqrstuvwxyz"]
        tokenizer = transformers.T5TokenizerFast(vocab=scores, extra_ids=0)
    tokenizer.model_max_length = 24 if kind == "roberta" else 12
    return tokenizer


def _merges() -> list[tuple[str, str]]:
    """Pairs that make every word of its letters, from its beginning on."""
    found: dict[tuple[str, str], None] = {}
    for word in WORDS:
        for end in range(len(word)):
            found["▁" + word[:end], word[end]] = None
    return list(found)


def _randomise(*networks: torch.nn.Module) -> None:
    """Weights that do something: freshly made layers often begin as zeros."""
    for network in networks:
        for weight in network.parameters():
            if weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.6 / weight[0].numel() ** 0.5)
            else:
                weight.data += 0.1 * torch.randn_like(weight)
        network.eval()


def _oobleck(sample_rate_hz: int, ratios: tuple[int, ...] = (2, 4, 4)) -> torch.nn.Module:
    """The autoencoder of Stable Audio Open and ACE-Step, with 32 samples to a step by default."""
    import diffusers

    return diffusers.AutoencoderOobleck(
        encoder_hidden_size=6,
        downsampling_ratios=list(ratios),
        channel_multiples=list(range(1, len(ratios) + 1)),
        decoder_channels=6,
        decoder_input_channels=3,
        sampling_rate=sample_rate_hz,
    )


def stable_audio_3(
    folder: Path, *, distilled: bool = True, seed: int = 0, real_steps: bool = False
) -> Path:
    """Stable Audio 3 in miniature: the same parts, keys and schedule.

    Args:
        real_steps: 4096 samples to a step at 44.1 kHz, as published; else 64 at 8 kHz.
    """
    import diffusers
    import transformers
    from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import (
        StableAudio3DurationEmbedder,
    )
    from transformers.models.t5gemma.configuration_t5gemma import T5GemmaModuleConfig

    torch.manual_seed(seed)
    tokenizer = tokens_of("gemma")
    module = T5GemmaModuleConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=16,
    )
    text = transformers.T5GemmaConfig(
        encoder=module, decoder=module, is_encoder_decoder=False, vocab_size=len(tokenizer)
    )
    encoder = transformers.T5GemmaEncoderModel(text)
    vae = diffusers.AutoencoderSAME(
        patch_size=256 if real_steps else 16,
        encoder_channels=8,
        encoder_c_mults=[4],
        encoder_strides=[16 if real_steps else 4],
        encoder_transformer_depths=[2],
        latent_dim=8,
        dim_heads=16,
        sampling_rate=44_100 if real_steps else 8_000,
    )
    transformer = diffusers.StableAudio3DiTModel(
        io_channels=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
        cond_token_dim=24,
        global_cond_dim=24,
        local_add_cond_dim=9,
        timestep_features_dim=16,
        num_memory_tokens=4,
    )
    embedder = StableAudio3DurationEmbedder(output_dim=24, fourier_dim=16)
    _randomise(encoder, vae, transformer, embedder)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1, stochastic_sampling=distilled
    )
    pipeline = diffusers.StableAudio3Pipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        duration_embedder=embedder,
        transformer=transformer,
        scheduler=scheduler,
    )
    pipeline.save_pretrained(folder)
    return folder


def stable_audio_open(
    folder: Path, *, seed: int = 0, schedule: str = "exponential", real_steps: bool = False
) -> Path:
    """Stable Audio Open in miniature: the same parts, keys and schedule.

    Args:
        real_steps: 2048 samples to a step at 44.1 kHz, as published; else 32 at 8 kHz.
    """
    import diffusers
    import transformers
    from diffusers.pipelines.stable_audio.modeling_stable_audio import StableAudioProjectionModel

    torch.manual_seed(seed)
    tokenizer = tokens_of("t5")
    text = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    encoder = transformers.T5EncoderModel(text)
    vae = _oobleck(44_100, (2, 4, 4, 8, 8)) if real_steps else _oobleck(8_000)
    projection = StableAudioProjectionModel(
        text_encoder_dim=24, conditioning_dim=16, min_value=0, max_value=32
    )
    transformer = diffusers.StableAudioDiTModel(
        sample_size=96,
        in_channels=3,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        num_key_value_attention_heads=2,
        out_channels=3,
        cross_attention_dim=16,
        time_proj_dim=8,
        global_states_input_dim=32,
        cross_attention_input_dim=16,
    )
    _randomise(encoder, vae, projection, transformer)
    scheduler = diffusers.CosineDPMSolverMultistepScheduler(
        sigma_min=0.3, sigma_max=500.0, sigma_schedule=schedule, solver_order=2
    )
    pipeline = diffusers.StableAudioPipeline(
        vae=vae,
        text_encoder=encoder,
        projection_model=projection,
        tokenizer=tokenizer,
        transformer=transformer,
        scheduler=scheduler,
    )
    pipeline.save_pretrained(folder)
    return folder


def ace_step(folder: Path, *, turbo: bool = True, seed: int = 0, real_steps: bool = False) -> Path:
    """ACE-Step 1.5 in miniature: the same parts, keys and schedule.

    Args:
        real_steps: 1920 samples to a step at 48 kHz, as published; else 32 at 800 Hz.
    """
    import diffusers
    import transformers
    from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder

    torch.manual_seed(seed)
    tokenizer = tokens_of("qwen")
    text = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    encoder = transformers.Qwen3Model(text)
    vae = _oobleck(48_000, (2, 4, 4, 6, 10)) if real_steps else _oobleck(800)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 8,
    }
    conditions = AceStepConditionEncoder(
        **shape,
        text_hidden_dim=24,
        timbre_hidden_dim=3,
        num_lyric_encoder_hidden_layers=1,
        num_timbre_encoder_hidden_layers=1,
    )
    transformer = diffusers.AceStepTransformer1DModel(
        **shape,
        num_hidden_layers=2,
        in_channels=9,
        audio_acoustic_hidden_dim=3,
        is_turbo=turbo,
    )
    _randomise(encoder, vae, conditions, transformer)
    conditions.silence_latent.normal_()
    pipeline = diffusers.AceStepPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=transformer,
        condition_encoder=conditions,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
    pipeline.save_pretrained(folder)
    return folder


def _mel_parts(*, real_steps: bool) -> dict[str, Any]:
    """CLAP, the autoencoder of spectrograms, the vocoder and the noise of both architectures."""
    import diffusers
    import transformers

    tokenizer = tokens_of("roberta")
    text = transformers.ClapTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_position_embeddings=40,
        projection_dim=24,
        pad_token_id=1,
    )
    audio = transformers.ClapAudioConfig(
        hidden_size=16,
        patch_embeds_hidden_size=4,
        depths=[1, 1],
        num_attention_heads=[1, 2],
        num_hidden_layers=2,
        spec_size=32,
        num_mel_bins=8,
        window_size=4,
        patch_size=4,
        patch_stride=4,
        projection_dim=24,
    )
    clap = transformers.ClapConfig(
        text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=24
    )
    vocoder = transformers.SpeechT5HifiGanConfig(
        model_in_dim=8,
        sampling_rate=16_000,
        upsample_initial_channel=16,
        upsample_rates=[10, 16] if real_steps else [4, 4],
        upsample_kernel_sizes=[20, 32] if real_steps else [8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        normalize_before=False,
    )
    return {
        "tokenizer": tokenizer,
        "text_encoder": transformers.ClapModel(clap),
        "feature_extractor": transformers.ClapFeatureExtractor(feature_size=8),
        "vae": diffusers.AutoencoderKL(
            block_out_channels=[8, 8, 8],
            in_channels=1,
            out_channels=1,
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            latent_channels=2,
            norm_num_groups=4,
            scaling_factor=0.9227,
        ),
        "vocoder": transformers.SpeechT5HifiGan(vocoder),
        "scheduler": diffusers.DDIMScheduler(
            beta_start=0.0015,
            beta_end=0.0195,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    }


def audioldm_2(folder: Path, *, seed: int = 0, real_steps: bool = False) -> Path:
    """AudioLDM 2 in miniature: the same parts, keys and schedule.

    Args:
        real_steps: 640 samples to a step at 16 kHz, as published; else 64.
    """
    import diffusers
    import transformers

    torch.manual_seed(seed)
    parts = _mel_parts(real_steps=real_steps)
    tokenizer = tokens_of("t5")
    text = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=20, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    language = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=8, n_positions=64, bos_token_id=0, eos_token_id=1
    )
    language.max_new_tokens = 4
    parts |= {
        "tokenizer_2": tokenizer,
        "text_encoder_2": transformers.T5EncoderModel(text),
        "projection_model": diffusers.AudioLDM2ProjectionModel(
            text_encoder_dim=24, text_encoder_1_dim=20, langauge_model_dim=16
        ),
        "language_model": transformers.GPT2LMHeadModel(language),
        "unet": diffusers.AudioLDM2UNet2DConditionModel(
            sample_size=8,
            in_channels=2,
            out_channels=2,
            block_out_channels=[8, 16],
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
            up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
            cross_attention_dim=[[None, 16, 20]] * 2,  # itself, the language model, T5
            attention_head_dim=4,
        ),
    }
    _randomise(*(part for part in parts.values() if isinstance(part, torch.nn.Module)))
    diffusers.AudioLDM2Pipeline(**parts).save_pretrained(folder)
    return folder


def musicldm(folder: Path, *, seed: int = 0, real_steps: bool = False) -> Path:
    """MusicLDM in miniature: the same parts, keys and schedule.

    Args:
        real_steps: 640 samples to a step at 16 kHz, as published; else 64.
    """
    import diffusers

    torch.manual_seed(seed)
    parts = _mel_parts(real_steps=real_steps)
    parts["unet"] = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=2,
        out_channels=2,
        block_out_channels=[8, 16],
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
        cross_attention_dim=[8, 16],
        attention_head_dim=4,
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=24,
        class_embeddings_concat=True,
    )
    _randomise(*(part for part in parts.values() if isinstance(part, torch.nn.Module)))
    diffusers.MusicLDMPipeline(**parts).save_pretrained(folder)
    return folder
