"""Every tensor of LTX-2.3 22B and of Gemma 3 12B in its true shape, without a value.

    python scripts/full_shapes.py FILE.safetensors

writes the official single file's header before a hole of its 46 GB, which takes no space on the
disk where the file system keeps holes; `ltx2 convert FILE.safetensors --dry-run` reads it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import bench_models as models

Shapes = dict[str, tuple[int, ...]]

DIT = "model.diffusion_model."
# A block's audio attentions: width of queries, of what is attended to, and of the output.
_A, _V = 2048, 4096
_AUDIO_ATTENTIONS = {
    "audio_attn1": (_A, _A, _A), "audio_attn2": (_A, _A, _A),
    "audio_to_video_attn": (_V, _A, _V), "video_to_audio_attn": (_A, _V, _A),
}  # fmt: skip
# What else the file holds, as one prefix each: the number of its tensors, their bytes together.
_REST = {"audio_vae.": (102, 106_000_000), "vocoder.": (1227, 258_000_000)}


class _Recorder(models._Writer):
    """Writes nothing: keeps the shapes."""

    def __init__(self) -> None:
        self.shapes: Shapes = {}
        self.kind = "F16"
        self.out = _Nothing()

    def vector(self, name: str, *shape: int, value: float | None = None) -> None:
        self.shapes[name] = shape

    def matrix(self, name: str, rows: int, columns: int) -> None:
        self.shapes[name] = (rows, columns)

    def conv(self, name: str, rows: int, columns: int) -> None:
        self.shapes[name + ".conv.weight"] = (rows, columns, 3, 3, 3)
        self.shapes[name + ".conv.bias"] = (rows,)


class _Nothing:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


def video() -> Shapes:
    """The 1758 tensors that make video."""
    w = _Recorder()
    models._dit(w, models.FULL["denoise"])
    models._connector(w, models.FULL["connector"])
    states = models.FULL["gemma"] + 1
    inputs = states * models.GEMMA["hidden"]
    w.shapes["text_embedding_projection.video_aggregate_embed.weight"] = (models.WIDTH, inputs)
    models._vae(w, "encode", "decode")
    return w.shapes


def gemma() -> Shapes:
    w = _Recorder()
    models._gemma(w, models.FULL["gemma"])
    w.shapes["token_embd.weight"] = (262208, models.GEMMA["hidden"])
    return w.shapes


def audio() -> Shapes:
    """The other 4189; of the audio VAE and the vocoder only the count and the size are true."""
    w = _Recorder()
    w.linear(DIT + "audio_patchify_proj", _A, 128)
    w.linear(DIT + "audio_proj_out", 128, _A)
    w.vector(DIT + "audio_scale_shift_table", 2, _A)
    _adaln(w, "audio_adaln_single", _A, 9)
    _adaln(w, "audio_prompt_adaln_single", _A, 2)
    _adaln(w, "av_ca_video_scale_shift_adaln_single", _V, 4)
    _adaln(w, "av_ca_audio_scale_shift_adaln_single", _A, 4)
    _adaln(w, "av_ca_a2v_gate_adaln_single", _V, 1)
    _adaln(w, "av_ca_v2a_gate_adaln_single", _A, 1)
    for i in range(models.FULL["denoise"]):
        block = f"{DIT}transformer_blocks.{i}."
        for name, sizes in _AUDIO_ATTENTIONS.items():
            _attention(w, block + name, *sizes)
        _feed_forward(w, block + "audio_ff")
        w.vector(block + "audio_scale_shift_table", 9, _A)
        w.vector(block + "audio_prompt_scale_shift_table", 2, _A)
        w.vector(block + "scale_shift_table_a2v_ca_video", 5, _V)
        w.vector(block + "scale_shift_table_a2v_ca_audio", 5, _A)
    connector = DIT + "audio_embeddings_connector."
    w.vector(connector + "learnable_registers", 128, _A)
    for i in range(models.FULL["connector"]):
        block = f"{connector}transformer_1d_blocks.{i}."
        _attention(w, block + "attn1", _A, _A, _A)
        _feed_forward(w, block + "ff")
    w.linear("text_embedding_projection.audio_aggregate_embed", _A, 188160)
    for prefix, (count, size) in _REST.items():
        w.shapes |= {f"{prefix}{i}.weight": (size // 2 // count,) for i in range(count)}
    return w.shapes


def _adaln(w: _Recorder, name: str, width: int, rows: int) -> None:
    path = f"{DIT}{name}."
    w.linear(path + "emb.timestep_embedder.linear_1", width, 256)
    w.linear(path + "emb.timestep_embedder.linear_2", width, width)
    w.linear(path + "linear", rows * width, width)


def _attention(w: _Recorder, path: str, query: int, context: int, output: int) -> None:
    for name, (rows, columns) in {
        "to_q": (_A, query), "to_k": (_A, context), "to_v": (_A, context), "to_out.0": (output, _A)
    }.items():  # fmt: skip
        w.linear(f"{path}.{name}", rows, columns)
    for name in ("q_norm", "k_norm"):
        w.vector(f"{path}.{name}.weight", _A)
    w.linear(f"{path}.to_gate_logits", models.HEADS, query)


def _feed_forward(w: _Recorder, path: str) -> None:
    w.linear(path + ".net.0.proj", 4 * _A, _A)
    w.linear(path + ".net.2", _A, 4 * _A)


def write(path: Path, shapes: Shapes) -> Path:
    """The shapes as BF16 zeros, in a file with a hole."""
    config = models.config(models.FULL["denoise"])
    config["transformer"]["connector_num_layers"] = models.FULL["connector"]
    metadata = {"config": json.dumps(config), "model_version": "2.3.0"}
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


if __name__ == "__main__":
    write(Path(sys.argv[1]), video() | audio())
