"""The demo model's geometry, in the words of the official checkpoint's `config` metadata."""

from typing import Any

import fixed_header

MODEL_VERSION = "2.3.0"

LATENT_CHANNELS = 64
DECODER_BASE = 8  # the decoder starts 8 times as wide
WIDTH, HEADS, HEAD_DIM, LAYERS = 160, 5, 32, 4
CONNECTOR_LAYERS = 1
TEXT_LENGTH = 32  # rows the connector gives, and the tokenizer's maximum
REGISTERS = 32
GEMMA_HIDDEN, GEMMA_LAYERS = 64, 4

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
        ["res_x", {"num_layers": 1}],
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

TRANSFORMER: dict[str, Any] = {
    **fixed_header.TRANSFORMER,
    "apply_gated_attention": True,
    "attention_head_dim": HEAD_DIM,
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
}

# The demo's own defaults for sampling and size.
SAMPLING: dict[str, Any] = {
    "schedule": "linear_quadratic",
    "steps": 16,
    "guidance": 1.5,
    "stg": 0.0,
    "rescale": 0.0,
    "stg_blocks": [],
    "negative_prompt": "",  # it knows no words for what to avoid
    "width": 128,
    "height": 128,
    "frames": 25,
    "fps": 8,
}

CONFIG: dict[str, Any] = {
    "transformer": TRANSFORMER,
    "vae": VAE,
    "scheduler": fixed_header.SCHEDULER,
    "sampling": SAMPLING,
}
