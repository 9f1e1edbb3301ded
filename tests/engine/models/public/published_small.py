"""What `model_config.json` of Stable Audio Open small says, in the format of stable-audio-tools.

As the README of betweentwomidnights/stable-audio-api shows it (objective, channels, window) and as
`stable_audio_small_..._base_model_config.json` in Stability-AI/stable-audio-tools has it for the
same network. Text encoder: t5-base, 64 tokens. The makers count 341 million parameters in the
network and 497 million with the autoencoder.
"""

from __future__ import annotations

from tests.engine.models.public.published_form import Settings

_OOBLECK_SIDE: Settings = {
    "channels": 128,
    "c_mults": [1, 2, 4, 8, 16],
    "strides": [2, 4, 4, 8, 8],
    "use_snake": True,
}
STABLE_AUDIO_OPEN_SMALL: Settings = {
    "model_type": "diffusion_cond",
    "sample_size": 524_288,
    "sample_rate": 44_100,
    "audio_channels": 2,
    "model": {
        "pretransform": {
            "type": "autoencoder",
            "iterate_batch": True,
            "model_half": True,
            "config": {
                "encoder": {
                    "type": "oobleck",
                    "requires_grad": False,
                    "config": _OOBLECK_SIDE | {"in_channels": 2, "latent_dim": 128},
                },
                "decoder": {
                    "type": "oobleck",
                    "config": _OOBLECK_SIDE
                    | {"out_channels": 2, "latent_dim": 64, "final_tanh": False},
                },
                "bottleneck": {"type": "vae"},
                "latent_dim": 64,
                "downsampling_ratio": 2048,
                "io_channels": 2,
            },
        },
        "conditioning": {
            "configs": [
                {
                    "id": "prompt",
                    "type": "t5",
                    "config": {"t5_model_name": "t5-base", "max_length": 64},
                },
                {
                    "id": "seconds_total",
                    "type": "number",
                    "config": {"min_val": 0, "max_val": 256},
                },
            ],
            "cond_dim": 768,
        },
        "diffusion": {
            "cross_attention_cond_ids": ["prompt", "seconds_total"],
            "global_cond_ids": ["seconds_total"],
            "diffusion_objective": "rf_denoiser",
            "distribution_shift_options": {"min_length": 256, "max_length": 4096},
            "type": "dit",
            "config": {
                "io_channels": 64,
                "embed_dim": 1024,
                "depth": 16,
                "num_heads": 8,
                "cond_token_dim": 768,
                "global_cond_dim": 768,
                "transformer_type": "continuous_transformer",
                "attn_kwargs": {"qk_norm": "ln"},
            },
        },
        "io_channels": 64,
    },
}
