"""The demo model's geometry, in the words of the official checkpoint's `config` metadata."""

from typing import Any

MODEL_VERSION = "2.3.0"

LATENT_CHANNELS = 64
DECODER_BASE = 8  # the decoder starts 8 times as wide
WIDTH, HEADS, HEAD_DIM, LAYERS = 160, 5, 32, 4
CONNECTOR_LAYERS = 1
TEXT_LENGTH = 32  # rows the connector gives, and the tokenizer's maximum
REGISTERS = 32
GEMMA_HIDDEN, GEMMA_LAYERS = 64, 4

VAE: dict[str, Any] = {
    "_class_name": "CausalVideoAutoencoder",
    "dims": 3,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": LATENT_CHANNELS,
    "patch_size": 4,
    "norm_layer": "pixel_norm",
    "latent_log_var": "uniform",
    "use_quant_conv": False,
    "scaling_factor": 1.0,
    "normalize_latent_channels": False,
    "causal_decoder": False,
    "timestep_conditioning": False,
    "spatial_padding_mode": "zeros",
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
    "_class_name": "AVTransformer3DModel",
    "activation_fn": "gelu-approximate",
    "apply_gated_attention": True,
    "attention_bias": True,
    "attention_head_dim": HEAD_DIM,
    "attention_type": "default",
    "caption_channels": GEMMA_HIDDEN,
    "caption_proj_before_connector": True,
    "caption_proj_input_norm": False,
    "caption_projection_first_linear": False,
    "caption_projection_second_linear": False,
    "causal_temporal_positioning": True,
    "connector_apply_gated_attention": True,
    "connector_attention_head_dim": HEAD_DIM,
    "connector_learnable_registers_std": 1,
    "connector_norm_output": True,
    "connector_num_attention_heads": HEADS,
    "connector_num_layers": CONNECTOR_LAYERS,
    "connector_num_learnable_registers": REGISTERS,
    "connector_positional_embedding_max_pos": [4096],
    "connector_text_length": TEXT_LENGTH,
    "cross_attention_adaln": True,
    "cross_attention_dim": WIDTH,
    "cross_attention_norm": True,
    "double_self_attention": False,
    "dropout": 0.0,
    "frequencies_precision": "float64",
    "in_channels": LATENT_CHANNELS,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "num_attention_heads": HEADS,
    "num_embeds_ada_norm": 1000,
    "num_layers": LAYERS,
    "num_vector_embeds": None,
    "only_cross_attention": False,
    "out_channels": LATENT_CHANNELS,
    "positional_embedding_max_pos": [20, 2048, 2048],
    "positional_embedding_theta": 10000.0,
    "positional_embedding_type": "rope",
    "qk_norm": "rms_norm",
    "rope_type": "split",
    "share_ff": False,
    "standardization_norm": "rms_norm",
    "text_encoder_norm_type": "per_token_rms",
    "timestep_scale_multiplier": 1000,
    "upcast_attention": False,
    "use_embeddings_connector": True,
    "use_linear_projection": False,
    "use_middle_indices_grid": True,
}

SCHEDULER: dict[str, Any] = {
    "_class_name": "RectifiedFlowScheduler",
    "num_train_timesteps": 1000,
    "shifting": None,
    "base_resolution": None,
    "sampler": "LinearQuadratic",
}

# The demo's own defaults for sampling and size.
SAMPLING: dict[str, Any] = {
    "schedule": "linear_quadratic",
    "steps": 16,
    "guidance": 1.5,
    "stg": 0.0,
    "rescale": 0.0,
    "stg_blocks": [],
    "width": 128,
    "height": 128,
    "frames": 25,
    "fps": 8,
}

CONFIG: dict[str, Any] = {
    "transformer": TRANSFORMER,
    "vae": VAE,
    "scheduler": SCHEDULER,
    "sampling": SAMPLING,
}
