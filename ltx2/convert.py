"""Converts model files into one GGUF file, quantised; plans that alone; verifies the file later.

What the file holds is the library's to say, and the library quantises; this writes it.
docs/gguf.md states the layout. Nothing that generates imports this file.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import math
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

from . import _native, writer
from ._calls import Call
from ._native import check, ffi, lib
from .about import describe
from .codecs import encoding
from .errors import CancelledError, InvalidArgumentError, ModelError
from .model_files import Loras, StrPath
from .request import c_loras
from .video import Clock, Progress, StopError, unhandled

_PIECE = 1 << 22  # values read at once: some 16 MB of memory, and work for many cores
_ALIGNMENT = 32
_CHECKSUMS = "ltx2.tensor_sha256"


def convert(
    source: StrPath | Sequence[StrPath],
    target: StrPath,
    type: str | None = None,  # noqa: A002 - the option's name in the command line
    *,
    variant: str | None = None,
    tensor_type: Mapping[str, str] | None = None,
    audio: bool = True,
    target_size: int | None = None,
    loras: Loras | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Path:
    """Convert a model for use by `Session`; returns the path of the new file.

    source: the official single file, any other file or folder of LTX-2 or Gemma that `Session`
        reads, or several that hold the parts of a checkpoint.
    target: the GGUF file; it appears, or is replaced, only when it is complete.
    type: how large matrices are stored, "q8_0" by default; `ltx2.capabilities()["types"]` lists
        the names.
    variant: "distilled" or "dev": which sampling defaults the new file states, where the source
        states none. By default "distilled" where the source's name says so, else nothing.
    tensor_type: other types for some of the matrices, by a pattern of their names in the new file,
        where # stands for a number and * for anything; the first that fits counts.
    audio: the sound's tensors too; without them the file makes videos without sound.
    target_size: bytes that the file takes at most: in place of `type`, the types are picked that
        cost least, and the file states them with the PSNR that is expected of its frames.
    loras: adapters that are merged into the matrices before these are stored: files, or
        {file: strength}.
    progress: gets stage "convert", `done` of `total` bytes of the source; what it raises stops the
        work.

    Memory stays far below 1 GB whatever the size of the source; it takes all cores.

    Raises InvalidArgumentError for a bad argument, ModelError for a source that is missing,
    damaged or another model, and OSError where the system refuses, as when the disk is full.
    """
    target = Path(target)
    with (
        Call() as call,
        _opened(source, type, variant, tensor_type, audio, target_size, loras) as (
            conversion,
            planned,
        ),
    ):
        _check_target(conversion, planned, target)
        try:
            with (
                encoding(target),
                writer.new_file(target) as temporary,
                temporary.open("wb") as file,
            ):
                file.write(_head(planned))
                sums = _write_values(conversion, planned, file, unhandled(progress), call)
                file.seek(0)
                file.write(_head(planned, sums))
        except StopError as stop:
            raise stop.error from None
    return target


def plan(
    source: StrPath | Sequence[StrPath],
    type: str | None = None,  # noqa: A002
    *,
    variant: str | None = None,
    tensor_type: Mapping[str, str] | None = None,
    audio: bool = True,
    target_size: int | None = None,
    loras: Loras | None = None,
) -> Plan:
    """What `convert` would write, from the headers of the source alone.

    `size` of the file in bytes; `tensors` with `name`, `part`, `type`, `shape` (outermost first),
    `bytes` and `source_bytes` of each; `dropped`: what the source holds besides, with `part`, or
    None, and `tensors`, `parameters` and `bytes`; `metadata`. Raises as `convert`.
    """
    with (
        Call(),
        _opened(source, type, variant, tensor_type, audio, target_size, loras) as (_, planned),
    ):
        return planned


def verify(file: StrPath, progress: Callable[[Progress], object] | None = None) -> None:
    """Compare a file's tensors with the checksums that `convert` wrote into it.

    progress: gets stage "verify", `done` of `total` bytes. Raises ModelError that names the first
    tensor that differs, or says that the file states no checksums.
    """
    path = Path(file)
    tensors = describe(path)["tensor_list"]
    if not any(tensor["sha256"] for tensor in tensors):
        raise ModelError(f"{path}: states no checksums; ltx2 convert writes them")
    done, total = 0, sum(tensor["bytes"] for tensor in tensors)
    clock = Clock()
    with Call() as call, path.open("rb", buffering=0) as content:
        for tensor in tensors:
            sums, end = hashlib.sha256(), done + tensor["bytes"]
            content.seek(tensor["offset"])
            while done < end and (some := content.read(min(end - done, _PIECE))):
                if call.cancelled:
                    raise CancelledError("cancelled")
                sums.update(some)
                done += len(some)
                if progress:
                    progress(clock.at("verify", done, total))
            if sums.hexdigest() != tensor["sha256"]:
                raise ModelError(
                    f"{path}: tensor {tensor['name']} is not what was written; copy or "
                    "convert the file again"
                )


# ---- the library's plan


class _Tensor(TypedDict):
    name: str
    part: str
    type: str
    type_id: int
    shape: list[int]
    bytes: int
    source_bytes: int


class Plan(TypedDict):
    """What ltx2_conversion.plan holds."""

    architecture: str
    metadata: dict[str, Any]
    tensors: list[_Tensor]
    dropped: list[dict[str, Any]]
    size: int


@contextlib.contextmanager
def _opened(
    source: StrPath | Sequence[StrPath],
    kind: str | None,
    variant: str | None,
    tensor_type: Mapping[str, str] | None,
    audio: bool,
    target_size: int | None,
    loras: Loras | None,
) -> Iterator[tuple[Any, Plan]]:
    params = ffi.new("ltx2_conversion_params *", {"size": ffi.sizeof("ltx2_conversion_params")})
    sources = [source] if isinstance(source, (str, os.PathLike)) else source
    patterns = [f"{pattern}={name.lower()}" for pattern, name in (tensor_type or {}).items()]
    paths = [_native.c_path("source", path) for path in sources]
    rules = [_native.c_text("tensor_type", text) for text in patterns]
    arrays = _native.c_array("char *[]", paths), _native.c_array("char *[]", rules)
    params.files, params.file_count = arrays[0], len(paths)
    params.tensor_type, params.tensor_type_count = arrays[1], len(rules)
    texts = [
        _native.c_text(name, text.lower())
        for name, text in (("type", kind or ""), ("variant", variant or ""))
    ]
    params.type, params.variant = texts
    params.audio = 0 if audio else -1
    if target_size is not None and not 0 < target_size < 2**63:
        raise InvalidArgumentError(f"target_size: {target_size} is no number of bytes")
    params.target_size = target_size or 0
    adapters, lora_paths = c_loras(loras)
    params.loras, params.lora_count = adapters, len(adapters)
    out = ffi.new("ltx2_conversion **")
    check(lib.ltx2_conversion_open(params, out))
    try:
        yield out[0], json.loads(_native.string(out[0].plan))
    finally:
        lib.ltx2_conversion_close(out[0])
        del lora_paths  # which C reads no more


def _check_target(conversion: Any, planned: Plan, target: Path) -> None:
    writer.check(target)
    for i in range(conversion.file_count):
        file = os.fsdecode(ffi.string(conversion.files[i]))
        with contextlib.suppress(FileNotFoundError):  # there is no target yet
            if target.samefile(file):
                raise InvalidArgumentError(f"{target}: is a source itself; name another file")
    _check_space(planned, target)


def _check_space(planned: Plan, target: Path) -> None:
    free = writer.free_space(target)
    if planned["size"] > free:
        words = f"needs {planned['size'] / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
        raise OSError(errno.ENOSPC, words, str(target))


# ---- the file


def _head(planned: Plan, sums: Sequence[str] | None = None) -> bytes:
    """All that stands before the values: keys and the table of tensors."""
    keys = {"general.architecture": planned["architecture"], **planned["metadata"]}
    if sums:
        keys[_CHECKSUMS] = sums
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(planned["tensors"]), len(keys)))
    for key, value in keys.items():
        kind = _kind(value)
        out += _packed(_TEXT, key) + struct.pack("<I", kind) + _packed(kind, value)
    offset = 0
    for tensor in planned["tensors"]:
        shape = tensor["shape"][::-1]
        out += _packed(_TEXT, tensor["name"])
        out += struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, tensor["type_id"], offset)
        offset += tensor["bytes"] + _padding(tensor["bytes"])
    return bytes(out) + bytes(_padding(len(out)))


# GGUF's numbers for the types of a value.
_INTEGER, _ELEMENT, _NUMBER, _BOOLEAN, _TEXT, _LIST = 4, 5, 6, 7, 8, 9
_FORMS = {_INTEGER: "<I", _ELEMENT: "<i", _NUMBER: "<f", _BOOLEAN: "<?"}


def _kind(value: Any) -> int:
    kinds = {bool: _BOOLEAN, int: _INTEGER, float: _NUMBER, str: _TEXT, list: _LIST}
    return kinds[type(value)]


def _packed(kind: int, value: Any) -> bytes:
    if kind == _TEXT:
        text: bytes = value.encode("utf-8", "replace")
        return struct.pack("<Q", len(text)) + text
    if kind == _LIST:
        kinds = {_kind(item) for item in value} or {_INTEGER}
        one = _NUMBER if _NUMBER in kinds else kinds.pop()
        one = _ELEMENT if one == _INTEGER else one
        head = struct.pack("<IQ", one, len(value))
        return head + b"".join(_packed(one, item) for item in value)
    return struct.pack(_FORMS[kind], value)


def _padding(size: int) -> int:
    return -size % _ALIGNMENT


def _write_values(
    conversion: Any,
    planned: Plan,
    file: BinaryIO,
    progress: Callable[[Progress], object],
    call: Call,
) -> list[str]:
    """Returns the checksum of each tensor. While a piece is computed, the last one is written."""
    largest = max(size for _, _, _, size, _, _ in _pieces(planned))
    buffers = [bytearray(largest), bytearray(largest)]
    sums = [hashlib.sha256() for _ in planned["tensors"]]
    done, total = 0, sum(tensor["source_bytes"] for tensor in planned["tensors"])
    clock = Clock()

    def put(index: int, values: memoryview, padding: int) -> None:
        sums[index].update(values)
        file.write(values)
        file.write(bytes(padding))

    writing = _Job(lambda: None)
    try:
        for index, first, count, size, padding, read in _pieces(planned):
            if call.cancelled:
                raise CancelledError("cancelled")
            out = ffi.from_buffer(buffers[0])
            check(lib.ltx2_conversion_read(conversion, index, first, count, out, size))
            writing.finish()
            values = memoryview(buffers[0])[:size]
            writing = _Job(functools.partial(put, index, values, padding))
            buffers.reverse()
            done += read
            progress(clock.at("convert", done, total))
    finally:
        writing.finish()
    return [each.hexdigest() for each in sums]


class _Job:
    """Work on a thread of its own, for which Python does not wait when it ends."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        try:
            self.thread.start()
        except RuntimeError:  # the system has no more threads
            self._run()

    def _run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def finish(self) -> None:
        """Wait for its end, and raise what it raised."""
        if self.thread.ident:
            self.thread.join()
        error, self.error = self.error, None
        if error:
            raise error


def _pieces(planned: Plan) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Tensor, first value, values, bytes, bytes to the next tensor, bytes of the source."""
    for index, tensor in enumerate(planned["tensors"]):
        values = math.prod(tensor["shape"])
        for first in range(0, values, _PIECE):
            count = min(_PIECE, values - first)
            end = first + count
            size = tensor["bytes"] * count // values
            padding = _padding(tensor["bytes"]) if end == values else 0
            source = tensor["source_bytes"]
            yield (
                index,
                first,
                count,
                size,
                padding,
                source * end // values - source * first // values,
            )
