"""What commands share: how they answer, and how work under way is shown."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from ltx2 import _process
from ltx2._process import say
from ltx2.text import json_line, visible

from . import plans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ltx2.video import Progress

_OF_BYTES = {"convert", "download", "verify"}  # the stages that count them

json_flag = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


def parse_lora(argument: str) -> tuple[str, float]:
    """FILE[:STRENGTH]; a file of that whole name wins."""
    match = re.fullmatch(r"(.+):([-+]?(?:\d+\.?\d*|\.\d+))", argument)
    if match is None or os.path.lexists(argument):
        return argument, 1.0
    return match[1], float(match[2])


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


class Bars:
    """One bar per stage on stderr, if that is a terminal; `title` is said when the work begins."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.stage = ""
        self.bar: tqdm[Any] | None = None
        self.left: plans.TimeLeft | None = None
        self.written = ""  # the stage whose text stands in place of its bar

    def expect(self, plan: dict[str, Any]) -> None:
        """A run that takes long begins with what it will take, and shows what is left of that."""
        if plan["seconds"] > plans.LONG:
            self._say_title()
            say(plans.summary(plan))
            self.left = plans.TimeLeft(plan)

    def _say_title(self) -> None:
        title, self.title = self.title, ""
        if title:
            say(title)

    def show(self, progress: Progress) -> None:
        _process.check()
        self._say_title()
        with contextlib.suppress(OSError):  # a terminal that was closed
            if sys.stderr and sys.stderr.isatty():
                self._draw(progress)

    def write(self, text: str) -> None:
        """What a stage writes, on a terminal, in place of its bar."""
        with contextlib.suppress(OSError):
            if sys.stderr and sys.stderr.isatty():
                if self.written != self.stage:
                    self.close()
                self.written = self.stage
                sys.stderr.write(visible(text))
                sys.stderr.flush()

    def _draw(self, progress: Progress) -> None:
        if progress.stage == self.written:
            return
        if self.bar is None or progress.stage != self.stage:
            self.close()
            self.stage = progress.stage
            unit: dict[str, Any] = {}
            if progress.stage in _OF_BYTES:  # what is there at the start took no time
                unit = {"unit": "B", "unit_scale": True, "initial": progress.done}
            self.bar = tqdm(
                desc=f"{progress.stage:>7}", total=progress.total, file=sys.stderr, **unit
            )
        self.bar.total = progress.total
        self.bar.n = progress.done
        left = self.left.at(progress) if self.left else None
        if left is not None:
            self.bar.set_postfix_str(f"{plans.clock(left)} left in all", refresh=False)
        self.bar.refresh()

    def close(self) -> None:
        bar, self.bar = self.bar, None
        written, self.written = self.written, ""
        with contextlib.suppress(OSError):
            if bar is not None:
                bar.close()
            if written:
                sys.stderr.write("\n")
