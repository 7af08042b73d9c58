"""A process in a control group with a limit of memory (Linux, version 1 or 2), and what it takes.

A group is made below the process's own (version 1) or by systemd-run (version 2); either needs the
right to do so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MIB = 1 << 20
LIMIT, PEAK = "memory.limit_in_bytes", "memory.max_usage_in_bytes"


class UnavailableError(Exception):
    """No group can be made here."""


def _own_group() -> Path:
    """The folder of this process's group in the hierarchy of version 1 that limits memory."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "memory":
            return Path("/sys/fs/cgroup/memory", name.lstrip("/"))
    raise UnavailableError("there is no hierarchy of version 1 that limits memory")


@contextlib.contextmanager
def limited(line: list[str], mib: int) -> Iterator[tuple[list[str], Callable[[], float]]]:
    """The command that runs `line` under a limit, and what tells the group's highest use in MiB,
    the page cache of its files counted; nan where the group is systemd's."""
    if not mib:
        yield line, lambda: float("nan")
        return
    if not Path("/sys/fs/cgroup/memory").exists():
        if not shutil.which("systemd-run"):
            raise UnavailableError(
                "a limit of memory needs systemd-run, or control groups of version 1"
            )
        user = [] if os.geteuid() == 0 else ["--user"]
        properties = ["-p", f"MemoryMax={mib}M", "-p", "MemorySwapMax=0"]
        run = ["systemd-run", "--scope", "--quiet", "--collect", *user, *properties]
        yield [*run, *line], lambda: float("nan")
        return
    group = _own_group() / f"rehearsal-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise UnavailableError(f"{group}: {error.strerror}") from None
    try:
        (group / LIMIT).write_text(f"{mib}M")
        enter = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
        yield (
            ["sh", "-c", enter, "sh", *line],
            lambda: int((group / PEAK).read_text()) / MIB,
        )
    finally:
        for _ in range(100):  # until the last process is reaped
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


# What is watched, and what /proc/PID/status calls it. Private is what no file could give back.
FIELDS = {"private": "RssAnon", "resident": "VmRSS"}


def read(status: Path) -> dict[str, float]:
    """The fields of a process, in MiB."""
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return {name: int(lines[field].split()[0]) / 1024 for name, field in FIELDS.items()}


class Watch:
    """Peaks of a running process, looked at 50 times a second, by the stage it says it is in."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.stage = "open"
        self.peaks: dict[str, dict[str, float]] = {name: {} for name in FIELDS}  # by stage
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        status = Path(f"/proc/{self.process.pid}/status")
        while self.process.poll() is None:
            with contextlib.suppress(OSError, KeyError):
                for name, now in read(status).items():
                    peaks = self.peaks[name]
                    peaks[self.stage] = max(peaks.get(self.stage, 0.0), now)
            time.sleep(0.02)

    def end(self) -> None:
        self.process.wait()
        self._thread.join()
