"""Every tensor of LTX-2.3 22B and of Gemma 3 12B in its true shape, without a value.

    python scripts/full_shapes.py FILE.safetensors

writes the official single file's header before a hole of its 46 GB, which takes no space on the
disk where the file system keeps holes; `ltx2 convert FILE.safetensors --dry-run` reads it.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import tiny_gemma4
import tiny_shapes
import tiny_sound
import tiny_tokenizer
from tiny_shapes import Shapes, linear

ROOT = Path(__file__).parent.parent
DIT = "model.diffusion_model."
GEMMA_12B: dict[str, Any] = {
    "hidden_size": 3840,
    "intermediate_size": 15360,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "num_hidden_layers": 48,
    "query_pre_attn_scalar": 256,
    "sliding_window": 1024,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
}
# LTX-2.5's: a sixth of its layers see the whole text, and the last one does.
GEMMA4_12B: dict[str, Any] = {
    **tiny_gemma4.GEOMETRIES["full"]["config"],
    "num_hidden_layers": 48,
    "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 8,
}
VOCABULARY_12B, VOCABULARY4_12B, REGISTERS = 262208, 262144, 128
UPSAMPLER = {"mid_channels": 1024, "num_blocks_per_stage": 4, "dims": 3}  # spatial, times 2
# A block's audio attentions: width of queries, of what is attended to, and of the output.
_A, _V = 2048, 4096
_AUDIO_ATTENTIONS = {
    "audio_attn1": (_A, _A, _A), "audio_attn2": (_A, _A, _A),
    "audio_to_video_attn": (_V, _A, _V), "video_to_audio_attn": (_A, _V, _A),
}  # fmt: skip


def config() -> dict[str, Any]:
    """LTX-2.3's, as the library has it."""
    return _builtin("ltx_2_3.cpp", "ltx23_config")


def _builtin(file: str, name: str) -> dict[str, Any]:
    text = (ROOT / "native/src/model/builtin" / file).read_text(encoding="utf-8")
    found = re.search(name + r' = R"\((.*?)\)"', text, re.DOTALL)
    assert found
    whole: dict[str, Any] = json.loads(found[1])
    return whole


def config25() -> dict[str, Any]:
    """LTX-2.5's, both of its video decoders' included."""
    whole = config()
    for group, differs in _builtin("generations.cpp", "ltx25_differs").items():
        whole[group] |= differs
    return whole


def video() -> Shapes:
    """The 1758 tensors that make video."""
    whole, layers = config(), GEMMA_12B["num_hidden_layers"]
    return tiny_shapes.transformer(whole["transformer"], REGISTERS, layers) | tiny_shapes.vae(
        whole["vae"]
    )


def audio() -> Shapes:
    """The other 4189."""
    t: Shapes = {}
    transformer = config()["transformer"]
    linear(t, DIT + "audio_patchify_proj", _A, 128)
    linear(t, DIT + "audio_proj_out", 128, _A)
    t[DIT + "audio_scale_shift_table"] = (2, _A)
    for name, width, rows in (
        ("audio_adaln_single", _A, 9),
        ("audio_prompt_adaln_single", _A, 2),
        ("av_ca_video_scale_shift_adaln_single", _V, 4),
        ("av_ca_audio_scale_shift_adaln_single", _A, 4),
        ("av_ca_a2v_gate_adaln_single", _V, 1),
        ("av_ca_v2a_gate_adaln_single", _A, 1),
    ):
        tiny_shapes.adaln(t, DIT + name, width, rows)
    for i in range(transformer["num_layers"]):
        block = f"{DIT}transformer_blocks.{i}."
        for name, sizes in _AUDIO_ATTENTIONS.items():
            _attention(t, block + name, transformer["num_attention_heads"], *sizes)
        tiny_shapes.feed_forward(t, block + "audio_ff", _A)
        t[block + "audio_scale_shift_table"] = (9, _A)
        t[block + "audio_prompt_scale_shift_table"] = (2, _A)
        t[block + "scale_shift_table_a2v_ca_video"] = (5, _V)
        t[block + "scale_shift_table_a2v_ca_audio"] = (5, _A)
    connector = DIT + "audio_embeddings_connector."
    t[connector + "learnable_registers"] = (REGISTERS, _A)
    for i in range(transformer["connector_num_layers"]):
        block = f"{connector}transformer_1d_blocks.{i}."
        _attention(t, block + "attn1", transformer["num_attention_heads"], _A, _A, _A)
        tiny_shapes.feed_forward(t, block + "ff", _A)
    linear(t, "text_embedding_projection.audio_aggregate_embed", _A, 188160)
    return t | tiny_sound.audio_vae(config()["audio_vae"]) | tiny_sound.vocoder(config()["vocoder"])


def upsampler() -> Shapes:
    """The 72 tensors of the spatial one, which is a file of its own."""
    return tiny_shapes.upsampler("spatial", 128, UPSAMPLER)


def _attention(t: Shapes, path: str, heads: int, query: int, context: int, output: int) -> None:
    """Of 2048 values, whatever the streams' widths are."""
    for name, (rows, columns) in {
        "to_q": (_A, query), "to_k": (_A, context), "to_v": (_A, context), "to_out.0": (output, _A)
    }.items():  # fmt: skip
        linear(t, f"{path}.{name}", rows, columns)
    t[f"{path}.q_norm.weight"] = t[f"{path}.k_norm.weight"] = (_A,)
    linear(t, f"{path}.to_gate_logits", heads, query)


# ---- files


def _hollow(path: Path, shapes: Shapes, metadata: dict[str, str]) -> Path:
    """A .safetensors file of BF16 tensors, whose values are a hole in the file: zeros."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(path, 8 + len(text) + end)
    return path


def write(
    path: Path, shapes: Shapes, stated: dict[str, Any] | None = None, version: str = "2.3.0"
) -> Path:
    """Some of a checkpoint's tensors, with its metadata; `stated` is another config than ours."""
    metadata = {"config": json.dumps(stated or config()), "model_version": version}
    return _hollow(path, shapes, metadata)


def is_gemma4(sizes: dict[str, Any]) -> bool:
    return "global_head_dim" in sizes


def gemma(sizes: dict[str, Any], rows: int) -> Shapes:
    """Gemma 3's, or Gemma 4's where the sizes are."""
    if not is_gemma4(sizes):
        return tiny_shapes.gemma(sizes, rows)
    prefix = "model.language_model."
    return {prefix + name: shape for name, shape in tiny_gemma4.shapes(sizes, rows).items()}


def write_gemma(folder: Path, sizes: dict[str, Any], rows: int) -> Path:
    """A Hugging Face folder of such sizes, with so many rows of the embedding; it is made."""
    folder.mkdir()
    if is_gemma4(sizes):
        words = json.dumps(tiny_gemma4.tokenizer_json(), ensure_ascii=False)
        (folder / "tokenizer.json").write_text(words, encoding="utf-8")
        text = tiny_gemma4.config(sizes, rows)
    else:
        tiny_tokenizer.write(folder)
        text = {"model_type": "gemma3_text", "vocab_size": rows, **sizes}
    _hollow(folder / "model.safetensors", gemma(sizes, rows), {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(text), encoding="utf-8")
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]), video() | audio())
