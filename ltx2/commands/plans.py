"""How a plan is said, and how long each stage takes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ltx2.video import Progress

LONG = 30.0  # seconds: what takes longer is announced


def lines(plan: dict[str, Any]) -> Iterator[str]:
    """All that `Session.plan` gave, for people."""
    steps = f"{plan['steps']} steps" if plan["steps"] > 1 else "1 step"
    passes = f" of {plan['passes']} passes" if plan["passes"] > 1 else ""
    recipe = "" if plan["recipe"] == "one-stage" else f", recipe {plan['recipe']}"
    assumed = " assumed, as the prompt will tell" if plan.get("frames_assumed") else ""
    what = f"{plan['width']}x{plan['height']}, {plan['frames']} frames{assumed}"
    yield f"{what}{recipe}, {steps}{passes}"
    for stage in plan["stages"]:
        own, mapped = stage["copied"] + stage["activations"], stage["mapped"]
        yield f"{stage['stage']:>7}: {clock(stage['seconds'])}, {_memory(own, mapped)}"
    memory = plan["memory"]
    yield f"  total: {clock(plan['seconds'])}, {_memory(memory['own'], _mapped(plan))}"
    if "available" in plan:
        fits = "fits" if plan["fits"] else "does not fit"
        yield f"{fits} into {size(plan['available'])}"
    if plan["busy"]:
        yield "other programs are at work: without them it takes less time"
    if "nearest" in plan:
        yield "{frames} frames of {width}x{height} would fit".format(**plan["nearest"])


def summary(plan: dict[str, Any]) -> str:
    busy = " or less, once other programs are done" if plan["busy"] else ""
    memory = _memory(plan["memory"]["own"], _mapped(plan))
    return f"about {clock(plan['seconds'])}{busy}; {memory}"


def _mapped(plan: dict[str, Any]) -> int:
    return max(int(stage["mapped"]) for stage in plan["stages"])


def _memory(own: int, mapped: int) -> str:
    return f"{size(own)} of memory" + (f" and {size(mapped)} of mapped files" if mapped else "")


def size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds; tenths where it is less than ten of them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def pace(seconds: float) -> str:
    """How fast it goes, where one takes so long."""
    return f"{clock(seconds)} each" if seconds >= 1 else f"{1 / seconds:.0f} a second"


class StageTimes:
    """How long each stage of a run takes, by the clock."""

    def __init__(self) -> None:
        self.stage = ""
        self._seconds: dict[str, float] = {}
        self._began = self._last = time.monotonic()
        self._first = 0  # what was done when the stage began, which took no time

    def at(self, progress: Progress) -> None:
        """A report of progress: the time since the last one was the stage's."""
        now = time.monotonic()
        if progress.stage != self.stage:
            self.stage, self._began, self._first = progress.stage, self._last, progress.done
        self._seconds[self.stage] = self._seconds.get(self.stage, 0.0) + now - self._last
        self._last = now

    def each(self, progress: Progress) -> float | None:
        """Seconds for one of those that the stage counts; None while it cannot be told."""
        done = progress.done - self._first
        return (self._last - self._began) / done if done > 0 else None

    def words(self) -> str:
        return ", ".join(f"{stage} {clock(seconds)}" for stage, seconds in self._seconds.items())


def peak_memory() -> int | None:
    """Bytes that this process has had at most, mapped files among them; None: not told here."""
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
