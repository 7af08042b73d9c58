"""The command that makes many clips: batch."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2._native import sentences
from ltx2._process import say
from ltx2.text import json_line
from ltx2.video import Progress

from . import failures
from .flags import FileName, opening_flags
from .terminal import ProgressLine, answer, said

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ltx2.batch import Outcome


@click.command()
@click.argument("jobs", type=click.File(encoding="utf-8-sig"))
@click.option(
    "-o", "--output", "folder", default=".", metavar="FOLDER", type=FileName(),
    help="Where the clips go; it is made if it is not there. Default: here.",
)  # fmt: skip
@click.option(
    "--scheduler", metavar="ADDRESS",
    help="Of a Dask cluster, whose workers make the clips, as tcp://HOST:8786. They and this "
    "machine see the same files under the same paths.",
)  # fmt: skip
@click.option("--keep-loaded", is_flag=True, help=sentences("ltx2_session_params")["keep_loaded"])
@opening_flags
def batch(jobs: Any, folder: str, scheduler: str | None, **options: Any) -> None:
    """Make the clips of JOBS, a file with one job a line; - is stdin.

    A line is a prompt, or a JSON object: {"prompt": ..., "output": NAME, "image": IMAGE or {FRAME:
    IMAGE}, ...} with the options of t2v and i2v. A clip that is there already, made from the same,
    is not made again. A job that fails does not stop the others; the exit code is that of the
    first that did.
    """
    from ltx2 import batch as clips

    as_json = options.pop("as_json")
    options["model"] = list(options["model"]) or None
    wanted = clips.read(jobs)
    _make(Path(folder))
    with ExitStack() as held:
        shown = held.enter_context(closing(_Shown(len(wanted), as_json)))
        executor = None if scheduler is None else _executor(scheduler, held)
        outcomes = clips.generate(
            wanted, executor, folder=folder, done=shown.ended, progress=shown.show, **options
        )
    made = sum(outcome.made for outcome in outcomes)
    failed = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not said().quiet:
        there = len(outcomes) - made - len(failed)
        say(f"{made} made, {there} there already, {len(failed)} failed")
    click.get_current_context().exit(_code(failed[0]) if failed else 0)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ltx2.InvalidArgumentError(f"{folder}: is no folder") from None


def _code(error: BaseException) -> int:
    return failures.EXIT_CODES[failures.kind_of(error)]


def _executor(address: str, held: ExitStack) -> Executor:
    from ltx2 import cluster

    client = held.enter_context(closing(cluster.connect(address)))
    executor: Executor = client.get_executor()
    return executor


class _Shown(ProgressLine):
    """How far all jobs are, and a line for each that ended."""

    def __init__(self, total: int, as_json: bool) -> None:
        super().__init__()
        self.done, self.total, self.as_json = 0, total, as_json
        self.show_all()

    def show_all(self) -> None:
        super().show(Progress("batch", self.done, self.total))

    def show(self, progress: Progress) -> None:
        """Of the clip that this process makes, among all."""
        stage = f"{self.done + 1}/{self.total} {progress.stage}"
        super().show(Progress(stage, progress.done, progress.total))

    def ended(self, outcome: Outcome) -> None:
        self.done += 1
        if self.bar is not None:
            self.bar.leave = False  # the answer takes its place
        self.close()
        if outcome.error is None:
            answer(outcome.output, outcome.metadata, self.as_json)
        else:
            say(f"{Path(outcome.output).name}: {failures.words(outcome.error)}")
            if self.as_json:
                about = failures.about(outcome.error, _code(outcome.error))
                click.echo(json_line({"output": outcome.output, **about}))
        self.show_all()
