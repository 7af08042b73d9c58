"""The demo model's geometry, in the words of the official checkpoint's `config` metadata."""

from typing import Any

import fixed_header

MODEL_VERSION = "2.3.0"

LATENT_CHANNELS = 64
DECODER_BASE = 8  # the decoder starts 8 times as wide
# Video and sound have the same number of heads in every LTX-2 model, and rows of 32 quantise.
WIDTH, HEADS, HEAD_DIM, LAYERS = 160, 5, 32, 6
AUDIO_WIDTH, AUDIO_HEAD_DIM = 160, 32
CONNECTOR_LAYERS = 1
TEXT_LENGTH = 48  # rows the connector gives, and the tokenizer's maximum; captions have up to 28
REGISTERS = 16
GEMMA_HIDDEN, GEMMA_LAYERS = 96, 4
FPS = 24

VAE: dict[str, Any] = {
    **fixed_header.VAE,
    "latent_channels": LATENT_CHANNELS,
    "encoder_base_channels": LATENT_CHANNELS,
    "decoder_base_channels": DECODER_BASE,
    "encoder_blocks": [
        ["res_x", {"num_layers": 0}],
        ["compress_space_res", {"multiplier": 1}],
        ["res_x", {"num_layers": 1}],
        ["compress_time_res", {"multiplier": 1}],
        ["res_x", {"num_layers": 1}],
        ["compress_all_res", {"multiplier": 1}],
        ["res_x", {"num_layers": 1}],
        ["compress_all_res", {"multiplier": 1}],
        ["res_x", {"num_layers": 1}],
    ],
    # In the encoder's order, as the official file has it; the decoder builds them reversed.
    "decoder_blocks": [
        ["res_x", {"num_layers": 2}],
        ["compress_space", {"multiplier": 1}],
        ["res_x", {"num_layers": 1}],
        ["compress_time", {"multiplier": 1}],
        ["res_x", {"num_layers": 1}],
        ["compress_all", {"multiplier": 2}],
        ["res_x", {"num_layers": 2}],
        ["compress_all", {"multiplier": 1}],
        ["res_x", {"num_layers": 2}],
    ],
}

# Half the official latent's channels: a token of 4 x 16 numbers leaves most of the transformer's
# width free for what they mean, as the video's 64 do.
AUDIO_CHANNELS, MEL_BINS = 4, 64
AUDIO_MULTIPLIERS = [1, 2, 4]
AUDIO_TOKEN = AUDIO_CHANNELS * (MEL_BINS >> (len(AUDIO_MULTIPLIERS) - 1))
AUDIO_VAE: dict[str, Any] = {
    "model": {
        "params": {
            "ddconfig": {
                "ch": 16,
                "ch_mult": AUDIO_MULTIPLIERS,
                "num_res_blocks": 1,
                "z_channels": AUDIO_CHANNELS,
                "double_z": True,
                "in_channels": 2,
                "out_ch": 2,
                "resolution": 256,
                "mel_bins": MEL_BINS,
                "norm_type": "pixel",
                "causality_axis": "height",
                "attn_resolutions": [],
                "mid_block_add_attention": False,
                "dropout": 0.0,
            },
            "sampling_rate": 16000,
        }
    },
    "preprocessing": {
        "stft": {"filter_length": 1024, "hop_length": 160, "win_length": 1024, "causal": True},
        "mel": {"n_mel_channels": MEL_BINS, "mel_fmin": 0, "mel_fmax": 8000},
    },
}

_GENERATOR: dict[str, Any] = {
    "stereo": True,
    "resblock": "AMP1",
    "activation": "snakebeta",
    "use_tanh_at_final": False,
    "use_bias_at_final": False,
}
VOCODER: dict[str, Any] = {
    "vocoder": {
        **_GENERATOR,
        "upsample_initial_channel": 128,
        "upsample_rates": [5, 4, 4, 2],
        "upsample_kernel_sizes": [11, 8, 8, 4],
        "resblock_kernel_sizes": [3, 7],
        "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
    },
    "bwe": {
        **_GENERATOR,
        "upsample_initial_channel": 64,
        "upsample_rates": [6, 5, 8],
        "upsample_kernel_sizes": [12, 11, 16],
        "resblock_kernel_sizes": [5],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "input_sampling_rate": 16000,
        "output_sampling_rate": 48000,
        "n_fft": 256,
        "hop_length": 80,
        "num_mels": 64,
    },
}

TRANSFORMER: dict[str, Any] = {
    **fixed_header.TRANSFORMER,
    "apply_gated_attention": True,
    "attention_head_dim": HEAD_DIM,
    "audio_attention_head_dim": AUDIO_HEAD_DIM,
    "audio_connector_attention_head_dim": AUDIO_HEAD_DIM,
    "audio_connector_num_attention_heads": AUDIO_WIDTH // AUDIO_HEAD_DIM,
    "audio_cross_attention_dim": AUDIO_WIDTH,
    "audio_in_channels": AUDIO_TOKEN,
    "audio_num_attention_heads": HEADS,
    "audio_out_channels": AUDIO_TOKEN,
    "audio_positional_embedding_max_pos": [20],
    "av_ca_timestep_scale_multiplier": 1000.0,
    "av_cross_ada_norm": True,
    "caption_channels": GEMMA_HIDDEN,
    "connector_apply_gated_attention": True,
    "connector_attention_head_dim": HEAD_DIM,
    "connector_num_attention_heads": HEADS,
    "connector_num_layers": CONNECTOR_LAYERS,
    "connector_num_learnable_registers": REGISTERS,
    "connector_positional_embedding_max_pos": [4096],
    "connector_text_length": TEXT_LENGTH,
    "cross_attention_dim": WIDTH,
    "in_channels": LATENT_CHANNELS,
    "norm_eps": 1e-6,
    "num_attention_heads": HEADS,
    "num_layers": LAYERS,
    "out_channels": LATENT_CHANNELS,
    "positional_embedding_max_pos": [20, 2048, 2048],
    "positional_embedding_theta": 10000.0,
    "use_audio_video_cross_attention": True,
}

# The demo's own defaults for sampling and size.
SAMPLING: dict[str, Any] = {
    "schedule": "linear_quadratic",
    "steps": 16,
    "guidance": 3.0,
    "audio_guidance": 1.5,
    "modality_guidance": 1.0,
    "stg": 0.0,
    "rescale": 0.0,
    "stg_blocks": [],
    "negative_prompt": "",  # it knows no words for what to avoid
    "width": 256,
    "height": 256,
    "frames": 49,
    "fps": FPS,
}

UPSAMPLER: dict[str, Any] = {
    "_class_name": "LatentUpsampler",
    "in_channels": LATENT_CHANNELS,
    "mid_channels": 64,
    "num_blocks_per_stage": 2,
    "dims": 3,
    "spatial_upsample": True,
    "temporal_upsample": False,
    "spatial_scale": 2.0,
    "rational_resampler": False,
}

CONFIG: dict[str, Any] = {
    "transformer": TRANSFORMER,
    "vae": VAE,
    "audio_vae": AUDIO_VAE,
    "vocoder": VOCODER,
    "scheduler": fixed_header.SCHEDULER,
    "sampling": SAMPLING,
}
