"""The queue, in an SQLite file: which videos were asked for, and what became of them.

Each change is on the disk before anybody is told of it. The file is locked as long as the server
lives, so that two never make the same video; the system unlocks it however the server ends.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ltx2.errors import InvalidArgumentError

from .asked import Asked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from typing_extensions import Self

QUEUED, MAKING, DONE = "queued", "in_progress", "completed"  # OpenAI's words
FAILED, CANCELLED = "failed", "cancelled"
WAITING = (QUEUED, MAKING)
STATUSES = (*WAITING, DONE, FAILED, CANCELLED)

_VERSION = 2
_TABLE = """
CREATE TABLE videos (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    completed_at REAL,
    file TEXT NOT NULL UNIQUE,
    prompt TEXT NOT NULL,
    options TEXT NOT NULL,
    picture TEXT,
    plan TEXT NOT NULL,
    error TEXT
)
"""
_ENDED = "ALTER TABLE videos ADD COLUMN ended INTEGER NOT NULL DEFAULT 0"  # since version 2
_COLUMNS = (
    "id, status, created_at, completed_at, file, prompt, options, picture, plan, error, ended"
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A video: one that is asked for, or a file that was there."""

    id: str
    file: str
    """The name in the folder, of what is or will be there."""
    asked: Asked
    plan: dict[str, Any] = field(default_factory=dict)
    """What `Session.plan` said; of a file that was there, nothing."""
    status: str = QUEUED
    created_at: float = 0
    completed_at: float | None = None
    error: dict[str, str] | None = None
    ended: int = 0
    """How many servers died while they made it, since a step was last saved."""

    @staticmethod
    def new(asked: Asked, plan: dict[str, Any]) -> Entry:
        name = f"video_{secrets.token_hex(12)}"
        return Entry(name, f"{name}.mp4", asked, plan, created_at=time.time())

    @staticmethod
    def found(file: str, asked: Asked, when: float) -> Entry:
        return Entry(
            f"video_{secrets.token_hex(12)}", file, asked, status=DONE, created_at=when,
            completed_at=when,
        )  # fmt: skip


class Store:
    """Any thread may call it. Raises sqlite3.Error, as where the disk is full."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=0, isolation_level=None,
                                         check_same_thread=False)  # fmt: skip
        try:
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            words = f"{path}: is no queue that can be used: {error}; move it to another place"
            if "locked" in str(error):
                words = f"{path.parent}: another server works there; give another folder"
            raise InvalidArgumentError(words) from None
        self._count_end(1)

    def _open(self) -> None:
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA synchronous = FULL")
        with self._change():
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version not in range(_VERSION + 1):
                raise sqlite3.DatabaseError(f"of another version of ltx2, its format is {version}")
            if version == 0:
                self._database.execute(_TABLE)
            if version < _VERSION:
                self._database.execute(_ENDED)
                self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def _count_end(self, change: int) -> None:
        """Of what is being made: one more as a server begins, one less as it ends, so that those
        stay which did not come to that. On a full disk nothing is counted."""
        with suppress(sqlite3.Error), self._change():
            query = "UPDATE videos SET ended = ended + ? WHERE status = ?"
            self._database.execute(query, (change, MAKING))

    @contextmanager
    def _change(self) -> Iterator[None]:
        """All of it, or nothing."""
        with self._lock:
            self._database.execute("BEGIN EXCLUSIVE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # it may have done so itself
                    self._database.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self._count_end(-1)
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def add(self, entry: Entry) -> None:
        values = (
            entry.id, entry.status, entry.created_at, entry.completed_at, entry.file,
            entry.asked.prompt, json.dumps(entry.asked.options), entry.asked.picture,
            json.dumps(entry.plan), entry.error and json.dumps(entry.error), entry.ended,
        )  # fmt: skip
        places = ", ".join("?" * len(values))
        with self._change():
            self._database.execute(f"INSERT INTO videos ({_COLUMNS}) VALUES ({places})", values)

    def get(self, name: str) -> Entry | None:
        return next(iter(self._select("WHERE id = ?", (name,))), None)

    def listed(
        self,
        statuses: Collection[str] = STATUSES,
        after: str | None = None,
        limit: int = -1,
        oldest_first: bool = False,
    ) -> list[Entry]:
        """In the order in which they were asked for; `after` is an id that is left behind."""
        order, sign = ("ASC", ">") if oldest_first else ("DESC", "<")
        where = f"WHERE status IN ({', '.join('?' * len(statuses))})"
        values: list[Any] = [*statuses]
        if after is not None:
            where += f" AND (created_at, number) {sign} "
            where += "(SELECT created_at, number FROM videos WHERE id = ?)"
            values.append(after)
        where += f" ORDER BY created_at {order}, number {order} LIMIT ?"
        return self._select(where, (*values, limit))

    def _select(self, where: str, values: tuple[Any, ...]) -> list[Entry]:
        with self._lock:
            return self._rows(where, values)

    def _rows(self, where: str, values: tuple[Any, ...]) -> list[Entry]:
        rows = self._database.execute(f"SELECT {_COLUMNS} FROM videos {where}", values)
        return [_entry(*row) for row in rows]

    def files(self) -> dict[str, str]:
        """Of every video: the name of its file, and its status."""
        with self._lock:
            return dict(self._database.execute("SELECT file, status FROM videos"))

    def count(self, statuses: Collection[str]) -> int:
        where = f"WHERE status IN ({', '.join('?' * len(statuses))})"
        with self._lock:
            query = f"SELECT count(*) FROM videos {where}"
            return int(self._database.execute(query, [*statuses]).fetchone()[0])

    def uses(self, picture: str) -> bool:
        """Whether a video is made from this picture."""
        return bool(self._select("WHERE picture = ? LIMIT 1", (picture,)))

    def next(self) -> Entry | None:
        """The one that has waited longest; it is being made from now on. First comes what was
        being made before, and was not finished."""
        order = f"ORDER BY status = '{MAKING}' DESC, number LIMIT 1"
        with self._change():
            found = self._rows(f"WHERE status IN (?, ?) {order}", WAITING)
            for entry in found:
                self._set("status = ?", (MAKING,), entry.id)
        return replace(found[0], status=MAKING) if found else None

    def finish(self, name: str, status: str, error: dict[str, str] | None = None) -> Entry | None:
        """What became of it, if nothing has yet; None then."""
        values = (status, error and json.dumps(error), time.time())
        return self._move(name, WAITING, "status = ?, error = ?, completed_at = ?", values)

    def requeue(self, name: str) -> Entry | None:
        """One that failed or was cancelled waits again; None where it is neither."""
        change = "status = ?, error = NULL, completed_at = NULL, ended = 0"
        return self._move(name, (FAILED, CANCELLED), change, (QUEUED,))

    def stepped(self, name: str) -> None:
        """A further step of it is saved."""
        with self._change():
            self._set("ended = 0", (), name)

    def _move(
        self, name: str, statuses: Collection[str], change: str, values: tuple[Any, ...]
    ) -> Entry | None:
        with self._change():
            found = self._rows("WHERE id = ?", (name,))
            if not found or found[0].status not in statuses:
                return None
            self._set(change, values, name)
            return self._rows("WHERE id = ?", (name,))[0]

    def _set(self, change: str, values: tuple[Any, ...], name: str) -> None:
        self._database.execute(f"UPDATE videos SET {change} WHERE id = ?", (*values, name))

    def remove(self, file: str) -> None:
        with self._change():
            self._database.execute("DELETE FROM videos WHERE file = ?", (file,))


def _entry(*row: Any) -> Entry:
    name, status, created_at, completed_at, file, prompt, options, picture, plan, *rest = row
    error, ended = rest
    return Entry(
        name, file, Asked(prompt, json.loads(options), picture), json.loads(plan), status,
        created_at, completed_at, error and json.loads(error), ended,
    )  # fmt: skip
