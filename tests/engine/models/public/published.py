"""What the configuration files of the public checkpoints say.

The weights are gated or too large for a test, the values are not. Where they are from:

- Stable Audio 3: `scripts/convert_stable_audio_3_to_diffusers.py` in diffusers, which makes such a
  folder of the published `model_config.json`, the defaults of its classes, and for the sizes the
  model table of Stability-AI/stable-audio-3. Text encoder: google/t5gemma-b-b-ul2.
- Stable Audio Open 1.0: `scripts/convert_stable_audio.py` in diffusers over the published
  `model_config.json`; its network, autoencoder and seconds are those of `stable_audio_2_0.json` in
  Stability-AI/stable-audio-tools, for a window of 2 097 152 samples. Text encoder: t5-base.
- ACE-Step 1.5: `scripts/convert_ace_step_to_diffusers.py` in diffusers and its tests of
  the class defaults, which cite ACE-Step/Ace-Step1.5 `acestep-v15-turbo/config.json`; the XL
  variant's sizes as AceStepTransformer1DModel documents them. Text encoder: Qwen3-Embedding-0.6B.
- AudioLDM 2, MusicLDM, Stable Audio Open small: see the files beside.
"""

from __future__ import annotations

from tests.engine.models.public.published_form import Published, Settings
from tests.engine.models.public.published_mel import AUDIO_LDM_2, MUSIC_LDM

# Stable Audio 3

_T5GEMMA_SIDE: Settings = {
    "model_type": "t5_gemma_module",
    "vocab_size": 256_000,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
    "head_dim": 64,
    "query_pre_attn_scalar": 64,
    "sliding_window": 4096,
}
_T5GEMMA: Settings = {
    "model_type": "t5gemma",
    "architectures": ["T5GemmaEncoderModel"],
    "is_encoder_decoder": False,
    "vocab_size": 256_000,
    "encoder": _T5GEMMA_SIDE,
    "decoder": _T5GEMMA_SIDE,
}
_SAME: Settings = {
    "audio_channels": 2,
    "patch_size": 256,
    "encoder_channels": 128,
    "encoder_c_mults": [6],
    "encoder_strides": [16],
    "encoder_transformer_depths": [6],
    "latent_dim": 256,
    "use_differential_attention": True,
    "dim_heads": 64,
    "encoder_chunk_size": 32,  # kept by the conversion, of no use any more
    "ff_mult": 3,
    "sliding_window": 1,
    "encoder_sinusoidal_blocks": [0],
    "decoder_sinusoidal_blocks": [0],
    "sampling_rate": 44_100,
}
_SA3_DIT: Settings = {
    "io_channels": 256,
    "patch_size": 1,
    "embed_dim": 1024,
    "depth": 20,
    "num_heads": 16,
    "cond_token_dim": 768,
    "global_cond_dim": 768,
    "local_add_cond_dim": 257,
    "timestep_features_dim": 256,
    "ff_mult": 4,
    "num_memory_tokens": 64,
    "use_differential_attention": False,
}
_SA3_MEDIUM_DIT = _SA3_DIT | {
    "embed_dim": 1536,
    "depth": 24,
    "num_heads": 24,
    "use_differential_attention": True,
}
_SAME_L = _SAME | {
    "encoder_channels": 256,
    "encoder_transformer_depths": [12],
    "decoder_sinusoidal_blocks": [8],
}
_SA3_DURATION: Settings = {
    "output_dim": 768,
    "fourier_dim": 256,
    "min_val": 0.0,
    "max_val": 384.0,
    "min_freq": 0.5,
    "max_freq": 10_000.0,
}
FLOW: Settings = {
    "num_train_timesteps": 1,
    "shift": 1.0,
    "use_dynamic_shifting": False,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "invert_sigmas": False,
    "shift_terminal": None,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "time_shift_type": "exponential",
    "stochastic_sampling": False,
}
FLOW_SCHEDULER = "FlowMatchEulerDiscreteScheduler"


def _stable_audio_3(dit: Settings, vae: Settings, scheduler: Settings, *counts: float) -> Published:
    return Published(
        pipeline="StableAudio3Pipeline",
        parts={
            "vae": ("AutoencoderSAME", vae),
            "text_encoder": ("T5GemmaEncoderModel", _T5GEMMA),
            "duration_embedder": ("StableAudio3DurationEmbedder", _SA3_DURATION),
            "transformer": ("StableAudio3DiTModel", dit),
        },
        scheduler=(FLOW_SCHEDULER, scheduler),
        tokenizers={"tokenizer": ("gemma", 1_000_000_000_000_000_019_884_624_838_656)},
        millions=dict(zip(("transformer", "vae"), counts, strict=True)),
    )


# Oobleck: Stable Audio Open and ACE-Step

_OOBLECK: Settings = {
    "encoder_hidden_size": 128,
    "downsampling_ratios": [2, 4, 4, 8, 8],
    "channel_multiples": [1, 2, 4, 8, 16],
    "decoder_channels": 128,
    "decoder_input_channels": 64,
    "audio_channels": 2,
    "sampling_rate": 44_100,
}
_T5_BASE: Settings = {
    "model_type": "t5",
    "architectures": ["T5EncoderModel"],
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_decoder_layers": 12,
    "num_heads": 12,
    "vocab_size": 32_128,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
}
_STABLE_AUDIO_OPEN = Published(
    pipeline="StableAudioPipeline",
    parts={
        "vae": ("AutoencoderOobleck", _OOBLECK),
        "text_encoder": ("T5EncoderModel", _T5_BASE),
        "projection_model": (
            "StableAudioProjectionModel",
            {"text_encoder_dim": 768, "conditioning_dim": 768, "min_value": 0, "max_value": 512},
        ),
        "transformer": (
            "StableAudioDiTModel",
            {
                "sample_size": 1024,
                "in_channels": 64,
                "num_layers": 24,
                "attention_head_dim": 64,
                "num_attention_heads": 24,
                "num_key_value_attention_heads": 12,
                "out_channels": 64,
                "cross_attention_dim": 768,
                "time_proj_dim": 256,
                "global_states_input_dim": 1536,
                "cross_attention_input_dim": 768,
            },
        ),
    },
    scheduler=(
        "CosineDPMSolverMultistepScheduler",
        {
            "sigma_min": 0.3,
            "sigma_max": 500,
            "sigma_data": 1.0,
            "sigma_schedule": "exponential",
            "num_train_timesteps": 1000,
            "solver_order": 2,
            "prediction_type": "v_prediction",
            "rho": 7.0,
            "solver_type": "midpoint",
            "lower_order_final": True,
            "euler_at_final": False,
            "final_sigmas_type": "zero",
        },
    ),
    tokenizers={"tokenizer": ("t5", 128)},
    millions={"transformer": 1057.0, "vae": 156.0},
)


# ACE-Step

_QWEN3: Settings = {
    "model_type": "qwen3",
    "architectures": ["Qwen3Model"],
    "vocab_size": 151_669,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
    "tie_word_embeddings": True,
}
_ACE_SHAPE: Settings = {
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rope_theta": 1_000_000,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rms_norm_eps": 1e-6,
    "sliding_window": 128,
}
_ACE_CONDITIONS = _ACE_SHAPE | {
    "text_hidden_dim": 1024,
    "timbre_hidden_dim": 64,
    "num_lyric_encoder_hidden_layers": 8,
    "num_timbre_encoder_hidden_layers": 4,
}
_ACE_DIT = _ACE_SHAPE | {
    "num_hidden_layers": 24,
    "in_channels": 192,
    "audio_acoustic_hidden_dim": 64,
    "patch_size": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "is_turbo": True,
    "model_version": "turbo",
}
_ACE_XL = _ACE_DIT | {
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "encoder_hidden_size": 2048,
    "layer_types": ["sliding_attention", "full_attention"] * 16,
}


def _ace_step(dit: Settings, millions: float, shards: int = 1) -> Published:
    return Published(
        pipeline="AceStepPipeline",
        parts={
            "vae": (
                "AutoencoderOobleck",
                _OOBLECK | {"downsampling_ratios": [2, 4, 4, 6, 10], "sampling_rate": 48_000},
            ),
            "text_encoder": ("Qwen3Model", _QWEN3),
            "condition_encoder": ("AceStepConditionEncoder", _ACE_CONDITIONS),
            "transformer": ("AceStepTransformer1DModel", dit),
        },
        scheduler=(FLOW_SCHEDULER, FLOW),
        tokenizers={"tokenizer": ("qwen", 131_072)},
        index={"audio_tokenizer": [None, None], "audio_token_detokenizer": [None, None]},
        millions={"transformer+condition_encoder": millions},
        shards={"transformer": shards},
    )


CHECKPOINTS: dict[str, Published] = {
    "stable-audio-3-small-music": _stable_audio_3(
        _SA3_DIT, _SAME, FLOW | {"stochastic_sampling": True}, 459.0, 108.0
    ),
    "stable-audio-3-medium": _stable_audio_3(
        _SA3_MEDIUM_DIT, _SAME_L, FLOW | {"stochastic_sampling": True}, 1400.0, 852.0
    ),
    "stable-audio-3-medium-base": _stable_audio_3(_SA3_MEDIUM_DIT, _SAME_L, FLOW, 1400.0, 852.0),
    "stable-audio-open-1.0": _STABLE_AUDIO_OPEN,
    "acestep-v15-turbo": _ace_step(_ACE_DIT, 2_000.0),
    "acestep-v15-base": _ace_step(_ACE_DIT | {"is_turbo": False, "model_version": "base"}, 2_000.0),
    "acestep-v15-xl-turbo": _ace_step(_ACE_XL, 5_000.0, shards=2),
    "audioldm2-music": AUDIO_LDM_2,
    "musicldm": MUSIC_LDM,
}
