"""ltx2.convert: a checkpoint of LTX-2.3, quantised, and what is refused."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import comfy_quant
import gguf
import numpy as np
import pytest
from safetensors_file import Stored, bf16, read_safetensors, write_safetensors

import ltx2
from ltx2 import _calls
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DIT = "model.diffusion_model."
TYPES = ltx2.capabilities()["types"]

# NMSE of a normally distributed weight after the round trip: measured; a tenth more is the limit.
ROUND_TRIP = {
    "f32": 0.0, "bf16": 2.76e-6, "f16": 4.31e-8, "q8_0": 2.85e-5, "i8": 5.5e-5, "q6_k": 3.13e-4,
    "q5_1": 1.43e-3, "q5_k": 1.30e-3, "q4_0": 7.38e-3, "q4_k": 5.07e-3, "q3_k": 2.27e-2,
}  # fmt: skip
# What matrices become in the first and last blocks, and where rows are no multiple of 256, or 32.
HIGHER = {
    "q8_0": "f16", "i8": "f16", "q6_k": "q8_0", "q5_1": "q8_0", "q5_k": "q6_k", "q4_0": "q5_1",
    "q4_k": "q5_k", "q3_k": "q4_k",
}  # fmt: skip
FALLBACK = {"i8": "q8_0", "q6_k": "q8_0", "q5_k": "q5_1", "q4_k": "q5_1", "q3_k": "q4_0"}


def values(path: Path) -> dict[str, NDArray[np.float32]]:
    """Tensor name -> values in F32, outermost dimension first."""
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}

    def of(t: gguf.ReaderTensor) -> NDArray[np.float32]:
        shape = t.shape.tolist()[::-1]
        found: NDArray[np.float32]
        if t.tensor_type == gguf.GGMLQuantizationType.I8:
            scales = tensors[t.name + "_scale"].data
            found = comfy_quant.rotate(t.data.reshape(shape) * scales[:, None])
        else:
            found = gguf.quants.dequantize(t.data, t.tensor_type).reshape(shape)
        return found

    return {name: of(t) for name, t in tensors.items()}


def types(path: Path) -> dict[str, str]:
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}


@functools.lru_cache(maxsize=2)
def reader(path: str, _time: int) -> gguf.GGUFReader:
    return gguf.GGUFReader(path)


def key(path: Path, name: str) -> Any:
    field = reader(str(path), path.stat().st_mtime_ns).get_field(name)
    return None if field is None else field.contents()


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(list(shape)).standard_normal(shape, np.float32)


def six_blocks() -> dict[str, Stored]:
    """One tensor of each kind the rules tell apart; six blocks, so that two are in the middle."""
    tensors: dict[str, Stored] = {
        "patchify_proj.weight": ("F32", normal(64, 32)),
        "patchify_proj.bias": ("F32", normal(64)),
        "proj_out.weight": ("F32", normal(32, 64)),
        "adaln_single.linear.weight": ("F32", normal(96, 64)),
        "prompt_adaln_single.linear.weight": ("F32", normal(64, 64)),
        "scale_shift_table": ("F32", normal(2, 64)),
        "video_embeddings_connector.learnable_registers": ("F32", normal(8, 64)),
        "video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q.weight": (
            "F32", normal(64, 64),
        ),
        "video_embeddings_connector.transformer_1d_blocks.0.attn1.q_norm.weight": (
            "F32", normal(64),
        ),
        "audio_embeddings_connector.learnable_registers": ("F32", normal(8, 32)),
        "audio_embeddings_connector.transformer_1d_blocks.0.attn1.q_norm.weight": (
            "F32", normal(32),
        ),
        "av_ca_a2v_gate_adaln_single.linear.weight": ("F32", normal(64, 64)),
        "audio_patchify_proj.weight": ("F32", normal(32, 32)),
        "audio_proj_out.weight": ("F32", normal(32, 32)),
        "audio_scale_shift_table": ("F32", normal(2, 32)),
    }  # fmt: skip
    for i in range(6):
        block = f"transformer_blocks.{i}."
        tensors[block + "attn1.to_q.weight"] = ("F32", normal(64, 64))
        tensors[block + "attn1.to_q.bias"] = ("F32", normal(64))
        tensors[block + "attn1.q_norm.weight"] = ("F32", normal(64))
        tensors[block + "attn1.to_gate_logits.weight"] = ("F32", normal(4, 64))
        tensors[block + "ff.net.0.proj.bias"] = ("F32", normal(48))
        tensors[block + "ff.net.2.weight"] = ("F32", normal(64, 48))
        tensors[block + "scale_shift_table"] = ("F32", normal(9, 64))
        tensors[block + "scale_shift_table_a2v_ca_video"] = ("F32", normal(5, 64))
        tensors[block + "audio_attn1.to_q.weight"] = ("F32", normal(32, 32))
    tensors = {DIT + name: stored for name, stored in tensors.items()}
    return tensors | {
        "text_embedding_projection.video_aggregate_embed.weight": ("F32", normal(64, 96)),
        "text_embedding_projection.audio_aggregate_embed.weight": ("F32", normal(32, 96)),
        "vae.encoder.conv_in.conv.weight": ("F32", normal(8, 6, 3, 3, 3)),
        "vae.encoder.conv_in.conv.bias": ("F32", normal(8)),
        "vae.encoder.down_blocks.0.res_blocks.0.conv1.conv.bias": ("F32", normal(8)),
        "vae.per_channel_statistics.mean-of-means": ("F32", normal(8)),
        "vae.per_channel_statistics.std-of-means": ("F32", normal(8)),
        "vae.per_channel_statistics.mean-of-stds": ("F32", normal(8)),
        "audio_vae.encoder.conv_in.conv.weight": ("F32", normal(8, 2, 3, 3)),
        "audio_vae.decoder.conv_in.conv.weight": ("F32", normal(8, 6, 3, 3)),
        "audio_vae.decoder.conv_out.conv.weight": ("F32", normal(2, 8, 3, 3)),
        "vocoder.vocoder.conv_pre.weight": ("F32", normal(8, 128, 7)),
        "vocoder.vocoder.conv_post.weight": ("F32", normal(2, 8, 7)),
    }


METADATA = {"config": '{"transformer": {}, "vae": {}}', "model_version": "2.3.0", "license": "L"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "six.safetensors", six_blocks(), METADATA)


# ---- what the file holds


@pytest.mark.parametrize("kind", TYPES)
def test_a_matrix_survives_as_well_as_its_type_allows(kind: str, tmp_path: Path) -> None:
    name, weight = DIT + "transformer_blocks.2.attn1.to_k.weight", normal(256, 512)
    tensors = six_blocks() | {name: ("F32", weight)}
    made = convert(
        write_safetensors(tmp_path / "a.safetensors", tensors, METADATA), tmp_path / "a.gguf", kind
    )
    again = values(made)[name]
    nmse = float(np.sum((again - weight) ** 2.0) / np.sum(weight**2.0))
    assert types(made)[name] == kind.upper()
    assert ROUND_TRIP[kind] / 1.1 <= nmse <= ROUND_TRIP[kind] * 1.1


@pytest.mark.parametrize("kind", TYPES)
def test_each_tensor_has_the_type_its_rule_says(kind: str, source: Path, tmp_path: Path) -> None:
    got = types(convert(source, tmp_path / "a.gguf", kind))
    full = kind.upper() if kind in ("f32", "bf16") else "F16"
    # rows of 64 are no whole blocks of 256
    usual, edge = (FALLBACK.get(k, k).upper() for k in (kind, HIGHER.get(kind, kind)))
    for name in ("patchify_proj.weight", "proj_out.weight", "adaln_single.linear.weight",
                 "prompt_adaln_single.linear.weight"):  # fmt: skip
        assert got[DIT + name] == full
    registers = "video_embeddings_connector.learnable_registers"
    for name in ("patchify_proj.bias", "scale_shift_table", registers):
        assert got[DIT + name] == "F32"
    for i in range(6):
        block = f"{DIT}transformer_blocks.{i}."
        assert got[block + "attn1.to_q.weight"] == (usual if i in (2, 3) else edge)
        assert got[block + "ff.net.2.weight"] == full  # rows of 48
        assert got[block + "attn1.to_gate_logits.weight"] == full
        for name in ("attn1.to_q.bias", "attn1.q_norm.weight", "scale_shift_table"):
            assert got[block + name] == "F32"
    connector = DIT + "video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q.weight"
    assert got[connector] == usual
    assert got["text_embedding_projection.video_aggregate_embed.weight"] == usual
    assert got["vae.encoder.conv_in.conv.weight"] == full
    assert got["vae.per_channel_statistics.mean-of-means"] == "F32"


def test_the_sound_is_left_out_by_request_and_nothing_else(source: Path, tmp_path: Path) -> None:
    audio = ("audio_", "vocoder", "av_ca", "a2v", "mean-of-stds")
    kept = {name for name in six_blocks() if not any(word in name for word in audio)}
    assert set(types(convert(source, tmp_path / "a.gguf", audio=False))) == kept


def test_a_tiny_checkpoint_keeps_every_video_value(tiny: dict[str, Path], tmp_path: Path) -> None:
    tensors, _ = read_safetensors(tiny["base"])
    made = values(convert(tiny["base"], tmp_path / "a.gguf", "f32", audio=False))
    assert len(made) > 100
    for name, got in made.items():
        assert got.tobytes() == tensors[name][1].tobytes(), name
    left = set(tensors) - set(made)
    assert left
    assert all("audio" in n or "av_ca_" in n or "a2v" in n or "vocoder" in n for n in left)


def test_a_convolution_is_folded_to_four_dimensions(source: Path, tmp_path: Path) -> None:
    made = convert(source, tmp_path / "a.gguf", "f32")
    name = "vae.encoder.conv_in.conv.weight"
    [tensor] = [t for t in gguf.GGUFReader(made).tensors if t.name == name]
    assert tensor.shape.tolist() == [3, 3, 3, 48]  # ggml's order: width first
    assert values(made)[name].tobytes() == six_blocks()[name][1].tobytes()


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_every_float_type_is_read(dtype: str, tmp_path: Path) -> None:
    numbers = np.array([0, -0.0, 1, -2.5, 0.15625, 65280], np.float32)  # exact in all of them
    tensors = six_blocks() | {DIT + "proj_out.bias": (dtype, numbers)}
    made = convert(
        write_safetensors(tmp_path / "a.safetensors", tensors, METADATA), tmp_path / "a.gguf"
    )
    assert values(made)[DIT + "proj_out.bias"].tobytes() == numbers.tobytes()
    if dtype == "BF16":
        assert bf16(np.array([-2.5], np.float32)) == b"\x20\xc0"


@pytest.mark.parametrize("kind", TYPES)
def test_a_converted_file_can_be_converted_again(kind: str, source: Path, tmp_path: Path) -> None:
    """In the same type bit by bit; else from what the file holds."""
    first = convert(source, tmp_path / "six.gguf", kind)
    (tmp_path / "again").mkdir()
    again = convert(first, tmp_path / "again" / "six.gguf", kind)
    assert again.read_bytes() == first.read_bytes()
    name = DIT + "transformer_blocks.2.attn1.to_q.weight"
    full = values(convert(first, tmp_path / "full.gguf", "f32"))[name]
    assert full.tobytes() == values(first)[name].tobytes()


def test_one_part_can_be_converted_alone(tmp_path: Path) -> None:
    vae = {name: stored for name, stored in six_blocks().items() if name.startswith("vae.")}
    path = write_safetensors(tmp_path / "vae.safetensors", vae, METADATA)
    assert set(types(convert(path, tmp_path / "a.gguf"))) == set(vae) - {
        "vae.per_channel_statistics.mean-of-stds"
    }
    with pytest.raises(ltx2.InvalidArgumentError, match="variant: a video VAE has none"):
        convert(path, tmp_path / "a.gguf", variant="dev")


def test_a_text_encoder_and_a_checkpoint_become_two_files(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="each becomes a file of its own"):
        convert(tiny["base"].parent, tmp_path / "a.gguf")


# ---- metadata


def test_metadata_is_kept(source: Path, tmp_path: Path) -> None:
    made = convert(source, tmp_path / "a.gguf", "q5_1")
    assert {name: key(made, name) for name in METADATA} == METADATA
    assert key(made, "general.architecture") == "ltxv"
    assert key(made, "general.file_type") == 9
    assert key(made, "general.quantization_version") == 2


def with_config(path: Path, blocks: int, **config: Any) -> Path:
    last = f"transformer_blocks.{blocks - 1}."
    shapes = {
        "patchify_proj.weight": (8, 4), "proj_out.weight": (4, 8), "scale_shift_table": (2, 8),
        last + "attn1.q_norm.weight": (8,), last + "scale_shift_table": (9, 8),
        last + "ff.net.0.proj.bias": (32,),
    }  # fmt: skip
    tensors: dict[str, Stored] = {DIT + n: ("F32", normal(*shape)) for n, shape in shapes.items()}
    return write_safetensors(path, tensors, METADATA | {"config": json.dumps(config)})


def sampling(path: Path) -> Any:
    return json.loads(key(path, "config")).get("sampling")


def test_the_variant_states_sampling_where_the_source_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = with_config(tmp_path / "a.safetensors", 48, vae={"x": 1})
    named = with_config(tmp_path / "ltx-distilled-1.1.safetensors", 2)
    stated = with_config(tmp_path / "b.safetensors", 48, sampling={"steps": 3})
    target = tmp_path / "a.gguf"
    assert sampling(convert(plain, target)) is None
    assert "a.safetensors: nothing tells" in caplog.text
    caplog.clear()
    dev = sampling(convert(plain, target, variant="dev"))
    assert (dev["schedule"], dev["steps"], dev["stg_blocks"]) == ("ltx2", 30, [28])
    assert json.loads(key(target, "config"))["vae"] == {"x": 1}
    assert sampling(convert(named, target))["schedule"] == "distilled"
    official = with_config(tmp_path / "ltx-2.3-22b-dev.safetensors", 48)
    assert sampling(convert(official, target)) == dev
    short = with_config(tmp_path / "dev.safetensors", 2)
    assert sampling(convert(short, target)) is None  # block 28 of 2: as if it were not named
    assert not caplog.records
    assert sampling(convert(stated, target, variant="dev")) == {"steps": 3}
    with pytest.raises(ltx2.InvalidArgumentError, match="skips block 28"):
        convert(named, target, variant="dev")


# ---- what is refused


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"config": "{"}, "config: no .* at byte 1"),
        ({"config": "[]"}, "config: is an array, not an object"),
        ({"model_version": "1.0.0"}, "1.0.0"),
    ],
)
def test_a_header_of_another_model_is_refused(
    metadata: dict[str, str], words: str, tmp_path: Path
) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", six_blocks(), METADATA | metadata)
    with pytest.raises(ltx2.ModelError, match=words):
        convert(path, tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()


def test_a_config_that_the_source_leaves_unsaid_is_stated(tmp_path: Path) -> None:
    metadata = {"model_version": "2.3.0"}
    path = write_safetensors(tmp_path / "a.safetensors", six_blocks(), metadata)
    config = json.loads(key(convert(path, tmp_path / "a.gguf", variant="distilled"), "config"))
    assert config["transformer"]["norm_eps"] == 1e-6
    assert config["vae"]["latent_channels"] == 128
    assert config["sampling"]["schedule"] == "distilled"


@pytest.mark.parametrize(
    ("name", "stored", "words"),
    [
        (DIT + "proj_out.bias", ("F32", np.array([1, np.nan], np.float32)), "is not finite"),
        (DIT + "proj_out.bias", ("F32", np.array([1, -np.inf], np.float32)), "is not finite"),
        (DIT + "transformer_blocks.2.attn1.to_k.weight",
         ("F32", np.full((2, 32), -7e4, np.float32)), "values over 65504, too large for q8_0"),
        (DIT + "proj_out.bias", ("I32", np.ones(4, np.int32)), 'proj_out.bias" is I32'),
        (DIT + "proj_out.bias", ("F64", np.ones(4)), 'proj_out.bias" is F64'),
        (DIT + "proj_out.bias", ("F32", normal(0, 4)), "2 dimensions, 0 values"),
    ],
)  # fmt: skip
def test_a_tensor_that_cannot_be_stored_is_refused(
    name: str, stored: Stored, words: str, tmp_path: Path
) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", six_blocks() | {name: stored}, METADATA)
    with pytest.raises(ltx2.ModelError, match=words) as caught:
        convert(path, tmp_path / "a.gguf")
    assert str(path) in str(caught.value)
    assert name in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def header(entries: Any, data: int = 16) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "data",
    [b"", b"just text, and more of it", header(b"{]"), header({"a": entry(0, 20, [5])})],
)
def test_a_damaged_file_is_one_line_of_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(ltx2.ModelError) as caught:
        convert(path, tmp_path / "a.gguf")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["dtype", "shape", "data_offsets"])
@pytest.mark.parametrize("value", [None, [], {}, "", "F99", -1, 2.5, True, [[]], [-1, 0], [2**70]])
def test_a_field_of_another_kind_is_one_line_of_error(
    field: str, value: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    name = "vae.per_channel_statistics.mean-of-means"
    path.write_bytes(header({name: entry(0, 16, [4]) | {field: value}}))
    with pytest.raises(ltx2.ModelError) as caught:
        convert(path, tmp_path / "a.gguf")
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_source_whose_name_is_not_letters_is_converted(source: Path, tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("needs a file system that takes any bytes")
    named = source.rename(tmp_path / os.fsdecode(b"\xff.safetensors"))
    made = convert(named, tmp_path / os.fsdecode(b"\xfe.gguf"))
    assert key(made, "general.name") == "\ufffd"


def test_a_truncated_file_is_refused_at_every_length(source: Path, tmp_path: Path) -> None:
    whole = source.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(ltx2.ModelError, match=r"cut\.safetensors"):
            convert(cut, tmp_path / "a.gguf")


def test_arguments_are_checked(source: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ((source, tmp_path / "a.gguf", "q3"), 'type: "q3" is not one of f32, bf16'),
        ((source, source), "is a source itself"),
        ((source, tmp_path), "is a folder"),
        ((source, tmp_path / "none" / "a.gguf"), "there is no folder"),
    ):
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            convert(*arguments)
    with pytest.raises(ltx2.InvalidArgumentError, match='variant: "pro" is not one of'):
        convert(source, tmp_path / "a.gguf", variant="pro")
    with pytest.raises(ltx2.ModelError, match="no such file"):
        convert(tmp_path / "none.safetensors", tmp_path / "a.gguf")


# ---- how it is written


def test_progress_counts_the_bytes_of_the_source(source: Path, tmp_path: Path) -> None:
    seen: list[ltx2.Progress] = []
    convert(source, tmp_path / "a.gguf", progress=seen.append)
    assert {p.stage for p in seen} == {"convert"}
    assert seen[-1].done == seen[-1].total
    assert 0 < seen[-1].total < source.stat().st_size


def test_the_end_of_python_stops_a_conversion(source: Path, tmp_path: Path) -> None:
    def cancel(_progress: ltx2.Progress) -> None:
        [call] = _calls.under_way()
        call.cancelled = True

    with pytest.raises(ltx2.CancelledError):
        convert(source, tmp_path / "a.gguf", progress=cancel)
    assert list(tmp_path.iterdir()) == [source]


def sparse(path: Path, rows: int) -> Path:
    """A projection [rows, 188160] in BF16 that takes no space on the disk."""
    name = "text_embedding_projection.video_aggregate_embed.weight"
    size = rows * 188160 * 2
    entries = {"__metadata__": METADATA, name: entry(0, size, [rows, 188160], "BF16")}
    data = header(entries, 0)
    path.write_bytes(data)
    os.truncate(path, len(data) + size)
    return path


def test_memory_holds_pieces_and_no_tensor(tmp_path: Path) -> None:
    source = sparse(tmp_path / "a.safetensors", 256)  # 96 MB, 193 MB as F32
    tracemalloc.start()
    try:
        convert(source, tmp_path / "a.gguf", "q4_0")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.slow
def test_a_source_of_gigabytes_needs_little_memory(tmp_path: Path, command: None) -> None:
    source = sparse(tmp_path / "a.safetensors", 12288)  # 4.6 GB in one tensor
    program = (  # its own peak: that of all children would count other tests' programs
        "import resource, sys; from ltx2.convert import convert; convert(*sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    line: list[str | Path] = [
        sys.executable, "-c", program, source, tmp_path / "a.gguf", "q4_0",
    ]  # fmt: skip
    done = subprocess.run(line, check=True, capture_output=True, text=True, cwd=tmp_path)
    peak = int(done.stdout)
    rows = gguf.GGUFReader(tmp_path / "a.gguf").tensors[0].data
    assert rows.shape == (12288, 188160 // 32 * 18)
    assert rows[-1, -18:].tolist() == [0, 0x80, *[0x88] * 16]  # -0 times 8 - 8
    assert peak < 128 << 20  # 62 measured, most of it the modules
