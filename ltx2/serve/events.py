"""Who is told what happens: the pages that are open."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MOST = 1000  # that wait for a listener; it is left behind then, and begins anew
_BEAT = 15.0  # seconds of silence, after which a listener that has gone is noticed


class Events:
    """Server-sent events. `send` and `close` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def send(self, kind: str, about: dict[str, Any]) -> None:
        self._put(f"event: {kind}\ndata: {json.dumps(about)}\n\n")

    def close(self) -> None:
        """Every listener's stream comes to its end."""
        self._closed = True
        self._put(None)

    def _put(self, text: str | None) -> None:
        with self._lock:
            for queue, loop in self._listeners.items():
                with suppress(RuntimeError):  # its loop has ended
                    loop.call_soon_threadsafe(_add, queue, text)

    async def listen(self) -> AsyncIterator[str]:
        """All that is sent from now on, as the text of a stream."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield "retry: 500\n\n"  # milliseconds, after which a browser asks again
            while not self._closed:
                try:
                    text = await asyncio.wait_for(queue.get(), _BEAT)
                except asyncio.TimeoutError:
                    text = ": still there\n\n"
                if text is None or queue.qsize() > _MOST:
                    return
                yield text
        finally:
            with self._lock:
                del self._listeners[queue]


def _add(queue: asyncio.Queue[str | None], text: str | None) -> None:
    if queue.qsize() <= _MOST:
        queue.put_nowait(text)
