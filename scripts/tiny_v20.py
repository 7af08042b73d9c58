"""What the header of a tiny LTX-2.0 checkpoint states other than that of LTX-2.3."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

# What LTX-2.0's header does not state: its text is projected within the transformer, in front of
# plain attention; both connectors have the same sizes; borders are each side's usual ones.
UNSTATED = {
    "transformer": (
        "apply_gated_attention", "connector_apply_gated_attention", "cross_attention_adaln",
        "caption_proj_before_connector", "caption_projection_first_linear",
        "caption_projection_second_linear", "caption_proj_input_norm", "text_encoder_norm_type",
        "audio_connector_num_attention_heads", "audio_connector_attention_head_dim",
    ),
    "vae": ("spatial_padding_mode",),
}  # fmt: skip


def _res(layers: int) -> list[Any]:
    return ["res_x", {"num_layers": layers}]


_DOWN = ["compress_space_res", "compress_time_res", "compress_all_res", "compress_all_res"]
_UP: list[Any] = ["compress_all", {"multiplier": 2, "residual": True}]
# The true order of stages, with fewer layers; the encoder doubles its width each time. Widths of
# text, video and sound all differ.
CHANGED: Config = {
    "transformer": {
        "num_layers": 2,
        "num_attention_heads": 4,
        "attention_head_dim": 24,
        "cross_attention_dim": 96,
        "audio_in_channels": 128,
        "audio_out_channels": 128,
        "connector_num_layers": 2,
        "connector_num_attention_heads": 2,
        "connector_attention_head_dim": 32,
    },
    "vae": {
        "decoder_base_channels": 4,
        "encoder_blocks": [
            _res(1),
            *(block for kind in _DOWN for block in ([kind, {"multiplier": 2}], _res(1))),
        ],
        "decoder_blocks": [_res(2), _UP, _res(1), _UP, _res(1), _UP, _res(1)],
    },
}
