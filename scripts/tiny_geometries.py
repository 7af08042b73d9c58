"""The geometries of the tiny checkpoints: what their headers state."""

from __future__ import annotations

import copy
from typing import Any

import fixed_header
import tiny_v20
import tiny_v25

Config = dict[str, Any]

# Of the sound, which is skipped.
_AUDIO: Config = {
    "audio_num_attention_heads": 4,
    "audio_attention_head_dim": 8,
    "audio_out_channels": 8,
    "audio_cross_attention_dim": 32,
    "audio_positional_embedding_max_pos": [20],
    "audio_connector_num_attention_heads": 4,
    "audio_connector_attention_head_dim": 8,
    "av_cross_ada_norm": True,
    "use_audio_video_cross_attention": True,
    "av_ca_timestep_scale_multiplier": 1000.0,
}
_SAMPLING: Config = {
    "schedule": "ltx2",
    "steps": 4,
    "guidance": 3.0,
    "stg": 1.0,
    "rescale": 0.7,
    "stg_blocks": [1],
    "width": 64,
    "height": 64,
    "frames": 9,
    "fps": 24,
}


def _res(layers: int) -> list[Any]:
    return ["res_x", {"num_layers": layers}]


def _to(kind: str, multiplier: int, **more: Any) -> list[Any]:
    return [kind, {"multiplier": multiplier, **more}]


# `weights` names the geometry whose numbers are used; `dtype` is the checkpoint's.
GEOMETRIES: dict[str, Config] = {
    # As the 22B file: gated, the true order of VAE stages, Gemma with one global layer in six,
    # one rotary padding entry. The text length is ours and small.
    "base": {
        "weights": "base",
        "dtype": "F32",
        "registers": 16,
        "sampling": _SAMPLING,
        "transformer": {
            "num_layers": 2,
            "num_attention_heads": 4,
            "attention_head_dim": 32,
            "in_channels": 8,
            "out_channels": 8,
            "cross_attention_dim": 128,
            "norm_eps": 1e-6,
            "caption_channels": 64,
            "positional_embedding_theta": 10000.0,
            "positional_embedding_max_pos": [20, 2048, 2048],
            "apply_gated_attention": True,
            "connector_apply_gated_attention": True,
            "connector_num_layers": 2,
            "connector_num_attention_heads": 2,
            "connector_attention_head_dim": 64,
            "connector_positional_embedding_max_pos": [4096],
            "connector_text_length": 32,
        },
        "vae": {
            "latent_channels": 8,
            "encoder_base_channels": 8,
            "decoder_base_channels": 8,
            "encoder_blocks": [
                _res(2),
                _to("compress_space_res", 2),
                _res(2),
                _to("compress_time_res", 2),
                _res(1),
                _to("compress_all_res", 2),
                _res(1),
                _to("compress_all_res", 1),
                _res(1),
            ],
            "decoder_blocks": [
                _res(2),
                _to("compress_space", 2),
                _res(2),
                _to("compress_time", 2),
                _res(2),
                _to("compress_all", 1),
                _res(1),
                _to("compress_all", 2),
                _res(1),
            ],
        },
        # What the real config leaves to transformers' defaults is left out here too.
        "gemma": {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "num_hidden_layers": 7,
            "query_pre_attn_scalar": 32,
            "sliding_window": 1024,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        },
        "gemma_layout": "sharded",
    },
    # Other counts everywhere, BF16, no rotary padding, 1024 rows of text, connector without gates,
    # VAE stages in another order with residual upsampling and reflected borders, a window of text
    # shorter than a prompt, and every Gemma setting stated.
    "odd": {
        "weights": "odd",
        "dtype": "BF16",
        "registers": 128,
        "sampling": {
            **_SAMPLING,
            "schedule": "linear_quadratic",
            "steps": 3,
            "guidance": 2.0,
            "stg": 0.5,
            "rescale": 0.4,
            "stg_blocks": [0, 2],
            "width": 96,
            "fps": 30,
        },
        "transformer": {
            "num_layers": 3,
            "num_attention_heads": 6,
            "attention_head_dim": 16,
            "in_channels": 12,
            "out_channels": 12,
            "cross_attention_dim": 96,
            "norm_eps": 1e-5,
            "caption_channels": 48,
            "positional_embedding_theta": 5000.0,
            "positional_embedding_max_pos": [10, 1024, 512],
            "apply_gated_attention": True,
            "connector_apply_gated_attention": False,
            "connector_num_layers": 1,
            "connector_num_attention_heads": 3,
            "connector_attention_head_dim": 32,
            "connector_positional_embedding_max_pos": [2048],
        },
        "vae": {
            "latent_channels": 12,
            "encoder_base_channels": 12,
            "decoder_base_channels": 4,
            "spatial_padding_mode": "reflect",
            "encoder_blocks": [
                _res(1),
                _to("compress_all_res", 2),
                _res(2),
                _to("compress_space_res", 1),
                _res(1),
                _to("compress_time_res", 1),
                _to("compress_all_res", 2),
                _res(1),
            ],
            "decoder_blocks": [
                _res(1),
                _to("compress_all", 2, residual=True),
                _res(2),
                _to("compress_all", 1, residual=True),
                _res(1),
                _to("compress_all", 2, residual=True),
                _res(1),
            ],
        },
        "gemma": {
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": 24,
            "num_hidden_layers": 4,
            "query_pre_attn_scalar": 20,
            "sliding_window": 6,
            "sliding_window_pattern": 3,
            "rope_theta": 500000.0,
            "rope_local_base_freq": 5000.0,
            "rope_scaling": None,
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 4096,
            "attention_bias": False,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "hidden_activation": "gelu_pytorch_tanh",
        },
        "gemma_layout": "flat",
    },
}
# The same weights with the distilled recipe as the model's own.
GEOMETRIES["distilled"] = {
    **GEOMETRIES["base"],
    "sampling": {
        **_SAMPLING,
        "schedule": "distilled",
        "steps": 8,
        "guidance": 1.0,
        "stg": 0.0,
        "rescale": 0.0,
        "stg_blocks": [],
    },
}
# What no released file has but the header can state: the DiT without gates, a causal decoder,
# res_x_y, strided downsampling, a log-variance per channel.
GEOMETRIES["plain"] = copy.deepcopy(GEOMETRIES["base"])
GEOMETRIES["plain"].update(weights="plain", dtype="BF16")
GEOMETRIES["plain"]["transformer"].update(
    apply_gated_attention=False,
    num_attention_heads=2,
    attention_head_dim=32,
    connector_attention_head_dim=32,
    cross_attention_dim=64,
)
GEOMETRIES["plain"]["vae"].update(
    {
        "causal_decoder": True,
        "latent_log_var": "per_channel",
        "decoder_base_channels": 4,
        "encoder_blocks": [
            _res(1),
            ["compress_space", {}],
            ["res_x_y", {"multiplier": 2}],
            ["compress_time", {}],
            ["compress_all_x_y", {"multiplier": 2}],
            ["compress_all", {}],
            _res(1),
        ],
        "decoder_blocks": [
            _res(1),
            ["compress_space", {}],
            ["res_x_y", {"multiplier": 2}],
            _to("compress_time", 2),
            _to("compress_all", 2),
            ["compress_all", {}],
        ],
    }
)


def _small(name: str, **changed: Any) -> Config:
    """A geometry with a small VAE, other than `base` in what is given, group by group."""
    g = copy.deepcopy(GEOMETRIES["base"])
    g["weights"] = name
    g["transformer"].update(connector_num_layers=1)
    g["gemma"].update(num_hidden_layers=3, sliding_window_pattern=2)
    g["vae"]["decoder_base_channels"] = 2
    for group, value in changed.items():
        g[group] = {**g.get(group, {}), **value} if isinstance(value, dict) and value else value
    return g


# Odd numbers of heads in the DiT, the connector and Gemma; widths that no vector divides.
GEOMETRIES["heads"] = _small(
    "heads",
    registers=8,
    transformer={
        "num_layers": 3,
        "num_attention_heads": 5,
        "attention_head_dim": 24,
        "in_channels": 10,
        "out_channels": 10,
        "cross_attention_dim": 120,
        "caption_channels": 60,
        "connector_num_attention_heads": 3,
        "connector_attention_head_dim": 40,
        "connector_text_length": 40,
    },
    vae={"latent_channels": 10, "encoder_base_channels": 10, "decoder_base_channels": 3},
    gemma={
        "hidden_size": 60,
        "intermediate_size": 100,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
        "head_dim": 20,
        "query_pre_attn_scalar": 20,
    },
)
# Deep enough for the official recipe, which perturbs block 28: as the official file it states none.
GEOMETRIES["deep"] = _small(
    "deep",
    sampling={},
    transformer={
        "num_layers": 30,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "cross_attention_dim": 32,
        "connector_num_attention_heads": 2,
        "connector_attention_head_dim": 16,
    },
    vae={"decoder_base_channels": 4},
)
# All weights in BF16, heads as long as a GPU's kernels want them, rows that every type can hold.
GEOMETRIES["bf16"] = _small(
    "bf16",
    dtype="BF16",
    transformer={
        "num_attention_heads": 2,
        "attention_head_dim": 64,
        "in_channels": 16,
        "out_channels": 16,
        "connector_num_attention_heads": 4,
        "connector_attention_head_dim": 32,
    },
    vae={"latent_channels": 16, "encoder_base_channels": 16, "decoder_base_channels": 4},
)
# One head, more registers than words, long rows of text; its videos are wide.
GEOMETRIES["wide"] = _small(
    "wide",
    registers=192,
    sampling={**_SAMPLING, "width": 160, "fps": 25},
    transformer={
        "num_attention_heads": 1,
        "attention_head_dim": 96,
        "cross_attention_dim": 96,
        "connector_num_attention_heads": 1,
        "connector_attention_head_dim": 96,
        "connector_text_length": 384,
    },
)
# With sound: as the 22B file, and with other widths, without gates, in BF16, where the gates
# between the modalities have timesteps of their own scale.
GEOMETRIES["joint"] = _small(
    "joint",
    transformer={"audio_in_channels": 128, "audio_out_channels": 128, "num_layers": 3},
)
GEOMETRIES["duet"] = _small(
    "duet",
    dtype="BF16",
    sampling={**_SAMPLING, "stg_blocks": [0]},
    transformer={
        "num_attention_heads": 2,
        "attention_head_dim": 48,
        "cross_attention_dim": 96,
        "apply_gated_attention": False,
        "connector_apply_gated_attention": False,
        "connector_num_attention_heads": 2,
        "connector_attention_head_dim": 48,
        "audio_num_attention_heads": 2,
        "audio_attention_head_dim": 20,
        "audio_in_channels": 48,
        "audio_out_channels": 48,
        "audio_cross_attention_dim": 40,
        "audio_positional_embedding_max_pos": [30],
        "audio_connector_num_attention_heads": 5,
        "audio_connector_attention_head_dim": 8,
        "av_ca_timestep_scale_multiplier": 250.0,
    },
)
# LTX-2.0's, with sound.
GEOMETRIES["v20"] = _small("v20", unstated=tiny_v20.UNSTATED, **tiny_v20.CHANGED)
# LTX-2.5's, and the decoder that denoises.
GEOMETRIES["v25"] = _small("v25", **tiny_v25.CHANGED)
GEOMETRIES["windows"] = _small("windows", vae=tiny_v25.VAE)
SOUND = ("joint", "duet", "twins", "v20", "v25")  # the geometries whose transformer has it
# Every layout that people publish, by make_twins.py: matrices of whole K-blocks, and what a
# transformer's file must have to be known for LTX-2.3's without stating it.
GEOMETRIES["twins"] = _small(
    "twins",
    dtype="BF16",
    sampling={},
    transformer={
        "num_attention_heads": 4,
        "attention_head_dim": 64,
        "in_channels": 128,
        "out_channels": 128,
        "cross_attention_dim": 256,
        "caption_channels": 256,
        "connector_num_attention_heads": 4,
        "connector_attention_head_dim": 64,
        "audio_num_attention_heads": 4,
        "audio_attention_head_dim": 64,
        "audio_in_channels": 128,
        "audio_out_channels": 128,
        "audio_cross_attention_dim": 256,
        "audio_connector_num_attention_heads": 4,
        "audio_connector_attention_head_dim": 64,
    },
    vae={
        "latent_channels": 128,
        "encoder_base_channels": 128,
        "decoder_base_channels": 4,
        "encoder_blocks": [*[_to("compress_all_res", 1)] * 3, _res(1)],
        "decoder_blocks": [*[_to("compress_all", 1)] * 3, _res(1)],
    },
    gemma={
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "head_dim": 64,
        "query_pre_attn_scalar": 64,
        "num_hidden_layers": 2,
        "sliding_window_pattern": 6,
    },
)
# The real widths, two blocks deep: a few GB, made for the slow test only.
_FULL = copy.deepcopy(GEOMETRIES["base"])
_FULL.update(weights="full", dtype="BF16", registers=128)
_FULL["transformer"].update(
    {
        "num_attention_heads": 32,
        "attention_head_dim": 128,
        "in_channels": 128,
        "out_channels": 128,
        "cross_attention_dim": 4096,
        "connector_num_attention_heads": 32,
        "connector_attention_head_dim": 128,
        "connector_text_length": 128,
    }
)
_FULL["vae"].update(
    {
        "latent_channels": 128,
        "encoder_base_channels": 128,
        "decoder_base_channels": 128,
        "encoder_blocks": [
            _res(4),
            _to("compress_space_res", 2),
            _res(6),
            _to("compress_time_res", 2),
            _res(4),
            _to("compress_all_res", 2),
            _res(2),
            _to("compress_all_res", 1),
            _res(2),
        ],
        "decoder_blocks": [
            _res(4),
            _to("compress_space", 2),
            _res(6),
            _to("compress_time", 2),
            _res(4),
            _to("compress_all", 1),
            _res(2),
            _to("compress_all", 2),
            _res(2),
        ],
    }
)
GEOMETRIES["full"] = _FULL


def model_config(name: str) -> Config:
    """The `config` of the checkpoint's header."""
    g = GEOMETRIES[name]
    groups = {
        "transformer": {
            **fixed_header.TRANSFORMER,
            **_AUDIO,
            "connector_num_learnable_registers": g["registers"],
            **g["transformer"],
        },
        "vae": g["vae"] if "encoder" in g["vae"] else {**fixed_header.VAE, **g["vae"]},
    }
    for group, unstated in g.get("unstated", {}).items():
        for key in unstated:
            groups[group].pop(key, None)
    return {
        **groups,
        "scheduler": fixed_header.SCHEDULER,
        **({"sampling": g["sampling"]} if g["sampling"] else {}),
    }
