"""What commands share: how they answer, and how work under way is shown."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from ltx2 import _process, runs
from ltx2._process import say
from ltx2.errors import InvalidArgumentError
from ltx2.text import json_line, visible
from ltx2.time_left import TimeLeft

from . import plans

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ltx2.model_files import StrPath
    from ltx2.video import Progress

_OF_BYTES = {"convert", "download", "verify"}  # the stages that count them

json_flag = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


def parse_lora(argument: str) -> tuple[str, float]:
    """FILE[:STRENGTH]; a file of that whole name wins."""
    match = re.fullmatch(r"(.+):([-+]?(?:\d+\.?\d*|\.\d+))", argument)
    if match is None or os.path.lexists(argument):
        return argument, 1.0
    return match[1], float(match[2])


def parse_loras(arguments: Sequence[str]) -> dict[StrPath, float]:
    """Strengths by file. Raises InvalidArgumentError for a file that is there twice."""
    loras: dict[StrPath, float] = dict(map(parse_lora, arguments))
    if len(set(map(os.path.realpath, loras))) < len(arguments):
        raise InvalidArgumentError(f"loras: {', '.join(arguments)}: one of them is given twice")
    return loras


def answer(output: str, metadata: Mapping[str, Any], as_json: bool) -> None:
    """What was written, on stdout: the path as it is, or, on a terminal, as it can be shown."""
    if as_json:
        click.echo(json_line({"output": output, **metadata}))
    elif sys.stdout and sys.stdout.isatty():
        click.echo(visible(output))
    else:
        click.echo(os.fsencode(output))


def answer_paths(paths: Sequence[Path], about: Mapping[str, Any], as_json: bool) -> None:
    """As `answer`, for what lies at several paths, a line each."""
    if as_json:
        click.echo(json_line({**about, "paths": list(map(str, paths))}))
        return
    for path in paths:
        answer(str(path), {}, as_json=False)


class Said(logging.Handler):
    """Messages on stderr: warnings, with -v more, and unless -q the line that begins a run.

    A warning stands there once, though a trial and the work itself both give it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.quiet = self.verbose = False
        self.cost = ""  # what the run takes that begins, if that is worth a word
        self.warnings: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == runs.log.name:
            return not self.quiet
        text = record.getMessage()
        if record.levelno < logging.WARNING:
            return self.verbose
        known = text in self.warnings
        self.warnings.add(text)
        return not known

    def emit(self, record: logging.LogRecord) -> None:
        begins = record.name == runs.log.name
        say(record.getMessage() + (f"; {self.cost}" if begins and self.cost else ""))


def said() -> Said:
    """That of the command which runs."""
    return click.get_current_context().ensure_object(Said)


def can_answer() -> bool:
    """Whether someone sits there."""
    return bool(sys.stdin and sys.stdin.isatty())


class ProgressLine:
    """How far a run is, in one line of stderr if that is a terminal: the stage, its rate, and the
    time that is left.

    Of a run with a plan the bar is the whole run; else each stage fills it anew.
    """

    def __init__(self) -> None:
        self.quiet = said().quiet  # now: reports may come from other threads
        self.times = plans.StageTimes()
        self.left: TimeLeft | None = None
        self.planning = False  # now: what is told meanwhile is none of the run
        self.bar: tqdm[Any] | None = None
        self.written = ""  # the stage whose text stands in place of the bar

    def expect(self, plan: dict[str, Any]) -> None:
        """What the run will take; without it, its stages come one by one."""
        self.left, self.planning = TimeLeft(plan), False

    def show(self, progress: Progress) -> None:
        _process.check()
        if self.planning and progress.stage == "load":
            return
        self.times.at(progress)
        with contextlib.suppress(OSError):  # a terminal that was closed
            if self._is_seen() and progress.stage != self.written:
                self._draw(progress)

    def write(self, text: str) -> None:
        """What a stage writes, on a terminal, in place of the bar."""
        with contextlib.suppress(OSError):
            if self._is_seen():
                if self.written != self.times.stage:
                    self.close()
                self.written = self.times.stage
                sys.stderr.write(visible(text))
                sys.stderr.flush()

    def _is_seen(self) -> bool:
        return not self.quiet and bool(sys.stderr) and sys.stderr.isatty()

    def _draw(self, progress: Progress) -> None:
        figures = ", ".join(self._figures(progress))
        text = f"{progress.stage:>7} {{percentage:3.0f}}%|{{bar}}| {figures}"
        if self.bar is None:
            self.bar = tqdm(total=1.0, file=sys.stderr, dynamic_ncols=True, bar_format=text)
        self.bar.bar_format = text
        done = progress.done / (progress.total or 1)
        if self.left:
            part = self.left.done(progress)
            done = self.bar.n if part is None else part
        self.bar.n = min(1.0, done)
        self.bar.refresh()

    def _figures(self, progress: Progress) -> Iterator[str]:
        in_bytes = progress.stage in _OF_BYTES
        done, total = (
            f"{tqdm.format_sizeof(number)}B" if in_bytes else str(number)
            for number in (progress.done, progress.total)
        )
        yield f"{done}/{total}"
        each = self.times.each(progress)
        if each:
            yield f"{tqdm.format_sizeof(1 / each)}B/s" if in_bytes else plans.pace(each)
        if self.left:
            left = self.left.at(progress)
        else:
            left = each and each * (progress.total - progress.done)
        if left is not None:
            yield f"{plans.clock(left)} left{'' if self.left else ' of this stage'}"

    def close(self) -> None:
        bar, self.bar = self.bar, None
        written, self.written = self.written, ""
        with contextlib.suppress(OSError):
            if bar is not None:
                bar.close()
            if written:
                sys.stderr.write("\n")
