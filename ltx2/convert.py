"""Converts an official checkpoint, or a Gemma 3 folder, into one GGUF file, quantised.

What the file holds is the library's to say, and the library quantises; this writes it.
docs/gguf.md states the layout. Nothing that generates imports this file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import gguf
import numpy as np

from . import _native, writer
from ._calls import Call
from ._native import check, ffi, lib
from .codecs import one_line
from .errors import CancelledError, InvalidArgumentError, ModelError
from .video import Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

_PIECE = 1 << 22  # values read at once: some 16 MB of memory, and work for many cores
_ALIGNMENT = 32
_NAMES = ("utf-8", "surrogateescape")  # a path is bytes, and not always letters


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    type: str = "q8_0",  # noqa: A002 - the option's name in the command line
    *,
    variant: str | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Path:
    """Convert a model for use by `Session`; returns the path of the new file.

    source: the official single file, any other file of LTX-2.3 or Gemma 3 that `Session` reads, or
        a folder with Gemma 3 as Hugging Face publishes it: config.json, one or several
        .safetensors, tokenizer.json or tokenizer.model.
    target: the GGUF file; it appears, or is replaced, only when it is complete.
    type: "f32", "f16", "q8_0", "q5_1" or "q4_0": how large matrices are stored. Audio and vision
        tensors are left out.
    variant: "distilled" or "dev": which sampling defaults the new file states, where the source
        states none. By default "distilled" where the source's name says so, else nothing.
    progress: gets stage "convert", `done` of `total` bytes of the source; what it raises stops the
        work.

    Memory stays far below 1 GB whatever the size of the source; it takes all cores.

    Raises InvalidArgumentError for a bad argument, ModelError for a source that is missing,
    damaged or another model, and OSError where the system refuses, as when the disk is full.
    """
    target = Path(target)
    with Call() as call, _opened(source, type.lower(), variant) as conversion:
        plan: _Plan = json.loads(ffi.string(conversion.plan).decode(*_NAMES))
        _check_target(plan, target)
        with writer.new_file(target) as temporary:
            try:
                _write_head(plan, temporary)
            except (OSError, MemoryError):
                raise
            except Exception as error:
                words = f"{source}: GGUF cannot hold its metadata: {one_line(error)}"
                raise ModelError(words) from error
            with temporary.open("ab") as file:
                _pad(file)
                _write_values(conversion, plan, file, progress, call)
    return target


class _Tensor(TypedDict):
    name: str
    type: str
    shape: list[int]
    bytes: int
    source_bytes: int


class _Plan(TypedDict):
    """What ltx2_conversion.plan holds."""

    architecture: str
    metadata: dict[str, Any]
    tensors: list[_Tensor]
    files: list[str]


@contextlib.contextmanager
def _opened(source: str | os.PathLike[str], kind: str, variant: str | None) -> Iterator[Any]:
    params = ffi.new("ltx2_conversion_params *", {"size": ffi.sizeof("ltx2_conversion_params")})
    path = _native.c_path("source", source)
    files = ffi.new("char *[]", [path])
    texts = [_native.c_text("type", kind), _native.c_text("variant", variant or "")]
    params.files, params.file_count = files, 1
    params.type, params.variant = texts
    out = ffi.new("ltx2_conversion **")
    check(lib.ltx2_conversion_open(params, out))
    try:
        yield out[0]
    finally:
        lib.ltx2_conversion_close(out[0])


def _check_target(plan: _Plan, target: Path) -> None:
    writer.check(target)
    for file in plan["files"]:
        with contextlib.suppress(FileNotFoundError):  # there is no target yet
            if target.samefile(file):
                raise InvalidArgumentError(f"{target}: is the source itself; name another file")
    need = sum(tensor["bytes"] for tensor in plan["tensors"])
    free = writer.free_space(target)
    if need > free:
        words = f"needs {need / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        raise OSError(errno.ENOSPC, words, str(target))


def _write_head(plan: _Plan, path: Path) -> None:
    head = gguf.GGUFWriter(path, plan["architecture"])
    kinds = {
        bool: gguf.GGUFValueType.BOOL,
        int: gguf.GGUFValueType.UINT32,
        float: gguf.GGUFValueType.FLOAT32,
        str: gguf.GGUFValueType.STRING,
        list: gguf.GGUFValueType.ARRAY,
    }
    for key, value in plan["metadata"].items():
        if isinstance(value, str):
            value = value.encode(*_NAMES).decode("utf-8", "replace")
        head.add_key_value(key, value, kinds[type(value)])
    for tensor in plan["tensors"]:
        kind = gguf.GGMLQuantizationType[tensor["type"].upper()]
        head.add_tensor_info(
            tensor["name"], tensor["shape"], np.dtype(np.float32), tensor["bytes"], raw_dtype=kind
        )
    try:
        head.write_header_to_file()
        head.write_kv_data_to_file()
        head.write_ti_data_to_file()
    finally:
        head.close()


def _write_values(
    conversion: Any,
    plan: _Plan,
    file: BinaryIO,
    progress: Callable[[Progress], object] | None,
    call: Call,
) -> None:
    """Values come and go in pieces, and `progress` is called after each one."""
    buffer = bytearray(4 * _PIECE)
    out = ffi.from_buffer(buffer)
    before, total = 0, sum(tensor["source_bytes"] for tensor in plan["tensors"])
    for index, tensor in enumerate(plan["tensors"]):
        values = math.prod(tensor["shape"])
        for first in range(0, values, _PIECE):
            if call.cancelled:
                raise CancelledError("cancelled")
            count = min(_PIECE, values - first)
            size = tensor["bytes"] * count // values
            check(lib.ltx2_conversion_read(conversion, index, first, count, out, size))
            file.write(memoryview(buffer)[:size])
            if progress:
                read = tensor["source_bytes"] * (first + count) // values
                progress(Progress("convert", before + read, total))
        before += tensor["source_bytes"]
        _pad(file)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))
