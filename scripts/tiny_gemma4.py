"""Tiny Gemma 4 text encoders with random weights, in the layouts in which they are published.

    scripts/tiny_gemma4.py shared build/tiny/gemma4 file

`file` is LTX-2.5's: one safetensors with its config in the header, the tokenizer as a tensor, and
the text projections beside it. `folder` is Hugging Face's: shards, config.json, tokenizer.json.
As for the other tiny checkpoints, the bytes are the same everywhere.
"""

from __future__ import annotations

import argparse
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import make_tiny
import tiny_tokenizer

# `dtype` is the checkpoint's, `prefix` its names', the rest transformers' config.
GEOMETRIES: dict[str, dict[str, Any]] = {
    # As the 12B model: one global layer in six and the last one, whose values are its keys.
    "shared": {
        "dtype": "F32",
        "prefix": "model.",
        "config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 7,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "global_head_dim": 64,
            "num_global_key_value_heads": 1,
            "attention_k_eq_v": True,
            "layer_types": ["sliding_attention"] * 5 + ["full_attention"] * 2,
            "sliding_window": 6,
            "final_logit_softcapping": 30.0,
            "rms_norm_eps": 1e-6,
        },
    },
    # Other counts everywhere, global layers with values of their own, another share of rotated
    # pairs, BF16.
    "own": {
        "dtype": "BF16",
        "prefix": "model.language_model.",
        "config": {
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_hidden_layers": 6,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": 20,
            "global_head_dim": 28,
            "num_global_key_value_heads": None,
            "attention_k_eq_v": False,
            "layer_types": ["sliding_attention", "full_attention"] * 3,
            "sliding_window": 5,
            "final_logit_softcapping": None,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "proportional",
                    "partial_rotary_factor": 0.4,
                    "rope_theta": 500000.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
            },
        },
    },
}
# The true widths: a local layer and a global one.
GEOMETRIES["full"] = {
    "dtype": "BF16",
    "prefix": "model.language_model.",
    "config": {
        **GEOMETRIES["shared"]["config"],
        "hidden_size": 3840,
        "intermediate_size": 15360,
        "num_hidden_layers": 2,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "global_head_dim": 512,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 1024,
    },
}
ROWS = tiny_tokenizer.vocabulary_size()


def tokenizer_json() -> dict[str, Any]:
    """The tiny tokenizer as Gemma 4 has it: only what means something is matched whole, other
    tokens for turns, no <bos> of its own."""
    table: Any = tiny_tokenizer.tokenizer_json()
    names = {
        "<start_of_turn>": "<|turn>",
        "<end_of_turn>": "<turn|>",
        "<unused0>": "<|channel>",
        "<unused1>": "<channel|>",
        "<image_soft_token>": "<|image|>",
    }
    vocabulary = {names.get(k, k): v for k, v in table["model"]["vocab"].items()}
    added = [{**t, "content": names.get(t["content"], t["content"])} for t in table["added_tokens"]]
    table["model"]["vocab"] = vocabulary
    table["added_tokens"] = [t for t in added if t["special"] or "channel" in t["content"]]
    whole = {"Sequence": {"id": "A", "type_id": 0}}
    table["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [whole],
        "pair": [whole, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {},
    }
    return dict(table)


def config(sizes: dict[str, Any], rows: int = ROWS) -> dict[str, Any]:
    """What Google's config.json states; LTX's own text file a version besides."""
    text = {"model_type": "gemma4_unified_text", "vocab_size": rows, **sizes}
    return {
        "architectures": ["Gemma4UnifiedForConditionalGeneration"],
        "model_type": "gemma4_unified",
        "text_config": text,
    }


def shapes(c: dict[str, Any], rows: int = ROWS) -> dict[str, tuple[int, ...]]:
    d, ff, heads = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"]
    t: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (rows, d), "norm.weight": (d,)}
    for i, kind in enumerate(c["layer_types"]):
        block, is_global = f"layers.{i}.", kind == "full_attention"
        shares = is_global and c["attention_k_eq_v"]
        dim = c["global_head_dim" if is_global else "head_dim"]
        kv = dim * c["num_global_key_value_heads" if shares else "num_key_value_heads"]
        for part in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            t[f"{block}{part}_layernorm.weight"] = (d,)
        t[block + "self_attn.q_proj.weight"] = (heads * dim, d)
        t[block + "self_attn.k_proj.weight"] = (kv, d)
        if not shares:
            t[block + "self_attn.v_proj.weight"] = (kv, d)
        t[block + "self_attn.o_proj.weight"] = (d, heads * dim)
        t[block + "self_attn.q_norm.weight"] = t[block + "self_attn.k_norm.weight"] = (dim,)
        t[block + "mlp.gate_proj.weight"] = t[block + "mlp.up_proj.weight"] = (ff, d)
        t[block + "mlp.down_proj.weight"] = (d, ff)
        t[block + "layer_scalar"] = (1,)
    return t


def tensor(name: str, part: str, shape: tuple[int, ...]) -> make_tiny.Array:
    """Norms are multiplied by as they are, so they lie around 1; the scalars below it."""
    values = make_tiny.normal(f"gemma4-{name}", part, shape)
    mean, deviation = 0.0, 1 / math.sqrt(shape[-1])
    if len(shape) == 1:
        mean, deviation = (0.7, 0.1) if part.endswith("scalar") else (1.0, 0.3)
        if part.endswith("k_norm.weight"):
            mean, deviation = 0.15, 0.05  # scores are not divided, and so are keys small
    out: make_tiny.Array = values * np.float32(deviation) + np.float32(mean)
    return out


def weights(name: str) -> dict[str, make_tiny.Array]:
    """By transformers' names, without the prefix, as they are after rounding to the dtype."""
    g = GEOMETRIES[name]
    out = {}
    for part, shape in shapes(g["config"]).items():
        data = make_tiny.stored(tensor(name, part, shape), g["dtype"])
        if g["dtype"] == "F32":
            out[part] = np.frombuffer(data, "<f4").reshape(shape)
        else:
            words = np.frombuffer(data, "<u2").astype("<u4") << np.uint32(16)
            out[part] = words.view("<f4").reshape(shape)
    return out


def _put(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]], header: Any) -> None:
    end = 0
    for name, (dtype, shape, data) in tensors.items():
        begin, end = end, end + len(data)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(
        struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values())
    )


def generate(name: str, folder: Path, layout: str = "file") -> Path:
    """Writes it and returns what is given as the model."""
    g, folder = GEOMETRIES[name], Path(folder)
    c = g["config"]
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for part, shape in sorted(shapes(c).items()):
        data = make_tiny.stored(tensor(name, part, shape), g["dtype"])
        tensors[g["prefix"] + part] = (g["dtype"], shape, data)
    tensors["model.vision_embedder.pos_norm.weight"] = ("F32", (4,), bytes(16))  # is not read
    words = json.dumps(tokenizer_json(), ensure_ascii=False).encode()
    if layout == "file":
        inputs = c["hidden_size"] * (c["num_hidden_layers"] + 1)
        for stream, width in (("video", 64), ("audio", 32)):
            module = f"text_embedding_projection.{stream}_aggregate_embed."
            for part, shape in (("weight", (width, inputs)), ("bias", (width,))):
                values = make_tiny.tensor(f"gemma4-{name}", module + part, shape)
                tensors[module + part] = (g["dtype"], shape, make_tiny.stored(values, g["dtype"]))
        tensors["tokenizer_json"] = ("U8", (len(words),), words)
        tensors["hf_asset__tokenizer_config.json"] = ("U8", (2,), b"{}")
        path = folder / f"gemma4-{name}-with-proj.safetensors"
        own = {"gemma_version": "gemma4-12b-ltx-v1", **config(c)}
        stated = {"gemma_config": json.dumps(own), "model_version": "2.5.0"}
        _put(path, tensors, {"__metadata__": stated})
        return path
    names = sorted(tensors)
    for i, part_of in enumerate((names[::2], names[1::2]), 1):
        shard = {n: tensors[n] for n in part_of}
        _put(folder / f"model-0000{i}-of-00002.safetensors", shard, {})
    (folder / "config.json").write_text(json.dumps(config(c), indent=2) + "\n", newline="\n")
    (folder / "tokenizer.json").write_bytes(words)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=sorted(GEOMETRIES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("layout", choices=("file", "folder"), nargs="?", default="file")
    args = parser.parse_args()
    print(generate(args.name, args.folder, args.layout))


if __name__ == "__main__":
    main()
