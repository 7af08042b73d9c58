"""Calls for asyncio: a thread of the session's own does the work, and the event loop goes on."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from .errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .opened import Opened
    from .video import Progress

S = TypeVar("S", bound="Opened")
P = ParamSpec("P")
R = TypeVar("R")

_ABOUT = """As `{}`, to be awaited.

Cancelling the task cancels the call, and waits until it has ended. Calls that are awaited take
turns in the order in which they were begun. `progress` and the other functions are called on
another thread.
"""


def awaited(
    function: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The same call of Session, to be awaited; cancelling the task cancels it."""

    @functools.wraps(function)
    async def call(session: S, /, *arguments: P.args, **given: P.kwargs) -> R:
        stop = threading.Event()
        told = cast("Callable[[Progress], object] | None", given.get("progress"))

        def progress(now: Progress) -> None:
            if stop.is_set():
                raise CancelledError("cancelled")
            if told:
                told(now)

        given["progress"] = progress
        work = session._worker().submit(function, session, *arguments, **given)
        made = asyncio.wrap_future(work)
        try:
            return await asyncio.shield(made)
        except asyncio.CancelledError:
            if not work.cancel():  # it has begun, so that it has an end to be waited for
                stop.set()
                await asyncio.wait([made])
            raise

    call.__name__ = f"a{function.__name__}"
    call.__qualname__ = f"Session.{call.__name__}"
    call.__doc__ = f"{_ABOUT.format(function.__name__)}\n\n{function.__doc__}"
    return call
