"""The process of the command: its standard streams and the signals that end it.

SIGTERM and SIGHUP do what Ctrl-C does: the work stops at once, what it began is removed, and the
exit code is 128 + the signal's number. Until the work begins there is nothing to remove and the
process ends on the spot, without a traceback through what is being imported; when it is over they
are ignored, as they are once the first of them has come. One that is ignored from the start, as
under nohup, stays so.

Nothing slow is imported here: until `begin` has run, Ctrl-C is a traceback.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from .text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]

ended_by = 0  # the first signal that came
_working = False


def say(text: str) -> None:
    """One line on stderr. Where nobody can be told, nothing else fails for it."""
    line = f"ltx2: {visible(text)}\n"
    with contextlib.suppress(Exception):  # full, closed or none
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except RuntimeError:  # a signal came in the midst of another line
            os.write(2, line.encode(errors="backslashreplace"))


def begin() -> None:
    """Make the process safe to work in; first of all."""
    _open_missing_streams()
    sys.unraisablehook = _say_nothing_of_an_interrupt
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def run(work: Callable[[], int]) -> int:
    """The exit code of `work`, or of the signal that ended it."""
    global _working
    try:
        try:
            _working = True
            code = work()
        finally:
            _ignore_signals()
    except KeyboardInterrupt:  # between what `work` catches and here
        code = 130
    # Python remembers a KeyboardInterrupt that left a text it executed, as an import does, and ends
    # by SIGINT in the end, wherever it was caught; until the next text.
    exec("")
    for stream in (sys.stdout, sys.stderr):
        _drop_what_cannot_be_written(stream)
    return 128 + ended_by if code and ended_by else code


def check() -> None:
    """Raise again what a library may have swallowed; work that takes long calls it."""
    if ended_by:
        raise KeyboardInterrupt


def _end(number: int, _frame: object) -> None:
    global ended_by
    _ignore_signals()
    ended_by = number
    if _working:
        raise KeyboardInterrupt
    say("cancelled")
    os._exit(128 + number)


def _say_nothing_of_an_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    """One raised in a library's destructor goes no further; `check` raises it again."""
    if not (ended_by and unraisable.exc_type is KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _open_missing_streams() -> None:
    """The next file opened would take the place of one, and messages be written into it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def _drop_what_cannot_be_written(stream: object) -> None:
    """Python would try it once more at the end, and change the exit code."""
    try:
        stream.flush()  # type: ignore[attr-defined]
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[attr-defined]
