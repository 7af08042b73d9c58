"""The commands that make a video: t2v, i2v, decode."""

from __future__ import annotations

import logging
import os
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import ltx2
from ltx2 import media
from ltx2._native import ffi, sentences
from ltx2._process import say
from ltx2.text import json_line

from . import plans
from .terminal import Bars, answer, json_flag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_KNOWN = ltx2.capabilities()
_OPENING = sentences("ltx2_session_params")
_MAKING = sentences("ltx2_video_params")


def _field(name: str) -> Callable[[Any], Any]:
    """The option for a field of `Options`, with the header's words."""
    field = dict(ffi.typeof("ltx2_video_params").fields)[name].type
    kind: Any = str
    if name == "noise":
        kind = click.Path(dir_okay=False)
    elif name == "schedule":
        kind = click.Choice(_KNOWN["schedules"])
    elif field.kind == "primitive":
        kind = float if field.cname == "float" else int
    words = _MAKING[name]
    if name == "seed":
        words += " Default: a random one, which is printed."
    return click.option("--" + name.replace("_", "-"), name, type=kind, help=words)


def _applied(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator that adds options in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_OPENS = ("model", "device", "threads", "low_memory", "verbose")
_opening = _applied([
    click.option("--model", multiple=True, metavar="PATH", type=click.Path(),
                 help=_OPENING["files"] + " Give it once per PATH. Default: $LTX2_MODEL, else the "
                 "demo model."),
    click.option("--device", help=_OPENING["device"] + " `ltx2 devices` lists them."),
    click.option("--threads", type=int, default=0, help=_OPENING["threads"]),
    click.option("--low-memory", is_flag=True, help=_OPENING["low_memory"]),
    json_flag,
    click.option("-v", "--verbose", is_flag=True, help="Print more on stderr."),
])  # fmt: skip
_shared = _applied([
    click.option("-o", "--output", required=True, metavar="FILE",
                 help=".mp4, .gif, .webp, .png (a folder of frames) or .npy."),
    _opening,
])  # fmt: skip
_fields = _applied([*map(_field, ltx2.Options.__annotations__)])
_crf = click.option(
    "--crf", type=int, default=33, show_default=True,
    help="How strongly an image is compressed before use; 0 not at all.",
)  # fmt: skip
_generation = _applied([
    _fields,
    click.option("--latents", metavar="FILE", type=click.Path(dir_okay=False),
                 help="Also write the final latents there, .npy, before they are decoded."),
    _shared,
])  # fmt: skip


@click.command()
@click.argument("prompt")
@_generation
def t2v(prompt: str, **options: Any) -> None:
    """Make a video from PROMPT."""
    _generate(
        lambda session, wanted: session.t2v(prompt, **wanted),
        options,
        plan=lambda session, wanted: session.plan(prompt, **wanted),
    )


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE[@FRAME[:STRENGTH]]...")
@_crf
@_generation
def i2v(prompt: str, images: Sequence[str], crf: int, **options: Any) -> None:
    """Make a video from PROMPT that passes through IMAGEs: at FRAME (0), with STRENGTH (1).

    An image lies on white where it is transparent.
    """
    chosen = _chosen(images)
    _generate(
        lambda session, wanted: session.i2v(prompt, chosen, crf=crf, **wanted),
        options,
        plan=lambda session, wanted: session.plan(prompt, chosen, crf=crf, **wanted),
    )


@click.command()
@click.argument("latents", metavar="LATENTS")
@click.option("--fps", type=float, help=sentences("ltx2_decode_params")["fps"])
@_shared
def decode(latents: str, **options: Any) -> None:
    """Make the video of LATENTS, a .npy that `--latents` wrote."""
    values = _load_array("latents", latents)
    size = _video_size(values.shape)
    _generate(lambda session, wanted: session.decode(values, **wanted), options, size)


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, metavar="[IMAGE[@FRAME[:STRENGTH]]]...")
@_crf
@_fields
@_opening
def plan(prompt: str, images: Sequence[str], crf: int, **options: Any) -> None:
    """Say what making a video from PROMPT, and IMAGEs, would take: time and memory, by stage."""
    as_json = options.pop("as_json")
    opening = {name: options.pop(name) for name in _OPENS}
    with _opened(opening) as session:
        planned = session.plan(prompt, _chosen(images), crf=crf, **_wanted(options))
    click.echo(json_line(planned) if as_json else "\n".join(plans.lines(planned)))


def _video_size(latents: tuple[int, ...]) -> dict[str, int]:
    """What LTX-2.3 makes of latents of this shape; nothing where they are none."""
    if len(latents) != 4:
        return {}
    _, frames, height, width = latents
    return {"width": 32 * width, "height": 32 * height, "frames": 8 * (frames - 1) + 1}


def parse_image(argument: str) -> tuple[int, tuple[str, float]]:
    """IMAGE[@FRAME[:STRENGTH]] as (frame, (image, strength)); a file of that whole name wins."""
    match = re.fullmatch(r"(.+)@(\d+)(?::(\d*\.?\d+))?", argument)
    if match is None or os.path.lexists(argument):
        return 0, (argument, 1.0)
    image, frame, strength = match.groups()
    return int(frame), (image, float(strength or 1))


def _chosen(images: Sequence[str]) -> dict[int, tuple[str, float]]:
    chosen = {}
    for frame, image in map(parse_image, images):
        if frame in chosen:
            raise click.UsageError(f"two images for frame {frame}")
        chosen[frame] = image
    return chosen


def _opened(options: Mapping[str, Any]) -> ltx2.Session:
    if options["verbose"]:
        logging.getLogger("ltx2").setLevel(logging.INFO)
    model = list(options["model"]) or None
    kept = {name: options[name] for name in ("device", "threads", "low_memory")}
    return ltx2.Session(model, **kept)


def _wanted(options: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {name: value for name, value in options.items() if value is not None}
    if "noise" in wanted:
        wanted["noise"] = _load_array("noise", wanted["noise"])
    return wanted


def _generate(
    make: Callable[[ltx2.Session, dict[str, Any]], ltx2.Video],
    options: dict[str, Any],
    size: Mapping[str, int] | None = None,
    plan: Callable[[ltx2.Session, dict[str, Any]], dict[str, Any]] | None = None,
) -> None:
    """Everything around the call itself: check the output, open, plan, report, save.

    `size` is the video's, where no option says it.
    """
    output, as_json = options.pop("output"), options.pop("as_json")
    opening = {name: options.pop(name) for name in _OPENS}
    _check_output(output, {**options, **(size or {})})
    wanted = _wanted(options)
    if "latents" in wanted:
        if os.path.realpath(wanted["latents"]) == os.path.realpath(output):
            raise click.UsageError("--latents names the output; the video would replace them")
        wanted["latents"] = media.array_writer(wanted["latents"])
    with _opened(opening) as session, closing(Bars(f"model: {session.model}")) as bars:
        if plan and not session.is_demo:  # which is done before a plan is
            bars.expect(plan(session, {k: v for k, v in wanted.items() if k != "latents"}))
        video = make(session, {**wanted, "progress": bars.show})
    if not opening["verbose"] and video.seed is not None:  # else it was logged at the start
        say(f"seed {video.seed}")
    _save(video, output)
    answer(output, video.metadata, as_json)


def _check_output(output: str, asked: Mapping[str, Any]) -> None:
    known = ("width", "height", "frames", "fps")
    media.check_output(output, **{name: asked.get(name) for name in known})


def _save(video: ltx2.Video, output: str) -> None:
    """If that fails, nothing is lost: the frames are kept, or at least the latents."""
    try:
        video.save(output)
    except Exception:
        arrays = {"frames": video.frames, "latents": video.latents}
        kept = media.rescue(output, {n: a for n, a in arrays.items() if a is not None})
        if kept is None:
            say("nor could the frames be kept anywhere")
        else:
            name, path = kept
            use = f"`ltx2 decode` with --fps {video.fps:g} makes a video of them"
            if name == "frames":
                use = f"in Python, ltx2.Video(numpy.load(path), {video.fps:g}).save saves them"
            say(f"the {name} are kept in {path}; {use}")
        raise


def _load_array(name: str, path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header raises whatever NumPy's parser meets
        raise ltx2.InvalidArgumentError(f"{name}: {path} cannot be read: {error}") from None
