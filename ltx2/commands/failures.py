"""What goes wrong, as the command says it: a line, an exit code, and with --json an object."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import click

import ltx2
from ltx2._process import say
from ltx2.text import visible

from .terminal import Said

# The first class that fits counts.
EXIT_CODES: dict[type[BaseException], int] = {
    click.ClickException: 2,
    ltx2.InvalidArgumentError: 2,
    ltx2.ModelError: 3,
    ltx2.OutOfMemoryError: 4,
    MemoryError: 4,
    ltx2.DeviceError: 5,
    OSError: 6,
    click.Abort: 130,
    KeyboardInterrupt: 130,
    ltx2.CancelledError: 130,
    SystemExit: 141,  # Click's, where the reader of stdout has left
    ltx2.InternalError: 70,
    Exception: 70,  # a defect too
}


def kind_of(error: BaseException) -> type[BaseException]:
    """Its key in EXIT_CODES."""
    return next(kind for kind in EXIT_CODES if isinstance(error, kind))


def words(error: BaseException) -> str:
    """One line for what went wrong."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, (KeyboardInterrupt, click.Abort, ltx2.CancelledError)):
        text = (str(error) if isinstance(error, click.Abort) else "") or "cancelled"
    else:
        text = _text(error)
    line = " ".join(text.split())
    if kind_of(error) is Exception:  # what nothing here expected
        return f"internal: {type(error).__name__}: {line}; please report it"
    return line


def say_where(error: BaseException) -> None:
    """With -v, where that happened which nothing here expected."""
    handlers = logging.getLogger("ltx2").handlers
    shown = any(isinstance(handler, Said) and handler.verbose for handler in handlers)
    if shown and kind_of(error) is Exception:
        for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
            say(line)


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # the exception's own
        return type(error).__name__


def about(error: BaseException, code: int) -> dict[str, Any]:
    """For --json."""
    message = visible(words(error))
    return {"error": {"type": type(error).__name__, "message": message, "exit_code": code}}
