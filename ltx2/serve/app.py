"""The routes: what can be asked for over HTTP. Names and answers are OpenAI's where it has them."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from ltx2.errors import Error, InvalidArgumentError
from ltx2.request import as_text

from .guard import Guard, error
from .videos import FullError, MissingError, Videos

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

PAGE = Path(__file__).with_name("page")
_FILES = StaticFiles(directory=PAGE)
_MOST_FIELDS = 64
_MOST_VALUES = 100_000  # of JSON: each takes many times its bytes, and time of all who wait
_STATUS: dict[type[Exception], int] = {  # the first that fits counts
    MissingError: 404,
    FullError: 429,
    InvalidArgumentError: 400,
    Error: 500,
    OSError: 500,
    sqlite3.Error: 500,
    Exception: 500,
}


def application(videos: Videos, token: str | None, names: Collection[str]) -> ASGIApp:
    """All of it, behind its guard."""
    video = "/v1/videos/{name}"
    routes = [
        Route("/", _file("index.html")),
        Mount("/page", _FILES),
        Route("/v1/models", _answer(lambda _: {"object": "list", "data": [videos.model()]})),
        Route("/v1/plan", _plan(videos), methods=["POST"]),
        Route("/v1/events", _events(videos)),
        Route("/v1/videos", _create(videos), methods=["POST"]),
        Route("/v1/videos", _answer(lambda request: _listed(videos, request)), methods=["GET"]),
        Route(video, _answer(_named(videos.get)), methods=["GET"]),
        Route(video, _answer(_named(videos.delete)), methods=["DELETE"]),
        Route(f"{video}/cancel", _answer(_named(videos.cancel)), methods=["POST"]),
        Route(f"{video}/retry", _answer(_named(videos.retry)), methods=["POST"]),
        Route(f"{video}/content", lambda request: _content(videos, request)),
        Route(f"{video}/preview", lambda request: _preview(videos, request)),
        Route("/v1/pictures/{name}", lambda request: _picture(videos, request)),
    ]
    handlers: dict[Any, Any] = dict.fromkeys(_STATUS, _failed)
    handlers[ClientDisconnect] = lambda *_: error(400, "body: is not whole")  # and nobody hears it
    handlers[HTTPException] = lambda _, problem: error(problem.status_code, problem.detail)
    return Guard(Starlette(routes=routes, exception_handlers=handlers), PAGE, token, names)


def _failed(_request: Request, problem: Exception) -> Response:
    status = next(status for kind, status in _STATUS.items() if isinstance(problem, kind))
    return error(status, str(problem))


def _answer(work: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Response]:
    """In a thread of its own, since this is no coroutine."""
    return lambda request: JSONResponse(work(request))


def _named(work: Callable[[str], dict[str, Any]]) -> Callable[[Request], dict[str, Any]]:
    return lambda request: work(request.path_params["name"])


def _file(name: str) -> Callable[[Request], Response]:
    return lambda _request: FileResponse(PAGE / name)


def _create(videos: Videos) -> Callable[[Request], Any]:
    async def create(request: Request) -> Response:
        picture: bytes | None = None
        if _kind(request) == "multipart/form-data":
            async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
                given = _fields(form)
                if isinstance(upload := given.get("input_reference"), UploadFile):
                    data = await upload.read()
                    picture = data if data or upload.filename else None  # where none was chosen
                    del given["input_reference"]
                if any(isinstance(value, UploadFile) for value in given.values()):
                    raise InvalidArgumentError("input_reference: is the only file that is taken")
        else:
            given = await _object(request)
        return JSONResponse(await run_in_threadpool(videos.create, given, picture))

    return create


def _fields(form: FormData) -> dict[str, Any]:
    """Of `name[]`, as clients send the elements of a list, one text."""
    given: dict[str, Any] = dict(form)
    for name in [name for name in given if name.endswith("[]")]:
        given[name[:-2]] = as_text([str(value) for value in form.getlist(name)])
        del given[name]
    return given


def _plan(videos: Videos) -> Callable[[Request], Any]:
    async def plan(request: Request) -> Response:
        given = await _object(request)
        return JSONResponse(await run_in_threadpool(videos.plan, given))

    return plan


async def _object(request: Request) -> dict[str, Any]:
    """The JSON object of a body."""
    if _kind(request) != "application/json":
        raise HTTPException(415, "body: is neither application/json nor multipart/form-data")
    given, body = None, await request.body()
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InvalidArgumentError(f"body: has more than {_MOST_VALUES} values")
    with suppress(ValueError, RecursionError):
        given = json.loads(body, parse_constant=_refuse)
    if not isinstance(given, dict):
        raise InvalidArgumentError("body: is no JSON object")
    return given


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _listed(videos: Videos, request: Request) -> dict[str, Any]:
    query = request.query_params
    limit = query.get("limit", "20")
    if not (re.fullmatch(r"[0-9]{1,3}", limit) and 1 <= int(limit) <= 100):
        raise InvalidArgumentError(f"limit: {limit!r} is not between 1 and 100")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidArgumentError(f"order: {order!r} is neither asc nor desc")
    return videos.listed(
        query.getlist("status"), query.get("after"), int(limit), oldest_first=order == "asc"
    )


def _content(videos: Videos, request: Request) -> Response:
    variant: Mapping[str, str] = request.query_params
    if variant.get("variant", "video") != "video":
        raise InvalidArgumentError(f"variant: {variant['variant']!r} is not kept; video is")
    path, kind = videos.content(request.path_params["name"])
    return _kept(request, path, kind, "private, no-cache")  # it can be replaced, and deleted


def _kept(request: Request, path: Path, kind: str, caching: str) -> Response:
    """A file, or that the browser has it already."""
    headers = {"Cache-Control": caching}
    answer = FileResponse(path, media_type=kind, stat_result=path.stat(), headers=headers)
    if _FILES.is_not_modified(answer.headers, request.headers):
        return NotModifiedResponse(answer.headers)
    return answer


def _preview(videos: Videos, request: Request) -> Response:
    preview = videos.preview(request.path_params["name"])
    return Response(preview, media_type="image/webp")


def _picture(videos: Videos, request: Request) -> Response:
    path = videos.folder.picture(request.path_params["name"])
    if path is None:
        raise MissingError(f"{request.path_params['name']}: is no picture that is kept here")
    caching = "private, max-age=31536000, immutable"  # its name is a hash of what it shows
    return _kept(request, path, "image/png", caching)


def _events(videos: Videos) -> Callable[[Request], Any]:
    async def events(_request: Request) -> Response:
        return StreamingResponse(videos.events.listen(), media_type="text/event-stream")

    return events
