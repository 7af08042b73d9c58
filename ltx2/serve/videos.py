"""What can be done with the videos of a server; `app` says it in HTTP."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from ltx2.errors import Error, InvalidArgumentError

from .asked import Asked, asked, picture_bytes
from .folder import KINDS_OF_CLIPS
from .store import CANCELLED, DONE, STATUSES, WAITING, Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from ltx2.session import Session

    from .events import Events
    from .folder import Folder
    from .maker import Maker
    from .store import Store

_MOST_WAITING = 1000


class MissingError(Error):
    """There is no such video."""


class FullError(Error):
    """More than that many videos may not wait."""


class Videos:
    """Any thread may call it. `planner` is a session of its own: the maker's is busy."""

    def __init__(
        self, planner: Session, store: Store, folder: Folder, maker: Maker, events: Events
    ) -> None:
        self.folder, self.events = folder, events
        self._planner, self._store, self._maker = planner, store, maker
        self._adopting, self._picturing = threading.Lock(), threading.Lock()
        self._strange: set[tuple[str, float]] = set()  # files that say nothing, and their times
        # Before the first video, for while one is made a machine seems slower than it is.
        self._usual = planner.plan("a video")
        with suppress(OSError, sqlite3.Error, Error):  # as of a full disk: it can wait
            self._tidy()

    def model(self) -> dict[str, Any]:
        usual = {name: self._usual[name] for name in ("width", "height", "frames", "fps", "steps")}
        return {
            "id": self._planner._model,
            "object": "model",
            "created": 0,
            "owned_by": "ltx2",
            "title": self._planner.model,
            "defaults": usual,
        }

    def create(self, fields: Mapping[str, Any], picture: bytes | None) -> dict[str, Any]:
        """Into the queue. Raises InvalidArgumentError for what Session would refuse."""
        with self._asked(fields, picture) as wanted:
            plan = self._plan(wanted)
            if self._store.count(WAITING) >= _MOST_WAITING:
                raise FullError(f"queue: {_MOST_WAITING} videos wait already")
            entry = Entry.new(wanted, plan)
            self._store.add(entry)
        self._maker.tell(entry.id)
        self._maker.wake()
        return self._maker.shown(entry)

    def plan(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What it would take, as `Session.plan` has it; a prompt is not needed for that."""
        with self._asked({"prompt": "a video", **fields}, None) as wanted:
            return self._plan(wanted)

    def _plan(self, wanted: Asked) -> dict[str, Any]:
        picture = self._picture(wanted.picture) if wanted.picture else None
        return self._planner.plan(wanted.prompt, picture, **wanted.options)

    @contextmanager
    def _asked(self, fields: Mapping[str, Any], picture: bytes | None) -> Iterator[Asked]:
        """Its picture stays if a video of the queue is made from it when the block ends; until then
        no other request removes it."""
        given: bytes | str | None = picture
        if given is None:
            given = picture_bytes(fields.get("input_reference"))
        with self._picturing if given is not None else nullcontext():
            is_new = False
            if isinstance(given, bytes):
                given, is_new = self.folder.keep_picture(given)
            try:
                yield asked(fields, given, self._planner._model, self._usual["fps"])
            finally:
                if given is not None and is_new and not self._store.uses(given):
                    self.folder.drop_picture(given)

    def _picture(self, name: str) -> Path:
        found = self.folder.picture(name)
        if found is None:
            raise InvalidArgumentError(f"input_reference: {name!r} is no picture that is kept here")
        return found

    def listed(
        self, statuses: Collection[str], after: str | None, limit: int, *, oldest_first: bool
    ) -> dict[str, Any]:
        if unknown := [status for status in statuses if status not in STATUSES]:
            words = f"status: {unknown[0]!r} is none of {', '.join(STATUSES)}"
            raise InvalidArgumentError(words)
        with suppress(sqlite3.Error):  # as of a full disk: what is known is listed all the same
            self._adopt()
        if after is not None:
            self._entry(after)
        found = self._store.listed(statuses or STATUSES, after, limit + 1, oldest_first)
        data = [self._maker.shown(entry) for entry in found[:limit]]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": len(found) > limit,
        }

    def _adopt(self) -> None:
        """The folder is right: what was put there is listed, what was taken away no longer."""
        with self._adopting:
            known = self._store.files()  # before, since what is done then has its clip
            clips = self.folder.clips()
            gone = [name for name in known.keys() - clips.keys() if known[name] == DONE]
            for name in gone:
                self._store.remove(name)
            if gone:
                self._drop_pictures()
            known = self._store.files()  # and after, since what has a clip was asked for before
            new = {name: when for name, when in clips.items() if name not in known}
            for name, when in sorted(new.items() - self._strange, key=lambda item: item[1]):
                if found := self._found(name):
                    self._store.add(Entry.found(name, found, when))
                else:
                    self._strange.add((name, when))

    def _tidy(self) -> None:
        """What could not be removed when it was no longer needed."""
        self._adopt()  # before pictures go that new clips name
        self._drop_pictures()
        for name in self.folder.jobs():
            if (entry := self._store.get(name)) and entry.status == DONE:
                self.folder.drop_job(name)

    def _drop_pictures(self) -> None:
        """Those that no video is made from; where that fails, the next server does it."""
        with self._picturing, suppress(OSError):
            for name in self.folder.pictures():
                if not self._store.uses(name):
                    self.folder.drop_picture(name)

    def _found(self, name: str) -> Asked | None:
        """What a clip was made of, if it says so."""
        with suppress(InvalidArgumentError):
            about, again = self.folder.about(name)
            if isinstance(about.get("prompt"), str):
                return again or Asked(about["prompt"], {})
        return None

    def get(self, name: str) -> dict[str, Any]:
        return self._maker.shown(self._entry(name))

    def cancel(self, name: str) -> dict[str, Any]:
        """It stops, or is not begun; one that is done stays as it is."""
        entry = self._entry(name)
        if entry.status not in WAITING:
            raise InvalidArgumentError(f"{name}: is {entry.status}")
        if self._store.finish(name, CANCELLED):
            self._maker.cancel(name)
            self._maker.tell(name)
        return self.get(name)

    def retry(self, name: str) -> dict[str, Any]:
        """One that failed or was cancelled waits again, and goes on where it was."""
        entry = self._entry(name)
        if not self._store.requeue(name):
            raise InvalidArgumentError(f"{name}: is {entry.status}")
        self._maker.tell(name)
        self._maker.wake()
        return self.get(name)

    def delete(self, name: str) -> dict[str, Any]:
        """With its clip, and what else was kept for it."""
        entry = self._entry(name)
        self.folder.drop_clip(entry.file)  # first: on a full disk that makes room for the rest
        self._store.remove(entry.file)
        if not self._maker.cancel(name):  # else that does so
            self.folder.drop_job(name)
        if entry.asked.picture:
            self._drop_pictures()
        self._maker.tell(name)
        return {"id": name, "object": "video.deleted", "deleted": True}

    def content(self, name: str) -> tuple[Path, str]:
        """The clip, and its type."""
        entry = self._entry(name)
        path = self.folder.clip(entry.file) if entry.status == DONE else None
        if path is None:
            raise MissingError(f"{name}: has no clip; it is {entry.status}")
        return path, KINDS_OF_CLIPS[path.suffix.lower()]

    def preview(self, name: str) -> bytes:
        """At once: another takes its place, and it goes when the clip is there."""
        with suppress(FileNotFoundError):
            return self.folder.preview(self._entry(name).id).read_bytes()
        raise MissingError(f"{name}: has no preview")

    def _entry(self, name: str) -> Entry:
        entry = self._store.get(name)
        if entry is None:
            raise MissingError(f"{name}: is no video of this server")
        return entry
