"""A file of what took how long in a call, in the format that Perfetto opens.

https://ui.perfetto.dev, or `chrome://tracing`; the format is Chrome's trace events, as JSON.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

from . import writer

if TYPE_CHECKING:
    from .model_files import StrPath

_log = logging.getLogger("ltx2")
_TRACKS = ("stage", "graph", "node")  # from top to bottom


class Profile:
    """The spans of the runs of one call."""

    def __init__(self, path: StrPath) -> None:
        """Refuses now a path that could not be written to."""
        writer.check(path)
        self._path = path
        self._began = self._run_began = time.monotonic()
        self._events = [
            json.dumps(
                {"name": "thread_name", "ph": "M", "pid": 1, "tid": i, "args": {"name": kind}}
            )
            for i, kind in enumerate(_TRACKS, 1)
        ]

    def begin(self) -> None:
        """A run of the library's, whose spans count from here."""
        self._run_began = time.monotonic()

    def add(self, kind: str, name: str, begin: float, seconds: float) -> None:
        event = {
            "name": name,
            "ph": "X",
            "pid": 1,
            "tid": 1 + _TRACKS.index(kind),
            "ts": round(1e6 * (self._run_began - self._began + begin), 1),
            "dur": round(1e6 * seconds, 1),
        }
        self._events.append(json.dumps(event))

    def save(self) -> None:
        """What there is; a disk that is full does not end the call."""
        try:
            with writer.new_file(self._path) as temporary:
                text = '{"traceEvents": [\n' + ",\n".join(self._events) + "\n]}\n"
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            _log.warning("profile: %s", error)
