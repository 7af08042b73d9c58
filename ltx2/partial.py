"""A file of the hub while it comes: what is here of it, its checksum, and how far it is."""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, BinaryIO

from .codecs import one_line
from .video import Clock, Progress, unhandled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .hub import File

PIECE = 1 << 22  # bytes hashed between two reports


class Digest:
    """The checksum of a file, by the kind that the hub states for it."""

    def __init__(self, file: File) -> None:
        git = b"blob %d\0" % file.size
        self.wanted = file.checksum
        self.hash = hashlib.sha256() if len(file.checksum) == 64 else hashlib.sha1(git)
        self.size = 0

    def add(self, data: bytes) -> None:
        self.hash.update(data)
        self.size += len(data)

    def copy(self) -> Digest:
        other = copy.copy(self)
        other.hash = self.hash.copy()
        return other

    @property
    def right(self) -> bool:
        return self.hash.hexdigest() == self.wanted


def read_into(digest: Digest, path: Path, tell: Callable[[int], object]) -> None:
    """Add what a file holds, and tell how much that is."""
    with path.open("rb") as stream:
        while data := _piece(path, stream):
            digest.add(data)
            tell(digest.size)


def _piece(path: Path, stream: BinaryIO) -> bytes:
    try:
        return stream.read(PIECE)
    except OSError as error:  # a disk's, which does not say of what
        raise OSError(error.errno, one_line(error), str(path)) from error


class Partial:
    """A file that is coming: what huggingface_hub writes into, as into a file.

    What is here is worth hours, and what comes may be the page of a network that wants a login: so
    it is replaced only by much, and an answer of the wrong size leaves nothing.
    """

    def __init__(self, file: File, meter: Meter) -> None:
        self.file, self.meter = file, meter
        self.digest = Digest(file)
        have = file.partial.stat().st_size if file.partial.exists() else 0
        if 0 < have <= file.size:
            read_into(self.digest, file.partial, lambda size: meter.show("verify", size, have))
        self.stream: BinaryIO = file.partial.open("r+b" if self.digest.size else "wb")
        self.stream.seek(self.digest.size)
        self.before = self.digest.copy()  # what is here when an answer begins
        self.held: bytes | None = None  # of one that begins anew, until it is much
        meter.show_came(self.digest.size)

    def bring(self, work: Callable[[], object]) -> None:
        """What `work` writes, to the end; of one that fails, what came in its place."""
        self.before = self.digest.copy()
        try:
            work()
        except Exception:
            if self.held is not None:
                self._go_back()
            raise
        if (came := self.digest.size) != self.file.size:
            self._go_back()
            raise ConnectionError(f"what came makes {came} bytes, not {self.file.size}")

    def _go_back(self) -> None:
        self.digest, self.held = self.before, None
        self.stream.seek(self.digest.size)
        self.stream.truncate()

    def write(self, data: bytes) -> int:
        if self.digest.size + len(data) > self.file.size:
            raise LongerError
        if self.held is None:
            self.stream.write(data)
        elif self.digest.size + len(data) < min(PIECE, self.file.size):
            self.held += data
        else:
            self.stream.seek(0)
            self.stream.truncate()
            self.stream.write(self.held + data)
            self.before, self.held = Digest(self.file), None
        self.digest.add(data)
        self.meter.show_came(self.digest.size)
        return len(data)

    def tell(self) -> int:
        return self.digest.size

    def seek(self, _position: int) -> None:
        """To the beginning: a server that sends all of it where a part was asked for."""
        self.digest, self.held = Digest(self.file), b""

    def truncate(self) -> None:
        """Only once much has come."""

    def close(self) -> None:
        self.stream.close()


class LongerError(BaseException):
    """More comes than the hub said; as StopError, it is no one else's to handle."""


class Meter:
    """Tells the caller how far a number of files is."""

    def __init__(self, files: list[File], progress: Callable[[Progress], object] | None) -> None:
        self.progress, self.clock = unhandled(progress), Clock()
        self.total = sum(file.size for file in files)
        self.done = 0  # bytes of the files before the one in hand

    def show(self, stage: str, done: int, total: int) -> None:
        self.progress(self.clock.at(stage, done, total))

    def show_came(self, size: int) -> None:
        self.show("download", self.done + size, self.total)

    def show_verified(self, size: int) -> None:
        self.show("verify", self.done + size, self.total)
