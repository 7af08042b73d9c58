"""Random weights at the true widths of LTX-2.3 for scripts/bench.py, and the work each part is.

A matrix repeats a million values in all types and on all sides, so that results can be compared.
Types that gguf cannot make have blocks of random bytes under one scale: the time does not depend
on values.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import bench_family
import bench_sound
import bench_upsampler
import comfy_quant
import gguf
import numpy as np

COMPARED = ("dit", "decode", "gemma")  # parts whose results bench.py holds against each other
WIDTH, HEADS, TEXT = 4096, 32, 1024
FULL = {"gemma": 48, "connector": 8, "denoise": 48}
# Stage of a video: the layers that are timed. Whole models would take 38 GB in F16.
VIDEO = {"gemma": 3, "connector": 1, "denoise": 4}
STEPS, PROMPT, CELLS = 8, 128, 8  # of a video: distilled steps, tokens of text, 256 x 256 x 17
VIDEO_TOKENS = 3 * CELLS * CELLS
BLOCKS = 4  # of `blocks`: enough that what a step does besides is little
# `own`: of keys and values, how many a layer has matrices for.
GEMMA = {
    "hidden": 3840, "ffn": 15360, "heads": 16, "vocab": 2048, "kv": 8, "head": 256, "own": 2,
}  # fmt: skip
ENCODER = [
    ("res_x", 4), ("compress_space_res", 2), ("res_x", 6), ("compress_time_res", 2), ("res_x", 4),
    ("compress_all_res", 2), ("res_x", 2), ("compress_all_res", 1), ("res_x", 2),
]  # fmt: skip
DECODER = [
    ("res_x", 4), ("compress_space", 2), ("res_x", 6), ("compress_time", 2), ("res_x", 4),
    ("compress_all", 1), ("res_x", 2), ("compress_all", 2), ("res_x", 2),
]  # fmt: skip


# Where a block has its scales, if not at its beginning.
SCALES = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "Q3_K": (108,), "Q2_K": (80, 82)}


def normal(count: int) -> np.ndarray:
    """About N(0,1), as tests/native/bench/bench.h has it: four 16-bit numbers of SplitMix64."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    z ^= z >> np.uint64(31)
    parts = z.view(np.uint16).reshape(count, 4).sum(axis=1, dtype=np.int64)
    values: np.ndarray = ((parts - 131070) / 37837).astype(np.float32)
    return values


NORMAL = normal(1 << 20)


def weights_of(name: str, inputs: int) -> np.ndarray:
    """What a matrix of this name repeats, as published weights are: numbers that BF16 holds."""
    own = re.sub(r"^(model\.diffusion_model\.|vae\.decoder\.|model\.|vae\.)", "", name)
    values = np.roll(NORMAL, zlib.crc32(own.encode()) % 4096 * 256)
    bits = (values / np.float32(math.sqrt(inputs))).view(np.uint32)
    bits += 0x7FFF + (bits >> 16 & 1)
    rounded: np.ndarray = (bits & 0xFFFF0000).view(np.float32)
    return rounded


def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What the files hold under an official name, if it is none of Gemma's norms."""
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        return np.full(shape, 0.17, np.float32)
    if len(shape) > 1 and name.endswith("weight"):
        return np.resize(weights_of(name, math.prod(shape[1:])), shape)
    return np.resize(NORMAL * np.float32(0.02), shape)


def is_exact(kind: str) -> bool:
    """Whether files of this type hold those values, as well as it can."""
    return kind in comfy_quant.QUANTISERS or not (kind.endswith("_K") or kind.startswith("IQ"))


def _blocks(stages: list[tuple[str, int]]) -> list[list[Any]]:
    key = {"res_x": "num_layers"}
    return [[name, {key.get(name, "multiplier"): n}] for name, n in stages]


def config(layers: int = 1) -> dict[str, Any]:
    """The header of the official file, with so many DiT blocks and one block of the connector."""
    transformer = {
        "num_layers": layers, "num_attention_heads": HEADS, "attention_head_dim": 128,
        "dropout": 0.0, "num_vector_embeds": None, "num_embeds_ada_norm": 1000,
        "use_linear_projection": False, "only_cross_attention": False,
        "double_self_attention": False, "upcast_attention": False,
        "in_channels": 128, "out_channels": 128, "cross_attention_dim": WIDTH,
        "caption_channels": 3840, "attention_bias": True, "activation_fn": "gelu-approximate",
        "norm_eps": 1e-6, "norm_elementwise_affine": False, "qk_norm": "rms_norm",
        "standardization_norm": "rms_norm", "cross_attention_norm": True,
        "positional_embedding_type": "rope", "rope_type": "split",
        "frequencies_precision": "float64", "positional_embedding_theta": 10000.0,
        "positional_embedding_max_pos": [20, 2048, 2048], "use_middle_indices_grid": True,
        "timestep_scale_multiplier": 1000, "apply_gated_attention": True,
        "cross_attention_adaln": True, "caption_proj_before_connector": True,
        "caption_projection_first_linear": False, "caption_projection_second_linear": False,
        "caption_proj_input_norm": False, "connector_apply_gated_attention": True,
        "connector_num_layers": VIDEO["connector"], "connector_num_attention_heads": HEADS,
        "connector_attention_head_dim": 128, "connector_positional_embedding_max_pos": [4096],
        "connector_num_learnable_registers": 128,
        "use_audio_video_cross_attention": True, "av_cross_ada_norm": True, "share_ff": False,
    }  # fmt: skip
    vae = {
        "_class_name": "CausalVideoAutoencoder", "dims": 3, "in_channels": 3, "out_channels": 3,
        "latent_channels": 128, "patch_size": 4, "norm_layer": "pixel_norm",
        "latent_log_var": "uniform", "causal_decoder": False, "timestep_conditioning": False,
        "spatial_padding_mode": "zeros", "encoder_base_channels": 128,
        "decoder_base_channels": 128, "encoder_blocks": _blocks(ENCODER),
        "decoder_blocks": _blocks(DECODER),
    }  # fmt: skip
    return {"transformer": transformer, "vae": vae}


class _Writer:
    def __init__(self, path: Path, arch: str, kind: str) -> None:
        self.out: Any = gguf.GGUFWriter(path, arch)
        self.kind = kind

    def values(self, *shape: int) -> np.ndarray:
        """Random values, repeated: the time does not depend on them."""
        return np.resize(NORMAL, shape)

    def vector(self, name: str, *shape: int, value: float | None = None) -> None:
        data = np.full(shape, value, np.float32) if value else self.values(*shape) * 0.02
        self.out.add_tensor(name, data)

    def matrix(self, name: str, rows: int, columns: int) -> None:
        kind = gguf.GGMLQuantizationType[self.kind]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        if is_exact(self.kind):
            data = gguf.quants.quantize(weights_of(name, columns), kind)
            width = columns // block * size // data.itemsize
            self.out.add_tensor(name, np.resize(data, (rows, width)), raw_dtype=kind)
            return
        some = np.random.default_rng(0).integers(0, 256, (1 << 15, size), dtype=np.uint8)
        step = 0.016 / math.sqrt(columns)
        for at in SCALES.get(self.kind, (0,)):
            some[:, at : at + 2] = np.array([step], np.float16).view(np.uint8)
        data = np.resize(some, (rows, columns // block * size))
        self.out.add_tensor(name, data, raw_dtype=kind)

    def linear(self, name: str, rows: int, columns: int) -> None:
        self.matrix(f"{name}.weight", rows, columns)
        self.vector(f"{name}.bias", rows)

    def conv(self, name: str, rows: int, columns: int) -> None:
        name = f"{name}.conv"
        data = weights_of(f"{name}.weight", 27 * columns).astype(np.float16)
        self.out.add_tensor(f"{name}.weight", np.resize(data, (rows * columns, 3, 3, 3)))
        self.vector(f"{name}.bias", rows)

    def close(self) -> None:
        self.out.write_header_to_file()
        self.out.write_kv_data_to_file()
        self.out.write_tensors_to_file()
        self.out.close()


class _CodedWriter(_Writer):
    """The same file as safetensors, its matrices in a format of comfy_quant."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        self.tensors: dict[str, comfy_quant.Tensor] = {}
        self.metadata: dict[str, str] = {}
        self.out = self

    def add_string(self, key: str, text: str) -> None:
        self.metadata[key] = text

    def add_tensor(self, name: str, data: np.ndarray, raw_dtype: Any = None) -> None:
        kind = "F16" if data.dtype == np.float16 else "F32"
        self.tensors[name] = comfy_quant.Tensor(kind, data)

    def matrix(self, name: str, rows: int, columns: int) -> None:
        if self.kind == "F16":
            super().matrix(name, rows, columns)
            return
        repeats = max(128, len(NORMAL) // columns)  # rows after which they come again
        some = np.resize(weights_of(name, columns), (repeats, columns))
        parts, marker = comfy_quant.QUANTISERS[self.kind](some, 256)
        module = name.removesuffix("weight")
        for part, (dtype, data) in parts.items():
            if part == "weight_correction":
                data = np.resize(data.T, (rows, len(data))).T
            elif data.ndim and data.shape[0] == len(some):
                whole = 128 if part == "weight_scale" and self.kind in ("nvfp4", "mxfp8") else 1
                data = np.resize(data, (-(-rows // whole) * whole, *data.shape[1:]))
            self.tensors[module + part] = comfy_quant.Tensor(dtype, data)
        if marker:
            text = np.frombuffer(json.dumps(marker).encode(), np.uint8)
            self.tensors[module + "comfy_quant"] = comfy_quant.Tensor("U8", text)

    def close(self) -> None:
        comfy_quant.write(self.path, self.tensors, self.metadata)


def _attention(w: _Writer, path: str) -> None:
    for name in ("to_q", "to_k", "to_v", "to_out.0"):
        w.linear(f"{path}.{name}", WIDTH, WIDTH)
    for name in ("q_norm", "k_norm"):
        w.vector(f"{path}.{name}.weight", WIDTH, value=0.17)
    w.linear(f"{path}.to_gate_logits", HEADS, WIDTH)


def _feed_forward(w: _Writer, path: str) -> None:
    w.linear(path + ".net.0.proj", 4 * WIDTH, WIDTH)
    w.linear(path + ".net.2", WIDTH, 4 * WIDTH)


def _dit(w: _Writer, layers: int) -> None:
    prefix = "model.diffusion_model."
    keep, w.kind = w.kind, "F16"
    w.linear(prefix + "patchify_proj", WIDTH, 128)
    w.linear(prefix + "proj_out", 128, WIDTH)
    for name, rows in (("adaln_single", 9), ("prompt_adaln_single", 2)):
        w.linear(f"{prefix}{name}.emb.timestep_embedder.linear_1", WIDTH, 256)
        w.linear(f"{prefix}{name}.emb.timestep_embedder.linear_2", WIDTH, WIDTH)
        w.linear(f"{prefix}{name}.linear", rows * WIDTH, WIDTH)
    w.vector(prefix + "scale_shift_table", 2, WIDTH)
    w.kind = keep
    for i in range(layers):
        block = f"{prefix}transformer_blocks.{i}."
        w.vector(block + "scale_shift_table", 9, WIDTH)
        w.vector(block + "prompt_scale_shift_table", 2, WIDTH)
        _attention(w, block + "attn1")
        _attention(w, block + "attn2")
        _feed_forward(w, block + "ff")


def _connector(w: _Writer, layers: int) -> None:
    path = "model.diffusion_model.video_embeddings_connector."
    w.vector(path + "learnable_registers", 128, WIDTH)
    for i in range(layers):
        block = f"{path}transformer_1d_blocks.{i}."
        _attention(w, block + "attn1")
        _feed_forward(w, block + "ff")
    states = VIDEO["gemma"] + 1
    w.linear("text_embedding_projection.video_aggregate_embed", WIDTH, states * GEMMA["hidden"])


def _residual(w: _Writer, path: str, channels: int, layers: int) -> None:
    for i in range(layers):
        for conv in ("conv1", "conv2"):
            w.conv(f"{path}.res_blocks.{i}.{conv}", channels, channels)


_STRIDE = {"space": 4, "time": 2, "all": 8}


def _stages(part: str) -> list[tuple[str, str, int, int, int]]:
    """(path, kind, conv input, conv output, residual layers) of each convolution group."""
    out = []
    if part == "encode":
        channels = 128
        out.append(("vae.encoder.conv_in", "conv", 48, channels, 0))
        for i, (name, n) in enumerate(ENCODER):
            path = f"vae.encoder.down_blocks.{i}"
            if name == "res_x":
                out.append((path, name, channels, channels, n))
            else:
                stride = _STRIDE[name.split("_")[1]]
                out.append((path + ".conv", name, channels, channels * n // stride, 0))
                channels *= n
        out.append(("vae.encoder.conv_out", "conv", channels, 129, 0))
        return out
    channels = 1024
    out.append(("vae.decoder.conv_in", "conv", 128, channels, 0))
    for i, (name, n) in enumerate(reversed(DECODER)):
        path = f"vae.decoder.up_blocks.{i}"
        if name == "res_x":
            out.append((path, name, channels, channels, n))
        else:
            stride = _STRIDE[name.split("_")[1]]
            out.append((path + ".conv", name, channels, channels * stride // n, 0))
            channels //= n
    out.append(("vae.decoder.conv_out", "conv", channels, 48, 0))
    return out


def _vae(w: _Writer, *parts: str) -> None:
    for name in ("mean-of-means", "std-of-means"):
        w.vector(f"vae.per_channel_statistics.{name}", 128, value=1.0)
    for path, kind, columns, rows, layers in (stage for part in parts for stage in _stages(part)):
        if kind == "res_x":
            _residual(w, path, columns, layers)
        else:
            w.conv(path, rows, columns)


def _gemma(w: _Writer, layers: int) -> None:
    g = GEMMA
    for key, value in {
        "context_length": 131072, "embedding_length": g["hidden"], "block_count": layers,
        "feed_forward_length": g["ffn"], "attention.head_count": g["heads"],
        "attention.head_count_kv": g["kv"], "attention.key_length": g["head"],
        "attention.value_length": g["head"], "attention.sliding_window": 1024,
    }.items():  # fmt: skip
        w.out.add_uint32(f"gemma3.{key}", value)
    w.out.add_float32("gemma3.attention.layer_norm_rms_epsilon", 1e-6)
    w.out.add_float32("gemma3.rope.freq_base", 1e6)
    w.out.add_string("gemma3.rope.scaling.type", "linear")
    w.out.add_float32("gemma3.rope.scaling.factor", 8.0)
    w.matrix("token_embd.weight", g["vocab"], g["hidden"])
    w.vector("output_norm.weight", g["hidden"], value=1.0)
    for i in range(layers):
        bench_family.text_layer(w, i, g, g)


def _write(path: Path, part: str, kind: str) -> None:
    if kind in comfy_quant.QUANTISERS:
        w: _Writer = _CodedWriter(path, kind)
    else:
        is_text = part == "writing" or part.startswith("gemma")
        text = "gemma4" if part == "gemma4" else "gemma3"
        w = _Writer(path, text if is_text else "ltxv", kind)
    if part in bench_family.WRITE:
        bench_family.WRITE[part](w)
    elif part == "gemma":
        _gemma(w, 1)
    elif part in ("gemma of a video", "writing"):
        _gemma(w, VIDEO["gemma"])
    elif part == "upsample":
        bench_upsampler.write(w)
    else:
        _checkpoint(w, part)
    w.close()


def _checkpoint(w: _Writer, part: str) -> None:
    layers = {"video": VIDEO["denoise"], "blocks": BLOCKS}.get(part, 1)
    w.out.add_string(
        "config", json.dumps(bench_sound.config() if part == "sound" else config(layers))
    )
    w.out.add_string("model_version", "2.3.0")
    if part == "sound":
        return bench_sound.write(w)
    if part in ("dit", "blocks", "joint", "video"):
        _dit(w, layers)
    if part == "joint":
        bench_sound.write_transformer(w)
    if part == "video":
        _connector(w, VIDEO["connector"])
    if part not in ("dit", "blocks", "joint"):
        _vae(w, "decode" if part in ("video", "clip") else part)
    return None


def make(part: str, kind: str, folder: Path) -> Path:
    """Write the model of one part, or find it written.

    A file; for a video a folder of two; attention has none.
    """
    if part.startswith("attention"):
        return Path(kind)
    path = folder / f"{part}-{kind}"
    if path.exists():
        return path
    if part == "video":
        path.mkdir()
        _write(path / "ltx.gguf", part, kind)
        _write(path / "gemma.gguf", "gemma of a video", kind)
    else:
        _write(path, part, kind)
    return path


def _block_flops(tokens: int, text: int, width: int = WIDTH) -> float:
    """One block; attention over `text` rows besides (0: none, as in the connector)."""
    matrices = 12 + (2 if text else 0)
    linear = 2 * width * width * (tokens * matrices + text * 2)
    return float(linear + 4 * width * tokens * (tokens + text))


def _joint_flops(tokens: int) -> float:
    """One block of both streams, which look at each other in heads of the sound's."""
    sound, width = bench_sound.LATENTS, bench_sound.WIDTH
    across = 8 * width * (WIDTH * tokens + width * sound + tokens * sound)
    return _block_flops(tokens, TEXT) + _block_flops(sound, TEXT, width) + across


def flops(part: str, size: int) -> float:
    """Multiply-adds of one run, counted as two; the convolutions' dense count."""
    if part in ("dit", "dit20", "dit25"):
        return _block_flops(size, TEXT)
    if part == "blocks":
        return BLOCKS * _block_flops(size, TEXT)
    if part == "joint":
        return _joint_flops(size)
    if part == "upsample":
        return bench_upsampler.flops(size)
    if part.startswith("attention"):
        return 4.0 * WIDTH * size * size
    if part == "sound":
        return bench_sound.flops(size)
    if part == "gemma":
        return bench_family.text_layer_flops(size, GEMMA, GEMMA)
    if part in bench_family.FLOPS:
        return bench_family.FLOPS[part](size)
    return _conv_flops(part, size)


def writing_bytes(kind: str, before: int, whole: bool = False) -> float:
    """What a token reads after so many: of the layers that are timed, or of all and the real head.

    A local layer, five of six, has at most 1024 tokens before.
    """
    g, layers = GEMMA, FULL["gemma"] if whole else VIDEO["gemma"]
    width = g["heads"] * g["head"]
    weights = layers * g["hidden"] * (2 * width + 2 * g["kv"] * g["head"] + 3 * g["ffn"])
    weights += g["hidden"] * (262208 if whole else g["vocab"])
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    seen = layers * (before + 5 * min(before, 1024)) / 6
    return weights * size / block + seen * 2 * g["kv"] * g["head"] * 2


def video_flops() -> dict[str, float]:
    """Of a whole video, stage by stage."""
    return {
        "gemma": FULL["gemma"] * flops("gemma", PROMPT),
        "connector": FULL["connector"] * _block_flops(TEXT, 0),
        "denoise": STEPS * FULL["denoise"] * flops("dit", VIDEO_TOKENS),
        "decode": flops("decode", CELLS),
    }


def video_scale(steps: int) -> dict[str, float]:
    """What a stage's time is multiplied by: whole depth over the layers timed, steps over steps."""
    scale = {stage: FULL[stage] / layers for stage, layers in VIDEO.items()}
    return {**scale, "denoise": scale["denoise"] * STEPS / steps, "decode": 1.0}


def grid(part: str, size: int) -> tuple[int, int, int]:
    """Latent frames, rows and columns that a part decodes."""
    return (size, 16, 24) if part == "clip" else (3, size, size)


def _conv_flops(part: str, size: int) -> float:
    encodes, total = part == "encode", 0.0
    frames, height, width = (1, size * 8, size * 8) if encodes else grid(part, size)
    cells = float(height * width)
    for _, kind, columns, rows, layers in _stages(part):
        doubled = encodes and ("time" in kind or "all" in kind)
        voxels = (frames + doubled) * cells
        total += 2 * 27 * columns * rows * voxels * max(1, 2 * layers)
        if "space" in kind or "all" in kind:
            cells = cells / 4 if encodes else cells * 4
        if ("time" in kind or "all" in kind) and not encodes:
            frames = 2 * frames - 1
    return total
