"""Arrays, and words about them, in one file: what a prompt's features and a job are kept in.

The format is that of safetensors, with the words as JSON in its metadata and a last array, of four
bytes, that is the CRC-32 of all before it. Reading runs nothing that a file holds, and takes memory
in proportion to the file.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import writer
from .codecs import encoding
from .errors import InvalidArgumentError
from .text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader

    from numpy.typing import NDArray

_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}
_CHECK = "crc32"
_LONGEST_HEADER = 1 << 24
_MOST_ARRAYS = 1 << 13


class DamagedError(InvalidArgumentError):
    """A file was read, and is not as it was written: it never will be again."""


def write(
    path: str | os.PathLike[str], kind: str, about: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Write `arrays`, of float32 or uint8, and `about`, which is anything that JSON has."""
    words = json.dumps(dict(about), default=plain)
    header: dict[str, Any] = {"__metadata__": {"ltx2": kind, "about": words}}
    begin = 0
    for name, array in [*arrays.items(), (_CHECK, np.empty(4, np.uint8))]:
        end = begin + array.nbytes
        dtype = next(name for name, kind in _TYPES.items() if kind == array.dtype)
        header[name] = {
            "dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end],
        }  # fmt: skip
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    parts: list[bytes | memoryview] = [len(text).to_bytes(8, "little") + text]
    parts += [np.ascontiguousarray(array).data for array in arrays.values()]
    check = 0
    with encoding(path), writer.new_file(path) as new, new.open("wb") as file:
        for part in parts:
            file.write(part)
            check = zlib.crc32(part, check)
        file.write(check.to_bytes(4, "little"))


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `write` was given. Raises InvalidArgumentError, naming the file, and of that
    DamagedError where another attempt would be in vain."""
    try:
        with Path(path).open("rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise OSError("it is not a file")
            return _read(file, about.st_size, kind)
    except MemoryError:
        raise
    except OSError as error:
        words = error.strerror or str(error)
        raise InvalidArgumentError(f"{os.fspath(path)}: cannot be read: {words}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{os.fspath(path)}: is no {kind} file: {error}") from None


def _read(
    file: BufferedReader, size: int, kind: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
        raise ValueError("its header is cut off or damaged")
    text = file.read(length)
    header, check = _json_object(text), zlib.crc32(first + text)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("ltx2") != kind:
        raise ValueError("it was not written as one")
    about = _json_object(metadata["about"])
    if len(header) > _MOST_ARRAYS or list(header)[-1:] != [_CHECK]:
        raise ValueError("it has too many arrays, or no checksum")
    arrays, left = {}, size - 8 - length
    begin = 0
    for name, entry in header.items():
        dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
        whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        if not whole or len(shape) > 8:
            raise ValueError(f"{name} has no shape")
        count = math.prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [begin, begin + count] or count > left:
            raise ValueError(f"{name} is cut off or out of place")
        data = file.read(count)
        if name == _CHECK and data != check.to_bytes(4, "little"):
            raise ValueError("it is damaged: its checksum does not fit")
        check = zlib.crc32(data, check)
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
        begin, left = begin + count, left - count
    if left:
        raise ValueError("it has bytes that belong to nothing")
    del arrays[_CHECK]
    return about, arrays


def _json_object(text: bytes | str) -> dict[str, Any]:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    value = json.loads(text, parse_constant=refuse)
    if not isinstance(value, dict):
        raise ValueError("its header is damaged")
    return value
