"""The commands that make a video of a prompt or of latents: t2v, i2v, decode; and plan."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import ltx2
from ltx2 import clips
from ltx2._native import sentences
from ltx2.text import json_line

from . import plans
from .flags import (
    KEYFRAMES,
    OPENING,
    as_rate,
    crf_flag,
    duration_flag,
    enhancing,
    fields,
    generation,
    opening_flags,
    prompts_flag,
    shared,
)
from .making import load_latents, make_video, opened, read_text, wanted_of, with_frames
from .prompts import make_videos

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("prompt", required=False)
@prompts_flag
@enhancing
@generation
def t2v(prompt: str | None, prompts: str | None, features: str | None, **options: Any) -> None:
    """Make a video from PROMPT; - is what comes on stdin."""
    if prompts is not None:
        if prompt is not None or features is not None:
            raise click.UsageError("--prompts stands in place of PROMPT; give one of them")
        make_videos(prompts, options)
        return
    text = prompt_or_features(prompt, features)
    make_video(
        lambda session, wanted: session.t2v(text, **wanted),
        options,
        text,
    )


@click.command()
@click.argument("prompt", required=False)
@click.argument("images", nargs=-1, metavar="IMAGE[@FRAME[:STRENGTH]]...")
@crf_flag
@click.option("--keyframes", is_flag=True, help=KEYFRAMES)
@enhancing
@generation
def i2v(
    prompt: str | None,
    images: Sequence[str],
    crf: int | None,
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
        text,
    )


def prompt_or_features(prompt: str | None, features: str | None) -> str | ltx2.Features:
    if features and prompt is not None:
        raise click.UsageError("--features stands in place of PROMPT; give one of them")
    if features:
        return ltx2.Features.load(features)
    if prompt is None:
        raise click.UsageError("Missing argument 'PROMPT'.")
    return read_text("prompt", "-", 1 << 20).strip() if prompt == "-" else prompt


@click.command()
@click.argument("latents", metavar="LATENTS")
@click.option(
    "--fps", callback=as_rate, metavar="RATE", help=sentences("ltx2_decode_params")["fps"]
)
@click.option(
    "--seed", type=int, help=sentences("ltx2_decode_params")["seed"] + " -1 is a random one.",
)  # fmt: skip
@shared
def decode(latents: str, seed: int | None, **options: Any) -> None:
    """Make the video of LATENTS, a .npy that `--save-latents` wrote."""
    values = load_latents(latents, options["fps"])
    size = {**_video_size(values.shape), "audio": False}
    if seed == -1:
        seed = secrets.randbits(32)
    make_video(
        lambda session, wanted: session.decode(values, seed=seed, **wanted),
        options,
        Path(latents).stem,
        size,
        planned=False,
    )


@click.command()
@click.argument("prompt")
@click.argument("images", nargs=-1, metavar="[IMAGE[@FRAME[:STRENGTH]]]...")
@crf_flag
@fields
@duration_flag
@opening_flags
def plan(prompt: str, images: Sequence[str], crf: int | None, **options: Any) -> None:
    """Say what making a video from PROMPT, and IMAGEs, would take: time and memory, by stage."""
    as_json = options.pop("as_json")
    opening = {name: options.pop(name) for name in OPENING}
    duration = options.pop("duration")
    with opened(opening) as session:
        wanted = with_frames(wanted_of(options), duration, session)
        planned = session.plan(prompt, chosen_images(images), crf=crf, **wanted)
    click.echo(json_line(planned) if as_json else "\n".join(plans.lines(planned)))


def _video_size(latents: tuple[int, ...]) -> dict[str, int]:
    """What LTX-2 makes of latents of this shape; nothing where they are none."""
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
    if len(frame) > 9:
        raise click.UsageError(f"{argument}: no video has a frame {frame:.9}...")
    return int(frame), (image, float(strength or 1))


def chosen_images(images: Sequence[str]) -> dict[int, tuple[str, float]]:
    chosen = {}
    for frame, image in map(parse_image, images):
        if frame in chosen:
            raise click.UsageError(f"two images for frame {frame}")
        chosen[frame] = image
    return chosen
