"""The commands that make a video: t2v, i2v, decode; and what every such command does."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import ltx2
from ltx2 import clips, media
from ltx2._native import ffi, sentences
from ltx2._process import say
from ltx2.text import json_line

from . import plans
from .pictures import terminal_writer
from .terminal import Bars, answer, json_flag, parse_lora

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_KNOWN = ltx2.capabilities()
_OPENING = sentences("ltx2_session_params")
_MAKING = sentences("ltx2_video_params")


def field(name: str) -> Callable[[Any], Any]:
    """The option for a field of `Options`, with the header's words."""
    if name == "audio":
        words = "Make the video alone, which is another one than with its sound."
        return click.option("--no-audio", "audio", flag_value=False, default=None, help=words)
    declared = dict(ffi.typeof("ltx2_video_params").fields)[name].type
    kind: Any = str
    if name == "noise":
        kind = click.Path(dir_okay=False)
    elif name in ("schedule", "sampler", "recipe"):
        kind = click.Choice(_KNOWN[f"{name}s"])
    elif declared.kind == "primitive":
        kind = float if declared.cname == "float" else int
    words = _MAKING[name]
    if name == "seed":
        words += " Default: a random one, which is printed."
    return click.option("--" + name.replace("_", "-"), name, type=kind, help=words)


def applied(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A decorator that adds options in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


output_flag = click.option(
    "-o", "--output", required=True, metavar="FILE",
    help=".mp4, .gif, .webp, .png (a folder of frames), .npy, or .wav (the sound).",
)  # fmt: skip
OPENING = ("model", "device", "threads", "low_memory", "loras", "verbose")
opening_flags = applied([
    click.option("--model", multiple=True, metavar="PATH", type=click.Path(),
                 help=_OPENING["files"] + " Give it once per PATH. Default: $LTX2_MODEL, else the "
                 "demo model."),
    click.option("--device", help=_OPENING["device"] + " `ltx2 devices` lists them."),
    click.option("--threads", type=int, default=0, help=_OPENING["threads"]),
    click.option("--low-memory", is_flag=True, help=_OPENING["low_memory"]),
    click.option("--lora", "loras", multiple=True, metavar="FILE[:STRENGTH]",
                 help=_OPENING["loras"] + " Give it once per FILE."),
    json_flag,
    click.option("-v", "--verbose", is_flag=True, help="Print more on stderr."),
])  # fmt: skip
_shared = applied([output_flag, opening_flags])
_fields = applied([*map(field, ltx2.Options.__annotations__)])
crf_flag = click.option(
    "--crf", type=int, default=33, show_default=True,
    help="How strongly an image is compressed before use; 0 not at all.",
)  # fmt: skip
watching = applied([
    click.option("--save-latents", "--latents", "latents", metavar="FILE",
                 type=click.Path(dir_okay=False),
                 help="Also write the final latents there, .npy, before they are decoded."),
    click.option("--preview", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
                 help="Draw a small picture of the clip after each step: .png (a sheet), .gif or "
                 ".webp; it is shown in the terminal too, and only there where FILE is -."),
])  # fmt: skip
keeping = click.option(
    "--job", metavar="FILE", type=click.Path(dir_okay=False),
    help="Save there, after each step, what is needed to go on: `ltx2 resume FILE` does. It is "
    "removed when the video is saved.",
)  # fmt: skip
features_flag = click.option(
    "--features", metavar="FILE", type=click.Path(dir_okay=False),
    help="The encoded prompt, from `ltx2 encode`, in place of PROMPT.",
)  # fmt: skip
_enhancing = applied([
    click.option("--enhance", is_flag=True,
                 help="Let the text encoder write more words first, in minutes; they are printed."),
    click.option("--enhance-instructions", metavar="FILE", type=click.Path(dir_okay=False),
                 help="Enhance the prompt, as this text asks for in place of the library's own."),
])  # fmt: skip
generation = applied([features_flag, _fields, watching, keeping, _shared])
_WATCHING = {"latents": "--save-latents", "preview": "--preview"}


@click.command()
@click.argument("prompt", required=False)
@_enhancing
@generation
def t2v(prompt: str | None, features: str | None, **options: Any) -> None:
    """Make a video from PROMPT."""
    text = prompt_or_features(prompt, features)
    make_video(
        lambda session, wanted: session.t2v(text, **wanted),
        options,
        plan=lambda session, wanted: session.plan(text, **wanted),
    )


@click.command()
@click.argument("prompt", required=False)
@click.argument("images", nargs=-1, metavar="IMAGE[@FRAME[:STRENGTH]]...")
@crf_flag
@click.option("--keyframes", is_flag=True, help=_MAKING["keyframes"])
@_enhancing
@generation
def i2v(
    prompt: str | None,
    images: Sequence[str],
    crf: int,
    keyframes: bool,
    features: str | None,
    **options: Any,
) -> None:
    """Make a video from PROMPT that passes through IMAGEs: at FRAME (0), with STRENGTH (1).

    An image lies on white where it is transparent.
    """
    if features:  # then images are all there is
        images, prompt = [*filter(None, [prompt]), *images], None
    text = prompt_or_features(prompt, features)
    if not images:
        raise click.UsageError("Missing argument 'IMAGE[@FRAME[:STRENGTH]]...'.")
    chosen = chosen_images(images)
    make_video(
        lambda session, wanted: session.i2v(text, chosen, crf=crf, keyframes=keyframes, **wanted),
        options,
        plan=lambda session, wanted: session.plan(text, chosen, crf=crf, **wanted),
    )


def prompt_or_features(prompt: str | None, features: str | None) -> str | ltx2.Features:
    if features and prompt is not None:
        raise click.UsageError("--features stands in place of PROMPT; give one of them")
    if features:
        return ltx2.Features.load(features)
    if prompt is None:
        raise click.UsageError("Missing argument 'PROMPT'.")
    return prompt


@click.command()
@click.argument("latents", metavar="LATENTS")
@click.option("--fps", type=float, help=sentences("ltx2_decode_params")["fps"])
@_shared
def decode(latents: str, **options: Any) -> None:
    """Make the video of LATENTS, a .npy that `--save-latents` wrote."""
    values = load_array("latents", latents)
    size = _video_size(values.shape)
    make_video(lambda session, wanted: session.decode(values, **wanted), options, size)


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, metavar="[IMAGE[@FRAME[:STRENGTH]]]...")
@crf_flag
@_fields
@opening_flags
def plan(prompt: str, images: Sequence[str], crf: int, **options: Any) -> None:
    """Say what making a video from PROMPT, and IMAGEs, would take: time and memory, by stage."""
    as_json = options.pop("as_json")
    opening = {name: options.pop(name) for name in OPENING}
    with opened(opening) as session:
        planned = session.plan(prompt, chosen_images(images), crf=crf, **_wanted(options))
    click.echo(json_line(planned) if as_json else "\n".join(plans.lines(planned)))


def _video_size(latents: tuple[int, ...]) -> dict[str, int]:
    """What LTX-2.3 makes of latents of this shape; nothing where they are none."""
    if len(latents) != 4:
        return {}
    _, frames, height, width = latents
    cell, group = clips.CELL, clips.GROUP
    return {"width": cell * width, "height": cell * height, "frames": group * (frames - 1) + 1}


def parse_image(argument: str) -> tuple[int, tuple[str, float]]:
    """IMAGE[@FRAME[:STRENGTH]] as (frame, (image, strength)); a file of that whole name wins."""
    match = re.fullmatch(r"(.+)@(\d+)(?::(\d*\.?\d+))?", argument)
    if match is None or os.path.lexists(argument):
        return 0, (argument, 1.0)
    image, frame, strength = match.groups()
    return int(frame), (image, float(strength or 1))


def chosen_images(images: Sequence[str]) -> dict[int, tuple[str, float]]:
    chosen = {}
    for frame, image in map(parse_image, images):
        if frame in chosen:
            raise click.UsageError(f"two images for frame {frame}")
        chosen[frame] = image
    return chosen


def opened(options: Mapping[str, Any]) -> ltx2.Session:
    """With the options of `opening_flags`."""
    if options["verbose"]:
        logging.getLogger("ltx2").setLevel(logging.INFO)
    model = list(options["model"]) or None
    kept = {name: options[name] for name in ("device", "threads", "low_memory")}
    return ltx2.Session(model, loras=dict(map(parse_lora, options["loras"])), **kept)


def _wanted(options: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {name: value for name, value in options.items() if value is not None}
    if (file := wanted.pop("enhance_instructions", None)) is not None:
        wanted["enhance"] = {"instructions": _instructions(file)}
    elif wanted.get("enhance"):
        wanted["enhance"] = {}
    else:
        wanted.pop("enhance", None)
    if "noise" in wanted:
        wanted["noise"] = load_array("noise", wanted["noise"])
    return wanted


def _instructions(path: str) -> str:
    most = 1 << 20  # bytes; the library takes fewer
    with Path(path).open("rb") as file:
        raw = file.read(most + 1)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ltx2.InvalidArgumentError(f"instructions: {path}: {error}") from None


def make_video(
    make: Callable[[ltx2.Session, dict[str, Any]], ltx2.Video],
    options: dict[str, Any],
    size: Mapping[str, Any] | None = None,
    plan: Callable[[ltx2.Session, dict[str, Any]], dict[str, Any]] | None = None,
    resumed: str | None = None,
) -> None:
    """Everything around the call itself: check the output, open, plan, report, save.

    `size` is the video's, where no option says it; `resumed` the job that goes once it is saved.
    """
    output, as_json = options.pop("output"), options.pop("as_json")
    opening = {name: options.pop(name) for name in OPENING}
    job = options.pop("job", None)
    _check_output(output, {**options, **(size or {})})
    wanted = _wanted(options)
    _check_names({"-o": output, "--job": job, **_files_of(wanted)})
    if "latents" in wanted:
        wanted["latents"] = _latents_writer(wanted["latents"])
    with opened(opening) as session, closing(Bars(f"model: {session.model}")) as bars:
        if plan and not session.is_demo:  # which is done before a plan is
            bars.expect(plan(session, {k: v for k, v in wanted.items() if k not in _WATCHING}))
        if "preview" in wanted:
            rate = (wanted.get("fps") or 24) / 8  # of latent frames
            wanted["preview"] = _preview(wanted["preview"], rate, bars)
        if "enhance" in wanted:
            wanted["enhance"]["text"] = bars.write
        if job:
            wanted["job"] = (job, output)
        video = make(session, {**wanted, "progress": bars.show})
    if not opening["verbose"]:  # else it was logged at the start
        if "enhanced_from" in video.metadata:
            say(f"prompt: {video.metadata['prompt']}")
        if video.seed is not None:
            say(f"seed {video.seed}")
    _save(video, output)
    if finished := job or resumed:
        Path(finished).unlink(missing_ok=True)
    answer(output, video.metadata, as_json)


def _files_of(wanted: Mapping[str, Any]) -> dict[str, str]:
    """What is written beside the video, by the flag that names it."""
    return {flag: wanted[name] for name, flag in _WATCHING.items() if name in wanted}


def _check_names(files: Mapping[str, str | None]) -> None:
    seen: dict[str, str] = {}
    for flag, file in files.items():
        if not file or file == "-":
            continue
        other = seen.setdefault(os.path.realpath(file), flag)
        if other == "-o" != flag:
            raise click.UsageError(f"{flag} names the output; the video would replace it")
        if other != flag:
            raise click.UsageError(f"{flag} and {other} name the same file")


def _latents_writer(path: str) -> Callable[[Any], None]:
    """Refuses now a path it could not write to; a disk that fills later does not end the run."""
    write = media.array_writer(path)

    def written(latents: Any) -> None:
        try:
            write(latents)
        except OSError as error:
            kept = media.rescue(path, {"latents": latents})
            place = f"they are kept in {kept[1]}" if kept else "nor could they be kept elsewhere"
            logging.getLogger("ltx2").warning("latents: %s; %s", error, place)

    return written


def _preview(path: str, rate: float, bars: Bars) -> Callable[[Any], None]:
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
            bars.close()
            with contextlib.suppress(OSError):  # a terminal that was closed
                show(pictures)

    return both


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


def load_array(name: str, path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header raises whatever NumPy's parser meets
        raise ltx2.InvalidArgumentError(f"{name}: {path} cannot be read: {error}") from None
