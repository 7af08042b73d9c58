"""The door to Dask, whose scheduler gives jobs to workers on many machines.

Nothing of it is imported but to connect: a process that is no worker of it need not have it.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from .errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from .video import Progress


class DroppedError(Exception):
    """Nobody waits for the job any more."""


def connect(address: str) -> Any:
    """A client of the scheduler there, to be closed. Raises InvalidArgumentError, OSError."""
    if not address:  # Dask would start one of its own
        raise InvalidArgumentError("scheduler: is named by nothing; give its address")
    try:
        import distributed
    except ImportError:
        raise InvalidArgumentError(
            "scheduler: needs Dask; `pip install 'ltx2[dask]'` brings it"
        ) from None
    try:
        return distributed.Client(address, set_as_default=False)
    except ValueError as error:  # no address
        raise InvalidArgumentError(f"scheduler: {address}: {error}") from None


def place() -> str:
    """The worker that this process is, or the process."""
    worker = _worker()
    return str(worker.address) if worker else f"{platform.node()}, process {os.getpid()}"


def stopper() -> Callable[[Progress], None] | None:
    """A progress function that ends the job of this thread when its client cancels it or leaves.

    Dask itself lets what has begun go on to its end.
    """
    worker = _worker()
    if worker is None:
        return None
    key = worker.get_current_task()

    def stop(_progress: Progress) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise DroppedError

    return stop


def elsewhere(executor: Executor, failed_at: Sequence[str]) -> dict[str, Any]:
    """What `executor.submit` is told besides, for a job that failed at some places."""
    client = getattr(executor, "_client", None)
    if not type(executor).__module__.startswith("distributed.") or client is None:
        return {}
    others = [address for address in client.nthreads() if address not in failed_at]
    kept: dict[str, Any] = {"pure": False}  # else an earlier result would stand in
    if failed_at and others:
        kept |= {"workers": others, "allow_other_workers": True}
    return kept


def gave_up(error: BaseException) -> bool:
    """Whether Dask has tried, and each worker that ran the job has died."""
    return type(error).__module__.startswith("distributed.") and "Killed" in type(error).__name__


def _worker() -> Any:
    """Dask's, where this thread works for one."""
    distributed = sys.modules.get("distributed")
    try:
        return distributed.get_worker() if distributed else None
    except ValueError:
        return None
