"""The door to Pillow and PyAV: whatever they raise leaves as one line that names the file."""

from __future__ import annotations

import os
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import Error, InvalidArgumentError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

_quiet = threading.RLock()  # what warnings do is one setting of the whole process
if hasattr(os, "register_at_fork"):  # in the child nobody would give it back
    os.register_at_fork(
        before=_quiet.acquire, after_in_parent=_quiet.release, after_in_child=_quiet.release
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Around what Pillow does, which warns of much in a file; one thread at a time, so be brief."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def decoding(name: object, kind: str = "image") -> Iterator[None]:
    """Around every call that reads a picture or a video, mostly of a file of that name."""
    if not isinstance(name, (str, os.PathLike)):
        raise InvalidArgumentError(f"{kind}: a {type(name).__name__} is no path of a file")
    try:
        yield
    except Error:
        raise
    except MemoryError:
        raise OutOfMemoryError(f"{name}: too little memory to read the {kind}") from None
    except Exception as error:
        raise InvalidArgumentError(
            f"{name}: the {kind} cannot be read: {one_line(error)}"
        ) from error


@contextmanager
def encoding(name: str | os.PathLike[str]) -> Iterator[None]:
    """Around every call that writes a video or an array."""
    try:
        yield
    except Error:
        raise
    except MemoryError:
        raise OutOfMemoryError(f"{name}: too little memory to write it") from None
    except Exception as error:
        words = f"could not be written: {one_line(error)}"
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, words, str(name)) from error
        raise OSError(f"{name}: {words}") from error


def one_line(error: BaseException) -> str:
    """What an exception says, or what it is called."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())
