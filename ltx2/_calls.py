"""The calls of C under way: what `Session.cancel` stops, and what the interpreter's end waits for.

Python ends a thread that comes back to it from C after the interpreter's end, and takes its stack
down through the C++ frames on it, which aborts the process. So before Python goes, every call is
cancelled and waited for, and its thread ends as by sys.exit, without a word. Threads that Python
itself waits for finish their calls, unless Ctrl-C has ended the program.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from .errors import CancelledError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

PATIENCE = 30.0  # seconds; on a processor a call stops within milliseconds, on a GPU after a step

_changed = threading.Condition()  # its lock may be taken again by the thread that has it
_under_way: set[Call] = set()
_ending = False  # whether calls are cancelled as Python ends


class Call:
    """One call, from its first line in Python to its last."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.cancelled = False

    def abandon(self) -> None:
        """The process was forked, and the thread of this call is not in the child."""

    def ended(self) -> None:
        """However it did."""

    def __enter__(self) -> Self:
        _wait_for_no_thread_after_ctrl_c("concurrent.futures.thread" in sys.modules)
        with _changed:
            _under_way.add(self)
            self.cancelled = self.cancelled or _ending
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.ended()
        finally:
            with _changed:
                _under_way.discard(self)
                _changed.notify_all()
        on_main = self.thread == threading.main_thread().ident
        if isinstance(error, CancelledError) and _ending and not on_main:
            raise SystemExit from None


def under_way() -> tuple[Call, ...]:
    return tuple(_under_way)


def _cancel_all() -> None:
    global _ending
    _ending = True
    for call in under_way():
        call.cancelled = True


def _of_others() -> list[Call]:
    return [call for call in under_way() if call.thread != threading.get_ident()]


@functools.cache
def _wait_for_no_thread_after_ctrl_c(_executors: bool) -> None:
    """threading's own hook runs before Python waits for threads; atexit's run after that.

    Executors wait for theirs in such a hook. What was registered last is called first, so this is
    done once more when they are there.
    """
    hook = getattr(threading, "_register_atexit", None)
    with contextlib.suppress(RuntimeError):  # Python is waiting already
        if hook:
            hook(_cancel_after_ctrl_c)


def _cancel_after_ctrl_c() -> None:
    # Where a person types to Python, an earlier Ctrl-C has not ended the program.
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        _cancel_all()


@atexit.register
def _stop() -> None:
    end = time.monotonic() + PATIENCE
    with _changed:
        _cancel_all()
        while _of_others() and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(KeyboardInterrupt):  # it is being stopped already
                _changed.wait(left)
    if _of_others():
        words = "a call did not stop in %g s; the process ends at once, without Python's clean-up"
        logging.getLogger("ltx2").error(words, PATIENCE)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(1)


def _forked() -> None:
    global _changed
    _changed = threading.Condition()
    for call in _of_others():
        _under_way.discard(call)
        call.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
