"""A server to be asked, and a session whose videos need no model."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import numpy as np

import ltx2
from ltx2 import tensors
from ltx2.serve import server
from ltx2.video import Progress, Video

STEPS = 4
SIZES = {"width": 64, "height": 64, "frames": 9, "fps": 8.0, "steps": STEPS}
PATIENCE = 120.0  # seconds; a machine may be busy


@dataclass
class Drawing:
    """In place of a session: each step waits until it may be made, and is kept in the job."""

    may: threading.Semaphore = field(default_factory=threading.Semaphore)
    asked: list[dict[str, Any]] = field(default_factory=list)
    fails: BaseException | None = None
    model: str = "drawing"

    @property
    def _model(self) -> str:
        return self.model

    def __enter__(self) -> Drawing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def plan(self, prompt: str, image: Any = None, **options: Any) -> dict[str, Any]:
        about: dict[str, Any] = {name: options.get(name, usual) for name, usual in SIZES.items()}
        if about["width"] % 32:
            raise ltx2.InvalidArgumentError(f"width: {about['width']} is not a multiple of 32")
        stages = [{"stage": "denoise", "seconds": 3.0}, {"stage": "decode", "seconds": 1.0}]
        return {**about, "stages": stages, "seconds": 4.0, "memory": {"own": 1 << 20}}

    def t2v(self, prompt: str, **wanted: Any) -> Video:
        return self._make({"prompt": prompt, **wanted}, 0)

    def i2v(self, prompt: str, image: Path, **wanted: Any) -> Video:
        return self._make({"prompt": prompt, "image": image, **wanted}, 0)

    def resume(self, job: Path, **watching: Any) -> Video:
        about, _ = tensors.read(job, "job")
        if about["model"] != self.model:
            raise ltx2.InvalidArgumentError(f"{job}: was begun with another model")
        return self._make({**about["wanted"], "job": (job, None), **watching}, about["step"])

    def _make(self, wanted: dict[str, Any], begun: int) -> Video:
        self.asked.append({**wanted, "begun": begun})
        plain: dict[str, Any] = {
            name: value for name, value in wanted.items() if isinstance(value, (str, int, float))
        }
        for step in range(begun, STEPS):
            saved = {"wanted": plain, "step": step, "model": self.model}
            tensors.write(wanted["job"][0], "job", saved, {})
            wanted["progress"](Progress("denoise", step, STEPS))
            while not self.may.acquire(timeout=0.01):
                wanted["progress"](Progress("denoise", step, STEPS))
            wanted["preview"](np.full((2, 8, 8, 3), 50 * step, np.uint8))
        wanted["progress"](Progress("denoise", STEPS, STEPS))
        if self.fails:
            raise self.fails
        about = {name: value for name, value in self.plan(**plain).items() if name in SIZES}
        about |= {"seed": wanted["seed"], "prompt": wanted["prompt"]}
        frames = np.zeros((about["frames"], about["height"], about["width"], 3), np.uint8)
        return Video(frames, about["fps"], metadata=about)


def free() -> Drawing:
    """One that never waits."""
    return Drawing(may=threading.Semaphore(10**9))


def slow(steps: int = 0) -> Drawing:
    """One that makes so many steps, and no more until it may."""
    return Drawing(may=threading.Semaphore(steps))


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def words(self) -> str:
        return str(self.json["error"]["message"])


class Client:
    """Of a server at this address, whose token is part of it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.token = parse_qs(parts.query).get("token", [None])[0]

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        given = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        if self.token:
            given.setdefault("Authorization", f"Bearer {self.token}")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def create(self, prompt: str = "a red circle", **fields: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/v1/videos", {"prompt": prompt, **fields})
        assert answer.status == 200, answer.body
        return cast("dict[str, Any]", answer.json)

    def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The video, once that holds of it."""
        end = time.monotonic() + PATIENCE
        while not holds(video := self.get(f"/v1/videos/{name}")):
            assert time.monotonic() < end, video
            assert video["status"] in ("queued", "in_progress"), video
            time.sleep(0.02)
        return cast("dict[str, Any]", video)

    def until_it_is(self, status: str, name: str) -> dict[str, Any]:
        return self.until(name, lambda video: bool(video["status"] == status))

    def listen(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events from now on, until the server ends; none may be long in coming."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        brought = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        connection.request("GET", "/v1/events", headers=brought)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.readline().startswith(b"retry")  # now it listens
        return _events(connection, answer)


def _events(
    connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        kind, last = "", time.monotonic()
        while line := answer.readline():
            assert time.monotonic() < last + PATIENCE
            name, _, value = line.decode().strip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)
                last = time.monotonic()
    finally:
        connection.close()


@contextmanager
def serving(
    folder: Path, session: Drawing | None = None, host: str = "127.0.0.1", **options: Any
) -> Iterator[Client]:
    opened = cast("ltx2.Session", session or free())
    with server.running(lambda: opened, folder, host, **options) as (address, _):
        yield Client(address)
