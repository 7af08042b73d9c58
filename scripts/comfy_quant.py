#!/usr/bin/env python3
"""Weights in ComfyUI's formats: quantise a plain .safetensors, or decode one, in numpy.

    scripts/comfy_quant.py int8_convrot ltx-tiny-base.safetensors ltx-tiny-base-int8.safetensors
    scripts/comfy_quant.py decode ltx-tiny-base-int8.safetensors plain.safetensors

docs/comfyui.md describes the formats. Which matrices are coded follows what published files do: the
linear layers of the blocks; what is small, and every token passes through, stays as it was.
`decode` is the reference that the tests compare the library with: float32, outermost first.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]

KEYS = "_quantization_metadata"
CODEBOOK = np.array(
    [
        -0.980602, -0.794529, -0.638165, -0.500986, -0.377321, -0.263187, -0.155210, -0.050720,
        0.052541, 0.156985, 0.265284, 0.379533, 0.502636, 0.638953, 0.794876, 0.980671,
    ],
    np.float32,
)  # fmt: skip
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


class Tensor(NamedTuple):
    """As the file has it; of types that numpy lacks the bits, in the integers of their size."""

    dtype: str
    data: Array


# ---- the file

_STORED = {
    "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "i1", "U8": "u1", "I32": "<i4", "I64": "<i8",
    "F8_E4M3": "u1", "F8_E5M2": "u1", "F8_E8M0": "u1",
}  # fmt: skip


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor, mapped, and the metadata."""
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint8, "r", 8 + size)
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[first:last], _STORED[entry["dtype"]])
        tensors[name] = Tensor(entry["dtype"], values.reshape(entry["shape"]))
    return tensors, metadata


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Path:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.data.nbytes
        shape = list(tensor.data.shape)
        header[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor.data).tobytes())
    return path


def values(tensor: Tensor) -> Array:
    """Of a plain tensor, as float32."""
    if tensor.dtype == "BF16":
        return (tensor.data.astype("<u4") << 16).view("<f4")
    return tensor.data.astype(np.float32)


# ---- numbers of 8 bits


def _small_floats(exponent: int, mantissa: int) -> Array:
    """What each of the codes without a sign stands for."""
    codes = np.arange(1 << (exponent + mantissa))
    high, low = codes >> mantissa, codes & ((1 << mantissa) - 1)
    fraction = (high > 0) + low / (1 << mantissa)
    sizes = fraction * 2.0 ** (np.maximum(high, 1) - (1 << (exponent - 1)) + 1)
    out: Array = sizes.astype(np.float32)
    return out


def _with_sign(sizes: Array) -> Array:
    return np.concatenate([sizes, -sizes])


_e4m3, _e5m2 = _small_floats(4, 3), _small_floats(5, 2)
_e4m3[127], _e5m2[124:] = np.nan, (np.inf, np.nan, np.nan, np.nan)
FLOATS = {"F8_E4M3": _with_sign(_e4m3), "F8_E5M2": _with_sign(_e5m2)}
_LARGEST = {"F8_E4M3": 126, "F8_E5M2": 123}  # codes of the largest finite number


def _nearest(x: Array, sizes: Array) -> Array:
    """The codes of the magnitudes next to |x|; of two that are as near, the even one."""
    x = np.abs(x)
    at = np.clip(np.searchsorted(sizes, x), 1, len(sizes) - 1)
    middle = (sizes[at - 1] + sizes[at]) / 2
    up = (x > middle) | ((x == middle) & (at % 2 == 0))
    return np.where(up, at, at - 1)


def to_fp8(x: Array, dtype: str = "F8_E4M3") -> Array:
    x = x.astype(np.float32)
    codes = _nearest(x, FLOATS[dtype][: _LARGEST[dtype] + 1])
    return (codes | np.where(np.signbit(x), 128, 0)).astype(np.uint8)


def e8m0(bits: Array) -> Array:
    """Powers of two; zero stands for zero."""
    powers = np.ldexp(np.float32(1), bits.astype(np.int32) - 127).astype(np.float32)
    out: Array = np.where(
        bits == 0, np.float32(0), np.where(bits == 255, np.float32(np.nan), powers)
    )
    return out


# ---- rotation and packing


def rotate(x: Array, group: int = 256) -> Array:
    """Each group of columns times the regular Hadamard matrix, which is its own inverse."""
    out = x.astype(np.float32).reshape(-1, group)
    stride = 1
    while stride < group:
        four = out.reshape(-1, 4, stride)
        out = four.sum(axis=1, keepdims=True) * np.float32(0.5) - four[:, ::-1]
        stride *= 4
    return out.reshape(x.shape)


def nibbles(codes: Array, high_first: bool = False) -> Array:
    first, second = codes[:, 0::2].astype(np.uint8) & 15, codes[:, 1::2].astype(np.uint8) & 15
    return first << 4 | second if high_first else first | second << 4


def from_nibbles(packed: Array, high_first: bool = False) -> Array:
    data = packed.view(np.uint8)
    halves = (data >> 4, data & 15) if high_first else (data & 15, data >> 4)
    return np.stack(halves, axis=-1).reshape(len(data), -1)


def _places(rows: int, columns: int) -> Array:
    """Where each scale lies in tiles of 128 rows and 4 columns, as cuBLAS reads them."""
    i, j = np.arange(rows)[:, None], np.arange(columns)[None, :]
    tile = i // 128 * (-(-columns // 4)) + j // 4
    return tile * 512 + i % 32 * 16 + i % 128 // 32 * 4 + j % 4


def swizzle(scales: Array) -> Array:
    rows, columns = scales.shape
    out = np.zeros((-(-rows // 128) * 128, -(-columns // 4) * 4), scales.dtype)
    out.reshape(-1)[_places(rows, columns)] = scales
    return out


def unswizzle(scales: Array, rows: int, columns: int) -> Array:
    return scales.reshape(-1)[_places(rows, columns)]


def _padded(w: Array, multiple: int) -> Array:
    rows, columns = w.shape
    return np.pad(w, ((0, -rows % multiple), (0, -columns % multiple)))


def _by_row(w: Array, most: int, floor: float = 1e-30) -> tuple[Array, Array]:
    scale = np.maximum(np.abs(w).max(axis=1, keepdims=True) / np.float32(most), np.float32(floor))
    return np.clip(np.rint(w / scale), -most, most).astype(np.int8), scale.astype(np.float32)


# ---- quantisers: a matrix -> its parts by the end of their names, and the marker

Coded = tuple[dict[str, Tensor], "dict[str, Any] | None"]


def _f32(x: Any) -> Tensor:
    return Tensor("F32", np.asarray(x, np.float32))


def fp8(w: Array, dtype: str = "F8_E4M3", by_row: bool = False) -> tuple[Tensor, Tensor]:
    most = FLOATS[dtype][_LARGEST[dtype]]
    largest = np.abs(w).max(axis=1, keepdims=True) if by_row else np.abs(w).max()
    scale = np.maximum(largest / most, np.float32(1e-12)).astype(np.float32)
    return Tensor(dtype, to_fp8(w / scale, dtype)), _f32(scale)


def fp8_marked(w: Array, dtype: str, by_row: bool = False) -> Coded:
    weight, scale = fp8(w, dtype, by_row)
    name = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}[dtype]
    parts = {"weight": weight, "weight_scale": scale, "input_scale": _f32(1)}
    return parts, {"format": name, "full_precision_matrix_mult": True}


def int8(w: Array, rotated: int = 0, by_row: bool = True) -> Coded:
    marker: dict[str, Any] = {"format": "int8_tensorwise"}
    if rotated:
        w = rotate(w, rotated)
        marker |= {"convrot": True, "convrot_groupsize": rotated}
    codes, scale = _by_row(w if by_row else w.reshape(1, -1), 127)
    scale = scale if by_row else scale.reshape(())
    return {"weight": Tensor("I8", codes.reshape(w.shape)), "weight_scale": _f32(scale)}, marker


def w4a4(w: Array, rotated: int) -> Coded:
    codes, scale = _by_row(rotate(w, rotated), 7, 1e-10 / 7)
    parts = {
        "weight": Tensor("I8", nibbles(codes).view(np.int8)),
        "weight_scale": _f32(scale[:, 0]),
    }
    marker = {"format": "convrot_w4a4", "convrot_groupsize": rotated, "quant_group_size": 64}
    return parts, marker


def _nearest_level(x: Array, levels: Array) -> Array:
    """Indices into sorted levels [groups, levels] of x [groups, values]."""
    out: Array = np.abs(x[:, :, None] - levels[:, None, :]).argmin(axis=2).astype(np.uint8)
    return out


def w4a8(w: Array, rotated: int, kind: str = "codebook", group: int = 16) -> Coded:
    """`kind`: codebook, uniform, six (6 bits) or corrected (with a minimum for each group)."""
    rows, columns = w.shape
    x = rotate(w, rotated).reshape(-1, group)
    correction = None
    levels = {
        "codebook": CODEBOOK, "six": np.arange(-31, 32, dtype=np.float32),
    }.get(kind, np.arange(-8, 8, dtype=np.float32))  # fmt: skip
    if kind == "corrected":
        low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
        scale = np.maximum((high - low) / 15, np.float32(1e-8))
        correction = 8 * scale + low
        x = x - correction
    else:
        most = {"codebook": 1, "six": 31}.get(kind, 7)
        scale = np.maximum(
            np.abs(x).max(axis=1, keepdims=True) / np.float32(most), np.float32(1e-8)
        )
    reach = (scale * np.abs(levels).max()).reshape(rows, -1).max(axis=1)
    channel = np.maximum(reach / 127, np.float32(1e-8)).astype(np.float32)
    relative = to_fp8(scale.reshape(rows, -1) / channel[:, None])
    steps = FLOATS["F8_E4M3"][relative].reshape(-1, 1)
    grid = np.clip(np.rint(levels * steps), -127, 127)
    target = x / np.repeat(channel, columns // group)[:, None]
    codes = _nearest_level(target, grid).reshape(rows, columns)
    parts = {"weight_s_rel": Tensor("F8_E4M3", relative), "weight_s_channel": _f32(channel)}
    packed = nibbles(codes)
    if kind == "six":
        codes = codes + 1
        high = codes.reshape(rows, -1, 4) >> 4 & 3
        packed = np.hstack([nibbles(codes), (high << np.array([0, 2, 4, 6])).sum(axis=2)])
    if kind == "codebook":
        parts["weight_codebook"] = _f32(CODEBOOK)
    if correction is not None:
        parts["weight_correction"] = _f32(correction.reshape(rows, -1).T)
    parts["weight"] = Tensor("I8", packed.astype(np.uint8).view(np.int8))
    marker = {"format": "asym_w4a8_int8", "group_size": group, "convrot_groupsize": rotated}
    return parts, marker


def nvfp4(w: Array) -> Coded:
    whole = np.float32(np.abs(w).max() / (6 * 448))
    x = _padded(w, 16)
    rows, columns = x.shape
    blocks = x.reshape(rows, -1, 16)
    scale = to_fp8(np.minimum(np.abs(blocks).max(axis=2) / 6 / whole, 448))
    step = whole * FLOATS["F8_E4M3"][scale]
    scaled = blocks / np.where(step == 0, 1, step)[:, :, None]
    codes = _nearest(scaled, E2M1) | np.where(np.signbit(scaled), 8, 0)
    parts = {
        "weight": Tensor("U8", nibbles(codes.reshape(rows, columns), high_first=True)),
        "weight_scale": Tensor("F8_E4M3", swizzle(scale)),
        "weight_scale_2": _f32(whole),
    }
    return parts, {"format": "nvfp4"}


def mxfp8(w: Array) -> Coded:
    x = _padded(w, 32)
    rows, columns = x.shape
    blocks = x.reshape(rows, -1, 32)
    largest = np.abs(blocks).max(axis=2)
    exponent = np.ceil(np.log2(np.maximum(largest / np.float32(448), np.float32(2.0**-127))))
    bits = np.where(largest == 0, 0, np.clip(exponent + 127, 0, 254)).astype(np.uint8)
    power = np.where(bits == 0, np.float32(1), e8m0(bits))
    codes = to_fp8(np.clip(blocks / power[:, :, None], -448, 448)).reshape(rows, columns)
    parts = {"weight": Tensor("F8_E4M3", codes), "weight_scale": Tensor("U8", swizzle(bits))}
    return parts, {"format": "mxfp8"}


# A matrix, and how many columns are rotated together.
QUANTISERS: dict[str, Callable[[Array, int], Coded]] = {
    "fp8": lambda w, _: fp8_marked(w, "F8_E4M3"),
    "fp8_rows": lambda w, _: fp8_marked(w, "F8_E4M3", by_row=True),
    "fp8_e5m2": lambda w, _: fp8_marked(w, "F8_E5M2"),
    # Without markers: a scale beside the weight, the older name of it, and none.
    "fp8_scaled": lambda w, _: (dict(zip(("weight", "weight_scale"), fp8(w), strict=True)), None),
    "fp8_legacy": lambda w, _: (dict(zip(("weight", "scale_weight"), fp8(w), strict=True)), None),
    "fp8_cast": lambda w, _: ({"weight": Tensor("F8_E4M3", to_fp8(w))}, None),
    "int8": lambda w, _: int8(w),
    "int8_scalar": lambda w, _: int8(w, by_row=False),
    "int8_convrot": int8,
    "w4a4": w4a4,
    "w4a8": w4a8,
    "w4a8_uniform": lambda w, rotated: w4a8(w, rotated, "uniform"),
    "w4a8_corrected": lambda w, rotated: w4a8(w, rotated, "corrected"),
    "w6a8": lambda w, rotated: w4a8(w, rotated, "six"),
    "nvfp4": lambda w, _: nvfp4(w),
    "mxfp8": lambda w, _: mxfp8(w),
}
ROTATED = {"int8_convrot", "w4a4", "w4a8", "w4a8_uniform", "w4a8_corrected", "w6a8"}


# ---- a decoder: a module's parts and its marker -> float32


def decode(parts: Mapping[str, Tensor], marker: Mapping[str, Any] | None) -> Array:
    """The matrix as it was before it was coded; NVFP4 and MXFP8 with their padding."""
    weight = parts["weight"]
    kind = marker["format"] if marker else "float8"
    x: Array
    if kind.startswith("float8"):
        scale = parts.get("weight_scale", parts.get("scale_weight", _f32(1)))
        return FLOATS[weight.dtype][weight.data] * scale.data.reshape(-1, 1)
    assert marker is not None
    if kind == "nvfp4":
        size = FLOATS["F8_E4M3"][_scales_of_blocks(parts, 2 * weight.data.shape[1] // 16)]
        codes = from_nibbles(weight.data, high_first=True)
        x = _with_sign(E2M1)[codes] * np.repeat(size, 16, axis=1)
        x *= parts["weight_scale_2"].data
        return x
    if kind == "mxfp8":
        powers = e8m0(_scales_of_blocks(parts, weight.data.shape[1] // 32))
        x = FLOATS["F8_E4M3"][weight.data] * np.repeat(powers, 32, axis=1)
        return x
    if kind == "int8_tensorwise":
        x = weight.data.astype(np.float32) * parts["weight_scale"].data.reshape(-1, 1)
        return rotate(x, marker.get("convrot_groupsize", 256)) if marker.get("convrot") else x
    if kind == "convrot_w4a4":
        signed = (from_nibbles(weight.data) ^ 8).astype(np.int8) - 8
        x = signed.astype(np.float32) * parts["weight_scale"].data.reshape(-1, 1)
    else:
        x = _w4a8_values(parts, marker.get("group_size", 16))
    return rotate(x, marker.get("convrot_groupsize", 256))


def _scales_of_blocks(parts: Mapping[str, Tensor], blocks: int) -> Array:
    return unswizzle(parts["weight_scale"].data, len(parts["weight"].data), blocks)


def _w4a8_values(parts: Mapping[str, Tensor], group: int) -> Array:
    packed, relative = parts["weight"].data, parts["weight_s_rel"]
    columns = relative.data.shape[1] * group
    codes = from_nibbles(packed[:, : columns // 2])
    six = packed.shape[1] > columns // 2
    if six:
        high = packed[:, columns // 2 :].view(np.uint8)
        codes = codes | (high[:, :, None] >> np.array([0, 2, 4, 6]) & 3).reshape(codes.shape) << 4
    if "weight_codebook" in parts:
        levels = parts["weight_codebook"].data[codes]
    else:
        levels = codes.astype(np.float32) - (32 if six else 8)
    steps = relative.data if relative.dtype == "F32" else FLOATS["F8_E4M3"][relative.data]
    whole = np.clip(np.rint(levels * np.repeat(steps, group, axis=1)), -127, 127)
    x = whole.astype(np.float32) * parts["weight_s_channel"].data[:, None]
    if "weight_correction" in parts:
        x = x + np.repeat(parts["weight_correction"].data.T, group, axis=1)
    out: Array = x
    return out


# ---- files

# The linear layers that published files code: of the blocks, the connector and the projection, and
# all of Gemma's, its embedding where the format allows it.
_CODED = re.compile(
    r"(transformer(_1d)?_blocks\.\d+\.(attn[12]\.to_(q|k|v|out\.0)|ff\.net\.(0\.proj|2))"
    r"|video_aggregate_embed|layers\.\d+\.(self_attn|mlp)\.\w+_proj|embed_tokens)\.weight$"
)


def is_coded(name: str, shape: tuple[int, ...], kind: str, rotated: int = 256) -> bool:
    if len(shape) != 2 or not _CODED.search(name):
        return False
    if "embed_tokens" in name and not kind.startswith(("int8", "fp8")):
        return False
    # Where the width of the text is not a whole number of blocks, no reader could tell it.
    if "aggregate" in name and shape[1] % 32 and kind in ("nvfp4", "mxfp8"):
        return False
    return kind not in ROTATED or shape[1] % rotated == 0


def _unprefixed(name: str) -> str:
    return name.removeprefix("model.diffusion_model.")


def quantise_file(
    source: Path, target: Path, kind: str, markers: str = "tensors", rotated: int = 256
) -> Path:
    """`markers`: in `tensors` of their own, or in the file's `metadata`."""
    tensors, metadata = read(source)
    out: dict[str, Tensor] = {}
    layers: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if not is_coded(name, tensor.data.shape, kind, rotated):
            out[name] = tensor
            continue
        module = name.removesuffix("weight")
        parts, marker = QUANTISERS[kind](values(tensor), rotated)
        out |= {module + part: coded for part, coded in parts.items()}
        if marker and markers == "tensors":
            text = json.dumps(marker).encode()
            out[module + "comfy_quant"] = Tensor("U8", np.frombuffer(text, np.uint8))
        elif marker:
            layers[_unprefixed(module[:-1])] = marker
    if kind == "fp8_legacy":
        out["scaled_fp8"] = Tensor("F8_E4M3", np.zeros(2, np.uint8))
    if layers:
        metadata = {**metadata, KEYS: json.dumps({"layers": layers})}
    return write(target, out, metadata)


def modules(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Tensor], dict[str, Any] | None]]:
    """Each coded module: its name, its parts, its marker."""
    layers = json.loads(metadata.get(KEYS, '{"layers": {}}'))["layers"]
    for name, tensor in tensors.items():
        if not name.endswith(".weight"):
            continue
        module = name.removesuffix("weight")
        parts = {
            other.removeprefix(module): tensors[other]
            for part in (
                "weight", "weight_scale", "weight_scale_2", "scale_weight", "weight_s_rel",
                "weight_s_channel", "weight_codebook", "weight_correction", "input_scale",
                "comfy_quant",
            )
            if (other := module + part) in tensors
        }  # fmt: skip
        stated = parts.get("comfy_quant")
        marker = json.loads(stated.data.tobytes()) if stated else layers.get(_unprefixed(name[:-7]))
        if marker or tensor.dtype.startswith("F8_"):
            yield module, parts, marker


def decode_file(source: Path, target: Path, shapes: Mapping[str, tuple[int, ...]] = {}) -> Path:
    """The same weights, plain, in F32; `shapes` are those of weights that may be padded."""
    tensors, metadata = read(source)
    out = {name: tensor for name, tensor in tensors.items() if name != "scaled_fp8"}
    for module, parts, marker in modules(tensors, metadata):
        for part in parts:
            del out[module + part]
        decoded = decode(parts, marker)
        rows, columns = shapes.get(module + "weight", decoded.shape)
        out[module + "weight"] = _f32(decoded[:rows, :columns])
    plain = {key: text for key, text in metadata.items() if key != KEYS}
    return write(target, out, plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("format", choices=[*QUANTISERS, "decode"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--markers", choices=("tensors", "metadata"), default="tensors")
    parser.add_argument("--rotated", type=int, default=256, help="columns that ConvRot rotates")
    args = parser.parse_args()
    if args.format == "decode":
        print(decode_file(args.source, args.target))
    else:
        print(quantise_file(args.source, args.target, args.format, args.markers, args.rotated))


if __name__ == "__main__":
    main()
