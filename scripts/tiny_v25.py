"""What the tiny models of LTX-2.5 have that LTX-2.3's have not."""

from __future__ import annotations

from typing import Any

import fixed_header

# The video's feed-forward without biases, and a mark on tokens of one frame.
CHANGED: dict[str, Any] = {
    "transformer": {
        "num_layers": 2,
        "audio_in_channels": 128,
        "audio_out_channels": 128,
        "num_attention_heads": 2,
        "attention_head_dim": 32,
        "cross_attention_dim": 64,
        "connector_num_attention_heads": 2,
        "connector_attention_head_dim": 32,
        "audio_num_attention_heads": 2,
        "audio_attention_head_dim": 16,
        "audio_cross_attention_dim": 32,
        "ff_bias": False,
        "use_keyframes_abs_pos_embedding": True,
    },
}

# The decoder that denoises, beside an encoder of the same scale in a group of its own: windows of
# other sizes in each stage, and every kind of resampling.
VAE: dict[str, Any] = {
    "_class_name": "CausalDiffusionVAE",
    "model_output_type": "x0",
    "encoder": {
        **{k: v for k, v in fixed_header.VAE.items() if k != "_class_name"},
        "out_channels": 8,
        "blocks": [
            ["compress_time_res", {"multiplier": 2}],
            ["compress_space_res", {"multiplier": 2}],
            ["compress_time_res", {"multiplier": 2}],
            ["compress_all_res", {"multiplier": 1}],
            ["res_x", {"num_layers": 1}],
        ],
    },
    "decoder": {
        "_class_name": "NADiffusionDecoder",
        "in_channels": 8,
        "out_channels": 3,
        "patch_size": 4,
        "head_dim": 32,
        "stage_channels": [128, 64, 64, 64, 32],
        "stage_depths": [1, 2, 1, 1, 2],
        "stage_kernels": [[3, 5, 5], [3, 3, 3], [5, 3, 5], [3, 3, 3]],
        "upsamples": [[[2, 1, 1], 2], [[1, 2, 2], 1], [[2, 1, 1], 1], [[2, 2, 2], 2]],
        "stage5_kernel": [5, 7, 11],
        "t_emb_dim": 64,
        "timestep_scale_multiplier": 1000.0,
        "default_num_inference_steps": 1,
    },
}
