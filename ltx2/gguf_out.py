"""Writes a GGUF file whose tensors come piece by piece; memory holds one piece at a time."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

from .errors import InvalidArgumentError, ModelError
from .video import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from .safetensors import SafetensorsFile, Tensor, Values

Type = gguf.GGMLQuantizationType
Key = gguf.GGUFValueType

TYPES = {"f32": Type.F32, "f16": Type.F16, "q8_0": Type.Q8_0, "q5_1": Type.Q5_1, "q4_0": Type.Q4_0}
FILE_TYPES = {Type.F32: 0, Type.F16: 1, Type.Q4_0: 2, Type.Q8_0: 7, Type.Q5_1: 9}  # llama.cpp's
BLOCK = 32  # elements a block of every quantised type above
_PIECE = 1 << 18  # elements; a multiple of BLOCK, and its working copies fit a processor's cache
_TELL = 1 << 24  # bytes of the source between two calls of progress
_ALIGNMENT = 32
_F16_MAX = 65504.0


@dataclass(frozen=True)
class Item:
    """One tensor to be: where its values come from, its name and type in the new file."""

    source: SafetensorsFile
    tensor: Tensor
    name: str
    type: Type
    add: float = 0.0
    """Added to every value: 1 for Gemma's norms, as llama.cpp stores them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """At most four, outermost first; a 3-D convolution's [O, I, ...] becomes [O * I, ...]."""
        shape = self.tensor.shape or (1,)
        return (shape[0] * shape[1], *shape[2:]) if len(shape) == 5 else shape

    @property
    def nbytes(self) -> int:
        """In the new file."""
        block, size = gguf.GGML_QUANT_SIZES[self.type]
        return math.prod(self.shape) // block * size

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the new file, in order."""
        for values in self.source.pieces(self.tensor, _PIECE):
            yield self._encode(values + np.float32(self.add) if self.add else values)

    def _encode(self, values: Values) -> bytes:
        # Every type but F32 has F16 numbers in it, so this is the limit of them all.
        if self.type != Type.F32 and max(values.max(), -values.min()) > _F16_MAX:
            raise ModelError(
                f"{self.source.path}: {self.tensor.name} holds values over {_F16_MAX:g}, "
                f"too large for {self.type.name}; convert to f32"
            )
        # As one row: the package would go through many short rows one by one.
        return bytes(gguf.quants.quantize(values.reshape(1, -1), self.type).tobytes())


@dataclass
class Plan:
    """What the new file will hold."""

    architecture: str
    keys: list[tuple[str, Any, Key]] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def add_key(self, name: str, value: Any, kind: Key) -> None:
        """Adds one entry to the metadata."""
        self.keys.append((name, value, kind))


def write(plan: Plan, target: Path, progress: Callable[[Progress], object] | None) -> None:
    """Writes the file under a temporary name beside `target`, and renames it when it is whole.

    `progress` gets stage "convert" with the bytes read from the source, every 16 MiB; what it
    raises stops the work. Whatever happens, `target` is either as it was or complete.

    Raises InvalidArgumentError where the folder is missing, OSError where the system refuses.
    """
    if not target.parent.is_dir():
        raise InvalidArgumentError(f"{target}: there is no folder {target.parent}")
    if target.is_dir():
        raise InvalidArgumentError(f"{target}: is a folder; name a file")
    if any(_same(item.source.path, target) for item in plan.items):
        raise InvalidArgumentError(f"{target}: is the source itself; name another file")
    _check_space(plan, target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _write_head(plan, temporary)
        with temporary.open("ab") as file:
            _pad(file)
            _write_tensors(plan, file, progress)
            file.flush()
            os.fsync(file.fileno())  # a full disk may show itself only here
        temporary.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _write_head(plan: Plan, path: Path) -> None:
    writer = gguf.GGUFWriter(path, plan.architecture)
    for name, value, kind in plan.keys:
        writer.add_key_value(name, value, kind)
    for item in plan.items:
        writer.add_tensor_info(
            item.name, item.shape, np.dtype(np.float32), item.nbytes, raw_dtype=item.type
        )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()


def _write_tensors(
    plan: Plan, file: BinaryIO, progress: Callable[[Progress], object] | None
) -> None:
    done, told, total = 0, 0, sum(item.tensor.nbytes for item in plan.items)
    for item in plan.items:
        written = 0
        for data in item.pieces():
            file.write(data)
            written += len(data)
            read = done + item.tensor.nbytes * written // item.nbytes
            if progress and (read - told >= _TELL or read == total):
                progress(Progress("convert", read, total))
                told = read
        done += item.tensor.nbytes
        _pad(file)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))


def _check_space(plan: Plan, target: Path) -> None:
    need = sum(item.nbytes for item in plan.items)
    free = shutil.disk_usage(target.parent).free
    if need > free:
        words = f"needs {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        raise OSError(errno.ENOSPC, words, str(target))


def _same(a: Path, b: Path) -> bool:
    return b.exists() and a.samefile(b)
