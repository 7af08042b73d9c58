#!/usr/bin/env python3
"""One tiny model in every layout that people publish LTX-2.3 and Gemma 3 in.

    scripts/make_twins.py build/tests/ltx2_quantise build/twins

writes a folder for each layout: the official single file, ComfyUI's and ComfyUI-GGUF's files,
llama.cpp's GGUF of Gemma, Hugging Face's folders and its cache. The weights are those of the
geometry `twins`, rounded so that F16 and BF16 hold them exactly: where a layout stores numbers, the
videos are the same to the bit. Names and shapes are what was seen in published files; the values
are random. Needs numpy and gguf.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import make_tiny
import tiny_shapes
import tiny_sound
import tiny_tokenizer
from make_tiny import Array
from tiny_geometries import GEOMETRIES, model_config

Tensors: TypeAlias = "dict[str, Array]"
TypeOf: TypeAlias = "Callable[[str, Array], str]"  # of a tensor's name and values

DIT = "model.diffusion_model."
CONNECTOR = DIT + "video_embeddings_connector."
GEMMA = GEOMETRIES["twins"]["gemma"]


def _exact(values: Array) -> Array:
    """What BF16 holds, and F16 too: its smallest step is 2^-24, eight bits below 2^-17."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    halves = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    rounded: Array = halves.view(np.float32)
    rounded[np.abs(rounded) < 2.0**-17] = 0
    return rounded


def _tensors(shapes: tiny_shapes.Shapes) -> Tensors:
    return {name: _exact(make_tiny.tensor("twins", name, s)) for name, s in sorted(shapes.items())}


class Model:
    """The weights that all twins have, by the official names, and what quantises them."""

    def __init__(self, quantiser: Path) -> None:
        config = model_config("twins") | tiny_sound.TWINS
        layers = GEMMA["num_hidden_layers"]
        registers = GEOMETRIES["twins"]["registers"]
        shapes = tiny_shapes.transformer(config["transformer"], registers, layers)
        shapes |= tiny_shapes.sound(config["transformer"], registers, layers)
        shapes |= tiny_shapes.vae(config["vae"]) | tiny_sound.audio_vae(config["audio_vae"])
        shapes |= tiny_sound.vocoder(config["vocoder"])
        self.checkpoint = _tensors(shapes)
        self.gemma = _tensors(tiny_shapes.gemma(GEMMA, tiny_tokenizer.vocabulary_size() + 63))
        self.stated = {"config": json.dumps(config), "model_version": "2.3.0"}
        self._quantiser = subprocess.Popen(
            [quantiser], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        self._quantiser.communicate()  # it ends with its input

    def part(self, *prefixes: str, without: str = "") -> Tensors:
        """The checkpoint's tensors under these prefixes, less those under another."""
        return {
            name: values
            for name, values in self.checkpoint.items()
            if name.startswith(prefixes) and not (without and name.startswith(without))
        }

    def quantised(self, kind: str, values: Array) -> bytes:
        stdin, stdout = self._quantiser.stdin, self._quantiser.stdout
        assert stdin
        assert stdout
        rows, columns = values.shape
        name = re.sub("_k$", "_K", kind.lower())  # as ggml spells it
        stdin.write(f"{name} {rows} {columns}\n".encode() + values.tobytes())
        stdin.flush()
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        return stdout.read(rows * columns // block * size)

    def rounded(self, kind: str, values: Array) -> Array:
        """The values that are left of a matrix in this type."""
        if kind in ("F32", "F16", "BF16"):
            return values
        wanted = gguf.GGMLQuantizationType[kind]
        data = np.frombuffer(self.quantised(kind, values), np.uint8)
        return gguf.quants.dequantize(data.reshape(len(values), -1), wanted)


def stripped(tensors: Tensors, prefix: str, instead: str = "") -> Tensors:
    return {instead + name.removeprefix(prefix): values for name, values in tensors.items()}


# ---- files


def put_safetensors(
    path: Path, tensors: Tensors, metadata: dict[str, str] | None = None, dtype: str = "BF16"
) -> Path:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    data = bytearray()
    for name, values in tensors.items():
        begin = len(data)
        data += make_tiny.stored(values, dtype)
        entry = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [begin, len(data)]}
        header[name] = entry
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def put_gguf(
    model: Model,
    path: Path,
    architecture: str,
    tensors: Tensors,
    type_of: TypeOf,
    keys: Callable[[gguf.GGUFWriter], None] = lambda _: None,
    split: int = 0,
    orig_shapes: bool = False,
) -> Path:
    """`split`: at most so many tensors a file. Convolutions are folded; with `orig_shapes` their
    shape, and that of what is stored in rows of 256 instead of its own, stands in the metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    out = gguf.GGUFWriter(path, architecture, split_max_tensors=split)
    out.add_quantization_version(2)
    keys(out)
    for name, values in tensors.items():
        kind = type_of(name, values)
        stored = values.reshape(-1, *values.shape[2:]) if values.ndim == 5 else values
        if orig_shapes and values.ndim == 2 and values.shape[1] % 256 and values.size % 256 == 0:
            stored = values.reshape(-1, 256)
        if orig_shapes and stored is not values:
            out.add_array(f"comfy.gguf.orig_shape.{name}", [int(n) for n in values.shape])
        wanted = gguf.GGMLQuantizationType[kind]
        if kind in ("F32", "F16", "BF16"):
            data = gguf.quants.quantize(stored, wanted)
        else:
            blocks = np.frombuffer(model.quantised(kind, stored), np.uint8)
            data = blocks.reshape(len(stored), -1)
        out.add_tensor(name, data, raw_dtype=wanted)
    out.write_header_to_file(path)
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


# ---- which type a tensor has


def plain(kind: str) -> TypeOf:
    """Matrices in this type, all else in F32, as city96's converter does."""
    return lambda _, values: kind if values.ndim > 1 else "F32"


def llama_quantize(kind: str, others: dict[str, str] | None = None) -> TypeOf:
    """Matrices in this type, by name in others (of a regular expression), where rows allow it."""
    block = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]][0]

    def type_of(name: str, values: Array) -> str:
        if values.ndim == 1 or "scale_shift_table" in name:
            return "F32"
        if values.shape[-1] % block:
            return "F16"
        for pattern, other in (others or {}).items():
            if re.search(pattern, name):
                return other
        return kind

    return type_of


# As recorded of QuantStack's file, see the type rule of its 4444 tensors.
Q4_K_M = {
    r"adaln|learnable_registers|patchify_proj|proj_out": "F32",
    r"embeddings_connector": "BF16",
    r"transformer_blocks\.0\.": "Q5_K",
    r"\.to_v\.weight|\.ff\.net\.2\.weight": "Q6_K",
}
# llama.cpp's mixture of Gemma: half of these in six bits, and the embedding.
GEMMA_Q4_K_M = {r"token_embd|blk\.0\.(attn_v|ffn_down)": "Q6_K"}


# ---- Gemma


def hugging_face(
    model: Model, folder: Path, prefix: str, shards: int = 0, name: str = "model.safetensors"
) -> Path:
    """Gemma's folder as transformers writes it; with vision where the prefix speaks of a part."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_tokenizer.write(folder)
    rows = len(model.gemma["embed_tokens.weight"])
    text = {"model_type": "gemma3_text", "vocab_size": rows, **GEMMA}
    tensors = stripped(model.gemma, "", prefix)
    config: dict[str, object] = {"architectures": ["Gemma3ForCausalLM"], **text}
    if "language_model" in prefix:
        config = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3"}
        config["text_config"] = text
        tensors |= {
            "vision_tower.vision_model.post_layernorm.weight": np.ones(16, np.float32),
            "multi_modal_projector.mm_soft_emb_norm.weight": np.ones(16, np.float32),
        }
    (folder / "config.json").write_text(json.dumps(config))
    metadata = {"format": "pt"}
    if not shards:
        put_safetensors(folder / name, tensors, metadata)
        return folder
    names = sorted(tensors)
    index = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        some = names[len(names) * i // shards : len(names) * (i + 1) // shards]
        put_safetensors(folder / file, {n: tensors[n] for n in some}, metadata)
        index.update(dict.fromkeys(some, file))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def cached(folder: Path, repository: str) -> Path:
    """A folder, moved into Hugging Face's cache: blobs, and links to them by commit."""
    cache = folder.parent / f"models--{repository.replace('/', '--')}"
    snapshot = cache / "snapshots" / "96b6f1eccf38110c56df3a15bffe176da04bfd80"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(snapshot.name)
    for i, path in enumerate(sorted(folder.iterdir())):
        blob = cache / "blobs" / f"{i:064x}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    folder.rmdir()
    return cache


def _tokenizer_keys(out: gguf.GGUFWriter, rows: int) -> None:
    table = [*tiny_tokenizer.pieces(), ("<image_soft_token>", tiny_tokenizer.CONTROL)]
    table += [(f"[PAD{i}]", tiny_tokenizer.UNUSED) for i in range(len(table), rows)]
    rank, scores = 0, []
    for _, kind in table:
        merged = kind == tiny_tokenizer.NORMAL
        scores.append(-float(rank) if merged else 0.0 if kind == tiny_tokenizer.BYTE else -1000.0)
        rank += merged
    whole = tiny_tokenizer.USER_DEFINED
    out.add_tokenizer_model("llama")
    out.add_tokenizer_pre("default")
    out.add_token_list(
        [text.replace(tiny_tokenizer.SPACE, " ") if kind == whole else text for text, kind in table]
    )
    out.add_token_scores(scores)
    out.add_token_types([kind for _, kind in table])
    out.add_bos_token_id(2)
    out.add_eos_token_id(1)
    out.add_unk_token_id(3)
    out.add_pad_token_id(0)
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_add_space_prefix(False)


def _gemma_keys(rows: int) -> Callable[[gguf.GGUFWriter], None]:
    def keys(out: gguf.GGUFWriter) -> None:
        out.add_name("Gemma 3 12b It")
        out.add_context_length(131072)
        out.add_embedding_length(GEMMA["hidden_size"])
        out.add_block_count(GEMMA["num_hidden_layers"])
        out.add_feed_forward_length(GEMMA["intermediate_size"])
        out.add_head_count(GEMMA["num_attention_heads"])
        out.add_head_count_kv(GEMMA["num_key_value_heads"])
        out.add_key_length(GEMMA["head_dim"])
        out.add_value_length(GEMMA["head_dim"])
        out.add_layer_norm_rms_eps(1e-6)
        out.add_sliding_window(GEMMA["sliding_window"])
        out.add_rope_freq_base(1e6)
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(8.0)
        _tokenizer_keys(out, rows)

    return keys


def llama_cpp(
    model: Model, path: Path, type_of: TypeOf, split: int = 0, decoded: bool = False
) -> Path:
    """Gemma as llama.cpp's converter writes it: its names, and norms that hold 1 + weight.

    `decoded`: what the types hold, as F32.
    """
    layers = GEMMA["num_hidden_layers"]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, layers)
    tensors = {}
    for name, values in model.gemma.items():
        new = names.get_name("model." + name, try_suffixes=(".weight",))
        assert new
        tensors[new] = values + 1 if name.endswith("norm.weight") else values
        if decoded:
            tensors[new] = model.rounded(type_of(new, tensors[new]), tensors[new])
    rows = len(model.gemma["embed_tokens.weight"])
    kinds = plain("F32") if decoded else type_of
    return put_gguf(model, path, "gemma3", tensors, kinds, _gemma_keys(rows), split)


def mmproj(model: Model, path: Path) -> Path:
    """The vision tower that llama.cpp keeps apart."""
    tensors = {
        "mm.input_projection.weight": np.ones((32, 16), np.float32),
        "mm.soft_emb_norm.weight": np.ones(16, np.float32),
        "v.blk.0.attn_q.weight": np.ones((16, 16), np.float32),
    }
    return put_gguf(model, path, "clip", tensors, plain("F16"))


# ---- the layouts of what makes the video: a folder, and what in it is given as the model

Layout: TypeAlias = "Callable[[Model, Path], list[Path]]"
STEM = "ltx-2.3-22b-distilled"


def states(model: Model) -> Callable[[gguf.GGUFWriter], None]:
    def keys(out: gguf.GGUFWriter) -> None:
        for key, value in model.stated.items():
            out.add_string(key, value)

    return keys


def official(model: Model, folder: Path) -> list[Path]:
    """Everything but Gemma in one file, sound included."""
    return [put_safetensors(folder / f"{STEM}.safetensors", model.checkpoint, model.stated)]


def comfy_split(model: Model, folder: Path) -> list[Path]:
    """As Kijai publishes them, in ComfyUI's folders; the VAE's names are bare."""
    parts = [
        (f"diffusion_models/{STEM}_transformer_only_bf16", model.part(DIT), model.stated),
        ("text_encoders/ltx-2.3_text_projection_bf16", model.part("text_emb"), model.stated),
        ("vae/LTX23_video_vae_bf16", stripped(model.part("vae."), "vae."), model.stated),
        ("vae/LTX23_audio_vae_bf16", model.part("audio_vae.", "vocoder."), model.stated),
    ]
    for name, tensors, metadata in parts:
        put_safetensors(folder / f"{name}.safetensors", tensors, metadata)
    return [folder]


def _rest(model: Model, folder: Path) -> None:
    """Beside a GGUF of the transformer: the VAEs, and the connectors with the projections."""
    for part, prefixes in (
        ("video_vae", ("vae.",)),
        ("audio_vae", ("audio_vae.", "vocoder.")),
        ("embeddings_connectors", (CONNECTOR, "text_emb", DIT + "audio_embeddings_connector.")),
    ):
        tensors = stripped(model.part(*prefixes), DIT)
        put_safetensors(folder / f"{STEM}_{part}.safetensors", tensors, model.stated)


def comfy_gguf(type_of: TypeOf, stated: bool = True, prefix: str = "", split: int = 0) -> Layout:
    """ComfyUI-GGUF's, sound included. QuantStack's state what the checkpoint stated, and have the
    connectors too; of others the library must know the transformer by its shapes.
    """

    def layout(model: Model, folder: Path) -> list[Path]:
        tensors = stripped(model.part(DIT, without="" if stated else CONNECTOR), DIT, prefix)
        keys = states(model) if stated else lambda _: None
        put_gguf(model, folder / f"{STEM}.gguf", "ltxv", tensors, type_of, keys, split=split)
        _rest(model, folder)
        return [folder]

    return layout


def own_files(model: Model, folder: Path) -> list[Path]:
    """Each part in a file of its own, all of them named."""
    prefixes = {
        "dit": (DIT,),
        "connector": (CONNECTOR,),
        "projection": ("text_emb",),
        "video_vae": ("vae.",),
        "audio_vae": ("audio_vae.",),
        "vocoder": ("vocoder.",),
    }
    return [
        put_safetensors(
            folder / f"distilled-{part}.safetensors",
            model.part(*names, without=DIT + "video_emb" if part == "dit" else ""),
            model.stated,
        )
        for part, names in prefixes.items()
    ]


def folded(orig_shapes: bool) -> Layout:
    """All of it in GGUF: convolutions have five dimensions, and GGUF four."""

    def layout(model: Model, folder: Path) -> list[Path]:
        path = folder / f"{STEM}.gguf"
        tensors, keys = model.checkpoint, states(model)
        put_gguf(model, path, "ltxv", tensors, plain("F16"), keys, orig_shapes=orig_shapes)
        return [path]

    return layout


VIDEO: dict[str, Layout] = {
    "official": official,
    "comfy-split": comfy_split,
    "comfy-gguf-bf16": comfy_gguf(plain("BF16")),
    "comfy-gguf-bare": comfy_gguf(plain("BF16"), stated=False),
    "comfy-gguf-prefixed-f16": comfy_gguf(plain("F16"), prefix=DIT),
    "comfy-gguf-split": comfy_gguf(plain("BF16"), split=80),
    "own-files": own_files,
    "gguf-folded": folded(orig_shapes=False),
    "gguf-orig-shapes": folded(orig_shapes=True),
}


# ---- the layouts of the text encoder


def gemma_gguf(type_of: TypeOf, split: int = 0) -> Layout:
    def layout(model: Model, folder: Path) -> list[Path]:
        llama_cpp(model, folder / "gemma-3-12b-it.gguf", type_of, split)
        mmproj(model, folder / "mmproj-model-f16-12B.gguf")
        return [folder]

    return layout


TEXT: dict[str, Layout] = {
    "sharded": lambda m, at: [hugging_face(m, at / "gemma", "language_model.model.", shards=3)],
    "transformers-5": lambda m, at: [hugging_face(m, at / "gemma", "model.language_model.", 2)],
    "text-only": lambda m, at: [hugging_face(m, at / "gemma", "model.")],
    "cache": lambda m, at: [
        cached(hugging_face(m, at / "x", "language_model.model.", 3), "google/gemma-3-12b-it")
    ],
    "gguf-f16": gemma_gguf(plain("F16")),
    "gguf-bf16-split": gemma_gguf(plain("BF16"), split=11),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("quantiser", type=Path, help="a build's tests/ltx2_quantise")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    model = Model(args.quantiser)
    for kind, layouts in (("video", VIDEO), ("text", TEXT)):
        for name, layout in layouts.items():
            folder = args.folder / kind / name
            shutil.rmtree(folder, ignore_errors=True)
            print(name, *layout(model, folder))
    model.close()


if __name__ == "__main__":
    main()
