"""The command line: `ltx2` is in the shell what it is in Python, with the same names.

stdout carries the answer alone (the path of what was written, or JSON); progress, warnings and
errors go to stderr. Exit codes are `EXIT_CODES`, and those of `_process` for signals.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING

import click

import ltx2

from ._process import say
from .commands import clips, doctor, files, generate, jobs, serve, weights

if TYPE_CHECKING:
    from collections.abc import Sequence

# The first class that fits counts.
EXIT_CODES: dict[type[BaseException], int] = {
    click.ClickException: 2,
    ltx2.InvalidArgumentError: 2,
    ltx2.ModelError: 3,
    ltx2.OutOfMemoryError: 4,
    MemoryError: 4,
    ltx2.DeviceError: 5,
    OSError: 6,
    click.Abort: 130,
    KeyboardInterrupt: 130,
    ltx2.CancelledError: 130,
    SystemExit: 141,  # Click's, where the reader of stdout has left
    ltx2.InternalError: 70,
    Exception: 70,  # a defect too
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ltx2.__version__, prog_name="ltx2")
def cli() -> None:
    """Video from a prompt, and from a prompt and images, with LTX-2.3."""
    log = logging.getLogger("ltx2")
    log.handlers = [_Said()]
    log.setLevel(logging.WARNING)


for _command in (
    generate.t2v, generate.i2v, generate.decode, generate.plan,
    clips.v2v, clips.a2v, clips.retake, clips.extend, clips.upscale,
    jobs.resume, jobs.replay, jobs.encode,
    files.info, files.convert, files.devices,
    weights.pull, weights.list_, doctor.doctor, serve.serve,
):  # fmt: skip
    cli.add_command(_command)


class _Said(logging.Handler):
    """Messages on stderr; a warning once, though a trial and the work itself both give it."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if text in self.warnings:
                return
            self.warnings.add(text)
        say(text)


def _words(error: BaseException) -> str:
    """One line for what went wrong."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, (KeyboardInterrupt, click.Abort, ltx2.CancelledError)):
        text = "cancelled"
    else:
        text = _text(error)
    return " ".join(text.split())


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # the exception's own
        return type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = cli.main(given or ["--help"], prog_name="ltx2", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except tuple(EXIT_CODES) as error:
        kind = next(kind for kind in EXIT_CODES if isinstance(error, kind))
        if kind is Exception:
            _say_defect(error)
        elif kind is not SystemExit:
            say(_words(error))
        return EXIT_CODES[kind]


def _say_defect(error: BaseException) -> None:
    """What nothing here expected; where it happened stands there with -v."""
    if logging.getLogger("ltx2").isEnabledFor(logging.INFO):
        for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
            say(line)
    say(f"internal: {type(error).__name__}: {_words(error)}; please report it")
