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

        def made_in_turn() -> R:
            if stop.is_set():
                raise CancelledError("cancelled")
            try:
                return function(session, *arguments, **given)
            except StopIteration as error:  # which no future can hold
                raise RuntimeError("a function of this call raised StopIteration") from error

        session._awaited.add(stop)
        work = session._worker().submit(made_in_turn)
        made = asyncio.wrap_future(work)
        made.add_done_callback(_retrieved)  # a task that was cancelled asks for no error
        try:
            return await asyncio.shield(made)
        except asyncio.CancelledError:
            if not work.cancel():  # it has begun, so that it has an end to be waited for
                stop.set()
                await asyncio.wait([made])
            raise
        finally:
            session._awaited.discard(stop)

    call.__name__ = f"a{function.__name__}"
    call.__qualname__ = f"Session.{call.__name__}"
    call.__doc__ = f"{_ABOUT.format(function.__name__)}\n\n{function.__doc__}"
    return call


def _retrieved(made: asyncio.Future[Any]) -> None:
    """Else asyncio prints, once it is collected, that nobody asked for its error."""
    if not made.cancelled():
        made.exception()
