"""The native library: its functions as `lib`, and statuses turned into exceptions.

The declarations are the header's own text, so nothing is written twice.

How an exception crosses C: the functions that C calls cannot raise there. `keep` takes what they
raise, the call is stopped where it can be, and `check` raises it when C has returned. So also
Ctrl-C, which Python delivers while Python code runs, whichever that is.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cffi

from . import __version__, _library, errors
from .text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

_BEGIN = "/* --- declarations: plain C99, also read by Python --- */"
_END = "/* --- end of declarations --- */"


def declarations(header: str) -> str:
    """The part of the text of ltx2.h that cffi reads."""
    return header.split(_BEGIN)[1].split(_END)[0].replace("LTX2_API ", "")


def sentences(struct: str) -> dict[str, str]:
    """What the header says about the fields of a struct, as sentences by name."""
    body = header_path.read_text(encoding="utf-8").split(f"typedef struct {struct} {{")[1]
    fields = re.findall(r"(\w+);\s*/\*(.*?)\*/", body.split(f"}} {struct};")[0], re.DOTALL)
    texts = {name: " ".join(text.split()) for name, text in fields}
    return {name: f"{text[0].upper()}{text[1:]}." for name, text in texts.items()}


ffi: Any = cffi.FFI()
library_path, header_path = _library.find()
ffi.cdef(declarations(header_path.read_text(encoding="utf-8")))
# Never unloaded: what it made is freed until the end, and in no particular order.
lib: Any = ffi.dlopen(str(library_path), ffi.RTLD_NOW | getattr(ffi, "RTLD_NODELETE", 0))


def string(text: Any) -> str:
    """A C string as str; what is not UTF-8 in it (a file name, say) stays visible."""
    return str(ffi.string(text), "utf-8", "backslashreplace")


if (_version := string(lib.ltx2_version())) != __version__:
    raise ImportError(
        f"ltx2: {library_path} is version {_version} and this package, in {Path(__file__).parent}, "
        f"version {__version__}; `pip install .` or scripts/build makes the library anew"
    )

NOT_ZERO = "{}: 0 cannot be used; leave it out for the default"
_kept = threading.local()


def keep(_type: Any, error: BaseException, _traceback: Any) -> None:
    """What a function called by C raises, the first if there are several; see `check`."""
    _kept.__dict__.setdefault("error", error)


def raise_kept() -> None:
    """Raise what was kept on this thread."""
    error = _kept.__dict__.pop("error", None)
    if error is None:
        return
    try:
        raise error
    finally:
        del error  # its traceback refers to this frame


def check(status: int) -> None:
    """Raise what was kept, or what a status means; call it on the thread that got the status."""
    raise_kept()
    if status == lib.LTX2_STATUS_OK:
        return
    name = str(ffi.string(ffi.cast("ltx2_status", status)))
    words = name.removeprefix("LTX2_STATUS_").split("_")
    error = getattr(errors, "".join(word.title() for word in words) + "Error", errors.InternalError)
    raise error(string(lib.ltx2_last_error()))


def c_text(name: str, text: str) -> Any:
    """Text as UTF-8 for C; `name` is for the message."""
    if not isinstance(text, str):
        raise errors.InvalidArgumentError(f"{name}: {text!r} is not text")
    try:
        return _c_string(name, text.encode())
    except UnicodeEncodeError as error:
        raise errors.InvalidArgumentError(f"{name}: not valid Unicode: {error.reason}") from None


def c_path(name: str, path: str | os.PathLike[str]) -> Any:
    """A path as the system spells it for C."""
    return _c_string(name, os.fsencode(path))


def _c_string(name: str, raw: bytes) -> Any:
    if b"\0" in raw:
        raise errors.InvalidArgumentError(f"{name}: contains a NUL character")
    return ffi.new("char[]", raw)


def assign(struct: Any, name: str, value: Any) -> None:
    """Set a number; an error names the field."""
    try:
        setattr(struct, name, value)
    except OverflowError:
        raise errors.InvalidArgumentError(f"{name}: {value} is out of range") from None
    except TypeError:
        raise errors.InvalidArgumentError(
            f"{name}: {value!r} is not a number it can take"
        ) from None
    if value and not getattr(struct, name):  # 1e-60 as a float: to C the default
        raise errors.InvalidArgumentError(f"{name}: {value} is too small")


def c_array(ctype: str, items: Sequence[Any]) -> Any:
    """A C array of what is in `items`, which the caller keeps alive."""
    return ffi.new(ctype, items)


# ---- native log -> logging; the levels are the same numbers


def _log(level: int, message: Any, _user_data: Any) -> None:
    logging.getLogger("ltx2").log(level, "%s", string(message))


class _Visible(logging.Filter):
    """Whoever handles the messages of this package gets lines that are safe to show."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not (text := record.getMessage()).isprintable():
            record.msg, record.args = visible(text), None
        return True


logging.getLogger("ltx2").addFilter(_Visible())
_on_log = ffi.callback("ltx2_log_fn", _log, onerror=keep)
lib.ltx2_log_set(_on_log, ffi.NULL)
atexit.register(lib.ltx2_log_set, ffi.NULL, ffi.NULL)  # no Python from C once Python is gone
