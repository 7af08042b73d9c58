"""How a plan is said, and what it tells of the time that is left."""

from __future__ import annotations

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
    yield f"{plan['width']}x{plan['height']}, {plan['frames']} frames, {steps}{passes}"
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


class TimeLeft:
    """Of a run with a plan, which says what part of it is done; the clock says how fast it goes."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.stages: dict[str, float] = {s["stage"]: s["seconds"] for s in plan["stages"]}
        self.began = time.monotonic()

    def at(self, progress: Progress) -> float | None:
        """Seconds; None while it cannot be told."""
        names = list(self.stages)
        if progress.stage not in names or not progress.total:
            return None
        before = names[: names.index(progress.stage)]
        done = sum(self.stages[name] for name in before)
        done += self.stages[progress.stage] * progress.done / progress.total
        total = sum(self.stages.values())
        if done < total / 100:  # too early to know more than the plan
            return total - done
        return (time.monotonic() - self.began) * (total - done) / done
