"""Parts of LTX-2.0 and LTX-2.5 at their true widths, with random weights, for bench.py.

`dit20` and `dit25` are a block of their transformers; `gemma4` is a local layer of LTX-2.5's text
encoder and a global one, whose keys are its values; `windows` its video decoder by diffusion.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import full_shapes
import tiny_shapes
from tiny_shapes import Shapes

# `own`: how many of keys and values a layer has matrices for.
GEMMA4: dict[str, Any] = {
    "hidden": 3840, "ffn": 15360, "heads": 16, "vocab": 2048,
    "local": {"kv": 8, "head": 256, "own": 2}, "global": {"kv": 1, "head": 512, "own": 1},
}  # fmt: skip


def _gemma4(w: Any) -> None:
    g, glob, local = GEMMA4, GEMMA4["global"], GEMMA4["local"]
    for key, value in {
        "context_length": 131072, "embedding_length": g["hidden"], "block_count": 2,
        "feed_forward_length": g["ffn"], "attention.head_count": g["heads"],
        "attention.key_length": glob["head"], "attention.value_length": glob["head"],
        "attention.key_length_swa": local["head"], "attention.value_length_swa": local["head"],
        "attention.sliding_window": 1024, "rope.dimension_count": glob["head"],
        "rope.dimension_count_swa": local["head"], "attention.shared_kv_layers": 0,
    }.items():  # fmt: skip
        w.out.add_uint32(f"gemma4.{key}", value)
    w.out.add_array("gemma4.attention.head_count_kv", [local["kv"], glob["kv"]])
    w.out.add_array("gemma4.attention.sliding_window_pattern", [True, False])
    w.out.add_float32("gemma4.attention.layer_norm_rms_epsilon", 1e-6)
    w.out.add_float32("gemma4.rope.freq_base", 1e6)
    w.out.add_float32("gemma4.rope.freq_base_swa", 1e4)
    w.matrix("token_embd.weight", g["vocab"], g["hidden"])
    w.vector("output_norm.weight", g["hidden"], value=1.0)
    for i, kind in enumerate((local, glob)):
        w.vector(f"blk.{i}.layer_output_scale.weight", 1, value=1.0)
        text_layer(w, i, g, kind)


def text_layer(w: Any, i: int, g: dict[str, Any], kind: dict[str, int]) -> None:
    """Of Gemma 3 or 4."""
    for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
        w.vector(f"blk.{i}.{name}.weight", g["hidden"], value=1.0)
    for name in ("attn_q_norm", "attn_k_norm"):
        w.vector(f"blk.{i}.{name}.weight", kind["head"], value=1.0)
    w.matrix(f"blk.{i}.attn_q.weight", g["heads"] * kind["head"], g["hidden"])
    for name in ("attn_k", "attn_v")[: kind["own"]]:
        w.matrix(f"blk.{i}.{name}.weight", kind["kv"] * kind["head"], g["hidden"])
    w.matrix(f"blk.{i}.attn_output.weight", g["hidden"], g["heads"] * kind["head"])
    w.matrix(f"blk.{i}.ffn_gate.weight", g["ffn"], g["hidden"])
    w.matrix(f"blk.{i}.ffn_up.weight", g["ffn"], g["hidden"])
    w.matrix(f"blk.{i}.ffn_down.weight", g["hidden"], g["ffn"])


def text_layer_flops(size: int, g: dict[str, Any], kind: dict[str, int]) -> float:
    width = g["heads"] * kind["head"]
    linear = 2 * g["hidden"] * (2 * width + kind["own"] * kind["kv"] * kind["head"] + 3 * g["ffn"])
    return float(size * linear + 4 * width * size * size)


def _fill(w: Any, generation: str, stated: dict[str, Any], shapes: Shapes) -> None:
    """A checkpoint that states this config; what is no block of the transformer is F16 there."""
    w.out.add_string("config", json.dumps(stated))
    w.out.add_string("model_version", f"{generation}.0")
    kind = w.kind
    for name, shape in shapes.items():
        rest = name.startswith(full_shapes.DIT) and "transformer_blocks" not in name
        w.kind = "F16" if rest else kind
        if len(shape) == 1 or name.endswith(("table", "embedding")):
            w.vector(name, *shape, value=1.0 if "norm" in name or "statistics" in name else None)
        else:
            w.matrix(name, *shape)


def _block(w: Any, generation: str) -> None:
    stated = full_shapes.config_of(generation)
    stated["transformer"]["num_layers"] = 1
    shapes = tiny_shapes.transformer(stated["transformer"], 128, 48)
    block = {
        name: shape
        for name, shape in shapes.items()
        if name.startswith(full_shapes.DIT) and "connector" not in name
    }
    _fill(w, generation, stated, block)


def _windows(w: Any) -> None:
    stated = full_shapes.config_of("2.5")
    statistics: Shapes = {
        f"vae.per_channel_statistics.{name}": (128,) for name in ("mean-of-means", "std-of-means")
    }
    decoder = tiny_shapes.diffusion_decoder(stated["vae"]["decoder"])
    _fill(w, "2.5", stated, statistics | decoder)


def _gemma4_flops(size: int) -> float:
    return sum(text_layer_flops(size, GEMMA4, GEMMA4[kind]) for kind in ("local", "global"))


def _windows_flops(size: int) -> float:
    """Of 17 frames: each cell's products, and the keys of its window; what fills up is left out."""
    decoder = full_shapes.config_of("2.5")["vae"]["decoder"]
    frames, side, total = 5, size, 0.0  # two more of the last latents than there are
    windows = [*decoder["stage_kernels"], decoder["stage5_kernel"]]
    for i, (width, depth) in enumerate(
        zip(decoder["stage_channels"], decoder["stage_depths"], strict=True)
    ):
        cells = frames * side * side
        linear = (4 + 12 + (i == 4)) * width * width
        total += 2.0 * cells * depth * (linear + 2 * width * math.prod(windows[i]))
        if i < 4:
            (time, space, _), _ = decoder["upsamples"][i]
            frames, side = frames * time - (time - 1), side * space
            frames -= 16 if i == 3 else 0
    return total


WRITE: dict[str, Callable[[Any], None]] = {
    "dit20": partial(_block, generation="2.0"), "dit25": partial(_block, generation="2.5"),
    "gemma4": _gemma4, "windows": _windows,
}  # fmt: skip
FLOPS: dict[str, Callable[[int], float]] = {"gemma4": _gemma4_flops, "windows": _windows_flops}
