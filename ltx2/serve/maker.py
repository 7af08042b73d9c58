"""The thread that makes the videos of the queue, one after the other.

A run saves a job file as it goes. So one that the end of the server stopped, however that came,
goes on where it was, and so does one that failed or was cancelled and is tried again.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ltx2 import media
from ltx2.errors import CancelledError, Error, InvalidArgumentError
from ltx2.tensors import DamagedError
from ltx2.time_left import TimeLeft

from .shown import shown
from .store import CANCELLED, DONE, FAILED, MAKING

if TYPE_CHECKING:
    from ltx2.session import Session
    from ltx2.video import Progress, Video

    from .events import Events
    from .folder import Folder
    from .store import Entry, Store

_log = logging.getLogger("ltx2")
_PAUSE = 5.0  # seconds, after which a disk that was full is tried again
_PACE = 0.1  # seconds between two reports of a stage
_MOST_ENDS = 2  # of servers, before what they made is given up
_ENDED = {
    "code": "server_ended",
    "message": f"server: ended {_MOST_ENDS} times while this was made, without a step more; that "
    "may be for lack of memory, and it goes on when it is told to",
}


class Running:
    """A video while it is made."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.stopped = False
        self.progress: Progress | None = None
        self.fraction = 0.0
        """Of the whole run, as its plan has it."""
        self.seconds_left: float | None = entry.plan.get("seconds")
        """As of the last report; before any tells more, as the plan says."""
        self._left: TimeLeft | None = None
        self._died = bool(entry.ended)
        self._told = "", -1, 0.0  # the stage, what was done of it, and when that was told

    def expect(self) -> None:
        """What its plan says. Raises KeyError where that is another version's."""
        self._left = TimeLeft(self.entry.plan)

    def is_first_step(self, progress: Progress) -> bool:
        """Whether it comes further than a server that died, for the first time."""
        last, steps = self.progress, progress.stage == "denoise"
        if self._died and steps and last and last.stage == "denoise" and last.done < progress.done:
            self._died = False
            return True
        return False

    def update(self, progress: Progress) -> bool:
        """Whether that is to be told: the first and the last of a stage, and ten in a second."""
        self.progress = progress
        if self._left and (done := self._left.done(progress)) is not None:
            self.fraction = max(self.fraction, done)
            self.seconds_left = self._left.at(progress)
        (stage, done_before, when), now = self._told, time.monotonic()
        is_edge = progress.stage != stage or progress.done == progress.total
        if (progress.stage, progress.done) == (stage, done_before):
            return False
        if not is_edge and now < when + _PACE:
            return False
        self._told = progress.stage, progress.done, now
        return True


class Maker(threading.Thread):
    def __init__(
        self, session: Session, store: Store, folder: Folder, events: Events, *, previews: bool
    ) -> None:
        super().__init__(name="ltx2-maker")
        self.running: Running | None = None
        self._session, self._store, self._folder = session, store, folder
        self._events, self._previews = events, previews
        self._something = threading.Event()
        self._telling = threading.Lock()
        self._ending = False

    def wake(self) -> None:
        """There may be something to make."""
        self._something.set()

    def cancel(self, name: str) -> bool:
        """Stop this one, if it is being made; whether it is."""
        running = self.running
        if running is None or running.entry.id != name:
            return False
        running.stopped = True
        return True

    def tell(self, name: str) -> None:
        """Everybody, what has become of this video, or that it is gone; never what it was. Where
        that cannot be read it is not told: what was to be done is done all the same."""
        with self._telling, suppress(sqlite3.Error):
            if entry := self._store.get(name):
                self._events.send("video", self.shown(entry))
            else:
                self._events.send("deleted", {"id": name})

    def shown(self, entry: Entry) -> dict[str, Any]:
        return shown(entry, self._folder, self.running, self._session._model)

    def end(self) -> None:
        """What is being made stops, and goes on in the next server; so does the thread."""
        self._ending = True
        self.wake()

    def run(self) -> None:
        while True:
            self._something.clear()  # before anything is looked at, so that nothing is missed
            if self._ending:
                return
            try:
                entry = self._store.next()
                if entry is None:
                    self._something.wait()
                else:
                    self._make(entry)
            except Exception as error:  # of the queue, as on a full disk: nothing else can be done
                _log.error("serve: %s; it is tried again", str(error) or type(error).__name__)
                self._something.wait(_PAUSE)

    def _make(self, entry: Entry) -> None:
        running = self.running = Running(entry)
        try:
            status, error = self._outcome(entry, running)
        finally:
            self.running = None
        if status == CANCELLED and not running.stopped:
            return  # the server ends, and the next one goes on
        taken = running.stopped or self._store.finish(entry.id, status, error) is None
        with suppress(OSError):  # what cannot be removed now goes as the next server begins
            if taken:
                self._clear(entry)
            elif status == DONE:
                self._folder.drop_job(entry.id)
        self.tell(entry.id)

    def _outcome(self, entry: Entry, running: Running) -> tuple[str, dict[str, str] | None]:
        now = self._store.get(entry.id)
        if now is None or now.status != MAKING:  # since before `cancel` could know that it runs
            running.stopped = True
            return CANCELLED, None
        try:
            running.expect()
            self.tell(entry.id)
            if self._folder.clip(entry.file) is None:  # the last server may have come to that
                if entry.ended >= _MOST_ENDS:
                    return FAILED, _ENDED
                self._video(entry, running).save(self._folder.path / entry.file)
        except CancelledError:
            return CANCELLED, None
        except Exception as problem:
            _log.warning("serve: %s: %s", entry.id, problem)
            return FAILED, _about(problem)
        return DONE, None

    def _clear(self, entry: Entry) -> None:
        """It was cancelled or deleted meanwhile."""
        self._folder.drop_clip(entry.file)  # it may have come to its end all the same
        if self._store.get(entry.id) is None:
            self._folder.drop_job(entry.id)

    def _video(self, entry: Entry, running: Running) -> Video:
        def progress(now: Progress) -> None:
            if running.stopped or self._ending:
                raise CancelledError("cancelled")
            with suppress(sqlite3.Error):
                if running.is_first_step(now):
                    self._store.stepped(entry.id)
            if running.update(now):
                self.tell(entry.id)

        job = self._folder.job(entry.id)
        watching: dict[str, Any] = {"progress": progress}
        if self._previews:
            watching["preview"] = self._preview(entry)
        if job.exists():
            try:
                return self._session.resume(job, **watching)
            except DamagedError as error:  # else, as of another model, it can go on later
                _log.warning("serve: %s; it is made from the beginning", error)
                self._folder.set_job_aside(entry.id)
        wanted = {**entry.asked.options, **watching, "job": (job, self._folder.path / entry.file)}
        if entry.asked.picture is None:
            return self._session.t2v(entry.asked.prompt, **wanted)
        picture = self._folder.picture(entry.asked.picture)
        if picture is None:
            raise InvalidArgumentError(f"picture: {entry.asked.picture} is no longer there")
        return self._session.i2v(entry.asked.prompt, picture, **wanted)

    def _preview(self, entry: Entry) -> Any:
        twice = 2 ** max(entry.asked.options.get("temporal_upscalings") or 0, 0)  # only at the end
        fps = entry.plan["fps"] / twice
        rate = fps * (entry.plan["frames"] > 1) / 8 or 1  # of latent frames
        write = media.preview_writer(self._folder.preview(entry.id), rate)

        def preview(pictures: Any) -> None:
            with suppress(OSError):  # the clip matters more
                write(pictures)
            self.tell(entry.id)

        return preview


def _about(error: Exception) -> dict[str, str]:
    """As OpenAI has it; the code is the name of the exception."""
    code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
    is_ours = isinstance(error, (Error, OSError)) and str(error)
    return {"code": code, "message": str(error) if is_ours else repr(error)}
