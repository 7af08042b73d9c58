"""What a plan tells of the time that is left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .video import Progress


class TimeLeft:
    """Of a run with a plan, which says what part of it is done; the clock says how fast it goes."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.stages: list[tuple[str, float]] = [
            (stage["stage"], stage["seconds"]) for stage in plan["stages"]
        ]
        self.whole = sum(seconds for _, seconds in self.stages)
        self.index = -1  # of the stage that is under way
        self.first: float | None = None  # what was done at the first report, by another run
        self.began = 0.0  # when that came: the plan has no time for what is before it, as loading

    def done(self, progress: Progress) -> float | None:
        """Which part of the run, 0 to 1; None while it cannot be told."""
        index = self._index_of(progress.stage)
        if index is None or not progress.total:
            return None
        self.index = index
        done = sum(seconds for _, seconds in self.stages[:index])
        done += self.stages[index][1] * progress.done / progress.total
        done /= self.whole
        if self.first is None:
            self.first, self.began = done, time.monotonic()
        return done

    def _index_of(self, stage: str) -> int | None:
        """The next of that name, since a run may come to a stage several times."""
        names = [name for name, _ in self.stages]
        if self.index >= 0 and names[self.index] == stage:
            return self.index
        for begin in (self.index + 1, 0):
            if stage in names[begin:]:
                return names.index(stage, begin)
        return None

    def at(self, progress: Progress) -> float | None:
        """Seconds; None while it cannot be told."""
        done = self.done(progress)
        if done is None or self.first is None:
            return None
        made = done - self.first
        if made < 0.01:  # too early to know more than the plan
            return (1 - done) * self.whole
        return (time.monotonic() - self.began) * (1 - done) / made
