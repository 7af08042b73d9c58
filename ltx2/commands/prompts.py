"""Many clips by one command: prompts of a file, one a line, or JSON lines with options each."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2._process import say
from ltx2.text import json_line

from . import failures, flags
from .making import Clip, finish, opened, read_text
from .outputs import is_folder
from .terminal import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 1 << 24  # bytes of a file of prompts
_ONE_FILE = {"latents": "--save-latents", "preview": "--preview", "job": "--job"}
_KEYS = {"prompt": str, "output": str, "duration": float} | {
    name: flags.kind(name) for name in ltx2.Options.__annotations__ if name != "noise"
}


def make_videos(path: str, options: dict[str, Any]) -> None:
    """Make a clip of each; one that fails is told, and the exit code is that of the first."""
    for name, flag in _ONE_FILE.items():
        if options[name] is not None:
            raise click.UsageError(f"{flag} names one file, and --prompts makes many")
    output = options["output"]
    if output is not None and not is_folder(output):
        raise click.UsageError(f"-o {output}: is one file; with --prompts name a folder")
    text = read_text("prompts", path, _LONGEST)
    lines = {i: line.strip() for i, line in enumerate(text.splitlines(), 1) if line.strip()}
    how = {name: options.pop(name) for name in ("as_json", "yes")}
    opening = {name: options.pop(name) for name in flags.OPENING}
    with _opened(opening) as session:
        codes = [_tried(number, session, line, options, **how) for number, line in lines.items()]
    if failed := [code for code in codes if code]:
        say(f"{len(failed)} of {len(lines)} clips failed")
        click.get_current_context().exit(failed[0])


def _tried(number: int, *clip: Any, as_json: bool, **how: Any) -> int:
    """The exit code of one clip, alone."""
    try:
        _make_one(*clip, as_json=as_json, **how)
    except ltx2.CancelledError:
        raise
    except (ltx2.Error, OSError, click.UsageError) as error:
        code = failures.EXIT_CODES[failures.kind_of(error)]
        say(f"line {number}: {failures.words(error)}")
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
    session: ltx2.Session, line: str, common: Mapping[str, Any], *, as_json: bool, yes: bool
) -> None:
    row = _row(line)
    options = {**common, **row}
    if "frames" in row:
        options["duration"] = row.get("duration")
    elif "duration" in row:
        options["frames"] = None
    prompt = options.pop("prompt")
    clip = Clip(
        lambda session, wanted: session.t2v(prompt, **wanted),
        lambda session, wanted: session.plan(prompt, **wanted),
        options,
        prompt,
    )
    clip.check(options, yes=yes)
    with closing(ProgressLine()) as progress:
        video = clip.made(session, progress)
    finish(clip, video, progress, as_json=as_json)


def _row(line: str) -> dict[str, Any]:
    """The options of one line, with the prompt among them."""
    if not line.startswith("{"):
        return {"prompt": line}
    try:
        row: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ltx2.InvalidArgumentError(f"is no JSON object: {error}") from None
    if "prompt" not in row:
        raise ltx2.InvalidArgumentError("has no prompt")
    for name, value in row.items():
        kind = _KEYS.get(name)
        if kind is None:
            raise ltx2.InvalidArgumentError(f"{name}: is none of {', '.join(_KEYS)}")
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise ltx2.InvalidArgumentError(f"{name}: {value!r} is no {_CALLED[kind]}")
    if row.get("seed") == -1:
        row["seed"] = None
    if not 0 < row.get("duration", 1) < 1e6:
        raise ltx2.InvalidArgumentError(f"duration: {row['duration']:g} is no time in seconds")
    return row


_CALLED = {str: "text", float: "number", int: "whole number", bool: "true or false"}
