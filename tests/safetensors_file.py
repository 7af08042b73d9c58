"""Reads safetensors files as F32, and writes them for tests, BF16 and damaged values included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Stored: TypeAlias = "tuple[str, NDArray[Any]]"  # dtype as the format names it, values
_NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1",
    "BOOL": "u1", "F8_E4M3": "u1",
}  # fmt: skip


def bf16(values: NDArray[Any]) -> bytes:
    """The upper halves of the values as F32; they must be exact."""
    bits = values.astype("<f4").view("<u4")
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype("<u2").tobytes()


def write_safetensors(
    path: Path, tensors: Mapping[str, Stored], metadata: Mapping[str, str] | None = None
) -> Path:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    data = bytearray()
    for name, (dtype, values) in tensors.items():
        begin = len(data)
        data += bf16(values) if dtype == "BF16" else values.astype(_NUMPY[dtype]).tobytes()
        offsets = [begin, len(data)]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def read_safetensors(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """Every tensor of a file with its values in F32, and the metadata."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = (begin + offset for offset in entry["data_offsets"])
        part = data[first:last]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(part, _NUMPY[entry["dtype"]]).astype("<f4")
        tensors[name] = (entry["dtype"], values.reshape(entry["shape"]))
    return tensors, metadata
