"""The command line: `ltx2` is in the shell what it is in Python, with the same names.

stdout carries the answer alone (the path of what was written, or JSON); progress, warnings and
errors go to stderr. With --json an error is an object on stdout too. Exit codes are `EXIT_CODES`,
and those of `_process` for signals.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING

import click

import ltx2

from . import _process
from ._process import say
from .commands import (
    batch,
    clips,
    demo,
    doctor,
    failures,
    files,
    generate,
    jobs,
    serve,
    weights,
)
from .commands.failures import EXIT_CODES
from .commands.terminal import Said
from .text import json_line

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ltx2.__version__, prog_name="ltx2")
@click.pass_context
def cli(context: click.Context) -> None:
    """Video from a prompt, and from a prompt and images, with LTX-2."""
    context.obj = said = Said()
    log = logging.getLogger("ltx2")
    log.handlers = [said]
    log.setLevel(logging.INFO)


for _command in (
    generate.t2v, generate.i2v, generate.decode, generate.plan,
    clips.v2v, clips.a2v, clips.retake, clips.extend, clips.upscale,
    jobs.resume, jobs.replay, jobs.encode, batch.batch,
    files.info, files.convert, files.devices,
    weights.pull, weights.list_, doctor.doctor, demo.demo, serve.serve,
):  # fmt: skip
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = cli.main(given or ["--help"], prog_name="ltx2", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except tuple(EXIT_CODES) as error:
        kind = failures.kind_of(error)
        if kind is SystemExit:
            return EXIT_CODES[kind] if "_LTX2_COMPLETE" not in os.environ else 0
        failures.say_where(error)
        say(failures.words(error))
        if "--json" in given:  # also where the command line could not be read
            code = 128 + _process.ended_by if _process.ended_by else EXIT_CODES[kind]
            with contextlib.suppress(OSError):  # what it is about, perhaps
                click.echo(json_line(failures.about(error, code)))
        return EXIT_CODES[kind]
