"""Gemma 4, LTX-2.5's text encoder, against transformers on its tiny checkpoints.

`shared` is laid out as the 12B model: local layers with a window of 6, global ones whose values are
their keys. `own` differs in every count, in BF16, and its global layers have values of their own.
"""

from __future__ import annotations

import json
import os
import struct
from functools import cache
from pathlib import Path
from typing import Any

import comfy_quant
import gguf
import golden_text
import numpy as np
import pytest
import tiny_gemma4
from parity import golden, run
from safetensors_file import read_safetensors
from test_convert import key, types
from test_parity_tokenizer import LENGTHS, STRINGS, compare
from tolerance import NMSE, nmse

import ltx2
from ltx2.convert import convert

NAMES = ("shared", "own")
LAYOUTS = ("file", "folder")
FULL = Path(os.environ.get("LTX2_FULL_WIDTH", "build/full"))


@pytest.fixture(scope="module")
def models(folder: Path) -> Any:
    """A geometry in a layout."""
    return cache(lambda name, layout: tiny_gemma4.generate(name, folder / name / layout, layout))


def worst(model: Path, want: dict[str, np.ndarray], case: str, folder: Path) -> float:
    """Of the hidden states, the one that is furthest off."""
    have = run("text-encoder", [model], folder, ids=want[f"{case}.ids"])["states"]
    assert have.shape == want[f"{case}.states"].shape
    return max(map(nmse, have, want[f"{case}.states"]))


@pytest.mark.parametrize("case", ["one", "long"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_equal_transformers(
    name: str, layout: str, case: str, models: Any, tmp_path: Path
) -> None:
    got = worst(models(name, layout), golden(f"gemma4-{name}"), case, tmp_path)
    print(name, layout, case, f"{got:.2g}")
    assert got <= NMSE["gemma4", "F32"].limit


@pytest.mark.parametrize("stated", [True, False])
def test_a_gguf_with_the_official_names_is_read(
    stated: bool, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for ComfyUI: the text file's tensors, its config as `config`, bytes as 8-bit integers."""
    tensors, metadata = read_safetensors(models("shared", "file"))
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "gemma4")
    writer.add_string("model_version", metadata["model_version"])  # the sizes are not official
    if stated:
        writer.add_string("config", metadata["gemma_config"])
    for name, (dtype, values) in tensors.items():
        is_text = dtype == "U8"
        writer.add_tensor(name, values.astype(np.uint8).view(np.int8) if is_text else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if not stated:  # then it is the 12B model's
        with pytest.raises(pytest.fail.Exception, match=r"blk\.0.*shape|layers"):
            worst(tmp_path / "a.gguf", golden("gemma4-shared"), "long", tmp_path)
        return
    monkeypatch.setenv("LTX2_EXACT", "1")
    got = worst(tmp_path / "a.gguf", golden("gemma4-shared"), "long", tmp_path)
    assert got <= NMSE["gemma4", "F32"].limit
    made = convert(tmp_path / "a.gguf", tmp_path / "b.gguf", "f32")
    assert worst(made, golden("gemma4-shared"), "long", tmp_path) <= NMSE["gemma4", "F32"].limit
    compare(made, "gemma4-tokenizer", tmp_path, LENGTHS[0], None)
    parts = {part["id"] for part in ltx2.describe(tmp_path / "a.gguf")["parts"]}
    assert parts == {"text_encoder", "projection", "audio_projection"}


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gguf_of_it_is_read_back(
    layout: str, kind: str, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As users run it, but in F32."""
    monkeypatch.setenv("LTX2_EXACT", "1" if kind == "F32" else "0")
    made = convert(models("shared", layout), tmp_path / "a.gguf", kind.lower())
    got = worst(made, golden("gemma4-shared"), "long", tmp_path)
    print(kind, f"{got:.2g}")
    assert got <= NMSE["gemma4", kind].limit


def test_a_file_with_values_of_its_own_is_read_back(models: Any, tmp_path: Path) -> None:
    made = convert(models("own", "file"), tmp_path / "a.gguf", "bf16")
    got = worst(made, golden("gemma4-own"), "long", tmp_path)
    assert got <= NMSE["gemma4", "F32"].limit


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_transformers(name: str, models: Any, tmp_path: Path) -> None:
    """The cap of 30 on those of `shared`; a cache of two widths."""
    want = golden(f"gemma4-{name}")
    ids = want["writing.ids"]
    have = run("writer", [models(name, "folder")], tmp_path, ids=ids[:-1], asked=9)["logits"]
    got = nmse(np.take_along_axis(have, want["writing.best"], 1), want["writing.logits"])
    print(name, f"{got:.2g}")
    assert got <= NMSE["gemma4.logits", "F32"].limit
    assert (have.argmax(1) == ids[9:]).all()


# ---- tokenizer


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", ["json", "gguf"])
def test_tokens_are_those_of_hugging_faces(
    kind: str, length: int, models: Any, tmp_path: Path
) -> None:
    file = models("shared", "folder") / "tokenizer.json"
    if kind == "gguf":
        file = convert(models("shared", "file"), tmp_path / "a.gguf", "q8_0")
    compare(file, "gemma4-tokenizer", tmp_path, length, None)


def tokens(file: Path, text: str, folder: Path, **how: int) -> list[int]:
    strings = folder / STRINGS.name
    strings.write_text(json.dumps([text]))
    ids: list[int] = run("tokenizer", [folder], folder, file=file, strings=strings, **how)[
        "ids"
    ].tolist()
    return ids


def test_a_typed_bos_is_the_one(models: Any, tmp_path: Path) -> None:
    file = models("shared", "folder") / "tokenizer.json"
    plain = tokens(file, "a cat", tmp_path, length=32)
    assert plain[0] == 2 and plain.count(2) == 1
    assert tokens(file, " <bos>a cat", tmp_path, length=32) == plain
    assert tokens(file, "<bos><bos>a cat", tmp_path, length=32) == [2, *plain]


def test_a_turn_has_its_tokens_and_no_thought(models: Any, tmp_path: Path) -> None:
    file = models("shared", "folder") / "tokenizer.json"
    vocabulary = json.loads(file.read_text())["model"]["vocab"]
    ids = tokens(file, golden_text.TURN, tmp_path, turn=1)
    special = [vocabulary[t] for t in ("<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>")]
    bos, starts, ends, thought, thought_ends = special
    assert [i for i in ids if i in special] == [bos, starts, ends, starts, thought, thought_ends]
    assert ids[-1] == thought_ends


# ---- files


def test_keys_are_llama_cpps(models: Any, tmp_path: Path) -> None:
    made = convert(models("shared", "file"), tmp_path / "a.gguf", "f16")
    slides = [True] * 5 + [False] * 2
    want = {
        "general.architecture": "gemma4", "gemma4.embedding_length": 32, "gemma4.block_count": 7,
        "gemma4.feed_forward_length": 64, "gemma4.attention.head_count": 4,
        "gemma4.attention.head_count_kv": [2] * 5 + [1] * 2,
        "gemma4.attention.key_length": 64, "gemma4.attention.value_length": 64,
        "gemma4.attention.key_length_swa": 32, "gemma4.attention.value_length_swa": 32,
        "gemma4.rope.dimension_count": 64, "gemma4.rope.dimension_count_swa": 32,
        "gemma4.rope.freq_base": 1e6, "gemma4.rope.freq_base_swa": 1e4,
        "gemma4.attention.sliding_window": 6, "gemma4.attention.sliding_window_pattern": slides,
        "gemma4.attention.shared_kv_layers": 0, "gemma4.final_logit_softcapping": 30.0,
        "gemma4.context_length": 262144, "tokenizer.ggml.model": "gemma4",
        "tokenizer.ggml.add_bos_token": True, "ltx2.rope.partial_rotary_factor": 0.25,
    }  # fmt: skip
    assert {name: key(made, name) for name in want} == want
    merges = json.loads((models("shared", "folder") / "tokenizer.json").read_text())
    assert key(made, "tokenizer.ggml.merges") == [" ".join(m) for m in merges["model"]["merges"]]


def test_names_are_llama_cpps_and_projections_stay_with_it(models: Any, tmp_path: Path) -> None:
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA4, 7)
    scale = "blk.{}.layer_output_scale.weight"
    shapes = tiny_gemma4.shapes(tiny_gemma4.GEOMETRIES["shared"]["config"])
    want = {
        scale.format(n.split(".")[1])
        if n.endswith("layer_scalar")
        else table.get_name(f"model.{n}", (".weight",))
        for n in shapes
    }
    made = types(convert(models("shared", "folder"), tmp_path / "a.gguf", "f16"))
    assert set(made) == want
    assert "blk.5.attn_v.weight" not in made and made["blk.5.layer_output_scale.weight"] == "F32"
    both = types(convert(models("shared", "file"), tmp_path / "b.gguf", "f16"))
    assert set(both) - want == {
        f"text_embedding_projection.{stream}_aggregate_embed.{part}"
        for stream in ("video", "audio")
        for part in ("weight", "bias")
    }


@pytest.mark.parametrize("kind", ["int8_convrot", "fp8_scaled"])
def test_comfyui_s_formats_are_read(kind: str, models: Any, tmp_path: Path) -> None:
    """Turned by groups of 64; against the same weights decoded by the tools."""
    coded = comfy_quant.quantise_file(
        models("shared", "file"), tmp_path / "coded.safetensors", kind, rotated=64
    )
    plain = comfy_quant.decode_file(coded, tmp_path / "plain.safetensors")
    ids = golden("gemma4-shared")["long.ids"]
    have, want = (
        run("text-encoder", [file], tmp_path / file.stem, ids=ids)["states"]
        for file in (coded, plain)
    )
    header = comfy_quant.read(coded)[0]
    assert "model.layers.5.self_attn.o_proj.weight_scale" in header
    assert max(map(nmse, have, want)) <= NMSE["gemma4", "F32"].limit


def test_norms_are_stored_as_they_are(models: Any, tmp_path: Path) -> None:
    made = convert(models("shared", "folder"), tmp_path / "a.gguf", "f32")
    have = {t.name: t.data for t in gguf.GGUFReader(made).tensors}
    want = tiny_gemma4.weights("shared")
    assert (have["output_norm.weight"] == want["norm.weight"]).all()
    theirs = want["layers.3.self_attn.q_norm.weight"]
    assert (have["blk.3.attn_q_norm.weight"] == theirs).all()


def test_a_newer_config_states_heads_by_layer(models: Any, tmp_path: Path) -> None:
    """As transformers 5.24 writes it."""
    folder = tiny_gemma4.generate("shared", tmp_path / "a", "folder")
    text = json.loads((folder / "config.json").read_text())
    inner = text["text_config"]
    for gone in ("global_head_dim", "num_global_key_value_heads"):
        del inner[gone]
    own = {"head_dim": 64, "num_key_value_heads": 1}
    inner["per_layer_config"] = {"5": own, "6": own}
    (folder / "config.json").write_text(json.dumps(text))
    got = worst(folder, golden("gemma4-shared"), "long", tmp_path)
    assert got <= NMSE["gemma4", "F32"].limit


def rewritten(path: Path, changed: Any) -> Path:
    """A safetensors file whose header another function has changed."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    changed(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    return path


def test_values_are_missed_where_a_layer_has_to_have_them(tmp_path: Path) -> None:
    def without(header: dict[str, Any]) -> None:
        header["extra"] = header.pop("model.layers.0.self_attn.v_proj.weight")

    model = rewritten(tiny_gemma4.generate("shared", tmp_path / "a"), without)
    with pytest.raises(ltx2.ModelError, match=r"blk\.0\.attn_v"):
        convert(model, tmp_path / "a.gguf", "f16")


def test_another_gemmas_config_is_refused(tmp_path: Path) -> None:
    folder = tiny_gemma4.generate("shared", tmp_path / "a", "folder")
    text = json.loads((folder / "config.json").read_text())
    for table in (text, text["text_config"]):
        table["model_type"] = "gemma3"
    del text["text_config"]["final_logit_softcapping"]
    text["text_config"]["global_head_dim"] = None
    (folder / "config.json").write_text(json.dumps(text))
    with pytest.raises(ltx2.ModelError, match=r"layer_scalar.*config is Gemma 3's"):
        convert(folder, tmp_path / "a.gguf", "f16")


# ---- the true widths


@pytest.mark.slow
@pytest.mark.skipif(
    not (FULL / "full-gemma4.npz").exists(),
    reason="no full-width golden file; scripts/golden_gemma4.py --full-width makes it",
)
@pytest.mark.parametrize("kind", ["BF16", "Q8_0", "I8"])
def test_the_true_widths(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local and a global layer, 3840 wide; BF16, as the file is, in F32 arithmetic."""
    with np.load(FULL / "full-gemma4.npz") as data:
        want = dict(data)
    model = FULL / "gemma4"
    if kind != "BF16":
        monkeypatch.setenv("LTX2_EXACT", "0")
        model = convert(model, tmp_path / "a.gguf", kind.lower())
    got = worst(model, want, "long", tmp_path)
    print(kind, f"{got:.2g}")
    assert got <= NMSE["gemma4.full", kind].limit
