"""Weights in ComfyUI's formats, as they are: decoded as scripts/comfy_quant.py says, and videos.

The same weights, decoded to F32 by comfy_quant, are what every format is compared with.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import comfy_quant
import gguf
import numpy as np
import pytest
from tolerance import FORMATS_PSNR, FRAMES_PSNR, nmse, psnr

import ltx2
from ltx2.convert import convert, plan

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = list(comfy_quant.QUANTISERS)
FAMILIES = ["fp8_scaled", "fp8_legacy", "int8_convrot", "w4a4", "w4a8", "w6a8", "nvfp4", "mxfp8"]
GROUP = 64  # columns that are rotated together: the tiny model has few
SMALL: ltx2.Options = {"width": 64, "height": 64, "frames": 9, "steps": 2, "stg": -1, "seed": 3}
PICTURE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LTX2_EXACT", "LTX2_PLAIN_OPS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def coded(tiny: dict[str, Path], folder: Path) -> Callable[[str], tuple[Path, Path]]:
    """A format -> two folders with the tiny model: coded, and the same weights in F32.

    As ComfyUI has them, the text encoder is one file.
    """
    source = folder / "source"
    shutil.copytree(tiny["base"].parent, source)
    shards: dict[str, comfy_quant.Tensor] = {}
    for path in (source / "gemma").glob("model*"):
        shards |= comfy_quant.read(path)[0] if path.suffix == ".safetensors" else {}
        path.unlink()
    comfy_quant.write(source / "gemma" / "model.safetensors", shards, {"format": "pt"})

    def make(kind: str) -> tuple[Path, Path]:
        as_is, plain = folder / kind, folder / f"{kind}-plain"
        if as_is.exists():
            return as_is, plain
        shutil.copytree(source, as_is)
        shutil.copytree(source, plain)
        markers = "metadata" if KINDS.index(kind) % 2 else "tensors"
        for path in source.rglob("*.safetensors"):
            name = path.relative_to(source)
            comfy_quant.quantise_file(path, as_is / name, kind, markers, GROUP)
            shapes = {n: t.data.shape for n, t in comfy_quant.read(path)[0].items()}
            comfy_quant.decode_file(as_is / name, plain / name, shapes)
        return as_is, plain

    return make


# ---- numpy's rules, by the examples that define the formats


def test_the_rotation_and_the_order_of_scales() -> None:
    x = np.array([[1, 2, 3, 5], [1, 0, 0, 0]], np.float32)
    assert comfy_quant.rotate(x, 4).tolist() == [[0.5, 2.5, 3.5, 4.5], [0.5, 0.5, 0.5, -0.5]]
    many = np.random.default_rng(1).standard_normal((3, 512), np.float32)
    assert nmse(comfy_quant.rotate(comfy_quant.rotate(many)), many) < 1e-13
    scales = np.arange(160 * 20, dtype=np.int32).reshape(160, 20)
    tiles = comfy_quant.swizzle(scales).reshape(-1)
    assert [tiles[512], tiles[21], tiles[2560]] == [scales[0, 4], scales[33, 1], scales[128, 0]]
    assert np.array_equal(comfy_quant.unswizzle(tiles, 160, 20), scales)


def test_codes_say_what_the_formats_say() -> None:
    floats = comfy_quant.FLOATS["F8_E4M3"]
    assert (floats[126], floats[1], floats[0xB8], floats[105]) == (448, 2**-9, -1, 72)
    assert np.isnan(floats[[127, 255]]).all()
    assert comfy_quant.e8m0(np.array([0, 130], np.uint8)).tolist() == [0, 8]
    parts = {
        "weight": comfy_quant.Tensor("I8", np.zeros((1, 8), np.int8)),
        "weight_s_rel": comfy_quant.Tensor("F8_E4M3", np.array([[105]], np.uint8)),
        "weight_s_channel": comfy_quant.Tensor("F32", np.array([0.5], np.float32)),
        "weight_codebook": comfy_quant.Tensor("F32", comfy_quant.CODEBOOK),
    }
    decoded = comfy_quant.decode(parts, {"format": "asym_w4a8_int8", "convrot_groupsize": 16})
    assert comfy_quant.rotate(decoded, 16).tolist() == [[-35.5] * 16]
    nibbles = comfy_quant.from_nibbles(np.array([[0x3A]], np.uint8), high_first=True)[0]
    assert nibbles.tolist() == [3, 10]  # 1.5, -1


# NMSE of a normally distributed matrix after coding: measured; a tenth more is the limit.
CODING = {
    "fp8": 7e-4, "fp8_rows": 7e-4, "fp8_e5m2": 3e-3, "fp8_scaled": 7e-4, "fp8_legacy": 7e-4,
    "fp8_cast": 7e-4, "int8": 5.6e-5, "int8_scalar": 1e-4, "int8_convrot": 5.6e-5, "w4a4": 0.018,
    "w4a8": 5.6e-3, "w4a8_uniform": 7.5e-3, "w4a8_corrected": 4.5e-3, "w6a8": 5e-4,
    "nvfp4": 9e-3, "mxfp8": 7e-4,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_survives_as_well_as_its_format_allows(kind: str) -> None:
    weight = np.random.default_rng(2).standard_normal((96, 512), np.float32)
    decoded = comfy_quant.decode(*comfy_quant.QUANTISERS[kind](weight, 256))
    error = nmse(decoded, weight)
    print(kind, f"{error:.3g}")
    assert CODING[kind] / 1.5 < error < CODING[kind] * 1.1


# ---- the library


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_decodes_as_numpy_does(
    kind: str, coded: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    """By way of a conversion to F32, every tensor of both files."""
    as_is, plain = coded(kind)
    for part in ("ltx-tiny-base.safetensors", "gemma"):
        have, want = ({
            tensor.name: np.array(tensor.data)
            for tensor in gguf.GGUFReader(convert(side / part, tmp_path / name, "f32")).tensors
        } for name, side in (("have.gguf", as_is), ("want.gguf", plain)))  # fmt: skip
        assert have.keys() == want.keys()
        rotated = kind in comfy_quant.ROTATED
        for name, values in want.items():
            error = nmse(have[name], values)
            assert error <= (1e-13 if rotated else 0), name  # measured 1.7e-14


@pytest.mark.parametrize("kind", FAMILIES)
def test_codes_are_quantised_as_what_they_stand_for(
    kind: str, coded: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    """A plan counts no scales. Rotated values differ in a last bit, which can tip a rounding: of
    w4a4, whose values are few, to an NMSE of 1.2e-4.
    """
    as_is, plain = (folder / "ltx-tiny-base.safetensors" for folder in coded(kind))
    have, want = plan(as_is, "q4_0"), plan(plain, "q4_0")
    marker = {"part": None, "tensors": 1}  # of the older FP8 files, for all modules together
    assert [row for row in have["dropped"] if not marker.items() <= row.items()] == want["dropped"]
    described, decoded = ltx2.describe(as_is), ltx2.describe(plain)
    for part, other in zip(described["parts"], decoded["parts"], strict=True):
        assert part["parameters"] == other["parameters"]
        assert part["geometry"] == other["geometry"]
    quantised, wanted = (
        {t.name: t for t in gguf.GGUFReader(convert(p, tmp_path / p.parent.name, "q4_0")).tensors}
        for p in (as_is, plain)
    )
    assert quantised.keys() == wanted.keys()
    for name, tensor in wanted.items():
        ours = quantised[name]
        assert (ours.tensor_type, ours.shape.tolist()) == (
            tensor.tensor_type,
            tensor.shape.tolist(),
        )
        values = (gguf.quants.dequantize(t.data, t.tensor_type) for t in (ours, tensor))
        assert nmse(*values) <= (5e-4 if kind in comfy_quant.ROTATED else 0), name


def test_what_a_conversion_writes_is_not_called_coded(
    coded: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    as_is, _ = coded(KINDS[1])  # its markers are in the metadata
    file = convert(as_is / "ltx-tiny-base.safetensors", tmp_path / "made.gguf", "q4_0")
    assert comfy_quant.KEYS not in ltx2.describe(file)["metadata"]
    with ltx2.Session([file, as_is / "gemma"], device="CPU", threads=1) as session:
        assert len(session.t2v("a dot", **SMALL).frames) == SMALL["frames"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_equals_that_of_the_decoded_weights(
    kind: str, coded: Callable[[str], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T2V in F32; I2V as users run it, where activations are rounded to meet the codes."""
    as_is, plain = coded(kind)
    rounded = []
    for model in (as_is, plain):
        with ltx2.Session(model, device="CPU", threads=1) as session:
            rounded.append(session.i2v("a dot", PICTURE, crf=0, **SMALL).frames)
    monkeypatch.setenv("LTX2_EXACT", "1")
    exact = []
    for model in (as_is, plain):
        with ltx2.Session(model, device="CPU", threads=1) as session:
            exact.append(session.t2v("a dot", **SMALL).frames)
    print(kind, f"{psnr(*exact):.1f} {psnr(*rounded):.1f} dB")
    assert psnr(*exact) >= FRAMES_PSNR["F32"].limit
    assert psnr(*rounded) >= FORMATS_PSNR[kind].limit


def test_ggml_s_operations_read_what_was_decoded(
    coded: Callable[[str], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: weights are decoded when they are loaded."""
    monkeypatch.setenv("LTX2_PLAIN_OPS", "1")
    frames = []
    for model in coded("nvfp4"):
        with ltx2.Session(model, device="CPU", threads=1) as session:
            frames.append(session.t2v("a dot", **SMALL).frames)
    assert np.array_equal(frames[0], frames[1])


def module_of(path: Path) -> tuple[dict[str, comfy_quant.Tensor], dict[str, str], str]:
    tensors, metadata = comfy_quant.read(path)
    return tensors, metadata, "model.diffusion_model.transformer_blocks.1.ff.net.0.proj."


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("fp8_rows", "weight_scale"), ("int8_convrot", "weight_scale"), ("w4a4", "weight_scale"),
        ("w4a8", "weight_s_rel"), ("w6a8", "weight_s_rel"), ("w4a8", "weight_s_channel"),
        ("w4a8_corrected", "weight_correction"), ("nvfp4", "weight_scale"), ("fp8_cast", "weight"),
        ("mxfp8", "weight_scale"),
    ],
)  # fmt: skip
def test_a_scale_that_is_no_number_is_found_and_its_module_named(
    kind: str, part: str, coded: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    as_is, _ = coded(kind)
    path = tmp_path / "damaged.safetensors"
    tensors, metadata, module = module_of(as_is / "ltx-tiny-base.safetensors")
    stored = tensors[module + part]
    damaged = stored.data.copy()
    damaged.reshape(-1)[3] = np.nan if stored.dtype == "F32" else 255
    comfy_quant.write(
        path, tensors | {module + part: comfy_quant.Tensor(stored.dtype, damaged)}, metadata
    )
    with (
        ltx2.Session([path, as_is / "gemma"], device="CPU", threads=1) as session,
        pytest.raises(ltx2.ModelError, match=rf'"{module}weight" holds a value that is not finite'),
    ):
        session.t2v("a dot", **SMALL)


def test_a_format_that_is_unknown_is_refused_in_one_sentence(
    coded: Callable[[str], tuple[Path, Path]], tmp_path: Path
) -> None:
    as_is, _ = coded("int8")
    path = tmp_path / "unknown.safetensors"
    tensors, metadata, module = module_of(as_is / "ltx-tiny-base.safetensors")
    marker = np.frombuffer(json.dumps({"format": "int5"}).encode(), np.uint8)
    comfy_quant.write(
        path, tensors | {module + "comfy_quant": comfy_quant.Tensor("U8", marker)}, metadata
    )
    with pytest.raises(ltx2.ModelError) as error:
        ltx2.Session([path, as_is / "gemma"], device="CPU")
    assert str(error.value) == f'{path}: module "{module[:-1]}": format "int5" is unknown'
