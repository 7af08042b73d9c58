"""Reads safetensors files: a checked table of tensors, and their values piece by piece as F32.

Values are read with plain file reads, not through a mapping: memory stays at the size of a piece on
every system, and a file cut short while it is read is an error instead of a crash.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from .errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Values: TypeAlias = "NDArray[np.float32]"

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_BYTES |= {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
_FLOATS = ("F64", "F32", "F16", "BF16")
_MAX_HEADER = 100 << 20  # the format's own bound


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file."""

    name: str
    dtype: str
    """As the format writes it: "BF16", "F16", "F32", "F64" can be read."""
    shape: tuple[int, ...]
    """Outermost first."""
    offset: int
    """Of the first byte, from the start of the file."""

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.size * _BYTES[self.dtype]


class SafetensorsFile:
    """A file's metadata and tensors; the header is read and checked when it is opened.

    Raises ModelError where the file is missing, cut short, or not a safetensors file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.metadata: dict[str, str] = {}
        self.tensors: dict[str, Tensor] = {}
        try:
            with self.path.open("rb") as file:
                self._read_header(file)
        except OSError as error:
            raise ModelError(f"{self.path}: {_reason(error)}") from None

    def pieces(self, tensor: Tensor, elements: int) -> Iterator[Values]:
        """The values in order, flat, `elements` at a time (the last piece may be shorter).

        Raises ModelError where the file ends early, or a value is infinite or not a number.
        """
        if tensor.dtype not in _FLOATS:
            known = ", ".join(_FLOATS)
            raise self._error(f"{tensor.name} is {tensor.dtype}; only {known} are read")
        with self.path.open("rb") as file:
            file.seek(tensor.offset)
            left = tensor.size
            while left:
                count = min(left, elements)
                data = file.read(count * _BYTES[tensor.dtype])
                if len(data) != count * _BYTES[tensor.dtype]:
                    raise self._error(f"{tensor.name} is cut short at byte {file.tell()}")
                values = _to_float32(data, tensor.dtype)
                if not np.isfinite(values).all():
                    raise self._error(f"{tensor.name} holds a value that is not finite")
                yield values
                left -= count

    def _read_header(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise self._error(f"not a safetensors file, or cut short ({size} bytes)")
        try:
            header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise self._error(f"not a safetensors file: its header is not JSON ({error})") from None
        if not isinstance(header, dict):
            raise self._error("not a safetensors file: its header is not an object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise self._error("__metadata__ is not a table of strings")
        self.metadata = metadata
        ranges = [self._add(name, entry, 8 + length) for name, entry in header.items()]
        self._check_ranges(sorted(ranges), 8 + length, size)

    def _add(self, name: str, entry: Any, data: int) -> tuple[int, int, str]:
        """Takes one entry of the header; returns its first byte, its end and its name."""
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        except (TypeError, KeyError, ValueError):
            raise self._error(f"{name}: its entry in the header is malformed") from None
        if not whole or len(shape) > 8 or dtype not in _BYTES:
            raise self._error(f"{name}: dtype {dtype} with shape {shape} is not known")
        tensor = Tensor(name, dtype, tuple(shape), data + begin)
        if end - begin != tensor.nbytes:
            raise self._error(f"{name}: {end - begin} bytes, its shape needs {tensor.nbytes}")
        self.tensors[name] = tensor
        return data + begin, data + end, name

    def _check_ranges(self, ranges: list[tuple[int, int, str]], data: int, size: int) -> None:
        """The format wants the tensors one after another, without holes, up to the file's end."""
        at = data
        for begin, end, name in ranges:
            if begin != at:
                raise self._error(f"{name} starts at byte {begin}, not at {at}")
            at = end
        if at > size:
            raise self._error(f"cut short: {size} bytes, its tensors need {at}")
        if at < size:
            raise self._error(f"{size - at} bytes follow the last tensor")

    def _error(self, problem: str) -> ModelError:
        return ModelError(f"{self.path}: {problem}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key occurs twice")
    return table


def _to_float32(data: bytes, dtype: str) -> Values:
    if dtype == "BF16":  # the upper half of an F32; numpy has no such type
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    kind = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]
    with np.errstate(over="ignore"):  # becomes infinite, which the caller refuses
        return np.frombuffer(data, kind).astype(np.float32)


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (error.strerror or str(error)).lower()
