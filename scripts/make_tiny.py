#!/usr/bin/env python3
"""Tiny checkpoints of the true architecture with random weights, the same bytes everywhere.

    scripts/make_tiny.py base build/tiny/base

writes `ltx-tiny-base.safetensors`, laid out as the official single file (names, `config` and
`model_version` in the header), and `gemma/`, laid out as a Hugging Face Gemma 3 folder.
Needs numpy only. Every number comes from a counter-based generator keyed by geometry and tensor
name, and from integer arithmetic, so no platform or library version changes a bit.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
import tiny_tokenizer

Array = NDArray[np.float32]
Config = dict[str, Any]

# What every LTX-2.3 header states and no geometry changes.
_FIXED: Config = {
    "_class_name": "AVTransformer3DModel", "activation_fn": "gelu-approximate",
    "attention_bias": True, "attention_type": "default", "cross_attention_norm": True,
    "double_self_attention": False, "dropout": 0.0, "norm_elementwise_affine": False,
    "norm_num_groups": 32, "num_embeds_ada_norm": 1000, "num_vector_embeds": None,
    "only_cross_attention": False, "qk_norm": "rms_norm", "standardization_norm": "rms_norm",
    "upcast_attention": False, "use_linear_projection": False, "share_ff": False,
    "positional_embedding_type": "rope", "rope_type": "split", "frequencies_precision": "float64",
    "use_middle_indices_grid": True, "causal_temporal_positioning": True,
    "timestep_scale_multiplier": 1000, "use_embeddings_connector": True,
    "connector_learnable_registers_std": 1, "connector_norm_output": True,
    "caption_proj_before_connector": True, "caption_projection_first_linear": False,
    "caption_projection_second_linear": False, "caption_proj_input_norm": False,
    "text_encoder_norm_type": "per_token_rms", "cross_attention_adaln": True,
    "audio_num_attention_heads": 4, "audio_attention_head_dim": 8, "audio_out_channels": 8,
    "audio_cross_attention_dim": 32, "audio_positional_embedding_max_pos": [20],
    "audio_connector_num_attention_heads": 4, "audio_connector_attention_head_dim": 8,
    "av_cross_ada_norm": True, "use_audio_video_cross_attention": True,
    "av_ca_timestep_scale_multiplier": 1000.0,
}
_VAE_FIXED: Config = {
    "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3,
    "patch_size": 4, "norm_layer": "pixel_norm", "latent_log_var": "uniform",
    "use_quant_conv": False, "scaling_factor": 1.0, "normalize_latent_channels": False,
    "causal_decoder": False, "timestep_conditioning": False, "spatial_padding_mode": "zeros",
}
_SAMPLING: Config = {"schedule": "ltx2", "steps": 4, "guidance": 3.0, "stg": 1.0, "rescale": 0.7,
                     "stg_blocks": [1], "width": 64, "height": 64, "frames": 9, "fps": 24}


def _res(layers: int) -> list[Any]:
    return ["res_x", {"num_layers": layers}]


def _to(kind: str, multiplier: int, **more: Any) -> list[Any]:
    return [kind, {"multiplier": multiplier, **more}]


# `weights` names the geometry whose numbers are used; `dtype` is the checkpoint's.
GEOMETRIES: dict[str, Config] = {
    # As the 22B file: gated, the true order of VAE stages, Gemma with one global layer in six,
    # one rotary padding entry. The text length is ours and small.
    "base": {
        "weights": "base", "dtype": "F32", "registers": 16, "sampling": _SAMPLING,
        "transformer": {
            "num_layers": 2, "num_attention_heads": 4, "attention_head_dim": 32, "in_channels": 8,
            "out_channels": 8, "cross_attention_dim": 128, "norm_eps": 1e-6,
            "caption_channels": 64, "positional_embedding_theta": 10000.0,
            "positional_embedding_max_pos": [20, 2048, 2048], "apply_gated_attention": True,
            "connector_apply_gated_attention": True, "connector_num_layers": 2,
            "connector_num_attention_heads": 2, "connector_attention_head_dim": 64,
            "connector_positional_embedding_max_pos": [4096], "connector_text_length": 32,
        },
        "vae": {
            "latent_channels": 8, "encoder_base_channels": 8, "decoder_base_channels": 8,
            "encoder_blocks": [_res(2), _to("compress_space_res", 2), _res(2),
                               _to("compress_time_res", 2), _res(1), _to("compress_all_res", 2),
                               _res(1), _to("compress_all_res", 1), _res(1)],
            "decoder_blocks": [_res(2), _to("compress_space", 2), _res(2), _to("compress_time", 2),
                               _res(2), _to("compress_all", 1), _res(1), _to("compress_all", 2),
                               _res(1)],
        },
        # What the real config leaves to transformers' defaults is left out here too.
        "gemma": {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "head_dim": 32, "num_hidden_layers": 7,
                  "query_pre_attn_scalar": 32, "sliding_window": 1024,
                  "rope_scaling": {"factor": 8.0, "rope_type": "linear"}},
        "gemma_layout": "sharded",
    },
    # Other counts everywhere, BF16, no rotary padding, 1024 rows of text, connector without gates,
    # VAE stages in another order with residual upsampling and reflected borders, a window of text
    # shorter than a prompt, and every Gemma setting stated.
    "odd": {
        "weights": "odd", "dtype": "BF16", "registers": 128,
        "sampling": {**_SAMPLING, "schedule": "linear_quadratic", "steps": 3, "guidance": 2.0,
                     "stg": 0.5, "rescale": 0.4, "stg_blocks": [0, 2], "width": 96, "fps": 30},
        "transformer": {
            "num_layers": 3, "num_attention_heads": 6, "attention_head_dim": 16, "in_channels": 12,
            "out_channels": 12, "cross_attention_dim": 96, "norm_eps": 1e-5,
            "caption_channels": 48, "positional_embedding_theta": 5000.0,
            "positional_embedding_max_pos": [10, 1024, 512], "apply_gated_attention": True,
            "connector_apply_gated_attention": False, "connector_num_layers": 1,
            "connector_num_attention_heads": 3, "connector_attention_head_dim": 32,
            "connector_positional_embedding_max_pos": [2048],
        },
        "vae": {
            "latent_channels": 12, "encoder_base_channels": 12, "decoder_base_channels": 4,
            "spatial_padding_mode": "reflect",
            "encoder_blocks": [_res(1), _to("compress_all_res", 2), _res(2),
                               _to("compress_space_res", 1), _res(1), _to("compress_time_res", 1),
                               _to("compress_all_res", 2), _res(1)],
            "decoder_blocks": [_res(1), _to("compress_all", 2, residual=True), _res(2),
                               _to("compress_all", 1, residual=True), _res(1),
                               _to("compress_all", 2, residual=True), _res(1)],
        },
        "gemma": {"hidden_size": 48, "intermediate_size": 80, "num_attention_heads": 3,
                  "num_key_value_heads": 1, "head_dim": 24, "num_hidden_layers": 4,
                  "query_pre_attn_scalar": 20, "sliding_window": 6, "sliding_window_pattern": 3,
                  "rope_theta": 500000.0, "rope_local_base_freq": 5000.0, "rope_scaling": None,
                  "rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "attention_bias": False,
                  "attn_logit_softcapping": None, "final_logit_softcapping": None,
                  "hidden_activation": "gelu_pytorch_tanh"},
        "gemma_layout": "flat",
    },
}
# The same weights with the distilled recipe as the model's own.
GEOMETRIES["distilled"] = {
    **GEOMETRIES["base"], "sampling": {**_SAMPLING, "schedule": "distilled", "steps": 8,
                                       "guidance": 1.0, "stg": 0.0, "rescale": 0.0,
                                       "stg_blocks": []}}
# What no released file has but the header can state: the DiT without gates, a causal decoder,
# res_x_y, strided downsampling, a log-variance per channel.
GEOMETRIES["plain"] = copy.deepcopy(GEOMETRIES["base"])
GEOMETRIES["plain"].update(weights="plain", dtype="BF16")
GEOMETRIES["plain"]["transformer"].update(apply_gated_attention=False, num_attention_heads=2,
                                          attention_head_dim=32, connector_attention_head_dim=32,
                                          cross_attention_dim=64)
GEOMETRIES["plain"]["vae"].update({
    "causal_decoder": True, "latent_log_var": "per_channel", "decoder_base_channels": 4,
    "encoder_blocks": [_res(1), ["compress_space", {}], ["res_x_y", {"multiplier": 2}],
                       ["compress_time", {}], ["compress_all_x_y", {"multiplier": 2}],
                       ["compress_all", {}], _res(1)],
    "decoder_blocks": [_res(1), ["compress_space", {}], ["res_x_y", {"multiplier": 2}],
                       _to("compress_time", 2), _to("compress_all", 2), ["compress_all", {}]],
})
# The real widths, two blocks deep: a few GB, made for the slow test only.
_FULL = copy.deepcopy(GEOMETRIES["base"])
_FULL.update(weights="full", dtype="BF16", registers=128)
_FULL["transformer"].update({
    "num_attention_heads": 32, "attention_head_dim": 128, "in_channels": 128, "out_channels": 128,
    "cross_attention_dim": 4096, "connector_num_attention_heads": 32,
    "connector_attention_head_dim": 128, "connector_text_length": 128})
_FULL["vae"].update({
    "latent_channels": 128, "encoder_base_channels": 128, "decoder_base_channels": 128,
    "encoder_blocks": [_res(4), _to("compress_space_res", 2), _res(6), _to("compress_time_res", 2),
                       _res(4), _to("compress_all_res", 2), _res(2), _to("compress_all_res", 1),
                       _res(2)],
    "decoder_blocks": [_res(4), _to("compress_space", 2), _res(6), _to("compress_time", 2), _res(4),
                       _to("compress_all", 1), _res(2), _to("compress_all", 2), _res(2)]})
GEOMETRIES["full"] = _FULL


def normal(geometry: str, name: str, shape: tuple[int, ...]) -> Array:
    """About N(0,1): the sum of four 16-bit numbers of Philox, keyed by geometry and name."""
    key = int.from_bytes(hashlib.sha256(f"{geometry}/{name}".encode()).digest()[:8], "little")
    count = math.prod(shape)
    words = np.random.Philox(key=key).random_raw(count).astype("<u8").view("<u2")
    sums = words.reshape(count, 4).sum(axis=1, dtype=np.int64) - 2 * 65535
    return (sums * (1.0 / math.sqrt((65536.0**2 - 1) / 3))).astype(np.float32).reshape(shape)


def _linear(t: dict[str, tuple[int, ...]], name: str, out: int, width: int) -> None:
    t[name + ".weight"], t[name + ".bias"] = (out, width), (out,)


def _attention(t: dict[str, tuple[int, ...]], name: str, width: int, heads: int,
               gated: bool) -> None:
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        _linear(t, f"{name}.{part}", width, width)
    t[name + ".q_norm.weight"] = t[name + ".k_norm.weight"] = (width,)
    if gated:
        _linear(t, name + ".to_gate_logits", heads, width)


def _feed_forward(t: dict[str, tuple[int, ...]], name: str, width: int) -> None:
    _linear(t, name + ".net.0.proj", 4 * width, width)
    _linear(t, name + ".net.2", width, 4 * width)


def _adaln(t: dict[str, tuple[int, ...]], name: str, width: int, rows: int) -> None:
    _linear(t, name + ".emb.timestep_embedder.linear_1", width, 256)
    _linear(t, name + ".emb.timestep_embedder.linear_2", width, width)
    _linear(t, name + ".linear", rows * width, width)


def _transformer_shapes(config: Config, registers: int, layers: int) -> dict[str, tuple[int, ...]]:
    t: dict[str, tuple[int, ...]] = {}
    heads, root = config["num_attention_heads"], "model.diffusion_model."
    width, gated = heads * config["attention_head_dim"], config["apply_gated_attention"]
    _linear(t, root + "patchify_proj", width, config["in_channels"])
    _adaln(t, root + "adaln_single", width, 9)
    _adaln(t, root + "prompt_adaln_single", width, 2)
    for i in range(config["num_layers"]):
        block = f"{root}transformer_blocks.{i}."
        t[block + "scale_shift_table"] = (9, width)
        t[block + "prompt_scale_shift_table"] = (2, width)
        _attention(t, block + "attn1", width, heads, gated)
        _attention(t, block + "attn2", width, heads, gated)
        _feed_forward(t, block + "ff", width)
    t[root + "scale_shift_table"] = (2, width)
    _linear(t, root + "proj_out", config["out_channels"], width)
    connector = root + "video_embeddings_connector."
    t[connector + "learnable_registers"] = (registers, width)
    for i in range(config["connector_num_layers"]):
        block = f"{connector}transformer_1d_blocks.{i}."
        _attention(t, block + "attn1", width, config["connector_num_attention_heads"],
                   config["connector_apply_gated_attention"])
        _feed_forward(t, block + "ff", width)
    _linear(t, "text_embedding_projection.video_aggregate_embed", width,
            config["caption_channels"] * (layers + 1))
    return t


def _audio_shapes(config: Config, layers: int) -> dict[str, tuple[int, ...]]:
    """Some of the audio tensors of the official file; a video-only reader must pass over them."""
    t: dict[str, tuple[int, ...]] = {}
    root, width = "model.diffusion_model.", 32
    video = config["num_attention_heads"] * config["attention_head_dim"]
    _linear(t, root + "audio_patchify_proj", width, 8)
    _adaln(t, root + "audio_adaln_single", width, 9)
    _adaln(t, root + "av_ca_a2v_gate_adaln_single", video, 1)
    t[root + "audio_scale_shift_table"] = (2, width)
    block = root + "transformer_blocks.0."
    _attention(t, block + "audio_attn1", width, 4, True)
    _linear(t, block + "audio_to_video_attn.to_q", width, video)
    _linear(t, block + "video_to_audio_attn.to_k", width, video)
    t[block + "audio_prompt_scale_shift_table"] = (2, width)
    t[block + "scale_shift_table_a2v_ca_video"] = (5, video)
    t[block + "scale_shift_table_a2v_ca_audio"] = (5, width)
    t[root + "audio_embeddings_connector.learnable_registers"] = (16, width)
    _linear(t, "text_embedding_projection.audio_aggregate_embed", width,
            config["caption_channels"] * (layers + 1))
    t["audio_vae.encoder.conv_in.conv.weight"] = (4, 2, 3, 3)
    t["audio_vae.per_channel_statistics.mean-of-means"] = (8,)
    t["vocoder.vocoder.conv_pre.weight"] = (8, 8, 7)
    return t


def _conv(t: dict[str, tuple[int, ...]], name: str, out: int, width: int) -> None:
    t[name + ".conv.weight"], t[name + ".conv.bias"] = (out, width, 3, 3, 3), (out,)


def _stride(kind: str) -> int:
    return {"space": 4, "time": 2, "all": 8}[kind.split("_")[1]]


def _res_x_y(t: dict[str, tuple[int, ...]], name: str, out: int, width: int) -> None:
    _conv(t, name + ".conv1", out, width)
    _conv(t, name + ".conv2", out, out)
    t[name + ".conv_shortcut.weight"] = (out, width, 1, 1, 1)
    t[name + ".conv_shortcut.bias"] = (out,)
    t[name + ".norm3.weight"] = t[name + ".norm3.bias"] = (width,)


def _vae_stage(t: dict[str, tuple[int, ...]], name: str, stage: list[Any], width: int,
               encoder: bool) -> int:
    """Adds one stage's tensors; the width after it is returned."""
    kind, options = stage
    if kind == "res_x":
        for i in range(options["num_layers"]):
            _conv(t, f"{name}.res_blocks.{i}.conv1", width, width)
            _conv(t, f"{name}.res_blocks.{i}.conv2", width, width)
        return width
    times = options.get("multiplier", 2 if encoder or kind == "res_x_y" else 1)
    out = width * times if encoder else width // times
    if kind == "res_x_y":
        _res_x_y(t, name, out, width)
    elif kind.endswith("_res"):
        _conv(t, name + ".conv", out // _stride(kind), width)
    elif encoder:  # a plain strided convolution, the older models' way
        out = out if kind.endswith("_x_y") else width
        _conv(t, name, out, width)
    else:
        _conv(t, name + ".conv", out * _stride(kind), width)
    return out


def _vae_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    t: dict[str, tuple[int, ...]] = {}
    latent, width = config["latent_channels"], config["latent_channels"]
    pixels = 3 * config["patch_size"] ** 2
    _conv(t, "vae.encoder.conv_in", width, pixels)
    for i, stage in enumerate(config["encoder_blocks"]):
        width = _vae_stage(t, f"vae.encoder.down_blocks.{i}", stage, width, True)
    variance = {"uniform": 1, "per_channel": latent}[config["latent_log_var"]]
    _conv(t, "vae.encoder.conv_out", latent + variance, width)
    width = 8 * config["decoder_base_channels"]
    _conv(t, "vae.decoder.conv_in", width, latent)
    for i, stage in enumerate(reversed(config["decoder_blocks"])):
        width = _vae_stage(t, f"vae.decoder.up_blocks.{i}", stage, width, False)
    _conv(t, "vae.decoder.conv_out", pixels, width)
    t["vae.per_channel_statistics.mean-of-means"] = (latent,)
    t["vae.per_channel_statistics.std-of-means"] = (latent,)
    return t


def _gemma_shapes(config: Config, rows: int) -> dict[str, tuple[int, ...]]:
    d, ff, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    t: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (rows, d), "norm.weight": (d,)}
    for i in range(config["num_hidden_layers"]):
        block = f"layers.{i}."
        for part in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            t[f"{block}{part}_layernorm.weight"] = (d,)
        for part, out, width in (("q", q, d), ("k", kv, d), ("v", kv, d), ("o", d, q)):
            t[f"{block}self_attn.{part}_proj.weight"] = (out, width)
        t[block + "self_attn.q_norm.weight"] = t[block + "self_attn.k_norm.weight"] = (dim,)
        t[block + "mlp.gate_proj.weight"] = t[block + "mlp.up_proj.weight"] = (ff, d)
        t[block + "mlp.down_proj.weight"] = (d, ff)
    return t


def _statistics(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and deviation of a tensor, chosen so that activations stay of order 1."""
    if name.endswith("std-of-means"):
        return 1.0, 0.2
    norms = ("attn1.q_norm.weight", "attn1.k_norm.weight", "attn2.q_norm.weight",
             "attn2.k_norm.weight", "norm3.weight")
    if name.endswith(norms):
        return 1.0, 0.2
    if name.endswith(("learnable_registers", "embed_tokens.weight")):
        return 0.0, 1.0 if "registers" in name else 1.0 / math.sqrt(shape[1])
    if len(shape) == 1 or "table" in name:
        return 0.0, 0.3
    gain = {"vae.decoder.conv_out.conv.weight": 0.45}.get(name, 1.0)
    return 0.0, gain / math.sqrt(math.prod(shape[1:]))


def tensor(geometry: str, name: str, shape: tuple[int, ...]) -> Array:
    mean, deviation = _statistics(name, shape)
    values = normal(geometry, name, shape) * np.float32(deviation)
    return values + np.float32(mean) if mean else values


def _bytes(values: Array, dtype: str) -> bytes:
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    bits = values.astype("<f4").view("<u4").astype(np.uint64)
    rounded = bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))  # to nearest, ties to even
    return (rounded >> np.uint64(16)).astype("<u2").tobytes()


def write_safetensors(path: Path, geometry: str, dtype: str, shapes: Mapping[str, tuple[int, ...]],
                      metadata: Mapping[str, str], rename: str = "") -> int:
    """Writes tensors one at a time; `rename` is put before their names. Returns bytes of data."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    size, end = {"F32": 4, "BF16": 2}[dtype], 0
    for name in sorted(shapes):
        begin, end = end, end + size * math.prod(shapes[name])
        header[rename + name] = {"dtype": dtype, "shape": list(shapes[name]),
                                 "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(shapes):
            out.write(_bytes(tensor(geometry, name, shapes[name]), dtype))
    return end


def model_config(name: str) -> Config:
    """The `config` of the checkpoint's header."""
    g = GEOMETRIES[name]
    return {
        "transformer": {**_FIXED, "connector_num_learnable_registers": g["registers"],
                        **g["transformer"]},
        "vae": {**_VAE_FIXED, **g["vae"]},
        "scheduler": {"_class_name": "RectifiedFlowScheduler", "num_train_timesteps": 1000,
                      "shifting": None, "base_resolution": None, "sampler": "LinearQuadratic"},
        "sampling": g["sampling"],
    }


def _write_gemma(name: str, folder: Path) -> None:
    g = GEOMETRIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    tiny_tokenizer.write(folder)
    rows = tiny_tokenizer.vocabulary_size() + 63  # the real matrix has spare rows too
    text = {"model_type": "gemma3_text", "vocab_size": rows, **g["gemma"]}
    shapes = _gemma_shapes(g["gemma"], rows)
    source = g["weights"] + "/gemma"
    if g["gemma_layout"] == "flat":
        config: Config = {"architectures": ["Gemma3ForCausalLM"], **text}
        write_safetensors(folder / "model.safetensors", source, g["dtype"], shapes,
                          {"format": "pt"}, "model.")
    else:
        config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
                  "text_config": text, "image_token_index": rows - 64, "mm_tokens_per_image": 256,
                  "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 16,
                                    "num_hidden_layers": 1}}
        _write_shards(folder, source, g["dtype"], shapes)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", newline="\n")


def _write_shards(folder: Path, source: str, dtype: str,
                  shapes: dict[str, tuple[int, ...]]) -> None:
    """Two shards and their index; the vision tower's tensors are there to be passed over."""
    names = {"language_model.model." + n: s for n, s in shapes.items()}
    names["vision_tower.vision_model.post_layernorm.weight"] = (16,)
    names["multi_modal_projector.mm_soft_emb_norm.weight"] = (16,)
    order = sorted(names)
    parts = (order[: len(order) // 2], order[len(order) // 2 :])
    total, index = 0, {}
    for i, part in enumerate(parts, 1):
        file = f"model-{i:05d}-of-{len(parts):05d}.safetensors"
        total += write_safetensors(folder / file, source, dtype, {n: names[n] for n in part},
                                   {"format": "pt"})
        index.update({n: file for n in part})
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1)
    (folder / "model.safetensors.index.json").write_text(text + "\n", newline="\n")


def generate(name: str, folder: str | Path) -> Path:
    """Writes geometry `name` into `folder`: ltx-tiny-<name>.safetensors and gemma/."""
    g, folder = GEOMETRIES[name], Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = model_config(name)
    layers = g["gemma"]["num_hidden_layers"]
    shapes = _transformer_shapes(config["transformer"], g["registers"], layers)
    shapes |= _vae_shapes(config["vae"])
    if name == "base":
        shapes |= _audio_shapes(config["transformer"], layers)
    metadata = {"config": json.dumps(config), "model_version": "2.3.0",
                "license": "random weights, no rights reserved"}
    write_safetensors(folder / f"ltx-tiny-{name}.safetensors", g["weights"], g["dtype"], shapes,
                      metadata)
    _write_gemma(name, folder / "gemma")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("name", choices=sorted(GEOMETRIES))
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    print(generate(args.name, args.folder))


if __name__ == "__main__":
    main()
