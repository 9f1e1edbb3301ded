"""What the configuration files of AudioLDM 2 and MusicLDM say.

From `DEFAULT_CONFIG` and what is done with it in
`scripts/convert_original_audioldm2_to_diffusers.py` and `..._musicldm_...` in diffusers. Text
encoders: laion/clap-htsat-unfused, google/flan-t5-large; language model: gpt2.
"""

from __future__ import annotations

from tests.engine.models.public.published_form import Published, Settings

_CLAP: Settings = {
    "model_type": "clap",
    "architectures": ["ClapModel"],
    "projection_dim": 512,
    "text_config": {"model_type": "clap_text_model", "hidden_size": 768, "projection_dim": 512},
    "audio_config": {"model_type": "clap_audio_model", "hidden_size": 768, "projection_dim": 512},
}
_FLAN_T5_LARGE: Settings = {
    "model_type": "t5",
    "architectures": ["T5EncoderModel"],
    "d_kv": 64,
    "vocab_size": 32_128,
    "d_model": 1024,
    "d_ff": 2816,
    "num_layers": 24,
    "num_decoder_layers": 24,
    "num_heads": 16,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
_MEL_VAE: Settings = {
    "in_channels": 1,
    "out_channels": 1,
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [128, 256, 512],
    "latent_channels": 8,
    "layers_per_block": 2,
    "sample_size": 1024,
    "scaling_factor": 0.4110,  # learned; every checkpoint has its own
}
_VOCODER: Settings = {
    "model_type": "hifigan",
    "architectures": ["SpeechT5HifiGan"],
    "model_in_dim": 64,
    "sampling_rate": 16_000,
    "upsample_initial_channel": 1024,
    "upsample_rates": [5, 4, 2, 2, 2],
    "upsample_kernel_sizes": [16, 16, 8, 4, 4],
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "normalize_before": False,
}
_UNET: Settings = {
    "sample_size": 256,
    "in_channels": 8,
    "out_channels": 8,
    "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 3],
    "up_block_types": [*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"],
    "block_out_channels": [128, 256, 384, 640],
    "layers_per_block": 2,
}
_DDIM: tuple[str, Settings] = (
    "DDIMScheduler",
    {
        "num_train_timesteps": 1000,
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "beta_schedule": "scaled_linear",
        "trained_betas": None,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "prediction_type": "epsilon",
        "thresholding": False,
        "timestep_spacing": "leading",
        "rescale_betas_zero_snr": False,
    },
)
AUDIO_LDM_2 = Published(
    pipeline="AudioLDM2Pipeline",
    parts={
        "vae": ("AutoencoderKL", _MEL_VAE),
        "text_encoder": ("ClapModel", _CLAP),
        "text_encoder_2": ("T5EncoderModel", _FLAN_T5_LARGE),
        "projection_model": (
            "AudioLDM2ProjectionModel",
            {"text_encoder_dim": 512, "text_encoder_1_dim": 1024, "langauge_model_dim": 768},
        ),
        "language_model": (
            "GPT2Model",
            {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "max_new_tokens": 8},
        ),
        "unet": (
            "AudioLDM2UNet2DConditionModel",
            _UNET
            | {
                "cross_attention_dim": [[None, 768, 1024]] * 4,
                "transformer_layers_per_block": 1,
            },
        ),
        "vocoder": ("SpeechT5HifiGan", _VOCODER),
    },
    scheduler=_DDIM,
    tokenizers={"tokenizer": ("roberta", 512), "tokenizer_2": ("t5", 128)},
    index={"feature_extractor": ["transformers", "ClapFeatureExtractor"]},
    millions={"unet": 350.0},
)
MUSIC_LDM = Published(
    pipeline="MusicLDMPipeline",
    parts={
        "vae": ("AutoencoderKL", _MEL_VAE),
        "text_encoder": (
            "ClapModel",
            _CLAP
            | {
                "audio_config": {
                    "model_type": "clap_audio_model",
                    "patch_embeds_hidden_size": 128,
                    "hidden_size": 1024,
                    "depths": [2, 2, 12, 2],
                    "projection_dim": 512,
                }
            },
        ),
        "unet": (
            "UNet2DConditionModel",
            _UNET
            | {
                "cross_attention_dim": [128, 256, 384, 640],
                "class_embed_type": "simple_projection",
                "projection_class_embeddings_input_dim": 512,
                "class_embeddings_concat": True,
            },
        ),
        "vocoder": ("SpeechT5HifiGan", _VOCODER),
    },
    scheduler=_DDIM,
    tokenizers={"tokenizer": ("roberta", 512)},
    index={"feature_extractor": ["transformers", "ClapFeatureExtractor"]},
)
