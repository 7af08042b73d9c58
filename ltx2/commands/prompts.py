"""Many clips by one command: prompts of a file, one a line, or JSON lines with options each."""

from __future__ import annotations

import io
import os
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2 import media, writer
from ltx2._process import say
from ltx2.batch import parsed
from ltx2.text import json_line

from . import failures, flags
from .making import Clip, finish, opened, read_text
from .outputs import Kept, holds, is_folder
from .terminal import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 1 << 24  # bytes of a file of prompts
_ONE_FILE = {
    "latents": "--save-latents",
    "preview": "--preview",
    "profile": "--profile",
    "job": "--job",
}
# Ctrl-C, also at a question, and a reader of stdout that has left.
_END_ALL = (ltx2.CancelledError, click.Abort, BrokenPipeError)


def make_videos(path: str, options: dict[str, Any]) -> None:
    """Make a clip of each; one that fails is told, and the exit code is that of the first."""
    for name, flag in _ONE_FILE.items():
        if options[name] is not None:
            raise click.UsageError(f"{flag} names one file, and --prompts makes many")
    output = options["output"]
    if output is not None and not is_folder(output):
        raise click.UsageError(f"-o {output}: is one file; with --prompts name a folder")
    text = read_text("prompts", path, _LONGEST)
    read = io.StringIO(text, newline=None)  # as files have lines: JSON may hold other separators
    lines = {i: line.strip() for i, line in enumerate(read, 1) if line.strip()}
    how = {name: options.pop(name) for name in ("as_json", "yes")}
    opening = {name: options.pop(name) for name in flags.OPENING}
    taken = {place: f"line {i} reads it" for i, line in lines.items() for place in _read(line)}
    with _opened(opening) as session:
        codes = [_tried(i, session, line, options, taken, **how) for i, line in lines.items()]
    if failed := [code for code in codes if code]:
        say(f"{len(failed)} of {len(lines)} clips failed")
        click.get_current_context().exit(failed[0])


def _read(line: str) -> Iterator[str]:
    """The places of its pictures that are there already; others may be clips of lines before it."""
    pictures: Mapping[int, Any] = {}
    with suppress(ltx2.InvalidArgumentError):  # it is told when its turn comes
        pictures = parsed(line).get("image", {})
    for given in pictures.values():
        picture = given[0] if isinstance(given, tuple) else given
        if os.path.lexists(picture):
            yield os.path.realpath(picture)


def _tried(
    number: int, session: ltx2.Session, line: str, common: Mapping[str, Any],
    taken: dict[str, str], *, as_json: bool, **how: Any,
) -> int:  # fmt: skip
    """The exit code of one clip, alone; `taken` are places that it must not replace, and why."""
    try:
        place = _make_one(session, line, common, taken, as_json=as_json, **how)
        taken[place] = f"line {number} made it"
    except Exception as error:
        if isinstance(error, _END_ALL) and not isinstance(error, Kept):
            raise
        code = failures.EXIT_CODES[failures.kind_of(error)]
        say(f"line {number}: {failures.words(error)}")
        failures.say_where(error)
        if as_json:
            click.echo(json_line({"line": number, **failures.about(error, code)}))
        return code
    return 0


def _opened(opening: Mapping[str, Any]) -> ltx2.Session:
    """The model stays loaded where that takes no more than half of the memory."""
    session = opened(opening)
    if opening["low_memory"]:
        return session
    if not session.is_demo:
        with session:
            plan = session.plan("a", width=64, height=64, frames=9)
        weights = sum(stage["mapped"] + stage["copied"] for stage in plan["stages"])
        return opened(opening, keep_loaded=2 * weights <= plan.get("available", 0))
    session.close()
    return opened(opening, keep_loaded=True)


def _make_one(
    session: ltx2.Session, line: str, common: Mapping[str, Any], taken: Mapping[str, str], *,
    as_json: bool, yes: bool,
) -> str:  # fmt: skip
    """Returns the place that it takes."""
    row = parsed(line)
    options = {**common, **row}
    if "frames" in row:
        options["duration"] = None
    elif "duration" in row:
        options["frames"] = None
    if row.get("enhance", True) is not True:  # it says how, or not at all
        options["enhance_instructions"] = None
    prompt, image = options.pop("prompt"), options.pop("image", None)
    keyframes = options.pop("keyframes", False)

    def make(session: ltx2.Session, wanted: dict[str, Any]) -> ltx2.Video:
        if image is None:
            return session.t2v(prompt, **wanted)
        return session.i2v(prompt, image, keyframes=keyframes, **wanted)

    clip = Clip(make, options, prompt)
    place = str(writer.real(media.target_of(clip.output.path)))
    if why := next((taken[path] for path in taken if holds(place, path)), None):
        raise ltx2.InvalidArgumentError(f"output: {clip.output.path}: {why}; name another")
    clip.check(options, yes=yes)
    with closing(ProgressLine()) as progress:
        video = clip.made(session, progress)
    finish(clip, video, progress, as_json=as_json)
    return place
