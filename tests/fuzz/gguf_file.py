"""A GGUF file taken apart, to be put together again in changed form."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# By the type's number in the file: how struct packs it, or nothing.
SCALARS = ("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d")
STRING, ARRAY = 8, 9


@dataclass
class Entry:
    key: bytes
    type: int
    value: bytes  # as in the file


@dataclass
class Tensor:
    name: bytes
    shape: list[int]
    type: int
    offset: int


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


class GgufFile:
    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        self.at = 4
        self.version, tensors, entries = self._take("<IQQ")
        self.entries = [self._entry() for _ in range(entries)]
        self.tensors = [self._tensor() for _ in range(tensors)]
        self.data = self.bytes[(self.at + 31) // 32 * 32 :]

    def _take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self.bytes, self.at)
        self.at += struct.calcsize(form)
        return values

    def _text(self) -> bytes:
        (length,) = self._take("<Q")
        self.at += length
        return self.bytes[self.at - length : self.at]

    def _skip(self, kind: int) -> None:
        if kind == STRING:
            self._text()
        elif kind == ARRAY:
            of, count = self._take("<IQ")
            if SCALARS[of]:
                self.at += count * struct.calcsize(SCALARS[of])
            else:
                for _ in range(count):
                    self._skip(of)
        else:
            self._take("<" + SCALARS[kind])

    def _entry(self) -> Entry:
        key = self._text()
        (kind,) = self._take("<I")
        begin = self.at
        self._skip(kind)
        return Entry(key, kind, self.bytes[begin : self.at])

    def _tensor(self) -> Tensor:
        name = self._text()
        (rank,) = self._take("<I")
        shape = list(self._take(f"<{rank}Q"))
        return Tensor(name, shape, *self._take("<IQ"))

    def build(self) -> bytes:
        out = [b"GGUF", struct.pack("<IQQ", self.version, len(self.tensors), len(self.entries))]
        for entry in self.entries:
            out += [text(entry.key), struct.pack("<I", entry.type), entry.value]
        for tensor in self.tensors:
            shape = [n & 2**64 - 1 for n in tensor.shape]
            out += [text(tensor.name), struct.pack(f"<I{len(shape)}Q", len(shape), *shape)]
            out.append(struct.pack("<IQ", tensor.type & 2**32 - 1, tensor.offset & 2**64 - 1))
        header = b"".join(out)
        return header + bytes(-len(header) % 32) + self.data
