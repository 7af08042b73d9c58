"""What every command does that makes a video, around the call itself."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import ltx2
from ltx2 import clips, media
from ltx2._process import say

from . import plans
from .flags import OPENING
from .outputs import Output, check_names, named, replaces
from .pictures import terminal_writer
from .terminal import ProgressLine, answer, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Make = Callable[[ltx2.Session, dict[str, Any]], ltx2.Video]

MAYBE_ONE: dict[str, Any] = {"maybe_one": True}
"""The size of a video that has as many frames as what it is made from."""

_WATCHING = {"latents": "--save-latents", "preview": "--preview", "profile": "--profile"}


def opened(options: Mapping[str, Any], *, keep_loaded: bool = False) -> ltx2.Session:
    """With the options of `opening_flags`."""
    return ltx2.Session(
        list(options["model"]) or None,
        device=options["device"],
        threads=options["threads"],
        low_memory=options["low_memory"],
        keep_loaded=keep_loaded,
        loras=options["loras"],
    )


def make_video(
    make: Make,
    options: dict[str, Any],
    text: str | ltx2.Features,
    size: Mapping[str, Any] | None = None,
    resumed: str | None = None,
    planned: bool = True,
) -> str:
    """Make one clip of all that the command line says: check the output, open, plan, make, save.

    Returns its path. `text` is what it is called after where nothing else is said, with the seed if
    there is one: mostly its prompt; `size` the video's, where no option says it; `resumed` the job
    that goes once it is saved; `planned` whether `make` can say what it takes.
    """
    as_json, yes = options.pop("as_json"), options.pop("yes")
    opening = {name: options.pop(name) for name in OPENING}
    clip = Clip(make, options, text, resumed, planned)
    clip.check({**options, **(size or {})}, yes=yes)
    with opened(opening) as session, closing(ProgressLine()) as line:
        video = clip.made(session, line)
    finish(clip, video, line, as_json=as_json)
    return clip.output.path


def finish(clip: Clip, video: ltx2.Video, line: ProgressLine, *, as_json: bool) -> None:
    """Say how it went, save it, answer."""
    if "enhanced_from" in video.metadata and not (said().verbose or said().quiet):
        say(f"prompt: {video.metadata['prompt']}")  # else it was logged
    if said().verbose:
        peak = plans.peak_memory()
        memory = f"; peak memory {plans.size(peak)}, mapped files included" if peak else ""
        say(f"{line.times.words()}{memory}")
    clip.output.save(video)
    if clip.finished:
        Path(clip.finished).unlink(missing_ok=True)
    answer(clip.output.path, video.metadata, as_json)


class Clip:
    """One clip: how it is made, with which options, and where it goes."""

    def __init__(
        self, make: Make, options: dict[str, Any], text: str | ltx2.Features,
        resumed: str | None = None, planned: bool = True,
    ) -> None:  # fmt: skip
        self.features = text if isinstance(text, ltx2.Features) else None
        name = text if isinstance(text, str) else text.prompt
        self.make, self.planned = make, planned
        given = options.pop("output")
        self.job: str | None = options.pop("job", None)
        self.finished = self.job or resumed  # once it is saved
        self.duration: float | None = options.pop("duration", None)
        if "seed" in options and options["seed"] is None:
            options["seed"] = secrets.randbits(32)
        self.output = Output.of(given, named(name, options.get("seed")))
        if options.get("audio", True) is None and self.output.path.lower().endswith(".wav"):
            options["audio"] = True  # a model that makes none says so, before the work
        self.wanted = wanted_of(options)

    def check(self, about: Mapping[str, Any], *, yes: bool) -> None:
        """Refuse, before any work, files that could not be written."""
        if self.duration is not None:  # how many frames that is, the model may have to say
            fps = about.get("fps")
            count = clips.nearest_count(self.duration * fps) if fps else None
            about = {**about, "frames": count, "maybe_one": True}
        beside = {f: self.wanted[name] for name, f in _WATCHING.items() if name in self.wanted}
        target = media.target_of(self.output.path)
        check_names({"-o": target, "--job": self.job, **beside})
        self.output.check(about, yes=yes)
        for path in beside.values():
            if os.path.lexists(path):
                replaces(path, yes=yes)
        if "latents" in self.wanted:
            self.wanted["latents"] = _latents_writer(self.wanted["latents"])

    def made(self, session: ltx2.Session, line: ProgressLine) -> ltx2.Video:
        wanted = self.wanted = with_frames(self.wanted, self.duration, session, self.features)
        if self.duration is not None:
            media.check_frames(self.output.path, wanted["frames"])
        if self.planned and not session.is_demo:  # which is done before a plan is
            wanted["expect"] = _expecting(line)
        if "preview" in wanted:
            rate = (wanted.get("fps") or 24) / 8  # of latent frames
            wanted["preview"] = _preview(wanted["preview"], rate, line)
        if "enhance" in wanted:
            wanted["enhance"]["text"] = line.write
        if self.finished:
            wanted["job"] = (self.finished, self.output.path)
        return self.make(session, {**wanted, "progress": line.show})


def _expecting(line: ProgressLine) -> Callable[[dict[str, Any]], None]:
    """A run that takes long begins with what it will take."""
    here = said()
    line.planning = True

    def expect(plan: dict[str, Any]) -> None:
        line.expect(plan)
        here.cost = plans.summary(plan) if plan["seconds"] > plans.LONG else ""

    return expect


def wanted_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of them, as the methods of `Session` take it."""
    wanted = {name: value for name, value in options.items() if value is not None}
    if (file := wanted.pop("enhance_instructions", None)) is not None:
        wanted["enhance"] = {"instructions": read_text("instructions", file, 1 << 20)}
    elif enhance := wanted.get("enhance"):
        wanted["enhance"] = {} if enhance is True else dict(enhance)
    else:
        wanted.pop("enhance", None)
    if "noise" in wanted:
        wanted["noise"] = load_array("noise", wanted["noise"])
    return wanted


def with_frames(
    wanted: dict[str, Any],
    duration: float | None,
    session: ltx2.Session,
    features: ltx2.Features | None = None,
) -> dict[str, Any]:
    """With as many as last so many seconds."""
    if duration is None:
        return wanted
    if "frames" in wanted:
        raise click.UsageError("--duration stands in place of --frames; give one of them")
    fps = wanted.get("fps") or session._defaults(features)["fps"]
    return {**wanted, "frames": clips.nearest_count(duration * fps)}


def read_text(what: str, path: str, most: int) -> str:
    """Of a file, `most` bytes at most; "-" is what comes on stdin."""
    with click.open_file(path, "rb") as file:
        raw: bytes = file.read(most + 1)
    if len(raw) > most:
        raise ltx2.InvalidArgumentError(f"{what}: {path}: is longer than {most} bytes")
    try:
        return raw.decode("utf-8-sig")  # Windows begins a text with a mark
    except UnicodeDecodeError as error:
        raise ltx2.InvalidArgumentError(f"{what}: {path}: {error}") from None


def load_array(name: str, path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header raises whatever NumPy's parser meets
        raise ltx2.InvalidArgumentError(f"{name}: {path} cannot be read: {error}") from None


def load_latents(path: str, fps: float | None) -> Any:
    """What `--save-latents` wrote; says what of the video that does not hold."""
    values = load_array("latents", path)
    if values.dtype.kind == "f":  # else it will be refused
        rate = "" if fps else ", and no rate: the model's own is taken, unless --fps says another"
        logging.getLogger("ltx2").warning("%s: holds no sound of its video%s", path, rate)
    return values


def _latents_writer(path: str) -> Callable[[Any], None]:
    """Refuses now a path it could not write to; a disk that fills later does not end the run."""
    if Path(path).suffix.lower() != ".npy":
        raise click.UsageError(f"--save-latents {path}: its ending is not .npy")
    write = media.array_writer(path)

    def written(latents: Any) -> None:
        try:
            write(latents)
        except OSError as error:
            kept = media.rescue(path, {"latents": latents})
            place = f"they are kept in {kept[1]}" if kept else "nor could they be kept elsewhere"
            logging.getLogger("ltx2").warning("latents: %s; %s", error, place)

    return written


def _preview(path: str, rate: float, line: ProgressLine) -> Callable[[Any], None]:
    """Into the file, and into the terminal where it can show pictures."""
    show = terminal_writer()
    write = None if path == "-" else media.preview_writer(path, rate)
    if path == "-" and not show:
        raise click.UsageError("--preview -: this terminal is not known to show pictures")

    def both(pictures: Any) -> None:
        if write:
            try:
                write(pictures)
            except OSError as error:  # the clip matters more
                logging.getLogger("ltx2").warning("preview: %s", error)
        if show:
            line.close()
            with contextlib.suppress(OSError):  # a terminal that was closed
                show(pictures)

    return both
