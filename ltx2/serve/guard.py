"""Who may ask. A page of any site runs in the same browser as ours, and can send requests here.

- The Host header must name this machine: by an address, or by a name that it is known to have. Else
  a site whose name is made to point here (DNS rebinding) would be of the same origin as our page.
- A request that a page of another origin sends is refused: Origin and Sec-Fetch-Site say so. Its
  answers could not be read there, yet what it does would be done.
- With a token, every request has to bring it: as `Authorization: Bearer`, or as the cookie that the
  page gets which is asked for with `?token=`.
- No body is larger than a picture.
- Answers are not to be guessed at, framed, or read elsewhere, and the page loads nothing from
  elsewhere.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from ltx2.text import visible

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 48 << 20  # of a body: a picture of 32 MiB in base64
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SAFE = ("GET", "HEAD")
_MONTH = 30 * 24 * 3600


def error(status: int, message: str) -> JSONResponse:
    """As OpenAI's."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    about = {"message": visible(message), "type": kind, "param": None, "code": None}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": about}, status, headers)


class Guard:
    """Around the application. `names` are host names besides this machine's own."""

    def __init__(
        self, app: ASGIApp, page: Path, token: str | None, names: Collection[str] = ()
    ) -> None:
        self._app, self._page, self._token = app, page, token
        own = socket.gethostname().lower()
        given = {name.lower().rstrip(".") for name in names}
        self._names = {"localhost", own, f"{own}.local", *given}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no other protocol is spoken
            return
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    given.setdefault(name, value)
                given.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refusal(scope, headers) or self._unknown(scope, headers)
        app = self._app if refused is None else refused
        await app(scope, _bounded(receive), answer)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return error(421, f"host: {host!r} is not this server's; --allow-host lets it be")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return error(403, f"origin: {origin!r} is another site's")
        visited = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in _SAFE
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and not visited:
            return error(403, "origin: the request is another site's")
        if int(headers.get("content-length", "0")) > MOST_BYTES:
            return error(413, _TOO_LARGE)
        return None

    def _is_ours(self, host: str) -> bool:
        match = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(:\d+)?", host.lower())
        name = match[1].strip("[]").rstrip(".") if match else ""
        if name and name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """An answer to who does not bring the token, or brings it for the first time."""
        if self._token is None or scope["path"].startswith("/page/"):
            return None
        name = f"ltx2-{scope['server'][1]}"  # other servers of this machine share its cookies
        cookies = [part.strip() for part in headers.get("cookie", "").split(";")]
        kind, _, brought = headers.get("authorization", "").partition(" ")
        if any(_same(cookie, f"{name}={self._mark()}") for cookie in cookies):
            return None
        if kind.lower() == "bearer" and _same(brought, self._token):
            return None
        if scope["path"] != "/":
            return error(401, "token: is missing, or another")
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not _same(asked, self._token):
            page = (self._page / "token.html").read_text("utf-8")
            return HTMLResponse(page.replace(" hidden>", ">") if asked else page, 401)
        # Not by way of another address: a browser that comes from elsewhere would not yet show
        # the cookie there.
        answer = FileResponse(self._page / "index.html")
        answer.set_cookie(
            name, self._mark(), max_age=_MONTH, httponly=True, samesite="strict",
            secure=headers.get("x-forwarded-proto", "").lower() == "https",  # a proxy says so
        )  # fmt: skip
        return answer

    def _mark(self) -> str:
        """What a cookie holds: neither the token itself nor signs that a cookie cannot have."""
        return hashlib.sha256(f"ltx2 {self._token}".encode()).hexdigest()


def _same(given: str, secret: str) -> bool:
    """However long that takes says nothing of the secret."""
    return secrets.compare_digest(given.encode(), secret.encode())


_TOO_LARGE = f"body: is larger than {MOST_BYTES >> 20} MiB"


def _bounded(receive: Receive) -> Receive:
    count = 0

    async def some() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > MOST_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return some
