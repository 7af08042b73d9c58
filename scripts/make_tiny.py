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
import hashlib
import json
import math
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
import tiny_shapes
import tiny_sound
import tiny_tokenizer
from tiny_geometries import GEOMETRIES, SOUND, Config, model_config
from tiny_shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

Array = NDArray[np.float32]


def normal(geometry: str, name: str, shape: tuple[int, ...]) -> Array:
    """About N(0,1): the sum of four 16-bit numbers of Philox, keyed by geometry and name."""
    key = int.from_bytes(hashlib.sha256(f"{geometry}/{name}".encode()).digest()[:8], "little")
    count = math.prod(shape)
    words = np.random.Philox(key=key).random_raw(count).astype("<u8").view("<u2")
    sums = words.reshape(count, 4).sum(axis=1, dtype=np.int64) - 2 * 65535
    values: Array = (sums * (1.0 / math.sqrt((65536.0**2 - 1) / 3))).astype(np.float32)
    return values.reshape(shape)


def _statistics(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Mean and deviation of a tensor, chosen so that activations stay of order 1."""
    if name.endswith("std-of-means"):
        return 1.0, 0.2
    norms = (
        "attn1.q_norm.weight",
        "attn1.k_norm.weight",
        "attn2.q_norm.weight",
        "attn2.k_norm.weight",
        "norm3.weight",
        "initial_norm.weight",
        "norm1.weight",
        "norm2.weight",
        ".attn.q_norm.weight",
        ".attn.k_norm.weight",
        "norm_out.weight",
    )
    if name.endswith(norms):
        return 1.0, 0.2
    if name.endswith(("learnable_registers", "embed_tokens.weight")):
        return 0.0, 1.0 if "registers" in name else 1.0 / math.sqrt(shape[1])
    if len(shape) == 1 or "table" in name:
        return 0.0, 0.3
    if name.endswith("mel_basis"):
        return 1.0 / shape[1], 0.3 / shape[1]
    gain = 0.45 if name.startswith("vae.decoder.conv_out.") else 1.0
    if name.startswith("vocoder.") and ".convs2." in name:
        gain = 0.3
    if name.startswith("vocoder.") and ".conv_post." in name:
        gain = 3.0 if name == "vocoder.conv_post.weight" else 0.1
    return 0.0, gain / math.sqrt(math.prod(shape[1:]))


def tensor(geometry: str, name: str, shape: tuple[int, ...]) -> Array:
    mean, deviation = _statistics(name, shape)
    values: Array = normal(geometry, name, shape) * np.float32(deviation)
    if mean:
        values += np.float32(mean)
    return values


def stored(values: Array, dtype: str) -> bytes:
    if dtype == "F32":
        return bytes(values.astype("<f4").tobytes())
    bits = values.astype("<f4").view("<u4").astype(np.uint64)
    rounded = bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))  # to nearest, ties to even
    return bytes((rounded >> np.uint64(16)).astype("<u2").tobytes())


def write_safetensors(
    path: Path,
    geometry: str,
    dtype: str,
    shapes: Shapes,
    metadata: Mapping[str, str],
    rename: str = "",
) -> int:
    """Writes tensors one at a time; `rename` is put before their names. Returns bytes of data."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    size, end = {"F32": 4, "BF16": 2}[dtype], 0
    for name in sorted(shapes):
        begin, end = end, end + size * math.prod(shapes[name])
        header[rename + name] = {
            "dtype": dtype,
            "shape": list(shapes[name]),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(shapes):
            out.write(stored(tensor(geometry, name, shapes[name]), dtype))
    return end


def _write_gemma(name: str, folder: Path) -> None:
    g = GEOMETRIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    tiny_tokenizer.write(folder)
    rows = tiny_tokenizer.vocabulary_size() + 63  # the real matrix has spare rows too
    text = {"model_type": "gemma3_text", "vocab_size": rows, **g["gemma"]}
    shapes = tiny_shapes.gemma(g["gemma"], rows)
    source = g["weights"] + "/gemma"
    if g["gemma_layout"] == "flat":
        config: Config = {"architectures": ["Gemma3ForCausalLM"], **text}
        write_safetensors(
            folder / "model.safetensors", source, g["dtype"], shapes, {"format": "pt"}, "model."
        )
    else:
        config = {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "text_config": text,
            "image_token_index": rows - 64,
            "mm_tokens_per_image": 256,
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 16,
                "num_hidden_layers": 1,
            },
        }
        _write_shards(folder, source, g["dtype"], shapes)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", newline="\n")


def _write_shards(folder: Path, source: str, dtype: str, shapes: Shapes) -> None:
    """Two shards and their index; the vision tower's tensors are there to be skipped."""
    names = {"language_model.model." + n: s for n, s in shapes.items()}
    names["vision_tower.vision_model.post_layernorm.weight"] = (16,)
    names["multi_modal_projector.mm_soft_emb_norm.weight"] = (16,)
    order = sorted(names)
    parts = (order[: len(order) // 2], order[len(order) // 2 :])
    total, index = 0, {}
    for i, part in enumerate(parts, 1):
        file = f"model-{i:05d}-of-{len(parts):05d}.safetensors"
        total += write_safetensors(
            folder / file, source, dtype, {n: names[n] for n in part}, {"format": "pt"}
        )
        index.update(dict.fromkeys(part, file))
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1)
    (folder / "model.safetensors.index.json").write_text(text + "\n", newline="\n")


def generate(name: str, folder: str | Path) -> Path:
    """Writes geometry `name` into `folder`: ltx-tiny-<name>.safetensors and gemma/."""
    g, folder = GEOMETRIES[name], Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = model_config(name)
    layers = g["gemma"]["num_hidden_layers"]
    shapes = tiny_shapes.transformer(config["transformer"], g["registers"], layers)
    shapes |= tiny_shapes.vae(config["vae"])
    if name == "base":
        shapes |= tiny_shapes.audio(config["transformer"], layers)
    if name in SOUND:
        shapes |= tiny_shapes.sound(config["transformer"], g["registers"], layers)
    if name in ("base", "twins"):
        config |= tiny_sound.BASE if name == "base" else tiny_sound.TWINS
        shapes |= tiny_sound.audio_vae(config["audio_vae"])
        shapes |= tiny_sound.vocoder(config["vocoder"])
    metadata = {
        "config": json.dumps(config),
        "model_version": {"v20": "2.0.0", "v25": "2.5.0"}.get(name, "2.3.0"),
        "license": "random weights, no rights reserved",
    }
    write_safetensors(
        folder / f"ltx-tiny-{name}.safetensors", g["weights"], g["dtype"], shapes, metadata
    )
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
