"""The process of `ltx2 serve`: its sockets and threads, in the order in which they begin and end.

Requests are answered by a thread with uvicorn's loop, so that the main thread has nothing to do
but wait for a signal, as `_process` has them. Then the streams end, requests under way have a
second to finish, and the video that is being made stops where it is.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ltx2.errors import InternalError, InvalidArgumentError

from .app import application
from .events import Events
from .folder import Folder
from .maker import Maker
from .store import Store
from .videos import Videos

if TYPE_CHECKING:
    import asyncio
    import os
    from collections.abc import Callable, Collection, Iterator

    from starlette.types import ASGIApp

    from ltx2.session import Session

_MOST_CONNECTIONS = 64
_MOST_OPEN = 4 * _MOST_CONNECTIONS  # what is beyond the most is told so, beyond these nothing
_PATIENCE = 1  # seconds, for requests under way in the end
_SILENCE = 10.0  # seconds, in which a request has to come
SHORTEST_TOKEN = 16


@contextmanager
def running(
    open_session: Callable[[], Session],
    folder: str | os.PathLike[str],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    token: str | None = None,
    names: Collection[str] = (),
    previews: bool = True,
) -> Iterator[tuple[str, threading.Thread]]:
    """A server, for as long as the block lasts: its address, and the thread that answers.

    Port 0 is any that is free. Without a token, one is made where others than this machine can
    connect, or ask through a proxy, which `names` are for; it is part of the address.
    """
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise InvalidArgumentError(f"token: is shorter than {SHORTEST_TOKEN} characters")
    if token is not None and not (token.isascii() and token.isprintable()):
        raise InvalidArgumentError("token: has other characters than ASCII's, which a header holds")
    with ExitStack() as ends:
        bound = ends.enter_context(_bound(host, port))
        is_here_alone = ipaddress.ip_address(bound.getsockname()[0]).is_loopback and not names
        if token is None and not is_here_alone:
            token = secrets.token_urlsafe(24)
        kept = Folder(folder)
        store = ends.enter_context(Store(kept.queue))
        session, planner = (ends.enter_context(open_session()) for _ in range(2))
        events = Events()
        maker = Maker(session, store, kept, events, previews=previews)
        videos = Videos(planner, store, kept, maker, events)
        app = application(videos, token, {host, *names})
        maker.start()
        ends.callback(maker.join)
        ends.callback(maker.end)  # where the next lines fail
        thread = ends.enter_context(_answering(app, bound))
        ends.callback(events.close)
        ends.callback(maker.end)  # first: it may be in the middle of something
        yield _address(bound, host, token), thread


def wait(thread: threading.Thread) -> None:
    """Until a signal comes, which raises KeyboardInterrupt."""
    while thread.is_alive():
        thread.join(0.5)  # without a time, Windows hears no Ctrl-C
    raise InternalError("serve: the thread that answers has ended")


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidArgumentError(f"host: {host!r}: {error.strerror or error}") from None
    except UnicodeError:  # which no name has
        raise InvalidArgumentError(f"host: {host!r}: is no name of a host") from None
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # where the other option would share a port that is in use
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # also a port that another server has just left
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_MOST_CONNECTIONS)  # whoever is told the address can connect
    except OSError as error:
        bound.close()
        words = f"port: {host}:{port}: {error.strerror or error}; --port takes another"
        raise InvalidArgumentError(words) from None
    return bound


class _Connection(H11Protocol):
    """Who asks for nothing, or takes long to say what, is hung up on: it needs no token for that,
    and would hold one of the connections that there are, until nobody else had one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _MOST_OPEN:
            transport.abort()
        else:
            self.loop.call_later(_SILENCE, self._expect, None)

    def _expect(self, last: Any) -> None:
        """Another request than the last one, which had its answer, or an answer that goes on."""
        is_silent = self.cycle is None or self.cycle.response_complete
        if is_silent and self.cycle is last:
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(_SILENCE, self._expect, self.cycle if is_silent else self)


@contextmanager
def _answering(app: ASGIApp, bound: socket.socket) -> Iterator[threading.Thread]:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    server = uvicorn.Server(
        uvicorn.Config(
            app, loop="asyncio", http=_Connection, ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=_PATIENCE,
        )
    )  # fmt: skip
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [bound]}, name="ltx2-http", daemon=True
    )
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join()


def _address(bound: socket.socket, host: str, token: str | None) -> str:
    address, port = bound.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token, '')}" if token else "")
